"""What a keeper says over HTTP and to --on-change; and that nothing on those ways stops a renewal."""

import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest
from harness import ALONE, BINARY, PATIENCE, SANITIZED, eventually, family, status
from sessions import login
from test_follow import switches

LOG_IN = "docker compose run --rm setup"
DAY = 24 * 3600


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Served:
    def __init__(self, keeping, *options, **more):
        self.keeping, self.port = keeping, free_port()
        keeping.start("--listen", f"127.0.0.1:{self.port}", "--login-command", LOG_IN, *options, **more)
        keeping.says("listening")

    def ask(self, target, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, target)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def store(self, name="dev"):
        return next(store for store in json.loads(self.ask("/status")[1])["stores"] if store["name"] == name)

    def metric(self, line):
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.ask("/metrics")[1], re.MULTILINE)
        return float(found.group(1)) if found else None


def with_end(text, days):
    whole = json.loads(text)
    whole["claudeAiOauth"]["refreshTokenExpiresAt"] = int((time.time() + days * DAY) * 1000)
    return json.dumps(whole)


def test_every_address_answers_for_each_store_by_itself_and_nothing_is_secret(keeping):
    keeping.store("dev", with_end(login("a", left=3 * 3600), 20))
    keeping.store("test", '{"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}}')
    served = Served(keeping, f"--publish=dev={keeping.path / 'published'}", stores=("dev", "test"))
    assert served.ask("/livez") == (200, "ok\n")
    assert served.ask("/readyz") == (200, "ok\n")
    assert served.ask("/readyz/dev") == (200, "dev: usable\n")
    code, text = served.ask("/readyz/test")
    assert code == 503
    assert text.startswith("test: dead\n") and f"→ {LOG_IN}" in text
    assert served.ask("/readyz/none")[0] == served.ask("/nothing")[0] == 404
    assert served.ask("/", "HEAD") == (200, "")
    assert served.ask("/", "POST")[0] == served.ask("/livez", "DELETE")[0] == 405
    dev, test = served.store("dev"), served.store("test")
    assert (dev["state"], dev["ready"]) == ("usable", True)
    assert 0 < dev["access_token"]["expires_in_seconds"] <= 3 * 3600
    assert 19 * DAY < dev["login"]["expires_in_seconds"] <= 20 * DAY
    assert (test["state"], test["remedy"]) == ("dead", LOG_IN)
    assert served.metric('claude_init_login_state{store="dev",claude_init_login_state="usable"}') == 1
    assert served.metric('claude_init_login_state{store="test",claude_init_login_state="dead"}') == 1
    assert 0 < served.metric('claude_init_access_token_remaining_seconds{store="dev"}') <= 3 * 3600
    page = served.ask("/")[1]
    assert LOG_IN in page and "1 of 2 ready" in page
    assert not re.search(r"https?://|<script", page)
    for target in ("/", "/status", "/metrics", "/readyz/dev", "/readyz/test"):
        assert "FAKE" not in served.ask(target)[1]
    assert keeping.stop()[0] == 0


def test_counts_are_of_what_happened(keeping):
    begun = time.monotonic()
    keeping.mode("unchanged")
    keeping.store("dev", login("a", left=6))
    served = Served(keeping, "--publish", keeping.path / "published")
    eventually(lambda: served.metric('claude_init_renewal_failures_total{store="dev",kind="no-answer"}'), "a failure")
    assert served.metric('claude_init_renewal_failing_since_timestamp_seconds{store="dev"}') <= time.time()
    keeping.mode("renewed")
    keeping.has_token("a+", "published")
    eventually(lambda: served.metric('claude_init_renewals_total{store="dev"}') == 1, "a renewal")
    assert served.metric('claude_init_renewal_failing_since_timestamp_seconds{store="dev"}') is None
    assert served.metric('claude_init_last_renewal_timestamp_seconds{store="dev"}') <= time.time()
    eventually(lambda: served.metric('claude_init_propagation_seconds_count{store="dev"}') == 1, "a publication")
    assert 0 <= served.metric('claude_init_propagation_seconds_sum{store="dev"}') <= time.monotonic() - begun
    assert served.metric('claude_init_captures_total{store="dev"}') >= 1
    assert [event["change"] for event in served.store()["events"]][:2] == ["recovered", "failing"]


