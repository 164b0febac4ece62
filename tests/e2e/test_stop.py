"""The engine stops a setup container in the middle of a session, and nothing is lost."""

import re

from harness import ANSWER, PATIENCE, ask, network, start_claude


def test_stop_captures_a_login_and_a_conversation_in_time(docker, endpoint, store, container):
    login = endpoint.login()
    terminal = docker.terminal(endpoint, "--name", container, "-v", f"{store.path}:/claude-auth", "claude-setup:latest")
    terminal.expect_prompt()
    terminal.sendline(login.command)
    terminal.expect("Login successful")
    terminal.expect_prompt()
    start_claude(terminal)
    ask(terminal, "hello")

    docker.stop(container)
    terminal.finish()
    assert re.search(r"Saved the login of .*fake@example\.invalid", terminal.text), terminal.text
    assert store.oauth["refreshToken"].startswith("sk-ant-ort01-FAKE")
    assert store.settings["hasCompletedOnboarding"] is True
    conversations = [store.path / name for name in store.files() if re.fullmatch(r"projects/.+\.jsonl", name)]
    assert any(ANSWER in path.read_text(encoding="utf-8") for path in conversations)


def test_stop_ends_a_run_in_time_and_tells_by_its_status(docker, endpoint, store, container):
    store.put(endpoint.login())
    run = docker.start("run", "--rm", "--name", container, *network(endpoint), "-v", f"{store.path}:/claude-auth:ro",
                       "claude-runtime:latest", "bash", "-c", "echo started; sleep infinity")
    assert run.stdout.readline() == "started\n"
    docker.stop(container)
    assert run.wait(timeout=PATIENCE) == 143  # 137 where the engine killed it
