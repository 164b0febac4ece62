"""`claude-init renew`: one renewal, now, with a status for what came of it."""

import json
import os
import signal
import subprocess

import pytest
from harness import BINARY
from sessions import login
from test_renewal_tools import BURNS, Cli

RENEWED, NOT_ASKED, NO_NEW_TOKEN, REJECTED, BURNT, NOT_HERE, BUSY = 0, 20, 21, 22, 23, 24, 75


class Renew(Cli):
    def start(self, *options):
        return subprocess.Popen([BINARY, "renew", "--store", self.host.store, *options], env=self.host.environment,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __call__(self, *options):
        process = self.start(*options)
        out, err = process.communicate(timeout=60)
        assert "FAKE" not in out + err
        return process.returncode, out, err


@pytest.fixture
def renew(host, tmp_path):
    return Renew(host, tmp_path)


def test_what_is_due_is_renewed(renew):
    renew.host.put(login("a", left=600))
    status, out, err = renew()
    assert (status, err) == (RENEWED, "")
    assert out.startswith("renewed; the access token is valid until ")
    assert renew.host.token() == "a+"


def test_what_is_not_due_is_left_alone_unless_it_is_forced(renew):
    renew.host.put(login("a", left=7200))
    status, out, err = renew()
    assert (status, err) == (0, "")
    assert out.startswith("not due; ") and "--force" in out
    assert renew.calls() == []
    assert renew("--force")[0] == RENEWED
    assert renew.host.token() == "a+"


def test_with_json_each_outcome_is_one_object(renew):
    def asked(*options):
        status, out, _ = renew("--json", *options)
        told = json.loads(out)
        assert out.count("\n") == 1 and told["store"] == str(renew.host.store)
        return status, told["outcome"], told["state"], "reason" in told, "access_expires_at" in told

    assert asked() == (67, "not_renewable", "missing", False, False)
    renew.host.put(login("a", left=7200))
    assert asked() == (0, "not_due", "usable", False, True)
    assert asked("--force") == (0, "renewed", "usable", False, True)
    renew.mode("unchanged")
    assert asked("--force") == (NO_NEW_TOKEN, "failed", "usable", True, True)


@pytest.mark.parametrize("mode, expected, said", [("unasked", NOT_ASKED, "did not ask the server"),
                                                  ("unchanged", NO_NEW_TOKEN, "no usable answer"),
                                                  ("killed", NO_NEW_TOKEN, "SIGKILL"),
                                                  ("blanked", REJECTED, "the server rejected it")])
def test_each_outcome_has_its_status(renew, mode, expected, said):
    renew.host.put(login("a"))
    renew.mode(mode)
    status, out, err = renew("--force")
    assert (status, out) == (expected, ""), err
    assert said in err
    assert renew.host.token() == "a"


def test_a_renewal_that_costs_the_login_has_a_status_of_its_own_and_the_command_none_after_that(renew):
    renew.host.put(login("a", left=-1))
    renew.mode("burns")
    status, _, err = renew(BURNS)
    assert status == BURNT, err
    renew.host.put(login("b", left=-1))
    status, _, err = renew(BURNS)
    assert (status, len(renew.calls())) == (NOT_ASKED, 2), err
    assert renew()[0] == RENEWED


def test_a_command_that_would_cost_the_login_is_not_run(renew):
    renew.install("2.1.260")
    renew.host.put(login("a", left=-1))
    status, _, err = renew("--renew-command=claude auth status")
    assert status == NOT_ASKED, err
    assert "would cost the login" in err
    assert renew.calls() == []


def test_a_login_that_is_dead_or_not_there_is_told_as_health_does(renew):
    status, _, err = renew()
    assert status == 67, err
    assert "missing" in err
    renew.host.put(login("a", left=-1))
    renew.mode("blanked")
    assert renew()[0] == REJECTED
    status, _, err = renew("--force")
    assert status == 68, err
    assert "dead" in err
    assert len(renew.calls()) == 1


def test_a_copy_without_refresh_token_is_not_renewed(renew):
    renew.host.put(login("a", refresh=False))
    status, _, err = renew("--force")
    assert status == NOT_HERE, err
    assert "no refresh token" in err


def test_a_read_only_store_is_not_renewed(renew):
    renew.host.put(login("a"))
    renew.host.make_read_only()
    status, _, err = renew("--force")
    assert status == 73, err
    assert renew.calls() == []


def test_a_store_that_was_copied_is_not_renewed(renew):
    renew.host.put(login("a"))
    assert renew("--force")[0] == RENEWED
    subprocess.run(["cp", "-a", renew.host.store, f"{renew.host.store}.copy"], check=True)
    renew.host.store = renew.host.path / "store.copy"
    calls = len(renew.calls())
    status, _, err = renew("--force")
    assert status == NOT_HERE, err
    assert len(renew.calls()) == calls


def test_it_waits_for_somebody_else_s_renewal(renew):
    renew.host.put(login("a", left=-1))
    renew.mode("slow")
    first = renew.start()
    renew.renewals(1)
    second = renew.start()
    renew.go()
    assert first.wait(60) == RENEWED
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert renew.host.token() == "a+"
    assert len(renew.calls()) == 1
    assert out


def test_a_stop_ends_it_when_the_renewal_is_saved(renew):
    renew.host.put(login("a", left=-1))
    renew.mode("slow")
    process = renew.start()
    renew.renewals(1)
    os.kill(process.pid, signal.SIGTERM)
    renew.go()
    assert process.wait(60) == RENEWED
    assert renew.host.token() == "a+"
