"""A job that fills the pipe or terminal on which we log, just after we have seen room in it: a line is dropped, and
nothing waits for it."""

import fcntl
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import termios

import pytest
from harness import BINARY, PATIENCE, SANITIZED, eventually

# At each USR1 that we pass on: it takes the room that we have just seen, and waits for more of it.
JOB = """
import os, signal, threading, time
def fill(*_):
    time.sleep(0.1)
    threading.Thread(target=os.write, args=(2, b"x" * (1 << 20)), daemon=True).start()
signal.signal(signal.SIGUSR1, fill)
print("ready", flush=True)
while True:
    signal.pause()
"""


def a_pipe():
    out, into = os.pipe()
    fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4096)
    return out, into


def a_pipe_of_another_user():
    """Which we must not open: we ask the kernel not to wait."""
    return a_pipe()


def a_socket():
    """As systemd gives it to services."""
    return [end.detach() for end in socket.socketpair()]


def a_terminal():
    """Not a controlling one: PID 1 is in a session of its own."""
    out, into = pty.openpty()
    modes = termios.tcgetattr(into)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(into, termios.TCSANOW, modes)
    return out, into


def drain(out):
    os.set_blocking(out, False)
    try:
        while os.read(out, 65536):
            pass
    except BlockingIOError:
        pass


def has_room(into):
    poller = select.poll()
    poller.register(into, select.POLLOUT)
    return bool(poller.poll(0))


def kernel_can_write_without_waiting():
    """As from Linux 6.4 on, for pipes."""
    out, into = os.pipe()
    try:
        return os.pwritev(into, [b"x"], -1, os.RWF_NOWAIT) == 1
    except OSError:
        return False
    finally:
        os.close(out)
        os.close(into)


# A sanitizer that looks for leaks cannot do so under strace, and writes that to the stream.
LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"} if SANITIZED else {}
STREAMS = [a_pipe, a_socket, a_terminal, *([a_pipe_of_another_user] if kernel_can_write_without_waiting() else [])]


@pytest.mark.parametrize("stream", STREAMS)
def test_a_stream_that_the_job_fills_between_look_and_write_does_not_hold_us_up(host, stream):
    out, into = stream()
    as_user = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"] if stream == a_pipe_of_another_user else []
    process = subprocess.Popen([*as_user, BINARY, "init", "--log-level=debug", "--", sys.executable, "-S", "-c", JOB],
                               env={**host.environment, **LEAKS}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=into,
                               start_new_session=True)
    host.started.append(process)
    assert process.stdout.readline() == b"ready\n"
    # Every look for room is answered half a second late.
    tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", "trace=?poll,?ppoll", "-e",
                               "inject=?poll,?ppoll:delay_exit=500000", "-p", str(process.pid)], stdin=subprocess.DEVNULL)
    host.started.append(tracer)
    eventually(lambda: f"TracerPid:\t{tracer.pid}\n" in open(f"/proc/{process.pid}/status").read(), "strace", PATIENCE)
    for _ in range(3):
        drain(out)
        process.send_signal(signal.SIGUSR1)
        eventually(lambda: not has_room(into), "the job fills it", PATIENCE)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    assert not fcntl.fcntl(into, fcntl.F_GETFL) & os.O_NONBLOCK, "what others have, too, has become non-blocking"
    os.close(out)
    os.close(into)

