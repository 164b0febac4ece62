"""Sessions (setup, run) on a host, with a shell script in the CLI's place, and the logins they are about."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness import BINARY, PATIENCE, family
from keeping import publish


def login(name, left=3600, account="1", refresh=True):
    oauth = {"accessToken": f"sk-ant-oat01-FAKE{name}", "expiresAt": int((time.time() + left) * 1000),
             "scopes": ["user:inference"], "accountUuid": account}
    if refresh:
        oauth["refreshToken"] = f"sk-ant-ort01-FAKE{name}"
    return json.dumps({"claudeAiOauth": oauth})


def project(directory=None):
    """What the CLI calls the directory that holds the sessions of a working directory."""
    return re.sub(r"[^a-zA-Z0-9]", "-", str(directory or os.getcwd()))


class Host:
    """A home, a store and a place for working copies, all in one temporary directory."""

    def __init__(self, path):
        self.path, self.home, self.store = path, path / "home", path / "store"
        self.place = path / "run"
        for directory in (self.home, self.store, self.place):
            directory.mkdir(mode=0o700)
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.place)}
        self.started, self.mounted = [], []
        self.keeper_log = path / "keeper.log"

    def put(self, text):
        path = self.store / ".credentials.json"
        path.write_text(text)
        path.chmod(0o600)

    def token(self):
        """The access token in the store, without what all have in common."""
        try:
            text = (self.store / ".credentials.json").read_text()
        except FileNotFoundError:
            return None
        return json.loads(text)["claudeAiOauth"]["accessToken"].removeprefix("sk-ant-oat01-FAKE")

    def start(self, subcommand, script, *options, wrapper=(), user=os.geteuid()):
        """A session whose command is a shell script; it can `put NAME` a login into its state, atomically. `wrapper`
        is a command line that runs what follows it."""
        environment = {**self.environment, **getattr(self, "logins", {})}
        put = 'put() { eval "printf %s \\"\\$login_$1\\"" > "$CLAUDE_CONFIG_DIR/x" && mv "$CLAUDE_CONFIG_DIR/x" "$CLAUDE_CONFIG_DIR/.credentials.json"; }; '
        process = subprocess.Popen(
            [*wrapper, BINARY, subcommand, "--user", str(user), "--store", self.store, *options, "--", "sh", "-c", put + script],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def session(self, subcommand, script, *options, **more):
        process = self.start(subcommand, script, *options, **more)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err

    def keep(self, *options):
        """A keeper of the store that renews nothing; what it says goes to a file."""
        process = subprocess.Popen([BINARY, "keep", "--store", self.store, "--renew=never", *map(str, options)],
                                   env=self.environment, stdin=subprocess.DEVNULL, stderr=self.keeper_log.open("w"))
        self.started.append(process)
        return process

    def publish(self, published):
        assert publish(self.store, published, self.environment, self.keeper_log) == 0, self.keeper_said()

    def keeper_said(self):
        return self.keeper_log.read_text()

    def copies(self):
        return sorted(entry.name for entry in self.place.iterdir())

    def make_read_only(self):
        if os.geteuid() != 0:
            pytest.skip("mounts a file system")
        subprocess.run(["mount", "--bind", "-o", "ro", self.store, self.store], check=True)
        self.mounted.append(self.store)

    def end(self):
        for process in self.started:
            if process.poll() is None:
                for pid in family(process.pid):
                    os.kill(pid, signal.SIGKILL)
                process.wait()
        for path in self.mounted:
            subprocess.run(["umount", path], check=True)
