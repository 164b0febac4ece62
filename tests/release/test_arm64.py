"""arm64, from amd64: cross-compiled as scripts/release.sh does it, and under qemu-user the unit tests and the main job.
What that does not show, docs/how-to/build.md says."""

import json
import platform

import pytest
from skips import skip
from machine import Machine, skip_without_root
from test_debian import CLI, LOG_IN, login

PACKAGES = ["g++", "g++-aarch64-linux-gnu", "cmake", "ninja-build", "libboost1.81-dev", "libboost1.81-dev:arm64",
            "libboost-filesystem1.81-dev:arm64", "nlohmann-json3-dev", "libfmt-dev:arm64", "libcli11-dev", "catch2",
            "python3-pytest", "qemu-user-static"]
HOURS = 3 * 3600
BINARY = "/src/build/arm64/claude-init"
EMULATED = ["qemu-aarch64-static", BINARY]
# Until the keeper has renewed; then it is told to stop, and its status is ours.
KEEP = """qemu-aarch64-static "$0" keep --store=/root/store --publish=/root/published & keeper=$!
until grep -qs FAKEb+ /root/published/.credentials.json; do sleep 0.1; kill -0 $keeper || exit 1; done
kill -TERM $keeper; wait $keeper
"""


@pytest.fixture(scope="module", name="machine")
def fixture_machine(tmp_path_factory):
    if platform.machine() != "x86_64":
        skip("cross-compiles from amd64")
    skip_without_root()
    machine = Machine(tmp_path_factory.mktemp("arm64") / "root", "bookworm", PACKAGES, ["--architectures=amd64,arm64"])
    machine.take_source()
    machine.run("sh", "-c", "cd /src && cmake --preset arm64 && cmake --build --preset arm64 -j2", patience=HOURS)
    (machine.root / "usr/local/bin/claude").write_text(CLI)
    (machine.root / "usr/local/bin/claude").chmod(0o755)
    (machine.root / "root/store").mkdir(mode=0o700)
    return machine


def token(machine, place):
    text = (machine.root / "root" / place / ".credentials.json").read_text()
    return json.loads(text)["claudeAiOauth"]["accessToken"].removeprefix("sk-ant-oat01-")


def test_it_is_a_static_program_of_arm64(machine):
    header = (machine.root / BINARY[1:]).read_bytes()[:20]
    assert header[:4] == b"\x7fELF" and int.from_bytes(header[18:20], "little") == 183
    assert "not a dynamic executable" in machine.run("ldd", BINARY, check=False).stderr


def test_the_unit_tests_pass_under_qemu(machine):
    said = machine.run("setsid", "--wait", "sh", "-c", "cd /src && ctest --preset arm64 --no-tests=error --timeout 900",
                       patience=HOURS)
    assert "100% tests passed" in said


def test_setup_run_and_keep_under_qemu(machine):
    setup = [*EMULATED, "setup", "--user=root", "--store=/root/store", "--", "sh", "-c", LOG_IN, "sh"]
    machine.run(*setup, login("a", left=3600))
    assert token(machine, "store") == "FAKEa"
    run = [*EMULATED, "run", "--user=root", "--store=/root/store", "--"]
    assert machine.run(*run, "claude", "--print", "hello") == "hello from root\n"
    assert machine.run(*run, "sh", "-c", "exit 7", check=False).returncode == 7
    machine.run(*setup, login("b", left=5))
    machine.run("sh", "-c", KEEP, BINARY)
    assert token(machine, "store") == "FAKEb+" and token(machine, "published") == "FAKEb+"
    assert "ort01" not in (machine.root / "root/published/.credentials.json").read_text()
    assert machine.run(*EMULATED, "health", "--user=root", "--store=/root/store").startswith("usable")
