"""The stand-in itself: what the other tests take for granted of it."""

import json
import os
import subprocess

import pytest
from harness import PATIENCE, RIG, clean_environment

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a network namespace needs root")

ADMIN = 'admin() { curl --silent --cacert "$RIG_CA" -X POST "$RIG_URL/_admin/$1"; }; '
REFRESH = ('refresh() { curl --silent --cacert "$RIG_CA" --json "{\\"refresh_token\\": \\"$1\\"}" '
           '"$RIG_URL/v1/oauth/token"; }; ')
MINT = "first=$(admin mint | jq -r .claudeAiOauth.refreshToken); "


def beside_endpoint(script, tmp_path, **knobs):
    return subprocess.run([RIG / "with-endpoint", "bash", "-c", ADMIN + REFRESH + script], text=True,
                          env=clean_environment(tmp_path, **knobs), capture_output=True, timeout=PATIENCE, check=False)


def test_refresh_token_works_once(tmp_path):
    result = beside_endpoint(MINT + 'refresh "$first"; refresh "$first"', tmp_path, ACCESS_TTL=77)
    renewed, refused = result.stdout.replace("}{", "}\n{").splitlines()
    assert json.loads(renewed)["expires_in"] == 77
    assert json.loads(refused)["error"] == "invalid_grant"


def test_reuse_ends_the_login_if_asked_to(tmp_path):
    script = MINT + 'next=$(refresh "$first" | jq -r .refresh_token); refresh "$first"; refresh "$next"'
    assert beside_endpoint(script, tmp_path, REUSE="family").stdout.count("invalid_grant") == 2
    assert beside_endpoint(script, tmp_path, REUSE="reject").stdout.count("invalid_grant") == 1


def test_revoked_login_cannot_be_renewed(tmp_path):
    result = beside_endpoint(MINT + 'admin "revoke?token=$first"; refresh "$first"', tmp_path)
    assert "invalid_grant" in result.stdout


def test_command_gets_its_status_back_and_a_clean_environment(tmp_path):
    result = beside_endpoint('echo "${SECRET-gone}"; exit 7', tmp_path, SECRET="FAKE")
    assert (result.returncode, result.stdout) == (7, "gone\n")


def test_abandoned_refresh_is_done_or_dropped_as_asked(tmp_path):
    """A client that hangs up while the answer is on its way; then somebody else with the same token."""
    script = (MINT + 'curl --silent --max-time 1.5 --cacert "$RIG_CA" --json "{\\"refresh_token\\": \\"$first\\"}" '
              '"$RIG_URL/v1/oauth/token"; sleep 4; refresh "$first"')
    assert "invalid_grant" in beside_endpoint(script, tmp_path, DELAY=3).stdout
    assert "access_token" in beside_endpoint(script, tmp_path, DELAY=3, ABANDONED="drop").stdout


def test_nothing_is_spent_while_held(tmp_path):
    script = (MINT + 'admin hold; refresh "$first" >answer & until admin stats | jq -e ".refresh_begun > 0" >/dev/null; do sleep 0.1; done; admin stats | jq .refresh_ok; admin release; wait; '
              'cat answer')
    result = beside_endpoint(f"cd {tmp_path}; {script}", tmp_path)
    assert result.stdout.startswith("{}0\n{}") and "access_token" in result.stdout


def test_login_can_have_a_lifetime_of_its_own(tmp_path):
    script = ('first=$(admin "mint?access_left=-1&lifetime=7" | jq -r .claudeAiOauth.refreshToken); '
              'refresh "$first"; admin "newest?token=$first"')
    renewed, newest = beside_endpoint(script, tmp_path, ACCESS_TTL=77).stdout.replace("}{", "}\n{").splitlines()
    renewed, newest = json.loads(renewed), json.loads(newest)
    assert renewed["expires_in"] == 7
    assert newest == {"accessToken": renewed["access_token"], "refreshToken": renewed["refresh_token"]}


def test_goes_down_and_comes_up_again(tmp_path):
    script = MINT + 'admin down; refresh "$first" || echo "cut off"; admin up; refresh "$first"'
    result = beside_endpoint(script, tmp_path)
    assert "cut off" in result.stdout and "access_token" in result.stdout


def test_speaks_plain_http_if_asked_to(tmp_path):
    result = beside_endpoint('curl --silent http://127.0.0.1:8080/_admin/stats', tmp_path, PLAIN_PORT=8080)
    assert json.loads(result.stdout)["refresh_ok"] == 0


@pytest.mark.parametrize("late, answers", [(0, "401 401 "), (0.001, "200 401 "), (600, "200 200 ")])
def test_access_token_is_taken_late_until_its_successor_has_been_out_for_a_while(tmp_path, late, answers):
    script = ('login=$(admin "mint?access_left=-1"); ask() { curl --silent --output /dev/null --write-out "%{http_code} " '
              '--cacert "$RIG_CA" --header "authorization: Bearer $(jq -r .claudeAiOauth.accessToken <<<"$login")" '
              '--json "{}" "$RIG_URL/v1/messages"; }; ask; '
              'refresh "$(jq -r .claudeAiOauth.refreshToken <<<"$login")" >/dev/null; sleep 0.1; ask')
    assert beside_endpoint(script, tmp_path, LATE=late).stdout == answers
