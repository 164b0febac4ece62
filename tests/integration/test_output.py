"""Output and progress of the subcommands: on a terminal, elsewhere, and where it cannot be written."""

import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest
from harness import BINARY, PATIENCE, STRACE
from places import place  # noqa: F401  pylint: disable=unused-import


@pytest.mark.parametrize("words", [("health",), ("health", "--format=json"), ("history",), ("--help",), ("--version",)])
def test_an_output_that_cannot_be_written_is_said(place, words):
    place.fill()
    assert place.capture()[0] == 0
    store = [] if words[0].startswith("-") else ["--store", place.store]
    with open("/dev/full", "wb", buffering=0) as full:
        done = subprocess.run([BINARY, *words, *store], env=place.environment, stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert done.returncode == 72 and "write the output: No space left" in done.stderr, done
    reader, writer = os.pipe()
    os.close(reader)  # a pager that was left
    with open(writer, "wb") as pipe:
        done = subprocess.run([BINARY, *words, *store], env=place.environment, stdout=pipe, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    done = subprocess.run([BINARY, *words, *store], env=place.environment, stdout=subprocess.DEVNULL, text=True,
                          stderr=subprocess.PIPE, check=False, preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, ""), done


def test_an_output_that_somebody_made_non_blocking_is_waited_for(place):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled = os.write(writer, b"x" * (1 << 20))
    with subprocess.Popen([BINARY, "run", "--help-all"], env=place.environment, stdout=writer, stderr=subprocess.PIPE) as help_:
        os.close(writer)
        with pytest.raises(subprocess.TimeoutExpired):
            help_.wait(0.3)
        with open(reader, "rb") as pipe:
            said = pipe.read()[filled:]
        assert help_.wait(PATIENCE) == 0 and help_.stderr.read() == b""
    assert said.startswith(b"claude-init run - ") and said.endswith(b"\n") and b"--log-format" in said


# Each file of a copy takes 8 ms and more, whatever the machine does besides.
SLOWLY = [*STRACE, "-f", "-e", "trace=utimensat", "-e", "inject=utimensat:delay_enter=8000"]


def on_a_terminal(place, *words):
    """What the command, copying slowly, shows on a terminal."""
    if not shutil.which(SLOWLY[0]):
        pytest.skip("strace is not installed")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(SLOWLY[0], [*SLOWLY, BINARY, *map(str, words)], place.environment)
    shown = b""
    end = time.monotonic() + 4 * PATIENCE
    while True:
        assert select.select([terminal], [], [], max(0, end - time.monotonic()))[0], shown
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    return shown.decode()


def test_on_a_terminal_what_takes_long_shows_its_progress_and_clears_it(place):
    place.environment["TERM"] = "xterm"
    place.fill()
    (place.config / "projects/many").mkdir()
    for number in range(600):
        (place.config / f"projects/many/{number}").write_text("x")
    check_progress("capturing", on_a_terminal(place, "capture", "--from", place.config, "--store", place.store))
    target = place.store.parent / "target"
    check_progress("restoring", on_a_terminal(place, "restore", "--store", place.store, "--to", target))


def check_progress(what, shown):
    lines = re.findall(rf"\r\x1b\[K({what}: \d+ of \d+ files, [^\r]*)", shown)
    assert any("/s" in line and "left" in line for line in lines), shown[-500:]
    rest = shown[shown.rindex(f"{what}: "):]
    assert "\r\x1b[K" in rest, "it is cleared"


def test_elsewhere_there_is_one_line_in_the_log(place):
    place.fill()
    status, out, err = place.capture("--log-level", "info")
    assert status == 0 and out == ""
    assert len([line for line in err.splitlines() if "captured" in line and "took=" in line]) == 1
    assert "\x1b" not in err
