"""Secrets in every place in which a store can have some: none of them is in anything that a job can read. A job is
given access tokens, and nothing that gets new ones."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness import BINARY, PATIENCE, eventually
from sessions import login
from test_follow import Run, replace

MEBI = 1 << 20


class Secrets:
    """Each is another one, so that a search tells where it came from."""

    def __init__(self):
        self.made = {}

    def __call__(self, place, own=False):
        secret = f"{'sk-ant-ort01-' if own else ''}FAKEsecret{len(self.made):02}Q"
        self.made[place] = secret
        return secret

    def found_in(self, *directories):
        found, places = [], list(self.made)
        for directory in directories:
            for path, _, files in os.walk(directory):
                for file in filter(lambda name: os.path.isfile(os.path.join(path, name)), files):
                    with open(os.path.join(path, file), "rb") as f:
                        content = f.read()
                    found += [(places[int(number)], os.path.join(path, file))
                              for number in re.findall(rb"FAKEsecret(\d+)Q", content)]
        return found


def credentials(name, secrets, left=3600):
    """A file of logins with secrets at every depth, also in objects."""
    document = json.loads(login(name, left=left))
    document["claudeAiOauth"]["refreshToken"] = secrets(f"{name}: Claude's", own=True)
    document["mcpOAuth"] = {"server|1a2b": {
        "serverName": "server", "serverUrl": "https://mcp.example", "accessToken": f"FAKEaccess-{name}",
        "refreshToken": secrets(f"{name}: a server's"), "clientId": "id", "clientSecret": secrets(f"{name}: a client's"),
        "expiresAt": int((time.time() + left) * 1000)}}
    document["mcpOAuthClientConfig"] = {"server|1a2b": {"clientSecret": secrets(f"{name}: a configured client's")}}
    document["unknown"] = [{"deep": [{"refresh_token": secrets(f"{name}: deep"), "Client-Secret": {"value": secrets(f"{name}: object"), "others": [secrets(f"{name}: array")]}}]},
                           json.dumps({"refreshToken": secrets(f"{name}: in a string")}), secrets(f"{name}: by shape", own=True)]
    return json.dumps(document)


def fill(store, secrets):
    def put(path, content):
        path = store / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)

    put(".credentials.json", credentials("main", secrets))
    for path in (".credentials.json.bak", ".credentials.json.old", ".credentials.json~", "old.credentials.json", "credentials.json",
                 "save/.credentials.json", ".claude/.credentials.json", "projects/x/.credentials.json", "plugins/p/credentials.json",
                 "todos/.credentials.json.2026"):
        put(path, credentials(path, secrets))
    put(".credentials.json.gz", b"\x1f\x8b\0" + secrets("binary").encode() + b"\0")
    with open(store / ".credentials.json.large", "wb") as f:
        f.write(secrets("large").encode())
        f.truncate(100 * MEBI)
    put("backup.json", json.dumps(json.loads(credentials("backup", secrets)), indent=2))
    put(".claude.json", json.dumps({"hasCompletedOnboarding": True, "mcp": json.loads(credentials("settings", secrets))}))
    put("settings.json", json.dumps({"model": "haiku", "kept": json.loads(credentials("more settings", secrets))}))
    line = json.dumps({"type": "user", "content": "cat .credentials.json: " + credentials("transcript", secrets)})
    # Also where a file is cut into pieces when it is looked through.
    filling = json.dumps({"filling": "x" * (MEBI - len(line) - 200)})
    put("projects/x/1.jsonl", f'{line}\n{filling}\n{json.dumps({"content": credentials("boundary", secrets)})}\n')
    put("projects/x/large.jsonl", f'{filling}\n' * 66 + f"{line}\n")
    put("CLAUDE.md", f"The token is {secrets('prose', own=True)}.\n")
    (store / "link").symlink_to(".credentials.json.bak")
    os.link(store / "backup.json", store / "hard-link")


@pytest.fixture
def secrets(host):
    secrets = Secrets()
    fill(host.store, secrets)
    return secrets


def test_nothing_that_a_job_can_read_has_a_secret_in_it(host, secrets):
    published = host.path / "published"
    keeper = host.keep("--publish", published)
    eventually(lambda: (published / "projects/x/1.jsonl").exists(), "all of it to be published")
    run = Run(host, "--copy=all", "--log-level", "info")
    copy = os.path.dirname(run.path)
    assert secrets.found_in(copy, published) == []
    for directory in (copy, str(published)):
        text = open(os.path.join(directory, ".credentials.json")).read()
        assert "sk-ant-oat01-FAKEmain" in text and "FAKEaccess-main" in text, "access tokens are what a job gets"
        assert json.load(open(os.path.join(directory, ".claude.json")))["hasCompletedOnboarding"]
        assert json.load(open(os.path.join(directory, "settings.json")))["model"] == "haiku"
        lines = open(os.path.join(directory, "projects/x/1.jsonl")).read().splitlines()
        assert [list(json.loads(line)) for line in lines] == [["type", "content"], ["filling"], ["content"]]
    # The same when the login is replaced while the job runs.
    replace(host, credentials("next", secrets, left=7200))
    run.gets("next")
    eventually(lambda: "FAKEnext" in (published / ".credentials.json").read_text(), "the next one to be published")
    assert secrets.found_in(copy, published) == []
    status, err = run.end()
    keeper.send_signal(signal.SIGTERM)
    assert status == keeper.wait(PATIENCE) == 0
    for name in (".credentials.json.large", ".credentials.json.gz", "projects/x/.credentials.json"):
        assert f"path={name}" in err, err
    assert secrets.found_in(published) == []
    # What the store has is its own business.
    assert set(dict(secrets.found_in(host.store))) >= {"binary", "large", "prose", "next: Claude's"}


def test_publishing_again_copies_nothing_again(host, secrets):
    published = host.path / "published"
    host.publish(published)
    before = {path: os.stat(path).st_ino for path in published.rglob("*") if path.is_file() and ".claude-init" not in path.parts}
    host.publish(published)
    assert {path: os.stat(path).st_ino for path in before} == before


def test_restore_hands_no_secret_on_unless_it_is_asked_for(host, secrets):
    for options, expected in ((), False), (("--refresh-token=copy",), True):
        to = host.path / f"to{len(options)}"
        assert subprocess.run([BINARY, "restore", "--store", host.store, "--to", to, *options], env=host.environment,
                              capture_output=True).returncode == 0
        assert bool(secrets.found_in(to)) == expected


def test_a_session_of_setup_gives_the_files_back_as_they_were(host, secrets):
    before = {path.relative_to(host.store): path.read_bytes() for path in host.store.rglob("*")
              if path.is_file() and path.stat().st_size < 10 * MEBI}
    status, _, err = host.session("setup", 'echo more >> "$CLAUDE_CONFIG_DIR/CLAUDE.md"')
    assert status == 0, err
    before[next(path for path in before if path.name == "CLAUDE.md")] += b"more\n"
    assert {path: (host.store / path).read_bytes() for path in before} == before


def server(name, refresh, left):
    entry = {"accessToken": f"FAKEaccess{name}", "expiresAt": int((time.time() + left) * 1000)}
    if refresh:
        entry["refreshToken"] = f"FAKErefresh{name}"
    return entry


def with_servers(text, **servers):
    return json.dumps({**json.loads(text), "mcpOAuth": servers})


def servers_of(host):
    return json.loads((host.store / ".credentials.json").read_text())["mcpOAuth"]


def test_a_login_to_a_server_that_is_made_in_setup_is_saved_without_another_one_of_claudes(host):
    one = server("1", True, 3600)
    host.put(with_servers(login("a"), one=one))
    given = {key: value for key, value in one.items() if key != "refreshToken"}
    host.logins["login_mcp"] = with_servers(login("a", refresh=False), one=given, two=server("2", True, 3600))
    status, _, err = host.session("setup", "put mcp")
    assert status == 0, err
    assert host.token() == "a" and "sk-ant-ort01-FAKEa" in (host.store / ".credentials.json").read_text()
    assert {name: entry.get("refreshToken") for name, entry in servers_of(host).items()} == {"one": "FAKErefresh1", "two": "FAKErefresh2"}


def test_a_renewal_of_claudes_login_touches_no_other_and_overwrites_none(host):
    host.put(with_servers(login("a", left=-60), one=server("1", True, 3600)))
    (host.path / "meanwhile").write_text(with_servers(login("a", left=-60), one=server("2", True, 7200)))
    (host.path / "renewed").write_text(login("b", left=7200))
    command = host.path / "renewing"
    command.write_text(f"""#!/bin/sh
        cp "$CLAUDE_CONFIG_DIR/.credentials.json" {host.path}/given
        cp {host.path}/meanwhile {host.store}/x && mv {host.store}/x {host.store}/.credentials.json
        cp {host.path}/renewed "$CLAUDE_CONFIG_DIR/.credentials.json\"""")
    command.chmod(0o755)
    status, _, err = host.session("run", "true", "--renew-command", str(command))
    assert status == 0, err
    assert host.token() == "b"
    assert servers_of(host)["one"]["refreshToken"] == "FAKErefresh2"
    assert list(json.loads((host.path / "given").read_text())) == ["claudeAiOauth"]


