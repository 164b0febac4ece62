"""With CLAUDE_INIT_TEST_NO_SKIP=1, as in CI, everything must run: a test that skips itself has failed. Each conftest.py
imports pytest_runtest_makereport."""

import os
import shutil

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    report = (yield).get_result()
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CLAUDE_INIT_TEST_NO_SKIP") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, which is not allowed here: {report.longrepr}"


def skip(reason):
    """In a helper of a suite: fails with the reason where nothing may be skipped."""
    if os.environ.get("CLAUDE_INIT_TEST_NO_SKIP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def needed(*names):
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        skip(f"there is no {', '.join(missing)}")
