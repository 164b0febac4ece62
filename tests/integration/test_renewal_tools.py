"""What renews: which command, with which version of the CLI, and what is made of how it ends."""

import json
import os
import subprocess
import sys

import pytest
from harness import BINARY, HELPERS, PATIENCE, eventually
from sessions import login
from test_renewal import Renewing


class Cli(Renewing):
    """A script called `claude` on the PATH, of the version that it is given."""

    def __init__(self, host, tmp_path):
        super().__init__(host, tmp_path)
        self.bin = tmp_path / "bin"
        self.bin.mkdir()
        host.environment["PATH"] = f"{self.bin}:{host.environment['PATH']}"
        self.install("2.1.332")

    def install(self, version, padding="#" * 65536):
        """As large as a program; a smaller script is one that may start another."""
        new = self.bin / "new"
        new.write_text(f"""#!/bin/sh
if [ "$*" = --version ]; then echo asked >> {self.here}/versions; echo '{version} (Claude Code)'; exit; fi
exec {sys.executable} -S {HELPERS}/renew_command.py {self.here} "$@"
""" + padding)
        new.chmod(0o755)
        new.rename(self.bin / "claude")

    def run(self, *options):
        return self.host.session("run", "true", *options)

    def versions_asked(self):
        try:
            return len((self.here / "versions").read_text().splitlines())
        except FileNotFoundError:
            return 0

    def note(self):
        return json.loads((self.host.store / ".claude-init/renewer.json").read_text())


@pytest.fixture
def cli(host, tmp_path):
    return Cli(host, tmp_path)


BURNS = "--renew-command=claude some habit"


def test_the_default_command_is_a_request_that_goes_nowhere(cli):
    cli.host.put(login("old", left=-60))
    cli.host.environment["ANTHROPIC_BASE_URL"] = "http://gateway.invalid"
    status, _, err = cli.run()
    assert status == 0, err
    (call,) = cli.calls()
    assert call["words"] == ["--print", "--model", "haiku", "ok"]
    assert call["base"] == "https://255.255.255.255"
    assert {"CLAUDE_CODE_MAX_RETRIES", "NO_PROXY", "DISABLE_TELEMETRY"} <= set(call["environment"])


def test_the_version_is_asked_for_once_and_again_when_the_file_is_another(cli):
    for name, asked in (("a", 1), ("b", 1), ("c", 2)):
        if name == "c":
            cli.install("2.1.333")
        cli.host.put(login(name, left=-60))
        status, _, err = cli.run()
        assert status == 0, err
        assert cli.versions_asked() == asked
    assert cli.note()["version"] == "2.1.333"


def test_a_short_script_is_asked_each_time_since_what_it_starts_may_be_another(cli):
    cli.install("2.1.332", padding="")
    for name in ("a", "b"):
        cli.host.put(login(name, left=-60))
        assert cli.run()[0] == 0
    assert cli.versions_asked() == 2


