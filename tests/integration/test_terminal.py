"""On a real pty: as PID 1 that leads the session, as engines start it, and under a job-control shell."""

import os
import re
import shlex
import signal
import subprocess
import termios
import time

import pexpect
import pytest

from harness import BINARY, NAMESPACE, PATIENCE, alive, children, eventually, helper, init_of, is_binary, quickly, state, status

SESSION = ["setsid", "--ctty"]  # execs, as the child of unshare leads no group


def modes(terminal):
    return termios.tcgetattr(terminal.child_fd)[:6]


class Pid1:
    """claude-init as PID 1 and leader of the pty's session."""

    def __init__(self, command, *options, prefix=(), wait=True):
        line = [*NAMESPACE, *SESSION, *prefix, BINARY, "init", *options, "--", *command]
        self.tty = pexpect.spawn(line[0], line[1:], timeout=PATIENCE, dimensions=(24, 80), encoding="utf-8")
        self.pid = init_of(self.tty.pid) if wait else None

    def expect(self, *texts):
        for text in texts:
            self.tty.expect_exact(text)

    def child(self):
        return eventually(lambda: next(iter(children(self.pid)), None), "a child")

    def wait(self):
        self.tty.expect(pexpect.EOF)
        self.tty.wait()
        return self.tty.exitstatus if self.tty.exitstatus is not None else 128 + self.tty.signalstatus

    def close(self):
        # The pty may have been hung up by the test; unshare goes with its child.
        for pid in children(self.tty.pid):
            os.kill(pid, signal.SIGKILL)
        self.tty.close(force=True)


@pytest.fixture
def pid1():
    started = []

    def starter(*arguments, **more):
        started.append(Pid1(*arguments, **more))
        return started[-1]

    yield starter
    for init in started:
        init.close()


def shell_line(*command, options=()):
    return shlex.join([BINARY, "init", *options, "--", *command])


@pytest.fixture
def bash():
    """An interactive bash with job control, to start claude-init from."""
    tty = pexpect.spawn("bash", ["--norc", "--noediting", "-i"], timeout=PATIENCE, dimensions=(24, 300),
                        encoding="utf-8", env={**os.environ, "PS1": "PROMPT> "})
    tty.expect_exact("PROMPT> ")
    yield tty
    tty.close(force=True)


def ours_under(pid):
    return eventually(lambda: next((c for c in children(pid) if is_binary(c)), None), "claude-init under the shell")


# --- keys and resizes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key, name", [("\x03", "INT"), ("\x1c", "QUIT")])
def test_a_key_that_sends_a_signal_reaches_the_command_once(pid1, key, name):
    init = pid1(helper("terminal_program.py", "record"))
    init.expect("[ready]")
    init.tty.send(key)
    init.expect(f"[{name}]")
    init.tty.send("q\r")
    assert init.wait() == 0
    assert f"[{name}]" not in init.tty.before


def test_a_resize_reaches_the_command_once(pid1):
    init = pid1(helper("terminal_program.py", "record"))
    init.expect("[ready]")
    init.tty.setwinsize(30, 100)
    init.expect("[WINCH]")
    init.tty.send("q\r")
    assert init.wait() == 0
    assert "[WINCH]" not in init.tty.before


def test_the_terminal_is_found_whatever_standard_input_is(pid1):
    init = pid1(["sh", "-c", shlex.join(helper("terminal_program.py", "tty")) + " </dev/null >/dev/null 2>&1"],
                prefix=["sh", "-c", 'exec "$0" "$@" </dev/null'])
    init.tty.sendline("hello")
    init.expect("[read hello]")
    assert init.wait() == 0


def test_control_c_under_a_shell_reaches_the_command_once(bash):
    bash.sendline(shell_line(*helper("terminal_program.py", "record")))
    bash.expect_exact("[ready]")
    bash.send("\x03")
    bash.expect_exact("[INT]")
    bash.sendline("q")
    bash.expect_exact("PROMPT> ")
    assert "[INT]" not in bash.before


# --- job control below us ------------------------------------------------------------------------------------------


def test_an_interactive_bash_has_job_control(pid1):
    init = pid1(["bash", "--norc", "--noediting", "-i"], prefix=["env", "PS1=PROMPT> "])
    init.expect("PROMPT> ")
    assert "no job control" not in init.tty.before
    init.tty.sendline("cat")
    init.tty.sendline("one")
    init.expect("one\r\none")
    init.tty.send("\x1a")
    init.expect("Stopped", "PROMPT> ")
    init.tty.sendline("fg")
    init.expect("cat\r\n")
    init.tty.sendline("two")
    init.expect("two\r\ntwo")
    init.tty.send("\x1a")
    init.expect("Stopped", "PROMPT> ")
    init.tty.sendline("kill %1; fg")
    init.expect("Terminated", "PROMPT> ")
    init.tty.sendline("exit 7")
    assert init.wait() == 7


