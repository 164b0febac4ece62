"""Programs that a test here needs and that a machine may not have."""

import os
import shutil

import pytest


def needed(*names):
    missing = [name for name in names if not shutil.which(name)]
    if missing and os.environ.get("CLAUDE_INIT_TEST_NO_SKIP") == "1":
        pytest.fail(f"there is no {', '.join(missing)}")
    if missing:
        pytest.skip(f"there is no {', '.join(missing)}")
