"""A machine with the stand-in for the servers on its network and one version of the real CLI at a time."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from clis import installed
from harness import Endpoint, clean_environment, wait_until
from native import PERSON, as_person, network_of_our_own

BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
HANGS = -1  # the status of what did not end within its limit
LIMIT = 900  # seconds: more than a renewal may take, and the next one


@dataclass
class Ended:
    """What a command came to, and what the server saw of it."""

    status: int
    out: str
    err: str
    seconds: float
    requests: list = field(default_factory=list)
    login: dict = field(default_factory=dict)  # `claudeAiOauth`, as it lies there afterwards
    waited: float = 0  # for an answer that did not come: the longest of its renewals, in seconds
    spent: bool = False  # the server gave out a later refresh token than the login came with
    renewed: bool = False  # and that one lies there
    blanked: bool = False

    @property
    def burnt(self):
        return self.spent and not self.renewed

    @property
    def asked(self):
        return any(path == "/v1/oauth/token" for path in self.requests)

    @property
    def messages(self):
        return sum(path == "/v1/messages" for path in self.requests)


class Machine:
    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.chmod(0o755)
        certificates = self.directory / "endpoint"
        certificates.mkdir(mode=0o755)
        self.endpoint = Endpoint(certificates, ADDRESS="127.0.0.1")
        self.log = certificates / "requests.jsonl"

    def place(self):
        place = Path(tempfile.mkdtemp(dir=self.directory))
        os.chown(place, PERSON, PERSON)
        for name in ("home", "config", "run"):
            (place / name).mkdir(mode=0o700)
            os.chown(place / name, PERSON, PERSON)
        return place

    def environment(self, version, place, **more):
        environment = clean_environment(place / "home", DISABLE_AUTOUPDATER=1, XDG_RUNTIME_DIR=place / "run",
                                        NODE_EXTRA_CA_CERTS=self.endpoint.certificate, **more)
        node = Path(shutil.which("node") or "/usr/bin/node").parent
        environment["PATH"] = f"{installed(version)}:{node}:{environment['PATH']}"
        return environment

    def login(self, place, access_left=-60, dead=False, **changes):
        """In `config`, as a CLI that was there before left it; `changes` None: without that key."""
        login = self.endpoint.login(access_left)
        if dead:
            self.endpoint.revoke(login)
        self.put(place, login, **changes)
        return login

    @staticmethod
    def put(place, login, directory=None, **changes):
        """That login's file, with one rename."""
        oauth = {**login.credentials["claudeAiOauth"], **changes}
        directory = directory or place / "config"
        if not directory.exists():
            directory.mkdir(mode=0o700)
            os.chown(directory, PERSON, PERSON)
        new = directory / "new"
        new.write_text(json.dumps({"claudeAiOauth": {key: value for key, value in oauth.items() if value is not None}}),
                       encoding="ascii")
        new.chmod(0o600)
        os.chown(new, PERSON, PERSON)
        new.rename(directory / ".credentials.json")

    def run(self, words, version, place, login, limit=LIMIT, wrapper=(), **more):
        before = len(self.lines())
        began = time.monotonic()
        try:
            done = subprocess.run([*wrapper, *as_person(words)], env=self.environment(version, place, **more), cwd=place,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                                  timeout=limit, check=False)
            ended = Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
        except subprocess.TimeoutExpired:
            ended = Ended(HANGS, "", "", time.monotonic() - began)
        self.settle()
        lines = [line for line in self.lines()[before:] if not line["path"].startswith("/_admin")]
        ended.requests = [line["path"].split("?")[0] for line in lines]
        ended.waited = max((line.get("left_after", 0) for line in lines), default=0)
        with contextlib.suppress(FileNotFoundError, ValueError):
            ended.login = json.loads((place / "config/.credentials.json").read_text())["claudeAiOauth"]
        newest = self.endpoint.newest(login)["refreshToken"]
        ended.spent = newest != login.refresh_token
        ended.renewed = ended.spent and ended.login.get("refreshToken") == newest
        ended.blanked = ended.login.get("accessToken") == ""
        return ended

    def settle(self):
        """What the server has begun to spend is spent; a request may still be on its way to it."""
        time.sleep(0.5)
        wait_until(lambda: self.endpoint.stats()["refresh_begun"] ==
                   sum("refresh_token" in line for line in self.lines()), "the server's rest", 120)

    def lines(self):
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()] if self.log.exists() else []

    def renew(self, version, place, login, *options):
        """`claude-init renew --force` with that CLI on the PATH; `config` is the store."""
        return self.run([BINARY, "renew", "--force", "--store", place / "config", *options], version, place, login)

    def cli(self, version, place, login, *words, **more):
        return self.run(["claude", *words], version, place, login, CLAUDE_CONFIG_DIR=place / "config", **more)


@contextlib.contextmanager
def machine():
    with tempfile.TemporaryDirectory(prefix="versions-", dir="/tmp") as directory, network_of_our_own():
        ours = Machine(directory)
        try:
            yield ours
        finally:
            ours.endpoint.close()
