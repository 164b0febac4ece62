"""A job that writes logins of its own making: none of them gets anywhere, and a person can always log in."""

import json
import os
import subprocess

import pytest
from harness import BINARY, eventually
from sessions import login
from test_follow import Run

FOR_EVER = 8.64e15 / 1000


def far(name, **more):
    """A login that claims to live until the last day that the CLI's clock knows."""
    made = json.loads(login(name, **more))
    made["claudeAiOauth"]["expiresAt"] = 8640000000000000
    return json.dumps(made)


def tokens(host):
    """Every access token in the store and in its generations."""
    files = [host.store / ".credentials.json", *host.store.glob(".claude-init/generations/*/.credentials.json")]
    return {json.loads(file.read_text())["claudeAiOauth"]["accessToken"].removeprefix("sk-ant-oat01-FAKE")
            for file in files if file.exists()}


def generations(host):
    out = subprocess.run([BINARY, "history", "--store", host.store, "--json"], capture_output=True, check=True).stdout
    return json.loads(out)["generations"]


def capture(host, text):
    """Somebody saves another directory's login."""
    directory = host.path / "other"
    directory.mkdir(exist_ok=True)
    (directory / ".credentials.json").write_text(text)
    return subprocess.run([BINARY, "capture", "--from", directory, "--store", host.store], env=host.environment,
                          capture_output=True, text=True)


@pytest.mark.parametrize("made", [login("made", left=7200), login("made", left=7200, account=""), far("made"),
                                  login("made", left=7200, account="2")], ids=["newer", "nobody", "far", "other"])
def test_a_login_that_a_job_makes_stays_in_its_copy(host, made):
    host.put(login("real"))
    before = (host.store / ".credentials.json").read_bytes()
    run = Run(host)
    run.put(made)
    run.keeps(made, 1.5)
    status, err = run.end()
    assert status == 0
    assert (host.store / ".credentials.json").read_bytes() == before
    assert err.count("was not saved") == 1 and "log in with claude-init setup" in err, err


def test_eight_made_up_logins_push_nothing_out(host):
    host.put(login("real"))
    run = Run(host)
    for i in range(8):
        made = login(f"made{i}", left=7200 + 60 * i)
        run.put(made)
        run.keeps(made, 0.7)
    _, err = run.end()
    assert tokens(host) == {"real"}
    assert err.count("was not saved") == 1, "a job can make any number of them"


def test_a_job_in_an_empty_store_logs_nobody_in(host):
    host.logins["login_far"] = far("far")
    for name in ("b", "far"):
        status, _, err = host.session("run", f"put {name}", "--allow-no-login")
        assert status == 0 and not (host.store / ".credentials.json").exists(), err


def test_a_job_that_is_trusted_with_the_refresh_token_gives_a_renewed_login_back_and_no_far_one(host):
    host.put(login("real"))
    host.logins["login_far"] = far("far")
    status, _, err = host.session("run", "put far", "--refresh-token=copy")
    assert status == 0 and host.token() == "real", err
    assert "longer than access tokens do" in err
    assert host.session("run", "put b", "--refresh-token=copy")[0] == 0
    assert host.token() == "b"


@pytest.mark.parametrize("stored", [far("planted"), login("planted", left=86000)], ids=["far", "later"])
@pytest.mark.parametrize("left", [60, 7200])
def test_a_person_who_logs_in_replaces_whatever_is_in_the_store(host, stored, left):
    host.put(stored)
    host.logins["login_b"] = login("b", left=left)
    status, _, err = host.session("setup", "put b")
    assert status == 0, err
    assert host.token() == "b"


def test_a_planted_login_never_outlives_a_known_one_in_a_capture(host):
    host.put(far("planted"))
    assert capture(host, login("real")).returncode == 0
    assert host.token() == "real"
    refused = capture(host, far("again"))
    assert refused.returncode == 76, refused.stderr
    assert host.token() == "real"


def test_the_login_that_was_last_proven_is_kept_however_many_others_come(host):
    assert host.session("setup", "put a")[0] == 0
    for i in range(8):
        assert capture(host, login(f"made{i}", left=7200 + 60 * i)).returncode == 0
    assert host.token() == "made7"
    assert "a" in tokens(host) and len(generations(host)) == 5


def test_a_planted_login_is_found_out_within_a_day_and_said_to_be_doubtful(host):
    host.put(far("planted"))
    said = subprocess.run([BINARY, "health", "--store", host.store], env=host.environment, capture_output=True, text=True)
    assert "longer than any lives" in said.stdout, said.stdout
    day_ago = os.stat(host.store).st_mtime - 25 * 3600
    os.utime(host.store / ".credentials.json", (day_ago, day_ago))
    command = host.path / "renewing"
    command.write_text("#!/bin/sh\n: > called; exit 1\n")
    command.chmod(0o755)
    run = host.start("run", "echo ready; read go", "--renew-command", str(command), "--log-level", "debug")
    assert run.stdout.readline()
    eventually(lambda: "the login could not be renewed" in run.stderr.readline(), "a renewal")
