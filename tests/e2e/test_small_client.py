"""The small client of the fleets beside the CLI itself: the same situations, the same outcome."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from harness import ANSWER
from native import PERSON, as_person, find_cli, machine, write_json

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
PLAIN_PORT = 8080


@pytest.fixture(scope="module", name="place")
def fixture_place():
    with machine(find_cli(), PLAIN_PORT=PLAIN_PORT) as place:
        place.provide("small_client", os.environ["SMALL_CLIENT"])
        yield place


@pytest.fixture(params=["claude", "small_client"], name="client")
def fixture_client(request, place):
    return Client(place, place.bin / request.param)


class Client:
    """One of the two in a home of its own. What it did is told in words that do not depend on which."""

    def __init__(self, place, program):
        self.place, self.program = place, program
        self.directory = place.home() / ".claude"  # what lies beside it can be written too: the outer lock
        self.directory.mkdir()
        os.chown(self.directory, PERSON, PERSON)
        self.file = self.directory / ".credentials.json"
        self.environment = place.environment(self.directory.parent, CLAUDE_CONFIG_DIR=self.directory, STAND_IN_PORT=PLAIN_PORT)

    def has(self, login, **changes):
        oauth = {**login.credentials["claudeAiOauth"], **changes}
        write_json(self.file, {"claudeAiOauth": {key: value for key, value in oauth.items() if value is not None},
                               "sibling": {"kept": True}})

    def does(self, *arguments):
        """(whether it answers, its status, refreshes begun, what the file holds then)"""
        before, begun = self.content(), self.place.endpoint.stats()["refresh_begun"]
        result = subprocess.run(as_person([self.program, *arguments]), env=self.environment, cwd=self.directory,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
        return (ANSWER in result.stdout, result.returncode,
                self.place.endpoint.stats()["refresh_begun"] - begun, self.change(before))

    def content(self):
        try:
            return json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def change(self, before):
        now = self.content()
        if now is None or before is None or now["claudeAiOauth"].get("accessToken") == before["claudeAiOauth"]["accessToken"]:
            return "same"
        assert now["sibling"] == before["sibling"]
        oauth = now["claudeAiOauth"]
        if (oauth["accessToken"], oauth["refreshToken"], oauth["expiresAt"]) == ("", "", 0):
            return "blanked"
        assert oauth["refreshToken"] != before["claudeAiOauth"]["refreshToken"]
        assert oauth["expiresAt"] > time.time() * 1000 + 300_000
        return "renewed"


PRINT, STATUS = ("--print", "hello"), ("auth", "status")


def test_token_that_lasts_is_used_as_it_is(client, place):
    client.has(place.endpoint.login(access_left=400))
    assert client.does(*PRINT) == (True, 0, 0, "same")


@pytest.mark.parametrize("left", [200, -60])
def test_due_token_is_renewed_first(client, place, left):
    client.has(place.endpoint.login(access_left=left))
    assert client.does(*PRINT) == (True, 0, 1, "renewed")
    assert client.does(*PRINT) == (True, 0, 0, "same")


@pytest.mark.parametrize("none", [None, ""])
def test_copy_without_refresh_token_works_until_its_expiry_and_never_asks_for_another(client, place, none):
    login = place.endpoint.login(access_left=25)
    client.has(login, refreshToken=none)
    assert client.does(*PRINT) == (True, 0, 0, "same")
    expired = place.endpoint.login(access_left=-5)
    client.has(expired, refreshToken=none)
    assert client.does(*PRINT) == (False, 1, 0, "same")


def test_refused_refresh_token_blanks_the_file(client, place):
    login = place.endpoint.login(access_left=-60)
    place.endpoint.revoke(login)
    client.has(login)
    assert client.does(*PRINT) == (False, 1, 1, "blanked")
    assert client.does(*PRINT) == (False, 1, 0, "same")


def test_refused_access_token_is_renewed(client, place):
    client.has(place.endpoint.login(access_left=-60), expiresAt=int((time.time() + 3600) * 1000))
    assert client.does(*PRINT) == (True, 0, 1, "renewed")


def test_replaced_file_is_read_at_the_next_request(client, place):
    client.has(place.endpoint.login(access_left=-5), refreshToken=None)
    assert client.does(*PRINT)[0] is False
    client.has(place.endpoint.login(access_left=60), refreshToken=None)
    assert client.does(*PRINT) == (True, 0, 0, "same")


@pytest.mark.parametrize("text", ["", '{"claudeAiOauth": {"accessTo'])
def test_file_without_a_login_is_left_alone(client, text):
    client.file.write_text(text, encoding="utf-8")
    os.chown(client.file, PERSON, PERSON)
    assert client.does(*PRINT) == (False, 1, 0, "same")
    assert client.file.read_text(encoding="utf-8") == text


def test_auth_status_renews_and_always_succeeds(client, place):
    client.has(place.endpoint.login(access_left=-60), expiresAt=0)
    assert client.does(*STATUS) == (False, 0, 1, "renewed")


def test_auth_status_blanks_a_dead_login_and_succeeds(client, place):
    login = place.endpoint.login(access_left=-60)
    place.endpoint.revoke(login)
    client.has(login, expiresAt=0)
    assert client.does(*STATUS)[1:] == (0, 1, "blanked")


def test_auth_status_leaves_the_file_when_nobody_answers(client, place):
    client.has(place.endpoint.login(access_left=-60), expiresAt=0)
    with place.endpoint.down():
        assert client.does(*STATUS)[1:] == (0, 0, "same")


def test_two_at_once_spend_the_token_once(client, place):
    client.has(place.endpoint.login(access_left=-60))
    before = place.endpoint.stats()
    command = as_person([client.program, *PRINT])
    both = [subprocess.Popen(command, env=client.environment, cwd=client.directory, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [one.communicate(timeout=60)[0].strip() for one in both] == [ANSWER, ANSWER]
    after = place.endpoint.stats()
    assert {name: after[name] - before[name] for name in ("refresh_begun", "refresh_ok")} == {
        "refresh_begun": 1, "refresh_ok": 1}


@pytest.mark.parametrize("lock", [".oauth_refresh.lock", "outer"])
def test_lock_of_somebody_killed_keeps_it_from_renewing(client, place, lock):
    client.has(place.endpoint.login(access_left=-60))
    path = Path(f"{client.directory}.lock") if lock == "outer" else client.directory / lock
    path.mkdir()
    os.chown(path, PERSON, PERSON)
    assert client.does(*PRINT)[2:] == (0, "same")
    os.utime(path, (time.time() - 70,) * 2)
    assert client.does(*PRINT) == (True, 0, 1, "renewed")