def test_a_publication_that_had_to_be_tried_again_counts_with_all_the_time_it_took(keeping):
    keeping.store("dev", login("a"))
    (keeping.path / "published").write_text("not a directory")
    served = Served(keeping, "--publish", keeping.path / "published")
    assert served.metric('claude_init_publish_failing{store="dev"}') == 1
    keeping.put(login("b"))
    time.sleep(1.5)
    (keeping.path / "published").unlink()
    keeping.has_token("b", "published")
    eventually(lambda: served.metric('claude_init_published_total{store="dev"}') == 1, "it is counted")
    assert served.metric('claude_init_propagation_seconds_count{store="dev"}') == 1
    assert served.metric('claude_init_propagation_seconds_sum{store="dev"}') >= 1.5


def test_captures_are_remembered_while_the_store_is_away(keeping):
    keeping.store("dev", login("a", left=-60))
    served = Served(keeping)
    keeping.has_token("a+")
    count = lambda: served.metric('claude_init_captures_total{store="dev"}')
    made = eventually(count, "the capture")
    (keeping.path / "dev").rename(keeping.path / "gone")
    keeping.says("no-store")
    assert count() == made


def flood(served, stop):
    """More clients than are served: half say nothing, half send garbage, as fast as they can."""
    held = []
    while not stop.is_set():
        try:
            client = served.connect()
            if len(held) % 2:
                client.sendall(b"\x00\xff GET ../../ HTTP/9.9\r\n:\r\n\r\n" * 50)
            held.append(client)
        except OSError:
            time.sleep(0.01)
        if len(held) > 100:
            held.pop(0).close()
        time.sleep(0.001)


