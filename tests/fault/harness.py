"""What the fault tests share: trees, the program under test, and how it is interfered with."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from isolation import isolate, isolate_temporary_files  # noqa: E402
from sealed_format import MAGIC, open_  # noqa: E402

isolate()
isolate_temporary_files()
DRIVER = os.environ.get("STORE_DRIVER", "")
KILLER = os.environ.get("STORE_KILLER", "")
ATTACKER = os.environ.get("STORE_ATTACKER", "")
SANITIZED = os.path.isfile(DRIVER) and b"__asan_init" in Path(DRIVER).read_bytes()
LANE = os.environ.get("CLAUDE_INIT_TEST_LANE", "full")  # of scripts/test.sh: quick, full, long
LONG, QUICK = LANE == "long", LANE == "quick"
OWN = ".claude-init"  # what is ours in a store
KEY = b"FAKE key of the fault tests, which is long enough"  # of store_driver and renewal_driver

os.umask(0o077)
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")  # the leak check does not work under ptrace
needs_driver = pytest.mark.skipif(not os.access(DRIVER, os.X_OK), reason="STORE_DRIVER is not set to an executable")


def login(number):
    """A login; a higher number is a later one."""
    return json.dumps({"claudeAiOauth": {
        "accessToken": f"FAKE-a{number}", "refreshToken": f"FAKE-r{number}",
        "expiresAt": int(time.time() + 3600 * number) * 1000, "scopes": ["user:inference"]}})


def call_names():
    """Number → name of this machine's system calls."""
    with open("/usr/include/x86_64-linux-gnu/asm/unistd_64.h") as file:
        return {int(number): name for name, number in re.findall(r"#define __NR_(\w+) (\d+)", file.read())}


def write_tree(root, tree, seconds):
    """Makes files of these texts; "-> x" is a link to x, "#!" makes an executable."""
    for name, text in tree.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        if text.startswith("-> "):
            os.symlink(text[3:], path)
        else:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o700 if text.startswith("#!") else 0o600)
            os.write(fd, text.encode())
            os.close(fd)
            os.utime(path, (seconds, seconds))


def read_tree(root, own=False):
    """Path → what is there, bit for bit: kind, mode, mtime, content. Ours in a store is left out."""
    tree = {}

    def visit(folder, prefix):
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                if name == OWN and not own:
                    continue
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    tree[name] = ("directory", stat.S_IMODE(status.st_mode))
                    visit(entry.path, name + "/")
                elif stat.S_ISLNK(status.st_mode):
                    tree[name] = ("link", os.readlink(entry.path))
                elif stat.S_ISREG(status.st_mode):
                    with open(entry.path, "rb") as file:
                        content = file.read()
                    # The two judged files are written anew from what was judged: their time is that of the writing.
                    judged = name in (".credentials.json", ".claude.json")
                    tree[name] = ("file", stat.S_IMODE(status.st_mode), 0 if judged else status.st_mtime_ns, content)
                else:
                    tree[name] = ("other", stat.S_IFMT(status.st_mode))

    visit(root, "")
    return tree


# What differs in ours from run to run: ids in the stage, inodes, times, checksums.
PASSING = re.compile(rb"[0-9a-f]{8}(?=-\d)|(?<=delete )\d+|[0-9a-f]{8}$|\d{9,}", re.MULTILINE)


def fingerprint(root):
    """Equal where the same will follow: ours in a store is included, as far as it does not differ by chance."""
    def settled(name, entry):
        if not name.startswith(OWN):
            return name, entry
        content = PASSING.sub(b"*", entry[3]) if entry[0] == "file" and "/stage/" not in name else entry[2:]
        if entry[0] == "file" and entry[3].startswith(MAGIC):
            content = opened(root, entry[3])  # each time it has another nonce
        if name.startswith(f"{OWN}/locks/"):
            content = b""  # whose it was last
        return PASSING.sub(b"*", os.fsencode(name)), entry[:2], content

    entries = sorted(repr(settled(name, entry)) for name, entry in read_tree(root, own=True).items())
    return hashlib.sha256("\n".join(entries).encode()).digest()


def name_of_store(root):
    with open(os.path.join(root, OWN, "id"), "rb") as file:
        return re.search(rb"^store (.+)$", file.read(), re.MULTILINE)[1]


def opened(root, sealed):
    """The text of what is sealed in a store; b"" where it is not whole (in the stage)."""
    with contextlib.suppress(AssertionError, FileNotFoundError):
        return open_(sealed, KEY, name_of_store(root))
    return b""


def whole_login(root, directory):
    """The login of a store, or of a generation in it: what is sealed, else the plain file; None where there is none."""
    for name in (os.path.join(OWN, "sealed-login"), ".credentials.json"):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(directory, name), "rb") as file:
            content = file.read()
            return opened(root, content) if content.startswith(MAGIC) else content
    return None


def sample(items, one_of):
    """All of them; in the short lane one of so many, the first and the last among them."""
    items = list(items)
    return items if not QUICK else [*items[:-1:one_of], *items[-1:]]


def make_temporary():
    """A directory in memory, where a sync costs nothing: what a disk loses is the power loss tests' business."""
    return tempfile.mkdtemp(prefix="claude-init-fault.", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)


def remove(path):
    """Nothing there is fine; what cannot be removed is not."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def drive(*arguments):
    return run(DRIVER, *arguments)


def killed_before(n, *arguments):
    return run(KILLER, "kill", str(n), DRIVER, *arguments)


def failed_at(n, error, *arguments):
    return run(KILLER, "fail", str(n), str(getattr(errno, error)), DRIVER, *arguments)


def refused(call, error, *arguments):
    numbers = {name: number for number, name in call_names().items()}
    return run(KILLER, "refuse", str(numbers[call]), str(getattr(errno, error)), DRIVER, *arguments)


def calls_of(*arguments):
    """The names of the system calls that the driver makes, in order."""
    names = call_names()
    with tempfile.NamedTemporaryFile("r") as report:
        done = run(KILLER, "count", report.name, DRIVER, *arguments)
        assert done.returncode == 0, done.stderr
        return [names[int(number)] for number in report.read().split()]
