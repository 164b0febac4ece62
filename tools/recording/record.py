#!/usr/bin/python3
"""Record README's terminal: record.py CLAUDE-INIT CLAUDE

Types the quick start into a real terminal, with the real CLI and the stand-in of its server (tests/e2e/rig), and writes
docs/images/quick-start.cast (asciinema, version 2) and docs/images/quick-start.svg. Needs root, for the stand-in's
network namespace, and Debian's python3-pyte.
"""

import html
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyte

TOP = Path(__file__).resolve().parents[2]
IMAGES = TOP / "docs/images"
COLUMNS, ROWS = 100, 30
PROMPT = "\x1b[32m$\x1b[0m "
PATIENCE = 120
STEP, END = 0.25, 5.0  # seconds: between two frames, and for the last one
FONT, LINE, CELL, MARGIN = 14, 19, 8.43, 16  # pixels
COLORS = {"green": "g", "brown": "y", "red": "r"}
# What is typed, and what its output ends with.
SESSION = [
    ("(umask 077; openssl rand -hex 32 > ~/hub.key)  # seals the login at rest", r"\$ $"),
    ("export CLAUDE_INIT_SEAL_KEY=~/hub.key", r"\$ $"),
    ("claude-init setup            # 1. opens a shell to log in", r"\$ $"),
    ("claude auth login", r"(?i)success[^\r\n]*[\r\n][^$]*\$ $"),
    ("exit", r"Saved the login.*\$ $"),
    ("claude-init keep --publish ~/published 2>keeper.log &   # 2. keeps the login alive", r"\$ $"),
    ("unset CLAUDE_INIT_SEAL_KEY; export CLAUDE_INIT_STORE=~/published", r"\$ $"),
    ('claude-init run --wait-login -- claude --print "hello"  # 3. in as many jobs as you like', r"ANSWER.*\$ $"),
    ("claude-init health", r"usable.*\$ $"),
]
# The stand-in has no browser: `auth login` takes the token that a person would get from the page.
SHIM = """#!/bin/sh
if [ "$*" = "auth login" ]; then
  CLAUDE_CODE_OAUTH_SCOPES="user:inference user:profile"
  CLAUDE_CODE_OAUTH_REFRESH_TOKEN=$(curl -s --cacert "$RIG_CA" -X POST "$RIG_URL/_admin/mint" |
    jq -r .claudeAiOauth.refreshToken)
  export CLAUDE_CODE_OAUTH_SCOPES CLAUDE_CODE_OAUTH_REFRESH_TOKEN
fi
exec {cli} "$@"
"""


class Recorder:
    """A shell on a terminal, and all that it writes with its time."""

    def __init__(self, command, environment, directory):
        self.events, self.screen_text, self.start = [], "", time.monotonic()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            subprocess.run(["stty", "cols", str(COLUMNS), "rows", str(ROWS), "-echoctl"], check=True)
            os.execve(command[0], command, environment)

    def read(self, until):
        """Waits until what was written since the last call ends so."""
        seen, deadline = "", time.monotonic() + PATIENCE
        while not re.search(until, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen), re.DOTALL):
            ready, _, _ = select.select([self.terminal], [], [], deadline - time.monotonic())
            if not ready:
                sys.exit(f"nothing more came after:\n{seen}")
            text = os.read(self.terminal, 65536).decode(errors="replace")
            seen += text
            self.events.append((time.monotonic() - self.start, text))

    def type(self, line):
        for letter in line:
            os.write(self.terminal, letter.encode())
            self.read(re.escape(letter) + r"\s*$" if letter != " " else r"")
            time.sleep(0.03)
        os.write(self.terminal, b"\r")


def record(binary, cli):
    with tempfile.TemporaryDirectory(prefix="recording-") as name:
        home = Path(name)
        programs = home / "bin"
        programs.mkdir()
        shutil.copy2(binary, programs / "claude-init")
        (programs / "claude").write_text(SHIM.replace("{cli}", str(cli)), encoding="utf-8")
        (programs / "claude").chmod(0o755)
        setting = {"HOME": str(home), "PS1": PROMPT, "SHELL": "/bin/bash", "TERM": "xterm-256color",
                   "PATH": f"{programs}:/usr/bin:/bin:/usr/sbin:/sbin"}
        shell = ('export NODE_EXTRA_CA_CERTS="$RIG_CA"; cd "$HOME"; '
                 'bash -i; kill $(jobs -p) 2>/dev/null; pkill --session 0 claude-init')
        (home / ".bashrc").write_text(f"PS1='{PROMPT}'\n", encoding="utf-8")
        recorder = Recorder([str(TOP / "tests/e2e/rig/with-endpoint"), "bash", "-c", shell],
                            {**setting, "RIG_PASS": "HOME PS1 SHELL"}, name)
        recorder.read(r"\$ $")
        recorder.events, recorder.start = [(0.0, PROMPT)], time.monotonic()
        for line, until in SESSION:
            time.sleep(0.8)
            recorder.type(line)
            recorder.read(until)
        time.sleep(1)
        os.write(recorder.terminal, b"\x15kill %1; exit\r")
        os.waitpid(recorder.pid, 0)
        return [(at, text.replace(name, "/home/you")) for at, text in recorder.events]


