"""A capture and a restore, failed and killed at each of their system calls in turn.

After every run each file has its old or its new content, a new directory is whole or not there, what was reported
is true, and a run without interference brings everything into place.
"""

import collections
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

DRIVER = os.environ.get("STORE_DRIVER", "")
pytestmark = [
    pytest.mark.skipif(not os.access(DRIVER, os.X_OK), reason="STORE_DRIVER is not set to an executable"),
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace(1)"),
]

# Which errors each call can have on a real machine. EINTR only where it must be invisible.
FAILURES = {
    "openat": ["EMFILE", "EIO", "ENOSPC"],
    "openat2": ["EMFILE", "EIO"],
    "mkdirat": ["ENOSPC", "EROFS"],
    "fchmod": ["EIO"],
    "write": ["ENOSPC", "EDQUOT", "EIO"],
    "pwrite64": ["ENOSPC", "EDQUOT", "EIO"],
    "copy_file_range": ["ENOSPC", "EIO", "EXDEV", "ENOSYS"],
    "ioctl": ["EIO", "ENOTTY"],
    "read": ["EIO"],
    "pread64": ["EIO"],
    "getdents64": ["EIO"],
    "newfstatat": ["EIO", "EACCES"],
    "readlinkat": ["EIO"],
    "symlinkat": ["ENOSPC"],
    "utimensat": ["EIO"],
    "fsync": ["EIO", "ENOSPC"],
    "syncfs": ["EIO", "ENOSPC"],
    "renameat": ["EIO", "ENOSPC", "EXDEV"],
    "close": ["EIO", "ENOSPC"],
    "unlinkat": ["EIO"],
    "flock": ["ENOLCK"],
}
INTERRUPTED = ["read", "write", "pread64", "pwrite64", "fsync", "flock"]


def login(number):
    return json.dumps({"claudeAiOauth": {
        "accessToken": f"FAKE-a{number}", "refreshToken": f"FAKE-r{number}",
        "expiresAt": int(time.time() + 3600 * number) * 1000, "scopes": ["user:inference"]}})


OLD = {".credentials.json": login(1), ".claude.json": '{"old":1}', "settings.json": "{}",
       "projects/p/s.jsonl": "one\n", "kept": "only here"}
NEW = {".credentials.json": login(2), ".claude.json": '{"new":1}', "settings.json": '{"new":1}',
       "projects/p/s.jsonl": "one\ntwo\n", "d/b": "b" * 300_000, "d/e/c": "", "d/l": "-> e/c"}


def write_tree(root, tree, seconds):
    for name, text in tree.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if text.startswith("-> "):
            os.symlink(text[3:], path)
        else:
            with open(path, "w") as file:
                file.write(text)
            os.utime(path, (seconds, seconds))


def read_tree(root):
    tree = {}
    for folder, folders, files in os.walk(root):
        if folder == root and ".claude-init" in folders:
            folders.remove(".claude-init")
        for name in files:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if os.path.islink(path):
                tree[relative] = "-> " + os.readlink(path)
            else:
                with open(path) as file:
                    tree[relative] = file.read()
    return tree


class World:
    """A source that has NEW and a destination that has OLD."""

    def __init__(self, root, operation):
        self.operation = operation
        self.source = os.path.join(root, "source")
        self.destination = os.path.join(root, "destination")
        write_tree(self.source, NEW, 1_700_000_000)
        self.reset()

    def reset(self):
        shutil.rmtree(self.destination, ignore_errors=True)
        write_tree(self.destination, OLD, 1_600_000_000)

    def run(self, *strace):
        command = [*strace, DRIVER, self.operation, self.source, self.destination]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def calls(self):
        """How often each system call is made."""
        self.reset()
        log = self.source + ".log"
        assert self.run("strace", "-f", "-qq", "-o", log).returncode == 0
        with open(log) as file:
            names = [re.match(r"\d+ +(\w+)\(", line) for line in file]
        self.reset()
        return collections.Counter(name.group(1) for name in names if name)

    def check_whole(self, skipped=False):
        """Where files were skipped and named, a new directory lacks those."""
        found = read_tree(self.destination)
        # Half-made files of a killed restore have the CLI's own name for such, which nobody reads or captures.
        found = {name: text for name, text in found.items() if ".tmp." not in name}
        for name, text in found.items():
            assert text in (OLD.get(name), NEW.get(name)), f"{name} is neither the old nor the new one"
        for name in OLD:
            assert name in found, f"{name} is lost"
        made = [name for name in found if name.startswith("d/")]
        assert len(made) in (0, 3) or skipped, "a new directory is there in part"
        return found

    def check_retry(self):
        again = self.run()
        assert again.returncode == 0, again.stderr
        found = self.check_whole()
        assert {name: found.get(name) for name in NEW} == NEW
        assert not os.path.exists(os.path.join(self.destination, ".claude-init/stage"))


@pytest.fixture(params=["capture", "restore"])
def world(request, tmp_path):
    made = World(str(tmp_path), request.param)
    yield made
    shutil.rmtree(tmp_path, ignore_errors=True)


def test_without_interference_everything_arrives(world):
    world.check_retry()


def test_killed_at_every_call_nothing_is_torn(world):
    for call, count in world.calls().items():
        killed = 0
        for n in range(1, count + 1):
            world.reset()
            run = world.run("strace", "-f", "-qq", "-o", "/dev/null", f"--inject={call}:signal=KILL:when={n}")
            killed += run.returncode == -signal.SIGKILL
            world.check_whole()
            world.check_retry()
        # The first execve is strace's own; everything else must really have died there.
        assert killed == count or call in ("execve", "exit_group"), f"{call}: {killed} of {count} were killed"


def test_every_failed_call_is_survived_and_told(world):
    wrong = []
    for call, count in world.calls().items():
        for error in FAILURES.get(call, []):
            for n in range(1, count + 1):
                world.reset()
                run = world.run("strace", "-f", "-qq", "-o", "/dev/null", f"--inject={call}:error={error}:when={n}")
                what = f"{call} {n} of {count} fails with {error}: exit {run.returncode}, {run.stdout}{run.stderr}"
                try:
                    complete = "login=saved skipped=0" in run.stdout
                    found = world.check_whole(skipped=run.returncode == 0 and not complete)
                    if run.returncode == 0 and complete:
                        assert {name: found.get(name) for name in NEW} == NEW, "success was told, and it is not"
                    if "login=saved" in run.stdout and world.operation == "capture":
                        assert found[".credentials.json"] == NEW[".credentials.json"], "the login is not there"
                    if run.returncode == 1:
                        assert run.stderr.strip(), "no message"
                    world.check_retry()
                except AssertionError as failure:
                    wrong.append(f"{what}: {failure}")
    assert not wrong, "\n".join(wrong)


def test_interrupted_calls_are_repeated(world):
    for call, count in world.calls().items():
        if call not in INTERRUPTED:
            continue
        for n in range(1, count + 1):
            world.reset()
            run = world.run("strace", "-f", "-qq", "-o", "/dev/null", f"--inject={call}:error=EINTR:when={n}")
            assert run.returncode == 0, f"{call} {n}: {run.stderr}"
            found = world.check_whole()
            assert {name: found.get(name) for name in NEW} == NEW, f"{call} {n}: {run.stdout}"
