"""Skipped tests count as in all suites; isolation begins with harness.py."""

import harness  # noqa: F401, first: it leads to skips.py
from skips import pytest_runtest_makereport  # noqa: F401