def test_slow_clients_floods_and_garbage_neither_stop_renewals_nor_probes(keeping):
    keeping.mode("renewed", 3)
    keeping.store("dev", login("a", left=3))
    served = Served(keeping)
    slow = [served.connect() for _ in range(10)]
    for client in slow:
        client.sendall(b"GET /livez HTTP/1.1\r\nX: ")
    stop = threading.Event()
    threads = [threading.Thread(target=flood, args=(served, stop)) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + PATIENCE
        answered = 0
        while answered <= 10 or keeping.token().count("+") < 3:
            assert time.monotonic() < end, (answered, keeping.token())
            for client in slow:  # slowloris: a byte now and then
                try:
                    client.sendall(b"x")
                except OSError:
                    pass
            try:
                answered += served.ask("/livez") == (200, "ok\n")
            except OSError:  # so slow that 64 others came between its connection and its request
                pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(os.listdir(f"/proc/{keeping.pid}/fd")) < 110
    eventually(lambda: keeping.said().count("the login has been renewed") >= 3, "what it says of three renewals")
    assert keeping.stop()[0] == 0


def test_a_client_that_dawdles_is_let_go(keeping):
    keeping.store("dev", login("a"))
    served = Served(keeping)
    with served.connect() as client:
        client.settimeout(PATIENCE)
        client.sendall(b"GET / HTTP/1.1\r\n")
        assert client.recv(1) == b""


def test_ten_stores_that_are_served_are_small_and_nobody_wakes_up(keeping):
    stores = [f"s{i}" for i in range(10)]
    for name in stores:
        keeping.store(name, with_end(login(name, left=8 * 3600), 20))
    served = Served(keeping, stores=stores, pid1=False, wrapper=ALONE)
    for target in ("/", "/status", "/metrics") * 20:
        assert served.ask(target)[0] == 200
    assert SANITIZED or int(status(keeping.pid, "VmRSS").split()[0]) <= 6 * 1024
    eventually(lambda: switches(keeping.pid, 1) == 0, "quiet after the start")
    assert switches(keeping.pid, 3) == 0
    assert keeping.stop()[0] == 0


def test_an_address_that_cannot_be_had_is_refused(keeping):
    keeping.store("dev", login("a"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        keeping.start("--listen", f"127.0.0.1:{taken.getsockname()[1]}", pid1=False)
        assert keeping.process.wait(PATIENCE) == 71
    assert "listen on 127.0.0.1" in keeping.said() and "name another port" in keeping.said()
    keeping.start("--listen", "localhost", pid1=False)
    assert keeping.process.wait(PATIENCE) == 64
    assert "write ADDR:PORT" in keeping.said()
    assert "keeping stores=" not in keeping.said()


HOOK = """#!/bin/sh
read -r json
printf '%s %s\\n' "$(env | grep ^CLAUDE_INIT_ | sort | tr '\\n' '|')" "$json" >> "$0.calls"
"""


class Hook:
    def __init__(self, path, script=HOOK):
        self.path = path
        path.write_text(script)
        path.chmod(0o755)

    def calls(self):
        try:
            lines = self.path.with_suffix(".calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line[line.index("| {") + 2:]) for line in lines]

    def changes(self):
        return [call["change"] for call in self.calls()]

    def gets(self, *changes):
        """Waits until these are all that it was called for."""
        eventually(lambda: self.changes() == list(changes), f"{changes}, got {self.changes()}")


def test_the_hook_is_called_once_for_each_change_with_what_happened_and_never_a_secret(keeping):
    hook = Hook(keeping.path / "hook")
    keeping.mode("renewed")
    keeping.store("dev", with_end(login("a", left=4), 2.5))
    keeping.environment["CLAUDE_INIT_STORE"] = f"dev={keeping.path / 'dev'}"
    keeping.start("--on-change", hook.path, "--login-command", LOG_IN, "--publish", keeping.path / "published", stores=())
    hook.gets("usable", "expiring", "renewed")
    keeping.put(login("other", account="2"))
    hook.gets("usable", "expiring", "renewed", "account-changed")
    keeping.put('{"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}}')
    hook.gets("usable", "expiring", "renewed", "account-changed", "dead")
    (keeping.path / "dev/.credentials.json").unlink()
    keeping.says("missing")
    keeping.put(login("b", left=7200))
    hook.gets("usable", "expiring", "renewed", "account-changed", "dead", "unusable", "account-changed", "recovered")
    dead = hook.calls()[4]
    assert dead["store"] == "dev" and dead["state"] == "dead" and dead["remedy"] == LOG_IN
    assert dead["store_path"] == str(keeping.path / "dev") and dead["published_path"].endswith("published")
    text = hook.path.with_suffix(".calls").read_text()
    assert "CLAUDE_INIT_CHANGE=dead|" in text and f"CLAUDE_INIT_REMEDY={LOG_IN}|" in text
    assert f"CLAUDE_INIT_STORE={keeping.path / 'dev'}|CLAUDE_INIT_STORE_NAME=dev|" in text  # not the keeper's own
    assert "FAKE" not in text
    assert keeping.stop()[0] == 0


def test_a_hook_that_fails_is_called_again_and_counted(keeping):
    hook = Hook(keeping.path / "hook", HOOK + 'test -e "$0.ok" || { touch "$0.ok"; exit 3; }\n')
    keeping.store("dev", login("a"))
    served = Served(keeping, "--on-change", hook.path)
    hook.gets("usable", "usable")
    assert served.metric("claude_init_hook_runs_total") == 2
    assert served.metric('claude_init_hook_failures_total{status="3"}') == 1
    assert "the hook failed and is called again" in keeping.said()
    assert keeping.stop()[0] == 0


def test_hooks_do_not_overlap_and_do_not_hold_up_renewals(keeping):
    hook = Hook(keeping.path / "hook", 'mkdir "$0.lock" || touch "$0.overlap"\n' + HOOK.replace("#!/bin/sh\n", "") +
                'while ! test -e "$0.go"; do sleep 0.05; done; rmdir "$0.lock"\n')
    hook.path.write_text("#!/bin/sh\n" + hook.path.read_text())
    keeping.mode("renewed", 3)
    keeping.store("dev", login("a", left=3))
    keeping.start("--on-change", hook.path)
    keeping.has_token("a++")
    assert hook.changes() == ["usable"]
    (keeping.path / "hook.go").touch()
    eventually(lambda: hook.changes()[:3] == ["usable", "renewed", "renewed"], "the calls that waited")
    assert not (keeping.path / "hook.overlap").exists()
    assert keeping.stop()[0] == 0


def test_the_hook_is_told_that_a_rejected_login_is_dead_though_its_access_token_works_for_a_while(keeping):
    hook = Hook(keeping.path / "hook")
    keeping.mode("blanked")
    keeping.store("dev", login("a", left=16))
    served = Served(keeping, "--on-change", hook.path)
    hook.gets("usable", "dead")
    assert served.store()["state"] == "dead" and served.store()["ready"] is False, "though it can be used until its end"
    assert hook.calls()[1]["state"] == "dead", "there is no other call when it ends"
    assert "CLAUDE_INIT_STATE=dead|" in hook.path.with_suffix(".calls").read_text()


def test_the_ready_made_webhook_posts_the_change_and_keeps_its_url_to_itself(keeping):
    script = os.path.join(os.path.dirname(__file__), "../../deploy/hooks/webhook")
    if subprocess.run(["which", "curl"], capture_output=True, check=False).returncode != 0:
        pytest.skip("needs curl")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(PATIENCE)
        (keeping.path / "url").write_text(f"http://127.0.0.1:{server.getsockname()[1]}/FAKEsecret\n")
        keeping.environment["CLAUDE_INIT_WEBHOOK_URL_FILE"] = str(keeping.path / "url")
        keeping.store("dev")
        keeping.start("--on-change", script, "--login-command", LOG_IN)
        client, _ = server.accept()
        with client:
            data = b""
            while b"}" not in data:
                data += client.recv(65536)
            arguments = [open(f"/proc/{pid}/cmdline").read() for pid in family(keeping.process.pid)]
            client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    head, body = data.split(b"\r\n\r\n", 1)
    assert head.startswith(b"POST /FAKEsecret HTTP/1.1") and b"Content-Type: application/json" in head
    change = json.loads(body)
    assert change["change"] == "unusable"
    assert change["text"] == f"dev: missing: no login yet. → {LOG_IN}", "all that a chat shows"
    assert any("curl" in line for line in arguments)
    assert not any("FAKEsecret" in line for line in arguments)
    assert keeping.stop()[0] == 0


@pytest.mark.parametrize("answer, status", [
    ("204 No Content", 0), ("302 Found", 0), ("301 Moved Permanently", 65), ("404 Not Found", 65), ("503 No", 70),
    ("429 Too Many Requests", 75), ("200 OK\r\nContent-Length: 9", 0), ("401 No\r\nContent-Length: 9", 65), ("", 69),
    (None, 69)])
def test_the_webhooks_status_says_whether_it_may_work_later(answer, status):
    script = os.path.join(os.path.dirname(__file__), "../../deploy/hooks/webhook")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if answer is not None:
            server.listen()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/FAKEsecret"
        hook = subprocess.Popen([script], env={"PATH": "/usr/bin:/bin", "CLAUDE_INIT_WEBHOOK_URL": url},
                                stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if answer is not None:
            server.settimeout(PATIENCE)
            client, _ = server.accept()
            with client:
                client.recv(65536)
                if answer:  # one with a length is cut off
                    length = "" if "Length" in answer else "Content-Length: 0\r\n"
                    client.sendall(f"HTTP/1.1 {answer}\r\n{length}Connection: close\r\n\r\n".encode())
        said = hook.communicate(timeout=PATIENCE)[1]
    assert hook.returncode == status, said
    assert said or status == 0
    assert "FAKE" not in said


def test_the_cli_s_version_is_named_before_anything_is_renewed(keeping):
    keeping.store("dev", login("a", left=3 * 3600))
    keeping.install_cli("2.1.260")
    served = Served(keeping, renew=[])
    keeping.says('renews with Claude Code store=')
    keeping.says('version="2.1.260 (tested)"')
    assert served.store()["claude_code"] == "2.1.260 (tested)"
    assert served.metric('claude_init_renewer_info{store="dev",version="2.1.260",tested="1"}') == 1
    assert "Claude Code 2.1.260 (tested)" in served.ask("/")[1]
    done = subprocess.run([BINARY, "health", "--store", keeping.path / "dev"], env=keeping.environment, text=True,
                          capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)
    assert "Claude Code 2.1.260 (tested)" in done.stdout
    assert keeping.calls() == []


def test_a_command_that_is_not_fit_is_named_before_anything_is_due(keeping):
    keeping.store("dev", login("a", left=3 * 3600))
    keeping.install_cli("2.1.260")
    keeping.start(renew=["--renew-command=claude auth status"])
    keeping.says("would cost the login")
    assert keeping.calls() == []
