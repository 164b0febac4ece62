"""A capture and a restore, killed before each of their system calls in turn, and so is the recovery from it.

At the moment of the kill every file is whole. After the recovery the store is, bit for bit, in one of the whole
states of worlds.py. A run without interference then brings everything into place.
"""

import signal

import pytest

from harness import KILLER, LONG, QUICK, calls_of, fingerprint, killed_before, needs_driver, sample
from worlds import LARGE, World

pytestmark = [needs_driver, pytest.mark.skipif(not KILLER, reason="STORE_KILLER is not set")]

# What changes something on the disk, but for openat: a recovery makes no files.
CHANGES = {"renameat", "renameat2", "unlinkat", "mkdirat", "linkat", "symlinkat", "write", "pwrite64", "ftruncate",
           "fchmod", "fchmodat", "utimensat"}


@pytest.fixture(params=["capture", "restore", "sealed capture", "moving capture"])
def world(request):
    key, _, operation = request.param.rpartition(" ")
    made = World(operation, key=key)
    yield made
    made.remove()


class Wrecks:
    """What kills leave behind. The same wreck is examined once: what follows from it is the same each time."""

    def __init__(self, world):
        self.world = world
        self.seen = set()

    def is_new(self):
        before = len(self.seen)
        self.seen.add(fingerprint(self.world.destination))
        return len(self.seen) > before

    def examine(self):
        """Recovers and checks. Recovering twice is recovering once."""
        self.world.check_files()
        self.world.recover()
        self.world.check_whole()
        recovered = fingerprint(self.world.destination)
        if recovered not in self.seen:
            self.seen.add(recovered)
            self.world.recover()
            assert fingerprint(self.world.destination) == recovered, "a second recovery changed something"
            self.world.check_retry()


def test_without_interference_everything_arrives(world):
    world.check_retry()
    before = world.found()
    world.check_retry()
    assert world.found() == before, "a second run changed something"


def test_killed_before_every_call_and_recovered(world):
    wrecks = Wrecks(world)
    count = len(calls_of(*world.arguments))
    for n in sample(range(1, count + 1), 17):
        world.reset()
        killed = killed_before(n, *world.arguments)
        assert killed.returncode == -signal.SIGKILL, f"{n} of {count}: {killed.returncode}, {killed.stderr}"
        try:
            if wrecks.is_new():
                wrecks.examine()
        except AssertionError as failure:
            raise AssertionError(f"killed before call {n} of {count}: {failure}") from failure


def test_larger_state_killed_at_samples():
    """More files than are synced one by one."""
    world = World("capture", new=LARGE)
    try:
        count = len(calls_of(*world.arguments))
        for n in range(1, count + 1, 1 if LONG else max(1, count // (12 if QUICK else 60))):
            world.reset()
            assert killed_before(n, *world.arguments).returncode == -signal.SIGKILL
            Wrecks(world).examine()
    finally:
        world.remove()


@pytest.mark.parametrize("key", ["", "sealed", "moving"])
def test_recovery_killed_before_every_change(key):
    """From the states of the disk that a kill leaves: from all of them in the long lane, else from every sixth."""
    world = World("capture", key=key)
    wrecks, after = Wrecks(world), Wrecks(world)

    def wreck(first):
        world.reset()
        killed_before(first, *world.arguments)

    try:
        for first in range(1, len(calls_of(*world.arguments)) + 1):
            wreck(first)
            if not wrecks.is_new() or (len(wrecks.seen) % 6 != 1 and not LONG):
                continue
            calls = calls_of(*world.recovery)
            for n in sample([n for n, name in enumerate(calls, 1) if LONG or name in CHANGES], 23):
                wreck(first)
                killed = killed_before(n, *world.recovery)
                if key and killed.returncode == 125:
                    continue  # how often it looks for a CLI's lock differs from time to time: it had ended by then
                assert killed.returncode == -signal.SIGKILL
                try:
                    if after.is_new():
                        after.examine()
                except AssertionError as failure:
                    raise AssertionError(
                        f"killed before call {first}, its recovery before {n}: {failure}") from failure
    finally:
        world.remove()
