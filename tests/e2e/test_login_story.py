"""The main job: log in once, in one container, by hand; use the login in others, of any kind."""

import json
import os
import re

import pytest
from harness import ANSWER, Store, ask, leave_claude, mode, start_claude

NODE = 1000
HARDENED = ["--read-only", "--cap-drop=ALL", "--cap-add=SETUID", "--cap-add=SETGID", "--cap-add=KILL",
            "--security-opt=no-new-privileges:true", "--tmpfs=/run:mode=1777", "--tmpfs=/tmp:mode=1777,exec"]


class Session:
    """One login by a person, which the tests below look at from all sides."""

    def __init__(self, docker, endpoint, store):
        self.store, self.login = store, endpoint.login()
        terminal = docker.terminal(endpoint, "--hostname=claude-setup", "-v", f"{store.path}:/claude-auth",
                                   "claude-setup:latest")
        terminal.expect_words("no login yet")
        terminal.expect_words("claude --dangerously-skip-permissions")
        terminal.expect_prompt()
        terminal.sendline(self.login.command)
        terminal.expect("Login successful")
        terminal.expect_prompt()
        start_claude(terminal)
        ask(terminal, "hello")
        leave_claude(terminal)
        terminal.expect_prompt()
        terminal.sendline("exit")
        self.status = terminal.finish()
        self.text = terminal.text


@pytest.fixture(scope="module")
def session(docker, endpoint, tmp_path_factory):
    return Session(docker, endpoint, Store(tmp_path_factory.mktemp("hub") / "claude-hub").create())


def run(docker, endpoint, session, *arguments, access=":ro", **options):
    return docker.run(endpoint, "-v", f"{session.store.path}:/claude-auth{access}", *arguments, **options)


def test_setup_says_what_it_saved_whose_and_what_next(session):
    assert session.status == 0, session.text
    told = session.text[session.text.rindex("exit\n"):]
    assert re.search(r"Saved the login of .*fake@example\.invalid", told)
    assert re.search(r"until \d{4}-\d\d-\d\d", told)
    assert "claude-runtime" in told


def test_setup_never_prints_a_token_by_itself(session):
    typed = session.login.refresh_token
    assert "FAKE" not in session.text.replace("\n", "").replace(typed, "").replace(session.login.command, "")


def test_store_has_the_login_the_settings_and_the_conversation(session):
    assert session.store.oauth["refreshToken"].startswith("sk-ant-ort01-FAKE")
    assert session.store.oauth["refreshToken"] != session.login.refresh_token, "the CLI has rotated it"
    assert session.store.settings["hasCompletedOnboarding"] is True
    conversations = [name for name in session.store.files() if re.fullmatch(r"projects/.+\.jsonl", name)]
    assert conversations


def test_store_is_its_owners_alone(session):
    for name, status in session.store.files().items():
        assert (status.st_uid, status.st_gid) == (0, 0), name
        assert mode(status) in ((0o700,) if os.path.isdir(session.store.path / name) else (0o600, 0o700)), name


def test_store_has_nothing_that_harms_the_next_container(session):
    harmful = re.compile(r"(^|/)(\.oauth_refresh\.lock.*|.*\.lock|.*\.tmp\..*)$|^(sessions|telemetry|backups)(/|$)")
    assert not [name for name in session.store.files() if harmful.search(name)]


def test_runtime_answers_as_node(docker, endpoint, session):
    result = run(docker, endpoint, session, "claude-runtime:latest", "claude", "--print", "hi")
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr
    assert run(docker, endpoint, session, "claude-runtime:latest", "id", "-u").stdout == f"{NODE}\n"


def test_options_alone_are_for_claude(docker, endpoint, session):
    result = run(docker, endpoint, session, "claude-runtime:latest", "--print", "hi")
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr


def test_runtime_answers_when_locked_down(docker, endpoint, session):
    result = run(docker, endpoint, session, *HARDENED, "claude-runtime:latest", "claude", "--print", "hi")
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr


