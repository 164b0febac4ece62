"""compose.yaml as a person uses it."""

import json
import os
import re

import pytest
from harness import ANSWER, ask, leave_claude, wait_until


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
    assert project.store.oauth["accessToken"] in has
    assert project.store.oauth["refreshToken"] not in has


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
    assert keeper["environment"]["CLAUDE_INIT_STORE"] == f"{name}=/claude-auth"
    log_in = f"docker compose --env-file deploy/env/{name}.env run --rm setup"
    assert keeper["environment"]["CLAUDE_INIT_LOG_IN"] == worker["environment"]["CLAUDE_INIT_LOG_IN"] == log_in


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
