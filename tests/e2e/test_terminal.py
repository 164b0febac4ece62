"""A person at the terminal of a container: job control, the CLI's ^Z, attach and detach, closing and stopping."""

import json
import os
import re
import signal
import termios
import time

import pytest
from harness import ask, leave_claude, network, wait_until
from shell_tests import *  # noqa: F403
from shell_tests import JOB, Shell

COMPOSE_KILLS_AFTER = 12  # stop_grace_period
CONTINUED = "there is no shell above that could continue it"
# Raw, on the alternate screen, with mouse reports, and deaf.
STUBBORN = r"""trap "" TERM; stty raw -echo; printf '\033[?1049h\033[?1003h[''ready]'; while :; do sleep 1; done"""


@pytest.fixture(params=[(), ("--init",)], ids=["as-pid-1", "under-an-init"])
def init(request):
    return request.param


@pytest.fixture(params=["claude-setup", "claude-runtime"])
def image(request):
    return request.param


@pytest.fixture
def arguments(ready_store, container, tmp_path):
    """Of `docker run`."""
    (tmp_path / "job").write_text(JOB, encoding="utf-8")
    return ["--name", container, f"--volume={ready_store.path}:/claude-auth", f"--volume={tmp_path}/job:/job:ro"]


@pytest.fixture
def shell(docker, endpoint, arguments, container, image, init):
    shell = Shell(docker.terminal(endpoint, *init, *arguments, image, "bash", "-i"))
    first = docker("exec", container, "cat", "/proc/1/comm").stdout
    assert first == ("docker-init\n" if init else "claude-init\n")
    return shell


@pytest.fixture
def detached(docker, endpoint, arguments, container):
    """A shell that nobody sits at."""
    docker("run", "--detach", "-it", *network(endpoint), *arguments, "claude-runtime", "bash", "-i")
    return container


def attach(docker, container):
    terminal = docker.on_terminal("attach", container)
    terminal.sendline("")
    return Shell(terminal)


def attach_to_job(docker, container):
    """The client resizes the window back and forth when it has the terminal, so that full-screen programs redraw."""
    terminal = docker.on_terminal("attach", container)
    terminal.expect_exact("[WINCH]")
    return terminal


def assert_screen_is_left_as_found(terminal):
    """The cursor shown, mouse reports and the like off, and the person's own terminal cooked."""
    last = dict(re.findall(r"\x1b\[\?(\d+)([hl])", terminal.logfile_read.getvalue()))
    left_on = {mode for mode, switch in last.items() if switch == "h"} - {"25", "7"}
    assert last.get("25") != "l"
    assert not left_on, terminal.logfile_read.getvalue()[-500:]
    flags = termios.tcgetattr(terminal.child_fd)[3]
    assert flags & termios.ICANON and flags & termios.ECHO and flags & termios.ISIG


# --- the CLI's ^Z -------------------------------------------------------------------------------------------------


def test_the_cli_that_stops_itself_goes_on_where_no_shell_could_continue_it(docker, endpoint, arguments, init):
    terminal = docker.terminal(endpoint, *init, *arguments, "claude-runtime", "claude")
    terminal.expect_words("Claude Code v")
    terminal.settle()
    terminal.sendcontrol("z")
    terminal.expect(CONTINUED)
    terminal.settle()  # what is typed before the CLI is back is lost
    ask(terminal, "hello")
    leave_claude(terminal)
    assert terminal.finish() == 0, terminal.text


def test_the_cli_that_stops_itself_under_a_shell_comes_back_with_fg(shell):
    shell.terminal.sendline("claude")
    shell.terminal.expect_words("Claude Code v")
    shell.terminal.settle()
    shell.stop_job()
    assert "claude" in shell.type("jobs")
    shell.terminal.sendline("fg")
    ask(shell.terminal, "hello")
    leave_claude(shell.terminal)
    shell.terminal.expect_prompt()
    assert "status=0" in shell.type("echo status=$?")
    assert CONTINUED not in shell.terminal.text


# --- attach, detach, close ----------------------------------------------------------------------------------------


def test_detach_leaves_everything_and_attach_comes_back_to_it(docker, detached):
    first = attach(docker, detached)
    first.start_job()
    first.key("p")
    first.key("q")
    first.expect("read escape sequence")
    first.terminal.finish()

    second = attach_to_job(docker, detached)
    second.sendcontrol("c")
    second.expect_exact("[INT]")
    second.sendcontrol("z")
    second.expect("Stopped")
    assert "[INT]" not in second.before
    second.expect_prompt()
    second.sendline("exit")
    second.expect("There are stopped jobs")
    second.sendline("exit 42")
    assert second.finish() == 42


def test_the_window_of_whoever_attaches_last_counts(docker, detached):
    first = attach(docker, detached)
    first.terminal.sendcontrol("p")
    first.terminal.sendcontrol("q")
    first.terminal.finish()
    second = attach(docker, detached)
    second.start_job()
    second.terminal.setwinsize(33, 99)
    second.expect("[WINCH]")
    second.stop_job()
    assert "33 99" in second.type("stty size")


