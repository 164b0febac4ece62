"""The package on a bare Debian: installed, its manual, a login from setup through run to keep under a real systemd, and
removed. CLAUDE_INIT_DEBIAN is the release's name, CLAUDE_INIT_PACKAGE a directory with the package."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from clone import Clone
from skips import needed
from machine import Machine, skip_without_root

RELEASE = os.environ.get("CLAUDE_INIT_DEBIAN", "trixie")
UNIT = "claude-init-keep@alice"
STORE = "/home/alice/.claude-hub/.credentials.json"
# Stands in for the CLI: it renews as that does, beside whose directory its lock lies, and answers who has a login.
CLI = """#!/bin/sh
[ "$*" != --version ] || { echo '2.1.332 (Claude Code)'; exit; }
file=$CLAUDE_CONFIG_DIR/.credentials.json
if grep -q refreshToken "$file"; then
  mkdir "$CLAUDE_CONFIG_DIR.lock" && rmdir "$CLAUDE_CONFIG_DIR.lock"
  end=$(($(date +%s) + 3600))000
  sed -e 's/FAKE[a-z+]*/&+/g' -e "s/\\(expiresAt\\": *\\)[0-9]*/\\1$end/" "$file" > "$file.tmp.x"
  mv "$file.tmp.x" "$file"
fi
grep -q sk-ant-oat01-FAKE "$file" && echo "hello from $(id -un)"
"""
LOG_IN = 'cd "$CLAUDE_CONFIG_DIR" && printf %s "$1" > new && mv new .credentials.json'


def login(name, left):
    return json.dumps({"claudeAiOauth": {
        "accessToken": f"sk-ant-oat01-FAKE{name}", "refreshToken": f"sk-ant-ort01-FAKE{name}", "accountUuid": "1",
        "expiresAt": int((time.time() + left) * 1000), "scopes": ["user:inference"]}})


@pytest.fixture(scope="module", name="package")
def fixture_package(tmp_path_factory):
    """The one that release.packages has made; without it, one of this tree."""
    skip_without_root()
    made = sorted(Path(os.environ.get("CLAUDE_INIT_PACKAGE", "/nonexistent")).glob("claude-init_*.deb"))
    if made:
        return made[-1]
    needed("cmake", "ninja", "g++")
    clone = Clone(tmp_path_factory.mktemp("release") / "one", "9.8.7")
    done = clone.release()
    assert done.returncode == 0, done.stderr
    return next((clone.path / "dist").glob("*.deb"))


@pytest.fixture(scope="module", name="machine")
def fixture_machine(package, tmp_path_factory):
    """Booted, with a user alice, the CLI's stand-in and the package."""
    machine = Machine(tmp_path_factory.mktemp("debian") / "root", RELEASE)
    machine.run("useradd", "--create-home", "--shell", "/bin/sh", "alice")
    (machine.root / "usr/local/bin/claude").write_text(CLI)
    (machine.root / "usr/local/bin/claude").chmod(0o755)
    machine.boot()
    machine.before = machine.files()
    machine.put(package, "/root/claude-init.deb")
    machine.before.add("root/claude-init.deb")
    machine.run("dpkg", "--install", "/root/claude-init.deb")
    yield machine
    machine.end()


def fields(machine, *names):
    return [machine.run("systemctl", "show", "--property", name, "--value", UNIT).strip() for name in names]


def log(machine):
    return machine.run("journalctl", "--no-pager", "--unit", UNIT)


def token(machine):
    text = (machine.root / STORE.lstrip("/")).read_text()
    return json.loads(text)["claudeAiOauth"]["accessToken"]


def test_the_manuals_are_there(machine):
    for page in ("claude-init", "claude-init-keep"):
        assert "NAME" in machine.run("man", "--pager=cat", page)
        assert machine.run("man", "--where", page).strip().endswith(f"/{page}.1.gz")


def test_it_has_nothing_that_it_needs(machine):
    assert machine.run("dpkg-query", "--show", "--showformat=${Depends}", "claude-init") == ""
    assert "not a dynamic executable" in machine.run("ldd", "/usr/bin/claude-init", check=False).stderr


