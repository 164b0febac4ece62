"""What the fault tests share is used here too."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fault"))
import harness  # noqa: E402, F401, first: it leads to skips.py
from skips import pytest_runtest_makereport  # noqa: E402, F401
