"""A hundred containers with small clients on one login, whose access token expires fifty times amid kills."""

import os

import pytest
from harness import wait_until
from native import Chaos, Container, failures, machine, run_command

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
CONTAINERS, LIFETIME, EXPIRIES = 100, 5, int(os.environ.get("CLAUDE_INIT_E2E_CLIENT_EXPIRIES", "50"))
PAUSE = 2  # seconds between the requests of each
TO_START = 30  # seconds that the first token lives: two cores start a hundred containers in a few
PLAIN_PORT = 8080
SERVER = {"REUSE": "family", "DELAY": 0.5, "ABANDONED": "drop", "LATE": 15, "PLAIN_PORT": PLAIN_PORT}


@pytest.fixture(name="place")
def fixture_place(tmp_path):
    """Where `claude` is the small client: claude-init renews with it too."""
    claude = tmp_path / "claude"
    claude.write_text(f'#!/bin/sh\nSTAND_IN_PORT={PLAIN_PORT} SMALL_CLIENT_EARLY=0.5 exec small_client "$@"\n', encoding="ascii")
    claude.chmod(0o755)
    with machine(claude, **SERVER) as place:
        place.provide("small_client", os.environ["SMALL_CLIENT"])
        yield place


def test_hundred_clients_live_through_fifty_expiries(place):
    login = place.log_in(LIFETIME, access_left=TO_START)
    containers = [Container(f"run-{number}", place, run_command(BINARY, place, "claude", "work", str(PAUSE)))
                  for number in range(CONTAINERS)]
    for container in containers:
        container.start()
    wait_until(lambda: all(container.lines() for container in containers), "an answer from everybody")
    chaos = Chaos(place, containers, login, pause=(1, 4), renewers=1, renewal=0.8)
    chaos.run(LIFETIME * EXPIRIES, of_renewers=1)

    stopped = [container.stop() for container in containers]
    lines = [line for container in containers for line in container.lines()]
    stats = place.endpoint.stats()
    print(chaos.report())
    told = "\n".join(container.errors() for container in containers)[-10_000:]
    assert not failures(lines), told
    assert all(len(container.lines()) > 1 for container in containers), told
    assert (stats["refresh_reuse"], stats["refresh_unknown"], stats["msg_401"]) == (0, 0, 0), told
    assert stats["refresh_ok"] >= EXPIRIES, told
    assert chaos.kills_of_renewers > 0
    assert stopped == [143] * CONTAINERS, told
    assert place.store.oauth["refreshToken"] == place.endpoint.newest(login)["refreshToken"]
    assert not list(place.copies.rglob(".credentials.json")), "a working copy is left"
