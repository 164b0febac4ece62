"""--publish-placeholder DIR: the same store once more without any token, for jobs behind the gateway."""

import json
import os
import re
import signal
import subprocess

import pytest
from harness import BINARY, PATIENCE, eventually
from sessions import login
from test_follow import BLANKED, Run, replace
from test_publish import token

# As it stands in the gateway, too.
PLACEHOLDER = "sk-ant-oat01-FAKE-placeholder-for-which-the-gateway-puts-the-token"
TOKEN = re.compile(rb"sk-ant-\w+-FAKE(?!-placeholder-for-which-the-gateway-puts-the-token)|FAKE-of-another")


@pytest.fixture
def jobs(host):
    return host.path / "jobs"


def oauth(directory):
    try:
        return json.loads((directory / ".credentials.json").read_text())["claudeAiOauth"]
    except (FileNotFoundError, ValueError):
        return {}


def with_others(text):
    """A login of an MCP server beside it."""
    whole = json.loads(text)
    whole["mcpOAuth"] = {"x": {"serverName": "x", "accessToken": "FAKE-of-another", "refreshToken": "FAKE-of-another"}}
    return json.dumps(whole)


def files_with_a_token(directory):
    found = []
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                with open(os.path.join(parent, name), "rb") as f:
                    if TOKEN.search(f.read()):
                        found.append(os.path.join(parent, name))
            except FileNotFoundError:
                pass
    return found


def has_the_deadline_of(text, directory):
    expires_at = json.loads(text)["claudeAiOauth"]["expiresAt"]
    eventually(lambda: oauth(directory).get("expiresAt") == expires_at, "the login's deadline")


def health(host, *options):
    return subprocess.run([BINARY, "health", "--store", host.store, *options], env=host.environment, capture_output=True,
                          text=True, timeout=PATIENCE, check=True).stdout


def test_a_placeholder_follows_its_login_and_no_token_comes_with_it(host, jobs):
    published = host.path / "published"
    first = with_others(login("first"))
    host.put(first)
    (host.store / "settings.json").write_text(json.dumps({"env": {"ANTHROPIC_API_KEY": "sk-ant-api03-FAKE"}}))
    (host.store / "projects").mkdir()
    (host.store / "projects/x.jsonl").write_text('{"accessToken":"FAKE-of-another","said":"hello"}\n')
    keeper = host.keep("--publish", published, "--publish-placeholder", jobs)
    has_the_deadline_of(first, jobs)
    eventually((jobs / "projects/x.jsonl").exists, "the rest")
    assert token(published) == "first"
    assert oauth(jobs)["accessToken"] == PLACEHOLDER
    assert "hello" in (jobs / "projects/x.jsonl").read_text()
    # Later, earlier, of another account, and dead: what is published last stays, as in any published store.
    for name, more in [("a", {"left": 7200}), ("b", {"left": 1800}), ("c", {"left": 7000, "account": "2"})]:
        text = with_others(login(name, **more))
        replace(host, text)
        has_the_deadline_of(text, jobs)
        eventually(lambda now=name: token(published) == now, "the token for the gateway")
        assert oauth(jobs)["accessToken"] == PLACEHOLDER
        assert files_with_a_token(jobs) == []
    assert oauth(jobs)["accountUuid"] == "2"
    replace(host, BLANKED)
    eventually(lambda: "dead" in host.keeper_said(), "the keeper to see that")
    text = login("last", left=9000)
    replace(host, text)
    has_the_deadline_of(text, jobs)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(PATIENCE) == 0
    assert files_with_a_token(jobs) == []


def test_a_directory_that_had_the_access_token_has_none_afterwards(host, jobs):
    host.put(login("first"))
    (host.store / "notes").write_text('{"accessToken":"sk-ant-oat01-FAKEnote"}\n')
    host.publish(jobs)
    assert files_with_a_token(jobs) != []
    host.keep("--publish-placeholder", jobs)
    eventually(lambda: oauth(jobs).get("accessToken") == PLACEHOLDER, "the placeholder")
    eventually(lambda: files_with_a_token(jobs) == [], "nothing of a token")


def test_a_run_gets_the_placeholder_and_each_deadline_and_health_says_what_it_is(host, jobs):
    first = login("first")
    host.put(first)
    host.keep("--publish-placeholder", jobs)
    has_the_deadline_of(first, jobs)
    store, host.store = host.store, jobs
    run = Run(host)
    assert json.loads(run.text())["claudeAiOauth"] == oauth(jobs)
    assert json.loads(health(host, "--json"))["placeholder"] is True
    assert "a placeholder instead" in health(host)
    host.store = store
    next_one = login("next", left=7200)
    replace(host, next_one)
    expires_at = json.loads(next_one)["claudeAiOauth"]["expiresAt"]
    eventually(lambda: json.loads(run.text())["claudeAiOauth"]["expiresAt"] == expires_at, "the copy's deadline")
    status, err = run.end()
    assert status == 0, err
    host.store = jobs
    status, out, err = host.session("setup", "echo started")
    assert (status, out) == (66, "") and "published store" in err, err


def test_it_is_another_directory_than_the_published_one(host, jobs):
    host.put(login("first"))
    keeper = host.keep("--publish", jobs, "--publish-placeholder", jobs)
    assert keeper.wait(PATIENCE) == 64
    assert "is both where it publishes store and where it publishes a placeholder of store" in host.keeper_said()


def test_a_hook_is_told_where_the_placeholder_is(host, jobs):
    host.put(login("first", left=7200))
    told = host.path / "told"
    host.keep("--publish-placeholder", jobs, "--on-change", f'cat > {told}.new; echo "$CLAUDE_INIT_PLACEHOLDER" >> {told}.new; mv {told}.new {told}')
    eventually(lambda: oauth(jobs).get("accessToken") == PLACEHOLDER, "the placeholder")
    replace(host, BLANKED)
    eventually(told.exists, "a call")
    change, place = told.read_text().splitlines()
    assert json.loads(change)["placeholder_path"] == place == str(jobs)
