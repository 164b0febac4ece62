"""Many processes on one store at once, and who is told what while somebody holds it.

CLAUDE_INIT_STRESS_SECONDS sets how long the many go on: 60 is what is promised, 15 what CI has time for."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest
from harness import BINARY, PATIENCE
from test_sessions import login

SECONDS = float(os.environ.get("CLAUDE_INIT_STRESS_SECONDS", "15"))
PROCESSES = 20
SIZE = 20_000


@pytest.fixture
def environment(tmp_path):
    return {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}


def make_source(path, number):
    """A state that shows when it is torn: each of its files is a number of one letter, all of the same one."""
    path.mkdir()
    letter = chr(ord("a") + number)
    (path / ".credentials.json").write_text(login(letter * 40, left=3600))
    (path / ".claude.json").write_text(json.dumps({"all": letter * SIZE}))
    new = path / f"projects/{letter}"
    new.mkdir(parents=True)
    for name in ("one", "two"):
        (new / name).write_text(letter * SIZE)
    (path / "shared").write_text(letter * SIZE)


def check_whole(directory):
    """Every file there is has one letter only; a project directory has both of its files."""
    for name in (".credentials.json", ".claude.json"):
        if (directory / name).exists():
            json.loads((directory / name).read_text())
    for path in [directory / "shared", *directory.glob("projects/*/*")]:
        if path.exists():
            text = path.read_text()
            assert len(text) == SIZE and len(set(text)) == 1, f"{path} is torn"
    for project in directory.glob("projects/*"):
        assert sorted(entry.name for entry in project.iterdir()) == ["one", "two"], f"{project} is there in part"


@pytest.mark.parametrize("locking", ["flock", "lease"])
def test_many_capture_and_restore_at_once(tmp_path, environment, locking):
    store = tmp_path / "store"
    seconds = SECONDS if locking == "flock" else SECONDS / 2
    for number in range(PROCESSES // 2):
        make_source(tmp_path / f"source{number}", number)
    problems, waits, turns = [], [], [0] * PROCESSES
    begun = time.monotonic()

    def one(number):
        target = tmp_path / f"target{number}"
        if number % 2:
            words = ["restore", "--store", store, "--to", target]
        else:
            words = ["capture", "--from", tmp_path / f"source{number // 2}", "--store", store, "--locking", locking]
        done = subprocess.run([BINARY, *map(str, words), "--log-level", "debug"], env=environment,
                              capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        if done.returncode == 75:  # a minute was not enough for its turn: the machine is busy
            return
        if done.returncode not in (0, 76):
            problems.append(f"{words[0]}: {done.returncode} {done.stderr[-600:]}")
        for line in done.stderr.splitlines():
            if "locked" in line and "lock=store" in line:
                number_, unit = line.split('took="')[1].split('"')[0].split()
                waits.append(float(number_) / (1000 if unit == "ms" else 1))
        if number % 2:
            try:
                check_whole(target)
            except (AssertionError, ValueError) as torn:
                problems.append(str(torn))
        turns[number] += 1

    def goes_on():
        """For so long, and until everybody has had two turns: nobody starves."""
        running = time.monotonic() - begun
        return not problems and (running < seconds or min(turns) < 2 and running < PATIENCE)

    def loop(number):
        while goes_on():
            one(number)

    one(0)  # there is a login to restore
    threads = [threading.Thread(target=loop, args=(number,)) for number in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a deadlock"
    assert not problems, problems[:3]
    check_whole(store)
    print(f"{locking}: {len(waits)} captures, longest wait {max(waits):.2f} s; turns {turns}")
    assert len(waits) > PROCESSES / 2
    assert min(turns) >= 2, turns


def start_holder(store, environment):
    """A setup session, which holds the lock "setup" until it is told to end."""
    process = subprocess.Popen(
        [BINARY, "setup", "--store", store, "--user", str(os.geteuid()), "--", "sh", "-c", "echo ready; read go"],
        env={**environment, "XDG_RUNTIME_DIR": environment["HOME"]}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def flock_holder(store):
    """Somebody who holds the lock "store" and says that it is somebody else."""
    path = store / ".claude-init/locks/store"
    return subprocess.Popen(["flock", path, "sh", "-c",
                             f"printf 'web-1\\n4711\\ncapture\\n{int(time.time() * 1000) - 65000}\\n' > {path}; "
                             "echo held; read go"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_who_waits_is_told_for_whom_and_since_when(tmp_path, environment):
    store, source = tmp_path / "store", tmp_path / "source"
    make_source(source, 0)
    words = [BINARY, "capture", "--from", str(source), "--store", str(store)]
    assert subprocess.run(words, env=environment, capture_output=True).returncode == 0
    holder = flock_holder(store)
    assert holder.stdout.readline() == "held\n"
    waiting = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    line = waiting.stderr.readline()
    assert waiting.poll() is None, "told while waiting"
    assert "waiting for" in line and f"(pid {holder.pid}, uid {os.geteuid()})" in line and "web-1" not in line
    holder.communicate("go\n", timeout=PATIENCE)
    waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0


def test_a_killed_setup_blocks_nobody(tmp_path, environment):
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    (store / ".credentials.json").write_text(login("a"))
    first = start_holder(store, environment)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=PATIENCE)
    second = start_holder(store, environment)
    _, err = second.communicate("go\n", timeout=PATIENCE)
    assert "without the right to renew" not in err
