"""Two hosts with one network file system: one login, and no lock that both kernels would know of but the lease."""

import contextlib
import os
import time

import pytest
from harness import wait_until
from native import Chaos, Container, Host, asking, failures, find_cli, machine, run_command

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
CONTAINERS = 5
# The first token is as one that has lived for half its life when they start: due at once, and long enough for others
# to find that a killed holder's lease is stale (30 s) and to renew.
LIFETIME, LEFT = 200, 100
SERVER = {"REUSE": "family", "DELAY": 0.5, "ABANDONED": "drop", "LATE": 15, "ADDRESS": "0.0.0.0"}


@pytest.fixture(name="place")
def fixture_place():
    with machine(find_cli(), **SERVER) as place:
        yield place


@pytest.fixture(name="hosts")
def fixture_hosts(place):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Host(place, number))) for number in range(2)]


def test_two_hosts_share_a_login_by_leases(place, hosts):
    login = place.log_in(LIFETIME, access_left=LEFT)
    issued = time.time() + LEFT - LIFETIME
    os.utime(place.store.path / ".credentials.json", (issued, issued))
    command = run_command(BINARY, place, *asking(10), options=["--locking=lease"])
    containers = [Container(f"run-{number}", place, command, wrapper=hosts[number % 2].enter)
                  for number in range(CONTAINERS)]
    for container in containers:
        container.start()
    # The first to renew is killed amid it, and with it the heart of its lease.
    chaos = Chaos(place, containers, login, pause=(10, 20), renewers=1)
    chaos.run(LEFT + 10, of_renewers=1)
    wait_until(lambda: place.endpoint.stats()["refresh_ok"] > 0, "a renewal")

    stopped = [container.stop() for container in containers]
    lines = [line for container in containers for line in container.lines()]
    stats = place.endpoint.stats()
    told = "\n".join(container.errors() for container in containers)
    print(chaos.report())
    assert lines and not failures(lines), told
    assert (stats["refresh_reuse"], stats["refresh_unknown"], stats["msg_401"]) == (0, 0, 0), told
    assert chaos.kills_of_renewers > 0 and "took over a lock whose holder is gone" in told
    assert stopped == [143] * CONTAINERS, told
    assert place.store.oauth["refreshToken"] == place.endpoint.newest(login)["refreshToken"]
    assert (place.store.path / ".claude-init/locks/method").read_text(encoding="ascii").strip() == "lease"
