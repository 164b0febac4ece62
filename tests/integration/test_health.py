"""health: what a person, a probe and a program are told, and --live, with a shell script in the CLI's place."""

import json
import os
import signal
import subprocess
import time

import pytest
from harness import BINARY, NAMESPACE, PATIENCE, eventually, init_of
from sessions import login
from test_follow import BLANKED

CLI = """#!/bin/sh
echo run >> {here}/runs
printf %s "$*" > {here}/arguments
env > {here}/environment
cp "$CLAUDE_CONFIG_DIR/.credentials.json" {here}/credentials
ls -A "$CLAUDE_CONFIG_DIR" > {here}/files
pwd > {here}/directory
exec sh {here}/answer
"""


class Health:
    """A host with a CLI that answers what `answer`, a shell script, says."""

    def __init__(self, host, here):
        self.host, self.here, self.wrapper = host, here, []
        (here / "bin").mkdir()
        cli = here / "bin/claude"
        cli.write_text(CLI.format(here=here))
        cli.chmod(0o755)
        host.environment["PATH"] = f"{here}/bin:/usr/bin:/bin"
        self.answer("echo ok")

    def answer(self, script):
        (self.here / "answer").write_text(script)

    def runs(self):
        try:
            return len((self.here / "runs").read_text().splitlines())
        except FileNotFoundError:
            return 0

    def command(self, *options):
        return [*self.wrapper, BINARY, "health", "--user", str(os.geteuid()), "--store", self.host.store, *options]

    def __call__(self, *options, **variables):
        """Exit status and what was said."""
        done = subprocess.run(self.command(*options), env={**self.host.environment, **variables}, text=True,
                              capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)
        assert "FAKE" not in done.stdout + done.stderr
        self.errors = done.stderr
        return done.returncode, done.stdout

    def kept(self):
        return list(self.host.place.glob("claude-health-*/*"))


@pytest.fixture
def health(host, tmp_path):
    here = tmp_path / "cli"
    here.mkdir()
    return Health(host, here)


def remove(host):
    host.store.rmdir()


def expire(host):
    host.put(login("a", left=-60, refresh=False))


def make_unreadable(host):
    """Root that may act as the store's owner, as in a container: that one cannot read root's file."""
    host.put(login("a"))
    os.chown(host.store, 4321, 4321)
    os.chown(host.store / ".credentials.json", 0, 0)


STATES = [("usable", 0, lambda host: host.put(login("a"))), ("renewable", 10, lambda host: host.put(login("a", left=-60))),
          ("expired", 11, expire), ("dead", 12, lambda host: host.put(BLANKED)), ("missing", 13, lambda host: None),
          ("empty", 14, lambda host: host.put("")), ("malformed", 15, lambda host: host.put("{")),
          ("unreadable", 16, make_unreadable), ("no-store", 17, remove)]


@pytest.mark.parametrize("state, code, make", STATES, ids=[state for state, *_ in STATES])
def test_the_first_word_is_the_state_and_the_status_is_for_probes_or_the_states_own(health, state, code, make):
    make(health.host)
    status, text = health()
    assert text.split(":")[0] == state
    assert status == (0 if state == "usable" else 1)
    assert health("--detailed-exit-code") == (code, text)
    status, text = health("--detailed-exit-code", "--format=json")
    assert (status, json.loads(text)["state"]) == (code, state)
    status, text = health("--format=prometheus")
    assert f'claude_init_login_state="{state}"}} 1\n' in text
    # What cannot be used is not tried.
    assert health("--live", "--detailed-exit-code")[0] == code
    assert health.runs() == (1 if state == "usable" else 0)


def test_the_table_of_statuses_is_in_the_help():
    text = subprocess.run([BINARY, "health", "--help-all"], capture_output=True, text=True, check=True).stdout
    text = " ".join(text.split())
    for state, code, _ in STATES:
        assert f"{code} {state}" in text


