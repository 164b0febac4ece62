"""Whatever a subcommand is at, TERM and INT end it with 128+n, at once and with nothing half done. What takes long is
made long by strace(1), which delays a call, or by a lock that somebody holds."""

import fcntl
import os
import signal
import subprocess
import time

import pytest

from harness import BINARY, NAMESPACE, SANITIZED, STRACE, eventually, init_of, is_binary, quickly, state
from sessions import login

FILES = 400
PATIENCE = 10  # seconds; what is interrupted would take several times that


def slowly(*calls, milliseconds=100):
    words = [*STRACE, "-f", "-e", "trace=" + ",".join(calls)]
    for call in calls:
        words += ["-e", f"inject={call}:delay_enter={milliseconds}000"]
    return words


def fill(root, what="new"):
    (root / "projects/p").mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        (root / f"projects/p/{number}.jsonl").write_text(what)
    (root / "settings.json").write_text('{"new": true}')
    (root / ".credentials.json").write_text(login(what))


class Started:
    """A subcommand under strace, with its own process id."""

    def __init__(self, line, environment):
        self.process = subprocess.Popen(list(map(str, line)), env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.pid = init_of(self.process.pid) if line[0] in ("strace", "unshare") else self.process.pid

    def ends_with(self, number):
        assert self.process.poll() is None, f"it has ended already: {self.process.stderr.read()}"
        before = time.monotonic()
        os.kill(self.pid, number)
        try:
            _, errors = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        assert self.process.returncode in (128 + number, -number), errors
        return time.monotonic() - before, errors


@pytest.fixture
def begin(host):
    started = []

    def beginner(*words, wrapper=()):
        started.append(Started([*wrapper, BINARY, *words], host.environment))
        return started[-1]

    yield beginner
    for each in started:
        each.process.kill()
        each.process.wait()


slow_copies = pytest.mark.skipif(SANITIZED, reason="sanitizers have calls of their own")
stops = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])


@slow_copies
@stops
def test_a_capture_that_copies_saves_nothing_of_it(host, begin, tmp_path, number):
    fill(tmp_path / "source")
    (host.store / "settings.json").write_text("old")
    capture = begin("capture", "--from", tmp_path / "source", "--store", host.store, wrapper=slowly("utimensat"))
    stage = host.store / ".claude-init/stage"
    eventually(lambda: (host.store / ".credentials.json").exists() and stage.is_dir() and any(stage.rglob("*.jsonl")), "the first copies")
    capture.ends_with(number)
    assert (host.store / "settings.json").read_text() == "old"
    assert not (host.store / "projects").exists()
    assert not (host.store / ".claude-init/journal").exists()
    assert host.token() == "new"  # the login is a transaction of its own, and was saved before
    assert not stage.exists()


@slow_copies
@stops
def test_a_restore_that_copies_leaves_nothing(host, begin, tmp_path, number):
    fill(host.store)
    to = tmp_path / "to"
    to.mkdir()
    restore = begin("restore", "--store", host.store, "--to", to, wrapper=slowly("utimensat"))
    eventually(lambda: any(to.rglob("*.jsonl")), "the first copies")
    restore.ends_with(number)
    assert not any(to.rglob("*.jsonl"))


@slow_copies
@stops
@pytest.mark.parametrize("subcommand", ["run", "setup"])
def test_a_session_that_fills_its_copy_removes_it(host, begin, subcommand, number):
    fill(host.store)
    more = ["--copy=all"] if subcommand == "run" else []
    session = begin(subcommand, *more, "--user", str(os.geteuid()), "--store", host.store, "--", "true",
                    wrapper=slowly("utimensat"))
    eventually(lambda: any(host.place.rglob("*.jsonl")), "the first copies")
    session.ends_with(number)
    assert not host.copies()


@slow_copies
@pytest.mark.parametrize("call", ["newfstatat", "openat2", "getdents64", "read"])
@pytest.mark.parametrize("words", [["capture", "--from", "SOURCE"], ["restore", "--to", "TO"], ["health"], ["history"],
                                   ["run", "--", "true"], ["keep", "--publish", "TO"], ["setup", "--", "true"]],
                         ids=lambda words: words[0])
def test_wherever_it_is_it_ends(host, begin, tmp_path, words, call):
    fill(host.store)
    fill(tmp_path / "source", "other")
    (tmp_path / "to").mkdir(mode=0o700)
    if words[0] == "history":  # without generations there is no directory that it reads
        (host.store / ".claude-init/generations/1").mkdir(parents=True)
    places = {"SOURCE": tmp_path / "source", "TO": tmp_path / "to"}
    words = [str(places.get(word, word)) for word in words]
    line = [words[0], f"--store={host.store}", *words[1:]]
    begun = begin(*line, wrapper=slowly(call, milliseconds=1000))
    # It has taken its signals over, and is at the call.
    eventually(lambda: int(next((line.split()[1] for line in open(f"/proc/{begun.pid}/status")
                                 if line.startswith("SigCgt")), "0"), 16) & 1 << signal.SIGTERM - 1, "it listens")
    begun.ends_with(signal.SIGTERM)
    assert not host.copies()


