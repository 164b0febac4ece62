"""The disk of a sealed store, read block by block by a thief: the free blocks too (ext4, without discard)."""

import os
import re
import shutil
import subprocess

import pytest
from harness import BINARY

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("mkfs.ext4") or not os.path.exists("/dev/loop-control"),
    reason="needs root, mkfs.ext4 and loop devices")
# In the CLI's place: `login N` writes the login number N, anything else the next one.
CLI = """#!/bin/sh
n=$2
if [ "$1" != login ]; then n=$(($(cat {here}/number) + 1)); fi
echo $n > {here}/number
now=$(date +%s)000
printf '{{"claudeAiOauth":{{"accessToken":"sk-ant-oat01-FAKE-%s","refreshToken":"sk-ant-ort01-FAKE-number-%s-","expiresAt":%s,
"refreshTokenExpiresAt":%s,"scopes":["user:inference","user:profile"]}}}}' \\
  $n $n $((now + 28800000)) $((now + 2592000000)) > "$CLAUDE_CONFIG_DIR/.credentials.json"
"""


class Disk:
    """A store on a file system of its own."""

    def __init__(self, path):
        self.path, self.image, self.mount = path, path / "image", path / "mount"
        self.mount.mkdir()
        self.image.write_bytes(b"")
        os.truncate(self.image, 32 << 20)
        subprocess.run(["mkfs.ext4", "-q", self.image], check=True)
        subprocess.run(["mount", "-o", "loop,nodiscard", self.image, self.mount], check=True)
        self.store = self.mount / "store"
        self.store.mkdir(mode=0o700)
        self.cli = path / "cli"
        self.cli.write_text(CLI.format(here=path))
        self.cli.chmod(0o755)
        self.keys = [path / "key", path / "other-key"]
        for number, key in enumerate(self.keys):
            key.write_text(f"FAKE key number {number}, long enough for a store\n")
            key.chmod(0o600)

    def run(self, *words):
        # HOME is not on that disk, nor is the session's copy.
        done = subprocess.run([BINARY, words[0], "--store", self.store, *words[1:]], stdin=subprocess.DEVNULL, text=True,
                              env={"PATH": "/usr/bin:/bin", "HOME": str(self.path)}, capture_output=True, timeout=120,
                              check=False)
        assert done.returncode == 0, done.stderr

    def tokens(self):
        """The numbers of the logins whose refresh token is anywhere on it."""
        subprocess.run(["umount", self.mount], check=True)
        found = re.findall(rb"sk-ant-ort01-FAKE-number-(\d+)-", self.image.read_bytes())
        subprocess.run(["mount", "-o", "loop,nodiscard", self.image, self.mount], check=True)
        return set(map(int, found))


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path)
    yield disk
    subprocess.run(["umount", disk.mount], check=True)


def test_of_a_store_that_was_always_sealed_only_spent_tokens_are_on_the_disk(disk):
    disk.run("setup", f"--seal-key={disk.keys[0]}", "--", disk.cli, "login", "1")
    assert disk.tokens() == set()
    for number in range(2, 6):
        disk.run("renew", "--force", f"--seal-key={disk.keys[0]}", f"--renew-command={disk.cli}")
        # What the CLI was given, and cut off when it wrote the next one over it.
        assert disk.tokens() <= set(range(1, number))
    disk.run("setup", f"--seal-key={disk.keys[1]}", f"--old-seal-key={disk.keys[0]}", "--", "true")
    assert 5 not in disk.tokens()


def test_what_a_store_held_in_plain_is_overwritten_when_it_is_sealed(disk):
    disk.run("setup", "--", disk.cli, "login", "1")
    assert disk.tokens() == {1}, "this test sees what is there"
    disk.run("setup", f"--seal-key={disk.keys[0]}", "--", "true")
    assert disk.tokens() == set()
