"""The two scripts of docs/how-to/docker.md on a machine without an engine, as root and as anybody else.

What needs a network (packages, npm) is prepared first. Then a person sits at a terminal in a network namespace where
only the stand-in can be reached.
"""

import fcntl
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from harness import ANSWER, RIG, TOP, Store, Terminal, clean_environment, mode, wait_until
from small_machine import SETUP, TRY

PERSON = 1000

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a network namespace needs root")


@pytest.fixture(scope="module")
def machine():
    """A home that everybody can reach, with the CLI in its place; pytest's own directories are root's alone."""
    with tempfile.TemporaryDirectory(prefix="e2e-native-") as name:
        home = Path(name)
        home.chmod(0o755)
        # npm's own configuration and the machine's certificates, for this step only.
        network = {name: value for name, value in os.environ.items()
                   if name.lower().startswith(("npm_config_", "http_proxy", "https_proxy", "no_proxy"))
                   or name == "NODE_EXTRA_CA_CERTS"}
        network.setdefault("NPM_CONFIG_USERCONFIG", os.path.expanduser("~/.npmrc"))
        subprocess.run([SETUP, "--prepare"], check=True, timeout=500,
                       env=clean_environment(home, CLAUDE_INIT_ENGINE="none", **network))
        yield home


class Person:
    """Somebody at a terminal on that machine. A person's passwd entry exists in the mount namespace only."""

    BECOME = ('cp /etc/passwd "$HOME/passwd" && echo "person:x:1000:1000::$HOME:/bin/bash" >> "$HOME/passwd" && '
              'mount --bind "$HOME/passwd" /etc/passwd && chmod 755 "$(dirname "$RIG_CA")" && '
              "exec setpriv --reuid=1000 --regid=1000 --clear-groups ")

    def __init__(self, home, uid):
        self.home = home
        self.store = Store(home / ".claude-hub")
        # As a user has it who uses the CLI himself.
        self.own_login = home / ".claude/.credentials.json"
        self.own_login.parent.mkdir(exist_ok=True)
        self.own_login.write_text("the user's own", encoding="utf-8")
        subprocess.run(["chown", "-R", f"{uid}:{uid}", home], check=True)
        environment = clean_environment(home, CLAUDE_INIT_ENGINE="none", RIG_PASS="HOME CLAUDE_INIT_ENGINE")
        shell = "bash --norc -i"
        self.terminal = Terminal(RIG / "with-endpoint", ["bash", "-c", self.BECOME + shell if uid else shell],
                                 env=environment, cwd=str(TOP))
        self.terminal.expect_prompt()
        self.type('export NODE_EXTRA_CA_CERTS="$RIG_CA"; stty columns 200')
        self.type('login() { curl -s --cacert "$RIG_CA" -X POST "$RIG_URL/_admin/mint" | '
                  'jq -r .claudeAiOauth.refreshToken > "$HOME/refresh-token"; }; login')

    def type(self, line):
        """Types a line and waits for the next prompt; what came in between."""
        self.terminal.sendline(line)
        self.terminal.expect_prompt()
        return Terminal.SEQUENCE.sub("", self.terminal.before)

    def status(self):
        return int(self.type("echo status=$?").split("status=")[-1].split()[0])


@pytest.fixture(params=[0, PERSON], ids=["root", "person"])
def person(request, machine):
    subprocess.run(["rm", "-rf", machine / ".claude-hub"], check=True)
    person = Person(machine, request.param)
    yield person
    person.terminal.sendline("exit")
    person.terminal.finish()


def test_log_in_by_hand_and_find_out_that_it_works(person):
    greeting = person.type(str(SETUP))
    assert "on this machine" in greeting
    assert "log in" in greeting and "--dangerously-skip-permissions" not in greeting
    person.type(f"CLAUDE_CODE_OAUTH_REFRESH_TOKEN=$(cat {person.home}/refresh-token) "
                'CLAUDE_CODE_OAUTH_SCOPES="user:inference user:profile" claude auth login')
    told = person.type("exit")
    assert person.status() == 0, told
    assert "Saved the login of" in told
    assert "scripts/setup/test-claude-auth.sh" in told

    owner = person.own_login.stat().st_uid
    assert person.store.oauth["refreshToken"].startswith("sk-ant-ort01-FAKE")
    assert {status.st_uid for status in person.store.files().values()} == {owner}
    assert mode(person.store.path.stat()) == 0o700

    before = person.store.fingerprint()
    told = person.type(f"{TRY} 2>/dev/null")
    assert told.splitlines()[-2] == ANSWER, person.terminal.text
    assert person.status() == 0
    assert person.store.fingerprint() == before

    # Nothing was left behind, and nothing of the user's own was touched.
    assert person.own_login.read_text(encoding="utf-8") == "the user's own"
    assert not (person.home / ".claude.json").exists()
    assert not list((person.home / ".local/share/claude-init").glob("home.*"))


