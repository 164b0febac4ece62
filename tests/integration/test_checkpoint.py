"""A session is saved while it runs: what a second ago was written is in the store, whatever becomes of the container.
A shell stands for the CLI."""

import itertools
import os
import signal
import subprocess
import time

import pytest
from harness import ALONE, BINARY, NAMESPACE, PATIENCE, STRACE, children, eventually, family
from sessions import Host, login
from test_follow import Run, switches

WITHOUT_WATCHES = [*STRACE, "-e", "trace=inotify_add_watch", "-e",
                   "inject=inotify_add_watch:error=ENOSPC"]


def replace(directory, name, text):
    with open(os.path.join(directory, ".new"), "w") as f:
        f.write(text)
    os.rename(os.path.join(directory, ".new"), os.path.join(directory, name))


def stored(host, name):
    try:
        return (host.store / name).read_text()
    except FileNotFoundError:
        return None


def pid_of(run):
    """claude-init's own, below whatever runs it."""
    found = [pid for pid in family(run.process.pid) if os.path.samefile(f"/proc/{pid}/exe", BINARY)]
    return found[-1]


@pytest.fixture(scope="module", autouse=True)
def changed_at_the_start(tmp_path_factory):
    """With and without watches, two sessions whose transcript has just changed: saving the rest takes half a minute,
    in which the other tests run."""
    hosts = [Host(tmp_path_factory.mktemp(name)) for name in ("watching", "blind")]
    runs = [Run(host, subcommand="setup", wrapper=wrapper) for host, wrapper in zip(hosts, ((), WITHOUT_WATCHES))]
    for run in runs:
        projects = os.path.join(os.path.dirname(run.path), "projects")
        os.makedirs(os.path.join(projects, "-w"))
        replace(os.path.join(projects, "-w"), "1.jsonl", "said\n")
        os.mkdir(os.path.join(os.path.dirname(run.path), "sessions"))
        replace(os.path.join(os.path.dirname(run.path), "sessions"), "1", "not kept\n")
    yield list(zip(hosts, runs)), time.time()
    for host in hosts:
        host.end()


@pytest.fixture
def session(host):
    """A setup whose command waits, and where its state lies."""
    def start(*options, wrapper=()):
        run = Run(host, *options, subcommand="setup", wrapper=wrapper)
        run.state = os.path.dirname(run.path)
        return run
    return start


def test_both_files_of_a_login_are_in_the_store_at_once_and_survive_the_container(host, session):
    """Within a second: tests/unit/checkpoint_test.cpp, on a clock of its own; scripts/bench.sh measures it."""
    for round_ in range(3):
        run = session(wrapper=NAMESPACE)
        for name, text in ((".credentials.json", login(f"r{round_}", left=3600 + round_)),
                           (".claude.json", '{"round": %d}' % round_)):
            replace(run.state, name, text)
            eventually(lambda: stored(host, name) == text, f"{name} in the store")
        os.kill(pid_of(run), signal.SIGKILL)  # and with it the namespace, without a word
        run.process.wait()
        assert host.token() == f"r{round_}"


def test_the_state_may_lie_in_a_home_directory_with_the_settings_beside_it(host):
    host.environment["container"] = "test"
    process = host.start("setup", 'printf %s "$login_a" > "$HOME/.claude/.credentials.json"; printf "{\\"a\\":1}" > "$HOME/.claude.json"; read forever',
                         "--allow-ephemeral")
    eventually(lambda: host.token() == "a" and stored(host, ".claude.json") == '{"a":1}', "both in the store")
    os.kill(process.pid, signal.SIGKILL)


def test_a_login_that_is_replaced_ten_times_a_second_is_saved_meanwhile_and_its_last_version_at_last(host, session):
    run = session()
    seen, versions = set(), itertools.count()

    def two_are_saved():
        version = next(versions)
        replace(run.state, ".credentials.json", login(f"v{version}", left=3600 + version))
        time.sleep(0.1)
        seen.update({host.token()} - {None})
        return len(seen) >= 2

    eventually(two_are_saved, "two versions, while more come")
    last = next(versions) - 1
    eventually(lambda: host.token() == f"v{last}", "the last version")


