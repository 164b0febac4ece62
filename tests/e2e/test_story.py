"""The whole in one story: somebody logs in once, jobs use the login, a keeper keeps it alive over an expiry, an engine
stops a session in the middle, and the documented command lines do what they say."""

import re
import subprocess

import pytest
from fleet import LIFETIME, Inbox, Keeper, Service
from harness import ANSWER, Project, Store, ask, start_claude, wait_until
from native import asking, failures

PERSON = 1000


@pytest.fixture(name="project")
def fixture_project(docker, endpoint, tmp_path):
    project = Project(docker, endpoint, tmp_path, PERSON)
    project.store.create(PERSON)
    project.command("worker", asking(2))
    yield project
    project.down()


def log_in(terminal, login):
    terminal.expect_words("no login yet")
    terminal.expect_prompt()
    terminal.sendline(login.command)
    terminal.expect("Login successful")
    terminal.expect_prompt()


def leave(terminal):
    terminal.sendline("exit")
    assert terminal.finish() == 0, terminal.text


def test_log_in_and_use_it(docker, endpoint, store, tmp_path):
    terminal = docker.terminal(endpoint, "-v", f"{store.path}:/claude-auth", "claude-setup:latest")
    log_in(terminal, endpoint.login())
    start_claude(terminal)
    ask(terminal, "hello")
    terminal.send("\x03\x03")
    terminal.expect_prompt()
    leave(terminal)
    assert re.search(r"Saved the login of .*fake@example\.invalid", terminal.text), terminal.text
    assert any(re.fullmatch(r"projects/.+\.jsonl", name) for name in store.files()), "the conversation"

    # As people have them in their notes: only the stand-in's network is added.
    environment = {**docker.shim(endpoint, tmp_path / "bin"), "DIR": str(store.path)}
    before = store.fingerprint()
    for line in ('docker run --rm -v "$DIR:/claude-auth:ro" claude-runtime claude --print "hello"',
                 'docker run --rm -v "$DIR:/claude-auth:ro" claude-runtime --print hello',
                 'docker run --rm -v "$DIR:/home/node/.claude:ro" claude-setup:latest claude --print hello'):
        result = subprocess.run(["bash", "-c", line], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=120, check=False)
        assert (result.returncode, result.stdout) == (0, f"{ANSWER}\n"), f"{line}\n{result.stderr}"
        assert "FAKE" not in result.stderr
    assert store.fingerprint() == before
    health = docker.run(endpoint, "-v", f"{store.path}:/claude-auth:ro", "--entrypoint=claude-init",
                        "claude-runtime:latest", "health")
    assert health.returncode == 0 and health.stdout.startswith("usable: "), health.stdout


def test_an_engine_stops_a_session_in_the_middle(docker, endpoint, store, container):
    terminal = docker.terminal(endpoint, "--name", container, "-v", f"{store.path}:/claude-auth", "claude-setup:latest")
    log_in(terminal, endpoint.login())
    docker.stop(container)
    terminal.finish()
    assert re.search(r"Saved the login of .*fake@example\.invalid", terminal.text), terminal.text
    assert store.oauth["refreshToken"].startswith("sk-ant-ort01-FAKE")


def test_services_live_on_what_the_keeper_publishes(docker, project, endpoint):
    inbox = Inbox()
    project.environment["CLAUDE_INIT_WEBHOOK_URL"] = inbox.url
    project("up", "--detach")
    wait_until(lambda: "docker compose run --rm setup" in project("logs", "worker").stdout, "what to do", 60)

    login = endpoint.login(LIFETIME, LIFETIME)
    terminal = project.terminal("run", "--rm", "setup")
    log_in(terminal, login)
    leave(terminal)

    worker = Service(docker, project("ps", "--quiet", "worker").stdout.strip())
    keeper = Keeper(docker, project("ps", "--quiet", "keeper").stdout.strip())
    keeper.start()

    def wait_for_another(token):
        try:
            wait_until(lambda: project.store.oauth["refreshToken"] != token, "a renewal in the store", 3 * LIFETIME)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{keeper.errors()}") from None

    wait_until(worker.lines, "a first answer", 60)
    wait_for_another(project.store.oauth["refreshToken"])
    # Not before the renewal is in the store: the server has spent the old token by then.
    keeper.kill()
    keeper.start()
    # The token that was there first has ended when the second renewal comes, by the keeper that came after.
    wait_for_another(project.store.oauth["refreshToken"])
    asked = len(worker.lines())
    wait_until(lambda: len(worker.lines()) > asked, "an answer with the newest token", 60)

    told = keeper.errors() + worker.errors()
    assert not failures(worker.lines()), told
    stats = endpoint.stats()
    assert (stats["refresh_reuse"], stats["refresh_unknown"]) == (0, 0), told
    assert worker.inspect(".RestartCount") == "0"
    has = docker("exec", "--user=node", worker.container, "cat", "/claude-published/login/.credentials.json").stdout
    assert endpoint.newest(login)["refreshToken"] not in has
    assert "FAKE" not in told
    inbox.close()
