"""Blocks every signal, says "ready", and writes a line for each one that it gets: "NUMBER VALUE", VALUE being "-" for
one that was not sent by sigqueue. "--also-child": a second process in the same group does the same, its lines
beginning with "second". Ends when it is killed, or with the first signal given as "--end=N"."""

import ctypes
import os
import signal
import sys

SI_QUEUE = -1
libc = ctypes.CDLL(None)


def say(text):
    os.write(1, (text + "\n").encode())


everything = ctypes.create_string_buffer(b"\xff" * 128, 128)
# The system call itself: the library's function leaves out two signals.
libc.syscall(14, signal.SIG_SETMASK, everything, None, ctypes.c_size_t(8))
name = ""
if "--also-child" in sys.argv and os.fork() == 0:
    name = "second "
end = next((int(a[6:]) for a in sys.argv if a.startswith("--end=")), 0)
say(name + "ready")
info = ctypes.create_string_buffer(128)
while True:
    number = libc.syscall(128, everything, info, None, ctypes.c_size_t(8))
    if number < 0 or number == signal.SIGCHLD:
        continue
    code = ctypes.c_int.from_buffer(info, 8).value
    value = ctypes.c_int.from_buffer(info, 24).value
    say(f"{name}{number} {value if code == SI_QUEUE else '-'}")
    if number == end:
        sys.exit(0)
