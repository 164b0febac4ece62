"""What somebody who may only read a store can lock: files that are opened for reading, by flock(2), byte ranges and
leases (fcntl(2)). Nothing that we wait for is among them in a published store; in a store itself it is told who holds
it, as the kernel knows it."""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from harness import BINARY, eventually
from keeping import Keeping
from sessions import login
from test_keep_outputs import free_port

JOB = 1000
LEASE_BREAK = int(Path("/proc/sys/fs/lease-break-time").read_text())  # seconds

# Locks all that it can open beneath a directory, in every way that there is, and says how many those are.
HOLDER = r"""
import ctypes, fcntl, os, sys
held = []
def lock(path):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return
    for take in (lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), lambda: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK),
                 lambda: fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)):
        try:
            take()
            held.append(path)
        except OSError:
            pass
    globals().setdefault("fds", []).append(fd)
import signal
signal.signal(signal.SIGIO, signal.SIG_IGN)  # that a lease is wanted back
for root, directories, files in os.walk(sys.argv[1]):
    for name in [".", *files]:
        lock(os.path.join(root, name))
print("held", len(held), flush=True)
sys.stdin.read()
"""

WITHOUT_LEASES = HOLDER.replace("LOCK_EX", "LOCK_SH").replace("F_SETLEASE", "F_GETLEASE")


@pytest.fixture
def world():
    """A keeper of root's over a store of the job's user, in a place that the job can reach."""
    if os.geteuid() != 0:
        pytest.skip("becomes another user")
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o755)
        keeping = Keeping(Path(path))
        yield keeping
        keeping.end()


def of_job(*paths):
    for path in paths:
        os.chown(path, JOB, JOB)


@pytest.fixture
def holder():
    started = []

    def hold(directory, program=HOLDER):
        job = subprocess.Popen(["setpriv", f"--reuid={JOB}", f"--regid={JOB}", "--clear-groups", sys.executable, "-S", "-c",
                                program, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(job)
        assert job.stdout.readline().startswith("held")
        return job

    yield hold
    for job in started:
        job.kill()
        job.communicate()


def put(keeping, text):
    """As its owner does who logs in."""
    new = keeping.path / "dev/.credentials.json.tmp.x"
    new.write_text(text)
    new.chmod(0o600)
    of_job(new)
    new.rename(keeping.path / "dev/.credentials.json")


def answer(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Host": "127.0.0.1"})
    response = connection.getresponse()
    return response.read().decode()


def publishes(keeping, name, left):
    """What is put into the store. The file that was there is not opened: of that one there is a lease."""
    login_file = keeping.path / "published/.credentials.json"
    before = login_file.stat().st_ino
    put(keeping, login(name, left=left))
    eventually(lambda: login_file.stat().st_ino != before, f"the login {name} in what is published")
    keeping.has_token(name, "published")


def test_a_reader_of_the_published_store_does_not_stop_what_comes(world, holder):
    store, published = world.store("dev", login("a")), world.path / "published"
    of_job(store, store / ".credentials.json")
    world.start("--publish", published, "--renew=never", pid1=False)
    world.has_token("a", "published")
    holder(published)
    began = time.monotonic()
    publishes(world, "b", 7200)
    assert time.monotonic() - began < LEASE_BREAK, "publishing has waited until the kernel took the lease away"
    assert world.stop()[0] == 0
    holder(published)
    world.start("--publish", published, "--renew=never", pid1=False)
    publishes(world, "c", 9000)


def test_in_what_is_published_there_is_no_lock_also_not_from_earlier(world):
    published = world.path / "published"
    for directory in (published, published / ".claude-init", published / ".claude-init/locks"):
        directory.mkdir(mode=0o700)
    for name in ("locks/method", "locks/store", "present", "id"):
        (published / ".claude-init" / name).write_text("flock\n")
    (published / ".claude-init/published").touch()
    world.store("dev", login("a"))
    world.start("--publish", published, "--renew=never", pid1=False)
    world.has_token("a", "published")
    assert sorted(entry.name for entry in (published / ".claude-init").iterdir()) == ["published"] or \
        not {"locks", "present", "id"} & {entry.name for entry in (published / ".claude-init").iterdir()}


def test_others_than_the_owner_cannot_open_a_lock_of_the_store_where_they_may_read_all_else(world):
    store = world.store("dev", login("a", left=-60))
    os.chown(store, 0, JOB)
    store.chmod(0o2750)
    world.start(pid1=False)
    world.has_token("a+")
    program = HOLDER.replace('os.path.join(root, name)', 'os.path.join(root, name) if "locks" in root else "/nowhere"')
    seen = subprocess.run(["setpriv", "--reuid=2000", f"--regid={JOB}", "--clear-groups", sys.executable, "-S", "-c", program,
                           store], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert seen.stdout == "held 0\n"
    for path in [store / ".claude-init/locks", *(store / ".claude-init/locks").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_keeper_that_waits_for_a_lock_says_so_and_names_who_holds_it(world, holder):
    store, port = world.store("dev", login("a", left=-60)), free_port()
    locks = store / ".claude-init/locks"
    subprocess.run([BINARY, "capture", "--from", shutil.copytree(store, world.path / "source"), "--store", store],
                   env=world.environment, capture_output=True, check=False)
    (locks / "renewal").write_text(f"innocent\n1\nkeep\n1\n")
    for path in [store, *store.rglob("*")]:
        of_job(path)
    job = holder(locks, WITHOUT_LEASES)
    world.start("--listen", f"127.0.0.1:{port}", pid1=False)
    world.says(f"python3 (pid {job.pid}, uid {JOB})")
    assert world.said().count("waiting for a lock") == 1 and "innocent" not in world.said()
    assert f"pid {job.pid}" in answer(port, "/")
    assert f"pid {job.pid}" in json.loads(answer(port, "/status"))["stores"][0]["waiting_for"]
    assert 'claude_init_lock_wait_since_timestamp_seconds{store="dev"}' in answer(port, "/metrics")
    world.mode("unchanged")
    job.communicate("\n", timeout=20)
    eventually(lambda: "lock_wait" not in "".join(line for line in answer(port, "/metrics").splitlines()
                                                  if not line.startswith("#")), "it waits no more")


@pytest.mark.parametrize("kind", ["flock", "lease"])
def test_who_waits_in_a_command_is_told_by_the_kernel_not_by_the_file(world, holder, kind):
    store = world.store("dev", login("a"))
    source = shutil.copytree(store, world.path / "source")
    capture = [BINARY, "capture", "--from", source, "--store", store]
    subprocess.run(capture, env=world.environment, capture_output=True, check=False)
    for path in [store, *store.rglob("*")]:
        of_job(path)
    job = holder(store / ".claude-init/locks", WITHOUT_LEASES if kind == "flock" else HOLDER)
    said = world.path / "said"
    waiting = subprocess.Popen(capture, env=world.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=said.open("w"))
    names_it = f"python3 (pid {job.pid}, uid {JOB})"
    eventually(lambda: names_it in said.read_text(), "who holds the lock")
    assert ("waiting for" if kind == "flock" else "a lease on") in said.read_text()
    waiting.terminate()  # where it still waits: for a minute
    assert waiting.wait(timeout=60) != 0
