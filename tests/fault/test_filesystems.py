"""Captures on file systems of their own: what memory cannot show.

Each is a small image, mounted on a loop device for the length of a test.
"""
import contextlib
import os
import shutil
import signal
import threading

import pytest

from harness import KILLER, LONG, calls_of, drive, killed_before, make_temporary, needs_driver, read_tree, remove, run
from worlds import LARGE, LOGIN, SETTINGS, World, write_tree

pytestmark = [needs_driver, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount"),
              pytest.mark.skipif(not KILLER, reason="STORE_KILLER is not set"),
              pytest.mark.skipif(not os.path.exists("/dev/loop-control"), reason="needs loop devices")]

# Size in MiB and how it is made: the smallest that the tools agree to.
KINDS = {"ext4": (32, ["mkfs.ext4", "-q"]), "xfs": (320, ["mkfs.xfs", "-q"]), "btrfs": (128, ["mkfs.btrfs", "-q"])}


def sh(*command):
    done = run(*command)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@contextlib.contextmanager
def mounted(kind, size=None):
    """A directory on a new file system of this kind."""
    top = make_temporary()
    place = os.path.join(top, "mounted")
    os.mkdir(place)
    mounts, devices = [], []

    def mount(*arguments):
        sh("mount", *arguments)
        mounts.append(arguments[-1])

    try:
        if kind == "tmpfs":
            mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", place)
        elif kind == "overlay":
            below = os.path.join(top, "below")
            os.mkdir(below)
            mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", below)
            for name in ("lower", "upper", "work"):
                os.mkdir(os.path.join(below, name))
            mount("-t", "overlay", "-o", f"lowerdir={below}/lower,upperdir={below}/upper,workdir={below}/work", "overlay",
                  place)
        else:
            megabytes, make = KINDS[kind]
            if not shutil.which(make[0]):
                pytest.skip(f"needs {make[0]}")
            image = os.path.join(top, "image")
            with open(image, "wb") as file:
                file.truncate((size or megabytes) << 20)
            sh(*make, image)
            device = run("losetup", "--find", "--show", image).stdout.strip()
            devices.append(os.open(device, os.O_RDONLY))
            sh("losetup", "--detach", device)  # when nobody has it any more, also where this is killed
            mount(device, place)
        yield place
    finally:
        for path in reversed(mounts):
            run("umount", path)
        for device in devices:
            os.close(device)
        remove(top)


@pytest.mark.parametrize("kind", [*KINDS, "tmpfs", "overlay"])
def test_a_store_is_whole_on(kind):
    with mounted(kind) as place:
        os.mkdir(f"{place}/world")
        world = World("capture", new=LARGE, root=f"{place}/world")
        world.check_retry()
        world.reset()
        count = len(calls_of(*world.arguments))
        for n in range(count // 2 if not LONG else 1, count, max(1, count // 24) if not LONG else 1):
            world.reset()
            assert killed_before(n, *world.arguments).returncode == -signal.SIGKILL
            world.check_files()
            world.recover()
            world.check_whole()
        world.check_retry()


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_blocks_are_shared_on(kind):
    """A captured file takes no room of its own where the file system can share it."""
    with mounted(kind) as place:
        write_tree(f"{place}/source", {"big": "x" * (20 << 20)}, 1_700_000_000)
        os.mkdir(f"{place}/store")
        os.sync()
        before = os.statvfs(place).f_bfree
        assert drive("capture", f"{place}/source", f"{place}/store").returncode == 0
        os.sync()
        status = os.statvfs(place)
        assert (before - status.f_bfree) * status.f_frsize < 4 << 20


def test_a_full_disk_is_told_and_costs_nothing():
    with mounted("ext4", size=16) as place:
        source = make_temporary()
        try:
            write_tree(source, {**LARGE, "big": "b" * (8 << 20)}, 1_700_000_000)
            write_tree(f"{place}/store", {"kept": "kept", LOGIN: LARGE[LOGIN]}, 1_600_000_000)
            with open(f"{place}/ballast", "wb") as ballast:
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(bytes(1 << 16))
                        ballast.flush()
            before = read_tree(f"{place}/store")
            full = drive("capture", source, f"{place}/store")
            assert full.returncode == 1 and "No space left on device" in full.stderr, full.stdout + full.stderr
            drive("recover", f"{place}/store")
            after = read_tree(f"{place}/store")
            after.pop(SETTINGS, None)  # a transaction of its own, which may have found room
            assert after == before
            os.unlink(f"{place}/ballast")
            again = drive("capture", source, f"{place}/store")
            assert again.returncode == 0, again.stderr
            assert read_tree(f"{place}/store").items() >= read_tree(source).items()
        finally:
            remove(source)


def test_a_disk_that_turns_read_only_in_the_middle():
    """As ext4 does on an error. Mounted again the store is whole, and what was reported is there."""
    with mounted("ext4", size=64) as place:
        device = run("findmnt", "--noheadings", "--output", "SOURCE", place).stdout.strip()
        os.mkdir(f"{place}/world")
        world = World("capture", new=LARGE, root=f"{place}/world")
        os.sync()
        for delay in (0.002, 0.01, 0.03, 0.06):
            world.reset()
            os.sync()
            turn = threading.Timer(delay, run, ("mount", "-o", "remount,abort", place))
            turn.start()
            done = drive(*world.arguments)
            turn.join()
            sh("umount", place)
            # By the device, never by its image: the kernel keeps blocks of either.
            checked = run("e2fsck", "-fy", device)
            assert checked.returncode in (0, 1), checked.stdout + checked.stderr
            sh("mount", device, place)
            if done.returncode != 0:
                assert tells_of_it(done.stderr), done.stderr
            world.recover()
            world.check_whole()
            if done.returncode == 0:
                assert world.found() == world.new
        world.check_retry()


def tells_of_it(message):
    return any(text in message for text in ("Read-only file system", "Input/output error"))
