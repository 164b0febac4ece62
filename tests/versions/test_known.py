"""The rows of src/cli/known.cpp, measured again: what must not be taken for a renewing command, and what is refused."""

import re

import pytest
from clis import ALL, CHOSEN, TOP, number
from habits import NOT_ASKED, RENEWED, command

OLDEST, NOWHERE = (0,), (10 ** 6,)
# words, from, to (without), what it does: as in src/cli/known.cpp.
ROWS = [("auth status", (2, 1, 100), (2, 1, 198), "does not ask"), ("auth status", (2, 1, 198), (2, 1, 330), "**burns**"),
        ("mcp list", OLDEST, (2, 1, 197), "does not ask"), ("--print /cost", OLDEST, (2, 1, 197), "**burns**"),
        ("doctor", (2, 1, 198), (2, 1, 260), "**burns**"),
        ("--init-only", OLDEST, (2, 1, 197), "does not ask"), ("--init-only", (2, 1, 197), NOWHERE, "**burns**"),
        ("agents --json", OLDEST, (2, 1, 198), "does not ask"), ("agents --json", (2, 1, 198), NOWHERE, "**burns**")]
CASES = [pytest.param(version, *row, id=f"{version}-{row[0].replace(' ', '-')}")
         for version in ALL if version in CHOSEN for row in ROWS if row[1] <= number(version) < row[2]]
# These burn on a busy machine, and renew each time on an idle one: refused, and not measured again.
LUCKY = ["2.0.77---print-/cost", "2.1.330---init-only", "2.1.332---init-only"]


@pytest.mark.parametrize("cli, words, first, good, does", [case for case in CASES if case.id not in LUCKY])
def test_what_is_known_not_to_renew_does_not(machine, cli, words, first, good, does):
    """It may end before it has asked as well as before it has saved: what it must not do is renew every time."""
    seen = []
    while len(seen) < 6 and all(word.startswith("renews") for word in seen):
        seen.append(command(machine, cli, words))
    assert not seen[-1].startswith("renews"), (first, good, does, seen)


@pytest.mark.parametrize("cli, words, first, good, does", CASES)
def test_it_is_refused_before_a_token_is_spent(machine, cli, words, first, good, does):
    del first, good, does
    place = machine.place()
    login = machine.login(place)
    ended = machine.renew(cli, place, login, f"--renew-command=claude {words}")
    assert (ended.status, ended.asked) == (NOT_ASKED, False), ended
    assert "leave --renew-command out" in ended.err
    assert machine.renew(cli, place, login).status == RENEWED


def test_what_the_page_has_seen_not_to_renew_is_in_the_rows():
    text = (TOP / "docs/reference/cli-versions.md").read_text(encoding="utf-8").split("## Other commands")[1].split("\n## ")[0]
    heads, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.M)]
    assert len(lines) == len(ALL)
    unsafe = [(version, words.strip("`")) for version, *cells in lines for words, cell in zip(heads[1:], cells)
              if "burns" in cell or "does not ask" in cell]
    assert len(unsafe) > 20
    assert [(version, words) for version, words in unsafe
            if not any(words == row[0] and row[1] <= number(version) < row[2] for row in ROWS)] == []


@pytest.mark.parametrize("name", ["Dockerfile.claude-setup", "Dockerfile.runtime"])
def test_the_images_have_a_version_that_is_tested(name):
    assert re.search(r"^ARG CLAUDE_CODE_VERSION=(\S+)$", (TOP / name).read_text(encoding="utf-8"), re.MULTILINE)[1] in ALL
