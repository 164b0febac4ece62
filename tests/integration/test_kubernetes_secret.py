"""deploy/hooks/kubernetes-secret: the published login into a Secret, against an API server that does as it is told."""

import base64
import json
import os
import subprocess
import threading
import time

import pytest
from api_server import TOKEN, ApiServer
from harness import PATIENCE, eventually, family
from keeping import Keeping
from sessions import login
from test_keep_outputs import Served

HOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/hooks/kubernetes-secret")
SECRET = "prod/claude-login"
DAY = 24 * 3600


class Pod:
    """What the hook finds in the keeper's pod: a ServiceAccount, a store and its published one."""

    def __init__(self, path):
        self.path, self.api = path, ApiServer(path / "api")
        self.account, self.published, self.store = path / "account", path / "published", path / "store"
        for directory in (self.account, self.published / ".claude-init", self.store / ".claude-init"):
            directory.mkdir(parents=True)
        (self.account / "token").write_text(TOKEN)
        (self.account / "namespace").write_text("prod")
        (self.account / "ca.crt").write_bytes((path / "api/ca.crt").read_bytes())
        (self.published / ".claude-init/published").touch()
        self.is_keeper("0a1b")
        self.environment = {
            "PATH": "/usr/bin:/bin", "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self.api.server_address[1]),
            "CLAUDE_INIT_KUBERNETES_ACCOUNT": str(self.account), "HTTPS_PROXY": "http://127.0.0.1:1"}
        self.ends = None

    def is_keeper(self, number):
        (self.store / ".claude-init/id").write_text(f"store {number}\nhost h\nsince 1\n")

    def publish(self, name="a", left=3600, **more):
        whole = json.loads(login(name, left=left, refresh=False))
        whole["claudeAiOauth"].update(refreshTokenExpiresAt=int((time.time() + 20 * DAY) * 1000), **more)
        whole["mcpOAuth"] = {"x": {"expiresAt": 5}}
        (self.published / ".credentials.json").write_text(json.dumps(whole))
        self.ends = iso(whole["claudeAiOauth"]["expiresAt"])
        return json.dumps(whole)

    def start(self, state="usable", told=None, **more):
        environment = {**self.environment, "CLAUDE_INIT_STORE_NAME": "dev", "CLAUDE_INIT_STATE": state,
                       "CLAUDE_INIT_STORE": str(self.store), "CLAUDE_INIT_PUBLISHED": str(self.published), **more}
        told = {"access_token_expires_at": told or self.ends} if told or self.ends else {}
        change = self.path / "change"
        change.write_text(json.dumps({"change": "x", **told}, separators=(",", ":")) + "\n")
        with change.open() as stdin:
            return subprocess.Popen([HOOK], env=environment, stdin=stdin, stderr=subprocess.PIPE, text=True)

    def call(self, *arguments, **more):
        """The status, and what was said."""
        process = self.start(*arguments, **more)
        said = process.stderr.read()
        return process.wait(PATIENCE), said

    def methods(self):
        return [method for method, _, _ in self.api.asked]


