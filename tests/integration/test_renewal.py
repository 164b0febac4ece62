"""Renewal of the store's login by run and setup, with a script in the CLI's place."""

import json
import os
import signal
import sys
import time

import pytest
from harness import ALONE, HELPERS, PATIENCE, eventually, family, reads_its_signals
from sessions import login
from test_follow import switches


class Renewing:
    """A host whose renewing command does what `mode` says."""

    def __init__(self, host, tmp_path):
        self.host, self.here = host, tmp_path / "command"
        self.here.mkdir()
        self.command = f"--renew-command={sys.executable} -S {HELPERS}/renew_command.py {self.here}"
        self.mode("renewed")

    def mode(self, *words):
        (self.here / "mode").write_text(" ".join(map(str, words)))

    def calls(self):
        try:
            return [json.loads(line) for line in (self.here / "calls").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def go(self):
        (self.here / "go").touch()

    def is_stopped(self):
        eventually((self.here / "stopped").exists, "TERM for the renewing command")

    def session(self, subcommand, script, *options, **more):
        return self.host.session(subcommand, script, self.command, *options, **more)

    def start(self, subcommand, script, *options, **more):
        return self.host.start(subcommand, script, self.command, *options, **more)

    def renewals(self, count):
        return eventually(lambda: len(self.calls()) >= count, f"{count} calls of the renewing command")

    def has_token(self, token):
        return eventually(lambda: self.host.token() == token, f"the token {token} in the store")

    @property
    def directory(self):
        return self.host.store / ".claude-init/renewal"

    def of_another_user(self, uid):
        """The store is, and that user can run the renewing command."""
        if os.geteuid() != 0:
            pytest.skip("becomes another user")
        self.here.chmod(0o777)
        for path in (self.host.store, self.host.store / ".credentials.json"):
            os.chown(path, uid, uid)
        for parent in self.here.parents:
            if parent.stat().st_uid == 0 and str(parent) not in ("/", "/tmp"):
                parent.chmod(0o755)


@pytest.fixture
def renewing(host, tmp_path):
    return Renewing(host, tmp_path)


@pytest.fixture(params=[(), ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")], ids=["child", "pid1"])
def wrapper(request):
    return request.param


PATIENT = ["--grace", "300s", "--stop-timeout", "600s"]
SHOW = 'grep -o "FAKE[a-z+]*" "$CLAUDE_CONFIG_DIR/.credentials.json" | head -1'


@pytest.mark.parametrize("subcommand", ["run", "setup"])
def test_an_expired_login_is_renewed_before_the_command_starts(renewing, subcommand):
    renewing.host.put(login("old", left=-60))
    status, out, err = renewing.session(subcommand, SHOW)
    assert (status, out) == (0, "FAKEold+\n"), err
    assert renewing.host.token() == "old+"
    assert not renewing.directory.exists()


def test_the_command_gets_a_clean_place_and_nothing_of_the_session(renewing):
    renewing.host.put(login("old", left=-60))
    renewing.host.environment.update({"ANTHROPIC_API_KEY": "FAKE", "HTTPS_PROXY": "http://proxy.invalid"})
    status, _, err = renewing.session("run", "true")
    assert status == 0, err
    (call,) = renewing.calls()
    assert call["expires"] == 0
    assert call["files"] == [".credentials.json"]
    assert call["streams"][0] == "/dev/null"
    assert all("claude-init-renewal" in stream for stream in call["streams"][1:])  # for the log, should it fail
    assert "ANTHROPIC_API_KEY" not in call["environment"]
    assert {"CLAUDE_CONFIG_DIR", "HOME", "HTTPS_PROXY", "PATH"} <= set(call["environment"])


@pytest.mark.parametrize("subcommand", ["run", "setup"])
def test_short_lived_tokens_are_renewed_again_and_again_and_given_to_the_session(renewing, wrapper, subcommand):
    renewing.mode("renewed", 6)
    renewing.host.put(login("a", left=3))
    process = renewing.start(subcommand, f"while ! {SHOW} | grep -F +++; do sleep 0.05; done", wrapper=wrapper)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "FAKEa+++\n"), err
    calls = renewing.calls()
    assert [call["refresh"] for call in calls[:3]] == [f"sk-ant-ort01-FAKEa{'+' * n}" for n in range(3)]


def test_a_session_gets_no_refresh_token_whoever_renews(renewing):
    renewing.host.put(login("old", left=-60))
    for subcommand in ("setup", "run"):
        status, out, err = renewing.session(subcommand, 'cat "$CLAUDE_CONFIG_DIR/.credentials.json"')
        assert status == 0, err
        assert "FAKEold+" in out
        assert "ort01" not in out


def test_a_valid_login_is_left_alone(renewing):
    renewing.host.put(login("a"))
    assert renewing.session("run", "true") == (0, "", "")
    assert renewing.calls() == []
    assert sorted(os.listdir(renewing.host.store)) == [".credentials.json"]


def test_renew_never_renews_never(renewing):
    renewing.host.put(login("old", left=-60))
    status, _, err = renewing.session("run", "true", "--renew=never")
    assert status == 68, err
    assert renewing.calls() == []


def test_a_store_that_cannot_be_written_is_not_renewed(renewing):
    renewing.host.put(login("old", left=-60))
    renewing.host.make_read_only()
    status, _, err = renewing.session("run", "true")
    assert status == 68, err
    assert renewing.calls() == []


def test_a_dead_login_is_said_once_never_published_and_not_tried_again(renewing):
    renewing.host.put(login("a", left=4))
    renewing.mode("blanked")
    process = renewing.start("run", "read go")
    renewing.renewals(1)
    time.sleep(3)  # beyond its expiry: nothing may happen
    _, err = process.communicate("go\n", timeout=PATIENCE)
    assert err.count("the login is dead") == 1, err
    assert "log in again" in err and "claude-init setup" in err
    assert renewing.host.token() == "a"
    assert len(renewing.calls()) == 1
    status, _, err = renewing.session("run", "true")
    assert status == 68, err
    assert len(renewing.calls()) == 1
    renewing.mode("renewed")
    renewing.host.put(login("b", left=-60))
    status, _, err = renewing.session("run", "true")
    assert status == 0, err
    assert renewing.host.token() == "b+"


@pytest.mark.parametrize("mode, words", [("unchanged", "no usable answer"), ("unasked", "did not ask the server"), ("killed", "SIGKILL"), ("other", "another account")])
def test_what_is_no_renewal_leaves_the_store_as_it_was_and_is_told(renewing, mode, words):
    renewing.host.put(login("old", left=-60))
    before = (renewing.host.store / ".credentials.json").read_bytes()
    renewing.mode(mode)
    status, _, err = renewing.session("run", "true")
    assert status == 68, err
    assert words in err
    assert (renewing.host.store / ".credentials.json").read_bytes() == before
    assert not renewing.directory.exists()


def test_a_command_that_is_not_there_is_told_from_one_that_fails(renewing):
    renewing.host.put(login("old", left=-60))
    status, _, err = renewing.host.session("run", "true", "--renew-command=not-there")
    assert status == 68, err
    assert "not found" in err and "--renew-command" in err


def test_after_a_failure_it_is_tried_again_before_the_end(renewing):
    renewing.host.put(login("a", left=10))
    renewing.mode("unchanged")
    process = renewing.start("run", "read go")
    renewing.renewals(1)
    renewing.mode("renewed")
    renewing.has_token("a+")
    _, err = process.communicate("go\n", timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "tried again" in err


def test_many_sessions_on_one_store_renew_once(renewing):
    renewing.host.put(login("a", left=3))
    started = [renewing.start(subcommand, f"while ! {SHOW} | grep -F +; do sleep 0.05; done")
               for subcommand in ("setup", "run", "run", "setup", "run")]
    for process in started:
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (0, "FAKEa+\n"), err
    assert len(renewing.calls()) == 1


def test_a_renewal_goes_on_when_the_session_is_killed_and_the_next_publishes_it(renewing):
    renewing.host.put(login("a", left=2))
    renewing.mode("slow")
    process = renewing.start("run", "read forever")
    renewing.renewals(1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    command = renewing.calls()[0]["pid"]
    waiting = renewing.start("run", SHOW)  # finds the lock taken: the token must not be spent twice
    renewing.go()
    eventually(lambda: not os.path.exists(f"/proc/{command}"), "the end of the command")
    out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, err
    status, _, err = renewing.session("run", f"while ! {SHOW} | grep -F a+; do sleep 0.05; done")
    assert status == 0, err
    assert renewing.host.token() == "a+"
    assert len(renewing.calls()) == 1


def test_a_stop_in_the_middle_leaves_the_renewal_its_grace(renewing, wrapper):
    renewing.host.put(login("a", left=4))
    renewing.mode("slow")
    process = renewing.start("run", "echo ready; read forever", *PATIENT, wrapper=wrapper)
    assert process.stdout.readline() == "ready\n"
    renewing.renewals(1)
    inits = [pid for pid in family(process.pid) if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "claude-init"]
    os.kill(inits[-1], signal.SIGTERM)
    renewing.is_stopped()  # and ignores it until it has saved
    renewing.go()
    process.wait(PATIENCE)
    assert renewing.host.token() == "a+"
    assert not renewing.directory.exists()


def test_a_stop_while_it_waits_for_the_first_renewal_ends_it(renewing):
    renewing.host.put(login("a", left=-60))
    renewing.mode("slow")
    process = renewing.start("run", "echo started")
    renewing.renewals(1)
    os.kill(process.pid, signal.SIGTERM)
    reads_its_signals(process.pid)
    renewing.go()
    out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (143, "")
    assert renewing.host.token() == "a+"


def test_a_run_that_was_given_the_refresh_token_excludes_renewers(renewing):
    renewing.host.put(login("a", left=5))
    holder = renewing.start("run", "echo ready; read go", "--refresh-token=copy")
    assert holder.stdout.readline() == "ready\n"
    other = renewing.start("run", "echo ready; read go")
    assert other.stdout.readline() == "ready\n"
    time.sleep(5.5)  # beyond its expiry
    assert renewing.calls() == []
    holder.communicate("go\n", timeout=PATIENCE)
    renewing.has_token("a+")
    other.communicate("go\n", timeout=PATIENCE)


def test_a_store_of_another_user_is_renewed_as_that_user(renewing):
    renewing.host.put(login("old", left=-60))
    renewing.of_another_user(1234)
    status, _, err = renewing.session("run", "true")
    assert status == 0, err
    (call,) = renewing.calls()
    assert call["uid"] == 1234
    stat = (renewing.host.store / ".credentials.json").stat()
    assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o777) == (1234, 1234, 0o600)


@pytest.mark.parametrize("subcommand", ["run", "setup"])
def test_a_renewal_locks_the_store_as_the_session_was_told(renewing, subcommand):
    renewing.host.put(login("old", left=-60))
    status, _, err = renewing.session(subcommand, "true", "--locking=lease")
    assert status == 0, err
    assert renewing.host.token() == "old+"
    assert (renewing.host.store / ".claude-init/locks/method").read_text().strip() == "lease"


def test_a_store_of_another_user_is_renewed_while_the_session_of_a_third_runs(renewing):
    """Of root's rights only those to become somebody else are left then."""
    renewing.host.put(login("a", left=3))
    renewing.of_another_user(1234)
    renewing.host.place.chmod(0o777)
    renewing.mode("renewed", 6)
    status, out, err = renewing.session("run", f"while ! {SHOW} | grep -F ++; do sleep 0.05; done", user="4321:4321")
    assert (status, out) == (0, "FAKEa++\n"), err
    assert [call["uid"] for call in renewing.calls()[:2]] == [1234, 1234]


def test_nobody_is_woken_before_a_renewal_is_due(renewing):
    renewing.host.put(login("a", left=8 * 3600))
    process = renewing.start("run", "echo ready; read go", wrapper=ALONE)
    assert process.stdout.readline() == "ready\n"
    eventually(lambda: switches(process.pid, 0.7) == 0, "quiet after the start")
    assert switches(process.pid, 2) == 0
    process.communicate("go\n", timeout=PATIENCE)
