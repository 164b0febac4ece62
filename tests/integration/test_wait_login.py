"""--wait-login: a run that is there before its login, and starts by itself when that comes."""

import copy
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest
from harness import ALONE, BINARY, HELPERS, NAMESPACE, PATIENCE, STRACE, eventually, init_of
from sessions import login
from test_follow import BLANKED, Run, replace, switches

SHOW = 'grep -o "FAKE[^\\"]*" "$CLAUDE_CONFIG_DIR/.credentials.json"'
SAID = "waiting for a login"


@pytest.fixture(params=["child", "pid1"])
def wrapper(request):
    return NAMESPACE if request.param == "pid1" else []


class Waiting:
    """A run that has said that it waits."""

    def __init__(self, host, *options, script=SHOW, wrapper=()):
        self.process = host.start("run", script, *(options or ["--wait-login"]), wrapper=wrapper)
        self.pid = init_of(self.process.pid) if wrapper == NAMESPACE else self.process.pid
        self.said = self.read_until("→", after=SAID)

    def read_until(self, text, after=""):
        """What it has said so far, up to the line that has `text` in it, behind `after`."""
        said, end = "", time.monotonic() + PATIENCE
        while after not in said or text not in said[said.index(after):]:
            assert select.select([self.process.stderr], [], [], max(0, end - time.monotonic()))[0], said
            line = os.read(self.process.stderr.fileno(), 65536).decode()
            assert line, said
            said += line
        return said

    def end(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, self.said + err


def on_published_store(host):
    """The same host, as one sees it who has the published store only."""
    other = copy.copy(host)
    other.store = host.path / "published"
    return other


def put_nothing(host):
    del host


def remove_store(host):
    host.store.rmdir()


def put_file_in_its_place(host):
    host.store.rmdir()
    host.store.write_text("")


@pytest.mark.parametrize("before, named", [
    (put_nothing, "missing"), (remove_store, "no-store"), (put_file_in_its_place, "no-store"),
    (lambda host: host.put(""), "empty"), (lambda host: host.put(login("cut")[:60]), "malformed"),
    (lambda host: host.put(BLANKED), "dead"), (lambda host: host.put(login("old", left=-60, refresh=False)), "expired")],
    ids=["empty-store", "no-store", "file", "empty", "malformed", "dead", "expired"])
def test_it_starts_by_itself_when_the_login_comes(host, wrapper, before, named):
    before(host)
    waiting = Waiting(host, wrapper=wrapper)
    assert waiting.said.startswith(f"claude-init: warning: {SAID}: {named}: "), waiting.said
    if host.store.is_file():
        host.store.unlink()
    host.store.mkdir(mode=0o700, exist_ok=True)
    replace(host, login("new"))
    status, out, err = waiting.end()
    assert (status, out) == (0, "FAKEnew\n"), err
    assert err.count(SAID) == 1 and ("claude-init setup" in err or before is put_file_in_its_place), err


def test_half_a_login_does_not_start_it(host):
    waiting = Waiting(host)
    for broken in ("", BLANKED, login("cut")[:60], login("old", left=-60, refresh=False)):
        replace(host, broken)
    time.sleep(0.3)  # to see that something does not happen
    assert waiting.process.poll() is None
    replace(host, login("new"))
    status, out, err = waiting.end()
    assert (status, out) == (0, "FAKEnew\n"), err
    assert err.count(SAID) == 1, err


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")
def test_a_store_that_comes_later_is_watched_by_its_owners_rights(host):
    """As in production: root that may become somebody else, and may not enter what is another's."""
    host.store.rmdir()
    for directory in (host.path, *list(host.path.parents)[:2]):
        directory.chmod(0o755)
    root_of_a_container = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    waiting = Waiting(host, "--wait-login", wrapper=[*ALONE, *root_of_a_container])
    made = host.path / "made"
    made.mkdir(mode=0o700)
    os.chown(made, 4321, 4321)
    made.rename(host.store)
    eventually(lambda: switches(waiting.process.pid, 2.5) == 0, "quiet, since nothing has to be looked for")
    replace(host, login("new"))
    os.chown(host.store / ".credentials.json", 4321, 4321)
    status, out, err = waiting.end()
    assert (status, out) == (0, "FAKEnew\n"), err


def test_it_sleeps_while_it_waits(host):
    waiting = Waiting(host, "--wait-login", wrapper=ALONE)
    eventually(lambda: switches(waiting.process.pid, 0.7) == 0, "quiet after the start")
    assert switches(waiting.process.pid, 3) == 0
    replace(host, login("new"))
    assert waiting.end()[:2] == (0, "FAKEnew\n")


def test_a_login_that_is_there_needs_no_wait(host):
    host.put(login("a"))
    assert host.session("run", SHOW, "--wait-login") == (0, "FAKEa\n", "")


def test_what_stands_in_for_a_login_needs_no_wait(host):
    host.environment["ANTHROPIC_API_KEY"] = "sk-ant-api03-FAKE"
    status, out, err = host.session("run", "echo started", "--wait-login")
    assert (status, out) == (0, "started\n"), err
    assert SAID not in err


def test_the_variable_says_the_same(host):
    host.environment["CLAUDE_INIT_WAIT_LOGIN"] = "1"
    waiting = Waiting(host, "--log-level=error")
    replace(host, login("new"))
    assert waiting.end()[:2] == (0, "FAKEnew\n")


def test_what_to_type_can_be_given_by_who_composes_the_containers(host):
    host.environment["CLAUDE_INIT_LOGIN_COMMAND"] = "docker compose run --rm setup"
    waiting = Waiting(host)
    assert "→ log in: docker compose run --rm setup\n" in waiting.said


def test_as_a_log_of_json_it_is_one_line(host):
    process = host.start("run", SHOW, "--wait-login", "--log-format=json")
    line = json.loads(process.stderr.readline())
    assert line["message"].startswith(f"{SAID}: missing: ") and "claude-init setup" in line["remedy"]
    replace(host, login("new"))
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, "FAKEnew\n"), err


