"""Ignores TERM and HUP, says "ready PID" and stays. "--setsid": in a session of its own, with a parent that ends at
once. "--on-term=TEXT": writes TEXT on TERM and ends."""

import os
import signal
import sys

options = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
if "setsid" in options:
    if os.fork():
        os._exit(0)
    os.setsid()


def on_term(*_):
    os.write(1, (options["on-term"] + "\n").encode())
    os._exit(0)


signal.signal(signal.SIGTERM, on_term if "on-term" in options else signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.write(1, f"ready {os.getpid()}\n".encode())
while True:
    signal.pause()