def test_live_runs_the_cli_once_with_a_login_that_cannot_renew(health):
    health.host.put(login("a"))
    (health.host.store / "projects").mkdir()
    status, text = health("--live", ANTHROPIC_API_KEY="sk-ant-api03-FAKE")
    assert (status, text.count("The server answered the CLI just now.")) == (0, 1)
    assert health.runs() == 1
    assert (health.here / "arguments").read_text() == "--print --model haiku ok"
    assert "ort01" not in (health.here / "credentials").read_text()
    assert (health.here / "files").read_text().split() == [".credentials.json"]
    assert "ANTHROPIC_API_KEY" not in (health.here / "environment").read_text()
    assert (health.here / "directory").read_text().startswith(str(health.host.place))
    assert health.host.copies() == [f"claude-health-{os.geteuid()}"]


def test_a_result_is_told_again_until_it_is_too_old_or_the_login_another_one(health):
    health.host.put(login("a"))
    for _ in range(3):
        assert health("--live")[0] == 0
    assert health.runs() == 1
    assert json.loads(health("--live", "--json")[1])["live"]["works"] is True
    assert health.host.session("run", "true")[0] == 0, "which clears dead working copies away"
    assert 'claude_init_login_answered{store="' in health("--live", "--format=prometheus")[1]
    assert health.runs() == 1
    assert health("--live", "--max-age=0")[0] == 0
    assert health.runs() == 2
    health.host.put(login("b", left=7200))
    assert health("--live")[0] == 0
    assert health.runs() == 3


def test_a_result_is_no_secret_and_not_in_the_store(health):
    health.host.put(login("a"))
    before = sorted(health.host.store.rglob("*"))
    health.answer("cat $CLAUDE_CONFIG_DIR/.credentials.json; exit 1")
    assert health("--live")[0] == 1
    (kept,) = health.kept()
    assert "FAKE" not in kept.read_text() and json.loads(kept.read_text())["works"] is False
    assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(health.host.store.rglob("*")) == before


def test_where_nothing_can_be_kept_it_is_said_and_tried_each_time(health):
    health.host.put(login("a"))
    place = health.host.place
    other = place / f"claude-health-{os.geteuid()}"
    other.mkdir()
    other.chmod(0o777)  # as somebody else may have made it in /tmp
    script = (f"for d in /run /tmp; do mount --bind -o ro $d $d; done; mount --bind {place} {place} && "
              f"mount -o remount,bind,rw {place} && exec \"$@\"")
    for _ in range(2):
        done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *health.command("--live", "--live-command=echo ok")],
                              env=health.host.environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        assert "no place to keep the result" in done.stderr
    assert list(other.iterdir()) == []


def test_a_damaged_result_is_none(health):
    health.host.put(login("a"))
    assert health("--live")[0] == 0
    (kept,) = health.kept()
    for text in ("", "{", "[]", '{"at":"x"}', kept.read_text().replace("works", "w"), "x" * 10000):
        kept.write_text(text)
        assert health("--live")[0] == 0
    assert health.runs() == 7


@pytest.mark.parametrize("answer, code, words", [
    ("echo 'Failed to authenticate. API Error: 401 terminated'; exit 1", 12, "dead: the server no longer accepts"),
    ("echo 'Not logged in · Please run /login'; exit 1", 12, "dead: the server no longer accepts"),
    ("echo 'API Error: Connection error.'; exit 1", 18, "it ended with status 1: API Error: Connection error."),
    ("echo 'connect ECONNREFUSED 10.0.0.1:4010 (https://proxy.test/login)'; exit 1", 18, "it ended with status 1"),
    ("exit 0", 18, "it ended with status 0"),
    ("echo first; echo last; kill -KILL $$", 18, "it ended with status 137: last")])
def test_a_login_that_looks_well_and_does_not_work_is_told_with_the_clis_own_words(health, answer, code, words):
    health.host.put(login("a"))
    health.answer(answer)
    status, text = health("--live")
    assert status == 1 and words in text, text
    assert health("--live", "--detailed-exit-code")[0] == code
    assert health.runs() == 1
    live = json.loads(health("--live", "--json")[1])
    assert live["live"]["works"] is False and live["healthy"] is False and live["remedies"]
    health.host.put(login("b", left=7200))
    health.answer("echo ok")
    assert health("--live")[0] == 0