@pytest.mark.parametrize("wrapper", [[], NAMESPACE], ids=["child", "pid1"])
@stops
def test_who_waits_for_a_lock_does_not_go_on(host, begin, tmp_path, wrapper, number):
    fill(tmp_path / "source")
    assert subprocess.run([BINARY, "capture", "--from", tmp_path / "source", "--store", host.store],
                          env=host.environment, capture_output=True).returncode == 0
    (tmp_path / "source/settings.json").write_text('{"newer": true}')
    with open(host.store / ".claude-init/locks/store", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        capture = begin("capture", "--from", tmp_path / "source", "--store", host.store, wrapper=wrapper)
        assert "waiting" in capture.process.stderr.readline()
        capture.ends_with(number)
    assert (host.store / "settings.json").read_text() == '{"new": true}'


def test_a_signal_that_is_ignored_does_not_end_it(host, begin, tmp_path):
    fill(tmp_path / "source")
    subprocess.run([BINARY, "capture", "--from", tmp_path / "source", "--store", host.store], env=host.environment,
                   capture_output=True, check=True)
    with open(host.store / ".claude-init/locks/store", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        capture = begin("capture", "--from", tmp_path / "source", "--store", host.store, wrapper=["nohup"])
        eventually(lambda: "waiting" in capture.process.stderr.readline(), "it waits")
        os.kill(capture.pid, signal.SIGHUP)
        capture.ends_with(signal.SIGTERM)


AT_ONCE = 0.2  # seconds


@pytest.fixture
def full_pipe():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    yield writer
    os.close(reader)
    os.close(writer)


@stops
@pytest.mark.parametrize("words", [["--help"], ["help"], ["--version"], ["run", "--help"], ["help", "run"], ["init", "--help"], ["nonsense"], ["run"],
                                   ["health"], ["history"], ["capture", "--help"], ["keep", "--listen=nowhere"]], ids=" ".join)
def test_whose_reader_does_not_read_hears_it(host, full_pipe, words, number):
    if words[0] in ("health", "history"):
        words = [*words, f"--store={host.store}"]

    def attempt():
        process = subprocess.Popen([BINARY, *words], env=host.environment, stdin=subprocess.DEVNULL, stdout=full_pipe, stderr=full_pipe)
        host.started.append(process)
        eventually(lambda: process.poll() is not None or (is_binary(process.pid) and state(process.pid) == "S"), "it waits for its reader")
        if process.poll() is not None:  # a line of the log waits for nobody
            return 0
        before = time.monotonic()
        os.kill(process.pid, number)
        assert process.wait(PATIENCE) in (128 + number, -number)
        return time.monotonic() - before

    quickly(AT_ONCE, attempt)


@stops
@pytest.mark.parametrize("wrapper", [[], NAMESPACE], ids=["child", "pid1"])
def test_health_that_waits_for_the_cli_hears_it(host, begin, tmp_path, wrapper, number):
    host.put(login("a"))
    deaf = tmp_path / "deaf"
    deaf.write_text(f"#!/bin/sh\ntrap '' TERM INT\n: > {tmp_path}/ready\nsleep 600\n")
    deaf.chmod(0o755)
    tmp_path.chmod(0o755)

    def attempt():
        (tmp_path / "ready").unlink(missing_ok=True)
        health = begin("health", "--live", "--max-age=0", f"--store={host.store}", "--live-command", str(deaf), wrapper=wrapper)
        eventually((tmp_path / "ready").exists, "the CLI runs")
        took, _ = health.ends_with(number)
        assert [name for name in host.copies() if not name.startswith("claude-health")] == []
        return took

    quickly(AT_ONCE, attempt)


def test_health_that_has_heard_the_cli_and_is_not_read_hears_it(host, full_pipe, tmp_path):
    host.put(login("a"))
    cli = tmp_path / "cli"
    cli.write_text("#!/bin/sh\necho ok\n")
    cli.chmod(0o755)

    def attempt():
        process = subprocess.Popen([BINARY, "health", "--live", "--max-age=1h", f"--store={host.store}", "--live-command", str(cli)],
                                   env=host.environment, stdin=subprocess.DEVNULL, stdout=full_pipe, stderr=subprocess.DEVNULL)
        host.started.append(process)
        eventually(lambda: list(host.place.glob("claude-health-*/*")) and state(process.pid) == "S", "it has asked, and waits for its reader")
        before = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE) in (128 + signal.SIGTERM, -signal.SIGTERM)
        took = time.monotonic() - before
        for kept in host.place.glob("claude-health-*/*"):
            kept.unlink()
        return took

    quickly(AT_ONCE, attempt)


def test_a_report_that_nobody_reads_holds_up_no_end(host, full_pipe):
    host.put(login("a"))

    def attempt():
        setup = subprocess.Popen([BINARY, "setup", "--user", str(os.geteuid()), "--store", host.store, "--", "sh", "-c", "echo ready; exec sleep 600"],
                                 env=host.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=full_pipe, text=True)
        host.started.append(setup)
        assert setup.stdout.readline() == "ready\n"
        before = time.monotonic()
        setup.terminate()
        assert setup.wait(60) == 128 + signal.SIGTERM
        return time.monotonic() - before

    quickly(1.2, attempt)  # there are many lines
