"""What jobs ask through the gateway, and what they are answered where it cannot be asked."""

import json
import re
import signal
import socket
import threading

import pytest
from api import (API, GATEWAY, NAME, PLACEHOLDER, TOKEN, Api, Gateway, eventually, make_authority, message, names,
                 read_to_end)

HEADERS = f"Host: {NAME}\r\nAuthorization: Bearer {PLACEHOLDER}\r\n"


def test_a_request_arrives_with_the_access_token_in_the_placeholders_place(api, gateway):
    status, body = gateway.get("/v1/messages?beta=true&x=%41", "X-Stainless-Lang: js\r\nCookie: a=b\r\nUpgrade: websocket\r\n")
    assert (status, json.loads(body)) == (200, {"ok": True})
    [request] = api.requests
    assert request.target == "/v1/messages?beta=true&x=%41"
    assert request.all("authorization") == [f"Bearer {TOKEN}"]
    assert request.all("host") == [NAME]
    assert request.all("x-stainless-lang") == ["js"]
    assert not request.all("cookie") and not request.all("upgrade")
    assert PLACEHOLDER not in request.head


def test_each_request_has_the_token_that_is_published_then(api, gateway):
    for number in range(20):
        gateway.log_in(f"sk-ant-oat01-FAKE{number}")
        assert gateway.get()[0] == 200
        assert api.requests[-1].all("authorization") == [f"Bearer sk-ant-oat01-FAKE{number}"]


def test_connections_to_the_api_are_kept(api, gateway):
    for _ in range(30):
        assert gateway.get()[0] == 200
    assert api.connections <= 4, "two processes, and what began beside"


