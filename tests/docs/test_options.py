"""The help that a person asks for, and the variables that the pages name."""

import os
import re
import subprocess

import pytest
from pages import TOP

WIDTH = 100


def ask(*words):
    return subprocess.run([os.environ["CLAUDE_INIT_BINARY"], *words], env={"PATH": "/usr/bin:/bin"}, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=True).stdout


SUBCOMMANDS = re.findall(r"^  ([a-z]+)  +\S", ask("--help"), re.MULTILINE)


def options_in(text):
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", text, re.MULTILINE))


@pytest.fixture(scope="session", name="helped")
def fixture_helped():
    """The options of each subcommand, as --help-all names them."""
    assert len(SUBCOMMANDS) >= 9, SUBCOMMANDS
    return {name: options_in(ask(name, "--help-all")) for name in SUBCOMMANDS}


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_is_what_one_needs_in_the_first_hour(name, helped):
    early = ask(name, "--help")
    assert early == ask("help", name)
    assert options_in(early) < helped[name] and len(early.splitlines()) <= 50
    assert f"'claude-init {name} --help-all' lists {len(helped[name] - options_in(early))} more." in early


@pytest.mark.parametrize("words", [["--help"], *([name, option] for name in SUBCOMMANDS
                                                 for option in ("--help", "--help-all"))], ids=" ".join)
def test_help_fits_and_names_the_legal_values(words):
    text = ask(*words)
    assert [line for line in text.splitlines() if len(line) > WIDTH] == []
    assert not re.search(r"\bWORD\b", text)
    assert words == ["--help"] or re.search(r"^Examples:\n  claude-init ", text, re.MULTILINE)


def test_pages_name_options_that_there_are(helped):
    """As variables, which nothing but a reader would notice: CLAUDE_INIT_SOME_NAME."""
    known = {"CLAUDE_INIT_" + option[2:].replace("-", "_").upper() for options in helped.values() for option in options}
    # Of the keeper's hooks, of the scripts and of the tests, which are no options; and a typing mistake on purpose.
    known |= {f"CLAUDE_INIT_{name}" for name in (
        "WEBHOOK_URL", "WEBHOOK_URL_FILE", "SECRET", "CHANGE", "STORE_NAME", "STATE", "TEXT", "REMEDY", "PUBLISHED",
        "PLACEHOLDER", "PLACEHOLDER_SECRET", "ENGINE", "ENGINE_ARGS", "CLI_ENV", "FUZZ_SECONDS", "TEST_NO_SKIP", "TEST_LANE",
        "STROE", "SOME_NAME", "BINARY", "")}
    unknown = []
    examples = [path for path in sorted((TOP / "examples").rglob("*")) if path.is_file()]
    for path in [TOP / "README.md", TOP / "compose.yaml", *sorted((TOP / "docs").rglob("*.md")), *examples]:
        for name in set(re.findall(r"\bCLAUDE_INIT_\w*", path.read_text(encoding="utf-8"))) - known:
            if not name.startswith("CLAUDE_INIT_E2E_"):
                unknown.append(f"{path.relative_to(TOP)}: {name}")
    assert not unknown