@pytest.mark.parametrize("before, expected, name", [(None, 67, "not-logged-in"), (BLANKED, 68, "login-expired"),
                                                    ("", 65, "login-malformed")])
def test_when_the_time_is_over_it_ends_with_the_status_of_what_it_lacks(host, wrapper, before, expected, name):
    if before is not None:
        host.put(before)
    waiting = Waiting(host, "--wait-login", "1s", wrapper=wrapper, script="echo started")
    assert f"{SAID}, for 1 s at most" in waiting.said
    status, out, err = waiting.end()
    assert (status, out) == (expected, ""), err
    assert f"error [{name}]: " in err and host.copies() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_the_wait_at_once_with_its_status(host, wrapper, number):
    waiting = Waiting(host, "--wait-login", "--grace=300s", "--stop-timeout=600s", wrapper=wrapper, script="echo started")
    os.kill(waiting.pid, number)
    status, out, err = waiting.end()
    assert (status, out) == (128 + number, ""), err  # nothing was waited for, such as a grace or a timeout
    assert host.copies() == []


def test_orphans_are_reaped_meanwhile(host):
    waiting = Waiting(host, wrapper=NAMESPACE)
    joined = ["nsenter", f"--target={waiting.pid}", "--pid", "--mount", "sh", "-c", "sleep 0 & exec true"]
    for _ in range(5):
        subprocess.run(joined, check=True)
    eventually(lambda: not [pid for pid in os.listdir("/proc") if pid.isdigit() and zombie_below(pid, waiting.pid)],
               "no zombie")
    os.kill(waiting.pid, signal.SIGTERM)
    assert waiting.end()[0] == 143


def zombie_below(pid, parent):
    try:
        with open(f"/proc/{pid}/stat") as f:
            state, found = f.read().rpartition(")")[2].split()[:2]
    except OSError:
        return False
    return state == "Z" and int(found) == parent


def test_a_store_that_is_mounted_meanwhile_is_seen(host):
    waiting = Waiting(host)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", host.store], check=True)
    host.mounted.append(host.store)
    replace(host, login("new"))
    assert waiting.end()[:2] == (0, "FAKEnew\n")


def test_a_published_store_is_waited_for_until_something_is_published_there(host):
    published = on_published_store(host)
    published.store.mkdir(mode=0o700)
    waiting = Waiting(published)
    host.put(login("new"))
    host.publish(published.store)
    assert waiting.end()[:2] == (0, "FAKEnew\n")


