"""A home and a store, for the subcommands that work on a store by hand."""

import json
import subprocess

import pytest
from harness import BINARY
from sessions import login


class Place:
    """A home with a configuration directory, and a store."""

    def __init__(self, path):
        self.path, self.home, self.store = path, path / "home", path / "store"
        self.config = self.home / ".claude"
        self.config.mkdir(parents=True, mode=0o700)
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home)}

    def run(self, *words, **variables):
        """Exit status, standard output, standard error."""
        done = subprocess.run([BINARY, *map(str, words)], env={**self.environment, **variables}, capture_output=True,
                              text=True, timeout=120, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    def capture(self, *words):
        return self.run("capture", "--from", self.config, "--store", self.store, *words)

    def fill(self, name="a", **more):
        (self.config / ".credentials.json").write_text(login(name, **more))
        (self.config / "projects").mkdir(exist_ok=True)
        (self.config / "projects/x.jsonl").write_text("one\n")
        (self.home / ".claude.json").write_text('{"hasCompletedOnboarding":true}')

    def stored(self):
        return json.loads((self.store / ".credentials.json").read_text())["claudeAiOauth"]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)
