"""Sealed stores: what each command does with the key, without it, and with another one."""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from harness import BINARY, eventually
from sealed_format import open_
from sessions import login
from test_renewal import SHOW, Renewing

REFRESH = b"sk-ant-ort01-FAKE"
USAGE, NOT_HERE = 64, 24


def make_key(path, text="FAKE key, long enough for a sealed store\n", mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


class Sealed:
    """A store on a host, a key beside it and another one."""

    def __init__(self, host, tmp_path):
        self.host, self.store = host, host.store
        self.key = make_key(tmp_path / "key")
        self.other = make_key(tmp_path / "other", "FAKE key, another one that is long enough")

    def run(self, *words, key=None, old=None):
        """Exit status and all that was said."""
        keys = [f"--seal-key={key}"] * bool(key) + [f"--old-seal-key={old}"] * bool(old)
        done = subprocess.run([BINARY, words[0], "--store", str(self.store), *keys, *map(str, words[1:])],
                              env=self.host.environment, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        assert "FAKEa" not in done.stdout + done.stderr
        return done.returncode, done.stdout + done.stderr

    def named(self, words):
        places = {"OUT": str(self.host.path / "out"), "HOME": str(self.host.home)}
        return [functools.reduce(lambda word, place: word.replace(*place), places.items(), word) for word in words]

    def seal(self, name="a", **more):
        """A login in plain, sealed by a capture that has nothing of its own."""
        self.host.put(login(name, **more))
        empty = self.host.path / "empty"
        empty.mkdir(exist_ok=True)
        status, said = self.run("capture", "--from", empty, key=self.key)
        assert status == 0, said
        self.check()

    def whole(self, directory=None, key=None):
        """The sealed login of the store or a generation, by a reader that has nothing of claude-init."""
        name = re.search(rb"^store (.+)$", (self.store / ".claude-init/id").read_bytes(), re.MULTILINE)[1]
        sealed = ((directory or self.store) / ".claude-init/sealed-login").read_bytes()
        return json.loads(open_(sealed, (key or self.key).read_bytes(), name))["claudeAiOauth"]

    def token(self, **how):
        return self.whole(**how)["refreshToken"].removeprefix("sk-ant-ort01-FAKE")

    def plain(self):
        return json.loads((self.store / ".credentials.json").read_text())["claudeAiOauth"]

    def exposed(self):
        return exposed(self.store)

    def check(self):
        """No refresh token in any file, and the plain login is the sealed one without it."""
        assert self.exposed() == []
        whole = self.whole()
        del whole["refreshToken"]
        assert whole == self.plain()


@pytest.fixture
def sealed(host, tmp_path):
    return Sealed(host, tmp_path)


@pytest.fixture
def renewing(host, tmp_path):
    return Renewing(host, tmp_path)


def test_a_login_is_captured_renewed_again_and_restored_and_no_file_has_a_refresh_token(sealed, renewing):
    source = sealed.host.home / ".claude"
    source.mkdir()
    (source / ".credentials.json").write_text(login("a", left=600))
    assert sealed.run("capture", "--from", source, key=sealed.key)[0] == 0
    sealed.check()
    for expected in ("a+", "a++"):
        status, said = sealed.run("renew", renewing.command, "--force", key=sealed.key)
        assert status == 0, said
        assert sealed.token() == sealed.host.token() == expected
        sealed.check()
    generations = sorted((sealed.store / ".claude-init/generations").iterdir())
    assert [sealed.token(directory=each) for each in generations] == ["a", "a+", "a++"]
    status, said = sealed.run("restore", "--to", sealed.host.path / "out", "--refresh-token=copy", key=sealed.key)
    assert status == 0, said
    assert REFRESH + b"a++" in (sealed.host.path / "out/.credentials.json").read_bytes()
    status, said = sealed.run("restore", "--to", sealed.host.path / "first", "--refresh-token=copy", "--generation=1",
                              key=sealed.key)
    assert REFRESH + b'a"' in (sealed.host.path / "first/.credentials.json").read_bytes()


def test_without_the_key_jobs_run_and_health_and_history_answer(sealed):
    sealed.seal()
    status, out, err = sealed.host.session("run", SHOW)
    assert (status, out) == (0, "FAKEa\n"), err
    status, said = sealed.run("health")
    assert status == 0 and "only with its key" in said and "Refresh token: sealed" in said
    assert json.loads(sealed.run("health", "--json")[1])["sealed"] is True
    assert "claude_init_login_sealed" in sealed.run("health", "--format=prometheus")[1]
    assert sealed.run("history")[0] == 0
    assert sealed.run("restore", "--to", sealed.host.path / "out")[0] == 0
    assert REFRESH not in (sealed.host.path / "out/.credentials.json").read_bytes()


def test_with_the_key_health_and_history_know_the_refresh_token(sealed):
    sealed.seal(left=-60)
    told = json.loads(sealed.run("health", "--json", key=sealed.key)[1])
    assert (told["state"], told["sealed"], told["has_refresh_token"]) == ("renewable", True, True)
    assert json.loads(sealed.run("history", "--json", key=sealed.key)[1])["generations"] == []
    status, said = sealed.run("health")
    assert status == 1 and "the store is sealed" in said and "--seal-key" in said


def test_a_store_in_plain_is_said_to_be_that(sealed):
    sealed.host.put(login("a"))
    assert "Refresh token: in plain" in sealed.run("health")[1]
    assert json.loads(sealed.run("health", "--json")[1])["sealed"] is False


@pytest.mark.parametrize("words", [("renew", "--force"), ("restore", "--to", "OUT", "--refresh-token=copy"),
                                   ("run", "--refresh-token=copy", "--", "true"), ("capture", "--from", "HOME/.claude"),
                                   ("setup", "--", "true")])
def test_without_the_key_what_needs_the_refresh_token_is_refused_with_what_to_type(sealed, words):
    sealed.seal()
    before = (sealed.store / ".claude-init/sealed-login").read_bytes()
    (sealed.host.home / ".claude").mkdir()
    (sealed.host.home / ".claude/.credentials.json").write_text(login("b", left=7200))
    status, said = sealed.run(*sealed.named(words))
    assert status == (NOT_HERE if words[0] == "renew" else USAGE), said
    assert "is sealed" in said and "--seal-key FILE" in said
    assert (sealed.store / ".claude-init/sealed-login").read_bytes() == before
    sealed.check()


@pytest.mark.parametrize("words", [("renew", "--force"), ("restore", "--to", "OUT", "--refresh-token=copy"),
                                   ("run", "--", "true"), ("capture", "--from", "HOME"), ("setup", "--", "true"),
                                   ("health",)])
def test_another_key_is_told_from_a_damaged_file_and_changes_nothing(sealed, words):
    sealed.seal()
    file = sealed.store / ".claude-init/sealed-login"
    before = file.read_bytes()
    status, said = sealed.run(*sealed.named(words), key=sealed.other)
    assert status != 0 and "was sealed with another key" in said and "--old-seal-key" in said, said
    assert file.read_bytes() == before
    file.write_bytes(before[:-1])
    status, said = sealed.run("health", key=sealed.key)
    assert status == 1 and "is damaged" in said and "claude-init history" in said


@pytest.mark.parametrize("make, told", [
    (lambda store, path: path / "none", "No such file"), (lambda store, path: path, "is not a file"),
    (lambda store, path: make_key(path / "short", "FAKE, and too short"), "at least 32"),
    (lambda store, path: make_key(path / "open", mode=0o644), "open to all users (mode 0644)"),
    (lambda store, path: make_key(path / "written", mode=0o602), "open to all users"),
    (lambda store, path: make_key(store / "key"), "lies in the store"),
    (lambda store, path: link(path / "link", make_key(store / "key")), "lies in the store"),
], ids=["missing", "directory", "short", "readable", "writable", "in the store", "leads into the store"])
def test_a_key_that_cannot_be_one_is_refused_with_what_to_do(sealed, tmp_path, make, told):
    sealed.host.put(login("a"))
    key = make(sealed.store, tmp_path)
    for words in (["keep"], ["health"], ["capture", "--from", sealed.host.home], ["setup", "--", "true"]):
        status, said = sealed.run(*words, key=key)
        assert status == USAGE and told in said, said
        assert any(remedy in said for remedy in ("openssl rand", "name the file", "chmod 600", "keep it beside")), said
    assert not (sealed.store / ".claude-init/sealed-login").exists()


def link(path, to):
    path.symlink_to(to)
    return path


def test_a_key_by_a_link_as_in_a_kubernetes_volume_and_one_of_the_stores_owner_are_read(sealed, tmp_path):
    sealed.host.put(login("a"))
    assert sealed.run("setup", "--", "true", key=link(tmp_path / "data", sealed.key))[0] == 0
    sealed.check()


def test_a_session_with_the_key_seals_and_saves_the_login_that_is_made_in_it(sealed):
    sealed.host.put(login("a"))
    status, _, err = sealed.host.session("setup", "put b", f"--seal-key={sealed.key}")
    assert status == 0, err
    assert sealed.token() == "b"
    sealed.check()
    generations = sealed.store / ".claude-init/generations"
    assert {sealed.token(directory=each) for each in generations.iterdir()} >= {"a", "b"}


def test_a_job_that_gets_the_refresh_token_needs_the_key_and_what_it_renews_comes_back_sealed(sealed):
    sealed.seal()
    show = 'cd "$CLAUDE_CONFIG_DIR"; grep -c FAKE .credentials.json; grep -o "ort01-FAKE[a-z]*" .credentials.json; put b'
    status, out, err = sealed.host.session("run", show, f"--seal-key={sealed.key}", "--refresh-token=copy")
    assert (status, out) == (0, "1\nort01-FAKEa\n"), err
    assert sealed.token() == "b"
    sealed.check()


def test_what_a_renewal_that_was_cut_short_left_is_used_by_the_first_command_with_the_key(sealed):
    sealed.seal()
    left = sealed.store / ".claude-init/renewal"
    (left / "config").mkdir(parents=True, mode=0o700)
    (left / "given").write_text(json.dumps({"claudeAiOauth": sealed.plain()}))
    (left / "config/.credentials.json").write_text(login("a+", left=7200))
    assert sealed.run("health")[0] == 0 and left.exists()
    assert sealed.run("capture", "--from", sealed.host.home)[0] == 0 and left.exists(), "nobody without the key"
    assert sealed.run("setup", "--", "true", key=sealed.key)[0] == 0
    assert not left.exists()
    assert sealed.token() == "a+"
    sealed.check()


@pytest.mark.parametrize("first", ["capture", "setup", "renew", "keep"])
def test_a_store_in_plain_is_sealed_by_the_first_that_has_the_key(sealed, first):
    source = sealed.host.path / "source"
    source.mkdir()
    for name, left in (("a", 600), ("b", 1200)):
        (source / ".credentials.json").write_text(login(name, left=left))
        assert sealed.run("capture", "--from", source)[0] == 0
    assert len(sealed.exposed()) == 3  # the login and two generations
    shutil.rmtree(source)
    source.mkdir()
    if first == "keep":
        process = sealed.host.keep(f"--seal-key={sealed.key}")
        eventually(lambda: not sealed.exposed(), "everything is sealed")
        process.terminate()
        process.wait()
    else:
        words = {"capture": ["--from", source], "setup": ["--", "true"], "renew": ["--renew-before=1s"]}[first]
        status, said = sealed.run(first, *words, key=sealed.key)
        assert status == 0, said
    sealed.check()
    assert sealed.token() == "b"


def test_a_new_key_seals_everything_anew_and_the_old_one_opens_nothing(sealed, renewing):
    sealed.seal("a", left=600)
    assert sealed.run("renew", renewing.command, "--force", key=sealed.key)[0] == 0
    status, said = sealed.run("setup", "--", "true", key=sealed.other)
    assert status == USAGE and "--old-seal-key" in said
    status, said = sealed.run("setup", "--", "true", key=sealed.other, old=sealed.key)
    assert status == 0, said
    assert sealed.token(key=sealed.other) == "a+"
    for each in (sealed.store / ".claude-init/generations").iterdir():
        assert sealed.token(directory=each, key=sealed.other) in ("a", "a+")
    assert sealed.run("setup", "--", "true", key=sealed.other)[0] == 0
    assert sealed.run("setup", "--", "true", key=sealed.key)[0] == USAGE
    assert sealed.run("setup", "--", "true", old=sealed.key)[0] == USAGE


def test_a_copy_of_a_sealed_store_is_taken_over_with_the_key(sealed):
    sealed.seal()
    copy = sealed.host.path / "copy"
    subprocess.run(["cp", "-a", sealed.store, copy], check=True)
    sealed.store = copy
    status, said = sealed.run("setup", "--adopt", "--", "true", key=sealed.key)
    assert status == 0, said
    assert sealed.token() == "a"
    sealed.check()


def test_a_keeper_with_the_key_renews_and_publishes_and_says_so(keeping, tmp_path):
    key = make_key(tmp_path / "key")
    store, published = keeping.store("dev", login("a", left=-60)), tmp_path / "published"
    keeping.start("--seal-key", key, "--publish", f"dev={published}")
    keeping.has_token("a+")
    keeping.has_token("a+", "published")
    eventually(lambda: (store / ".claude-init/sealed-login").exists() and not exposed(store), "no refresh token")
    assert exposed(published) == [] and not (published / ".claude-init/sealed-login").exists()
    # Somebody logs in with a CLI that works in the store itself.
    keeping.put(login("b", left=80_000))
    eventually(lambda: not exposed(store), "that is sealed too")
    keeping.has_token("b", "published")
    assert keeping.stop()[0] == 0


def exposed(directory):
    """The files that have a refresh token in them; some may go meanwhile."""
    found = []
    for folder, _, names in os.walk(directory):
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                found += [str(path)] * (REFRESH in path.read_bytes())
    return found


def test_a_keeper_without_the_key_publishes_and_does_not_renew(keeping, sealed, tmp_path):
    sealed.seal(left=600)
    shutil.copytree(sealed.store, tmp_path / "dev", symlinks=True)
    keeping.start("--publish", f"dev={tmp_path / 'published'}")
    keeping.has_token("a", "published")
    keeping.says("the store is sealed, and this keeper has no key")
    assert keeping.stop()[0] == 0
    assert keeping.calls() == []


def test_after_a_lost_key_a_new_login_is_sealed_with_another(sealed):
    sealed.seal()
    (sealed.store / ".claude-init/sealed-login").unlink()
    shutil.rmtree(sealed.store / ".claude-init/generations", ignore_errors=True)
    status, _, err = sealed.host.session("setup", "put b", f"--seal-key={sealed.other}")
    assert status == 0, err
    assert sealed.token(key=sealed.other) == "b"
    assert sealed.exposed() == []


def test_a_keeper_that_was_killed_in_its_renewal_loses_nothing(keeping, tmp_path):
    key = make_key(tmp_path / "key")
    store = keeping.store("dev", login("a", left=-60))
    keeping.mode("renewed")
    keeping.start("--seal-key", key, pid1=False)
    keeping.renewals(1)
    os.kill(keeping.pid, signal.SIGKILL)
    keeping.process.wait()
    keeping.start("--seal-key", key)
    keeping.has_token("a+")
    eventually(lambda: not exposed(store) and not (store / ".claude-init/renewal").exists(), "in order")
    assert keeping.stop()[0] == 0
