"""An error of the moment (no descriptors, no memory, a device) is no verdict: nothing is given up for it, and success
is not told. Each test lets a call fail by strace(1), or has few descriptors."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from harness import BINARY, NAMESPACE, SANITIZED, STRACE, eventually, init_of
from sessions import login

pytestmark = pytest.mark.skipif(SANITIZED, reason="sanitizers have descriptors and calls of their own")
FILES = {".credentials.json": login("new"), ".claude.json": '{"n": 2}', "settings.json": '{"new": true}',
         "projects/p/session.jsonl": "new\n", "CLAUDE.md": "new"}


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)


def run(*line, shell=""):
    if shell:
        line = ["sh", "-c", f'{shell}; exec "$@"', "sh", *line]
    return subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=60, check=False)


def capture(source, store, *more, wrapper=(), shell=""):
    return run(*wrapper, BINARY, "capture", "--from", source, "--store", store, *more, shell=shell)


def has_all(store):
    def same(a, b):  # what a capture has written of a login is not the text that it was given
        return a == b or a.startswith("{") and json.loads(a) == json.loads(b)

    return all((store / name).exists() and same((store / name).read_text(), text) for name, text in FILES.items())


@pytest.fixture
def source(tmp_path):
    write(tmp_path / "source", FILES)
    return tmp_path / "source"


@pytest.fixture
def committed(tmp_path, source):
    """A store whose capture was killed behind its commit point, and another source with nothing but a login."""
    write(tmp_path / "login", {".credentials.json": FILES[".credentials.json"], ".claude.json": FILES[".claude.json"]})
    old = tmp_path / "old"
    write(old, {name: '{"old": 1}' if name.endswith("json") else "old\n" for name in FILES})
    write(old, {".credentials.json": login("old", left=60)})
    for number in range(1, 40):
        store = tmp_path / f"store{number}"
        shutil.copytree(old, store)
        store.chmod(0o700)
        killed = [*STRACE, "-e", "trace=renameat,renameat2,rename", "-e",
                  f"inject=renameat,renameat2,rename:signal=KILL:when={number}"]
        capture(source, store, wrapper=killed)
        if (store / ".claude-init/journal").exists():
            assert not has_all(store)
            return store
    raise AssertionError("no capture was killed behind its commit point")


def test_a_committed_journal_outlives_a_want_of_descriptors(tmp_path, committed):
    for limit in range(5, 16):
        store = tmp_path / f"limit{limit}"
        shutil.copytree(committed, store, symlinks=True)
        capture(tmp_path / "login", store, shell=f"ulimit -n {limit}")
        capture(tmp_path / "login", store)
        assert not (store / ".claude-init/journal.damaged").exists(), limit
        assert has_all(store), f"with {limit} descriptors the capture of before is lost"


@pytest.mark.parametrize("error", ["EMFILE", "ENOMEM", "EACCES"])
def test_a_committed_journal_outlives_a_call_that_fails(tmp_path, committed, error):
    for call in ("openat2", "openat", "read", "renameat"):
        for number in range(1, 15):
            store = tmp_path / f"{call}{number}"
            shutil.copytree(committed, store, symlinks=True)
            failing = [*STRACE, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}"]
            told = capture(tmp_path / "login", store, wrapper=failing)
            capture(tmp_path / "login", store)
            assert not (store / ".claude-init/journal.damaged").exists(), (call, number, told.stderr)
            if error != "EACCES" or "put into place" not in told.stderr:  # that one path is named, and left
                assert has_all(store), (call, number, told.stderr)
            shutil.rmtree(store)


@pytest.mark.parametrize("error", ["EMFILE", "EACCES"])
@pytest.mark.parametrize("call", ["openat2", "openat", "newfstatat", "getdents64"])
def test_capture_tells_success_only_when_all_is_saved(tmp_path, source, call, error):
    for number in range(1, 40):
        store = tmp_path / f"store{number}"
        write(store, {".claude.json": '{"old": 1}', "settings.json": '{"old": 1}'})
        failing = [*STRACE, "-f", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}"]
        told = capture(source, store, wrapper=failing)
        assert told.returncode != 0 or has_all(store), (number, told.stdout, told.stderr)
        shutil.rmtree(store)


def test_restore_tells_success_only_when_all_is_there(tmp_path, source):
    for call, error in (("openat2", "EMFILE"), ("openat2", "EACCES"), ("openat", "ENFILE"), ("newfstatat", "ENOMEM")):
        for number in range(1, 30):
            to = tmp_path / "to"
            to.mkdir()
            failing = [*STRACE, "-f", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={number}"]
            told = run(*failing, BINARY, "restore", "--store", source, "--to", to, "--refresh-token=copy")
            assert told.returncode != 0 or has_all(to), (call, error, number, told.stdout, told.stderr)
            shutil.rmtree(to)


def test_a_file_that_may_not_be_read_is_named_and_is_the_status(tmp_path, source):
    os.chmod(source, 0o700)
    for path in (source, *source.rglob("*")):
        os.chown(path, 1000, 1000)
    os.chown(source / "settings.json", 0, 0)
    store = tmp_path / "store"
    told = capture(source, store)
    assert told.returncode == 77, told.stderr
    assert "settings.json: cannot be read: Permission denied" in told.stderr
    assert (store / "CLAUDE.md").read_text() == "new"


def test_what_is_opened_first_is_no_standard_stream(tmp_path, source):
    store = tmp_path / "store"
    told = capture(source, store, "--log-level", "debug", shell="exec 0<&- 1>&- 2>&-")
    assert told.returncode == 0
    assert "claude-init" not in (store / ".claude-init/locks/store").read_text()
    shown = run(BINARY, "init", "--", "readlink", "/proc/self/fd/0", shell="exec 0<&-")
    assert shown.stdout == "/dev/null\n"


def failing(*calls, when="1+", error="EPERM"):
    words = [*STRACE, "-e", "trace=" + ",".join(calls)]
    for call in calls:
        words += ["-e", f"inject={call}:error={error}:when={when}"]
    return words


def test_the_ends_of_children_are_learned_by_the_older_call():
    told = run(*failing("waitid"), BINARY, "init", "--", "sh", "-c", "exit 7")
    assert told.returncode == 7, told.stderr


@pytest.mark.parametrize("error, grace", [("EPERM", ["--grace", "1s"]), ("EINTR", ["--grace", "1s"]), ("EINVAL", [])])
def test_who_cannot_learn_of_ends_says_so_and_ends(error, grace):
    told = run(*failing("waitid", "wait4", error=error), BINARY, "init", *grace, "--", "true")
    assert told.returncode == 71, told.stderr
    assert "wait for what has ended" in told.stderr


@pytest.mark.parametrize("error", ["EPERM", "EINTR", "EINVAL"])
def test_who_cannot_wait_for_signals_says_so_and_ends(error):
    told = run(*failing("rt_sigtimedwait", error=error), BINARY, "init", "--", "sleep", "60")
    assert told.returncode == 71, told.stderr
    assert "wait for a signal" in told.stderr


def test_who_cannot_adopt_orphans_says_so():
    told = run(*failing("prctl", error="EINVAL"), BINARY, "init", "--", "sh", "-c", "exit 3")
    assert told.returncode == 3
    assert "orphans" in told.stderr


@pytest.mark.parametrize("call", ["epoll_ctl", "epoll_create1"])
def test_a_run_that_cannot_have_a_loop_says_so_and_leaves_nothing(host, call):
    host.put(host.logins["login_a"])
    status, _, errors = host.session("run", "true", wrapper=failing(call, error="EBADF"))
    assert status == 71, errors
    assert "have the system tell us of events: Bad file descriptor" in errors
    assert not host.copies()


@pytest.mark.parametrize("call", ["epoll_wait", "ioctl", "signalfd4", "timerfd_create"])
def test_a_run_whose_loop_fails_passes_signals_on_all_the_same(host, call):
    host.put(host.logins["login_a"])
    run_ = host.start("run", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done",
                      wrapper=failing(call, error="EBADF"))
    assert run_.stdout.readline() == "ready\n"
    os.kill(init_of(run_.pid), signal.SIGTERM)
    out, err = run_.communicate(timeout=20)
    assert run_.returncode == 9, err


def test_leftovers_are_asked_to_end_without_proc():
    script = "sh -c 'trap \"echo asked; exit\" TERM; echo ready; while :; do sleep 0.05; done' & read x; exit 4"
    process = subprocess.Popen([*[w for w in NAMESPACE if w != "--mount-proc"], BINARY, "init", "--", "sh", "-c", script],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    out, _ = process.communicate(timeout=30)
    assert "asked" in out
    assert process.returncode == 4


def test_init_leaves_the_directory_that_it_was_started_in(start, tmp_path):
    init = start(["sh", "-c", "echo ready; pwd; read x"], stdin=subprocess.PIPE, cwd=tmp_path)
    init.expect("ready")
    init.expect(str(tmp_path))
    eventually(lambda: os.readlink(f"/proc/{init.pid}/cwd") == "/", "it is in /")
