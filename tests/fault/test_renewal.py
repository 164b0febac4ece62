"""A renewal, claude-init's part of it, killed before each of its system calls: the login survives. The renewing command
is a script, and the server a file with the only refresh token that it still accepts: one that is presented twice ends
the login for good, as it would with reuse detection."""

import collections
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import sample, whole_login

DRIVER = os.environ.get("RENEWAL_DRIVER", "")
pytestmark = [
    pytest.mark.skipif(not os.access(DRIVER, os.X_OK), reason="RENEWAL_DRIVER is not set to an executable"),
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace(1)"),
]

# Presents the refresh token rN; accepted, it becomes r(N+1) there and in the file. It is not killed with claude-init.
COMMAND = r"""
n=$(sed 's/.*FAKE-r\([0-9]*\).*/\1/' "$CLAUDE_CONFIG_DIR/.credentials.json")
if [ "$n" != "$(cat SERVER)" ]; then echo reuse > SERVER; exit 1; fi
m=$((n + 1)); echo $m > SERVER
sed "s/FAKE-\([ar]\)$n/FAKE-\1$m/g; s/\"expiresAt\": *0/\"expiresAt\":9000000000000/" "$CLAUDE_CONFIG_DIR/.credentials.json" > "$CLAUDE_CONFIG_DIR/t"
mv "$CLAUDE_CONFIG_DIR/t" "$CLAUDE_CONFIG_DIR/.credentials.json"
"""


class World:
    def __init__(self, root, sealed):
        self.sealed = ["sealed"] if sealed else []
        self.root, self.store = root, os.path.join(root, "store")
        self.server, self.script = os.path.join(root, "server"), os.path.join(root, "renew.sh")
        with open(self.script, "w") as file:
            file.write(COMMAND.replace("SERVER", self.server))

    def reset(self):
        shutil.rmtree(self.store, ignore_errors=True)
        os.mkdir(self.store, 0o700)
        with open(os.path.join(self.store, ".credentials.json"), "w") as file:
            json.dump({"claudeAiOauth": {"accessToken": "FAKE-a1", "refreshToken": "FAKE-r1", "scopes": ["user:inference"],
                                         "expiresAt": int(time.time() + 60) * 1000}}, file)
        with open(self.server, "w") as file:
            file.write("1")

    def run(self, *strace):
        words = [*strace, DRIVER, *self.sealed, self.store, "/bin/sh", self.script]
        return subprocess.run(words, capture_output=True, text=True, timeout=60)

    def token(self):
        """The number of the refresh token in the store, whose file is whole at any time."""
        login = json.loads(whole_login(self.store, self.store))
        return login["claudeAiOauth"]["refreshToken"].removeprefix("FAKE-r")

    def files_with_refresh_tokens(self):
        return [path for path in glob.glob(f"{self.store}/**", recursive=True, include_hidden=True)
                if os.path.isfile(path) and b"FAKE-r" in Path(path).read_bytes()]

    def accepted(self):
        with open(self.server) as file:
            return file.read().strip()

    def calls(self):
        """Each system call from taking the lock on, as its name and how many of that name came before it."""
        self.reset()
        log = os.path.join(self.root, "log")
        assert self.run("strace", "-qq", "-o", log).returncode == 0
        seen, calls = collections.Counter(), []
        with open(log) as file:
            for name in re.findall(r"^(\w+)\(", file.read(), re.MULTILINE):
                seen[name] += 1
                if seen["flock"]:
                    calls.append((name, seen[name]))
        return calls

    def check_survives(self, what):
        assert self.token() in ("1", "2"), what
        again = self.run()
        assert again.returncode == 0, f"{what}: {again.stdout}{again.stderr}"
        assert self.accepted() != "reuse", f"{what}: a spent token was presented"
        assert self.token() == self.accepted(), f"{what}: the store has a spent token"
        assert not os.path.exists(os.path.join(self.store, ".claude-init/renewal")), what
        assert not self.sealed or self.files_with_refresh_tokens() == [], what


@pytest.fixture(params=["plain", "sealed"])
def world(request, tmp_path):
    """A store in plain; "sealed": it gets its key with the first renewal."""
    return World(str(tmp_path), request.param == "sealed")


def test_without_interference_the_login_is_renewed(world):
    world.reset()
    assert world.run().stdout == "renewed\n"
    assert world.token() == world.accepted() == "2"
    assert world.run().stdout == "renewed\n"
    assert world.token() == world.accepted() == "3"


def test_killed_before_each_call_the_login_survives(world):
    calls = world.calls()
    assert len(calls) > 50
    for call, n in sample(calls, 17):
        world.reset()
        run = world.run("strace", "-qq", "-o", "/dev/null", f"--inject={call}:signal=KILL:when={n}")
        assert run.returncode == -signal.SIGKILL or call == "exit_group", f"not killed at {call} {n}"
        world.check_survives(f"killed at {call} {n}")
