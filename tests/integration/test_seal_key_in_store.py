"""A key that lies in the store goes wherever the store goes, by whatever name claude-init is given it."""

import os
import subprocess

import pytest
from harness import BINARY


def in_it(store, outside):
    key = store / "key"
    key.write_bytes(os.urandom(32).hex().encode())
    return key, key


def linked(store, outside):
    """As the engine mounts one of a store's own files elsewhere: another name, the same file."""
    key, _ = in_it(store, outside)
    os.link(key, outside)
    return outside, key


@pytest.mark.parametrize("place", [in_it, linked])
def test_it_is_refused_and_nothing_is_sealed(tmp_path, place):
    (store := tmp_path / "store").mkdir(mode=0o700)
    (store / ".credentials.json").write_text('{"claudeAiOauth":{}}', encoding="ascii")
    named, key = place(store, tmp_path / "seal-key")
    key.chmod(0o600)
    for command in ("health", "renew", "history", "keep"):
        refused = subprocess.run([BINARY, command, f"--store={store}", f"--seal-key={named}"], capture_output=True,
                                 text=True, timeout=120, stdin=subprocess.DEVNULL, env={"HOME": str(tmp_path)})
        assert refused.returncode == 64 and "lies in the store" in refused.stderr, refused
    assert not (store / ".claude-init/sealed-login").exists()