@pytest.mark.parametrize("gone", ["killed client", "closed window of attach"])
def test_a_client_that_says_nothing_leaves_the_session_to_the_next(docker, detached, gone):
    """The engine holds the container's terminal, so that nothing has hung up; `attach` tells PID 1 of no signal."""
    shell = attach(docker, detached)
    shell.start_job()
    if gone == "killed client":
        os.kill(shell.terminal.pid, signal.SIGKILL)
    else:
        shell.terminal.close(force=True)

    terminal = attach_to_job(docker, detached)
    terminal.sendcontrol("c")
    terminal.expect_exact("[INT]")
    terminal.sendcontrol("\\")
    terminal.expect_prompt()
    terminal.sendline("exit 42")
    assert terminal.finish() == 42


def test_a_closed_window_ends_a_setup_that_saves_the_login(docker, endpoint, store, container):
    """The client of `docker run` gets HUP and sends it on to PID 1."""
    shell = Shell(docker.on_terminal("run", "-it", "--name", container, *network(endpoint),
                                     f"--volume={store.path}:/claude-auth", "claude-setup"))
    shell.terminal.sendline(endpoint.login().command)
    shell.expect("Login successful")
    shell.terminal.expect_prompt()
    shell.terminal.close(force=True)

    docker("wait", container, timeout=60)
    assert "Saved the login of" in docker("logs", container).stdout
    assert store.oauth["refreshToken"].startswith("sk-ant-ort01-FAKE")


def test_a_closed_window_ends_a_run_with_all_its_jobs(docker, endpoint, arguments, container):
    shell = Shell(docker.on_terminal("run", "-it", *network(endpoint), *arguments, "claude-runtime", "bash", "-i"))
    shell.start_job()
    shell.stop_job()
    shell.terminal.close(force=True)
    assert docker("wait", container, timeout=60).stdout == f"{128 + signal.SIGHUP}\n"


# --- stop ---------------------------------------------------------------------------------------------------------


def test_stop_ends_the_cli_before_a_person_and_leaves_the_screen_as_found(docker, endpoint, arguments, container, init):
    terminal = docker.terminal(endpoint, *init, *arguments, "claude-runtime", "claude")
    terminal.expect_words("Claude Code v")
    terminal.settle()
    docker.stop(container)
    terminal.expect_eof()
    assert_screen_is_left_as_found(terminal)
    assert terminal.finish() == 143


def test_stop_ends_what_ignores_it_and_cleans_the_screen_up(docker, endpoint, arguments, container, image):
    terminal = docker.terminal(endpoint, *arguments, image, "bash", "-c", STUBBORN)
    terminal.expect_exact("[ready]")
    docker.stop(container)
    terminal.expect_eof()
    assert_screen_is_left_as_found(terminal)
    assert terminal.finish() == 137


def test_stop_ends_a_shell_at_its_prompt(shell, docker, container):
    docker.stop(container)
    assert shell.terminal.finish() == 128 + signal.SIGHUP


# --- compose ------------------------------------------------------------------------------------------------------


def serve(project, endpoint, script):
    """The example service with another command."""
    project.store.create().put(endpoint.login())
    project.command("worker", ["bash", "-c", script])


@pytest.mark.parametrize("script, status", [
    ("trap 'echo told; exit 7' TERM; echo started; while :; do sleep 0.1; done", 7),
    ("echo started; exec sleep infinity", 143),
    ("trap '' TERM; echo started; exec sleep infinity", 137),
], ids=["asked", "ended", "killed"])
def test_compose_stop_is_told_to_the_service_and_in_time(docker, project, endpoint, script, status):
    serve(project, endpoint, script)
    project("up", "--detach", "worker")
    wait_until(lambda: "started" in project("logs", "worker").stdout, "the service's first line")
    container = project("ps", "--quiet", "worker").stdout.strip()
    docker.stop(container, lambda: project("stop", "worker"))
    assert json.loads(project("ps", "--all", "--format", "json", "worker").stdout)["ExitCode"] == status
    assert ("told" in project("logs", "worker").stdout) == (status == 7)


def test_control_c_at_compose_up_stops_the_service_once(docker, project, endpoint):
    serve(project, endpoint, "trap 'echo told; exit 7' TERM; trap 'echo interrupted' INT; echo started; "
                             "while :; do sleep 0.1; done")
    terminal = project.terminal("up", "worker")
    terminal.expect("started")
    container, since = project("ps", "--quiet", "worker").stdout.strip(), time.time()
    terminal.sendcontrol("c")
    terminal.finish()
    sent, logs = docker.signals(container, since), project("logs", "worker").stdout
    assert sent[0] == signal.SIGTERM
    assert "interrupted" not in logs and logs.count("told") <= 1
    # On a busy machine one ^C can reach Compose twice, by the terminal and by its own client: then it kills at once.
    if sent != [signal.SIGTERM]:
        assert time.time() - since < COMPOSE_KILLS_AFTER
        return
    assert json.loads(project("ps", "--all", "--format", "json", "worker").stdout)["ExitCode"] == 7
    assert logs.count("told") == 1
