"""A job that makes work for us: from TERM to the end within --stop-timeout, whatever it has left behind."""

import fcntl
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from harness import BINARY, NAMESPACE, SANITIZED, PATIENCE, eventually, family, init_of
from sessions import login, project

STOP_TIMEOUT = 10
# What a machine that is busy with other tests adds, and one that is busy with a flood.
NOISE = 20
FLOODED = 60


def end(process, pid=None):
    """Sends TERM, and returns the seconds until the end."""
    start = time.monotonic()
    os.kill(pid or process.pid, signal.SIGTERM)
    process.wait(120)
    return time.monotonic() - start


def with_few_pending_signals():
    """For a process that is flooded: its queue is full sooner, and those of the user's other processes are not."""
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (1000, 1000))


def program(text):
    return [sys.executable, "-S", "-c", textwrap.dedent(text)]


def run(host, text, *options, stop_timeout=STOP_TIMEOUT):
    """A run whose command is a program in Python, once that says that it is ready."""
    host.put(login("a"))
    process = subprocess.Popen(
        [BINARY, "run", "--user", str(os.geteuid()), "--store", host.store, f"--stop-timeout={stop_timeout}s", *options,
         "--", *program(text)],
        env=host.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(host.path / "log").open("w"),
        text=True, preexec_fn=with_few_pending_signals)
    host.started.append(process)
    assert process.stdout.readline() == "ready\n"
    return process


def slow_down(host, process, call, microseconds, when=""):
    """Each of its calls takes its time from here on, as on a disk that is slow."""
    tracer = subprocess.Popen(
        ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:delay_enter={microseconds}{when}",
         "-p", str(process.pid)], stdin=subprocess.DEVNULL)
    host.started.append(tracer)
    eventually(lambda: f"TracerPid:\t{tracer.pid}\n" in open(f"/proc/{process.pid}/status").read(), "strace", 60)


NESTED = {
    "siblings": '{"a":[' + "{}," * 85_000 + "{}]}",
    "keys": "{" + ",".join(f'"{i}":0' for i in range(25_000)) + "}",
    "same keys": '{"claudeAiOauth":{' + ",".join(f'"a{i % 7}":[]' for i in range(25_000)) + "}}",
    "depth": '{"a":' + "[" * 120_000 + "]" * 120_000 + "}",
    "half": '{"a":' + "[0," * 80_000,
}


@pytest.mark.parametrize("kind", NESTED)
def test_a_huge_login_in_the_copy_holds_nothing_up(host, kind):
    (host.path / "huge").write_text(NESTED[kind])
    process = run(host, f"""
        import os, shutil, time
        login = os.environ["CLAUDE_CONFIG_DIR"] + "/.credentials.json"
        shutil.copy("{host.path}/huge", login)
        print("ready", flush=True)
        time.sleep(600)
        """)
    assert end(process) < STOP_TIMEOUT + NOISE
    assert host.token() == "a"
    assert host.copies() == []


