"""The stand-in itself: what the other tests take for granted of it."""

import json
import os
import subprocess

import pytest
from harness import RIG, clean_environment

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a network namespace needs root")

ADMIN = 'admin() { curl --silent --cacert "$RIG_CA" -X POST "$RIG_URL/_admin/$1"; }; '
REFRESH = ('refresh() { curl --silent --cacert "$RIG_CA" --json "{\\"refresh_token\\": \\"$1\\"}" '
           '"$RIG_URL/v1/oauth/token"; }; ')
MINT = "first=$(admin mint | jq -r .claudeAiOauth.refreshToken); "


def beside_endpoint(script, tmp_path, **knobs):
    return subprocess.run([RIG / "with-endpoint", "bash", "-c", ADMIN + REFRESH + script], text=True,
                          env=clean_environment(tmp_path, **knobs), capture_output=True, timeout=60, check=False)


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
