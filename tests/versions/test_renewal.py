"""A renewal by claude-init's default command never costs a login that the network does not cost, on any version."""

import os

import pytest
from habits import BURNT, NO_NEW_TOKEN, REJECTED, RENEWED, asks_again, renewal, tells_rejection, trouble

SLOW = [0.1, 3] + ([10] if os.environ.get("CLAUDE_INIT_TEST_LANE") == "long" else [])


@pytest.mark.parametrize("seconds", SLOW)
def test_it_renews_however_slow_the_server_is_and_costs_no_message(machine, version, seconds):
    before = machine.endpoint.stats()
    ended, word = renewal(machine, version, seconds)
    assert (word, ended.status) == ("renews", RENEWED), ended
    after = machine.endpoint.stats()
    assert after["refresh_ok"] == before["refresh_ok"] + 1
    assert after["refresh_reuse"] == before["refresh_reuse"]
    assert ended.messages == 0
    assert "FAKE" not in ended.out + ended.err


@pytest.mark.parametrize("kind", ["down", "503", "429"])
def test_a_server_in_trouble_spends_nothing_and_the_next_try_renews(machine, version, kind):
    first, second = trouble(machine, version, kind)
    assert (first.status, first.spent) == (NO_NEW_TOKEN, False), first
    assert (second.status, second.renewed) == (RENEWED, True), second


@pytest.mark.parametrize("kind", ["cut", "half"])
def test_an_answer_that_is_lost_is_called_that(machine, version, kind):
    """No client can save what it never got. Later versions ask once more by themselves, and blank the login."""
    first, second = trouble(machine, version, kind)
    assert first.spent and not first.renewed, first
    if asks_again(version):
        assert first.status == REJECTED, first
        return
    assert first.status == NO_NEW_TOKEN, first
    assert second.status == (BURNT if tells_rejection(version) else NO_NEW_TOKEN), second


def test_a_rejected_login_is_told_from_no_answer_where_the_version_tells(machine, version):
    first, _ = trouble(machine, version, "dead")
    assert first.status == (REJECTED if tells_rejection(version) else NO_NEW_TOKEN), first
    if not tells_rejection(version):
        assert "does not tell" in first.err