def test_an_event_stream_comes_as_it_is_written(api, gateway):
    go_on, seen = threading.Event(), []

    def stream(_request, send):
        send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(5):
            text = b"event: ping\ndata: %d\n\n" % number
            send(b"%x\r\n%s\r\n" % (len(text), text))
            assert go_on.wait(60)
            go_on.clear()
        send(b"0\r\n\r\n")

    api.answer = stream
    with gateway.connect() as job:
        job.sendall(f"GET /v1/x HTTP/1.1\r\n{HEADERS}Connection: close\r\n\r\n".encode())
        for number in range(5):  # the next one is written when this one has arrived
            text = b""
            while b"data: %d" % number not in text:
                piece = job.recv(1 << 16)
                assert piece
                text += piece
            seen.append(number)
            go_on.set()
        assert read_to_end(job).endswith(b"0\r\n\r\n")
    assert seen == list(range(5))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_goes_through_before_its_end_has_come(api, gateway, chunked):
    """Neither on a disk nor in memory as a whole: the API has most of it while the job still holds the rest back."""
    size, piece = 64 << 20, bytes(1 << 20)
    has = []

    def answer(request, send):
        for _ in request.body():
            has.append(request.received)
        Api.plain(request, send, body=str(request.received).encode())

    api.answer = answer
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    with gateway.connect() as job:
        job.sendall(f"POST /v1/messages HTTP/1.1\r\n{HEADERS}{framing}\r\nConnection: close\r\n\r\n".encode())
        for number in range(size // len(piece)):
            if number == size // len(piece) - 1:
                eventually(lambda: has and has[-1] > size // 2, "the API has the most")
            job.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            job.sendall(b"0\r\n\r\n")
        assert read_to_end(job).endswith(b"\r\n\r\n" + str(size).encode())


def test_a_job_that_goes_away_is_gone_for_the_api_too(api, gateway):
    gone = threading.Event()

    def stream(_request, send):
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                send(b"5\r\nhello\r\n")
        except OSError:
            gone.set()

    api.answer = stream
    with gateway.connect() as job:
        job.sendall(f"GET /v1/x HTTP/1.1\r\n{HEADERS}\r\n".encode())
        job.recv(1)
    assert gone.wait(120)


def test_its_log_has_who_asked_what_and_nothing_that_is_secret(api, gateway):
    api.answer = lambda request, send: Api.plain(request, send, body=b"FAKE-in-the-answer")
    gateway.get("/v1/messages?key=FAKE-in-the-query", "X-More: FAKE-in-a-header\r\n")
    gateway.get("/v1/denied?key=FAKE-in-the-query", authorization="Authorization: Bearer FAKE-of-another\r\n")
    gateway.ask("GET /v1/x?FAKE-in-the-query HTTP/1.1\r\nHost: elsewhere\r\nX: FAKE\r\nConnection: close\r\n\r\n")
    gateway.ask("FAKE-garbage\r\n\r\n")
    api.close()
    api.answer = lambda request, send: (_ for _ in ()).throw(OSError)
    gateway.get("/v1/messages?key=FAKE-in-the-query")
    eventually(lambda: len(gateway.lines()) >= 5, "five lines")
    line = gateway.lines()[0]
    assert re.fullmatch(r"time=\d{4}-\S+ client=127\.0\.0\.\d+ method=GET path=/v1/messages status=200 bytes=\d+ ms=\d+", line)
    assert " path=/v1/denied status=401 " in gateway.lines()[1]
    eventually(lambda: "upstream" in gateway.errors.read_text(), "what nginx says of the API")
    for text in (gateway.log.read_text(), gateway.errors.read_text()):
        assert "FAKE" not in text, text


@pytest.mark.parametrize("authorization", [
    "", "Authorization: Bearer sk-ant-oat01-FAKE-of-another\r\n", f"Authorization: bearer {PLACEHOLDER}\r\n",
    f"Authorization: Bearer {PLACEHOLDER} \x0b\r\n", f"Authorization: Bearer  {PLACEHOLDER}\r\n", f"Authorization: Basic {PLACEHOLDER}\r\n",
    f"Authorization: Bearer {PLACEHOLDER}\r\nAuthorization: Bearer {PLACEHOLDER}\r\n",
    f"Authorization: Bearer {PLACEHOLDER}\r\nX-Api-Key: sk-ant-api03-FAKE\r\n",
    f"Authorization: Bearer {PLACEHOLDER}\r\nx-api-key:\r\n", f"X-Api-Key: {PLACEHOLDER}\r\n",
    f"Authorization: Bearer {TOKEN}\r\n"])
def test_nothing_but_the_placeholder_is_accepted(api, gateway, authorization):
    """A key of somebody else's would be a way to send them what the job has."""
    status, body = gateway.get("/v1/files", authorization=authorization)
    assert status in (400, 401) and api.requests == []
    if status == 401:
        assert "placeholder" in message(body) and "ANTHROPIC_API_KEY" in message(body)


def test_without_a_login_people_are_told_what_to_type(api, gateway):
    for text in (None, "", "{", "{}", '{"claudeAiOauth":{"accessToken":"","expiresAt":0}}', "[]", "null",
                 '{"claudeAiOauth":{"accessToken":"a\\r\\nX: b","expiresAt":9e15}}'):
        gateway.put(text) if text is not None else gateway.published.unlink()
        status, body = gateway.get()
        assert (status, message(body)) == (403, "claude-init: no login yet; run: type this to log in")
        assert gateway.health("/readyz")[0] == 503 and gateway.health("/livez")[0] == 200
    gateway.log_in(left=-1)
    status, body = gateway.get()
    assert status == 403 and "expired" in message(body) and message(body).endswith("log in again: type this to log in")
    assert api.requests == []
    gateway.log_in()
    assert gateway.get()[0] == 200
    assert gateway.health("/readyz") == (200, "ready\n")


def test_a_login_that_the_server_rejects_is_told_with_what_to_type(api, gateway):
    api.answer = lambda request, send: Api.plain(request, send, "401 Unauthorized", b'{"error":"FAKE"}')
    status, body = gateway.get("/v1/messages", "Content-Length: 0\r\n", method="POST")
    assert status == 403
    assert message(body) == "claude-init: the server does not accept this login any more; log in again: type this to log in"


@pytest.mark.parametrize("status", ["400 Bad Request", "429 Too Many Requests", "500 Internal Server Error", "529 Overloaded"])
def test_other_answers_come_as_they_are(api, gateway, status):
    api.answer = lambda request, send: Api.plain(request, send, status, b'{"its":"own"}', "Retry-After: 7\r\n")
    answer = gateway.ask(f"GET /v1/x HTTP/1.1\r\n{HEADERS}Connection: close\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status.split()[0]}".encode())
    assert b"Retry-After: 7" in answer and answer.endswith(b'{"its":"own"}')


def test_an_api_that_is_away_is_told_and_may_be_tried_again(api, gateway):
    api.close()
    answer = gateway.ask(f"GET /v1/x HTTP/1.1\r\n{HEADERS}Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502 ") and b"X-Should-Retry: true" in answer
    assert "cannot reach api.anthropic.com" in message(answer.partition(b"\r\n\r\n")[2])


def test_nobody_but_the_api_gets_a_request(shared, authority, tmp_path):
    """At its address there is somebody with a certificate of another authority, or for another name."""
    shared[0].close()
    shared[2].stop()
    foreign = make_authority(tmp_path / "foreign")
    other_name = make_authority(tmp_path / "other", name="api.example.com")
    for number, (certificates, trusted) in enumerate([(foreign, authority), (other_name, other_name)]):
        directory = tmp_path / str(number)
        directory.mkdir()
        api = Api(certificates, API)
        with names(directory, api_anthropic_com=API):
            gateway = Gateway(directory, trusted / "ca.pem").start()
            try:
                status, body = gateway.get()
            finally:
                gateway.stop()
                api.close()
        assert status == 502 and "cannot reach" in message(body)
        assert api.requests == []


def test_without_the_name_it_starts_and_says_so_and_finds_it_later(shared, api, authority, tmp_path):
    shared[2].stop()
    with names(tmp_path):
        gateway = Gateway(tmp_path, authority / "ca.pem").start()
        try:
            assert f"{NAME} cannot be resolved" in gateway.errors.read_text()
            status, body = gateway.get()
            assert status == 502 and "cannot reach" in message(body)
            with (tmp_path / "hosts").open("a", encoding="ascii") as hosts:
                hosts.write(f"{API} {NAME}\n")
            gateway.process.send_signal(signal.SIGHUP)
            eventually(lambda: gateway.get()[0] == 200, "it has found the API")
            assert api.requests
        finally:
            gateway.stop()


def test_a_stream_that_runs_is_finished_when_it_is_told_to_end(api, gateway):
    go_on = threading.Event()

    def stream(_request, send):
        send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        assert go_on.wait(120)
        send(b"world")

    api.answer = stream
    with gateway.connect() as job:
        job.sendall(f"GET /v1/x HTTP/1.1\r\n{HEADERS}\r\n".encode())
        text = b""
        while not text.endswith(b"hello"):
            text += job.recv(1 << 16)
        gateway.process.terminate()

        def is_closed():
            with socket.socket() as probe:
                return probe.connect_ex((GATEWAY, 443)) != 0

        eventually(is_closed, "no new requests")
        go_on.set()
        assert read_to_end(job) == b"world"
    assert gateway.process.wait(120) == 0


def test_a_hundred_streams_at_once(api, gateway):
    def stream(_request, send):
        send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        together.wait(120)  # all of them are open
        send(b"5\r\nhello\r\n0\r\n\r\n")

    together = threading.Barrier(100)
    api.answer = stream
    answers = []
    jobs = [threading.Thread(target=lambda: answers.append(
        gateway.ask(f"POST /v1/messages HTTP/1.1\r\n{HEADERS}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}")))
        for _ in range(100)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(240)
    assert len(answers) == 100 and all(b"hello" in answer for answer in answers)


def test_it_listens_nowhere_else(gateway):
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.5", 443)) != 0
    assert gateway.health("/")[0] == 404
