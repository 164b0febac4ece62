"""A source that is under an attacker's control, captured by root with the rights of its owner.

Nothing outside the source is read and nothing outside the store is written, whatever the source looks like and however
it changes meanwhile; what cannot be captured is named; the limits end in a message and an untouched store.
"""
import os
import re
import signal
import socket
import stat
import subprocess
import zlib

import pytest

from harness import (ATTACKER, DRIVER, KILLER, OWN, SANITIZED, drive, make_temporary, needs_driver, read_tree, refused,
                     remove, run)
from worlds import LOGIN, NEW, OLD, write_tree

OWNER, KEEPER, VICTIM = 61001, 61002, 61003  # of the source, of the store, of what lies outside
SECRET = "CANARY-8d1f"

pytestmark = [needs_driver, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be tempted"),
              pytest.mark.skipif(not KILLER or not ATTACKER, reason="STORE_KILLER and STORE_ATTACKER are not set")]


def libraries():
    """Where a sanitized driver, which is dynamic, has its own."""
    with open(DRIVER, "rb") as file:
        return ("/usr/lib/", "/lib/", "/etc/ld.so.") if b"libasan" in file.read() else ()


def give(path, owner):
    for folder, folders, files in os.walk(path):
        for name in [folder, *(os.path.join(folder, name) for name in folders + files)]:
            os.lchown(name, owner, owner)


class Scene:
    """source (OWNER's) and store (KEEPER's) in one directory, beside what must neither be read nor change."""

    def __init__(self):
        self.root = make_temporary()
        os.chmod(self.root, 0o755)
        self.source, self.store, self.outside = (self.path(name) for name in ("source", "store", "outside"))
        write_tree(self.source, NEW, 1_700_000_000)
        write_tree(self.store, OLD, 1_600_000_000)
        # The one file is for nobody but root, the other for everybody: neither is the source's.
        write_tree(self.outside, {"secret": SECRET, "open": SECRET, "directory/secret": SECRET}, 1_500_000_000)
        give(self.source, OWNER)
        give(self.store, KEEPER)
        os.chmod(self.outside, 0o777)
        os.chmod(self.path("outside/open"), 0o666)
        self.outside_before = self.look_outside()

    def path(self, name):
        return os.path.join(self.root, name)

    def look_outside(self):
        tree = read_tree(self.outside)
        return {path: (entry, os.lstat(os.path.join(self.outside, path)).st_ctime_ns) for path, entry in tree.items()}

    def as_owner(self, make):
        """Does something as the source's owner would."""
        pid = os.fork()
        if pid == 0:
            os.setresgid(OWNER, OWNER, OWNER)
            os.setresuid(OWNER, OWNER, OWNER)
            os.chdir(self.source)
            make()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0

    def capture(self, *options):
        return drive("capture", self.source, self.store, *options)

    def check(self, done=None):
        """Nothing got in, nothing got out."""
        assert self.look_outside() == self.outside_before, "something outside has changed"
        for folder, _, files in os.walk(self.store):
            for name in files:
                path = os.path.join(folder, name)
                if os.path.islink(path) and OWN not in folder:
                    target = os.path.realpath(path)
                    assert target.startswith(self.store), f"{path} leads to {target}"
                if os.path.islink(path):
                    continue
                status = os.lstat(path)
                assert status.st_uid == KEEPER and not status.st_mode & 0o7077, f"{path}: {oct(status.st_mode)}"
                with open(path, "rb") as file:
                    assert SECRET.encode() not in file.read(), f"{path} has what lies outside"
        if done is not None:
            assert done.returncode == 0, done.stderr
            assert read_tree(self.store)[LOGIN][3] == NEW[LOGIN].encode(), "the login was not captured"


@pytest.fixture
def scene():
    made = Scene()
    yield made
    remove(made.root)


