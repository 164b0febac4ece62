"""See harness.py."""

from harness import pytest_runtest_makereport  # noqa: F401