def test_runtime_answers_as_any_user_who_may_read_the_store(docker, endpoint, session, tmp_path):
    theirs = Store(tmp_path / "theirs").create(owner=4321).put(endpoint.login(), owner=4321)
    result = docker.run(endpoint, "-v", f"{theirs.path}:/claude-auth:ro", "--user=4321:4321", "claude-runtime:latest",
                        "bash", "-c", "id -u && claude --print hi")
    assert (result.returncode, result.stdout) == (0, f"4321\n{ANSWER}\n"), result.stderr


def test_working_copy_is_private_and_cannot_renew(docker, endpoint, session):
    script = 'stat -c "%a %u %g" "$CLAUDE_CONFIG_DIR" "$CLAUDE_CONFIG_DIR/.credentials.json"; cat "$CLAUDE_CONFIG_DIR/.credentials.json"'
    result = run(docker, endpoint, session, "claude-runtime:latest", "bash", "-c", script)
    directory, credentials, content = result.stdout.split("\n", 2)
    assert (directory, credentials) == ("700 1000 1000", "600 1000 1000")
    assert json.loads(content)["claudeAiOauth"]["accessToken"] == session.store.oauth["accessToken"]
    assert not json.loads(content)["claudeAiOauth"].get("refreshToken")


def test_copy_is_found_by_exec_and_wiped_at_the_end(docker, endpoint, session, container):
    run(docker, endpoint, session, "--detach", "--name", container, "claude-runtime:latest", "sleep", "infinity")
    result = docker("exec", "-u", "node", container, "claude", "--print", "hi")
    assert result.stdout == f"{ANSWER}\n"
    assert docker("exec", container, "bash", "-c", "ls -d /run/claude-init-* /tmp/claude-init-* 2>/dev/null | wc -l").stdout == "1\n"


def test_wipes_the_copy(docker, endpoint, session, tmp_path):
    result = run(docker, endpoint, session, "-v", f"{tmp_path}:/scratch", "-e", "CLAUDE_INIT_WORKDIR=/scratch", "--user=0",
                 "-e", "CLAUDE_INIT_USER=root", "claude-runtime:latest", "bash", "-c", 'echo "$CLAUDE_CONFIG_DIR"')
    assert result.stdout.startswith("/scratch/")
    assert list(tmp_path.iterdir()) == []


def test_runs_change_nothing_in_a_writable_store(docker, endpoint, session):
    before = session.store.fingerprint()
    result = run(docker, endpoint, session, "claude-runtime:latest", "--print", "hi", access="")
    assert result.returncode == 0
    assert session.store.fingerprint() == before


def test_five_at_once_all_answer_and_nobody_renews(docker, endpoint, session):
    before = endpoint.stats()["refresh_ok"]
    script = "for i in 1 2 3 4 5; do claude-init run -- claude --print hi & done; wait"
    result = run(docker, endpoint, session, "--entrypoint=", "claude-runtime:latest", "bash", "-c", script)
    assert result.stdout.split() == [ANSWER] * 5, result.stderr
    assert endpoint.stats()["refresh_ok"] == before


def test_health_says_usable(docker, endpoint, session):
    result = run(docker, endpoint, session, "--entrypoint=claude-init", "claude-runtime:latest", "health", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["state"] == "usable"
    assert "FAKE" not in result.stdout


def test_second_setup_finds_the_login_and_leaves_it(docker, endpoint, session):
    before = session.store.oauth
    terminal = docker.terminal(endpoint, "-v", f"{session.store.path}:/claude-auth", "claude-setup:latest")
    terminal.expect(r"fake@example\.invalid")
    terminal.expect_prompt()
    terminal.sendline("claude --print again")
    terminal.expect(ANSWER)
    terminal.expect_prompt()
    terminal.sendline("exit")
    assert terminal.finish() == 0, terminal.text
    assert session.store.oauth == before


def test_log_tells_what_and_how_long_and_no_token(docker, endpoint, session):
    result = run(docker, endpoint, session, "-e", "CLAUDE_INIT_LOG_LEVEL=trace", "-e", "CLAUDE_INIT_LOG_FORMAT=json",
                 "claude-runtime:latest", "--print", "hi")
    assert result.stdout == f"{ANSWER}\n"
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert lines
    assert "FAKE" not in result.stderr
