"""The exit status is the command's, whatever it is."""

import os
import signal
import subprocess

import pytest

from harness import BINARY, NAMESPACE, helper


def run(command, *options, pid1=True):
    line = (NAMESPACE if pid1 else []) + [BINARY, "init", *options, "--", *command]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stderr.decode()


PID1 = pytest.mark.parametrize("pid1", [True, False], ids=["pid1", "child"])


@PID1
def test_every_exit_status_is_passed_on(pid1):
    for status in range(256):
        assert run(["sh", "-c", f"exit {status}"], pid1=pid1)[0] == status


@PID1
def test_every_death_by_signal_is_128_plus_its_number(pid1):
    ignored_by_default = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    stopping = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    for number in range(1, 65):
        if number in ignored_by_default | stopping:
            continue
        script = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), {number})"
        # Python ignores PIPE and XFSZ, and turns INT into an exception.
        reset = f"import signal; signal.signal({number}, signal.SIG_DFL) if {number} not in (9, 32, 33) else 0; "
        status, errors = run(["/usr/bin/python3", "-Sc", reset + script], "--log-level", "info", pid1=pid1)
        assert status == 128 + number, f"signal {number}"
        assert "ended by a signal" in errors


@PID1
def test_a_command_that_is_not_there_is_127_and_says_so(pid1):
    status, errors = run(["no-such-command"], pid1=pid1)
    assert status == 127
    assert "no-such-command" in errors and "No such file" in errors
    assert "PATH is " in errors


@PID1
def test_a_command_that_cannot_be_executed_is_126_and_says_so(pid1):
    status, errors = run(["/etc/passwd"], pid1=pid1)
    assert status == 126
    assert "/etc/passwd" in errors and "Permission denied" in errors and "chmod a+rx" in errors


@PID1
def test_a_status_of_127_that_the_command_gives_itself_says_nothing(pid1):
    assert run(["sh", "-c", "exit 127"], pid1=pid1) == (127, "")


def test_statuses_are_remapped_those_of_signals_too():
    options = ["--remap-exit", "143:0", "--remap-exit", "3:77"]
    assert run(["sh", "-c", "kill -TERM $$"], *options)[0] == 0
    assert run(["sh", "-c", "exit 3"], *options)[0] == 77
    assert run(["sh", "-c", "exit 4"], *options)[0] == 4


def test_a_script_without_interpreter_line_runs(tmp_path):
    script = tmp_path / "script"
    script.write_text("exit 9\n")
    script.chmod(0o755)
    assert run([str(script)])[0] == 9


def test_output_on_standard_error_stays_clean():
    assert run(["sh", "-c", "sleep 0 & echo out; echo err >&2"]) == (0, "err\n")