def iso(milliseconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(milliseconds // 1000))


@pytest.fixture(name="pod")
def fixture_pod(tmp_path):
    pod = Pod(tmp_path)
    yield pod
    pod.api.end()


def test_the_secret_is_made_if_it_is_missing_with_both_deadlines_and_its_marks(pod):
    text = pod.publish()
    status, said = pod.call()
    assert (status, said) == (0, f"kubernetes-secret: {SECRET}: made\n")
    secret = pod.api.secrets[SECRET]
    assert pod.api.login(SECRET) == text + "\n" and list(secret["data"]) == [".credentials.json"]
    assert secret["type"] == "Opaque"
    assert secret["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "claude-init"}
    ends = json.loads(text)["claudeAiOauth"]["refreshTokenExpiresAt"]
    assert pod.api.annotations(SECRET) == {
        "store": "dev", "keeper": "0a1b", "state": "usable", "access-token-expires-at": pod.ends,
        "login-expires-at": iso(ends)}
    assert pod.methods() == ["GET", "POST"]


def test_it_is_written_as_the_one_that_was_read_and_what_others_have_in_it_stays(pod):
    pod.publish()
    pod.call()
    pod.api.secrets[SECRET]["data"]["theirs"] = "eA=="
    pod.api.secrets[SECRET]["metadata"]["labels"]["team"] = "blue"
    version = pod.api.secrets[SECRET]["metadata"]["resourceVersion"]
    text = pod.publish("b", 7200)
    assert pod.call() == (0, "")
    assert pod.api.login(SECRET) == text + "\n"
    assert pod.api.secrets[SECRET]["data"]["theirs"] == "eA=="
    assert pod.api.secrets[SECRET]["metadata"]["labels"]["team"] == "blue"
    assert json.loads(pod.api.asked[-1][2])["metadata"]["resourceVersion"] == version
    assert pod.api.annotations(SECRET)["access-token-expires-at"] == pod.ends
    assert pod.call() == (0, "")
    assert pod.methods() == ["GET", "POST", "GET", "PATCH", "GET"], "the same is not written again"


def test_another_writer_in_that_moment_is_noticed_and_not_overwritten(pod):
    pod.publish()
    pod.call()
    theirs = base64.b64encode(b"theirs").decode()

    def write():
        pod.api.secrets[SECRET]["data"][".credentials.json"] = theirs
        pod.api.put(SECRET, pod.api.secrets[SECRET])

    pod.api.meanwhile = write
    text = pod.publish("b", 7200)
    status, said = pod.call()
    assert status == 76 and "somebody else has written it in this moment (409)" in said
    assert pod.api.secrets[SECRET]["data"][".credentials.json"] == theirs
    assert pod.call() == (0, "")
    assert pod.api.login(SECRET) == text + "\n"


def test_another_keeper_is_noticed_as_long_as_it_renews(pod):
    pod.publish()
    pod.call()
    pod.is_keeper("ffff")
    pod.publish("b", 7200)
    status, said = pod.call()
    assert status == 76 and "the keeper of another store writes it (its id is 0a1b)" in said
    assert "FAKEa" in pod.api.login(SECRET)
    pod.api.secrets[SECRET]["metadata"]["annotations"]["claude-init/access-token-expires-at"] = iso(1000)
    assert pod.call() == (0, "")
    assert "FAKEb" in pod.api.login(SECRET) and pod.api.annotations(SECRET)["keeper"] == "ffff"


def test_a_secret_with_somebody_elses_login_is_left_alone_and_an_empty_one_is_filled(pod):
    pod.publish()
    pod.api.put(SECRET, {"data": {".credentials.json": "eA=="}})
    status, said = pod.call()
    assert status == 76 and "a login that claude-init did not put there" in said
    assert pod.methods() == ["GET"]
    pod.api.put(SECRET, {"metadata": {}})
    assert pod.call() == (0, "")
    assert "FAKEa" in pod.api.login(SECRET)


@pytest.mark.parametrize("answer, status, words", [
    (401, 77, 'not allowed (401): secrets "x" is what "401" means'),
    (403, 77, "not allowed (403)"), (409, 76, "(409)"), (429, 75, "too much to do (429)"),
    (500, 70, "the API server failed (500)"), (503, 70, "the API server failed (503)"),
    (400, 65, "not accepted (400)"), (422, 65, "not accepted (422)")])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_each_failure_has_a_status_of_its_own(pod, answer, status, words, method):
    pod.publish()
    if method == "PATCH":
        pod.api.put(SECRET, {"metadata": {}})
    before = json.dumps(pod.api.secrets)
    pod.api.failing = {method: [answer]}
    got, said = pod.call()
    assert got == status and words in said, said
    assert ("means" in said) == (answer in (401, 403)), "the server's words, where they cannot quote the login"
    assert "FAKE" not in said and json.dumps(pod.api.secrets) == before and pod.methods()[-1] == method
    assert pod.call()[0] == 0


def test_a_server_that_has_vanished_or_is_another_one(pod):
    pod.publish()
    status, said = pod.call(KUBERNETES_SERVICE_PORT="1")
    assert status == 69 and "cannot be reached at 127.0.0.1:1" in said
    (pod.path / "other").mkdir()
    other = ApiServer(pod.path / "other/api")
    (pod.account / "ca.crt").write_bytes((pod.path / "other/api/ca.crt").read_bytes())
    assert pod.call()[0] == 69
    other.end()
    assert pod.api.asked == []


def test_a_refresh_token_is_never_written(pod):
    pod.publish(refreshToken="sk-ant-ort01-FAKEr")
    status, said = pod.call()
    assert status == 65 and "there is a refresh token" in said and "FAKE" not in said
    pod.publish()
    (pod.published / ".claude-init/published").unlink()
    for state in ("usable", "dead"):
        status, said = pod.call(state)
        assert status == 74 and "is not published in" in said
    assert pod.api.asked == []


@pytest.mark.parametrize("secret", [{"refreshToken": "FAKEr"}, {"clientSecret": "FAKEs"}, {"client_secret": "FAKEs"}])
def test_what_renews_another_login_is_never_written(pod, secret):
    pod.publish()
    path = pod.published / ".credentials.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mcpOAuth": {"one": {"accessToken": "FAKEa", **secret}}}))
    status, said = pod.call()
    assert status == 65 and "nothing is written" in said and "FAKE" not in said
    assert pod.api.asked == []


