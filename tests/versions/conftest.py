"""The real CLI in exact versions (clis.py), against the stand-in of the end-to-end tests."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

# pylint: disable=wrong-import-position
import pytest
from clis import CHOSEN
from machine import BINARY, machine


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """Where everything must run, a test that skips itself has failed."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("CLAUDE_INIT_TEST_NO_SKIP") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing may be: {report.longrepr}"


def pytest_generate_tests(metafunc):
    if "version" in metafunc.fixturenames:
        metafunc.parametrize("version", CHOSEN)


@pytest.fixture(scope="module", name="machine")
def machine_of_the_module():
    if os.getuid() != 0 or not os.access(BINARY, os.X_OK):
        pytest.skip("needs root and CLAUDE_INIT_BINARY")
    with machine() as ours:
        yield ours


@pytest.fixture
def place(machine):
    return machine.place()
