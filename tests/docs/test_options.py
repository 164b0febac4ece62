"""docs/reference/options.md has the options of `--help`, of each subcommand, and no other."""

import os
import re
import subprocess

import pytest
from pages import TOP, rows

REFERENCE = TOP / "docs/reference/options.md"


@pytest.fixture(scope="session", name="helped")
def fixture_helped():
    """The options of each subcommand, as --help names them."""
    def ask(*words):
        result = subprocess.run([os.environ["CLAUDE_INIT_BINARY"], *words, "--help"], env={"PATH": "/usr/bin:/bin"},
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True)
        return result.stdout

    subcommands = re.findall(r"^  ([a-z]+)  +\S", ask(), re.MULTILINE)
    assert len(subcommands) >= 9, subcommands
    return {name: set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", ask(name), re.MULTILINE)) for name in subcommands}


def listed(subcommands):
    """The same from the tables, whose second column says for which subcommands an option is."""
    found = {name: set() for name in subcommands}
    for number, cells in rows(REFERENCE):
        options = re.findall(r"`(--[a-z-]+)", cells[0])
        if not options:
            continue
        whom, _, but = cells[1].partition(" but ")
        names = set(subcommands) if whom == "all" else set(whom.split(", "))
        names -= set(but.split(", ")) if but else set()
        assert names and names <= set(subcommands), f"options.md:{number}: {cells[1]}"
        for name in names:
            found[name] |= set(options)
    return found


def test_the_reference_has_each_option_and_no_other(helped):
    tables = listed(helped)
    assert all(len(options) > 3 for options in helped.values()), helped
    missing = {name: options - tables[name] for name, options in helped.items() if options - tables[name]}
    invented = {name: tables[name] - options for name, options in helped.items() if tables[name] - options}
    assert not missing, "in --help, not in docs/reference/options.md"
    assert not invented, "in docs/reference/options.md, not in --help"


def test_pages_name_options_that_there_are(helped):
    """As variables, which nothing but a reader would notice: CLAUDE_INIT_SOME_NAME."""
    known = {"CLAUDE_INIT_" + option[2:].replace("-", "_").upper() for options in helped.values() for option in options}
    # Of the keeper's hooks, of the scripts and of the tests, which are no options; and a typing mistake on purpose.
    known |= {f"CLAUDE_INIT_{name}" for name in (
        "WEBHOOK_URL", "WEBHOOK_URL_FILE", "SECRET", "CHANGE", "STORE_NAME", "STATE", "TEXT", "REMEDY", "PUBLISHED",
        "PLACEHOLDER", "PLACEHOLDER_SECRET", "ENGINE", "ENGINE_ARGS", "CLI_ENV", "FUZZ_SECONDS", "TEST_NO_SKIP", "TEST_LANE",
        "LOG_IN", "STROE", "SOME_NAME", "BINARY", "")}
    unknown = []
    for path in [TOP / "README.md", TOP / "compose.yaml", *sorted((TOP / "docs").rglob("*.md"))]:
        for name in set(re.findall(r"\bCLAUDE_INIT_\w*", path.read_text(encoding="utf-8"))) - known:
            if not name.startswith("CLAUDE_INIT_E2E_"):
                unknown.append(f"{path.relative_to(TOP)}: {name}")
    assert not unknown
