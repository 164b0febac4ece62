"""Stop: TERM, grace, KILL, for everything that descends from us; never held up by anybody else."""

import os
import signal
import subprocess

import pytest

from harness import BINARY, NAMESPACE, PATIENCE, Init, alive, children, eventually, helper, init_of, quickly, reads_its_signals, state, status, took


PATIENT = ["--grace", "300s", "--stop-timeout", "600s"]


def descendant_ready(init):
    """Waits for a survivor's line; its number is of its own namespace, so only that it is there counts."""
    assert init.line().startswith("ready ")


def test_a_command_that_ends_on_term_ends_us_at_once_with_its_status(start):
    init = start(["sleep", "600"], *PATIENT)
    init.child()
    init.kill(signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM


def test_a_command_that_ignores_term_is_killed_after_the_grace(start):
    init = start(helper("survivor.py"), "--grace", "700ms", "--stop-timeout", "600s")
    descendant_ready(init)
    init.kill(signal.SIGTERM)
    assert 0.6 < took(lambda: init.wait())
    assert init.wait() == 128 + signal.SIGKILL


SLOW = ["sh", "-c", "trap 'echo saving; read go; echo saved; exit 3' TERM; echo ready; while :; do sleep 0.05; done"]


def test_a_command_that_takes_its_time_after_term_is_left_to_the_engine_as_by_any_other_pid_1():
    init = Init(SLOW, stdin=subprocess.PIPE)
    try:
        init.expect("ready")
        init.kill(signal.SIGTERM)
        init.expect("saving")
        init.no_line(for_seconds=7)    # longer than 5 s, and than the 6 s that fit into an engine's 10
        init.process.stdin.write(b"go\n")
        init.process.stdin.close()
        init.expect("saved")
        assert init.wait() == 3
    finally:
        init.destroy()


def test_what_a_command_without_a_grace_leaves_behind_has_one():
    leave = " ".join(helper("survivor.py"))
    init = Init(["sh", "-c", f"{leave} & trap 'exit 3' TERM; while :; do sleep 0.05; done"])
    try:
        descendant_ready(init)
        init.kill(signal.SIGTERM)
        assert 4.5 < took(lambda: init.wait())
        assert init.wait() == 3
    finally:
        init.destroy()


def test_a_stop_timeout_alone_gives_the_command_what_fits_into_it(start):
    def stopped():
        init = start(helper("survivor.py"), "--stop-timeout", "2s")
        descendant_ready(init)
        init.kill(signal.SIGTERM)
        time_of_it = took(lambda: init.wait())
        assert init.wait() == 128 + signal.SIGKILL and 0.9 < time_of_it
        return time_of_it

    quickly(2, stopped)


def test_a_second_stop_signal_kills_straight_away(start):
    init = start(helper("survivor.py"), *PATIENT)
    descendant_ready(init)
    init.kill(signal.SIGTERM)
    reads_its_signals(init.pid)
    init.kill(signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGKILL


def test_a_long_grace_is_cut_to_fit_the_stop_timeout(start):
    def stopped():
        init = start(helper("survivor.py"), "--grace", "60s", "--stop-timeout", "2s")
        descendant_ready(init)
        init.kill(signal.SIGTERM)
        return took(lambda: init.wait())

    quickly(2, stopped)


def test_the_command_can_save_within_the_grace(start):
    init = start(["sh", "-c", "trap 'sleep 0.5; echo saved; exit 3' TERM; echo ready; while :; do sleep 0.05; done"], *PATIENT)
    init.expect("ready")
    init.kill(signal.SIGTERM)
    init.expect("saved")
    assert init.wait() == 3


@pytest.mark.parametrize("session", [[], ["--setsid"]], ids=["same-session", "own-session"])
def test_what_the_command_leaves_behind_gets_term_and_time(start, session):
    leave = " ".join(helper("survivor.py", "--on-term=saved", *session))
    init = start(["sh", "-c", f"{leave} & read x; exit 4"], *PATIENT, stdin=subprocess.PIPE)
    descendant_ready(init)
    init.process.stdin.close()
    init.expect("saved")
    assert init.wait() == 4


@pytest.mark.parametrize("session", [[], ["--setsid"]], ids=["same-session", "own-session"])
def test_what_the_command_leaves_behind_and_ignores_term_is_killed(start, session):
    leave = " ".join(helper("survivor.py", *session))
    init = start(["sh", "-c", f"{leave} & read x; exit 4"], "--grace", "500ms", stdin=subprocess.PIPE)
    descendant_ready(init)
    family = eventually(lambda: len(everyone := descendants(init.pid)) == 2 and everyone, "the shell and the survivor")
    init.process.stdin.close()
    assert 0.4 < took(lambda: init.wait())
    assert init.wait() == 4
    assert not any(alive(pid) for pid in family)


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return [p for p in found if alive(p)]


# They go out by themselves after a minute: one that escapes must not take the machine with it.
BOMBS = {
    # Forks a child and ends, without end: hardly ever there when looked at.
    "runner": "import os, time\nend = time.monotonic() + 60\nwhile time.monotonic() < end:\n  if os.fork(): os._exit(0)",
    "runner-with-siblings": "import os, time\nend = time.monotonic() + 60\nfor _ in range(20):\n  if os.fork() == 0:\n    while time.monotonic() < end:\n      if os.fork(): os._exit(0)\n    os._exit(0)\ntime.sleep(60)",
    # Every process makes others and stays, up to a bound that keeps the machine usable.
    "tree": "import os, time\nfor _ in range(7):\n  os.fork()\ntime.sleep(60)",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_processes_that_fork_while_we_kill_are_ended_too(start, bomb, tmp_path):
    marker = f"bomb-{os.getpid()}-{tmp_path.name}"
    arm = "import os, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nos.write(1, b\"armed\\n\")\n"
    script = arm + BOMBS[bomb]
    init = start(["sh", "-c", f"/usr/bin/python3 -Sc '{script}' {marker} & exec sleep 60"], "--grace", "300ms")
    init.expect("armed")
    init.kill(signal.SIGTERM)
    assert took(lambda: init.wait()) < 50
    assert not running(marker)


def running(marker):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    if f.read().rstrip(b"\0").endswith(marker.encode()) and state(int(entry)) not in "ZX":
                        found.append(int(entry))
            except OSError:
                pass
    return [pid for pid in found if status(pid, "Name") != "sh"]


def test_a_foreign_process_in_our_namespace_does_not_hold_us_up():
    init = Init(["sleep", "600"], *PATIENT)
    foreign = None
    try:
        init.child()
        foreign = subprocess.Popen(["nsenter", "--target", str(init.pid), "--pid", *helper("survivor.py")],
                                   stdout=subprocess.PIPE)
        assert foreign.stdout.readline().startswith(b"ready")
        init.kill(signal.SIGTERM)
        init.wait()  # long before its grace is over
    finally:
        init.destroy()
        if foreign:
            foreign.wait()
            foreign.stdout.close()


@pytest.mark.parametrize("options, at_least, less_than", [
    (["--grace", "200ms", "--stop-timeout", "600s"], 1, PATIENCE),  # a second after KILL
    (["--stop-timeout", "400ms"], 0.2, 1)], ids=["grace", "stop-timeout"])
def test_a_process_that_cannot_be_killed_holds_us_up_for_a_second_at_most(options, at_least, less_than):
    quickly(less_than, lambda: held_up(options, at_least))


def held_up(options, at_least):
    # Root's process, while claude-init has no right to signal it.
    drop = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]
    command = ["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", *helper("survivor.py")]
    process = subprocess.Popen(NAMESPACE + drop + [BINARY, "init", *options, "--", *command],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout.readline().startswith(b"ready")
        os.kill(init_of(process.pid), signal.SIGTERM)
        time_of_it = took(lambda: process.wait(PATIENCE))
        assert at_least < time_of_it
        assert process.returncode == 128 + signal.SIGKILL
        if options[0] == "--grace":
            assert b"could not be killed" in process.stderr.read()
        return time_of_it
    finally:
        process.stdout.close()
        process.stderr.close()


def test_a_proc_of_another_namespace_is_not_believed():
    # Its numbers are of the outside, where nobody is to be signalled: all of our own namespace are asked to end, and
    # killed, at once.
    init = Init(["sh", "-c", " ".join(helper("survivor.py")) + " & read x; exit 4"], "--grace", "300ms",
                "--stop-timeout", "600s", "--log-level", "info", mount_proc=False, stdin=subprocess.PIPE)
    try:
        descendant_ready(init)
        init.process.stdin.close()
        assert init.wait() == 4
        assert "asking what the command left behind to end\n" in init.errors()
    finally:
        init.destroy()


def test_without_stop_signal_a_child_that_just_ends_leaves_nothing_to_wait_for(start):
    init = start(["sh", "-c", "exit 0"], *PATIENT, wait=False)
    assert init.wait() == 0


def test_nothing_outside_is_touched_when_we_are_not_pid_1():
    bystander = subprocess.Popen(["sleep", "60"])
    init = Init(helper("survivor.py"), "--grace", "100ms", pid1=False)
    try:
        descendant_ready(init)
        init.kill(signal.SIGTERM)
        assert init.wait() == 128 + signal.SIGKILL
        assert bystander.poll() is None
    finally:
        init.destroy()
        bystander.kill()
        bystander.wait()
