"""Command lines that people have in their notes and scripts, word for word.

A `docker` that comes first in PATH adds to `docker run` what leads the CLI to the stand-in, and nothing else.
"""

import json
import re
import subprocess

import pytest
from harness import ANSWER, TOP, Store, Terminal, ask, leave_claude, wait_until


@pytest.fixture
def shell(docker, endpoint, store, tmp_path):
    """Runs a command line with DIR set; the store has a login."""
    store.put(endpoint.login())
    environment = {**docker.shim(endpoint, tmp_path / "bin"), "DIR": str(store.path),
                   "CLAUDE_HUB_DIR": str(store.path)}

    def run(line, terminal=False):
        if terminal:
            return Terminal("bash", ["-c", line], env=environment, cwd=str(TOP))
        return subprocess.run(["bash", "-c", line], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120, cwd=TOP, check=False)
    return run


MOUNTED_AT_HOME = ('docker run {} --rm -v "$DIR:/home/node/.claude:ro" '
                   "claude-setup:latest claude --dangerously-skip-permissions")


def test_store_mounted_at_home_read_only_is_worked_on_as_a_copy(shell, store):
    before = store.fingerprint()
    terminal = shell(MOUNTED_AT_HOME.format("-it"), terminal=True)
    terminal.expect_words("nothing will be captured")
    terminal.choose_yes("trust this folder")
    terminal.choose_yes("Yes, I accept")
    terminal.expect_words("bypass permissions on")
    ask(terminal, "hello")
    leave_claude(terminal)
    assert terminal.finish() == 0, terminal.text
    assert store.fingerprint() == before


def test_store_mounted_at_home_without_a_terminal_asks_for_a_prompt(shell, store):
    """The line as it stands in the documentation: it has no -it, so the CLI wants its question on the line."""
    result = shell(MOUNTED_AT_HOME.format("").replace("run  ", "run "))
    assert result.returncode == 1
    assert "nothing will be captured" in result.stderr
    assert "--print" in result.stdout + result.stderr
    result = shell(MOUNTED_AT_HOME.format("") + " --print hi")
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr


def test_copy_by_hand_without_entrypoint(shell, store):
    result = shell(
        'docker run --rm -v "$DIR:/tmp/auth:ro" --entrypoint="" claude-setup:latest bash -c '
        '"cp -r /tmp/auth /home/node/.claude && chown -R node /home/node/.claude && sudo -u node env HOME=/home/node '
        "/usr/local/share/npm-global/bin/claude --dangerously-skip-permissions --print 'test'\"")
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr


def test_looking_into_the_store(shell, store):
    assert ".credentials.json" in shell('ls -la "$DIR"').stdout
    oauth = json.loads(shell("cat $DIR/.credentials.json | jq .claudeAiOauth").stdout)
    assert oauth == store.oauth


def test_runtime_image(shell):
    result = shell('docker run --rm -v "$CLAUDE_HUB_DIR:/claude-auth:ro" claude-runtime claude --print "hello"')
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr


def test_what_setup_recommends_works(shell, store):
    """The commands that setup prints in the end, typed as they are: a keeper, and a job."""
    terminal = shell('docker run -it --rm -v "$DIR:/claude-auth" claude-setup:latest', terminal=True)
    terminal.expect_prompt()
    terminal.sendline("exit")
    assert terminal.finish() == 0, terminal.text
    keeper, job = [line for line in terminal.text.splitlines() if line.strip().startswith("docker run")]
    started = shell(keeper)
    assert started.returncode == 0, started.stderr
    try:
        assert shell(f"docker exec {started.stdout.strip()} claude-init health").returncode == 0
        result = shell(job)
        assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr
    finally:
        shell(f"docker rm --force {started.stdout.strip()}")


def test_what_run_recommends_renews_the_login(shell, store, endpoint):
    """The access token has expired: the message names a command, and that is all it takes."""
    store.put(endpoint.login(access_left=-60))
    ask_line = 'docker run --rm -v "$DIR:/claude-auth:ro" claude-runtime --print hi'
    refused = shell(ask_line)
    assert refused.returncode == 68
    advice = re.search(r"docker run -it .* claude-setup claude --print hi", refused.stderr)[0]
    terminal = shell(advice.replace("~/.claude-hub", '"$DIR"'), terminal=True)
    assert terminal.finish() == 0, terminal.text
    assert shell(ask_line).stdout == f"{ANSWER}\n"


def test_docker_by_hand_on_a_sealed_store(docker, endpoint, container, tmp_path):
    """docs/how-to/docker.md: the key, a login, a job and the keeper."""
    page = re.sub(r"\\\n *", "", (TOP / "docs/how-to/docker.md").read_text(encoding="utf-8"))
    directory, key, setup, job, keeper = (re.search(rf"^{start}.*", page, re.MULTILINE)[0] for start in (
        "mkdir ", r"\(umask ", "docker run -it .*SEAL_KEY", r"docker run --rm .*:ro claude-runtime --print",
        "docker run --detach"))
    environment = {**docker.shim(endpoint, tmp_path / "bin"), "HOME": str(tmp_path)}
    store = Store(tmp_path / ".claude-hub")

    def shell(line):
        return subprocess.run(["bash", "-c", line], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120, cwd=tmp_path, check=False)

    assert shell(f"{directory}\n{key}").returncode == 0
    before = store.key.read_bytes()
    assert shell(key).returncode != 0 and store.key.read_bytes() == before, "one that exists is kept"
    terminal = Terminal("bash", ["-c", setup], env=environment, cwd=str(tmp_path))
    terminal.expect_prompt()
    terminal.log_in(endpoint.login().command)
    assert store.is_sealed and store.exposed(store.oauth["refreshToken"]) == []
    asked = shell(job)
    assert (asked.returncode, asked.stdout) == (0, f"{ANSWER}\n"), asked.stderr
    started = shell(keeper.replace("--name keeper", f"--name {container}"))
    assert started.returncode == 0, started.stderr
    health = lambda: docker("exec", container, "claude-init", "health", check=False).stdout
    wait_until(lambda: "can be renewed without a new login" in health(), "it has the key")
