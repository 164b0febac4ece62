"""Every signal that can be forwarded is, once, with its value."""

import os
import signal
import subprocess

import pytest

from harness import BINARY, NAMESPACE, Init, alive, eventually, helper, init_of, sigqueue, state, status

UNCATCHABLE = {signal.SIGKILL, signal.SIGSTOP}
ALL = [n for n in range(1, 65) if n not in UNCATCHABLE and n != signal.SIGCHLD]
# TERM begins the shutdown; it has tests of its own.
FORWARDED = [n for n in ALL if n != signal.SIGTERM]


def recorder(start, *options, also_child=False):
    init = start(helper("recorder.py", *(["--also-child"] if also_child else [])), *options)
    ready = {init.line() for _ in range(2 if also_child else 1)}
    assert ready == ({"ready", "second ready"} if also_child else {"ready"})
    return init


def test_every_signal_reaches_the_command_once(start):
    init = recorder(start)
    for number in FORWARDED:
        init.kill(number)
        init.expect(f"{number} -")
    init.no_line()


def test_values_sent_by_sigqueue_arrive_with_every_signal(start):
    init = recorder(start)
    for number in FORWARDED:
        sigqueue(init.pid, number, 1000 + number)
        init.expect(f"{number} {1000 + number}")
    init.no_line()


def test_real_time_signals_are_queued_each_with_its_own_value(start):
    init = recorder(start)
    for value in range(200):
        sigqueue(init.pid, signal.SIGRTMIN + 3, value)
    for value in range(200):
        init.expect(f"{signal.SIGRTMIN + 3} {value}")


def test_only_the_command_gets_them_unless_the_group_is_asked_for(start):
    init = recorder(start, also_child=True)
    init.kill(signal.SIGUSR1)
    init.expect(f"{signal.SIGUSR1} -")
    init.no_line()


def test_the_whole_group_gets_them_with_group_values_included(start):
    init = recorder(start, "--group", also_child=True)
    init.kill(signal.SIGUSR1)
    assert {init.line(), init.line()} == {f"{signal.SIGUSR1} -", f"second {signal.SIGUSR1} -"}
    sigqueue(init.pid, signal.SIGRTMIN + 1, 42)
    number = signal.SIGRTMIN + 1
    assert {init.line(), init.line()} == {f"{number} 42", f"second {number} 42"}
    init.no_line()


def test_signals_are_rewritten_and_dropped_by_name_and_number(start):
    init = recorder(start, "--rewrite", "USR1:SIGUSR2", "--rewrite", "10:USR2", "--rewrite", "SIGWINCH:",
                    "--rewrite", "RTMIN+2:HUP")
    init.kill(signal.SIGUSR1)
    init.expect(f"{signal.SIGUSR2} -")
    init.kill(signal.SIGWINCH)
    init.kill(signal.SIGRTMIN + 2)
    init.expect(f"{signal.SIGHUP} -")
    init.no_line()


def test_a_rewritten_stop_signal_still_stops(start):
    init = start(helper("recorder.py", f"--end={signal.SIGQUIT}"), "--rewrite", "TERM:QUIT")
    init.expect("ready")
    init.kill(signal.SIGTERM)
    init.expect(f"{signal.SIGQUIT} -")
    assert init.wait() == 0


def test_a_dropped_stop_signal_does_nothing(start):
    init = recorder(start, "--rewrite", "TERM:", "--grace", "100ms")
    init.kill(signal.SIGTERM)
    init.no_line(0.5)
    assert alive(init.pid)


def test_what_may_not_be_forwarded_is_logged_and_never_fatal():
    # claude-init without CAP_KILL as uid 1000 and a command that becomes uid 1001 through a file capability is
    # more than it takes: a user namespace-less drop of its own by the command does the same.
    command = ["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", *helper("recorder.py")]
    drop = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]
    line = NAMESPACE + drop + [BINARY, "init", "--", *command]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        pid = init_of(process.pid)
        os.kill(pid, signal.SIGUSR1)
        assert b"Operation not permitted" in process.stderr.readline()
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_our_parents_death_is_told_with_pdeathsig():
    read, write = os.pipe()
    ready, go = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.dup2(write, 1)
        os.close(write)
        subprocess.Popen([BINARY, "init", "--pdeathsig", "USR1", "--", *helper("recorder.py", "--end=10")])
        os.close(1)
        os.read(ready, 1)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as output:
        assert output.readline() == "ready\n"
        os.write(go, b"x")
        os.waitpid(parent, 0)
        assert output.readline() == f"{int(signal.SIGUSR1)} -\n"
        assert output.readline() == ""
    os.close(ready)
    os.close(go)


def test_the_command_starts_with_the_signals_that_we_were_given():
    def given():
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1, signal.SIGRTMIN + 5})
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    command = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
    for outside in ([], NAMESPACE):  # unshare itself changes SIGCHLD
        bare, ours = (subprocess.run(outside + inside + command, preexec_fn=given, restore_signals=False,
                                     stdout=subprocess.PIPE).stdout for inside in ([], [BINARY, "init", "--"]))
        assert bare == ours
        assert b"SigBlk:\t0000004000000200" in ours
        assert outside or b"SigIgn:\t0000000000010001" in ours


def test_a_command_is_not_lost_when_we_were_started_with_sigchld_ignored():
    line = [BINARY, "init", "--", "sh", "-c", "exit 3"]
    assert subprocess.run(line, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)).returncode == 3


def test_a_log_that_nobody_reads_sends_the_command_no_signal():
    read, write = os.pipe()
    init = Init(helper("recorder.py"), "--log-level", "trace", pid1=False, stderr=write)
    os.close(write)
    try:
        init.expect("ready")
        os.close(read)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            init.kill(number)
            init.expect(f"{number} -")
        init.no_line()
    finally:
        init.process.stderr = None
        init.destroy()


def test_the_command_has_our_descriptors_directory_and_niceness_and_nothing_of_ours(tmp_path):
    # Python's own look into the directory is one more, the same in both runs.
    script = ("import os; d = '/proc/self/fd/'; print(os.getcwd(), os.nice(0), "
              "sorted((n, os.path.exists(d + n) and os.readlink(d + n).split(':')[0]) for n in os.listdir(d)))")
    with open(tmp_path / "given", "w") as given:
        bare, ours = (subprocess.run(
            line + ["/usr/bin/python3", "-Sc", script], pass_fds=[given.fileno()], cwd=tmp_path,
            stdin=subprocess.DEVNULL, preexec_fn=lambda: os.nice(3), stdout=subprocess.PIPE).stdout
                      for line in ([], [BINARY, "init", "--"]))
    assert bare == ours
    assert f"{tmp_path}/given" in ours.decode() and f" {os.nice(0) + 3} [" in ours.decode()


def test_a_stopped_command_without_terminal_stays_stopped_until_it_is_continued(start):
    init = recorder(start)
    child = init.child()
    os.kill(child, signal.SIGSTOP)
    eventually(lambda: state(child) == "T", "stopped")
    init.kill(signal.SIGUSR1)
    init.no_line()
    init.kill(signal.SIGCONT)
    assert {init.line(), init.line()} == {f"{signal.SIGCONT} -", f"{signal.SIGUSR1} -"}


def test_idle_means_no_wakeups(start):
    init = recorder(start)
    init.kill(signal.SIGUSR1)
    init.expect(f"{signal.SIGUSR1} -")
    eventually(lambda: state(init.pid) == "S", "asleep")
    before = status(init.pid, "voluntary_ctxt_switches")
    init.no_line(1.5)
    assert status(init.pid, "voluntary_ctxt_switches") == before
