"""The interactive CLI on a terminal while its access token expires three times: it never asks anybody to log in."""

import json
import os
import re
import time

import pytest
from harness import Terminal, enter, leave_claude, wait_until
from native import PERSON, find_cli, machine, run_command

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
LIFETIME, EXPIRIES = 40, 3
ASKS_TO_LOG_IN = re.compile(r"/login|log ?in|logged ?out", re.IGNORECASE)


@pytest.fixture(name="place")
def fixture_place():
    with machine(find_cli(), REUSE="family", DELAY=0.5, LATE=15) as place:
        yield place


def open_claude(place, home):
    command, *arguments = run_command(BINARY, place, "claude")
    terminal = Terminal(command, arguments, env=place.environment(home), cwd=str(home))
    terminal.expect("❯")
    return terminal


def test_open_sessions_live_through_expiries_idle_and_working(place):
    place.log_in(LIFETIME)
    homes = [place.home(), place.home()]
    trusted = {str(home): {"hasTrustDialogAccepted": True} for home in homes}
    place.store.write(".claude.json", json.dumps({"hasCompletedOnboarding": True, "projects": trusted}), PERSON)
    idle, working = (open_claude(place, home) for home in homes)

    end, questions = time.monotonic() + LIFETIME * EXPIRIES, 0
    while time.monotonic() < end:
        questions += 1
        ask_and_see_it_answered(place, working, f"question {questions}")
        idle.settle()
        time.sleep(3)
    ask_and_see_it_answered(place, idle, "after all that")

    stats = place.endpoint.stats()
    assert stats["refresh_ok"] >= EXPIRIES and questions > EXPIRIES
    assert (stats["refresh_reuse"], stats["refresh_unknown"], stats["msg_401"]) == (0, 0, 0)
    for terminal in (idle, working):
        leave_claude(terminal)
        assert terminal.finish() == 0, terminal.text[-3000:]
        assert not ASKS_TO_LOG_IN.search(terminal.text), terminal.text[-3000:]


def ask_and_see_it_answered(place, terminal, question):
    """By the model's answer; what is on the screen may be drawn several times."""
    before = place.endpoint.stats()["msg_ok"]
    enter(terminal, question)

    def is_answered():
        terminal.settle()
        return place.endpoint.stats()["msg_ok"] > before

    wait_until(is_answered, f"an answer to {question}")
