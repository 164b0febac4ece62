"""What goes wrong in practice, each with its own status, its reason and its remedy, before the command starts."""

import json

import pytest
from harness import (ANSWER, EXIT_EXPIRED, EXIT_MALFORMED, EXIT_NO_STORE, EXIT_NOT_LOGGED_IN, EXIT_PERMISSION, Store,
                     network, wait_until)


@pytest.fixture
def attempt(docker, endpoint, store):
    """`claude-runtime` on the store; the command would say that it has started."""
    def run(*options, status, path=store.path):
        result = docker.run(endpoint, "-v", f"{path}:/claude-auth:ro", *options, "claude-runtime:latest", "echo",
                            "started")
        assert (result.returncode, result.stdout) == (status, ""), result.stderr
        assert "FAKE" not in result.stderr
        return result.stderr
    return run


def test_directory_that_was_not_there(docker, attempt, store):
    """The engine makes an empty one, owned by root, and mounts that."""
    missing = store.path.parent / "typo"
    told = attempt(status=EXIT_NOT_LOGGED_IN, path=missing)
    assert missing.is_dir(), "the engine has made it"
    assert "the mount is wrong" in told
    assert "does not exist" in told


def test_nobody_has_logged_in_yet(attempt, store):
    store.write(".claude.json", "{}")
    told = attempt(status=EXIT_NOT_LOGGED_IN)
    assert "claude-setup" in told


def test_nothing_is_mounted(docker, endpoint):
    result = docker.run(endpoint, "claude-runtime:latest", "echo", "started")
    assert (result.returncode, result.stdout) == (EXIT_NO_STORE, "")
    assert "-v" in result.stderr


@pytest.mark.parametrize("content", ["", '{"claudeAiOauth":{"accessToken":"sk-ant-oat01-FAKE'])
def test_login_file_is_empty_or_cut_off(attempt, store, content):
    store.write(".credentials.json", content)
    assert "claude-setup" in attempt(status=EXIT_MALFORMED)


def test_login_has_expired(attempt, store, endpoint):
    login = endpoint.login(access_left=-3600)
    del login.credentials["claudeAiOauth"]["refreshToken"]
    store.put(login)
    told = attempt(status=EXIT_EXPIRED)
    assert "expired" in told
    assert "claude-setup" in told


def test_login_was_rejected_by_the_server(attempt, store, endpoint):
    """This is how the CLI leaves the file then."""
    login = endpoint.login()
    login.credentials["claudeAiOauth"].update(accessToken="", refreshToken="", expiresAt=0)
    store.put(login)
    assert "claude-setup" in attempt(status=EXIT_EXPIRED)


def test_login_belongs_to_somebody_else(attempt, store, endpoint):
    store.put(endpoint.login())
    store.path.chmod(0o755)
    told = attempt("--user=1234:1234", status=EXIT_PERMISSION)
    assert "1234" in told


def test_override_starts_the_command_all_the_same(docker, endpoint, store):
    result = docker.run(endpoint, "-v", f"{store.path}:/claude-auth:ro", "-e", "CLAUDE_INIT_ALLOW_NO_LOGIN=1",
                        "claude-runtime:latest", "echo", "started")
    assert (result.returncode, result.stdout) == (0, "started\n"), result.stderr


def test_variable_that_shadows_the_login_is_mentioned(docker, endpoint, store):
    result = docker.run(endpoint, "-v", f"{store.path}:/claude-auth:ro", "-e", "ANTHROPIC_API_KEY=sk-ant-api03-FAKE",
                        "claude-runtime:latest", "true")
    assert "ANTHROPIC_API_KEY" in result.stderr
    assert "FAKE" not in result.stderr


