"""Who may only ask the keeper: what it costs, what it tells to a page of somebody else's, and what a name can do there."""

import http.client
import json
import os
import signal
import socket
import subprocess

import pytest
from harness import eventually
from sessions import login
from test_keep_outputs import Served

EMAIL = "a\u202egro.elpmaxe@b\u200b\u2066"


def ask(served, request):
    """The whole answer to these bytes, and how the connection ends."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as client:
        client.sendall(request)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer.decode()


def get(target, host, more=""):
    return f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n".encode()


def test_a_request_reads_no_file_however_large_what_the_store_has_is(keeping, tmp_path):
    store = keeping.store("dev", login("a"))
    for number in range(1, 6):
        generation = store / ".claude-init/generations" / str(number)
        generation.mkdir(parents=True)
        (generation / ".credentials.json").write_text(login("a"))
        (generation / ".claude.json").write_text('{"a":[' + "{}," * 300_000 + "{}]}")
    served = Served(keeping, pid1=False)
    assert served.metric('claude_init_captures_total{store="dev"}') == 5
    trace = tmp_path / "trace"
    strace = subprocess.Popen(["strace", "-qq", "-o", trace, "-e", "trace=open,openat,openat2,stat,newfstatat,getdents64",
                               "-p", str(keeping.pid)], stdin=subprocess.DEVNULL)
    try:
        eventually(lambda: f"TracerPid:\t{strace.pid}" in open(f"/proc/{keeping.pid}/status").read(), "strace")
        requests = 0
        for _ in range(50):
            for target in ("/livez", "/readyz/dev", "/status", "/metrics", "/"):
                assert served.ask(target)[0] == 200
                requests += 1
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()
    # Once a second, not once a request, the working copies are counted.
    calls = trace.read_text().splitlines()
    assert not [line for line in calls if "generations" in line or ".json" in line]
    assert len(calls) < requests


def test_captures_are_counted_when_they_are_made(keeping):
    store = keeping.store("dev", login("a"))
    (store / ".claude-init").mkdir()
    served = Served(keeping, pid1=False)
    assert served.metric('claude_init_captures_total{store="dev"}') == 0
    new = store / ".claude-init/generations/new"
    new.mkdir(parents=True)
    new.rename(new.with_name("7"))
    eventually(lambda: served.metric('claude_init_captures_total{store="dev"}') == 7, "it is counted")


def test_a_page_whose_name_leads_here_reads_nothing(keeping):
    keeping.store("dev", login("a"))
    served = Served(keeping, "--allow-host=keeper,Claude.Example.org")
    for target in ("/", "/status", "/metrics", "/readyz/dev", "/livez"):
        for host in ("rebound.example", f"rebound.example:{served.port}", "localhost.rebound.example", "127.0.0.1.nip.io"):
            answer = ask(served, get(target, host))
            assert answer.startswith("HTTP/1.1 421 "), answer
            assert "--allow-host" in answer and "usable" not in answer and "Claude logins" not in answer
    for host in ("127.0.0.1", f"127.0.0.1:{served.port}", "localhost", "[::1]:80", "keeper:8080", "claude.example.org"):
        assert ask(served, get("/readyz/dev", host)).startswith("HTTP/1.1 200 "), host


@pytest.mark.parametrize("request_", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nbroken\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
], ids=range(8))
def test_what_is_no_request_is_told_so(keeping, request_):
    keeping.store("dev", login("a"))
    served = Served(keeping)
    assert ask(served, request_ + b"x" * 50_000).startswith("HTTP/1.1 400 ")
    assert served.ask("/livez") == (200, "ok\n")


def test_metrics_are_what_the_client_can_read(keeping):
    keeping.store("dev", login("a"))
    served = Served(keeping)

    def metrics(accept):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.headers["Content-Type"].split(";")[0], text.endswith("# EOF\n")

    for accept in ("", "*/*", "text/plain", "text/plain;version=0.0.4,application/openmetrics-text;q=0.5"):
        assert metrics(accept) == ("text/plain", False), accept
    assert metrics("application/openmetrics-text;version=1.0.0,text/plain;q=0.5") == ("application/openmetrics-text", True)


def test_a_name_cannot_turn_around_or_hide_what_is_shown(keeping):
    store = keeping.store("dev", login("a"))
    (store / ".claude.json").write_text(json.dumps({"oauthAccount": {"emailAddress": EMAIL}}, ensure_ascii=False))
    served = Served(keeping)
    shown = r"a\xe2\x80\xaegro.elpmaxe@b\xe2\x80\x8b\xe2\x81\xa6"
    page = served.ask("/")[1]
    status = served.ask("/status")[1]
    assert shown in page
    assert served.store()["email"] == EMAIL
    health = [subprocess.run([os.environ["CLAUDE_INIT_BINARY"], "health", "--store", store, *options],
                             env=keeping.environment, capture_output=True, text=True, check=False).stdout
              for options in ((), ("--json",))]
    assert shown in health[0]
    keeping.says(shown)
    for text in (page, status, keeping.said(), *health):
        assert not any(character in text for character in "\u202e\u200b\u2066")