def test_a_job_cannot_spend_the_refresh_token_of_a_server_and_that_is_said(host):
    host.put(with_servers(login("a"), one=server("1", True, -60)))
    for _ in range(3):
        status, out, err = host.session("run", 'cat "$CLAUDE_CONFIG_DIR/.credentials.json"')
        assert status == 0 and "FAKEaccess1" in out and "FAKErefresh1" not in out
        assert "get the access tokens of one without the refresh tokens" in err and "have expired" in err, err
    assert servers_of(host)["one"]["refreshToken"] == "FAKErefresh1"
    said = subprocess.run([BINARY, "health", "--store", host.store], env=host.environment, capture_output=True, text=True)
    assert "without the refresh tokens" in said.stdout, said.stdout


def test_a_trusted_job_gives_a_renewed_login_to_a_server_back(host):
    host.put(with_servers(login("a"), one=server("1", True, 3600), two=server("1", True, 7200)))
    host.logins["login_mcp"] = with_servers(login("a"), one=server("2", True, 7200), two=server("2", True, 3600))
    assert host.session("run", "put mcp", "--refresh-token=copy")[0] == 0
    assert {name: entry["refreshToken"] for name, entry in servers_of(host).items()} == {"one": "FAKErefresh2", "two": "FAKErefresh1"}
