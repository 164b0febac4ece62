"""Settings that make the CLI use another login than the stored one, wherever such settings can be."""

import json
import subprocess

import pytest
from sessions import login
from test_health import Health, health  # noqa: F401  pylint: disable=unused-import

HELPER = json.dumps({"apiKeyHelper": "/bin/key"})


def told(where):
    return f"note: apiKeyHelper in {where} is set: the CLI uses it and ignores the stored login"


def test_the_stores_settings(health):  # noqa: F811
    health.host.put(login("a"))
    settings = health.host.store / "settings.json"
    settings.write_text(HELPER)
    assert told(settings) in health()[1]
    settings.write_text(json.dumps({"env": {"CLAUDE_CODE_USE_FOUNDRY": "1"}}))
    assert f"env.CLAUDE_CODE_USE_FOUNDRY in {settings} is set" in health()[1]
    settings.write_text(json.dumps({"env": {"HTTPS_PROXY": "http://proxy"}}))
    assert "is set" not in health()[1]
    # The CLI does not read it there.
    (health.host.store / "settings.local.json").write_text(HELPER)
    assert "is set" not in health()[1]


@pytest.mark.parametrize("name", ["settings.json", "settings.local.json"])
def test_the_projects_settings(health, tmp_path, monkeypatch, name):  # noqa: F811
    health.host.put(login("a"))
    project = tmp_path / "project"
    (project / ".claude").mkdir(parents=True)
    (project / ".claude" / name).write_text(HELPER)
    assert "is set" not in health()[1]
    monkeypatch.chdir(project)
    assert told(project / ".claude" / name) in health()[1]


def test_settings_that_are_no_file_are_none(health, tmp_path, monkeypatch):  # noqa: F811
    health.host.put(login("a"))
    (tmp_path / ".claude").mkdir()
    subprocess.run(["mkfifo", tmp_path / ".claude/settings.json"], check=True)
    (tmp_path / ".claude/settings.local.json").write_text("x" * (2 << 20))
    monkeypatch.chdir(tmp_path)
    assert health()[0] == 0 and "is set" not in health()[1]


@pytest.mark.parametrize("command", ["run", "setup"])
def test_run_and_setup_say_it_too(host, command):
    host.put(login("a"))
    (host.store / "settings.json").write_text(HELPER)
    code, _, err = host.session(command, "true")
    assert code == 0, err
    assert "apiKeyHelper in " in err and "ignores the stored login" in err


def test_a_refusal_of_what_was_used_instead_kills_no_login(health):  # noqa: F811
    """The CLI's own words, as 2.1.332 has them."""
    refused = "echo 'Failed to authenticate. API Error: 401 OAuth authentication is invalid'; exit 1"
    health.host.put(login("a"))
    health.answer(refused)
    assert health("--live")[1].startswith("dead: ")
    settings = health.host.store / "settings.json"
    settings.write_text(HELPER)
    code, text = health("--live", "--detailed-exit-code", "--max-age=0")
    assert code == 18, text
    assert text.startswith("usable: ") and f"it used apiKeyHelper in {settings}, and not the login" in text
    settings.unlink()
    # A source that we do not know of, but the CLI.
    health.answer("echo 'claude.ai connectors are disabled because ANTHROPIC_API_KEY or another auth source is set and "
                  "takes precedence over your claude.ai login'; " + refused)
    code, text = health("--live", "--detailed-exit-code", "--max-age=0")
    assert code == 18, text
    assert "it used another credential, and not the login" in text