def test_checkpoint_sets_how_long_a_login_must_be_quiet(host, session):
    run = session("--checkpoint", "3s")
    start = time.monotonic()
    replace(run.state, ".credentials.json", login("slow"))
    eventually(lambda: host.token() == "slow", "the login")
    assert time.monotonic() - start >= 2.5


def test_a_configuration_directory_that_is_replaced_is_saved_from(host, session):
    run = session()
    os.rename(run.state, run.state + ".old")
    os.mkdir(run.state, 0o700)
    replace(run.state, ".credentials.json", login("new"))
    eventually(lambda: host.token() == "new", "the login in the new directory")
    replace(run.state, ".credentials.json", login("newer", left=7200))
    eventually(lambda: host.token() == "newer", "the next one")


def test_a_queue_that_overflows_loses_nothing(host, session):
    run = session()
    replace(run.state, ".credentials.json", login("before"))
    eventually(lambda: host.token() == "before", "the first login")
    os.kill(pid_of(run), signal.SIGSTOP)
    with open("/proc/sys/fs/inotify/max_queued_events") as f:
        most = int(f.read())
    names = [os.path.join(run.state, f"n{i}") for i in range(2)]
    for i in range(most // 2 + 1000):  # not two of the same kind in a row, which would be merged
        os.close(os.open(names[i % 2], os.O_CREAT | os.O_WRONLY))
    replace(run.state, ".credentials.json", login("after", left=7200))
    os.kill(pid_of(run), signal.SIGCONT)
    eventually(lambda: host.token() == "after", "the login that no event told of")


def test_without_watches_it_looks_again_and_again(host, session):
    run = session(wrapper=WITHOUT_WATCHES)
    for i in range(3):
        replace(run.state, ".credentials.json", login(f"v{i}", left=3600 + i))
        eventually(lambda: host.token() == f"v{i}", "the login")


def test_a_store_that_is_full_is_said_once_and_saved_to_when_it_is_not(host, session):
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs", host.store], check=True)
    host.mounted.append(host.store)
    run = session(wrapper=ALONE)
    replace(run.state, ".credentials.json", login("before"))
    eventually(lambda: host.token() == "before", "the first login")
    # What the end of that capture frees would be room for the next.
    eventually(lambda: switches(run.process.pid, 1) == 0, "quiet")
    fill = host.store / "fill"
    with open(fill, "wb") as f:
        try:
            while True:
                f.write(bytes(65536))
                f.flush()
        except OSError:
            pass
    replace(run.state, ".credentials.json", login("after", left=7200))
    line = run.process.stderr.readline()
    assert "No space left" in line or "free" in line, line
    assert host.token() == "before"
    os.unlink(fill)
    eventually(lambda: host.token() == "after", "the login, when there is room")
    assert "can be written again" in run.process.stderr.readline()


def test_an_idle_setup_does_not_wake_up(host, session):
    run = session(wrapper=ALONE)
    replace(run.state, ".credentials.json", login("a"))
    eventually(lambda: host.token() == "a", "the login")
    eventually(lambda: switches(run.process.pid, 1) == 0, "quiet")
    assert switches(run.process.pid, 3) == 0
    assert children(run.process.pid)


def test_the_rest_is_saved_half_a_minute_after_it_changed(changed_at_the_start):
    """Last, as most of it is waiting."""
    sessions, start = changed_at_the_start
    for host, _ in sessions:
        eventually(lambda: stored(host, "projects/-w/1.jsonl") == "said\n", "the session")
        assert stored(host, "sessions/1") is None
        assert 10 < os.stat(host.store / "projects/-w").st_ctime - start
    # A signal comes through while there is something to save.
    for _, run in sessions:
        os.kill(pid_of(run), signal.SIGTERM)
        run.process.wait(PATIENCE)
