#!/usr/bin/env python3
"""Namespaces of its own for a run of tests by root: processes, mounts, network. So two runs at the same time have each
its own ports, and whatever a run that is killed had started or mounted goes with it.

usage: isolation.py DIR COMMAND...: runs that so, with nothing to write to but its own /tmp, /run and /var/tmp, which lie
in DIR: what is wrong on purpose can do no harm.
"""

import atexit
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
PR_SET_PDEATHSIG = 1
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


def mount(source, target, kind, flags):
    checked(libc.mount(source, target, kind, ctypes.c_ulong(flags), None), f"mount {target}")


def dies_with_parent():
    checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def forward_end(child):
    """Ends as `child` does, which ends at once if we are told to end."""
    def end(*_):
        os.kill(child, signal.SIGKILL)
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal: for the tests, which end by it
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def seal(directory):
    for place in ("tmp", "run", "var/tmp"):
        own = os.path.join(directory, place)
        os.makedirs(own, exist_ok=True)
        os.chmod(own, 0o755 if place == "run" else 0o1777)
        mount(own.encode(), f"/{place}".encode(), None, MS_BIND)
    mount(None, b"/", None, MS_REMOUNT | MS_BIND | MS_RDONLY)


def isolate():
    """What comes after it runs in namespaces of its own: 1. outside waits, 2. is PID 1 and reaps, 3. goes on."""
    if os.geteuid() != 0 or os.environ.get("CLAUDE_INIT_TEST_ISOLATED"):
        return
    os.environ["CLAUDE_INIT_TEST_ISOLATED"] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        checked(libc.unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET), "unshare")
    except OSError:
        return  # a container without the right to: there the container is what goes
    # 1.
    if child := os.fork():
        forward_end(child)
    # 2.
    dies_with_parent()
    mount(b"none", b"/", None, MS_REC | MS_PRIVATE)
    mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(b"memory", b"/dev/shm", b"tmpfs", MS_NOSUID | MS_NODEV)
    loopback_up()
    if child := os.fork():
        forward_end(child)
    # 3.
    dies_with_parent()


def isolate_temporary_files():
    """Each pytest that starts takes every other user's right to enter /tmp/pytest-of-root away, in the middle of a test
    that needs it: this one gets a root of its own."""
    root = tempfile.mkdtemp(prefix="claude-init-tests-")
    os.chmod(root, 0o755)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = root
    atexit.register(shutil.rmtree, root, ignore_errors=True)


if __name__ == "__main__":
    isolate()
    seal(sys.argv[1])
    os.setsid()  # the group outside is none that it could know
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as it was before nohup
    os.execvp(sys.argv[2], sys.argv[2:])