def test_what_was_told_is_waited_for(pod):
    pod.publish("old", 3600)
    process = pod.start(told=iso(int((time.time() + 7200) * 1000)))
    time.sleep(0.5)
    pod.publish("new", 7200)
    assert process.wait(PATIENCE) == 0
    assert "FAKEnew" in pod.api.login(SECRET)
    process.stderr.close()
    # A login of somebody else, which ends earlier than the one before.
    process = pod.start(told=iso(int((time.time() + 60) * 1000)))
    time.sleep(0.5)
    pod.publish("other", 60)
    assert process.wait(PATIENCE) == 0
    assert "FAKEother" in pod.api.login(SECRET)
    process.stderr.close()
    status, said = pod.call(told=iso(int((time.time() + 9000) * 1000)))
    assert status == 74 and "is not published in" in said


def test_a_login_that_is_dead_is_marked_and_its_token_stays_while_it_works(pod):
    text = pod.publish()
    assert pod.call("dead")[0] == 0
    pod.call()
    assert pod.call("dead") == (0, "")
    assert pod.api.annotations(SECRET)["state"] == "dead" and pod.api.login(SECRET) == text + "\n"


def test_nobody_has_logged_in_yet(pod):
    assert pod.call("missing") == (0, "")
    assert pod.methods() == ["GET"] and pod.api.secrets == {}
    pod.api.put(SECRET, {"metadata": {}})
    assert pod.call("missing") == (0, "")
    assert pod.api.annotations(SECRET)["state"] == "missing" and "data" not in pod.api.secrets[SECRET]


def test_several_namespaces_and_one_of_them_forbidden(pod):
    pod.publish()
    pod.api.failing = {"GET": [403]}
    status, said = pod.call(CLAUDE_INIT_SECRET="one/login two/login three")
    assert status == 77 and "one/login: not allowed" in said
    assert sorted(pod.api.secrets) == ["prod/three", "two/login"]


def test_no_token_is_in_an_argument_or_in_the_environment(pod):
    pod.publish()
    pod.api.held = threading.Event()
    spoilt = dict.fromkeys(["token", "answer", "body", "login", "encoded", "metadata", "rest"], "exported")
    process = pod.start(**spoilt)
    for method in ("GET", "POST"):
        eventually(lambda: pod.methods()[-1:] == [method], method)
        words = b""
        for pid in family(process.pid):
            for name in ("cmdline", "environ"):
                with open(f"/proc/{pid}/{name}", "rb") as f:
                    words += f.read()
        assert b"curl" in words and b"KUBERNETES_SERVICE_HOST" in words
        for secret in (TOKEN, "FAKEa", base64.b64encode(b"FAKEa").decode()[:6]):
            assert secret.encode() not in words
        pod.api.held.set()
        pod.api.held = threading.Event() if method == "GET" else None
    assert process.wait(PATIENCE) == 0
    process.stderr.close()


@pytest.mark.parametrize("spoil, words", [
    ({"CLAUDE_INIT_PUBLISHED": ""}, "start the keeper with --publish"),
    ({"KUBERNETES_SERVICE_HOST": ""}, "this is for pods"),
    ({"CLAUDE_INIT_KUBERNETES_ACCOUNT": "/nonexistent"}, "automountServiceAccountToken"),
    ({"CLAUDE_INIT_SECRET": "a/b/c"}, 'CLAUDE_INIT_SECRET: "a/b/c"'), ({"CLAUDE_INIT_SECRET": "UP"}, '"UP"')])
