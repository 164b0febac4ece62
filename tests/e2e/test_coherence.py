"""Five containers with the real CLI on one login, whose access token expires six times while containers are killed."""

import os
import time

import pytest
from harness import Terminal, wait_until
from native import (PERSON, Chaos, Container, as_person, asking, begun_too_late, copy_for_person, failures, find_cli, machine,
                    run_command)

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
CONTAINERS, LIFETIME, EXPIRIES = 5, 40, int(os.environ.get("CLAUDE_INIT_E2E_EXPIRIES", "6"))
SERVER = {"REUSE": "family", "DELAY": 0.5, "ABANDONED": "drop", "LATE": 15}
LOGGED = {"CLAUDE_INIT_LOG_LEVEL": "debug", "CLAUDE_INIT_LOG_FORMAT": "json"}


# Not set: the images'. The others have habits of their own (docs/reference/cli-versions.md).
VERSION = os.environ.get("CLAUDE_INIT_E2E_CLI_VERSION")


@pytest.fixture(name="place")
def fixture_place():
    with machine(find_cli(VERSION), **SERVER) as place:
        yield place


class IdleSetup:
    """A person who has left a setup shell open."""

    def __init__(self, place):
        environment = place.environment(place.home(), PS1="ready$ ", **LOGGED)
        self.terminal = Terminal(BINARY, ["setup", f"--store={place.store.path}", f"--user={PERSON}:{PERSON}", "--",
                                          "bash", "--norc", "--noprofile", "-i"], env=environment)
        self.terminal.expect(r"ready\$ ")

    def leave(self):
        self.terminal.sendline("exit")
        return self.terminal.finish()


def test_nobody_is_ever_logged_out(place):
    login, first_end = place.log_in(LIFETIME), time.time() + LIFETIME
    containers = [Container(f"run-{number}", place, run_command(BINARY, place, *asking(16)), **LOGGED)
                  for number in range(CONTAINERS)]
    setups = [IdleSetup(place) for _ in range(2)]
    for container in containers:
        container.start()
    chaos = Chaos(place, containers, login)
    chaos.run(LIFETIME * EXPIRIES, kills=LIFETIME * EXPIRIES // 10, of_renewers=1)

    stopped = [container.stop() for container in containers]
    for setup in setups:
        # Those that are left renew it; with a token that has ended a session would end with 68, however slow its end.
        wait_until(lambda: place.store.oauth["expiresAt"] / 1000 > time.time() + LIFETIME * 3 / 4, "a setup renews")
        assert setup.leave() == 0, setup.terminal.text[-5000:]
    told = "\n".join(container.errors() for container in containers)
    lines = [line for container in containers for line in container.lines()]
    stats = place.endpoint.stats()
    print(chaos.report())
    assert len(lines) >= EXPIRIES and not failures(lines), told
    assert (stats["refresh_reuse"], stats["refresh_unknown"], stats["msg_401"]) == (0, 0, 0), told
    assert set(stats["families"].values()) == {False}
    assert stats["refresh_ok"] >= EXPIRIES, told
    told += "".join(setup.terminal.text for setup in setups)
    assert not begun_too_late(place.endpoint, first_end, told), told
    assert chaos.kills >= LIFETIME * EXPIRIES / 10 and chaos.kills_of_renewers > 0
    assert stopped == [143] * CONTAINERS, told
    assert place.store.oauth["refreshToken"] == place.endpoint.newest(login)["refreshToken"]


def test_plain_copies_log_each_other_out(place):
    """That the proof above can fail: the same CLI, the same endpoint, `cp -r` instead of working copies."""
    login = place.log_in(LIFETIME, access_left=-1)
    containers = []
    for number in range(CONTAINERS):
        copy = place.directory / f"copy-{number}"
        copy_for_person(place.store.path, copy)
        containers.append(Container(f"copy-{number}", place, as_person(asking(1)), CLAUDE_CONFIG_DIR=copy))
    for container in containers:
        container.start()
    try:
        wait_until(lambda: all(len(container.lines()) >= 2 for container in containers), "five answers twice", 900)
    finally:
        for container in containers:
            container.kill()
    assert sum(not failures(container.lines()[1:]) for container in containers) <= 1
    stats = place.endpoint.stats()
    assert stats["refresh_reuse"] >= CONTAINERS - 1
    assert stats["families"].popitem()[1], login