@pytest.mark.parametrize("before", [None, login("old", left=-60)], ids=["first", "old"])
def test_a_login_whose_token_has_expired_is_renewed_where_the_store_can_be_written(host, tmp_path, before):
    command = f"--renew-command={sys.executable} -S {HELPERS}/renew_command.py {tmp_path}"
    (tmp_path / "mode").write_text("unchanged")
    if before:
        host.put(before)
    waiting = Waiting(host, "--wait-login", command)
    (tmp_path / "mode").write_text("renewed")
    replace(host, login("new", left=-60))
    status, out, err = waiting.end()
    assert (status, out) == (0, "FAKEnew+\n"), err


def test_a_login_whose_token_has_expired_is_waited_for_where_somebody_else_renews_it(host):
    host.put(login("old", left=-60))
    waiting = Waiting(host, "--wait-login", "--renew=never")
    assert f"{SAID}: renewable" in waiting.said
    replace(host, login("renewed"))
    assert waiting.end()[:2] == (0, "FAKErenewed\n")


def test_who_gets_the_refresh_token_waits_for_any_login_that_lives(host):
    waiting = Waiting(host, "--wait-login", "--refresh-token=copy")
    replace(host, login("new", left=-60))
    status, out, err = waiting.end()
    assert (status, out.split()) == (0, ["FAKEnew", "FAKEnew"]), err


def test_runs_that_go_on_get_the_new_login_after_a_dead_one(host, tmp_path):
    """One that renewed and was rejected, one on the published store, and one that waited from the first."""
    command = f"--renew-command={sys.executable} -S {HELPERS}/renew_command.py {tmp_path}"
    (tmp_path / "mode").write_text("blanked")
    host.put(login("a", left=3))
    published = on_published_store(host)
    publishing = host.keep("--publish", published.store)
    keeping = Run(host, command)
    eventually((published.store / ".credentials.json").exists, "the published login")
    following = Run(published)
    eventually(lambda: (tmp_path / "calls").exists(), "the renewal that is rejected")
    eventually(lambda: json.loads(keeping.text())["claudeAiOauth"]["expiresAt"] < time.time() * 1000, "the end")
    waiting = Waiting(host, "--wait-login", command)
    assert f"{SAID}: dead" in waiting.said
    status, _, err = host.session("setup", "put b", command)
    assert status == 0, err
    keeping.gets("b")
    following.gets("b")
    assert waiting.end()[:2] == (0, "FAKEb\n")
    status, err = keeping.end()
    assert status == 0 and err.count("the login is dead") == 1, err
    assert following.end()[0] == 0
    publishing.send_signal(signal.SIGTERM)
    assert publishing.wait(PATIENCE) == 0


