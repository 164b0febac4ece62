"""compose.yaml as a person uses it."""

import json
import os
import re

import pytest
from harness import ANSWER, TOP, ask, leave_claude, wait_until


def say_in_keeper(project, *words):
    """What claude-init says there to a person who asks."""
    return project("exec", "-T", "keeper", "claude-init", *words, check=False).stdout


def test_missing_store_is_named_and_not_created(project):
    result = project("run", "--rm", "-T", "claude", "--print", "hello", check=False)
    assert result.returncode != 0
    assert f"{project.store.path}" in result.stderr
    assert not project.store.path.exists()


def test_what_is_started_before_anybody_has_logged_in_says_so_and_goes_on_by_itself(project, endpoint):
    project.store.create()
    project.override("worker", {"healthcheck": {"interval": "2s"}})
    project("up", "--detach")
    log_in = "docker compose run --rm setup"
    for service in ("keeper", "worker"):
        wait_until(lambda: log_in in project("logs", service).stdout, f"{service} says what to do")
    assert project.ask("/readyz")[0] == 200
    assert project.ask("/readyz/claude")[0] == 503
    assert say_in_keeper(project, "health").startswith("missing: ")

    terminal = project.terminal("run", "--rm", "setup")
    terminal.expect_words("no login yet")
    terminal.expect_prompt()
    terminal.sendline(endpoint.login().command)
    terminal.expect("Login successful")
    wait_until(lambda: ANSWER in project("logs", "worker").stdout, "the worker's answer")
    assert project.ask("/readyz/claude")[0] == 200
    terminal.expect_prompt()
    terminal.sendline("exit")
    assert terminal.finish() == 0, terminal.text
    assert re.search(r"Saved the login of", terminal.text)

    terminal = project.terminal("run", "--rm", "claude", "--print", "hello")
    assert terminal.finish() == 0, terminal.text
    assert ANSWER in terminal.text

    project("up", "--wait", timeout=180)
    state = json.loads(project("ps", "--format", "json", "worker").stdout)
    assert state["Health"] == "healthy"
    container = state["Name"]
    assert project.docker("exec", "-u", "node", container, "claude", "--print", "hi").stdout == f"{ANSWER}\n"
    assert project.docker("inspect", "--format={{.RestartCount}}", container).stdout == "0\n"
    has = project.docker("exec", container, "cat", "/claude-published/login/.credentials.json").stdout
    token = project.store.oauth["refreshToken"]
    assert project.store.oauth["accessToken"] in has and token not in has
    assert project.store.is_sealed and project.store.exposed(token) == []
    assert say_in_keeper(project, "health").startswith("usable: ")
    assert json.loads(say_in_keeper(project, "history", "--json"))["store"] == "/claude-auth"


def test_one_can_log_in_through_the_keepers_container_too(project, endpoint):
    owner = 1000
    project.environment["CLAUDE_HUB_USER"] = f"{owner}:{owner}"
    project.store.create(owner).make_key(owner)
    (project.store.path / "projects").mkdir()
    (project.store.path / "projects" / "large").write_bytes(bytes(50_000_000))
    os.chown(project.store.path / "projects", owner, owner)
    os.chown(project.store.path / "projects" / "large", owner, owner)
    project("up", "--detach", "keeper")
    terminal = project.terminal("exec", "keeper", "claude-init", "setup")
    terminal.expect_words("no login yet")
    terminal.expect_prompt()
    terminal.sendline(endpoint.login().command)
    terminal.expect("Login successful")
    terminal.expect_prompt()
    wait_until(lambda: project.ask("/readyz/claude")[0] == 200, "the keeper has it")
    terminal.sendline("exit")
    assert terminal.finish() == 0, terminal.text
    assert "restart nothing" in terminal.text
    assert project.store.is_sealed and project.store.exposed(project.store.oauth["refreshToken"]) == []


def test_a_missing_key_is_named_and_not_made(project):
    project.store.create()
    project.store.key.unlink()
    result = project("up", "--detach", "keeper", check=False)
    assert result.returncode != 0 and f"{project.store.key}" in result.stderr, result.stderr
    assert not project.store.key.exists()


def test_a_store_from_before_is_sealed_when_the_keeper_starts(project, endpoint):
    login = endpoint.login()
    project.store.create().put(login)
    assert project.store.exposed(login.refresh_token)
    project("up", "--detach", "keeper")
    wait_until(lambda: project.ask("/readyz/claude")[0] == 200, "the keeper has published it")
    assert project.store.is_sealed and project.store.exposed(login.refresh_token) == []
    assert project.store.oauth == login.credentials["claudeAiOauth"]
    assert "Refresh token: sealed" in say_in_keeper(project, "health")


def test_a_key_is_replaced_by_the_documented_lines(project, endpoint):
    owner = 1000
    project.environment["CLAUDE_HUB_USER"] = f"{owner}:{owner}"
    login = endpoint.login()
    project.store.create(owner).make_key(owner).put(login, owner)
    project("up", "--detach", "keeper")
    wait_until(lambda: project.store.is_sealed, "the keeper has sealed it")
    project("stop", "keeper")
    old = project.store.key.rename(project.directory / "old")
    project.store.make_key(owner)
    page = (TOP / "docs/operation.md").read_text(encoding="utf-8")
    line = re.search(r"^docker compose (run .*OLD_SEAL_KEY.*)$", page, re.MULTILINE)[1]
    project(*line.replace("~/.claude-hub.key.old", str(old)).replace("--rm", "--rm -T").split())
    assert project.store.oauth == login.credentials["claudeAiOauth"], "the new key opens it"
    project("up", "--detach", "keeper")
    wait_until(lambda: project.ask("/readyz/claude")[0] == 200, "the keeper has published it")


