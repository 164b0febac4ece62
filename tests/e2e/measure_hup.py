#!/usr/bin/python3
"""Measures what HUP, TERM and a closed terminal do to the real CLI while it renews its login.

usage: measure_hup.py CLAUDE [ROUNDS]

CLAUDE is the CLI's own binary, without a shell in between. Natively, with the stand-in in a network namespace of
its own (needs root); prints a Markdown table, which docs/supervision.md has. A row is one way to use the CLI, one
signal and one latency of the token endpoint. In each round:

1. A new login whose access token has expired, in a home of its own.
2. The CLI is started and renews; the signal is sent as soon as the endpoint has the request.
3. The endpoint answers after its latency, heard or not: the old refresh token is spent.
4. Two seconds after both have ended: what the file holds, and whether the CLI answers with it once more.
"""

import json
import os
import pty
import select
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

LATENCIES = [0.5, 1.5, 2.0, 3.0]
PATIENCE = 30
SIGNALS = {"print": ["HUP", "TERM", "TERM HUP"], "interactive": ["HUP", "TERM", "TERM HUP", "closed terminal"]}
COMMANDS = {"print": ["--print", "hello"], "interactive": []}
ANSWER = "CANNED-ANSWER"


def admin(path, method="GET"):
    context = ssl.create_default_context(cafile=os.environ["RIG_CA"])
    request = urllib.request.Request(f"{os.environ['RIG_URL']}/_admin/{path}", method=method)
    with urllib.request.urlopen(request, context=context) as answer:
        return json.load(answer)


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


def refreshes(*counters):
    stats = admin("stats")
    return sum(stats[counter] for counter in counters)


class Cli:
    """The CLI on a terminal of its own, in a home with one login."""

    def __init__(self, binary, login, home):
        self.binary, self.home = binary, Path(home)
        self.credentials = self.home / ".claude/.credentials.json"
        self.credentials.parent.mkdir()
        self.credentials.write_text(json.dumps(login), encoding="utf-8")
        self.credentials.chmod(0o600)
        settings = {"hasCompletedOnboarding": True, "projects": {home: {"hasTrustDialogAccepted": True}}}
        (self.home / ".claude.json").write_text(json.dumps(settings), encoding="utf-8")
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": home, "TERM": "xterm-256color", "DISABLE_AUTOUPDATER": "1",
                            "NODE_EXTRA_CA_CERTS": os.environ["RIG_CA"]}

    def start(self, arguments):
        self.pid, terminal = pty.fork()
        if self.pid == 0:
            os.chdir(self.home)
            os.execve(self.binary, ["claude", *arguments], self.environment)
        hung_up, self.window = os.pipe()
        threading.Thread(target=self.watch, args=[terminal, hung_up], daemon=True).start()

    @staticmethod
    def watch(terminal, hung_up):
        """A screen that nobody looks at, until its window is closed; closed only here, as a descriptor that
        another thread reads from stays open."""
        try:
            while hung_up not in select.select([terminal, hung_up], [], [])[0]:
                os.read(terminal, 65536)
        except OSError:
            pass
        os.close(terminal)

    def send(self, what):
        if what == "closed terminal":
            # As when the window goes: the kernel sends HUP to the session's leader, and nothing can be written.
            os.write(self.window, b"x")
        else:
            for name in what.split():
                os.kill(self.pid, getattr(signal, f"SIG{name}"))

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                return "does not end"
            time.sleep(0.01)

    def left(self, login):
        """What is in the file now, compared with what was in it before."""
        try:
            now = json.loads(self.credentials.read_text(encoding="utf-8"))["claudeAiOauth"]
        except (OSError, ValueError, KeyError):
            return "no login"
        if not now.get("accessToken"):
            return "blanked"
        return "old" if now["refreshToken"] == login["claudeAiOauth"]["refreshToken"] else "new"

    def answers(self):
        result = subprocess.run([self.binary, "--print", "hello"], cwd=self.home, env=self.environment, timeout=60,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return ANSWER in result.stdout


def one_round(binary, mode, what):
    with tempfile.TemporaryDirectory(prefix="measure-hup-") as home:
        login = admin("mint?access_left=-60", "POST")  # 1
        cli = Cli(binary, login, home)
        begun, ended = refreshes("refresh_begun"), refreshes("refresh_ok")
        cli.start(COMMANDS[mode])  # 2
        wait_until(lambda: refreshes("refresh_begun") > begun, "the token request")
        sent = time.monotonic()
        cli.send(what)
        status = cli.wait()
        took = time.monotonic() - sent
        wait_until(lambda: refreshes("refresh_ok") > ended, "the token endpoint's answer")  # 3
        time.sleep(2)
        left = cli.left(login)  # 4
        return status, took, left, cli.answers()


def measure(binary, rounds):
    """One latency: the stand-in's, in whose namespace we are."""
    for mode, signals in SIGNALS.items():
        for what in signals:
            results = [one_round(binary, mode, what) for _ in range(rounds)]
            statuses, times, left, usable = zip(*results)
            print("|", " | ".join([mode, what, f"{os.environ['LATENCY']} s", tally(statuses),
                                   f"{min(times):.1f} to {max(times):.1f} s", tally(left),
                                   f"{sum(usable)} of {rounds}"]), "|", flush=True)


def tally(values):
    return ", ".join(f"{value} ({count})" if len(set(values)) > 1 else f"{value}"
                     for value, count in Counter(values).most_common())


def main():
    binary, rounds = os.path.realpath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    if "LATENCY" in os.environ:
        measure(binary, rounds)
        return
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True, env={"HOME": "/nonexistent"})
    print(f"{version.stdout.strip()}, {rounds} rounds a row\n")
    print("| CLI | sent | latency | status | ended after | login in the file | CLI answers with it |")
    print("|---|---|---|---|---|---|---|", flush=True)
    rig = shutil.which("with-endpoint", path=str(Path(__file__).resolve().parent / "rig"))
    for latency in LATENCIES:
        environment = {**os.environ, "DELAY": str(latency), "LATENCY": str(latency), "RIG_PASS": "LATENCY"}
        subprocess.run([rig, "/usr/bin/python3", "-B", __file__, binary, str(rounds)], env=environment, check=True)


if __name__ == "__main__":
    main()