# --- a command that stops ------------------------------------------------------------------------------------------


def test_as_pid_1_a_command_that_stops_itself_is_continued_and_works_on(pid1):
    init = pid1(helper("terminal_program.py", "stop"))
    init.expect("[ready]")
    for key in "ab":
        init.tty.send("\x1a")
        init.expect("[stopping]", "no shell above", "[continued]")
        init.tty.send(key)
        init.expect(f"[key {key}]")
    init.tty.send("q")
    assert init.wait() == 0


def test_as_pid_1_a_plain_command_that_the_terminal_stops_is_continued(pid1):
    init = pid1(["cat"])
    init.tty.sendline("one")
    init.expect("one\r\none")
    init.tty.send("\x1a")
    init.expect("no shell above")
    init.tty.sendline("two")
    init.expect("two\r\ntwo")
    init.tty.send("\x04")
    assert init.wait() == 0


def test_a_session_leader_that_is_not_pid_1_continues_it_as_well():
    line = [BINARY, "init", "--", *helper("terminal_program.py", "stop")]
    tty = pexpect.spawn(line[0], line[1:], timeout=PATIENCE, encoding="utf-8")
    tty.expect_exact("[ready]")
    tty.send("\x1a")
    tty.expect_exact("[continued]")
    tty.send("q")
    tty.expect(pexpect.EOF)
    tty.close()
    assert tty.exitstatus == 0


def test_under_a_shell_the_job_stops_and_fg_continues_both_with_its_modes(bash):
    cooked = modes(bash)
    bash.sendline(shell_line(*helper("terminal_program.py", "stop")))
    bash.expect_exact("[ready]")
    raw = modes(bash)
    assert raw != cooked
    ours = ours_under(bash.pid)
    for key in "ab":
        bash.send("\x1a")
        bash.expect_exact("[stopping]")
        bash.expect_exact("Stopped")
        bash.expect_exact("PROMPT> ")
        assert state(ours) == "T" and state(children(ours)[0]) == "T"
        assert modes(bash) == cooked
        bash.sendline("fg")
        bash.expect_exact("[continued]")
        bash.send(key)
        bash.expect_exact(f"[key {key}]")
        assert modes(bash) == raw
    bash.send("q")
    bash.expect_exact("PROMPT> ")
    assert modes(bash) == cooked


def test_a_command_that_another_stopped_in_raw_mode_has_its_modes_again_after_fg(bash):
    cooked = modes(bash)
    bash.sendline(shell_line(*helper("terminal_program.py", "raw")))
    bash.expect_exact("<in raw mode>")
    raw = modes(bash)
    child = children(ours_under(bash.pid))[0]
    os.kill(child, signal.SIGSTOP)
    bash.expect_exact("Stopped")
    bash.expect_exact("PROMPT> ")
    assert modes(bash) == cooked
    bash.sendline("fg")
    eventually(lambda: state(child) == "S" and modes(bash) == raw, "continued in raw mode")
    os.kill(child, signal.SIGTERM)
    bash.expect_exact("PROMPT> ")


def test_below_another_init_nobody_would_continue_us_so_the_command_is(pid1):
    init = pid1([BINARY, "init", "--", *helper("terminal_program.py", "stop")])
    init.expect("[ready]")
    init.tty.send("\x1a")
    init.expect("[stopping]", "[continued]")
    init.tty.send("q")
    assert init.wait() == 0


def test_under_a_shell_the_whole_pipeline_stops_and_continues(bash):
    bash.sendline(shell_line("sh", "-c", "while read x; do echo got $x; done") + " | cat")
    time_to_start = ours_under(bash.pid)
    eventually(lambda: children(time_to_start), "the command")
    bash.sendline("one")
    bash.expect_exact("got one")
    bash.send("\x1a")
    bash.expect_exact("Stopped")
    bash.expect_exact("PROMPT> ")
    bash.sendline("fg")
    bash.sendline("two")
    bash.expect_exact("got two")
    bash.send("\x04")
    bash.expect_exact("PROMPT> ")