def test_a_cli_that_is_not_there_is_told_with_what_to_do(health):
    health.host.put(login("a"))
    status, text = health("--live", "--live-command", "not-there --print")
    assert status == 1 and "there is no 'not-there' here" in text
    assert "--live-command" in text and "proxy" not in text, text
    assert health("--live", "--live-command", "not-there --print")[0] == 1
    assert "run not-there: No such file" in health.errors, "it is tried each time: somebody may have installed it"
    assert health("--live")[0] == 0, "what was said of another command is not said of this one"
    health.answer("exit 1")
    assert health("--live", "--live-command", "claude x")[0] == 1
    assert health("--live")[0] == 0
    closed = health.here / "closed"
    closed.write_text("#!/bin/sh")
    status, text = health("--live", "--live-command", str(closed))
    assert status == 1 and "is there and cannot be executed" in text and "proxy" not in text, text


def test_a_cli_that_hangs_is_ended_with_all_it_started(health):
    health.host.put(login("a"))
    health.answer(f"sleep 1000 & echo $! > {health.here}/left; echo thinking; wait")
    status, text = health("--live", "--live-timeout=3s")
    assert status == 1 and "it had not ended after" in text and "thinking" in text
    assert not os.path.exists(f"/proc/{(health.here / 'left').read_text().strip()}")
    assert health.host.copies() == [f"claude-health-{os.geteuid()}"]


