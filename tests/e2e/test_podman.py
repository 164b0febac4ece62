"""The second engine: the same person at the same shell, and the main job."""

import re
import signal

import pytest
from harness import ANSWER, ask, leave_claude
from shell_tests import *  # noqa: F403
from shell_tests import JOB, Shell

SETUP, RUNTIME = "localhost/claude-setup", "localhost/claude-runtime"


@pytest.fixture(params=[SETUP, RUNTIME], ids=["claude-setup", "claude-runtime"])
def image(request):
    return request.param


@pytest.fixture
def arguments(ready_store, tmp_path):
    (tmp_path / "job").write_text(JOB, encoding="utf-8")
    return [f"--volume={ready_store.path}:/claude-auth", f"--volume={tmp_path}/job:/job:ro"]


@pytest.fixture
def shell(podman, endpoint, arguments, image):
    return Shell(podman.terminal(endpoint, *arguments, image, "bash", "-i"))


def test_the_cli_that_stops_itself_goes_on(podman, endpoint, arguments):
    terminal = podman.terminal(endpoint, *arguments, RUNTIME, "claude")
    terminal.expect_words("Claude Code v")
    terminal.settle()
    terminal.sendcontrol("z")
    terminal.expect("there is no shell above that could continue it")
    terminal.settle()  # what is typed before the CLI is back is lost
    ask(terminal, "hello")
    leave_claude(terminal)
    assert terminal.finish() == 0, terminal.text


def test_log_in_stop_and_use_the_login(podman, endpoint, store):
    terminal = podman.terminal(endpoint, "--name=setup", f"--volume={store.path}:/claude-auth", SETUP)
    terminal.expect_prompt()
    terminal.sendline(endpoint.login().command)
    terminal.expect("Login successful")
    terminal.expect_prompt()
    podman("stop", "setup")
    assert terminal.finish() == 128 + signal.SIGHUP  # not killed
    assert re.search(r"Saved the login of .*fake@example\.invalid", terminal.text), terminal.text

    result = podman.run(endpoint, f"--volume={store.path}:/claude-auth:ro", RUNTIME, "--print", "hi")
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr
