"""A keeper on a host of its own, with a script in the CLI's place."""

import json
import os
import signal
import subprocess
import sys

from harness import BINARY, HELPERS, NAMESPACE, PATIENCE, eventually, family, init_of, supervises


def publish(store, published, environment, log, wrapper=()):
    """What the store has now: a keeper publishes when it starts, and once more when it ends. Its exit status."""
    process = subprocess.Popen([*wrapper, BINARY, "keep", f"--store={store}", f"--publish={published}", "--renew=never"],
                               env=environment, stdin=subprocess.DEVNULL, stderr=log.open("w"))
    try:
        eventually(lambda: "keeping stores=1" in log.read_text(), "the keeper's start")
        eventually(lambda: supervises(family(process.pid)[0]), "supervision, after the start")
        os.kill(family(process.pid)[0], signal.SIGTERM)
        return process.wait(PATIENCE)
    finally:
        if process.poll() is None:
            for pid in family(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait()


class Keeping:
    """Stores in one temporary directory, the renewing command of all of them, and at most one keeper at a time."""

    def __init__(self, path):
        self.path, self.log = path, path / "log"
        self.command, self.home = path / "command", path / "keepers-home"
        for directory in (self.command, self.home):
            directory.mkdir()
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home)}
        self.process, self.pid = None, None
        self.mode("renewed")

    def mode(self, *words):
        (self.command / "new").write_text(" ".join(map(str, words)))
        (self.command / "new").rename(self.command / "mode")

    def install_cli(self, version):
        """The stand-in as `claude` on the PATH, a version of it."""
        cli = self.path / "bin/claude"
        cli.parent.mkdir(exist_ok=True)
        cli.write_text(f"""#!/bin/sh
if [ "$*" = --version ]; then echo '{version} (Claude Code)'; exit; fi
exec {sys.executable} -S {HELPERS}/renew_command.py {self.command} "$@"
""")
        cli.chmod(0o755)
        self.environment["PATH"] = f"{cli.parent}:/usr/bin:/bin"

    def calls(self):
        try:
            return [json.loads(line) for line in (self.command / "calls").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def renewals(self, count):
        return eventually(lambda: len(self.calls()) >= count, f"{count} calls of the renewing command")

    def store(self, name="dev", text=None):
        directory = self.path / name
        directory.mkdir(mode=0o700, exist_ok=True)
        if text is not None:
            self.put(text, name)
        return directory

    def put(self, text, name="dev"):
        """As somebody who logs in does: the file is replaced."""
        new = self.path / name / ".credentials.json.tmp.x"
        new.write_text(text)
        new.chmod(0o600)
        new.rename(self.path / name / ".credentials.json")

    def token(self, name="dev"):
        try:
            text = (self.path / name / ".credentials.json").read_text()
            return json.loads(text)["claudeAiOauth"]["accessToken"].removeprefix("sk-ant-oat01-FAKE")
        except (FileNotFoundError, ValueError):
            return None

    def has_token(self, token, name="dev"):
        return eventually(lambda: self.token(name) == token, f"the token {token} in {name}")

    def start(self, *options, pid1=True, stores=("dev",), wrapper=(), renew=None):
        """`renew`: the options for another renewing command than the stand-in by its own name."""
        words = [f"--store={name}={self.path / name}" for name in stores]
        if renew is None:
            renew = [f"--renew-command={sys.executable} -S {HELPERS}/renew_command.py {self.command}"]
        self.process = subprocess.Popen(
            [*wrapper, *(NAMESPACE if pid1 else []), BINARY, "keep", *words, *renew, *map(str, options)],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log.open("a"))
        self.pid = init_of(self.process.pid) if pid1 else self.process.pid
        return self

    def said(self):
        return self.log.read_text()

    def says(self, text, times=1):
        eventually(lambda: self.said().count(text) >= times, f"{text!r}, {times} times, in\n{self.said()}")

    def stop(self, number=signal.SIGTERM):
        """The exit status, and all that was said."""
        eventually(lambda: supervises(self.pid), "supervision, after the start")
        os.kill(self.pid, number)
        code = self.process.wait(PATIENCE)
        return (code if code >= 0 else 128 - code), self.said()

    def end(self):
        if self.process and self.process.poll() is None:
            for pid in family(self.process.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
