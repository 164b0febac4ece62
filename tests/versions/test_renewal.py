"""A renewal by claude-init's default command never costs a login that the network does not cost, on any version."""

import os

import pytest
from clis import CHOSEN, NEWEST
from habits import BURNT, NO_NEW_TOKEN, REJECTED, RENEWED, renewal, tells_rejection, trouble

LONG = os.environ.get("CLAUDE_INIT_TEST_LANE") == "long"
# In the full lane older versions meet what their habits differ in.
TROUBLES = [(version, kind) for version in CHOSEN for kind in ("503", "down", "429")
            if LONG or version == NEWEST or kind == "503"]


def test_it_renews_and_costs_no_message(machine, version):
    before = machine.endpoint.stats()
    ended, word = renewal(machine, version, 3)
    assert (word, ended.status) == ("renews", RENEWED), ended
    after = machine.endpoint.stats()
    assert after["refresh_ok"] == before["refresh_ok"] + 1
    assert after["refresh_reuse"] == before["refresh_reuse"]
    assert ended.messages == 0
    assert "FAKE" not in ended.out + ended.err


@pytest.mark.parametrize("cli, kind", TROUBLES)
def test_a_server_in_trouble_spends_nothing_and_the_next_try_renews(machine, cli, kind):
    first, second = trouble(machine, cli, kind)
    assert (first.status, first.spent) == (NO_NEW_TOKEN, False), first
    assert (second.status, second.renewed) == (RENEWED, True), second


@pytest.mark.parametrize("kind", ["cut", "half"] if LONG else ["cut"])
def test_an_answer_that_is_lost_is_called_that(machine, version, kind):
    """No client can save what it never got. Later versions may ask once more by themselves, and blank the login then."""
    first, second = trouble(machine, version, kind)
    assert first.spent and not first.renewed, first
    if tells_rejection(version):
        assert first.status == REJECTED or (first.status, second.status) == (NO_NEW_TOKEN, BURNT), (first, second)
    else:
        assert (first.status, second.status) == (NO_NEW_TOKEN, NO_NEW_TOKEN), (first, second)
        assert "does not tell" in second.err


def test_a_rejected_login_is_told_from_no_answer_where_the_version_tells(machine, version):
    first, _ = trouble(machine, version, "dead")
    assert first.status == (REJECTED if tells_rejection(version) else NO_NEW_TOKEN), first
    if not tells_rejection(version):
        assert "does not tell" in first.err