def test_under_a_shell_bg_lets_it_run_and_leaves_the_terminal_to_the_shell(bash):
    # It forks before ^Z: one that is stopped between vfork and exec holds up its shell, which then does not stop.
    bash.sendline(shell_line("sh", "-c", "trap 'echo working; exit 0' USR1; sleep 1000 & echo up; wait"))
    bash.expect_exact("up\r\n")  # not its own echo
    ours = ours_under(bash.pid)
    bash.send("\x1a")
    bash.expect_exact("Stopped")
    bash.expect_exact("PROMPT> ")
    bash.sendline("bg")
    bash.expect_exact("PROMPT> ")
    eventually(lambda: state(children(ours)[0]) != "T", "the command runs again")
    bash.sendline("echo still $((40 + 2))")  # the shell has the terminal
    bash.expect_exact("still 42")
    os.kill(ours, signal.SIGUSR1)
    bash.expect_exact("working")
    bash.sendline("echo and $((50 + 2))")
    bash.expect_exact("and 52")


def test_a_background_job_does_not_take_the_terminal(bash):
    bash.sendline(shell_line("cat") + " &")
    bash.expect_exact("PROMPT> ")
    ours = ours_under(bash.pid)
    eventually(lambda: state(ours) == "T", "stopped for want of the terminal, as any background job")
    bash.sendline("echo still $((40 + 2))")
    bash.expect_exact("still 42")
    bash.sendline("fg")
    bash.expect_exact("fg\r\n")  # `cat` stands in what is told of the stopped job, too
    bash.expect_exact("cat\r\n")
    bash.sendline("hello")
    bash.expect_exact("hello\r\nhello")
    bash.send("\x04")
    bash.expect_exact("PROMPT> ")


# --- the end -------------------------------------------------------------------------------------------------------


def test_modes_and_screen_are_restored_when_the_command_is_killed_in_raw_mode(bash):
    cooked = modes(bash)
    bash.sendline(shell_line(*helper("terminal_program.py", "raw")))
    bash.expect_exact("<in raw mode>")
    assert modes(bash) != cooked
    os.kill(children(ours_under(bash.pid))[0], signal.SIGKILL)
    bash.expect_exact("\033[?1000l")
    bash.expect_exact("\033[?1049l")
    bash.expect_exact("\033[?25h")
    bash.expect_exact("PROMPT> ")
    assert modes(bash) == cooked


def test_modes_are_restored_as_pid_1_too(pid1):
    init = pid1(["sh", "-c", "stty -a | grep -o -- ' -*echo '; exec " + shlex.join(helper("terminal_program.py", "raw"))])
    init.expect(" echo ", "<in raw mode>")
    raw = modes(init.tty)
    os.kill(init.child(), signal.SIGKILL)
    eventually(lambda: modes(init.tty) != raw and modes(init.tty)[3] & termios.ECHO, "modes restored")
    assert init.wait() == 128 + signal.SIGKILL


def test_nothing_is_written_to_the_terminal_when_the_command_ends_by_itself(pid1):
    init = pid1(["echo", "hello"], wait=False)
    assert init.wait() == 0
    assert init.tty.before == "hello\r\n"


def test_a_hangup_reaches_the_command_and_ends_everything():
    read, write = os.pipe()
    pid, master = os.forkpty()
    if pid == 0:
        os.close(read)
        os.dup2(write, 3)
        script = "trap 'echo hup >&3; exit 0' HUP; echo ready >&3; while :; do sleep 0.05; done"
        os.execvp(NAMESPACE[0], [*NAMESPACE, *SESSION, BINARY, "init", "--", "sh", "-c", script])
    os.close(write)
    with os.fdopen(read) as output:
        assert output.readline() == "ready\n"
        os.close(master)
        assert output.readline() == "hup\n"
        assert output.readline() == ""  # nobody has it open any more
    os.waitpid(pid, 0)


def test_a_hangup_under_a_shell_ends_everything():
    read, write = os.pipe()
    pid, master = os.forkpty()
    if pid == 0:
        os.close(read)
        os.dup2(write, 3)
        os.execvp("bash", ["bash", "--norc", "--noediting", "-i"])
    os.close(write)
    command = "trap '' HUP; trap 'echo term >&3' TERM; echo ready >&3; while :; do sleep 0.05; done"
    os.write(master, (shell_line("sh", "-c", command, options=["--grace", "300ms", "--stop-timeout", "600s"]) + "\n").encode())
    with os.fdopen(read) as output:
        assert output.readline() == "ready\n"
        os.close(master)
        assert output.readline() == ""  # the command was ended: nobody has it open any more
    os.waitpid(pid, 0)


def test_after_a_hangup_a_command_that_ignores_it_gets_the_grace_and_no_more():
    pid, master = os.forkpty()
    if pid == 0:
        os.execvp(NAMESPACE[0], [*NAMESPACE, *SESSION, BINARY, "init", "--grace", "500ms",
                                 "--stop-timeout", "600s", "--", "sh", "-c", "trap '' HUP TERM; echo ready; while :; do sleep 0.05; done"])
    seen = b""
    while b"ready" not in seen:
        seen += os.read(master, 1000)
    before = time.monotonic()
    os.close(master)
    os.waitpid(pid, 0)
    assert 0.4 < time.monotonic() - before