@pytest.mark.parametrize("kind", NESTED)
def test_a_huge_login_in_a_store_is_judged_at_once(host, kind):
    host.put(NESTED[kind])
    (host.store / ".claude.json").write_text(NESTED[kind])
    before = os.times().children_user
    done = subprocess.run([BINARY, "health", "--store", host.store], env=host.environment, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode != 0
    assert os.times().children_user - before < 1, done.stderr


def test_a_settings_file_of_any_size_is_read_in_little_memory_and_not_lost(host):
    host.put(login("a"))
    with (host.store / ".claude.json").open("w") as settings:
        settings.write('{"projects":{')
        for i in range(70):
            settings.write(f'"/p{i}":{{"history":["' + "x" * (1 << 20) + '"]},')
        settings.write('"last":{}},"oauthAccount":{"emailAddress":"a@example.org"}}')
    assert (host.store / ".claude.json").stat().st_size > 70 << 20
    process = host.start("run", 'wc -c < "$CLAUDE_CONFIG_DIR/.claude.json"; grep VmHWM "/proc/$PPID/status"')
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    size, peak = out.splitlines()
    assert int(size) == (host.store / ".claude.json").stat().st_size
    assert SANITIZED or int(peak.split()[1]) < 30 << 10, peak
    health = subprocess.run([BINARY, "health", "--store", host.store], env=host.environment, capture_output=True,
                            text=True, check=False)
    assert "a@example.org" in health.stdout


def test_a_flood_of_real_time_signals_does_not_keep_us_from_the_end(host):
    process = run(host, """
        import os, signal, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
            signal.signal(number, signal.SIG_IGN)
        target = os.getppid()
        for _ in range(3):
            if os.fork() == 0:
                break
        else:
            print("ready", flush=True)
        while True:
            for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
                try:
                    os.kill(target, number)
                except ProcessLookupError:
                    os._exit(0)
                except BlockingIOError:
                    pass
        """)
    assert end(process) < STOP_TIMEOUT + FLOODED
    assert host.copies() == []


def test_a_flood_of_signals_from_beside_us_does_not_keep_us_from_the_end(host):
    process = run(host, """
        import signal, time
        for number in (signal.SIGTERM, *range(signal.SIGRTMIN, signal.SIGRTMAX + 1)):
            signal.signal(number, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(600)
        """)
    flood = subprocess.Popen(program(f"""
        import os, signal
        print("ready", flush=True)
        os.fork(); os.fork()
        while True:
            for number in range(signal.SIGRTMIN, signal.SIGRTMAX + 1):
                try:
                    os.kill({process.pid}, number)
                except ProcessLookupError:
                    os._exit(0)
                except BlockingIOError:
                    pass
        """), stdout=subprocess.PIPE, text=True)
    try:
        assert flood.stdout.readline() == "ready\n"
        assert end(process) < STOP_TIMEOUT + FLOODED
        assert host.copies() == []
    finally:
        flood.wait(60)


FILES = 12_000


def run_with_many_files(host, last, *options):
    """One that has made many files in its copy, on a file system on which each removal takes its time."""
    process = run(host, f"""
        import os, signal, time
        os.chdir(os.environ["CLAUDE_CONFIG_DIR"])
        for d in range(12):
            os.mkdir(f"d{{d}}")
            for i in range({FILES // 12}):
                os.close(os.open(f"d{{d}}/{{i}}", os.O_CREAT | os.O_WRONLY))
        print("ready", flush=True)
        {last}
        """, *options)
    slow_down(host, process, "unlinkat", 5000, ":when=10+")
    return process


def left_in(copy):
    return sum(len(files) for _, _, files in os.walk(copy))


def test_more_files_than_can_be_wiped_in_time_lose_their_login_and_are_the_next_runs(host):
    process = run_with_many_files(host, "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)", "--log-level=info")
    copy = host.place / host.copies()[0]
    # Asked to stop twice: there is no time at all.
    os.kill(process.pid, signal.SIGTERM)
    eventually(lambda: "stopping" in (host.path / "log").read_text(), "the stop", 60)
    assert end(process) < STOP_TIMEOUT + NOISE
    assert left_in(copy) > 0
    assert not list(copy.rglob(".credentials.json"))
    assert "the next run removes the rest" in (host.path / "log").read_text()
    assert host.session("run", "true")[0] == 0
    assert host.copies() == []


def test_term_is_heard_while_a_copy_is_wiped(host):
    process = run_with_many_files(host, "input()")
    copy = host.place / host.copies()[0]
    process.stdin.write("\n")
    process.stdin.flush()
    eventually(lambda: left_in(copy) < FILES, "the wiping", 60)
    assert end(process) < STOP_TIMEOUT + NOISE
    assert host.session("run", "true")[0] == 0
    assert host.copies() == []


def test_who_changes_modes_and_times_without_end_does_not_keep_a_run_from_starting(host):
    host.put(login("a"))
    (host.store / ".claude.json").write_text("{}")
    private = host.store / ".claude-init"
    private.mkdir()
    (private / "journal").write_text("x")
    changer = subprocess.Popen(program(f"""
        import os
        print("ready", flush=True)
        while True:
            for name in (".credentials.json", ".claude.json"):
                for mode in (0o600, 0o640):
                    os.chmod("{host.store}/" + name, mode)
        """), stdout=subprocess.PIPE, text=True)
    try:
        assert changer.stdout.readline() == "ready\n"
        for _ in range(3):
            status, _, err = host.session("run", "true")
            assert status == 0, err
    finally:
        changer.kill()
        changer.wait()


def test_pid_1_hears_term_in_a_stream_of_orphans(host):
    host.put(login("a"))
    process = subprocess.Popen(
        [*NAMESPACE, BINARY, "run", "--user", str(os.geteuid()), "--store", host.store, "--grace=1s",
         f"--stop-timeout={STOP_TIMEOUT}s", "--", *program("""
            import os, signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print("ready", flush=True)
            os.fork(); os.fork()
            while True:
                try:
                    if os.fork() == 0:
                        os.fork()
                        os._exit(0)
                    os.wait()
                except OSError:
                    pass
            """)], env=host.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True)
    host.started.append(process)
    assert process.stdout.readline() == "ready\n"
    assert end(process, init_of(process.pid)) < STOP_TIMEOUT + NOISE


KEEP = ("--persist=sessions",)
SESSIONS = f"projects/{project()}"
SESSION_FILES = 8_000


def test_more_sessions_than_can_be_saved_in_time_are_the_next_runs(host):
    (host.store / SESSIONS).mkdir(parents=True)
    process = run(host, f"""
        import os, time
        os.makedirs(os.environ["CLAUDE_CONFIG_DIR"] + "/{SESSIONS}", exist_ok=True)
        os.chdir(os.environ["CLAUDE_CONFIG_DIR"] + "/{SESSIONS}")
        for i in range({SESSION_FILES}):
            os.close(os.open(f"{{i}}.jsonl", os.O_CREAT | os.O_WRONLY))
        print("ready", flush=True)
        time.sleep(600)
        """, *KEEP, stop_timeout=4)
    slow_down(host, process, "renameat", 3000)
    assert end(process) < 4 + NOISE
    (copy,) = host.copies()
    assert not list((host.place / copy).rglob(".credentials.json"))
    assert "could not be saved in time" in (host.path / "log").read_text()
    assert host.session("run", "true", *KEEP)[0] == 0
    assert host.copies() == []
    assert len(list((host.store / SESSIONS).iterdir())) == SESSION_FILES


def test_two_versions_of_a_session_without_anything_in_common_hold_nothing_up(host):
    session = host.store / SESSIONS / "1.jsonl"
    session.parent.mkdir(parents=True)
    session.write_text("given\n")
    process = run(host, f"""
        import os, time
        with open(os.environ["CLAUDE_CONFIG_DIR"] + "/{SESSIONS}/1.jsonl", "a") as session:
            session.write("theirs" + "".join(f"{{i}}\\n" for i in range(7_000_000)))
        print("ready", flush=True)
        time.sleep(600)
        """, *KEEP)
    with session.open("a") as other:
        other.write("".join(f"{i}\n" for i in range(7_000_000, 0, -1)))
    assert end(process) < STOP_TIMEOUT + NOISE
    assert {kept.open().readlines(16)[1] for kept in session.parent.iterdir()} == {"theirs0\n", "7000000\n"}
    assert host.copies() == []


def test_a_run_that_is_killed_while_it_saves_has_no_login_any_more(host):
    host.put(login("a"))
    assert host.session("run", "true", *KEEP)[0] == 0  # there is a lock from here on
    process = run(host, f"""
        import os
        os.makedirs(os.environ["CLAUDE_CONFIG_DIR"] + "/{SESSIONS}", exist_ok=True)
        open(os.environ["CLAUDE_CONFIG_DIR"] + "/{SESSIONS}/1.jsonl", "w").close()
        print("ready", flush=True)
        input()
        """, *KEEP)
    copy = host.place / host.copies()[0]
    assert list(copy.rglob(".credentials.json"))
    with open(host.store / ".claude-init/locks/store", "rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process.stdin.write("\n")
        process.stdin.flush()
        eventually(lambda: "waiting" in (host.path / "log").read_text(), "it waits for the lock")
        for pid in family(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.wait(PATIENCE)
    assert not list(copy.rglob(".credentials.json"))
    assert host.session("run", "true", *KEEP)[0] == 0
    assert (host.store / SESSIONS / "1.jsonl").exists() and host.copies() == []