def test_a_file_that_has_kept_its_time_is_another_all_the_same(cli):
    cli.host.put(login("a", left=-60))
    assert cli.run()[0] == 0
    before = (cli.bin / "claude").stat()
    cli.install("2.1.260")
    os.utime(cli.bin / "claude", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (cli.bin / "claude").stat().st_size == before.st_size
    cli.host.put(login("b", left=-60))
    status, _, err = cli.run("--renew-command=claude auth status")
    assert status == 68, err
    assert "would cost the login" in err


def test_another_program_is_not_asked_for_its_version(cli):
    cli.host.put(login("a", left=-60))
    status, _, err = cli.run(cli.command)
    assert status == 0, err
    assert cli.versions_asked() == 0


@pytest.mark.parametrize("words, version, said", [
    ("claude auth status", "2.1.260", "would cost the login"), ("claude auth status", "2.1.197", "does not renew"),
    ("env A=b claude auth status", "2.1.220", "would cost the login")])
def test_a_command_that_is_known_not_to_renew_with_this_version_is_refused(cli, words, version, said):
    cli.install(version)
    cli.host.put(login("a", left=-60))
    status, _, err = cli.run(f"--renew-command={words}")
    assert status == 68, err
    assert said in err and "leave --renew-command out" in err and "2.1.330" in err
    assert cli.calls() == []
    assert not cli.directory.exists()
    status, _, err = cli.run()
    assert status == 0, err
    assert cli.host.token() == "a+"


def test_a_command_that_is_good_with_this_version_is_run(cli):
    cli.host.put(login("a", left=-60))
    status, _, err = cli.run("--renew-command=claude auth status")
    assert status == 0, err
    assert cli.calls()[0]["words"] == ["auth", "status"]


def test_a_command_that_burns_is_found_out_at_once_and_never_runs_again(cli):
    cli.host.put(login("a", left=-60))
    cli.mode("burns")
    status, _, err = cli.run(BURNS)
    assert status == 68, err
    assert "'claude some habit (2.1.332)' spent its refresh token and did not save the new one" in err
    assert "leave --renew-command out" in err
    assert [call["words"] for call in cli.calls()] == [["some", "habit"], ["--print", "--model", "haiku", "ok"]]
    status, _, err = cli.run(BURNS)  # it is remembered
    assert status == 68, err
    assert "spent its refresh token" in err
    assert len(cli.calls()) == 2
    cli.host.put(login("b", left=-60))
    status, _, err = cli.run(BURNS)
    assert status == 68, err
    assert "has cost this store a login" in err
    assert len(cli.calls()) == 2
    status, _, err = cli.run()
    assert status == 0, err
    assert cli.host.token() == "b+"


def test_health_says_that_a_renewal_cost_the_login(cli):
    cli.host.put(login("a", left=-60))
    cli.mode("burns")
    cli.run(BURNS)
    done = subprocess.run([BINARY, "health", "--store", cli.host.store], env=cli.host.environment, text=True,
                          capture_output=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("dead: a renewal cost this login")
    assert "Claude Code 2.1.332 (tested)" in done.stdout


def test_no_answer_to_another_command_is_no_burning_if_the_default_one_renews(cli):
    cli.host.put(login("a", left=-60))
    cli.mode("fails")
    status, _, err = cli.run(BURNS)
    assert status == 0, err
    assert cli.host.token() == "a+"


def test_an_answer_that_was_lost_is_not_called_an_end_elsewhere(cli):
    cli.host.put(login("a", left=-60))
    cli.mode("unchanged")
    status, _, err = cli.run()
    assert status == 68, err
    assert "no usable answer" in err
    cli.mode("blanked")
    status, _, err = cli.run()
    assert status == 68, err
    assert "spent its refresh token and did not save the new one" in err
    cli.host.put(login("b", left=-60))
    cli.mode("renewed")
    status, _, err = cli.run()  # the default command is not to blame
    assert status == 0, err


def test_a_version_that_does_not_tell_a_rejection_is_not_believed(cli):
    cli.install("2.1.100")
    cli.host.put(login("a", left=-60))
    cli.mode("unchanged")
    status, _, err = cli.run()
    assert status == 68, err
    assert "2.1.100 does not tell" in err


@pytest.mark.parametrize("mode", ["unchanged", "unasked", "blanked"])
def test_what_the_command_said_is_in_the_log_when_it_fails(cli, mode):
    cli.host.put(login("a", left=-60))
    cli.mode(mode)
    status, _, err = cli.run()
    assert status == 68, err
    assert f"the stand-in says: mode {mode}" in err
    assert "FAKEsecret" not in err


def test_what_the_command_said_is_nobody_s_business_when_it_renews(cli):
    cli.host.put(login("a", left=-60))
    assert cli.run() == (0, "", "")


def test_a_version_that_cannot_be_had_is_no_obstacle(cli):
    claude = cli.bin / "claude"
    claude.write_text(claude.read_text().replace("(Claude Code)", "").replace("2.1.332", "no version"))
    cli.host.put(login("a", left=-60))
    status, _, err = cli.run()
    assert status == 0, err
    assert cli.host.token() == "a+"
    assert os.listdir(cli.host.store / ".claude-init").count("renewer.json") == 0


def keeper_was_here(cli, version):
    """It has noted what it renews with, before anything was due."""
    cli.install(version)
    keeper = subprocess.Popen([BINARY, "keep", "--store", f"dev={cli.host.store}"], env=cli.host.environment,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    note = cli.host.store / ".claude-init/renewer.json"
    eventually(lambda: note.exists() and cli.note()["keeper"] == version, "the keeper's note")
    keeper.terminate()
    assert keeper.wait(PATIENCE) == 0


@pytest.mark.parametrize("here, keeper", [("2.1.332", "2.1.100"), ("2.1.100", "2.1.332")])
def test_setup_warns_where_the_keeper_s_cli_differs_in_what_a_renewal_needs(cli, here, keeper):
    cli.host.put(login("a", left=3 * 3600))
    keeper_was_here(cli, keeper)
    cli.install(here)
    status, _, err = cli.host.session("setup", "true")
    assert status == 0, err
    assert f"Claude Code is {here} here, and {keeper} in the keeper: 2.1.100 does not tell" in err
    assert "CLAUDE_CODE_VERSION" in err


@pytest.mark.parametrize("here, keeper", [("2.1.332", "2.1.260"), ("no version", "2.1.100")])
def test_setup_says_nothing_of_a_difference_that_does_not_matter_or_is_not_known(cli, here, keeper):
    cli.host.put(login("a", left=3 * 3600))
    keeper_was_here(cli, keeper)
    cli.install(here)
    status, _, err = cli.host.session("setup", "true")
    assert status == 0, err
    assert "in the keeper" not in err


def test_setup_without_a_keeper_asks_nobody_for_a_version(cli):
    cli.host.put(login("a", left=3 * 3600))
    assert cli.host.session("setup", "true")[0] == 0
    assert cli.versions_asked() == 0
