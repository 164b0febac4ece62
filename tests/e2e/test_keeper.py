"""A keeper and three services that can only read what it publishes, through all that can happen to a login: nobody has
logged in yet, expiries, kills, outages, its end, and a new one."""

import re

import pytest
from fleet import LIFETIME, LOG_IN, SERVER, SERVICES, Fleet
from harness import Endpoint, wait_until


@pytest.fixture(name="endpoint", scope="module")
def fixture_endpoint(tmp_path_factory):
    endpoint = Endpoint(tmp_path_factory.mktemp("endpoint"), **SERVER)
    yield endpoint
    endpoint.close()


@pytest.fixture(name="fleet")
def fixture_fleet(docker, endpoint, tmp_path):
    fleet = Fleet(docker, endpoint, tmp_path)
    yield fleet
    fleet.close()


def everybody_tells(fleet, news):
    """The log has the news; what shows the state of things says what to type."""
    silent = {}

    def all_do():
        silent.clear()
        silent.update({where: text for where, text in fleet.told().items()
                       if (news if where == "log" else LOG_IN) not in text})
        return not silent

    try:
        wait_until(all_do, "everybody tells")
    except AssertionError:
        raise AssertionError(f"{news!r} is not told by {silent}") from None


def test_production_lives_on_what_the_keeper_publishes(fleet, endpoint):
    fleet.start()
    everybody_tells(fleet, "no login yet")
    assert fleet.project.ask("/readyz")[0] == 200 and fleet.project.ask("/readyz/claude")[0] == 503
    fleet.log_in()
    wait_until(fleet.all_answer, "all answer")

    for _ in range(2):
        fleet.live(LIFETIME * 1.5)
        fleet.outage()
        wait_until(lambda: fleet.inbox.changes()[-1] == "recovered", "a renewal after the outage")
    print(fleet.report())
    told = "\n".join(service.errors() for service in [fleet.keeper, *fleet.workers])
    stats = endpoint.stats()
    assert not fleet.failures(), told
    assert (stats["refresh_reuse"], stats["refresh_unknown"], stats["msg_401"]) == (0, 0, 0), told
    assert stats["refresh_ok"] >= 6 and fleet.chaos.kills >= 6, told
    assert fleet.inbox.changes().count("failing") == 2

    pid = fleet.keeper.pid
    fleet.revoke()
    everybody_tells(fleet, "the login is dead")
    assert fleet.project.ask("/readyz")[0] == 200
    assert fleet.inbox.changes()[-1] == "dead"
    assert re.search(r"^claude_init_login_rejected\{.*\} 1$", fleet.project.ask("/metrics")[1], re.MULTILINE)
    wait_until(lambda: fleet.project.ask("/readyz/claude")[0] == 503, "its access token expires")

    fleet.log_in()
    wait_until(fleet.all_answer, "all answer again")
    assert fleet.project.ask("/readyz/claude")[0] == 200
    assert fleet.inbox.changes()[-1] in ("recovered", "renewed")
    assert fleet.workers[0].health()[0] == 0
    assert int(fleet.keeper.inspect(".State.Pid")) == pid
    assert fleet.restarts() == 0 and len(fleet.workers) == SERVICES
    assert "FAKE" not in told + fleet.keeper.errors() + "".join(fleet.told().values())
