"""A program on the terminal, by name:

raw     raw mode, mouse reporting, alternate screen, says "raw", waits to be killed
record  says "ready", then a line for each INT, QUIT, WINCH, HUP, TERM and CONT that it gets ("q" ends it)
stop    like the CLI on ^Z: raw mode; on ^Z cooked mode and SIGSTOP to itself, raw again on CONT ("q" ends it)
tty     reads a line from /dev/tty and says it
"""

import os
import signal
import sys
import termios
import tty

terminal = os.open("/dev/tty", os.O_RDWR)


def say(text):
    os.write(terminal, f"[{text}]\r\n".encode())


def raw():
    say("raw")
    tty.setraw(terminal)
    os.write(terminal, b"\033[?1049h\033[?1000h\033[?25l<in raw mode>")
    while True:
        signal.pause()


def record():
    for name in ("INT", "QUIT", "WINCH", "HUP", "TERM", "CONT"):
        signal.signal(getattr(signal, "SIG" + name), lambda n, _, name=name: say(name))
    say("ready")
    while True:
        try:
            if b"q" in os.read(terminal, 100):
                break
        except OSError:  # the terminal has gone
            break


def stop():
    cooked = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    say("ready")
    while True:
        key = os.read(terminal, 1)
        if key == b"\x1a":
            termios.tcsetattr(terminal, termios.TCSADRAIN, cooked)
            say("stopping")
            os.kill(os.getpid(), signal.SIGSTOP)
            tty.setraw(terminal)
            say("continued")
        elif key == b"q":
            break
        else:
            say("key " + key.decode())
    termios.tcsetattr(terminal, termios.TCSADRAIN, cooked)


def read_terminal():
    say("read " + os.read(terminal, 100).decode().strip())


{"raw": raw, "record": record, "stop": stop, "tty": read_terminal}[sys.argv[1]]()
