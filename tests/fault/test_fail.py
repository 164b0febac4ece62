"""A capture and a restore, each of their system calls failed in turn with each error that it can have.

Whatever fails: the message is honest, every file is whole, recovery leaves one of the whole states of worlds.py, what
was reported is true, and a run without interference brings everything into place.
"""

import os
import re

import pytest

from harness import KILLER, OWN, calls_of, failed_at, killed_before, needs_driver, sample
from worlds import LOGIN, World, difference

pytestmark = [needs_driver, pytest.mark.skipif(not KILLER, reason="STORE_KILLER is not set")]

NO_ROOM = ["ENOSPC", "EDQUOT"]
# Which errors each call can have on a real machine.
FAILURES = {
    "openat": ["EMFILE", "EIO", "EROFS", "EINTR", *NO_ROOM],
    "openat2": ["EMFILE", "EIO", "EROFS", "EINTR", *NO_ROOM],
    "mkdirat": ["EROFS", "EIO", *NO_ROOM],
    "fchmod": ["EIO", "EROFS"],
    "fchown": ["EIO", "EROFS", "EDQUOT"],
    "write": ["EIO", *NO_ROOM],
    "pwrite64": ["EIO", *NO_ROOM],
    "ftruncate": ["EIO", *NO_ROOM],
    "copy_file_range": ["EIO", "EXDEV", "ENOSYS", *NO_ROOM],
    "ioctl": ["EIO", "ENOTTY", *NO_ROOM],
    "read": ["EIO"],
    "pread64": ["EIO"],
    "getdents64": ["EIO"],
    "newfstatat": ["EIO", "EACCES"],
    "readlinkat": ["EIO"],
    "symlinkat": ["EROFS", "EIO", *NO_ROOM],
    "linkat": ["EROFS", "EIO", *NO_ROOM],
    "utimensat": ["EIO", "EROFS"],
    "fsync": ["EIO", "EROFS", *NO_ROOM],
    "fdatasync": ["EIO", "EROFS", *NO_ROOM],
    "syncfs": ["EIO", *NO_ROOM],
    "renameat": ["EIO", "EXDEV", "EROFS", *NO_ROOM],
    "renameat2": ["EIO", "EXDEV", "EROFS", "EINVAL", *NO_ROOM],
    "close": ["EIO", *NO_ROOM],
    "unlinkat": ["EIO", "EROFS"],
    "flock": ["ENOLCK"],
}
# Where a signal may cut in, and the call has to be made again.
INTERRUPTED = ["read", "write", "pread64", "pwrite64", "fsync", "fdatasync", "flock", "copy_file_range"]


@pytest.fixture(params=["capture", "restore", "sealed capture", "moving capture"])
def world(request):
    key, _, operation = request.param.rpartition(" ")
    made = World(operation, key=key)
    yield made
    made.remove()


def without_undeleted(world, found):
    """What cannot be looked at in the store is not deleted: that needs proof."""
    return {path: entry for path, entry in found.items() if path in world.new or path not in world.old}


def is_conflict(world, found, message):
    """Something foreign is in the way of one path (EXDEV: a mount; EACCES): that one is left as it was, and named."""
    named = re.search(r"put into place (\S+): ", message)
    if not named:
        return False
    path = os.path.relpath(named[1], world.destination)
    return all(other == path or other.startswith(path + "/") for other in difference(world.new, found))


def examine(world, run, error):
    """After one failure: what was told is true, and nothing is torn."""
    assert run.returncode in (0, 1, 2), "neither success nor an error"  # 2: the report could not be written
    world.check_files()
    found = world.found()
    complete = run.returncode == 0 and "login=saved skipped=0" in run.stdout
    if complete:
        assert without_undeleted(world, found) == world.new, "success was told, and it is not"
    elif run.returncode == 0:
        assert run.stdout.count("\n") > 1 or "login=saved" not in run.stdout, "something is missing and was not named"
    elif run.returncode == 1:
        assert run.stderr.strip(), "no message"
    if world.operation == "capture" and "login=saved" in run.stdout:
        assert found[LOGIN] == world.new[LOGIN], "the login is not there"
    if run.returncode != 0:
        world.recover()
        if error not in ("EXDEV", "EACCES") or not is_conflict(world, world.found(), run.stderr):
            world.check_whole()


def test_every_failed_call_is_survived_and_told(world):
    wrong = []
    calls = calls_of(*world.arguments)
    failures = [(n, call, error) for n, call in enumerate(calls, 1) for error in FAILURES.get(call, [])]
    for n, call, error in sample(failures, 43):  # no divisor of how many errors a call has: each has its turn
        world.reset()
        run = failed_at(n, error, *world.arguments)
        try:
            examine(world, run, error)
            world.check_retry()
        except AssertionError as failure:
            wrong.append(f"call {n} of {len(calls)}, {call}, fails with {error}: {failure}\n"
                         f"    exit {run.returncode}, {run.stdout}{run.stderr}")
    assert not wrong, "\n".join(wrong)


def test_interrupted_calls_are_repeated(world):
    interrupted = [(n, call) for n, call in enumerate(calls_of(*world.arguments), 1) if call in INTERRUPTED]
    for n, call in sample(interrupted, 11):
        world.reset()
        run = failed_at(n, "EINTR", *world.arguments)
        assert run.returncode == 0, f"{call} {n}: {run.stderr}"
        assert world.found() == world.new, f"{call} {n}: {run.stdout}"


# Errors of the moment: they say nothing about what is there.
OF_THE_MOMENT = ["EMFILE", "ENFILE", "ENOMEM", "EFBIG", "EIO", "EINTR"]
LOOKED_AT_WITH = ["openat", "openat2", "read", "newfstatat", "getdents64", "renameat", "lseek"]


@pytest.fixture
def committed():
    """A capture that was killed behind its commit point, before anything was in place."""
    made = World("capture")
    for n, call in enumerate(calls_of(*made.arguments), 1):
        if call != "renameat":
            continue
        made.killed_at = n + 1
        made.reset()
        killed_before(made.killed_at, *made.arguments)
        if os.path.exists(os.path.join(made.destination, OWN, "journal")):
            break
    yield made
    made.remove()


def test_a_recovery_that_fails_leaves_all_to_be_done(committed):
    wrong = []
    recovery = ("recover", committed.destination)
    calls = calls_of(*recovery)
    for n, call in enumerate(calls, 1):
        for error in OF_THE_MOMENT if call in LOOKED_AT_WITH else []:
            committed.reset()
            killed_before(committed.killed_at, *committed.arguments)  # what is deleted is known by its inode: no copy
            run = failed_at(n, error, *recovery)
            committed.recover()
            if committed.found() != committed.new:
                wrong.append(f"call {n} of {len(calls)}, {call}, fails with {error}: {run.stderr}"
                             f"{difference(committed.new, committed.found())}")
    assert not wrong, "\n".join(wrong)