@pytest.mark.parametrize("wrapper", [(), NAMESPACE], ids=["child", "pid1"])
def test_a_signal_ends_it_and_leaves_nothing_behind(health, wrapper):
    health.host.put(login("a"))
    health.answer("echo thinking; exec sleep 1000")
    process = subprocess.Popen([*wrapper, *health.command("--live")], env=health.host.environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    health.host.started.append(process)
    eventually(lambda: health.runs() == 1, "the CLI")
    os.kill(init_of(process.pid) if wrapper else process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (143, ""), err
    assert health.host.copies() in ([], [f"claude-health-{os.geteuid()}"])
    assert health.kept() == []


# What else goes wrong, each with what a person reads.

def test_a_variable_that_shadows_the_login(health):
    health.host.put(login("a"))
    text = health(CLAUDE_CODE_OAUTH_TOKEN="sk-ant-oat01-FAKE")[1]
    assert "note: CLAUDE_CODE_OAUTH_TOKEN is set: the CLI uses it and ignores the stored login; unset it" in text


@pytest.mark.parametrize("url, told", [
    ("http://proxy.example:8080/secret-path", "proxy.example:8080"), ("HTTP://user:FAKE@proxy.example", "proxy.example"),
    ("http://localhost.example", "localhost.example"), ("https://proxy.example", None), ("http://localhost:4000", None),
    ("http://127.0.0.1:1/", None), ("http://[::1]:1/", None), ("http://[2001:db8::1]:1", "[2001:db8::1]:1"), ("http://", None),
    ("http://[", "[")])
def test_requests_over_plain_http(health, url, told):
    health.host.put(login("a"))
    text = health(ANTHROPIC_BASE_URL=url)[1]
    assert "secret-path" not in text
    assert (f"note: ANTHROPIC_BASE_URL is plain http ({told}): everyone on the way can read the access token" in text) \
        == bool(told), text
    assert ("plain http" in text) == bool(told), text


@pytest.mark.parametrize("make, told", [
    (lambda path: os.utime(path, (time.time() + 3600,) * 2), "and the login was written"),
    (lambda path: path.write_text(login("a", left=500 * 86400)), "and the access token expires")])
def test_a_clock_that_is_wrong(health, make, told):
    health.host.put(login("a"))
    assert "the clock is wrong" not in health()[1]
    make(health.host.store / ".credentials.json")
    text = health()[1]
    assert "note: the clock is wrong" in text and told in text and "timedatectl set-ntp true" in text


def test_the_login_file_mounted_by_itself(health):
    health.host.put(login("a"))
    path = health.host.store / ".credentials.json"
    subprocess.run(["mount", "--bind", path, path], check=True)
    health.host.mounted.append(path)
    text = health()[1]
    assert f"note: {path} is mounted by itself" in text
    assert f"mount the whole directory: -v HOST_DIR:{health.host.store}\n" in text


def test_a_store_inside_the_image(health):
    health.host.put(login("a"))
    assert "nothing is mounted" not in health()[1], "on a host that is as it should be"
    text = health(KUBERNETES_SERVICE_HOST="10.0.0.1")[1]  # as in a container
    assert f"note: nothing is mounted at {health.host.store}: the store is part of the image" in text
    assert f"-v HOST_DIR:{health.host.store}\n" in text


def test_an_empty_directory_that_nothing_is_mounted_at_is_explained_once(health):
    text = health(KUBERNETES_SERVICE_HOST="10.0.0.1")[1]
    assert f"Nothing is mounted at {health.host.store}: " in text and "own layer, and empty." in text
    assert "the mount is wrong" not in text and "note:" not in text


def test_an_age_in_a_variable_does_not_stop_the_probe(health):
    health.host.put(login("a"))
    assert health(CLAUDE_INIT_MAX_AGE="1h")[0] == 0
    assert health("--max-age=1h")[0] == 64


def test_a_login_that_everyone_can_read_is_noted_where_they_can(health):
    health.host.put(login("a"))
    (health.host.store / ".credentials.json").chmod(0o644)
    health.host.store.chmod(0o755)
    assert "everyone on this machine" not in health()[1], "a directory above it is private"


def test_on_a_host_it_is_no_news_that_ones_own_login_can_be_read(health):
    health.host.put(login("a"))
    assert "can read the refresh token" not in health()[1]
    text = health(KUBERNETES_SERVICE_HOST="10.0.0.1")[1]
    assert "can read the refresh token" in text and "let root own" not in text, "as root that is no help"


def test_a_published_store_is_not_the_place_to_log_in(health):
    published = health.host.path / "published"
    health.host.put(login("a"))
    health.host.publish(published)
    (published / ".credentials.json").unlink()
    health.host.store = published
    for said in (health()[1], health.host.session("run", "true")[2]):
        assert "log in where the keeper runs (claude-init setup)" in said and f"setup --store {published}" not in said
    assert "docker compose run" in health(CLAUDE_INIT_LOGIN_COMMAND="docker compose run --rm setup")[1]


@pytest.mark.parametrize("store, named", [("/claude-auth", False), ("/auth-output", False), ("/data/x y", True)])
def test_in_a_container_the_store_is_named_where_it_is_not_found(health, store, named):
    health.host.store = store
    text = health(KUBERNETES_SERVICE_HOST="10.0.0.1")[1]
    word = f"'{store}'" if " " in store else store
    assert f":{word}{f' -e CLAUDE_INIT_STORE={word}' if named else ''} claude-setup" in text


def test_a_run_that_is_refused_says_what_else_is_wrong(health):
    health.host.put("")
    path = health.host.store / ".credentials.json"
    os.utime(path, (time.time() + 3600,) * 2)
    note = "the clock is wrong"
    status, _, err = health.host.session("run", "true")
    assert status == 65 and f"  note: {note}" in err, err
    status, _, err = health.host.session("run", "true", "--log-format=json")
    assert status == 65
    first, second = map(json.loads, err.splitlines())
    assert (first["level"], second["level"]) == ("error", "warn")
    assert second["message"].startswith(note)


def test_a_file_mounted_instead_of_the_directory(health):
    health.host.store.rmdir()
    health.host.store.write_text("")
    status, text = health()
    assert status == 1
    assert text.startswith(f"no-store: {health.host.store} is not a directory\n  A store is a whole directory.")


def test_a_login_file_of_the_wrong_owner(health):
    make_unreadable(health.host)
    status, text = health()
    assert status == 1
    assert "belongs to 0:0 with mode 0600, and claude-init runs as 4321:4321" in text
    assert "should belong to its owner, uid 4321" in text
    assert "sudo chown -R 4321:4321" in text and "--user 0:0" not in text
