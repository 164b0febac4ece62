"""Fixtures of the integration tests. CLAUDE_INIT_BINARY names the binary under test. With CLAUDE_INIT_TEST_NO_SKIP=1
every skipped test fails: on a machine that is known to have all it takes, a skip hides something. With sanitizers some
have to be."""

import os
import shutil
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from isolation import isolate, isolate_temporary_files

isolate()
isolate_temporary_files()

from harness import BINARY, SANITIZED, Init
from keeping import Keeping
from sessions import Host, login

if not SANITIZED:
    from skips import pytest_runtest_makereport


# The tests may have been started by nohup, which the programs under test would notice.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items):
    missing = []
    if not BINARY or not os.access(BINARY, os.X_OK):
        missing.append("CLAUDE_INIT_BINARY is not set to an executable")
    if os.geteuid() != 0 or not shutil.which("unshare"):
        missing.append("needs root and unshare(1) to be PID 1")
    for item in items:
        if missing:
            item.add_marker(pytest.mark.skip(reason="; ".join(missing)))


@pytest.fixture(params=["pid1", "child"])
def start(request):
    """Starts `claude-init init OPTIONS -- COMMAND`, as PID 1 and as an ordinary process; ended after the test."""
    started = []

    def starter(command, *options, **more):
        init = Init(command, *options, pid1=request.param == "pid1", **more)
        started.append(init)
        return init

    starter.pid1 = request.param == "pid1"
    yield starter
    for init in started:
        init.destroy()


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    host.logins = {"login_a": login("a"), "login_b": login("b", left=7200),
                   "login_other": login("other", left=7200, account="2")}
    yield host
    host.end()


@pytest.fixture
def keeping(tmp_path):
    keeping = Keeping(tmp_path)
    yield keeping
    keeping.end()