def test_says_no_when_nobody_has_logged_in(person):
    told = person.type(str(TRY))
    assert "no login yet" in told
    assert person.status() == 66


def test_leaving_without_a_login_is_not_a_success(person):
    person.type(str(SETUP))
    told = person.type("exit")
    assert "Not logged in" in told
    assert person.status() == 67


# Without an engine it gets claude-init's TERM, whatever we got.
ENDS_WELL_WHEN_INTERRUPTED = "trap 'echo half; exit 0' INT TERM; echo begun >&2; while :; do sleep 0.1; done"
AS_BY_KILL = "ended with status 137 (as by the signal KILL); if it said why, that is above."


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


@pytest.mark.parametrize("what", ["the CLI", "a container", "a build"])
def test_interruption_is_said_and_judged_as_nothing_else(small, what):
    if what == "the CLI":
        small.provide(small.data / "cli/bin/claude", f'echo $$ > "{small.home}/pid"; {ENDS_WELL_WHEN_INTERRUPTED}')
    elif what == "a container":
        small.provide_engine(f'case "$*" in run*" health") ;; run*) {ENDS_WELL_WHEN_INTERRUPTED} ;; esac')
    else:
        small.provide_engine("case $1 in image) exit 1 ;; build) exec 2>/dev/tty; "
                             f"{ENDS_WELL_WHEN_INTERRUPTED} ;; esac")
    terminal = Terminal(TRY, [], env=small.environment, cwd=str(TOP))
    terminal.expect("begun")
    terminal.sendintr()
    assert terminal.finish() == 128 + signal.SIGINT, terminal.text
    assert terminal.text.splitlines()[-1] == "fail Interrupted."
    if what == "the CLI":
        assert not runs(int((small.home / "pid").read_text(encoding="ascii")))
    assert not list(small.data.glob("home.*"))


# Without KILL to the group of `setup`: claude-init is in it, because of the terminal.
@pytest.mark.parametrize(("script", "kill", "number"), [
    (script, kill, number) for script in (SETUP, TRY) for kill in (os.kill, os.killpg)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
    if (script, kill, number) != (SETUP, os.killpg, signal.SIGKILL)])
