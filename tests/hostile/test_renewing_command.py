"""The renewing command has the refresh token: it has no rights that it does not need, whoever starts it, and whenever,
and leaves no memory behind."""

import json
import os
import subprocess
import sys

import pytest
from harness import BINARY, eventually
from sessions import login

# Stands in for the CLI, and writes down what it was started with.
COMMAND = r"""
import json, os, resource, time
status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
path = os.environ["CLAUDE_CONFIG_DIR"] + "/.credentials.json"
login = json.load(open(path))
seen = {key: status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")}
seen["core"] = resource.getrlimit(resource.RLIMIT_CORE)
with open(HERE + "/seen", "a") as out:
    out.write(json.dumps(seen) + "\n")
login["claudeAiOauth"]["accessToken"] += "+"
login["claudeAiOauth"]["refreshToken"] += "+"
login["claudeAiOauth"]["expiresAt"] = int((time.time() + 3600) * 1000)
with open(path + ".tmp.x", "w") as out:
    json.dump(login, out)
os.rename(path + ".tmp.x", path)
"""


@pytest.fixture
def command(tmp_path):
    (tmp_path / "command.py").write_text(COMMAND.replace("HERE", repr(str(tmp_path))))
    return f"--renew-command={sys.executable} -S {tmp_path}/command.py"


def seen(tmp_path):
    try:
        return [json.loads(line) for line in (tmp_path / "seen").read_text().splitlines()]
    except FileNotFoundError:
        return []


def has_nothing(found):
    assert {found[key] for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0000000000000000"}, found
    assert found["NoNewPrivs"] == "1" and found["core"] == [0, 0], found


def test_of_root_too_the_first_renewal_of_a_run_has_no_more_rights_than_the_later_ones(host, tmp_path, command):
    if os.geteuid() != 0:
        pytest.skip("root's store")
    host.put(login("a", left=-60))
    run = host.start("run", "echo ready; read go", command, user=1000)
    assert run.stdout.readline() == "ready\n", run.stderr.read()
    host.put(login("b", left=-60))
    eventually(lambda: len(seen(tmp_path)) >= 2, "the second renewal")
    run.communicate("\n", timeout=20)
    for found in seen(tmp_path):
        has_nothing(found)


def test_nor_has_that_of_a_keeper(keeping, tmp_path, command):
    keeping.store("dev", login("a", left=-60))
    process = subprocess.Popen([BINARY, "keep", f"--store=dev={tmp_path}/dev", command], env=keeping.environment,
                               stdin=subprocess.DEVNULL, stderr=keeping.log.open("a"))
    try:
        keeping.has_token("a+")
    finally:
        process.terminate()
        process.wait(20)
    for found in seen(tmp_path):
        has_nothing(found)
