"""The key that the two scripts of docs/how-to/docker.md make, and which commands get it."""

import json
import re
import time

import pytest
from harness import ANSWER, mode
from small_machine import SETUP, TRY


def test_the_key_is_made_once_beside_the_store_and_seals_it(small):
    told = small(SETUP, "--", "true")
    assert told.returncode == 0 and f"Made the key that seals the login: {small.store.key}." in told.stderr, told.stderr
    assert mode(small.store.key.stat()) == 0o600 and re.fullmatch(r"[0-9a-f]{64}", small.store.key.read_text())
    assert small.store.is_sealed and small.store.exposed("sk-ant-ort01-FAKE") == []
    before = small.store.key.read_text(), small.store.oauth
    told = small(SETUP, "--", "true")
    assert told.returncode == 0 and "Made the key" not in told.stderr, told.stderr
    assert (small.store.key.read_text(), small.store.oauth) == before
    assert not list(small.home.glob("*.new"))


def test_a_key_that_is_lost_is_named_and_no_other_one_is_made(small):
    assert small(SETUP, "--", "true").returncode == 0
    kept = small.store.key.rename(small.home / "kept")
    before = small.store.fingerprint()
    refused = small(SETUP, "--", "true")
    assert refused.returncode == 64, refused.stderr
    assert str(small.store.key) in refused.stderr and "Put it back" in refused.stderr
    assert not small.store.key.exists() and small.store.fingerprint() == before
    # What needs no refresh token needs no key.
    assert small(TRY).stdout == f"{ANSWER}\n"
    assert small(SETUP, "--", "true", CLAUDE_HUB_KEY=str(kept)).returncode == 0


@pytest.mark.parametrize("directory", [".claude-hub", ".claude-hub/"])
def test_a_key_is_never_made_in_the_store(small, directory):
    refused = small(SETUP, "--", "true", CLAUDE_HUB_KEY=str(small.store.path / "key"))
    assert refused.returncode == 64 and "outside of" in refused.stderr, refused.stderr
    assert not (small.store.path / "key").exists() and not small.store.is_sealed
    assert small(SETUP, "--", "true", CLAUDE_HUB_DIR=f"{small.home}/{directory}").returncode == 0
    assert small.store.key.exists() and small.store.is_sealed


def test_of_the_containers_only_those_that_ask_no_cli_have_the_key(small):
    small.store.make_key()
    log = small.home / "containers"
    small.provide_engine(f'case $1 in run) echo "$*" >> "{log}"; case "$*" in *" health "*) exit 10 ;; '
                         f'*" renew") ;; *) echo {ANSWER} ;; esac ;; esac')
    assert small(TRY).stdout == f"{ANSWER}\n"
    health, renew, run = log.read_text(encoding="utf-8").splitlines()
    key = f"--volume {small.store.key}:/run/secrets/seal-key:ro --env CLAUDE_INIT_SEAL_KEY=/run/secrets/seal-key "
    assert key in health and f"{small.store.path}:/claude-auth:ro" in health
    assert key in renew and f"{small.store.path}:/claude-auth " in renew
    assert "key" not in run.replace(str(small.home), "").lower() and f"{small.store.path}:/claude-auth:ro" in run


@pytest.mark.parametrize("sealed", [False, True])
def test_a_login_that_is_only_to_be_renewed_is_renewed_and_tried(small, sealed):
    stored = small.store.path / ".credentials.json"
    login = json.loads(stored.read_text(encoding="utf-8"))
    login["claudeAiOauth"]["expiresAt"] = 1
    small.store.write(".credentials.json", json.dumps(login))
    if sealed:
        small(SETUP, "--", "true")
    assert small.store.is_sealed == sealed
    login["claudeAiOauth"] |= {"expiresAt": int((time.time() + 28800) * 1000), "accessToken": "sk-ant-oat01-FAKE-next",
                               "refreshToken": "sk-ant-ort01-FAKE-next"}
    (small.home / "next").write_text(json.dumps(login), encoding="utf-8")
    small.provide(small.data / "cli/bin/claude",
                  f'if grep -q ort01 "$CLAUDE_CONFIG_DIR/.credentials.json"; then cat "{small.home}/next" '
                  f'> "$CLAUDE_CONFIG_DIR/.credentials.json"; else echo {ANSWER}; fi')
    told = small(TRY)
    assert (told.returncode, told.stdout) == (0, f"{ANSWER}\n"), told.stderr
    assert "cannot be used" not in told.stderr
    assert ("The store is not sealed" in told.stderr) == (not sealed)
    assert "oat01-FAKE-next" in stored.read_text(encoding="utf-8")
    assert small.store.oauth["refreshToken"] == "sk-ant-ort01-FAKE-next"
    assert not sealed or small.store.exposed("sk-ant-ort01") == []