def test_links_and_special_files_are_left_out_and_named(scene):
    def make():
        os.symlink(f"{scene.outside}/secret", "to-secret")
        os.symlink(f"{scene.outside}/open", "to-open")
        os.symlink("../../outside/open", "todos/up")
        os.symlink(scene.outside, "projects/to-directory")
        os.symlink("d/../../outside/open", "detour")
        os.symlink("loop", "loop")
        os.mkfifo("fifo")
        os.mkfifo("projects/p/fifo.jsonl")
        socket.socket(socket.AF_UNIX).bind("socket")

    scene.as_owner(make)
    os.mknod(os.path.join(scene.source, "device"), 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    os.link(scene.path("outside/open"), os.path.join(scene.source, "hard"))
    os.link(scene.path("outside/secret"), os.path.join(scene.source, "hard-secret"))
    scene.outside_before = scene.look_outside()  # links count in ctime
    done = scene.capture()
    scene.check(done)
    for name in ("to-secret", "to-open", "todos/up", "projects/to-directory", "detour", "fifo", "projects/p/fifo.jsonl",
                 "socket", "device", "hard", "hard-secret"):
        assert f"\n{name}: " in done.stdout, f"{name} was not named: {done.stdout}"
        assert not os.path.lexists(os.path.join(scene.store, name))


def test_bits_that_give_rights_do_not_travel(scene):
    def make():
        os.chmod("tool", 0o6777)
        os.chmod("settings.json", 0o666)
        os.mkdir("open")
        os.chmod("open", 0o7777)

    scene.as_owner(make)
    scene.check(scene.capture())
    assert stat.S_IMODE(os.stat(f"{scene.store}/tool").st_mode) == 0o700


def test_names_of_any_bytes_are_captured(scene):
    names = [b"new\nline", b"invalid-\xff\xfe", b"\x1b[2J", b"-rf", b"blank ", b"%2e", "größe".encode(), b"n" * 255]

    def make():
        for name in names:
            with open(name, "wb") as file:
                file.write(name)
        os.mkdir(b"dir\xff\n")
        with open(b"dir\xff\n/x", "wb"):
            pass
        os.symlink(b"../outside/\xff\nopen", b"bad\n\xff")

    scene.as_owner(make)
    done = scene.capture()
    scene.check(done)
    for name in names:
        with open(os.path.join(scene.store.encode(), name), "rb") as file:
            assert file.read() == name
    assert b"dir\xff\n" in os.listdir(scene.store.encode())
    # Named in the report so that no line of it can be forged, nor a terminal told anything.
    assert len(done.stdout.splitlines()) == 2, done.stdout


def deep(levels):
    for _ in range(levels):
        os.mkdir("d")
        os.chdir("d")


@pytest.mark.parametrize("levels, limit, message", [(100, 128, None), (200, 128, "deeper than 128"),
                                                   (20, 10, "deeper than 10")])
def test_depth_is_limited(scene, levels, limit, message):
    scene.as_owner(lambda: (os.mkdir("levels"), os.chdir("levels"), deep(levels)))
    done = scene.capture(f"max_depth={limit}")
    check_limit(scene, done, message)


def check_limit(scene, done, message):
    """Success; or the message, the login and nothing else. (.claude.json is a transaction of its own.)"""
    if message is None:
        scene.check(done)
        return
    scene.check()
    assert done.returncode == 1 and message in done.stderr, done.stdout + done.stderr
    changed = {path for path, entry in read_tree(scene.store).items() if entry[-1] != OLD.get(path, "").encode()
               and entry[0] == "file"}
    assert changed == {".credentials.json", ".claude.json"}, changed
    assert not os.path.exists(os.path.join(scene.store, OWN, "stage"))


def test_the_number_of_files_is_limited(scene):
    def make():
        os.mkdir("many")
        for number in range(3000):
            os.close(os.open(f"many/{number}", os.O_WRONLY | os.O_CREAT))

    scene.as_owner(make)
    check_limit(scene, scene.capture("max_files=2000"), "more than 2000 files")
    scene.check(scene.capture())


def test_bytes_are_limited(scene):
    check_limit(scene, scene.capture("max_bytes=100000"), "more than")


def test_holes_stay_holes(scene):
    """100 GiB that are not there."""
    def make():
        with open("sparse", "wb") as file:
            file.truncate(100 << 30)
            file.seek(50 << 30)
            file.write(b"island")

    scene.as_owner(make)
    done = scene.capture()
    assert done.returncode == 0, done.stderr
    status = os.stat(f"{scene.store}/sparse")
    assert status.st_size == 100 << 30 and status.st_blocks * 512 < 1 << 20
    os.unlink(f"{scene.store}/sparse")
    scene.check()


def journal(*lines):
    body = "claude-init journal 1\n" + "".join(line + "\n" for line in lines)
    return f"{body}end {len(lines)} {zlib.crc32(body.encode()):08x}\n"


PLANTED = journal("move 00000000-1 ../outside/planted", "rmdir ../outside/directory")


def test_what_is_planted_in_the_source_is_not_looked_at(scene):
    def make():
        os.makedirs(f"{OWN}/stage")
        for name, text in (("journal", journal("move 00000000-1 settings.json")), ("stage/00000000-1", "planted")):
            with open(f"{OWN}/{name}", "w") as file:
                file.write(text)

    scene.as_owner(make)
    scene.check(scene.capture())
    assert not os.path.exists(f"{scene.store}/{OWN}/journal")
    with open(f"{scene.store}/settings.json") as file:
        assert file.read() == NEW["settings.json"]


@pytest.mark.parametrize("lines", [
    ["move 00000000-1 ../outside/planted"], ["move 00000000-1 /etc/planted"], ["rmdir ../outside/directory"],
    ["move ../../../outside/secret secret"], [f"move 00000000-1 {OWN}/id"], ["move 00000000-1 .credentials.json"],
    ["move 00000000-1 way/planted"], ["rmdir way/directory"], ["delete 1 1 1.000000001 ../outside/secret"]])
def test_a_planted_journal_leads_nowhere(scene, lines):
    """In the store, by whoever can write to it; `way` is a link that leads out."""
    os.symlink(scene.outside, f"{scene.store}/way")
    write_tree(f"{scene.store}/{OWN}", {"journal": journal(*lines), "stage/00000000-1": "planted"}, 1_700_000_000)
    give(scene.store, KEEPER)
    scene.capture()
    os.unlink(f"{scene.store}/way")
    scene.check(scene.capture())
    assert "planted" not in {entry[-1] for entry in read_tree(scene.store).values()}


def test_a_planted_stage_that_is_a_link_is_not_followed(scene):
    os.makedirs(f"{scene.store}/{OWN}")
    os.symlink(scene.outside, f"{scene.store}/{OWN}/stage")
    os.symlink(f"{scene.outside}/open", f"{scene.store}/{OWN}/journal")
    give(scene.store, KEEPER)
    scene.capture()
    scene.check()


def opened_paths(log):
    """What strace saw opened, as the kernel says where it is."""
    with open(log) as file:
        return {match[1] for match in re.finditer(r"\) = \d+<(/[^>]*)>", file.read())}


@pytest.mark.parametrize("by_hand", [False, True], ids=["openat2", "without openat2"])
def test_a_racing_attacker_gains_nothing(scene, by_hand):
    """It swaps files and directories with links as fast as it can, in a process of its own."""
    attacker = subprocess.Popen([ATTACKER, scene.source, scene.outside], stdout=subprocess.PIPE, user=OWNER, group=OWNER,
                                extra_groups=[])
    try:
        assert attacker.stdout.readline() == b"ready\n"
        for _ in range(40):
            done = refused("openat2", "ENOSYS", "capture", scene.source, scene.store) if by_hand else scene.capture()
            assert done.returncode == 0, done.stderr
            assert attacker.poll() is None
            scene.check()
    finally:
        attacker.send_signal(signal.SIGKILL)
        attacker.wait()
        attacker.stdout.close()


LIBRARIES = ("/usr/lib/", "/lib/", "/etc/ld.so.")


def test_nothing_outside_is_opened(scene):
    """By what the kernel says of each descriptor, with the attacker at work."""
    attacker = subprocess.Popen([ATTACKER, scene.source, scene.outside], stdout=subprocess.PIPE, user=OWNER, group=OWNER,
                                extra_groups=[])
    try:
        assert attacker.stdout.readline() == b"ready\n"
        for _ in range(5):
            log = scene.path("log")
            run("strace", "-f", "-y", "-e", "trace=open,openat,openat2", "-o", log, DRIVER, "capture", scene.source,
                scene.store, cwd=scene.root)
            for path in opened_paths(log):
                inside = path.startswith((scene.source, scene.store)) or path == scene.root
                inside = inside or SANITIZED and path.startswith(LIBRARIES)  # that build is not static
                assert inside or path.startswith("/proc/"), f"{path} was opened"
    finally:
        attacker.send_signal(signal.SIGKILL)
        attacker.wait()
        attacker.stdout.close()