def test_nothing_outlives_a_script_that_is_told_to_stop_or_killed(small, script, kill, number):
    cli = ("trap 'exit 0' TERM HUP; "
           'cd; touch left; echo "$CLAUDE_CONFIG_DIR" > "{0}/copy"; echo $$ > "{0}/new"; mv "{0}/new" "{0}/pid"; '
           "while :; do sleep 0.1; done").format(small.home)
    small.provide(small.data / "cli/bin/claude", cli)
    command = [TRY, "--timeout", "50"] if script == TRY else [SETUP, "claude"]
    with subprocess.Popen(command, env=small.environment, stdin=subprocess.DEVNULL, cwd=TOP, start_new_session=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        wait_until((small.home / "pid").exists, "the CLI has begun")
        pids = [int((small.home / "pid").read_text(encoding="ascii"))]
        while Path(f"/proc/{pids[-1]}/exe").resolve().name != "claude-init":
            pids.append(parent(pids[-1]))
        assert parent(pids[-1]) == started.pid
        kill(started.pid, number)
        assert started.wait(30) == -number
        wait_until(lambda: not any(map(runs, pids)), "claude-init and the CLI have gone")
    assert not Path((small.home / "copy").read_text(encoding="utf-8").strip()).exists()
    if number == signal.SIGKILL:
        for home in small.data.glob("home.*"):
            os.utime(home, (0, 0))
        small(SETUP, "--", "true")
    assert not list(small.data.glob("home.*"))


def test_shell_of_setup_has_the_terminal(small):
    terminal = Terminal(SETUP, [], env=small.environment, cwd=str(TOP))
    terminal.expect_prompt()
    for key, told in (("\x03", "ended=130"), ("\x1a", "ended=148")):
        terminal.sendline("echo begun; sleep 60")
        terminal.expect(r"[\r\n]begun")
        terminal.settle()
        terminal.send(key)
        terminal.expect_prompt()
        terminal.sendline("echo ended=$?")
        terminal.expect(rf"[\r\n]{told}")
        terminal.expect_prompt()
    terminal.sendline("kill %1; exit")
    terminal.expect_prompt()  # there are stopped jobs
    terminal.sendline("exit")
    assert terminal.finish() == 0, terminal.text
    assert "try it" in terminal.text


@pytest.mark.parametrize("what", ["setup", "run"])
def test_commands_ignore_no_signal(small, what):
    asking = "grep SigIgn /proc/self/status"
    small.provide(small.data / "cli/bin/claude", asking)
    told = small(SETUP, "--", *asking.split()) if what == "setup" else small(TRY)
    assert told.stdout.split() == ["SigIgn:", "0" * 16]


def test_what_to_type_can_be_typed(small):
    told = small(SETUP, "--", "true")
    assert told.returncode == 0, told.stderr
    asked = small("bash", "-c", re.search("use it: (.+)", told.stderr)[1])
    assert (asked.returncode, asked.stdout) == (0, f"{ANSWER}\n"), asked.stderr
    tried = small("bash", "-c", re.search("try it: (.+)", told.stderr)[1])
    assert (tried.returncode, tried.stdout) == (0, f"{ANSWER}\n"), tried.stderr


def test_what_to_type_to_log_in_is_this_script_for_the_same_store(small):
    store = Store(small.home / "another one").create()
    refused = small(TRY, CLAUDE_HUB_DIR=str(store.path))
    assert refused.returncode == 1
    for before in ("→ log in: ", "above, or log in: "):
        told = small("bash", "-c", re.search(f"{before}(.+)", refused.stderr)[1] + " -- true")
        assert told.returncode == 67, told.stderr
        assert str(store.path) in told.stderr
    assert "→ log in: ask Bob" in small(TRY, CLAUDE_HUB_DIR=str(store.path), CLAUDE_INIT_LOGIN_COMMAND="ask Bob").stderr


def test_what_to_type_says_what_was_needed(small):
    """A person with sudo gets its environment, not the caller's; the stand-in for sudo has PATH alone."""
    small.provide(small.bin / "sudo", 'exec env -i PATH="$PATH" HOME="$HOME" CLAUDE_CODE_VERSION=small "$@"')
    del small.environment["CLAUDE_INIT_ENGINE"]
    data = small.home / "a place"
    (data / "claude-init").mkdir(parents=True)
    (small.data / "cli").rename(data / "claude-init/cli")
    needed = {"SUDO_USER": "person", "XDG_DATA_HOME": str(data), "CLAUDE_INIT_ENGINE": "none",
              "CLAUDE_INIT_ENGINE_ARGS": "--network=host --tmpfs=/a b"}
    told = small(SETUP, "--", "true", **needed)
    assert told.returncode == 0, told.stderr
    for line in ("try it", "use it"):
        typed = re.search(f"{line}: (.+)", told.stderr)[1]
        assert typed.startswith("sudo ")
        assert small("bash", "-c", typed).stdout == f"{ANSWER}\n", typed
    for name in (".credentials.json", ".claude-init/sealed-login"):
        (small.store.path / name).unlink()
    refused = small(TRY, **needed)
    for before in ("→ log in: ", "above, or log in: "):
        typed = re.search(f"{before}(.+)", refused.stderr)[1]
        assert typed.startswith("sudo ") and r"CLAUDE_INIT_ENGINE_ARGS=--network=host\ --tmpfs=/a\ b" in typed
        assert small("bash", "-c", typed + " -- true").returncode == 67


def test_nobody_is_sent_to_log_in_to_a_published_store(small):
    login = json.loads((small.store.path / ".credentials.json").read_text(encoding="utf-8"))
    del login["claudeAiOauth"]["refreshToken"]
    login["claudeAiOauth"]["expiresAt"] = 1
    small.store.write(".credentials.json", json.dumps(login))
    (small.store.path / ".claude-init").mkdir(mode=0o700)
    (small.store.path / ".claude-init/published").touch()
    refused = small(TRY)
    assert refused.returncode == 1
    assert "log in where the keeper runs" in refused.stderr and SETUP.name not in refused.stderr
    assert "ask Bob" in small(TRY, CLAUDE_INIT_LOGIN_COMMAND="ask Bob").stderr
    login["claudeAiOauth"]["expiresAt"] = int((time.time() + 28800) * 1000)
    small.store.write(".credentials.json", json.dumps(login))
    small.provide(small.data / "cli/bin/claude", "exit 3")
    failed = small(TRY)
    assert failed.returncode == 3
    assert SETUP.name not in failed.stderr


def test_claude_init_that_is_killed_takes_one_line(small):
    told = small(SETUP, "--", "sh", "-c", "kill -KILL $PPID")
    assert told.returncode == 128 + signal.SIGKILL
    assert told.stderr.splitlines()[-1] == f"fail claude-init setup, or its command, {AS_BY_KILL}"
    assert "Killed" not in told.stderr
    small(SETUP, "--", "true")  # clears away what that one has left


def test_cli_that_is_killed_has_not_taken_too_long(small):
    small.provide(small.data / "cli/bin/claude", "kill -KILL $$")
    told = small(TRY)
    assert told.returncode == 128 + signal.SIGKILL
    assert f"fail claude-init run, or the CLI, {AS_BY_KILL}\n" in told.stderr


@pytest.mark.parametrize("command", ["kill -KILL $$", "exit 137"])
def test_status_of_the_command_is_not_put_down_to_claude_init(small, command):
    told = small(SETUP, "--", "sh", "-c", command)
    assert told.returncode == 128 + signal.SIGKILL
    assert told.stderr.splitlines()[-1] == f"fail claude-init setup, or its command, {AS_BY_KILL}"


def test_cli_that_dies_without_a_word_is_not_said_to_have_said_why(small):
    small.provide(small.data / "cli/bin/claude", "kill -SEGV $$")
    told = small(TRY)
    assert told.returncode == 128 + signal.SIGSEGV
    assert "the CLI, ended with status 139 (as by the signal SEGV); if it said why, that is above.\n" in told.stderr
    assert "it says why" not in told.stderr


def test_homes_of_scripts_that_were_killed_are_cleared_away(small):
    left, in_use, with_a_login = (small.data / f"home.{name * 6}" for name in "abc")
    for home in (left, in_use, with_a_login):
        (home / ".claude").mkdir(parents=True)
        (home / "file").touch()
    (with_a_login / ".claude/.credentials.json").touch()
    for home in (left, in_use, with_a_login):
        os.utime(home, (0, 0))
    descriptor = os.open(in_use, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    assert small(TRY).returncode == 0
    os.close(descriptor)
    assert set(small.data.glob("home.*")) == {in_use, with_a_login}


def test_what_could_not_be_saved_is_kept_in_a_container(small):
    """Where the script itself is in one, claude-init works in the home that the script has made."""
    variables = {"container": "test", "CLAUDE_INIT_ALLOW_EPHEMERAL": "1"}
    told = small(SETUP, "--", "sh", "-c", "echo { > ~/.claude/.credentials.json", **variables,
                 CLAUDE_INIT_CLI_ENV=" ".join(variables))
    assert told.returncode == 65, told.stderr
    kept = Path(re.search(r"kept in (\S+);", told.stderr)[1])
    assert (kept / ".claude/.credentials.json").read_text(encoding="ascii") == "{\n"


def test_image_that_cannot_be_built_is_not_the_only_way(small):
    small.provide_engine('[ "$1" = info ]')
    for script in (SETUP, TRY):
        refused = small(script, "--", "true") if script == SETUP else small(script)
        assert refused.returncode == 69
        assert "set CLAUDE_INIT_ENGINE=none" in refused.stderr


@pytest.mark.parametrize("script", [SETUP, TRY])
def test_refusals_say_what_to_do(small, script):
    without_home = subprocess.run([script], env={"PATH": small.environment["PATH"]}, capture_output=True, text=True,
                                  check=False)
    assert without_home.returncode == 64
    assert "export HOME=" in without_home.stderr
    (small.home / "file").touch()
    file = small(script, CLAUDE_HUB_DIR=str(small.home / "file"))
    assert file.returncode == 66
    assert "file is a file" in file.stderr and "Set CLAUDE_HUB_DIR" in file.stderr


@pytest.mark.parametrize("script", [SETUP, TRY])
def test_a_link_to_a_script_does(small, script):
    (small.home / "link").symlink_to(script)
    assert "--env NAME" in small(small.home / "link", "--help").stdout


def test_values_of_options_may_be_joined(small):
    assert "'soon' is not a time" in small(TRY, "--timeout=soon").stderr
    assert "There is no environment 'nowhere'" in small(SETUP, "--env=nowhere").stderr
    assert "--env needs a value" in small(SETUP, "--env=").stderr
    assert "There is no option --prepare=now" in small(SETUP, "--prepare=now").stderr
    asked = small(TRY, "--prompt=Who are you?", "--timeout=20")
    assert asked.returncode == 0
    assert "Asking the CLI: Who are you?" in asked.stderr


def test_silence_is_no_answer(small):
    small.provide(small.data / "cli/bin/claude", ":")
    told = small(TRY)
    assert told.returncode == 1
    assert told.stderr.endswith("answered nothing.\n")


def test_a_long_build_shows_that_it_goes_on(small):
    """On a terminal; what it wrote stays out of the way when it is done."""
    go_on = small.home / "go-on"
    small.provide_engine(f"case $1 in image) exit 1 ;; build) echo 'Step 7: compiling'; while ! [ -e {go_on} ]; do sleep 0.1; done ;; "
                         f"run) echo {ANSWER} ;; esac")
    terminal = Terminal(TRY, [], env=small.environment, cwd=str(TOP))
    terminal.expect(r"\d+ s  Step 7: compiling")
    go_on.touch()
    assert terminal.finish() == 0, terminal.text
    failing = small.home / "failing"
    small.provide(failing, "echo first; echo 'the reason' >&2; exit 3")
    told = small("bash", "-c", f'set -euo pipefail; . scripts/lib/common.sh; quietly "{failing}" || echo "status $?" >&2')
    assert told.stderr == "first\nthe reason\nstatus 3\n"
    assert small("bash", "-c", "set -euo pipefail; . scripts/lib/common.sh; quietly echo dull").stderr == ""


def test_a_container_is_told_what_to_type_here_and_what_is_typed_has_its_image(small):
    """As podman's user: neither docker, nor an image that was not built."""
    small.provide_engine(f'case $1 in build) echo "$*" >> "{small.home}/builds" ;; image) exit 1 ;; '
                         f'run) env > "{small.home}/environment" ;; esac')
    told = small(SETUP, "--", "true")
    assert told.returncode == 0, told.stderr
    assert f"CLAUDE_INIT_LOGIN_COMMAND=CLAUDE_INIT_ENGINE=podman {SETUP}\n" in (small.home / "environment").read_text()
    assert told.stderr.index("try it: ") < told.stderr.index("use it: podman run --rm --volume ")
    assert "docker" not in told.stderr
    assert small("bash", "-c", re.search("try it: (.+)", told.stderr)[1]).returncode == 1  # it has built, and this engine is silent
    assert "claude-runtime:latest" in (small.home / "builds").read_text()


def test_packages_are_those_that_the_release_has(small):
    """Debian 12's default Boost is too old, a later release's is right; a machine without lists reads them first."""
    lists = small.home / "lists"
    small.provide(small.bin / "apt-cache", f'! [ -e "{lists}" ] || echo "Version: $(cat "{lists}")"')
    packages = TOP / "scripts/lib/build-packages"
    refused = small("sh", packages)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "apt-get update" in refused.stderr
    for version, boost in (("1.74.0.3", "1.81"), ("1.81.0.1", ""), ("1.83.0.2+b2", ""), ("1.92.0.1", "")):
        lists.write_text(version, encoding="ascii")
        names = small("sh", packages).stdout.split()
        assert f"libboost{boost}-dev" in names and f"libboost-filesystem{boost}-dev" in names, version
    lists.unlink()
    small.provide(small.bin / "apt-get", f'[ "$1 $2" != "update -qq" ] || echo 1.83 > "{lists}"')
    small.provide(small.bin / "sudo", 'exec "$@"')
    small.provide(small.bin / "dpkg-query", "echo installed")
    told = small("bash", "-c", "set -euo pipefail; . scripts/lib/common.sh; install_build_packages test")
    assert told.returncode == 0, told.stderr
    assert lists.exists()
