"""The two scripts of docs/how-to/docker.md with an engine."""

import subprocess

import pytest
from harness import ANSWER, TOP, Store, Terminal, mode, network

SETUP = TOP / "scripts/setup/setup-claude-interactive.sh"
TRY = TOP / "scripts/setup/test-claude-auth.sh"


@pytest.fixture
def environment(docker, endpoint, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    # NODE_EXTRA_CA_CERTS as behind a proxy; everything else about the stand-in is the network's.
    arguments = [word for word in network(endpoint) if "NODE_EXTRA_CA" not in word and "stand-in" not in word]
    return {**docker.environment, "HOME": str(home), "NODE_EXTRA_CA_CERTS": str(endpoint.certificate),
            "CLAUDE_INIT_ENGINE_ARGS": " ".join(arguments)}


def script(path, *arguments, environment):
    return subprocess.run([path, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=180, check=False)


def test_log_in_by_hand_and_find_out_that_it_works(environment, endpoint):
    login = endpoint.login()
    terminal = Terminal(str(SETUP), ["--env", "staging"], env=environment)
    terminal.expect("docker")
    terminal.expect_prompt()
    terminal.log_in(login.command)
    assert "scripts/setup/test-claude-auth.sh --env staging" in terminal.text

    store = Store(environment["HOME"] + "/.claude-hub-staging")
    assert store.is_sealed and store.exposed(store.oauth["refreshToken"]) == []
    assert mode(store.key.stat()) == 0o600
    before = store.fingerprint()
    result = script(TRY, "--env", "staging", environment=environment)
    assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), result.stderr
    assert "The login works." in result.stderr
    assert store.fingerprint() == before


def test_log_in_without_a_terminal(environment, endpoint, tmp_path):
    login = endpoint.login()
    environment |= login.variables
    environment |= {"CLAUDE_INIT_CLI_ENV": " ".join(login.variables), "CLAUDE_HUB_DIR": str(tmp_path / "hub")}
    result = script(SETUP, "--", "claude", "auth", "login", environment=environment)
    assert result.returncode == 0, result.stderr
    assert Store(tmp_path / "hub").oauth["refreshToken"]


def test_says_no_when_nobody_has_logged_in(environment):
    result = script(TRY, environment=environment)
    assert result.returncode == 66
    assert "setup-claude-interactive.sh" in result.stderr


def test_says_no_when_the_server_does(environment, endpoint, tmp_path):
    """The login file looks well; only trying tells."""
    login = endpoint.login()
    store = Store(tmp_path / "hub").create().put(login)
    endpoint.revoke(login)
    result = script(TRY, environment={**environment, "CLAUDE_HUB_DIR": str(store.path)})
    assert result.returncode == 1, result.stderr
    assert "The login works." not in result.stderr
    assert "setup-claude-interactive.sh" in result.stderr


def test_says_no_in_time_when_nothing_answers(environment, endpoint, tmp_path):
    store = Store(tmp_path / "hub").create().put(endpoint.login())
    # No network at all: the CLI would try for minutes.
    environment |= {"CLAUDE_HUB_DIR": str(store.path), "CLAUDE_INIT_ENGINE_ARGS": "--network=none"}
    result = script(TRY, "--timeout", "5", environment=environment)
    assert result.returncode == 124, result.stderr
    assert "within 5s" in result.stderr


def test_says_no_when_health_does(environment, endpoint, tmp_path):
    store = Store(tmp_path / "hub").create()
    store.write(".credentials.json", "")
    result = script(TRY, environment={**environment, "CLAUDE_HUB_DIR": str(store.path)})
    assert result.returncode == 1
    assert "cannot be used" in result.stderr


@pytest.mark.parametrize("path", [SETUP, TRY])
def test_help_and_usage(path, environment):
    assert "--env NAME" in script(path, "--help", environment=environment).stdout
    wrong = script(path, "--no-such-option", environment=environment)
    assert (wrong.returncode, wrong.stdout) == (64, "")
    unknown = script(path, "--env", "nowhere", environment=environment)
    assert unknown.returncode == 64
    assert "dev staging test" in unknown.stderr


def test_setup_without_terminal_says_that_it_needs_one(environment):
    result = script(SETUP, environment=environment)
    assert result.returncode == 64
    assert "terminal" in result.stderr


def test_engine_that_was_asked_for_and_does_not_answer_is_an_error(environment):
    environment |= {"CLAUDE_INIT_ENGINE": "docker", "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    result = script(TRY, environment=environment)
    assert result.returncode == 69
    assert "does not answer" in result.stderr


def test_scripts_are_clean():
    scripts = [path for path in TOP.glob("scripts/**/*.sh")] + [TOP / ".ci/run", TOP / "tests/e2e/rig/with-endpoint"]
    scripts += [*TOP.glob("tests/e2e/engine/*.sh"), TOP / "deploy/gateway/gateway"]
    result = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, cwd=TOP, check=False)
    assert result.returncode == 0, result.stdout
