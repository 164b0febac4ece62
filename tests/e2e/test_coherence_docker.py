"""Production containers on a store that they can only read, killed at random, while an open setup container renews."""

import os
from types import SimpleNamespace

import pytest
from harness import Endpoint
from native import Chaos, asking, failures

CONTAINERS, LIFETIME, EXPIRIES = 3, 40, 3 if os.environ.get("CLAUDE_INIT_TEST_LANE") == "long" else 1


@pytest.fixture(name="endpoint", scope="module")
def fixture_endpoint(tmp_path_factory):
    endpoint = Endpoint(tmp_path_factory.mktemp("endpoint"), REUSE="family", DELAY=0.5, ABANDONED="drop", LATE=15)
    yield endpoint
    endpoint.close()


def test_runs_live_on_what_an_open_setup_renews(docker, store, endpoint, production):
    login = endpoint.login(LIFETIME, LIFETIME)
    store.put(login)
    setup = docker.terminal(endpoint, f"--volume={store.path}:/claude-auth", "claude-setup:latest")
    setup.expect_prompt()
    containers = [production(f"--volume={store.path}:/claude-auth:ro", "claude-runtime", *asking(4))
                  for _ in range(CONTAINERS)]
    for container in containers:
        container.start()
    chaos = Chaos(SimpleNamespace(endpoint=endpoint, store=store), containers, login, pause=(4, 8))
    chaos.run(LIFETIME * EXPIRIES + 10, kills=2)

    stopped = [container.stop() for container in containers]
    told = "\n".join(container.errors() for container in containers)
    lines = [line for container in containers for line in container.lines()]
    print(chaos.report())
    stats = endpoint.stats()
    assert lines and not failures(lines), told
    assert (stats["refresh_reuse"], stats["refresh_unknown"], stats["msg_401"]) == (0, 0, 0), told
    assert stats["refresh_ok"] >= EXPIRIES and chaos.kills >= 2, told
    assert stopped == [143] * CONTAINERS, told
    setup.sendline("exit")
    assert setup.finish() == 0, setup.text
    assert store.oauth["refreshToken"] == endpoint.newest(login)["refreshToken"]