def test_setup_run_and_keep_under_systemd(machine):
    machine.run("claude-init", "setup", "--", "sh", "-c", LOG_IN, "sh", login("a", left=3600), user="alice")
    assert machine.run("claude-init", "run", "--", "claude", "--print", "hello", user="alice") == "hello from alice\n"
    assert token(machine) == "sk-ant-oat01-FAKEa"
    machine.run("claude-init", "setup", "--", "sh", "-c", LOG_IN, "sh", login("b", left=30), user="alice")
    # It returns when the keeper has said that it is there.
    machine.run("systemctl", "start", UNIT)
    assert fields(machine, "ActiveState", "SubState", "Type") == ["active", "running", "notify"]
    machine.wait_for(lambda: token(machine) == "sk-ant-oat01-FAKEb+", "a renewal by the service")
    machine.wait_for(lambda: "the login has been renewed" in log(machine), "the word of it in the journal")
    assert "FAKE" not in log(machine)
    assert machine.run("claude-init", "health", user="alice").startswith("usable")
    assert machine.run("claude-init", "run", "--", "claude", "--print", "hello", user="alice") == "hello from alice\n"
    assert machine.run("stat", "--format=%U %a", STORE) == "alice 600\n"


def test_a_mistyped_option_is_not_tried_again(machine):
    (machine.root / "etc/claude-init").mkdir(exist_ok=True)
    (machine.root / "etc/claude-init/alice.env").write_text("CLAUDE_INIT_LISTEN=nowhere\n")
    assert machine.run("systemctl", "restart", UNIT, check=False).returncode != 0
    assert fields(machine, "ActiveState", "ExecMainStatus", "NRestarts") == ["failed", "64", "0"]
    shutil.rmtree(machine.root / "etc/claude-init")
    machine.run("systemctl", "reset-failed", UNIT)
    machine.run("systemctl", "start", UNIT)


def test_its_exposure_is_ok(machine):
    machine.run("systemd-analyze", "security", "--threshold=24", UNIT + ".service")


def test_a_credential_is_for_the_service_alone(machine):
    """By the example's drop-in, and what the keeper would find there."""
    drop_in = f"/etc/systemd/system/{UNIT}.service.d"
    machine.run("mkdir", "-p", drop_in, "/etc/claude-init")
    text = (machine.root / "usr/share/doc/claude-init/examples/deploy/systemd/seal-key.conf").read_text()
    (machine.root / drop_in.lstrip("/") / "seal-key.conf").write_text(
        text.replace("Environment=CLAUDE_INIT_SEAL_KEY=", "Environment=CREDENTIAL=") +
        "ExecStartPre=/bin/sh -c 'exec > /home/alice/seen; cat \"$CREDENTIAL\"; stat -c %%a \"$CREDENTIAL\"'\n")
    (machine.root / "etc/claude-init/seal-key").write_text("FAKE key\n")
    (machine.root / "etc/claude-init/seal-key").chmod(0o600)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    assert (machine.root / "home/alice/seen").read_text().splitlines() in (["FAKE key", "400"], ["FAKE key", "440"])
    assert machine.run("cat", "/etc/claude-init/seal-key", user="alice", check=False).returncode != 0
    machine.run("rm", "-r", drop_in, "/etc/claude-init")
    machine.run("systemctl", "daemon-reload")


def test_it_runs_from_another_prefix_by_the_drop_in_of_install(machine):
    drop_in = f"etc/systemd/system/{UNIT}.service.d"
    machine.run("mkdir", "-p", "/opt/x/bin", f"/{drop_in}")
    machine.run("mv", "/usr/bin/claude-init", "/opt/x/bin/claude-init")
    (machine.root / drop_in / "prefix.conf").write_text("[Service]\nExecSearchPath=/opt/x/bin\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    (pid,) = fields(machine, "MainPID")
    assert machine.run("readlink", f"/proc/{pid}/exe") == "/opt/x/bin/claude-init\n"
    machine.run("mv", "/opt/x/bin/claude-init", "/usr/bin/claude-init")
    machine.run("rm", "-r", f"/{drop_in}", "/opt/x")
    machine.run("systemctl", "daemon-reload")


def test_stop_ends_it_well(machine):
    machine.run("systemctl", "restart", UNIT)
    machine.run("systemctl", "stop", UNIT)
    assert fields(machine, "ActiveState", "Result", "ExecMainStatus") == ["inactive", "success", "0"]


def test_a_removal_leaves_nothing_but_the_store(machine):
    machine.run("dpkg", "--purge", "claude-init")
    assert machine.files() - machine.before == set()
    assert not (machine.root / "usr/share/doc/claude-init").exists()
    assert token(machine).startswith("sk-ant-oat01-FAKEb+")