@pytest.mark.parametrize("healthy", [True, False])
def test_engine_learns_the_health(docker, endpoint, store, container, healthy):
    if healthy:
        store.put(endpoint.login())
    docker.run(endpoint, "--detach", "--name", container, "--health-interval=1s", "--health-retries=1",
               "--health-start-period=0s", "-v", f"{store.path}:/claude-auth:ro", "-e", "CLAUDE_INIT_ALLOW_NO_LOGIN=1",
               "claude-runtime:latest", "sleep", "infinity")

    def health():
        return json.loads(docker("inspect", "--format={{json .State.Health}}", container).stdout)

    wait_until(lambda: health()["Status"] != "starting", "the engine has asked")
    assert health()["Status"] == ("healthy" if healthy else "unhealthy"), health()


class TestHealth:
    """What `claude-init health` says of it, in the container that has it."""

    @pytest.mark.parametrize("mounts, told", [
        (["{}/.credentials.json:/claude-auth:ro"], "no-store: /claude-auth is not a directory"),
        (["{}:/claude-auth:ro", "{}/.credentials.json:/claude-auth/.credentials.json:ro"], "is mounted by itself")])
    def test_a_file_that_is_mounted(self, docker, endpoint, store, mounts, told):
        store.put(endpoint.login())
        volumes = [f"--volume={mount.format(store.path)}" for mount in mounts]
        result = docker.run(endpoint, *volumes, "--entrypoint=claude-init", "claude-runtime:latest", "health")
        assert told in result.stdout, result.stderr
        assert "-v HOST_DIR:/claude-auth\n" in result.stdout

    def test_a_store_inside_the_image(self, docker, endpoint):
        script = 'mkdir -m 700 /claude-auth && echo "$LOGIN" > /claude-auth/.credentials.json && claude-init health'
        result = docker.run(endpoint, "-e", f"LOGIN={json.dumps(endpoint.login().credentials)}", "--entrypoint=bash",
                            "claude-runtime:latest", "-c", script)
        assert result.stdout.startswith("usable: "), result.stderr
        assert "note: nothing is mounted at /claude-auth: the store is part of the image" in result.stdout

    def test_live_asks_the_server_with_the_real_cli_and_spends_one_request(self, docker, endpoint, store, container):
        login = endpoint.login()
        store.put(login)
        docker.run(endpoint, "--detach", "--name", container, "-v", f"{store.path}:/claude-auth:ro",
                   "claude-runtime:latest", "sleep", "infinity")

        def live(*options):
            result = docker("exec", container, "claude-init", "health", "--live", "--detailed-exit-code", *options,
                            check=False)
            assert "FAKE" not in result.stdout + result.stderr
            return result.returncode, result.stdout

        before = endpoint.stats()["msg_ok"]
        status, told = live()
        assert status == 0 and "The server answered the CLI just now." in told, told
        assert endpoint.stats()["msg_ok"] == before + 1
        endpoint.revoke(login)
        status, told = live()
        assert status == 0 and "The server answered the CLI" in told, "an earlier answer"
        status, told = live("--max-age=0")
        assert status == 12 and told.startswith("dead: the server no longer accepts this login\n"), told
        store.put(endpoint.login())
        with endpoint.down():
            status, told = live("--live-timeout=5s")
            assert status == 18 and "the CLI got no answer" in told, told
        assert live("--max-age=0")[0] == 0


class TestWaiting:
    """Containers that are there before the login."""

    def test_run_starts_by_itself_when_somebody_has_logged_in(self, docker, endpoint, store, container):
        # Without --rm: it ends by itself, and what it said is read after that.
        docker("run", "--detach", "--name", container, *network(endpoint), "-v", f"{store.path}:/claude-auth:ro",
               "-e", "CLAUDE_INIT_WAIT_LOGIN=1", "claude-runtime:latest", "--print", "hi")
        wait_until(lambda: "waiting for a login: missing" in docker("logs", container).stderr, "it says so")
        store.put(endpoint.login())
        wait_until(lambda: docker("logs", container).stdout == f"{ANSWER}\n", "the CLI's answer")

    def test_setup_in_a_script_waits_for_a_login_from_elsewhere(self, docker, endpoint, store, container):
        login = endpoint.login()
        setup = docker.start("run", "--rm", "--name", container, *network(endpoint), "-v", f"{store.path}:/claude-auth",
                             "-e", "CLAUDE_INIT_UNTIL_LOGIN=5m", "claude-setup:latest")
        said = ""
        while "docker exec -it --user node" not in said:
            line = setup.stderr.readline()
            assert line, said
            said += line
        assert "Waiting for a login within 5 min." in said
        variables = [f"--env={name}={value}" for name, value in login.variables.items()]
        docker("exec", "--user", "node", *variables, container, "claude", "auth", "login")
        _, err = setup.communicate(timeout=60)
        assert setup.returncode == 0, said + err
        assert "Saved the login" in err and store.oauth["refreshToken"]


