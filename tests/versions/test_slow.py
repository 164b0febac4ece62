"""Servers that take their time: what each version waits for, and that claude-init waits longer."""

import pytest
from habits import LATENCIES, NO_NEW_TOKEN, RENEWED, own_limit, renewal, silence

OUR_LIMIT = 300  # seconds (src/renew/renewer.h)


@pytest.mark.parametrize("seconds", LATENCIES)
def test_it_renews_unless_the_cli_itself_gives_up(machine, version, seconds):
    ended, word = renewal(machine, version, seconds)
    assert ended.messages == 0
    assert (word, ended.status) in {("renews", RENEWED), ("burns", NO_NEW_TOKEN)}, ended
    if seconds != own_limit(version):
        assert word == ("renews" if seconds < own_limit(version) else "burns"), ended


def test_the_cli_gives_up_before_claude_init_does(machine, version):
    """Else the time limit of the renewing command would cost logins."""
    ended = silence(machine, version)
    assert ended.status == NO_NEW_TOKEN, ended
    assert "did not end in time" not in ended.err
    assert own_limit(version) - 2 < ended.waited < own_limit(version) + 10 < OUR_LIMIT, ended
