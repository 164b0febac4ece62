"""Root in other people's directories: no call that makes, moves, removes or changes something by a name has root's
rights there, as docs/path-calls.md says of most of them."""

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from harness import BINARY
from keeping import publish
from sessions import login, project

ALICE, BOB = 1001, 1002
CHANGES = """mkdir mkdirat mknod mknodat rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat rmdir
             chmod fchmodat fchmodat2 chown lchown fchownat truncate chdir""".split()
OPENS = ["open", "openat", "openat2", "creat"]
WHO = ["setfsuid", "setresuid", "setuid", "clone", "clone3", "fork", "vfork", "execve"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"), reason="is root, with strace")


@pytest.fixture(name="place")
def fixture_place():
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield Path(path)


def directory_of(uid, path):
    path.mkdir(mode=0o700)
    os.chown(path, uid, uid)
    return path


def give_all(uid, path):
    for each in [path, *path.rglob("*")]:
        os.chown(each, uid, uid)


def state_of(uid, path, name, **more):
    """With something of each kind in it."""
    path.mkdir(mode=0o700)
    (path / ".credentials.json").write_text(login(name, **more))
    (path / ".credentials.json").chmod(0o600)
    (path / ".claude.json").write_text("{}")
    for inside in ("agents/one/a.md", "commands/b.md", f"projects/{project()}/s.jsonl"):
        (path / inside).parent.mkdir(parents=True, exist_ok=True)
        (path / inside).write_text('{"sessionId":"s"}\n')
    (path / "agents/link").symlink_to("one")
    give_all(uid, path)
    return path


class Trace:
    """The calls of claude-init itself, and with whose rights each was made."""

    def __init__(self, file, place):
        self.file, self.place = file, place
        self.wrapper = ["strace", "-f", "-qq", "-s", "300", "-o", str(file), "-e",
                        "trace=" + ",".join(f"?{call}" for call in [*CHANGES, *OPENS, *WHO])]

    def by_root(self):
        """The changes that were made with root's rights; `seen`: how many with another's."""
        uid, ours, seen, found, maker = {}, {}, Counter(), [], None
        for line in self.file.read_text(errors="replace").splitlines():
            pid, _, rest = line.partition(" ")
            rest = rest.strip()
            if pid not in uid:
                uid[pid], ours[pid] = uid.get(maker, 0), ours.get(maker, False)
            if match := re.match(r"(?:setfsuid|setuid)\((\d+)\)", rest):
                uid[pid] = int(match[1])
            elif match := re.match(r"setresuid\(-?\d+, (\d+), -?\d+\)\s+= 0", rest):
                uid[pid] = int(match[1])
            elif match := re.match(r"(?:clone3?|v?fork)\(.*(?:= (\d+)|<unfinished \.\.\.>)$", rest):
                maker = pid
                if match[1]:
                    uid[match[1]], ours[match[1]] = uid[pid], ours[pid]
            elif match := re.match(r'execve\("([^"]*)".*= 0$', rest):
                ours[pid] = match[1] == BINARY
            elif match := re.match(r"(\w+)\(", rest):
                made = match[1] in CHANGES or (match[1] in OPENS and "O_CREAT" in rest)
                if not made or not ours.get(pid) or rest.startswith('chdir("/")'):
                    continue
                seen[uid[pid]] += 1
                if uid[pid] == 0:
                    found.append(rest)
        return found, seen


@pytest.fixture(name="trace")
def fixture_trace(place):
    return Trace(place / "trace", place)


def environment_of(place):
    return {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(place), "XDG_RUNTIME_DIR": "/nonexistent"}


def claude_init(place, trace, *words):
    return subprocess.run([*trace.wrapper, BINARY, *map(str, words)], env=environment_of(place), timeout=300,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def check(trace, *users, own=None):
    found, seen = trace.by_root()
    assert [call for call in found if not own or not own.match(call)] == []
    assert all(seen[user] for user in users), seen


def test_capture(place, trace):
    source, store = state_of(BOB, place / "source", "b", left=7200), state_of(ALICE, place / "store", "a")
    (source / "commands/b.md").write_text("another")
    done = claude_init(place, trace, "capture", "--from", source, "--store", store)
    assert done.returncode == 0, done.stderr
    check(trace, ALICE)


def test_restore(place, trace):
    target, store = directory_of(BOB, place / "target"), state_of(ALICE, place / "store", "a")
    done = claude_init(place, trace, "restore", "--store", store, "--to", target)
    assert done.returncode == 0, done.stderr
    check(trace, BOB)


@pytest.mark.parametrize("copies", ["", "--workdir"])
def test_run_with_its_sessions(place, trace, copies):
    store = state_of(ALICE, place / "store", "a")
    workdir = ["--workdir", directory_of(BOB, place / "copies")] if copies else []
    script = f'cd "$CLAUDE_CONFIG_DIR"; echo {{}} > projects/{project()}/new.jsonl; rm .credentials.json'
    done = claude_init(place, trace, "run", "--user", BOB, "--store", store, "--persist=sessions", *workdir, "--",
                       "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert (store / "projects" / project() / "new.jsonl").stat().st_uid == ALICE
    check(trace, ALICE, BOB)


def test_health_that_asks_the_server(place, trace):
    cli = place / "cli"
    cli.write_text("#!/bin/sh\necho answer\n")
    cli.chmod(0o755)
    store = state_of(BOB, place / "store", "b")
    done = claude_init(place, trace, "health", "--store", store, "--live", "--user", BOB, "--live-command", cli)
    assert done.returncode == 0, done.stderr
    # Beside the CLI, for the next one, what came of it: in a directory of root's own.
    check(trace, BOB, own=re.compile(r'.*"(claude-health-0|[0-9a-f]{16}\.json.*)"'))


def test_a_renewal(place, trace):
    store = state_of(ALICE, place / "store", "a", left=-60)
    claude_init(place, trace, "renew", "--store", store, "--renew-command", "true")
    check(trace, ALICE)


def test_a_keeper_that_publishes(place, trace):
    store, above = state_of(ALICE, place / "store", "a"), directory_of(ALICE, place / "above")
    assert publish(store, above / "pub", environment_of(place), place / "log", wrapper=trace.wrapper) == 0
    assert (above / "pub/.credentials.json").stat().st_uid == ALICE
    check(trace, ALICE)
