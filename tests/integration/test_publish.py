"""--publish DIR: a store with everything but the refresh token, kept like the one that it is published from."""

import json
import os
import shutil
import signal

import pytest
from harness import PATIENCE, eventually
from sessions import login
from test_follow import BLANKED, Run, replace

SECRET = b"sk-ant-ort01"


@pytest.fixture
def published(host):
    return host.path / "published"


def token(directory):
    try:
        text = (directory / ".credentials.json").read_text()
        return json.loads(text)["claudeAiOauth"]["accessToken"].removeprefix("sk-ant-oat01-FAKE")
    except (FileNotFoundError, ValueError):
        return None


def files_with_a_refresh_token(directory):
    found = []
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                with open(os.path.join(parent, name), "rb") as f:
                    if SECRET in f.read():
                        found.append(os.path.join(parent, name))
            except FileNotFoundError:
                pass
    return found


def test_what_is_in_the_store_is_published_without_the_refresh_token_whatever_happens_to_it(host, published):
    host.put(login("first"))
    (host.store / "settings.json").write_text("{}")
    (host.store / "projects").mkdir()
    (host.store / "projects/x.jsonl").write_text("x\n")
    keeper = host.keep("--publish", published)
    eventually(lambda: token(published) == "first", "the first login")
    eventually((published / "projects/x.jsonl").exists, "the rest")
    assert (published / "settings.json").exists() and (published / "projects/x.jsonl").exists()
    for i in range(8):
        replace(host, login(f"next{i}", left=7200 + i))
        while token(published) != f"next{i}":  # at every moment, also of a stage
            assert files_with_a_refresh_token(published) == []
    replace(host, BLANKED)
    eventually(lambda: "dead" in host.keeper_said(), "the keeper to see that")
    assert token(published) == "next7"
    replace(host, login("last", left=9000))
    eventually(lambda: token(published) == "last", "the last login")
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(PATIENCE) == 0
    assert files_with_a_refresh_token(published) == []
    assert files_with_a_refresh_token(host.store) != []


def test_a_published_store_is_a_store_to_run_from_and_not_one_to_log_in_to(host, published):
    host.put(login("first"))
    host.publish(published)
    host.store = published
    run = Run(host)
    assert run.token() == "first"
    replace(host, login("next", left=7200, refresh=False))
    run.gets("next")
    made = login("made", left=9000)
    run.put(made)
    run.keeps(made, 1.5)
    status, err = run.end()
    assert status == 0 and "a run does not take a login over" in err, err
    assert files_with_a_refresh_token(published) == []
    status, out, err = host.session("setup", "echo started")
    assert (status, out) == (66, "") and "published store" in err, err


def test_a_copy_of_the_store_becomes_a_published_one_with_nothing_left_of_its_refresh_tokens(host, published):
    host.put(login("first", left=1800))
    for name in ("a", "b"):
        assert host.session("setup", f"put {name}")[0] == 0
    shutil.copytree(host.store, published)
    (published / ".credentials.json.tmp.12345678").write_text(login("cut")[:150])
    assert files_with_a_refresh_token(published) != []
    host.publish(published)
    assert files_with_a_refresh_token(published) == []
    assert token(published) == host.token()
    # Somebody has put one there since.
    (published / ".credentials.json").write_text(login("other"))
    host.publish(published)
    assert files_with_a_refresh_token(published) == []


def test_a_directory_with_a_login_of_its_own_is_left_as_it_is(host, published):
    host.put(login("first"))
    published.mkdir(mode=0o700)
    (published / ".credentials.json").write_text(login("own"))
    host.keep("--publish", published)
    eventually(lambda: "a login of its own" in host.keeper_said(), "the refusal")
    assert "sk-ant-ort01-FAKEown" in (published / ".credentials.json").read_text()


def test_a_place_that_cannot_be_made_is_said_with_what_to_do(host):
    host.put(login("a"))
    host.keep("--publish", "/proc/x")
    eventually(lambda: "make /proc/x" in host.keeper_said(), "the refusal")
    assert "name a directory that is there: --publish DIR" in host.keeper_said()
