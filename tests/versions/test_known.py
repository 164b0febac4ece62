"""The rows of src/cli/known.cpp, measured again: what must not be taken for a renewing command, and what is refused."""

import pytest
from clis import ALL, CHOSEN, number
from habits import NOT_ASKED, RENEWED, command

NOWHERE = (10 ** 6,)
# words, from, to (without), what it does: as in src/cli/known.cpp.
ROWS = [("auth status", (2, 1, 100), (2, 1, 198), "does not ask"), ("auth status", (2, 1, 198), (2, 1, 330), "**burns**"),
        ("mcp list", (2, 1, 100), (2, 1, 197), "does not ask"), ("--print /cost", (2, 1, 100), (2, 1, 197), "**burns**"),
        ("doctor", (2, 1, 198), (2, 1, 260), "**burns**"), ("--init-only", (2, 1, 197), (2, 1, 330), "**burns**"),
        ("agents --json", (2, 1, 260), NOWHERE, "**burns**")]
CASES = [pytest.param(version, *row, id=f"{version}-{row[0].replace(' ', '-')}")
         for version in ALL if version in CHOSEN for row in ROWS if row[1] <= number(version) < row[2]]


@pytest.mark.parametrize("cli, words, first, good, does", CASES)
def test_what_is_known_not_to_renew_does_not(machine, cli, words, first, good, does):
    """It may end before it has asked as well as before it has saved: what it must not do is renew every time."""
    seen = [command(machine, cli, words) for _ in range(3)]
    assert does in seen or not all(word.startswith("renews") for word in seen), (first, good, seen)


@pytest.mark.parametrize("cli, words, first, good, does", CASES)
def test_it_is_refused_before_a_token_is_spent(machine, cli, words, first, good, does):
    del first, good, does
    place = machine.place()
    login = machine.login(place)
    ended = machine.renew(cli, place, login, f"--renew-command=claude {words}")
    assert (ended.status, ended.asked) == (NOT_ASKED, False), ended
    assert "leave --renew-command out" in ended.err
    assert machine.renew(cli, place, login).status == RENEWED
