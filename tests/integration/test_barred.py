"""A store, or the way to it, that modes bar: what is said to somebody who is not root, and that it helps."""

import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from harness import BINARY, PATIENCE
from sessions import login

SOMEBODY = 4321


class Somebody:
    """A user with a home and a store that others can reach."""

    def __init__(self, path):
        self.path, self.store = path, path / "store"
        path.chmod(0o755)
        self.binary = shutil.copy(BINARY, path)
        self.store.mkdir(mode=0o700)
        (self.store / ".credentials.json").write_text(login("a"))
        self.give(SOMEBODY)

    def give(self, uid):
        for path in (self.store, *self.store.rglob("*")):
            os.chown(path, uid, uid)

    def __call__(self, *words):
        """Exit status and all that was said."""
        who = ["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"]
        done = subprocess.run([*who, self.binary, *map(str, words)], env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
                              text=True, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)
        said = done.stdout + done.stderr
        assert "FAKE" not in said and "docker run --user" not in said and "--cap-add" not in said, said
        return done.returncode, said

    def of_each(self):
        """What the commands say of a store that may not be used, with their status."""
        (self.path / "from").mkdir(exist_ok=True)
        os.chown(self.path / "from", SOMEBODY, SOMEBODY)
        store = ["--store", self.store]
        return {"health": self("health", "--detailed-exit-code", *store), "history": self("history", *store),
                "setup": self("setup", *store, "--", "true"), "capture": self("capture", "--from", self.path / "from", *store)}


@pytest.fixture
def somebody():
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Somebody(pathlib.Path(directory))


@pytest.mark.parametrize("files, directories", [(0o600, 0o600), (0o000, 0o000), (0o600, 0o300)])
def test_modes_that_bar_the_stores_owner(somebody, files, directories):
    (somebody.store / "projects").mkdir()
    somebody.give(SOMEBODY)
    for path in sorted(somebody.store.rglob("*"), reverse=True):
        path.chmod(directories if path.is_dir() else files)
    somebody.store.chmod(directories)
    said = somebody.of_each()
    assert said["health"][0] == 16
    for command, (status, text) in said.items():
        if command == "history" and status == 0:  # it has none, and the directory can be looked into
            continue
        assert status == (16 if command == "health" else 77), (command, text)
        assert f"chmod -R u+rwX {somebody.store}" in text, (command, text)
        assert "SELinux" not in text and "is not its owner's: on" not in text, (command, text)
    subprocess.run(["sh", "-c", f"setpriv --reuid={SOMEBODY} --clear-groups chmod -R u+rwX {somebody.store}"], check=True)
    assert somebody("health", "--store", somebody.store)[0] == 0


def test_a_login_file_whose_mode_bars_its_owner(somebody):
    (somebody.store / ".credentials.json").chmod(0)
    status, text = somebody("health", "--detailed-exit-code", "--store", somebody.store)
    assert status == 16 and "with mode 0000" in text
    assert f"→ chmod -R u+rwX {somebody.store}\n" in text and "SELinux" not in text


def test_restore_ends_with_the_status_of_a_login_that_may_not_be_read(somebody):
    (somebody.store / "settings.json").write_text("{}")
    somebody.give(SOMEBODY)
    (somebody.store / ".credentials.json").chmod(0)
    to = somebody.path / "to"
    to.mkdir()
    os.chown(to, SOMEBODY, SOMEBODY)
    status, text = somebody("restore", "--store", somebody.store, "--to", to)
    assert status == 77 and "no login was restored: unreadable: permission denied" in text, text
    assert f"→ chmod -R u+rwX {somebody.store}\n" in text and (to / "settings.json").exists()


def test_a_directory_above_the_store_that_bars_the_way(somebody):
    above = somebody.path / "above"
    above.mkdir()
    somebody.store = somebody.store.rename(above / "store")
    above.chmod(0o700)
    for command, (status, text) in somebody.of_each().items():
        assert status == (16 if command == "health" else 77), (command, text)
        assert f"sudo chmod a+x {above}\n" in text, (command, text)
        assert "chown" not in text and "belongs to" not in text, (command, text)
    above.chmod(0o711)
    assert somebody("health", "--store", somebody.store)[0] == 0


def test_a_store_that_may_not_be_made(somebody):
    store, source = somebody.path / "new", somebody.path / "from"
    source.mkdir()
    make = f"sudo install -d -o {SOMEBODY} -g {SOMEBODY} -m 700 {store}\n"
    status, text = somebody("capture", "--from", source, "--store", store)
    assert status == 77 and make in text and "name another store" in text and "chmod" not in text, text
    above = somebody.path / "above"
    above.mkdir(mode=0o700)
    status, text = somebody("capture", "--from", source, "--store", above / "new")
    assert status == 77 and f"sudo chmod a+x {above}\n" in text, text
    assert make.replace(str(store), str(above / "new")) in text, text


def test_a_command_that_is_nowhere_is_not_found_also_where_a_directory_may_not_be_entered(somebody):
    closed = somebody.path / "closed"
    closed.mkdir(mode=0o700)
    run = ["init", "--", "env", f"PATH={closed}:/usr/bin:/bin", somebody.binary, "init", "--"]
    status, text = somebody(*run, "no-such-command")
    assert status == 127 and f"PATH is {closed}:/usr/bin:/bin" in text, text
    tool = somebody.path / "tool"
    tool.write_text("#!/bin/sh")
    status, text = somebody("init", "--", "env", f"PATH={somebody.path}:{closed}", somebody.binary, "init", "--", "tool")
    assert status == 126 and "chmod a+rx" in text, text


def test_what_restore_may_not_read_or_write(somebody):
    (somebody.path / "to").mkdir()
    status, text = somebody("restore", "--store", somebody.store, "--to", somebody.path / "to")
    assert status == 77 and f"uid {SOMEBODY} may not write {somebody.path}/to: name another directory with --to" in text, text
    (somebody.store / ".claude-init").mkdir(mode=0o700)  # root's, in a store of theirs
    os.chown(somebody.path / "to", SOMEBODY, SOMEBODY)
    status, text = somebody("restore", "--store", somebody.store, "--to", somebody.path / "to")
    assert status == 77 and f"sudo chown -R {SOMEBODY}:{SOMEBODY} {somebody.store}" in text, text


def test_a_store_of_somebody_else_on_a_host(somebody):
    somebody.give(0)
    for command, (status, text) in somebody.of_each().items():
        assert status == (16 if command == "health" else 77), (command, text)
        assert f"sudo chown -R {SOMEBODY}:{SOMEBODY} {somebody.store}" in text, (command, text)


def test_earlier_logins_that_may_not_be_read(somebody):
    directory = somebody.store / ".claude-init/generations"
    directory.mkdir(parents=True)
    status, text = somebody("history", "--store", somebody.store)
    assert status == 0, text
    directory.parent.chmod(0o700)  # root's, in a store of theirs
    status, text = somebody("history", "--store", somebody.store)
    assert status == 77 and f"sudo chown -R {SOMEBODY}:{SOMEBODY} {somebody.store}" in text, text
    status, text = somebody("setup", "--store", somebody.store, "--", "true")
    assert status == 77 and f"sudo chown -R {SOMEBODY}:{SOMEBODY} {somebody.store}" in text, text