class Setup:
    """A setup without a command and without a terminal."""

    def __init__(self, host, *options, wrapper=()):
        self.host = host
        self.process = subprocess.Popen(
            [*wrapper, BINARY, "setup", "--user", str(os.geteuid()), "--store", host.store, *options], env=host.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        host.started.append(self.process)

    def waits(self, told="claude-init setup --store"):
        said = ""
        while told not in said:
            line = self.process.stderr.readline()
            assert line, said
            said += line
        return said

    def end(self):
        _, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, err


def test_setup_ends_by_itself_when_its_session_has_logged_in(host):
    status, out, err = host.session("setup", 'put a; echo "$CLAUDE_CONFIG_DIR"; sleep 1000', "--until-login", "10m")
    assert status == 0, err
    assert host.token() == "a" and "Saved the login" in err
    assert not os.path.exists(out.strip()), "the session's copy is wiped as ever"


def test_setup_lets_what_comes_with_a_login_be_written_before_it_ends(host):
    status, _, err = host.session("setup", 'put a; sleep 1; echo "{\\"after\\":1}" > "$CLAUDE_CONFIG_DIR/.claude.json"; '
                                  'sleep 1000', "--until-login", "10m")
    assert status == 0, err
    assert json.loads((host.store / ".claude.json").read_text()) == {"after": 1}


def test_setup_without_a_terminal_waits_for_somebody_elsewhere(host):
    setup = Setup(host, "--until-login", "10m")
    assert "Waiting for a login within 10 min." in setup.waits()
    assert setup.process.poll() is None
    assert host.session("setup", "put b")[0] == 0
    status, err = setup.end()
    assert status == 0, err
    assert host.token() == "b"


def test_in_a_container_setup_names_it_by_an_id_of_the_engines_and_no_host_name(host):
    host.environment["container"] = "test"
    binds = host.path / ("c" * 64)
    binds.mkdir()
    (binds / "hostname").write_text("claude-setup\n")
    script = ('for f in hostname hosts resolv.conf; do umount /etc/$f 2>/dev/null || :; done; '
              'echo claude-setup > /proc/sys/kernel/hostname; [ -z "$B" ] || mount --bind "$B" /etc/hostname; exec "$@"')
    wrapper = ["unshare", "--mount", "--uts", "sh", "-ec", script, "sh"]
    for known in (True, False):
        host.environment["B"] = str(binds / "hostname") if known else ""
        setup = Setup(host, "--until-login", "10m", "--allow-ephemeral", wrapper=wrapper)
        said = setup.waits("    docker ")
        assert ("docker exec -it cccccccccccc claude\n" in said) == known, said
        assert (" claude-setup\n" in said and "docker run -it --rm -v" in said) == (not known), said
        assert "exec -it claude-setup" not in said
        setup.process.terminate()
        setup.end()


@pytest.mark.parametrize("before, expected", [(None, 67), (BLANKED, 68), (login("old", left=-60, refresh=False), 68)])
def test_setup_ends_when_the_time_is_over_with_the_status_of_what_it_lacks(host, before, expected):
    if before:
        host.put(before)
    status, err = Setup(host, "--until-login", "1s").end()
    assert status == expected and "no login came in time" in err, err


def test_setup_needs_no_wait_where_there_is_a_login(host, tmp_path):
    command = f"--renew-command={sys.executable} -S {HELPERS}/renew_command.py {tmp_path}"
    (tmp_path / "mode").write_text("renewed")
    for before, after in ((login("a"), "a"), (login("old", left=-60), "old+")):
        host.put(before)
        status, out, err = host.session("setup", "echo started", "--until-login", "10m", command)
        assert (status, out) == (0, ""), err
        assert host.token() == after


def test_setup_that_waits_ends_with_a_signal_and_its_command_as_ever(host):
    setup = Setup(host, "--until-login", "10m")
    setup.waits()
    setup.process.send_signal(signal.SIGTERM)
    assert setup.end()[0] == 143
    assert host.session("setup", "exit 5", "--until-login", "10m")[0] == 5
    assert host.session("setup", "true", "--until-login", "10m")[0] == 67


def test_setup_ends_a_shell_on_a_terminal_when_somebody_has_logged_in_there(host):
    pid, terminal = pty.fork()
    if pid == 0:
        line = [BINARY, "setup", "--user", str(os.geteuid()), "--store", str(host.store), "--until-login", "10m"]
        os.execve(BINARY, line, {**host.environment, "TERM": "dumb", "login_a": login("a")})
    shown = b""
    typed = False
    while True:
        assert select.select([terminal], [], [], PATIENCE)[0], shown
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        shown += data
        if not data:
            break
        if not typed and b"saves the login and exits" in shown:
            typed = True
            os.write(terminal, b'printf %s "$login_a" > "$CLAUDE_CONFIG_DIR/.credentials.json"\n')
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown.decode()
    assert host.token() == "a" and b"Saved the login" in shown


def test_a_session_that_was_there_before_the_first_login_renews_it(host, tmp_path):
    command = f"--renew-command={sys.executable} -S {HELPERS}/renew_command.py {tmp_path}"
    (tmp_path / "mode").write_text("renewed")
    setup = host.start("setup", "read forever", command)
    eventually(host.copies, "the session")
    replace(host, login("a", left=3))
    eventually(lambda: host.token() == "a+", "the renewal")
    setup.communicate("\n", timeout=PATIENCE)


@pytest.mark.parametrize("subcommand", ["setup", "run"])
def test_a_login_that_comes_just_as_the_session_begins_is_renewed(host, tmp_path, subcommand):
    """After the store was looked at, and before its changes are told."""
    command = f"--renew-command={sys.executable} -S {HELPERS}/renew_command.py {tmp_path}"
    (tmp_path / "mode").write_text("renewed")
    if subcommand == "run":
        replace(host, login("before"))
    late = [*STRACE, "-e", "trace=inotify_init1", "-e", "inject=inotify_init1:delay_enter=1500000"]
    session = host.start(subcommand, "read forever", command, wrapper=late)
    eventually(host.copies, "the session")
    time.sleep(0.5)  # the store is looked at in the next milliseconds
    replace(host, login("a", left=3))
    eventually(lambda: host.token() == "a+", "the renewal")
    session.communicate("\n", timeout=PATIENCE)
