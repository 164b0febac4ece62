"""The power goes while a capture is written: whatever the disk may hold then, recovery leaves a whole store.

The replayer says what the disk may hold. After recovery the store is in one of the whole states of worlds.py, and
after the last operation, when the capture has reported, in the new one. That this can fail is shown by leaving out
syncs from the record, as if the program had not made them.
"""
import os
import shutil

import pytest

from harness import DRIVER, LONG, QUICK, drive, make_temporary, needs_driver, remove
from recorder import Recorder, Sync
from replayer import Replayer
from worlds import CLI_LOCKS, EIGHT, EIGHT_OLD, LARGE, LOGIN, World

pytestmark = [needs_driver, pytest.mark.skipif(not shutil.which("strace"), reason="needs strace(1)")]
BATCH = 100


class Loss:
    """One recorded capture, and what becomes of it."""

    def __init__(self, world):
        self.world = world
        self.recorder = Recorder(world.destination)
        self.recorder.record([DRIVER, *world.arguments])
        self.root = make_temporary()

    def remove(self):
        remove(self.root)
        self.world.remove()

    def failures(self, dropped=frozenset(), every=1):
        """The distinct states of the disk after which the store is not whole, one by one."""
        seen, batch = set(), []
        last = len(self.recorder.operations)
        for done, disk in Replayer(self.recorder).crashes(dropped, every):
            key = hash((done == last, *disk.key()))
            if key in seen:
                continue
            seen.add(key)
            batch.append((done, disk))
            if len(batch) == BATCH:
                yield from self.examine(batch)
                batch = []
        yield from self.examine(batch)
        self.tried = len(seen)

    def examine(self, batch):
        paths = [os.path.join(self.root, str(number)) for number in range(len(batch))]
        failures = []
        for path, (_, disk) in zip(paths, batch):
            disk.make(path)
            for lock in CLI_LOCKS:  # ours are known by their mode, which the replayer does not give to directories
                remove(os.path.join(path, lock))
        recovered = drive(*self.world.sealed, "recover", *paths)
        for path, (done, _) in zip(paths, batch):
            found = self.world.found(path)
            complete = done == len(self.recorder.operations)
            sealed = self.world.key and sealed_problem(self.world, found, path)
            if recovered.returncode != 0 and path in recovered.stderr:
                failures.append((done, f"recovery fails: {recovered.stderr}"))
            elif found not in self.world.states:
                failures.append((done, self.world.nearest(found)))
            elif self.world.has_lost_login(path):
                failures.append((done, "the login that was replaced is not among the generations"))
            elif sealed:
                failures.append((done, sealed))
            elif complete and found != self.world.new:
                failures.append((done, f"what was reported is not there: {self.world.nearest(found)}"))
            remove(path)
        return failures

    def describe(self, done):
        operation = self.recorder.operations[done - 1]
        return f"after operation {done} of {len(self.recorder.operations)}, {type(operation).__name__} " \
               f"{getattr(operation, 'name', getattr(operation, 'path', ''))}"


def sealed_problem(world, found, path):
    try:
        world.check_sealed(found, path)
        world.check_nothing_plain(path)
    except AssertionError as problem:
        return str(problem)
    return None


@pytest.fixture(scope="module")
def loss():
    made = Loss(World("capture", old=EIGHT_OLD, new=EIGHT))
    yield made
    made.remove()


def check(made, every=1):
    for done, what in made.failures(every=every):
        raise AssertionError(f"{made.describe(done)}: {what}")
    print(f"{made.tried} states of the disk")


def test_a_store_is_whole_whenever_the_power_goes(loss):
    check(loss, every=9 if QUICK else 1)


def test_a_store_of_many_files_is_whole_whenever_the_power_goes():
    """More than are synced one by one: one syncfs for all of them."""
    made = Loss(World("capture", new=LARGE))
    try:
        check(made, every=1 if LONG else 40 if QUICK else 12)
    finally:
        made.remove()


def test_the_first_capture_is_whole_whenever_the_power_goes():
    made = Loss(World("capture", old={}, new=EIGHT))
    try:
        check(made, every=9 if QUICK else 1)
    finally:
        made.remove()


@pytest.mark.parametrize("key", ["sealed", "moving"])
def test_a_store_with_a_key_is_whole_whenever_the_power_goes(key):
    made = Loss(World("capture", old=EIGHT_OLD, new=EIGHT, key=key))
    try:
        check(made, every=9 if QUICK else 1)
    finally:
        made.remove()


@pytest.mark.parametrize("path, moved", [(".claude-init", "sealed-login"), ("", LOGIN)])
def test_without_the_sync_of_its_directory_a_sealed_login_would_be_lost(path, moved):
    made = Loss(World("capture", old=EIGHT_OLD, new=EIGHT, key="sealed"))
    try:
        operations = made.recorder.operations
        after = max(n for n, operation in enumerate(operations) if getattr(operation, "new_name", "") == moved)
        dropped = {n for n, operation in enumerate(operations)
                   if n > after and isinstance(operation, Sync) and operation.path == path}
        assert dropped, "there is no such sync"
        assert next(made.failures(frozenset(dropped)), None), "nothing would be lost"
    finally:
        made.remove()


# What each sync is of, as it is seen in the record, before the login is moved, until it is durable, after.
KINDS = {
    "the first generation": lambda path, first: first == "before" and path == "",
    "the login in the stage": lambda path, first: first and "/stage/" in path,
    "the directory that the login was moved to": lambda path, first: first == "login" and path == "",
    "staged files": lambda path, first: not first and "/stage/" in path,
    "the journal": lambda path, first: path.endswith("/journal.new"),
    "the directory of the journal": lambda path, first: not first and path == ".claude-init",
    "the directories that files were moved to": lambda path, first: not first and not path.startswith(".claude-init"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_sync_the_store_would_be_torn(loss, kind):
    """Each of them is needed, and the tests above would tell if it was missing."""
    operations = loss.recorder.operations
    moved = next(n for n, operation in enumerate(operations) if getattr(operation, "new_name", "") == LOGIN)
    syncs = {n: operation for n, operation in enumerate(operations) if isinstance(operation, Sync)}
    durable = next(n for n, operation in syncs.items() if n > moved and operation.path == "")
    dropped = {n for n, operation in syncs.items()
               if KINDS[kind](operation.path, "before" if n < moved else "login" if n <= durable else "")}
    assert dropped, "there is no such sync"
    assert next(loss.failures(frozenset(dropped)), None), "nothing would be torn"
