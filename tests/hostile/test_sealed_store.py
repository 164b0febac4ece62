"""What accidents and jobs leave in a sealed store, or in one that is to be sealed."""

import os
import shutil
import subprocess

import pytest
from sessions import login
from test_sealed import Sealed, make_key

USAGE = 64
NUMBERS = ("1", "2")


@pytest.fixture
def sealed(host, tmp_path):
    return Sealed(host, tmp_path)


@pytest.fixture
def in_plain(sealed):
    """A store in plain with two generations."""
    source = sealed.host.home / ".claude"
    source.mkdir()
    for name, left in (("a", 3600), ("b", 7200)):
        (source / ".credentials.json").write_text(login(name, left=left))
        assert sealed.run("capture", "--from", source)[0] == 0
    assert len(sealed.exposed()) == 1 + len(NUMBERS)
    return sealed


def empty(sealed):
    path = sealed.host.path / "empty"
    path.mkdir(exist_ok=True)
    return path


def test_a_store_that_was_copied_and_taken_over_again_and_again_keeps_its_login(sealed):
    sealed.seal()
    for number in range(3):
        copy = sealed.host.path / f"copy{number}"
        subprocess.run(["cp", "-a", sealed.store, copy], check=True)
        sealed.store = copy
        status, said = sealed.run("setup", "--adopt", "--", "true")
        assert status == USAGE and "is sealed" in said
    assert sealed.run("setup", "--", "true", key=sealed.key)[0] == 0
    assert sealed.token() == "a"
    sealed.check()


def test_without_its_identity_nothing_opens_and_the_way_out_leads_out(sealed):
    sealed.seal()
    identity = sealed.store / ".claude-init/id"
    text = identity.read_bytes()
    for content in (None, b""):
        identity.unlink() if content is None else identity.write_bytes(content)
        for words in (["health"], ["setup", "--adopt", "--", "true"], ["capture", "--from", empty(sealed)]):
            status, said = sealed.run(*words, key=sealed.key)
            assert status != 0 and ".claude-init/id back from a backup" in said, said
            assert "sealed-login and log in" in said, said
    identity.write_bytes(text)
    sealed.check()
    identity.unlink()
    (sealed.store / ".claude-init/sealed-login").unlink()
    status, _, err = sealed.host.session("setup", "put b", f"--seal-key={sealed.key}")
    assert status == 0, err
    assert sealed.token() == "b"


@pytest.mark.parametrize("make", [
    lambda path, saved: os.mkfifo(path), lambda path, saved: path.mkdir(),
    lambda path, saved: os.truncate(path, 1 << 31),
    lambda path, saved: path.symlink_to("/nonexistent"), lambda path, saved: path.symlink_to(path.name),
    lambda path, saved: path.symlink_to(f"../{saved.name}"),
], ids=["FIFO", "directory", "huge", "link out", "loop", "link"])
def test_what_is_in_the_place_of_a_sealed_login_counts_as_one_without_the_key_and_is_named(sealed, make, request):
    sealed.seal()
    file, saved = sealed.store / ".claude-init/sealed-login", sealed.store / "saved"
    shutil.copy(file, saved)
    if "huge" not in request.node.name:
        file.unlink()
    make(file, saved)
    opens = file.is_symlink() and os.readlink(file) == f"../{saved.name}"
    source = sealed.host.home / ".claude"
    source.mkdir()
    (source / ".credentials.json").write_text(login("b", left=7200))
    status, said = sealed.run("capture", "--from", source)
    assert status == USAGE and "is sealed" in said, said
    assert b"refreshToken" not in (sealed.store / ".credentials.json").read_bytes()
    status, said = sealed.run("capture", "--from", source, key=sealed.key)
    if opens:
        assert status == 0 and sealed.token() == "b"
        return
    told = f"mv {file} {file}.old"
    assert status != 0 and told in said, said
    status, said = sealed.run("health", key=sealed.key)
    assert status == 1 and told in said and ".credentials.json.old" not in said, said
    file.rename(f"{file}.old")
    assert sealed.run("capture", "--from", source, key=sealed.key)[0] == 0
    assert sealed.token() == "b"


