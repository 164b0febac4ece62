"""A machine without an engine or a network, on which the two scripts of docs/how-to/docker.md run."""

import json
import subprocess
import time

from harness import ANSWER, TOP, Store, clean_environment

SETUP = TOP / "scripts/setup/setup-claude-interactive.sh"
TRY = TOP / "scripts/setup/test-claude-auth.sh"


class SmallMachine:
    """A home with a login in it, and with a shell script as its CLI: for what the scripts make of how that ends."""

    def __init__(self, directory):
        self.home = directory
        self.data = directory / ".local/share/claude-init"
        self.bin = directory / "bin"
        self.store = Store(directory / ".claude-hub").create()
        self.store.write(".credentials.json", json.dumps({"claudeAiOauth": {
            "accessToken": "sk-ant-oat01-FAKE", "refreshToken": "sk-ant-ort01-FAKE", "subscriptionType": "max",
            "expiresAt": int((time.time() + 28800) * 1000), "scopes": ["user:inference", "user:profile"]}}))
        self.environment = clean_environment(directory, CLAUDE_INIT_ENGINE="none", CLAUDE_CODE_VERSION="small")
        self.environment["PATH"] = f"{self.bin}:{self.environment['PATH']}"
        self.provide(self.data / "cli/bin/claude", f"echo {ANSWER}")
        (self.data / "cli/version").write_text("small", encoding="ascii")

    @staticmethod
    def provide(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        path.chmod(0o755)

    def provide_engine(self, text):
        self.provide(self.bin / "podman", text)
        self.environment["CLAUDE_INIT_ENGINE"] = "podman"

    def __call__(self, *command, **environment):
        return subprocess.run(command, env={**self.environment, **environment}, stdin=subprocess.DEVNULL, cwd=TOP,
                              capture_output=True, text=True, timeout=400, check=False)
