"""A command of another user on the terminal of root's shell types into it: what the shell would read and execute when
claude-init has ended. Needs a kernel that has TIOCSTI (sysctl dev.tty.legacy_tiocsti), else only the answer is seen."""

import os
import pty
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from harness import BINARY
from sessions import login

# Every way to make the call: as the C library does, with bits above those that the kernel looks at, by the numbers of
# x32, and as a program of 32 bits. What each answers is written down: 0, or an errno.
TYPING = r"""
import ctypes, mmap, os, signal
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
terminal = os.open("/dev/tty", os.O_RDWR)
page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
text = ctypes.addressof(ctypes.c_char.from_buffer(page))
def answer(number, request, byte):
    page[2048:2049] = byte
    return 0 if libc.syscall(ctypes.c_long(number), terminal, ctypes.c_ulong(request), ctypes.c_void_p(text + 2048)) == 0 else ctypes.get_errno()
def answer_32(request, byte):
    page[:14], page[2048:2049] = bytes.fromhex("53b83600000089fb89f1cd805bc3"), byte  # int 0x80
    call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)(text)
    return -call(terminal, request, text + 2048)
STI, LINUX = 0x5412, 0x541C
print("plain", [answer(NUMBER, STI, bytes([c])) for c in b"id\n"])
print("upper", [answer(NUMBER, STI | 1 << 32, bytes([c])) for c in b"id\n"])
print("linux", [answer(NUMBER, LINUX, b"\x03")])
print("other", [answer(NUMBER, 0x5413, b"\0")])
if NUMBER == 16:
    print("x32", [answer(0x40000000 | n, STI, b"x") for n in (16, 514)])
    if os.fork() == 0:
        print("i386", [answer_32(STI, bytes([c])) for c in b"id\n"], flush=True)
        os._exit(0)
    os.wait()
""".replace("NUMBER", "16" if os.uname().machine == "x86_64" else "29")

# A shell in short: runs its command line on its terminal, and then reads what has been typed.
SHELL = """
import os, subprocess, sys, termios
ended = subprocess.run(sys.argv[1:]).returncode
modes = termios.tcgetattr(0)
modes[3] &= ~(termios.ICANON | termios.ECHO)
termios.tcsetattr(0, termios.TCSANOW, modes)
os.set_blocking(0, False)
try:
    typed = os.read(0, 4096)
except BlockingIOError:
    typed = b""
print("ended", ended, "typed", typed)
"""


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.mark.parametrize("words", [["run"], ["run", "--exec"], ["run", "--allow-new-privileges"], ["setup"]], ids=" ".join)
def test_a_job_of_another_user_cannot_type_into_the_shell_that_started_it(place, words):
    if os.geteuid() != 0:
        pytest.skip("becomes another user")
    store, home = place / "store", place / "home"
    store.mkdir(mode=0o700)
    home.mkdir(mode=0o700)
    os.chown(home, 1000, 1000)
    (store / ".credentials.json").write_text(login("a"))
    binary = shutil.copy(BINARY, place)
    (place / "typing.py").write_text(TYPING)
    line = [binary, *words, "--user", "1000", "--store", store, "--", sys.executable, "-S", place / "typing.py"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update({"HOME": str(home), "XDG_RUNTIME_DIR": str(place)})
        os.execv(sys.executable, [sys.executable, "-c", SHELL, *map(str, line)])
    said = b""
    try:
        while chunk := os.read(terminal, 65536):
            said += chunk
    except OSError:  # the other side has gone
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    said = said.decode()
    answers = {line.split()[0]: line.split(" ", 1)[1].strip() for line in said.splitlines() if " [" in line}
    assert "typed b''" in said, said
    assert answers["plain"] == "[1, 1, 1]" and answers["upper"] == "[1, 1, 1]" and answers["linux"] == "[1]", said
    assert answers["other"] == "[0]", said
    assert answers.get("i386", "[-1, -1, -1]") in ("[1, 1, 1]", "[-1, -1, -1]"), said
    assert set(answers.get("x32", "[1, 1]").strip("[]").split(", ")) <= {"1", "38"}, said


def test_the_filter_is_only_where_there_is_a_terminal(place):
    """Nothing else is filtered: a system call costs what it always did."""
    store = place / "store"
    store.mkdir(mode=0o700)
    (store / ".credentials.json").write_text(login("a"))
    binary = shutil.copy(BINARY, place)
    run = subprocess.run(["setsid", "--wait", binary, "run", "--user", "1000", "--store", store, "--", "grep", "^Seccomp:",
                          "/proc/self/status"], env={"PATH": "/usr/bin:/bin", "HOME": "/", "XDG_RUNTIME_DIR": str(place)},
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    outside = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Seccomp:"))
    assert run.stdout.strip() == outside, run.stderr