def test_claude_is_interactive_on_a_terminal(project, endpoint):
    project.store.create().put(endpoint.login())
    terminal = project.terminal("run", "--rm", "claude")
    terminal.choose_yes("trust this folder")
    terminal.expect_words("Claude Code v")
    ask(terminal, "hello")
    leave_claude(terminal)
    assert terminal.finish() == 0, terminal.text


def services(docker, *arguments):
    return json.loads(docker("compose", *arguments, "config", "--format", "json").stdout)


@pytest.mark.parametrize("name", ["dev", "staging", "test"])
def test_each_environment_has_a_store_and_a_project_of_its_own(docker, name):
    configuration = services(docker, "--env-file", f"deploy/env/{name}.env")
    assert configuration["name"] == f"claude-{name}"
    keeper, worker = (configuration["services"][service] for service in ("keeper", "worker"))
    assert keeper["volumes"][0]["source"] == f"{docker.home}/.claude-hub-{name}"
    assert configuration["secrets"]["seal-key"]["file"] == f"{docker.home}/.claude-hub-{name}.key"
    assert keeper["command"] == [f"--store={name}=/claude-auth", "--publish=/claude-published/login"]
    assert not {"CLAUDE_INIT_STORE", "CLAUDE_INIT_PUBLISH"} & set(keeper["environment"]), "they are keep's words only"
    log_in = f"docker compose --env-file .env --env-file deploy/env/{name}.env run --rm setup"
    assert keeper["environment"]["CLAUDE_INIT_LOGIN_COMMAND"] == worker["environment"]["CLAUDE_INIT_LOGIN_COMMAND"] == log_in


ALL, PRODUCTION = {"setup", "keeper", "claude", "worker"}, {"claude", "worker"}


@pytest.mark.parametrize("variable, having", [
    ("CLAUDE_INIT_LOGIN_COMMAND", ALL), ("CLAUDE_INIT_LOG_LEVEL", ALL), ("CLAUDE_INIT_LOG_FORMAT", ALL),
    ("CLAUDE_INIT_RENEW_BEFORE", {"setup", "keeper"}), ("CLAUDE_INIT_WEBHOOK_URL", {"keeper"}),
    ("CLAUDE_INIT_WAIT_LOGIN", PRODUCTION), ("CLAUDE_INIT_COPY", PRODUCTION),
    # What is wrong for one service, or has to go with a setting of the engine's.
    ("CLAUDE_INIT_STORE", set()), ("CLAUDE_INIT_PUBLISH", set()), ("CLAUDE_INIT_STOP_TIMEOUT", set()),
    ("CLAUDE_INIT_SEAL_KEY", set())])
def test_what_the_caller_sets_is_passed_on_to_those_whom_it_concerns(docker, monkeypatch, variable, having):
    def seen():
        every = services(docker, "--profile", "*")["services"]
        return {name for name, service in every.items() if service["environment"].get(variable) == "FAKE-value"}

    assert seen() == set()
    monkeypatch.setitem(docker.environment, variable, "FAKE-value")
    assert seen() == having


def test_the_reference_has_every_variable_that_is_taken():
    taken = set()
    for name in ("compose.yaml", "deploy/compose/monitoring.yaml"):
        text = (TOP / name).read_text(encoding="utf-8")
        taken |= set(re.findall(r"(?<!\$)\$\{(\w+)", text)) | set(re.findall(r"^ +(\w+_\w+):$", text, re.MULTILINE))
    page = (TOP / "docs/reference/compose.md").read_text(encoding="utf-8")
    table = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", table)) == taken - {"HOME"}


def test_production_is_locked_down(docker):
    every = services(docker, "--profile", "*")["services"]
    for name, service in every.items():
        assert service["cap_drop"] == ["ALL"], name
        assert set(service.get("cap_add", [])) <= {"SETUID", "SETGID", "KILL"}, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only", False) == (name != "setup"), name
    store = os.path.join(docker.home, ".claude-hub")
    having = {name for name, service in every.items() if any(v["source"] == store for v in service["volumes"])}
    assert having == {"setup", "keeper"}
    for name, service in every.items():
        has_key = [secret["source"] for secret in service.get("secrets", [])] == ["seal-key"]
        assert has_key == ("CLAUDE_INIT_SEAL_KEY" in service["environment"]) == (name in having), name
    keeper = every["keeper"]
    assert (keeper["user"], keeper.get("cap_add")) == ("1000:1000", None)
    for name in ("worker", "claude"):
        mounts = [(v["source"], v["target"], v["read_only"]) for v in every[name]["volumes"]]
        assert mounts == [("published", "/claude-published", True)]


def test_a_hook_is_called_only_where_there_is_one(docker, monkeypatch):
    hook = lambda: services(docker)["services"]["keeper"]["environment"]["CLAUDE_INIT_ON_CHANGE"]
    assert hook() == ""
    monkeypatch.setitem(docker.environment, "CLAUDE_INIT_WEBHOOK_URL", "http://127.0.0.1/FAKE")
    assert hook() == "claude-webhook"