def test_wrong_settings_are_told(pod, spoil, words):
    pod.publish()
    status, said = pod.call(**spoil)
    assert status == 64 and words in said
    assert pod.api.asked == []


def test_the_secret_follows_a_keeper_through_renewals_and_an_absence_of_the_server(pod):
    keeping = Keeping(pod.path)
    keeping.environment.update(pod.environment)
    (pod.store / ".claude-init/id").unlink()
    keeping.store("dev", login("a", left=4))
    keeping.mode("renewed", 4)
    try:
        served = Served(keeping, "--publish", keeping.path / "kept", "--on-change", HOOK)
        eventually(lambda: SECRET in pod.api.secrets and "FAKEa+" in pod.api.login(SECRET), "a renewed login")
        keeping.mode("renewed", 3600)
        pod.api.failing = {"PATCH": [503]}
        eventually(lambda: keeping.token().count("+") >= 2 and keeping.token() in pod.api.login(SECRET), "the next", 40)
        assert "ort01" not in json.dumps(pod.api.secrets) + "".join(body for _, _, body in pod.api.asked)
        assert "ort01" not in pod.api.login(SECRET)
        assert served.metric('claude_init_hook_failures_total{status="70"}') >= 1
        assert len(pod.api.annotations(SECRET)["keeper"]) == 32
        assert keeping.stop()[0] == 0
    finally:
        keeping.end()


def test_a_secret_that_was_deleted_or_emptied_is_there_again_when_the_keeper_has_been_restarted(pod):
    """It looks at the Secret when something has changed, and at its start."""
    keeping = Keeping(pod.path)
    keeping.environment.update(pod.environment)
    (pod.store / ".claude-init/id").unlink()
    keeping.store("dev", login("a"))
    try:
        for spoil in (lambda: pod.api.secrets.pop(SECRET), lambda: pod.api.secrets[SECRET].pop("data"), lambda: None):
            Served(keeping, "--publish", keeping.path / "kept", "--on-change", HOOK)
            eventually(lambda: pod.api.secrets.get(SECRET, {}).get("data"), "the Secret")
            assert "FAKEa" in pod.api.login(SECRET)
            assert pod.api.annotations(SECRET)["state"] == "usable"
            spoil()
            assert keeping.stop()[0] == 0
    finally:
        keeping.end()


def placeholder(pod, token="sk-ant-oat01-FAKE-placeholder-for-which-the-gateway-puts-the-token"):
    """Beside what is published, with the same deadline."""
    directory = pod.path / "placeholder"
    (directory / ".claude-init").mkdir(parents=True, exist_ok=True)
    (directory / ".claude-init/published").touch()
    whole = json.loads((pod.published / ".credentials.json").read_text())
    whole["claudeAiOauth"]["accessToken"] = token
    (directory / ".credentials.json").write_text(json.dumps(whole))
    return directory


def test_a_placeholder_is_put_into_a_secret_of_its_own(pod):
    pod.publish()
    directory = placeholder(pod)
    status, said = pod.call(CLAUDE_INIT_PLACEHOLDER=str(directory))
    assert (status, said) == (0, f"kubernetes-secret: {SECRET}: made\nkubernetes-secret: prod/claude-placeholder: made\n")
    assert pod.api.login("prod/claude-placeholder") == (directory / ".credentials.json").read_text() + "\n"
    assert pod.api.login(SECRET) == (pod.published / ".credentials.json").read_text() + "\n"
    assert pod.api.annotations("prod/claude-placeholder")["access-token-expires-at"] == pod.ends
    pod.publish("b", 7200)
    directory = placeholder(pod)
    assert pod.call(CLAUDE_INIT_PLACEHOLDER=str(directory), CLAUDE_INIT_PLACEHOLDER_SECRET="claude-placeholder jobs/x")[0] == 0
    assert pod.api.annotations("prod/claude-placeholder")["access-token-expires-at"] == pod.ends
    assert pod.api.login("jobs/x") == pod.api.login("prod/claude-placeholder")


def test_no_token_is_put_into_the_placeholders_secret(pod):
    pod.publish()
    status, said = pod.call(CLAUDE_INIT_PLACEHOLDER=str(placeholder(pod, token="sk-ant-oat01-FAKE")))
    assert status == 65 and "there is no placeholder in" in said
    assert list(pod.api.secrets) == [SECRET]
