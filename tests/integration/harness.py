"""Starts the binary under test and looks at it from outside. Nothing here sleeps to wait for something: it waits for
a line of output, for the state of a process, for an end of file."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
SANITIZED = os.path.isfile(BINARY) and b"__asan_init" in Path(BINARY).read_bytes()  # clang links it statically
HELPERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "helpers")
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
ALONE = ["unshare", "--mount", "--propagation", "private", os.path.join(HELPERS, "alone.sh")]
PATIENCE = 120  # seconds until a test that waits gives up, also on a machine that is busy
# Interferes with calls, quietly. What looks for leaks is a tracer too, and there can be only one.
STRACE = ["strace", "-qq", "-o", "/dev/null", "-E", "ASAN_OPTIONS=detect_leaks=0"]

libc = ctypes.CDLL(None, use_errno=True)


def helper(name, *arguments):
    """The command line of a Python program in helpers/."""
    return [sys.executable, "-S", os.path.join(HELPERS, name), *map(str, arguments)]


def eventually(condition, what, patience=PATIENCE):
    """Waits until condition() is true and returns its value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(0.005)


def quickly(seconds, attempt, tries=10):
    """That `attempt`, which returns the seconds it took, takes less than what is wrong would. Any one of them may meet
    a busy machine; what is wrong takes longer each time."""
    took = []
    while not took or took[-1] >= seconds:
        assert len(took) < tries, f"less than {seconds} s: {took}"
        took.append(attempt())


def took(action):
    """How many seconds."""
    before = time.monotonic()
    action()
    return time.monotonic() - before


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def family(pid):
    """`pid` and all its descendants, those first."""
    return [found for child in children(pid) for found in family(child)] + [pid]


def status(pid, key):
    """A field of /proc/PID/status; None when the process has gone."""
    try:
        with open(f"/proc/{pid}/status") as f:
            for line in f:
                if line.startswith(key + ":"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return None


def supervises(pid):
    """Of one that has begun its work: the loop takes its signals now, which end its start before at once, by 128+n."""
    return not int(status(pid, "SigCgt") or "0", 16) & 1 << signal.SIGTERM - 1


def state(pid):
    return (status(pid, "State") or "gone")[0]


def alive(pid):
    return state(pid) not in "gZX"


def reads_its_signals(pid):
    """Waits until it has taken what was sent to it."""
    eventually(lambda: (status(pid, "SigPnd"), status(pid, "ShdPnd")) == ("0" * 16,) * 2, "the signal was read")


def sigqueue(pid, number, value):
    if libc.sigqueue(ctypes.c_int(pid), ctypes.c_int(number), ctypes.c_void_p(value)) != 0:
        raise OSError(ctypes.get_errno(), "sigqueue")


def init_of(pid):
    """The process that execs the binary as PID 1, once it is that: the child of unshare."""
    return eventually(lambda: next((c for c in children(pid) if is_binary(c)), None), "claude-init as PID 1")


def is_binary(pid):
    try:
        return os.path.samefile(f"/proc/{pid}/exe", BINARY)
    except OSError:
        return False


class Init:
    """`claude-init init` with its standard output on a pipe. `pid` is claude-init's own, seen from outside."""

    def __init__(self, command, *options, pid1=True, wait=True, mount_proc=True, wrapper=(), **more):
        line = [*wrapper, BINARY, "init", *map(str, options), "--", *command]
        namespace = [word for word in NAMESPACE if mount_proc or word != "--mount-proc"] if pid1 else []
        self.process = subprocess.Popen(
            namespace + line, stdin=more.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
            stderr=more.pop("stderr", subprocess.PIPE), **more)
        self.pid1 = pid1
        self.buffer = b""
        self.pid = (init_of(self.process.pid) if pid1 else self.process.pid) if wait else None

    def line(self, patience=PATIENCE):
        """The next line that the command writes, without its end; None at the end of file."""
        end = time.monotonic() + patience
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, f"no line within {patience} s; so far {self.buffer!r}"
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def expect(self, text):
        line = self.line()
        assert line == text, f"expected {text!r}, got {line!r}"

    def no_line(self, for_seconds=0.2):
        """Asserts that nothing more is written for a while: the only way to see that something does not happen."""
        ready, _, _ = select.select([self.process.stdout], [], [], for_seconds)
        assert not self.buffer and not ready, f"unexpected output: {self.buffer!r}"

    def child(self):
        """The main child, seen from outside."""
        return eventually(lambda: next(iter(children(self.pid)), None), "a child")

    def kill(self, number=signal.SIGTERM):
        os.kill(self.pid, number)

    def wait(self, patience=PATIENCE):
        """The exit status, as a shell would show it."""
        code = self.process.wait(patience)
        return code if code >= 0 else 128 - code

    def errors(self):
        return self.process.stderr.read().decode()

    def destroy(self):
        if self.process.poll() is None:
            # Without a PID namespace of its own nothing ends with it.
            for pid in family(self.process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
