"""One renewal by the CLI itself: `run` with an expired login, a dead one, and a server that does not answer."""

import json
import os
import subprocess

import pytest
from harness import ANSWER, EXIT_EXPIRED
from native import PERSON, find_cli, machine, run_command

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")

@pytest.fixture(scope="module", name="place")
def fixture_place():
    with machine(find_cli(), REUSE="family", DELAY=0.5) as place:
        yield place


def run(place, *command):
    home = place.home()
    return subprocess.run(run_command(BINARY, place, *command), env=place.environment(home), cwd=home, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)


def as_it_was(place, before):
    return (place.store.path / ".credentials.json").read_bytes() == before and not (
        place.store.path / ".claude-init/renewal").exists()


def test_an_expired_login_is_renewed_by_the_cli_and_used(place):
    login = place.log_in(3600, access_left=-60)
    login.credentials["sibling"] = {"kept": True}
    place.store.put(login, PERSON)
    before = place.endpoint.stats()
    done = run(place, "sh", "-c", 'claude --print hello && cat "$CLAUDE_CONFIG_DIR/.credentials.json"')
    after = place.endpoint.stats()
    assert done.returncode == 0, done.stderr
    answer, copy = done.stdout.split("\n", 1)
    newest = place.endpoint.newest(login)
    assert answer == ANSWER
    assert newest["accessToken"] in copy and "ort01" not in copy and "sibling" in copy
    assert (place.store.oauth["accessToken"], place.store.oauth["refreshToken"]) == (
        newest["accessToken"], newest["refreshToken"])
    assert json.loads((place.store.path / ".credentials.json").read_text())["sibling"] == {"kept": True}
    assert (place.store.path / ".credentials.json").stat().st_uid == PERSON
    assert not (place.store.path / ".claude-init/renewal").exists()
    assert {name: after[name] - before[name] for name in ("refresh_begun", "refresh_ok", "msg_401")} == {
        "refresh_begun": 1, "refresh_ok": 1, "msg_401": 0}


def test_a_login_that_the_server_refuses_is_dead_and_stays_as_it_was(place):
    login = place.log_in(3600, access_left=-60)
    place.endpoint.revoke(login)
    before = (place.store.path / ".credentials.json").read_bytes()
    done = run(place, "claude", "--print", "hello")
    assert done.returncode == EXIT_EXPIRED and "the login is dead" in done.stderr, done.stderr
    assert as_it_was(place, before)
    begun = place.endpoint.stats()["refresh_begun"]
    assert run(place, "claude", "--print", "hello").returncode == EXIT_EXPIRED
    assert place.endpoint.stats()["refresh_begun"] == begun, "it was asked again about a login that it has refused"


def test_a_server_that_does_not_answer_changes_nothing(place):
    login = place.log_in(3600, access_left=-60)
    before = (place.store.path / ".credentials.json").read_bytes()
    with place.endpoint.down():
        done = run(place, "claude", "--print", "hello")
    assert done.returncode == EXIT_EXPIRED and "no usable answer" in done.stderr, done.stderr
    assert as_it_was(place, before)
    done = run(place, "claude", "--print", "hello")
    assert (done.returncode, done.stdout) == (0, f"{ANSWER}\n"), done.stderr
    assert place.store.oauth["refreshToken"] == place.endpoint.newest(login)["refreshToken"]
