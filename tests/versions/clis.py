"""The versions of the Claude CLI that are measured, from npm, each downloaded once.

src/cli/versions lists them: a new one is one more line there. Except in the long lane the tests take three.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
ALL = (TOP / "src/cli/versions").read_text(encoding="ascii").split()
NEWEST = ALL[-1]
# What npm installs on Node.js 20, one with which `auth status` loses logins, the newest.
SAMPLE = [version for version in ALL if version in ("2.1.197", "2.1.260", NEWEST)]
CHOSEN = ALL if os.environ.get("CLAUDE_INIT_TEST_LANE") == "long" else SAMPLE


def number(version):
    return tuple(map(int, version.split(".")))


def cache():
    """CLAUDE_INIT_CLI_CACHE, or beside what the end-to-end tests keep."""
    if given := os.environ.get("CLAUDE_INIT_CLI_CACHE"):
        return Path(given)
    return Path(os.environ.get("CLAUDE_INIT_E2E_CACHE", "/var/tmp/claude-init-tests")) / "versions"


def installed(version):
    """The directory that has `claude` of that version in it."""
    if not shutil.which("npm"):
        pytest.skip("there is no npm, which the CLI's versions come from")
    place = cache() / version
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "done").exists():
            done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", place,
                                   f"@anthropic-ai/claude-code@{version}"], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"npm cannot install {version}: {done.stderr[-200:]}")
            (place / "done").touch()
    return place / "node_modules/.bin"