@pytest.mark.parametrize("plant", [
    lambda one, at: at("3").symlink_to("1"), lambda one, at: at("3").write_text(""),
    lambda one, at: (shutil.rmtree(one / ".claude-init"), (one / ".claude-init").symlink_to("/")),
    lambda one, at: (shutil.rmtree(one / ".claude-init"), (one / ".claude-init").write_text("")),
    lambda one, at: (one / ".claude-init/sealed-login").mkdir(),
    lambda one, at: (one / ".claude-init/sealed-login").symlink_to("/etc/passwd"),
], ids=["link", "file", "own is a link", "own is a file", "sealed is a directory", "sealed is a link"])
def test_a_planted_generation_does_not_keep_a_store_from_being_sealed(in_plain, plant):
    generations = in_plain.store / ".claude-init/generations"
    plant(generations / "1", lambda number: generations / number)
    status, said = in_plain.run("capture", "--from", empty(in_plain), key=in_plain.key)
    assert status == 0, said
    in_plain.check()
    assert [in_plain.token(directory=generations / number) for number in NUMBERS] == ["a", "b"]


def test_a_login_that_a_generation_kept_beside_a_sealed_one_is_sealed_too(sealed):
    sealed.seal()
    sealed.host.put(login("b", left=7200))
    source = sealed.host.home / ".claude"
    source.mkdir()
    (sealed.host.home / ".claude.json").write_text('{"numStartups":1}')
    assert sealed.run("capture", "--from", source)[0] == 0
    (sealed.store / ".credentials.json").unlink()
    assert sealed.exposed()
    assert sealed.run("capture", "--from", empty(sealed), key=sealed.key)[0] == 0
    sealed.check()


def test_a_file_that_a_cli_has_not_renamed_in_a_sealed_store_goes(sealed):
    sealed.seal()
    (sealed.store / ".credentials.json.tmp.7.abc").write_text(login("b"))
    assert sealed.run("capture", "--from", empty(sealed), key=sealed.key)[0] == 0
    sealed.check()


def test_a_sealed_login_that_is_gone_is_said_once_and_its_generation_brings_it_back(sealed):
    source = sealed.host.home / ".claude"
    source.mkdir()
    (source / ".credentials.json").write_text(login("a"))
    assert sealed.run("capture", "--from", source, key=sealed.key)[0] == 0
    (sealed.store / ".claude-init/sealed-login").unlink()
    said = [sealed.run("capture", "--from", empty(sealed), key=sealed.key)[1] for _ in range(2)]
    assert ["has no refresh token, and nothing was sealed here" in each for each in said] == [True, False]
    out = sealed.host.path / "out"
    words = ("--to", out, "--refresh-token=copy", "--generation=1")
    assert sealed.run("restore", *words, key=sealed.key)[0] == 0
    assert sealed.run("capture", "--from", out, key=sealed.key)[0] == 0
    assert sealed.token() == "a"
    sealed.check()


def test_a_link_to_the_login_is_replaced_and_what_it_led_to_is_named(sealed):
    (sealed.store / "real.json").write_text(login("a"))
    (sealed.store / ".credentials.json").symlink_to("real.json")
    status, said = sealed.run("capture", "--from", empty(sealed), key=sealed.key)
    assert status == 0 and "still has the refresh token in plain" in said and "target=real.json" in said, said
    assert sealed.exposed() == [str(sealed.store / "real.json")]


def test_a_key_that_is_too_large_is_refused_as_a_setting(sealed, tmp_path):
    sealed.seal()
    status, said = sealed.run("health", key=make_key(tmp_path / "large", "FAKE" * 20_000))
    assert status == USAGE and "is larger than 64 KiB" in said and "openssl rand" in said