class TestSetup:
    """The same store from the side of a person who logs in."""

    @staticmethod
    def leave_without_login(docker, endpoint, store):
        terminal = docker.terminal(endpoint, "-v", f"{store.path}:/claude-auth", "claude-setup:latest")
        terminal.expect_prompt()
        terminal.sendline("exit")
        return terminal.finish(), terminal.text

    def test_leaving_without_a_login_is_not_a_success(self, docker, endpoint, store):
        status, text = self.leave_without_login(docker, endpoint, store)
        assert status == EXIT_NOT_LOGGED_IN
        assert "Not logged in" in text
        assert ".credentials.json" not in store.files()

    def test_own_layer_of_the_container_is_refused_before_anybody_logs_in(self, docker, endpoint):
        terminal = docker.terminal(endpoint, "claude-setup:latest")
        assert terminal.finish() == EXIT_NO_STORE
        assert "-v" in terminal.text

    def test_read_only_store_is_refused_before_anybody_logs_in(self, docker, endpoint, store):
        terminal = docker.terminal(endpoint, "-v", f"{store.path}:/claude-auth:ro", "claude-setup:latest")
        assert terminal.finish() == 73
        assert "read-only" in terminal.text.lower()

    def test_no_terminal_is_said_with_what_to_add(self, docker, endpoint, store):
        result = docker.run(endpoint, "-v", f"{store.path}:/claude-auth", "claude-setup:latest")
        assert result.returncode == 64
        assert "-it" in result.stderr

    def test_half_a_login_leaves_the_good_one_alone(self, docker, endpoint, store):
        login = endpoint.login()
        store.put(login)
        terminal = docker.terminal(endpoint, "-v", f"{store.path}:/claude-auth", "claude-setup:latest")
        terminal.expect_prompt()
        terminal.sendline("printf '{\"claudeAi' > ~/.claude/.credentials.json; exit")
        assert terminal.finish() == EXIT_MALFORMED, terminal.text
        assert store.oauth == login.credentials["claudeAiOauth"]

    def test_command_needs_no_terminal(self, docker, endpoint, store):
        """A login without a browser, such as in CI."""
        login = endpoint.login()
        variables = [f"--env={name}={value}" for name, value in login.variables.items()]
        result = docker.run(endpoint, *variables, "-v", f"{store.path}:/claude-auth", "claude-setup:latest", "claude",
                            "auth", "login")
        assert result.returncode == 0, result.stderr
        assert store.oauth["refreshToken"]
        used = docker.run(endpoint, "-v", f"{store.path}:/claude-auth:ro", "claude-runtime:latest", "--print", "hi")
        assert used.stdout == f"{ANSWER}\n", used.stderr

    def test_three_capabilities_are_enough(self, docker, endpoint, tmp_path):
        """Also where the store belongs to a user of the host whom nobody knows in the container."""
        store = Store(tmp_path / "theirs").create(owner=4321)
        terminal = docker.terminal(endpoint, "--cap-drop=ALL", "--cap-add=SETUID", "--cap-add=SETGID", "--cap-add=KILL",
                                   "-v", f"{store.path}:/claude-auth", "claude-setup:latest")
        terminal.expect_prompt()
        terminal.log_in(endpoint.login().command)
        assert {status.st_uid for status in store.files().values()} == {4321}
