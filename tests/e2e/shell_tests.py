"""What a person expects of an interactive shell in a container, whatever the engine and whoever is PID 1.

A test file imports all of it and says with its fixture `shell` where the shell runs.
"""

import signal

# What reaches a job, and whether it has the terminal's foreground.
JOB = r"""
use POSIX;
$| = 1;
for my $name (qw(INT CONT WINCH)) { $SIG{$name} = sub { print "[$name]\n" }; }
for (my $was = -1;; select(undef, undef, undef, 0.02)) {
  my $front = POSIX::tcgetpgrp(0) == getpgrp() ? 1 : 0;
  print $front ? "[in front]\n" : "[behind]\n" if $front != $was;
  $was = $front;
}
"""


class Shell:
    """`bash -i` on a terminal, with JOB at /job."""

    def __init__(self, terminal):
        self.terminal = terminal
        terminal.expect_prompt()

    def type(self, line):
        """Types a line and waits for the next prompt; what came in between."""
        self.terminal.sendline(line)
        self.terminal.expect_prompt()
        return self.terminal.SEQUENCE.sub("", self.terminal.before)

    def key(self, letter):
        self.terminal.sendcontrol(letter)

    def start_job(self):
        self.terminal.sendline("perl /job")
        self.expect("[in front]")

    def expect(self, text):
        self.terminal.expect_exact(text)

    def stop_job(self):
        """^Z; what the job said until it stopped."""
        self.key("z")
        self.expect("Stopped")
        said = self.terminal.before
        self.terminal.expect_prompt()
        return said


def test_a_job_is_stopped_sent_to_the_background_and_brought_back(shell):
    shell.start_job()
    shell.stop_job()
    assert "Stopped" in shell.type("jobs")
    shell.terminal.sendline("bg")
    shell.expect("[behind]")
    shell.terminal.sendline("jobs")
    shell.expect("Running")
    shell.terminal.expect_prompt()
    shell.terminal.sendline("fg")
    shell.expect("[in front]")
    shell.stop_job()
    shell.terminal.sendline("fg")
    shell.expect("[CONT]")
    shell.key("\\")
    shell.terminal.expect_prompt()
    assert f"status={128 + signal.SIGQUIT}" in shell.type("echo status=$?")


def test_control_c_reaches_the_job_once_and_the_shell_goes_on(shell):
    shell.start_job()
    shell.key("c")
    shell.expect("[INT]")
    assert "[INT]" not in shell.stop_job()
    assert shell.type("echo still $((41 + 1))").splitlines()[-2] == "still 42"


def test_a_resize_reaches_the_job_once_and_is_true(shell):
    shell.start_job()
    shell.terminal.setwinsize(30, 100)
    shell.expect("[WINCH]")
    assert "[WINCH]" not in shell.stop_job()
    assert "30 100" in shell.type("stty size")


def test_the_status_is_the_shells(shell):
    shell.terminal.sendline("exit 42")
    assert shell.terminal.finish() == 42
