"""Lists that stand both in the program and in the pages are the same: states, alerts, exit statuses, versions."""

import os
import re
import subprocess

import pytest
from pages import TOP, lines, rows


def headings(page):
    return {re.sub(r"^#+ +", "", line) for _, line, language in lines(TOP / page)
            if language is None and line.startswith("#")}


@pytest.fixture(scope="session", name="states")
def fixture_states():
    """Name and status of each, as health's --detailed-exit-code has them."""
    text = subprocess.run([os.environ["CLAUDE_INIT_BINARY"], "health", "--help-all"], env={"PATH": "/usr/bin:/bin"},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True).stdout
    listed = re.search(r"--detailed-exit-code .*?state: (.*?) \(default", " ".join(text.split()))[1]
    states = {int(status): name for status, name in re.findall(r"(\d+) ([a-z][a-z -]*?)(?:,|$)", listed)}
    assert len(states) >= 10, text
    return states


def failures():
    """Name of each exit status that is claude-init's own."""
    status_of = dict(re.findall(r"\b(kExit\w+) = (\d+)[,;]", (TOP / "src/ui/exit_status.h").read_text(encoding="utf-8")))
    named = re.findall(r"Name\{(kExit\w+), +\"([a-z-]+)\"\}", (TOP / "src/ui/exit_status.cpp").read_text(encoding="utf-8"))
    return {int(status_of[constant]): name for constant, name in named}


def test_each_failure_state_and_alert_has_its_heading(states):
    rules = (TOP / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)", rules)
    assert len(alerts) >= 7
    names = {name for name in states.values() if " " not in name}
    assert not (names | set(alerts) | set(failures().values())) - headings("docs/runbook.md")
    assert re.findall(r'runbook_url: "docs/runbook.md#(\w+)"', rules) == [name.lower() for name in alerts]


def test_each_state_has_its_status(states):
    every = [cells for _, cells in rows(TOP / "docs/reference/exit-statuses.md")]
    head = next(cells for cells in every if cells[0] == "0")
    table = dict(zip(map(int, head), every[every.index(head) + 1]))
    assert set(table) == set(states)
    assert all(table[status].startswith(name.split()[0]) for status, name in states.items())


def test_each_exit_status_is_in_the_table_with_its_name():
    source = (TOP / "src/ui/exit_status.h").read_text(encoding="utf-8")
    ours = {int(status) for status in re.findall(r"\bkExit\w+ = (\d+)[,;]", source)} - {0, 1, 18}
    assert len(ours) >= 21, source
    table = {int(cells[0]): cells[1] for _, cells in rows(TOP / "docs/reference/exit-statuses.md")
             if len(cells) == 3 and cells[0].isdigit()}
    assert set(table) == ours == set(failures())
    assert all(table[status] == f"[`{name}`](../runbook.md#{name})" for status, name in failures().items())


def test_the_version_of_the_cli_is_that_of_the_images():
    pinned = {re.search(r"^ARG CLAUDE_CODE_VERSION=(\S+)$", (TOP / name).read_text(encoding="utf-8"), re.MULTILINE)[1]
              for name in ("Dockerfile.runtime", "Dockerfile.claude-setup")}
    said = set(re.findall(r"images have Claude Code (\d[\d.]*\d)", (TOP / "README.md").read_text(encoding="utf-8")))
    assert said == pinned
