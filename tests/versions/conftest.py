"""The real CLI in exact versions (clis.py), against the stand-in of the end-to-end tests."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

# pylint: disable=wrong-import-position
import pytest
from clis import CHOSEN
from machine import BINARY, machine
from skips import pytest_runtest_makereport


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
