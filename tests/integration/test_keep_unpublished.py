"""A keeper whose published store is another user's: nothing is ready, and who waits there is told why."""

import os
import select
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from harness import BINARY, PATIENCE, eventually
from keeping import Keeping
from sessions import login
from test_keep_outputs import free_port

COMPOSE = "docker compose --env-file .env run --rm setup"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs several users")


@pytest.fixture
def corrected():
    """CLAUDE_HUB_USER was 4321 and has been corrected to 4322: compose.yaml's volume has what 4321 published."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        keeping = correct(Keeping(Path(directory)))
        yield keeping
        keeping.end()


def correct(keeping):
    volume = keeping.path / "volume"
    volume.mkdir()
    volume.chmod(0o1777)
    (volume / "login/.claude-init").mkdir(parents=True, mode=0o700)
    (volume / "login/.claude-init/published").touch()
    for path in (volume / "login", volume / "login/.claude-init", volume / "login/.claude-init/published"):
        os.chown(path, 4321, 4321)
    (volume / "login").chmod(0o700)
    store = keeping.store("dev", login("a"))
    for path in (store, store / ".credentials.json", keeping.log.parent, keeping.home, keeping.command):
        os.chown(path, 4322, 4322)
    keeping.environment["CLAUDE_INIT_LOGIN_COMMAND"] = COMPOSE
    return keeping


def start(keeping):
    keeping.port = free_port()
    keeping.start("--publish", keeping.path / "volume/login", "--listen", f"127.0.0.1:{keeping.port}", pid1=False,
                  wrapper=["setpriv", "--reuid=4322", "--regid=4322", "--clear-groups"])
    return eventually((keeping.path / "volume/login.unpublished").exists, "a word for those who wait")


def metrics(keeping):
    with urllib.request.urlopen(f"http://127.0.0.1:{keeping.port}/metrics", timeout=PATIENCE) as answer:
        return answer.read().decode()


def waiting(keeping):
    """What `run` says of the published store; as its owner, who can read it."""
    done = subprocess.run(
        ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", BINARY, "run", "--store",
         keeping.path / "volume/login", "--", "true"], env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def test_nothing_is_ready_and_jobs_are_told_why_until_the_remedy_was_typed(corrected):
    start(corrected)
    corrected.says("the login cannot be published")
    chown = ("docker compose --env-file .env run --rm --user 0 --cap-add CHOWN --cap-add DAC_READ_SEARCH "
             f"--entrypoint chown keeper -R 4322:4322 {corrected.path}/volume/login")
    assert chown in corrected.said()
    eventually(lambda: 'claude_init_login_ready{store="dev"} 0\n' in metrics(corrected), "the metrics")
    status, said = waiting(corrected)
    assert status == 67, said
    assert "the login is not published to here" in said and "no login yet" not in said
    assert f"→ {chown}" in said
    # With the rights that it names, and no more.
    subprocess.run(["setpriv", "--bounding-set=-all,+chown,+dac_read_search", "--inh-caps=-all,+chown,+dac_read_search",
                    *chown[chown.index("chown keeper"):].replace(" keeper", "").split()], check=True)
    eventually((corrected.path / "volume/login/.credentials.json").exists, "the login is published")
    eventually(lambda: 'claude_init_login_ready{store="dev"} 1\n' in metrics(corrected), "the metrics")
    assert not (corrected.path / "volume/login.unpublished").exists()
    assert corrected.stop()[0] == 0


def test_a_job_that_was_there_first_is_told_when_the_keeper_finds_out(corrected):
    job = subprocess.Popen(
        ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups", BINARY, "run", "--wait-login", "--store",
         corrected.path / "volume/login", "--", "true"], env={"PATH": "/usr/bin:/bin", "HOME": "/tmp"},
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        said, end = "", time.monotonic() + PATIENCE
        while "is not published to here" not in said:
            assert select.select([job.stderr], [], [], max(0, end - time.monotonic()))[0], said
            said += os.read(job.stderr.fileno(), 65536).decode()
            if "waiting for a login: missing: no login" in said and corrected.process is None:
                start(corrected)
                end = time.monotonic() + PATIENCE
        assert "--cap-add CHOWN" in said or select.select([job.stderr], [], [], PATIENCE)[0]
    finally:
        job.terminate()
        assert job.wait(PATIENCE) == 143
        job.stderr.close()
        corrected.stop()
