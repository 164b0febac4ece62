"""`capture` into volumes of the engine's and of other users', by a root that has given up nearly everything."""

import os
import tempfile
import uuid
from pathlib import Path

import pytest
from harness import EXIT_PERMISSION, Store, mode

NONE = ["--cap-drop=ALL"]
THREE = [*NONE, "--cap-add=SETUID", "--cap-add=SETGID", "--cap-add=KILL"]
LOGIN = ('{"claudeAiOauth":{"accessToken":"FAKE-access","refreshToken":"FAKE-refresh","expiresAt":4102444800000,'
         '"scopes":["user:inference"]}}')


@pytest.fixture
def directory():
    """Open to every user, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="e2e-rights-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def source(directory):
    """A configuration directory as the CLI's user leaves it."""
    def make(owner):
        source = Store(directory / "source").create(owner)
        source.write(".credentials.json", LOGIN, owner)
        source.write("settings.local.json", "{}", owner)
        return source.path
    return make


@pytest.fixture
def volume(docker):
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", name)
    yield name
    docker("volume", "rm", name)


def capture(docker, options, source, store):
    return docker("run", "--rm", "--network=none", *options, f"--volume={source}:/source:ro", f"--volume={store}:/claude-auth",
                  "--entrypoint=claude-init", "claude-setup", "capture", "--from", "/source", "--store", "/claude-auth",
                  check=False)


def test_root_without_any_right_fills_a_named_volume(docker, source, volume):
    done = capture(docker, NONE, source(0), volume)
    assert done.returncode == 0, done.stderr
    shown = docker("run", "--rm", "--network=none", *NONE, f"--volume={volume}:/claude-auth:ro", "--entrypoint=", "claude-setup",
                   "sh", "-c", "cat /claude-auth/.credentials.json; stat -c %u:%a /claude-auth/.credentials.json")
    assert shown.stdout.splitlines() == [LOGIN + "0:600"]


def test_a_bind_mount_of_1001_is_filled_as_its_owner(docker, directory, source):
    store = Store(directory / "store").create(1001)
    done = capture(docker, THREE, source(1000), store.path)
    assert done.returncode == 0, done.stderr
    assert store.oauth["refreshToken"] == "FAKE-refresh"
    files = store.files()
    assert set(files) == {".credentials.json", "settings.local.json"}
    assert {(status.st_uid, status.st_gid, mode(status)) for status in files.values()} == {(1001, 1001, 0o600)}
    again = capture(docker, THREE, directory / "source", store.path)
    assert again.returncode == 0 and "1 as they were" in again.stderr, again.stderr


def test_a_bind_mount_of_1001_that_cannot_be_written_is_told_with_how_to_allow_it(docker, directory, source):
    store = Store(directory / "store").create(1001)
    before = store.fingerprint()
    done = capture(docker, NONE, source(0), store.path)
    assert done.returncode == EXIT_PERMISSION
    assert "--cap-add SETUID" in done.stderr and "--user 1001:1001" in done.stderr, done.stderr
    assert store.fingerprint() == before