def frames_of(events):
    """(time, rows) of what the screen shows, each for a quarter of a second or longer; a row is a list of cells."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream, frames = pyte.Stream(screen), []
    for number, (at, text) in enumerate(events):
        stream.feed(text)
        if number + 1 < len(events) and events[number + 1][0] < (frames[-1][0] if frames else -1) + STEP:
            continue
        rows = [[(cell.data, cell.fg, cell.bold) for cell in (screen.buffer[y][x] for x in range(COLUMNS))]
                for y in range(ROWS)]
        if not frames or frames[-1][1] != rows:
            frames.append((at, rows))
    return frames


def markup(row):
    """A row as SVG text; "" where it is empty."""
    text = "".join(cell[0] for cell in row).rstrip()
    parts, at = [], 0
    while at < len(text):
        style, begin = row[at][1:], at
        while at < len(text) and row[at][1:] == style:
            at += 1
        words = html.escape(text[begin:at], quote=False)
        color, bold = style
        classes = " ".join(name for name in (COLORS.get(color, ""), "b" if bold else "") if name)
        parts.append(f'<tspan class="{classes}">{words}</tspan>' if classes else words)
    return "".join(parts)


def svg(frames, length):
    used = max(y for _, rows in frames for y, row in enumerate(rows) if markup(row)) + 1
    width, height = 2 * MARGIN + COLUMNS * CELL, 2 * MARGIN + used * LINE
    lines, shown, moments = {}, [], []
    for number, (at, rows) in enumerate(frames):
        end = frames[number + 1][0] if number + 1 < len(frames) else length
        uses = "".join(f'<use href="#{lines.setdefault(text, f"l{len(lines)}")}" y="{y * LINE}"/>'
                       for y, text in enumerate(map(markup, rows)) if text)
        shown.append(f'<g style="animation-name:f{number}">{uses}</g>')
        start, stop = 100 * at / length, 100 * end / length
        last = number + 1 == len(frames)
        before = f"0%,{start:.3f}%{{visibility:hidden}}" if number else ""
        after = "" if last else f"{stop:.3f}%,to{{visibility:hidden}}"
        moments.append(f"@keyframes f{number}{{{before}{start + (0.001 if number else 0):.3f}%,"
                       f"{'to' if last else f'{stop - 0.001:.3f}%'}{{visibility:visible}}{after}}}")
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-labelledby="t d">',
        '<title id="t">Log in once, keep the login alive, run a job</title>',
        '<desc id="d">A terminal: claude-init setup saves the login, claude-init keep renews and publishes it, '
        "claude-init run answers a prompt without asking for a login, claude-init health reports it usable.</desc>",
        "<style>",
        f"text{{font:{FONT}px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;fill:#e6edf3;white-space:pre}}",
        ".g{fill:#3fb950}.y{fill:#d29922}.r{fill:#f85149}.d{fill:#9198a1}.b{font-weight:bold}",
        f"g{{animation:{length:.1f}s step-end infinite;visibility:hidden}}",
        # Who wants no motion sees the end.
        "@media (prefers-reduced-motion:reduce){g{animation:none!important}g:last-of-type{visibility:visible}}",
        *moments,
        "</style>",
        f'<rect width="100%" height="100%" rx="8" fill="#0d1117" stroke="#3d444d"/>',
        "<defs>",
        *(f'<text id="{name}" x="{MARGIN}" y="{MARGIN + FONT}" xml:space="preserve">{text}</text>'
          for text, name in lines.items()),
        "</defs>",
        *shown,
        "</svg>",
        ""])


def main():
    if len(sys.argv) != 3 or os.getuid() != 0:
        sys.exit("usage, as root: record.py CLAUDE-INIT CLAUDE")
    binary, cli = (Path(word).resolve() for word in sys.argv[1:])
    events = record(binary, cli)
    length = events[-1][0] + END
    head = {"version": 2, "width": COLUMNS, "height": ROWS, "title": "claude-init: log in once"}
    cast = [json.dumps(head)] + [json.dumps([round(at, 3), "o", text]) for at, text in events]
    (IMAGES / "quick-start.cast").write_text("\n".join(cast) + "\n", encoding="utf-8")
    (IMAGES / "quick-start.svg").write_text(svg(frames_of(events), length), encoding="utf-8")


if __name__ == "__main__":
    main()
