"""A share that refuses chmod (Azure Files, drvfs, some NAS), as a tracer makes it: each call that sets a mode fails."""

import os
import subprocess

import pytest
from harness import BINARY
from sessions import login

REFUSING = ["strace", "-f", "-qq", "-o", "/dev/null", "-E", "ASAN_OPTIONS=detect_leaks=0",
            "--inject=chmod,fchmod,fchmodat:error=EPERM"]


@pytest.fixture
def place(tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    (config / ".credentials.json").write_text(login("a"))
    (config / "projects").mkdir()
    (config / "projects/x.jsonl").write_text("one\n")
    (tmp_path / "store").mkdir(mode=0o700)
    return tmp_path


def run(place, *words, **environment):
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(place), "XDG_RUNTIME_DIR": str(place), **environment}
    done = subprocess.run([*REFUSING, BINARY, *map(str, words)], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def modes(store):
    return {path.relative_to(store).as_posix(): path.stat().st_mode & 0o777 for path in store.rglob("*")}


def test_capture_stores_what_is_private_anyway(place):
    status, said = run(place, "capture", "--store", place / "store", "--from", place / "config")
    assert status == 0, said
    assert (place / "store/.credentials.json").read_text() == login_text(place)
    assert (place / "store/projects/x.jsonl").read_text() == "one\n"
    assert not {name: mode for name, mode in modes(place / "store").items() if mode & 0o077}


def login_text(place):
    return (place / "config/.credentials.json").read_text()


def test_setup_saves_a_login(place):
    script = f'cp {place}/config/.credentials.json "$CLAUDE_CONFIG_DIR"'
    status, said = run(place, "setup", "--user", str(os.geteuid()), "--store", place / "store", "--", "sh", "-c", script)
    assert status == 0, said
    assert (place / "store/.credentials.json").read_text() == login_text(place)


def test_a_run_reads_what_is_there(place):
    (place / "store/.credentials.json").write_text(login("a"))
    status, said = run(place, "run", "--user", str(os.geteuid()), "--store", place / "store", "--", "sh", "-c",
                       'test -e "$CLAUDE_CONFIG_DIR/.credentials.json"')
    assert status == 0, said
