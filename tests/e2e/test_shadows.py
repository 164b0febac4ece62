"""What makes the real CLI use something else than the stored login is what `claude-init health` names, and nothing else.

Each case is a start of the CLI, two seconds of a processor. All are run in the long lane; else each variable, each place
and each kind of setting once, and all that changes nothing at once.
"""

import contextlib
import json
import os
import subprocess

import pytest
from native import PERSON, as_person, find_cli, machine, write_json

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
KEY = "sk-ant-FAKE-other"
HELPER = {"apiKeyHelper": f"echo {KEY}"}
API_KEY, AUTH_TOKEN, OAUTH_TOKEN = ({"env": {name: KEY}} for name in (
    "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"))
BEDROCK = {"env": {"CLAUDE_CODE_USE_BEDROCK": "1"}}

# Where, what, and whether the CLI then ignores the login.
VARIABLES = [("ANTHROPIC_API_KEY", KEY, True), ("ANTHROPIC_AUTH_TOKEN", KEY, True), ("CLAUDE_CODE_OAUTH_TOKEN", KEY, True),
             ("CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR", "77", True), ("CLAUDE_CODE_USE_BEDROCK", "1", True),
             ("CLAUDE_CODE_USE_BEDROCK", "0", False), ("CLAUDE_CODE_USE_VERTEX", "1", True),
             ("CLAUDE_CODE_USE_FOUNDRY", "1", True), ("CLAUDE_CODE_USE_MANTLE", "1", True),
             ("CLAUDE_CODE_USE_ANTHROPIC_AWS", "1", True), ("CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD", "1", True),
             ("CLAUDE_CODE_USE_GATEWAY", "1", False), ("CLAUDE_CODE_SIMPLE", "1", True),
             ("ANTHROPIC_CUSTOM_HEADERS", f"Authorization: Bearer {KEY}", True),
             ("AWS_BEARER_TOKEN_BEDROCK", KEY, False), ("ANTHROPIC_FOUNDRY_API_KEY", KEY, False)]
SETTINGS = [(where, settings, True) for where in ("user", "managed", "drop-in")
            for settings in (HELPER, API_KEY, AUTH_TOKEN, OAUTH_TOKEN)]
SETTINGS += [(where, settings, used) for where in ("project", "project's local")
             for settings, used in ((HELPER, True), (API_KEY, True), (OAUTH_TOKEN, False))]
SETTINGS += [("user's local", HELPER, False), ("user", BEDROCK, True)]
if os.environ.get("CLAUDE_INIT_TEST_LANE") != "long":
    NOTHING = ({name: value for name, value, ignored in VARIABLES if not ignored},
               {where: settings for where, settings, ignored in SETTINGS if not ignored})
    VARIABLES = [each for each in VARIABLES if each[2]]
    SETTINGS = [(*each, True) for each in (
        ("user", OAUTH_TOKEN), ("user", BEDROCK), ("managed", AUTH_TOKEN), ("drop-in", HELPER), ("project", HELPER),
        ("project's local", API_KEY))]
else:
    NOTHING = ({}, {})


class Here:
    """The store is the CLI's own directory: what it does with that is what a copy of it does."""

    def __init__(self, place):
        self.place, self.home = place, place.home()
        self.project = self.home / "project"
        (self.project / ".claude").mkdir(parents=True)
        self.managed = place.directory / "managed"
        (self.managed / "managed-settings.d").mkdir(parents=True)
        os.makedirs("/etc/claude-code", exist_ok=True)
        subprocess.run(["mount", "--bind", self.managed, "/etc/claude-code"], check=True)
        login = place.log_in(3600)
        self.token = login.access_token
        subprocess.run(["chown", "-R", f"{PERSON}:{PERSON}", self.home], check=True)

    def file(self, where):
        return {"user": self.place.store.path / "settings.json", "user's local": self.place.store.path / "settings.local.json",
                "project": self.project / ".claude/settings.json",
                "project's local": self.project / ".claude/settings.local.json",
                "managed": self.managed / "managed-settings.json",
                "drop-in": self.managed / "managed-settings.d/x.json"}[where]

    def judge(self, **variables):
        """Whether the CLI ignores the login, and whether claude-init says so."""
        environment = self.place.environment(self.home, CLAUDE_CONFIG_DIR=self.place.store.path, CLAUDE_CODE_MAX_RETRIES=0,
                                             **variables)
        answered = self.place.endpoint.stats()["msg_ok"]
        subprocess.run(as_person(["claude", "--print", "hello"]), env=environment, cwd=self.project, timeout=600,
                       stdin=subprocess.DEVNULL, capture_output=True, check=False)
        text = subprocess.run(as_person([BINARY, "health", "--store", self.place.store.path]), env=environment, timeout=60,
                              cwd=self.project, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout
        return self.place.endpoint.stats()["msg_ok"] == answered, "ignores the stored login" in text


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    with machine(find_cli()) as place:
        yield Here(place)
        subprocess.run(["umount", "/etc/claude-code"], check=True)
        with contextlib.suppress(OSError):
            os.rmdir("/etc/claude-code")


@contextlib.contextmanager
def files(here, settings):
    """Inside, {where: what} is in the CLI's settings."""
    for where, each in settings.items():
        write_json(here.file(where), each)
    try:
        yield
    finally:
        for where in settings:
            here.file(where).unlink()


def test_the_login_is_used_beside_what_changes_nothing(here):
    variables, settings = NOTHING
    with files(here, settings):
        assert here.judge(**variables) == (False, False)


@pytest.mark.parametrize("name, value, ignored", VARIABLES, ids=[f"{name}={value[:1]}" for name, value, _ in VARIABLES])
def test_a_variable(here, name, value, ignored):
    assert here.judge(**{name: value}) == (ignored, ignored)


@pytest.mark.parametrize("where, settings, ignored", SETTINGS,
                         ids=[f"{where}: {json.dumps(settings)[1:45]}" for where, settings, _ in SETTINGS])
def test_settings(here, where, settings, ignored):
    with files(here, {where: settings}):
        assert here.judge() == (ignored, ignored)