# --- stopping an interactive session -------------------------------------------------------------------------------

PROMPT = ["env", "PS1=PROMPT> "]
BASH = ["bash", "--norc", "--noediting", "-i"]


IGNORES = "trap '' HUP TERM; trap 'echo usr1' USR1; echo ready; while :; do sleep 0.05; done"


def run_line(host):
    return [BINARY, "run", "--user", str(os.geteuid()), "--store", str(host.store), "--allow-no-login", "--grace",
            "300ms", "--", "sh", "-c", IGNORES]


def test_a_window_that_is_closed_ends_a_run_on_a_terminal_whose_command_ignores_it(host):
    # The client of `docker run -it` forwards its HUP; the terminal in the container stays.
    line = run_line(host)
    run = pexpect.spawn(line[0], line[1:], timeout=PATIENCE, encoding="utf-8", env=host.environment)
    try:
        run.expect_exact("ready")
        os.kill(run.pid, signal.SIGHUP)
        run.expect(pexpect.EOF)
        run.wait()
        assert run.exitstatus == 128 + signal.SIGKILL
    finally:
        run.close(force=True)


def test_without_a_terminal_hup_is_the_business_of_a_runs_command(host):
    run = subprocess.Popen(run_line(host), env=host.environment, start_new_session=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    host.started.append(run)
    assert run.stdout.readline() == "ready\n"
    os.kill(run.pid, signal.SIGHUP)
    time.sleep(1)  # more than its grace: that it does not end can only be waited for
    os.kill(run.pid, signal.SIGUSR1)
    assert run.stdout.readline() == "usr1\n"



def test_an_interactive_shell_at_its_prompt_is_hung_up_at_once(pid1):
    def hung_up():
        init = pid1(BASH, prefix=PROMPT)
        init.expect("PROMPT> ")
        before = time.monotonic()
        os.kill(init.pid, signal.SIGTERM)
        assert init.wait() == 128 + signal.SIGHUP
        return time.monotonic() - before

    quickly(2.5, hung_up)


@pytest.mark.parametrize("shell", ["bash --norc -i", "dash -i", "sh -c 'bash --norc -i; exit'"])
def test_shells_of_several_kinds_are_hung_up(pid1, shell):
    def hung_up():
        init = pid1(shlex.split(shell), prefix=PROMPT)
        init.expect("PROMPT> ")
        before = time.monotonic()
        os.kill(init.pid, signal.SIGTERM)
        init.wait()
        return time.monotonic() - before

    quickly(2.5, hung_up)


def test_a_program_in_the_foreground_of_a_shell_gets_term_and_time_before_the_shell_is_hung_up(pid1):
    init = pid1(BASH, "--grace", "300s", "--stop-timeout", "600s", prefix=PROMPT)
    init.expect("PROMPT> ")
    init.tty.sendline("sh -c \"trap 'sleep 0.3; echo sav''ed; exit' TERM; trap 'echo h''up' HUP; echo up; "
                      "while :; do sleep 0.05; done\"")
    init.expect("up\r\n")
    os.kill(init.pid, signal.SIGTERM)
    init.expect("saved")
    assert "hup" not in init.tty.before
    assert init.wait() == 128 + signal.SIGHUP


def test_a_program_that_takes_longer_than_three_seconds_does_not_keep_the_shell_from_being_hung_up(pid1):
    init = pid1(BASH, "--grace", "300s", "--stop-timeout", "600s", prefix=PROMPT)
    init.expect("PROMPT> ")
    init.tty.sendline("sh -c \"trap '' TERM; trap 'echo h''up; exit' HUP; echo up; while :; do sleep 0.05; done\"")
    init.expect("up\r\n")
    before = time.monotonic()
    os.kill(init.pid, signal.SIGTERM)
    init.wait()
    assert 2.9 < time.monotonic() - before  # and long before its grace is over


def test_a_full_screen_program_that_is_no_shell_is_not_hung_up_before_its_grace(pid1):
    init = pid1(["sh", "-c", "trap 'sleep 3.5; echo saved; exit 3' TERM; echo up; while :; do sleep 0.05; done"],
                "--grace", "300s", "--stop-timeout", "600s")
    init.expect("up\r\n")
    # Only the command is to get TERM: its sleep would end early with the group's.
    os.kill(init.pid, signal.SIGTERM)
    assert init.wait() == 3
