"""Times and numbers that somebody else who can write to a store has put there: none of them stops it for good."""

import json
import os

import pytest
from sessions import login

YEAR_2100 = 4102444800


def in_future(path):
    os.utime(path, (YEAR_2100, YEAR_2100))


@pytest.mark.parametrize("name", [".storage-write.lock", ".oauth_refresh.lock", ".claude.json.lock"])
def test_a_lock_of_the_clis_from_the_future_is_stale(host, name):
    host.put(login("a"))
    (host.store / name).mkdir()
    in_future(host.store / name)
    code, _, said = host.session("setup", "put b; echo '{\"a\": 1}' > $CLAUDE_CONFIG_DIR/.claude.json", "--adopt-login")
    if "adopt-login" in said:  # where a login that a session makes is always taken
        code, _, said = host.session("setup", "put b; echo '{\"a\": 1}' > \"$CLAUDE_CONFIG_DIR/.claude.json\"")
    assert code == 0 and host.token() == "b", said


@pytest.mark.parametrize("numbers", [[4294967295], [18446744073709551615], [1000000000, 4294967294, 4294967295],
                                     [999999, 1999999]], ids=str)
def test_a_planted_generation_does_not_stop_the_store(host, numbers):
    host.put(login("a"))
    for number in numbers:
        (host.store / f".claude-init/generations/{number}").mkdir(parents=True)
    for name, left in (("b", 7200), ("c", 9000)):
        host.logins[f"login_{name}"] = login(name, left=left)
        code, _, said = host.session("setup", f"put {name}")
        assert code == 0 and host.token() == name, said
    kept = {json.loads(path.read_text())["claudeAiOauth"]["accessToken"][-1]
            for path in host.store.glob(".claude-init/generations/*/.credentials.json")}
    assert {"b", "c"} <= kept
    if numbers[0] > 1_000_000:
        assert f"generations/{numbers[0]}" in said, "what is ignored is named"


def test_a_leftover_of_a_lease_from_the_future_goes_too(host):
    host.put(login("a"))
    assert host.session("setup", "put b", "--locking=lease", "--adopt")[0] == 0
    planted = host.store / ".claude-init/locks/store.lease.planted"
    planted.mkdir()
    in_future(planted)
    host.logins["login_c"] = login("c", left=9000)
    code, _, said = host.session("setup", "put c")
    assert code == 0 and host.token() == "c", said
    assert not planted.exists()
