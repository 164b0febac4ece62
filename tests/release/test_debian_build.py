"""The build and the unit tests with the compiler and the libraries of another Debian: CLAUDE_INIT_DEBIAN."""

import os

from machine import Machine

RELEASE = os.environ.get("CLAUDE_INIT_DEBIAN", "trixie")
PACKAGES = ["g++", "cmake", "ninja-build", "libboost-dev", "libboost-filesystem-dev", "nlohmann-json3-dev",
            "libfmt-dev", "libcli11-dev", "catch2", "python3-pytest"]
HOURS = 2 * 3600


def test_it_builds_there_and_the_unit_tests_pass(tmp_path):
    machine = Machine(tmp_path / "root", RELEASE, PACKAGES)
    machine.take_source()
    # What the scripts and the images install is what is there.
    machine.run("sh", "-c", "dpkg-query --show $(sh /src/scripts/lib/build-packages)")
    machine.run("sh", "-c", "cd /src && cmake --preset dev && cmake --build --preset dev -j2 --target claude-init "
                "unit_tests fake_clock_tests simulated_days_test", patience=HOURS)
    # A session of its own: a test signals its process group.
    said = machine.run("setsid", "--wait", "ctest", "--test-dir", "/src/build/dev", "-L", "^unit$", "--no-tests=error",
                       "--output-on-failure", "--timeout", "600", patience=HOURS)
    assert "100% tests passed" in said
