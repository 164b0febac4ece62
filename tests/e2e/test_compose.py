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


def test_log_in_ask_and_serve(project, endpoint):
    project.store.create()
    terminal = project.terminal("run", "--rm", "setup")
    terminal.expect_words("no login yet")
    terminal.expect_prompt()
    terminal.sendline(endpoint.login().command)
    terminal.expect("Login successful")
    terminal.expect_prompt()
    terminal.sendline("exit")
    assert terminal.finish() == 0, terminal.text
    assert re.search(r"Saved the login of", terminal.text)

    terminal = project.terminal("run", "--rm", "claude", "--print", "hello")
    assert terminal.finish() == 0, terminal.text
    assert ANSWER in terminal.text

    project("up", "--wait", "worker", timeout=180)
    assert ANSWER in wait_until(lambda: project("logs", "worker").stdout, "the worker's answer")
    state = json.loads(project("ps", "--format", "json", "worker").stdout)
    assert state["Health"] == "healthy"
    container = state["Name"]
    assert project.docker("exec", "-u", "node", container, "claude", "--print", "hi").stdout == f"{ANSWER}\n"


def test_claude_is_interactive_on_a_terminal(project, endpoint):
    project.store.create().put(endpoint.login())
    terminal = project.terminal("run", "--rm", "claude")
    terminal.choose_yes("trust this folder")
    terminal.expect_words("Claude Code v")
    ask(terminal, "hello")
    leave_claude(terminal)
    assert terminal.finish() == 0, terminal.text


@pytest.mark.parametrize("name", ["dev", "staging", "test"])
def test_each_environment_has_a_store_and_a_project_of_its_own(docker, name):
    result = docker("compose", "--env-file", f"deploy/env/{name}.env", "config", "--format", "json")
    configuration = json.loads(result.stdout)
    assert configuration["name"] == f"claude-{name}"
    assert configuration["services"]["worker"]["volumes"][0]["source"] == f"{docker.home}/.claude-hub-{name}"


def test_production_is_locked_down(docker):
    worker = json.loads(docker("compose", "config", "--format", "json").stdout)["services"]["worker"]
    assert worker["read_only"]
    assert worker["cap_drop"] == ["ALL"]
    assert set(worker["cap_add"]) <= {"SETUID", "SETGID", "KILL"}
    assert worker["security_opt"] == ["no-new-privileges:true"]
    assert worker["volumes"][0]["read_only"]
    assert worker["volumes"][0]["source"] == os.path.join(docker.home, ".claude-hub")
