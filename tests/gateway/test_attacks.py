"""A job that wants to reach something else through the gateway, or to get at the access token: never forwarded elsewhere,
and the token never with it."""

import socket
import ssl

import pytest
from api import GATEWAY, NAME, PLACEHOLDER, TOKEN, Api

AUTHORIZED = f"Authorization: Bearer {PLACEHOLDER}\r\n"
OUR_HOST = f"Host: {NAME}\r\n"
END = "Connection: close\r\n\r\n"


@pytest.fixture(name="between")
def fixture_between(api, gateway):
    """The gateway; whatever reaches the API has our host and our token, and somebody else gets no connection (conftest.py)."""
    yield gateway
    for request in api.requests:
        assert request.all("host") == [NAME] and request.target.startswith("/")
        assert request.all("authorization") == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize("start, host", [
    ("GET https://evil.example/v1/x HTTP/1.1", OUR_HOST), ("GET http://evil.example/v1/x HTTP/1.1", OUR_HOST),
    ("GET https://evil.example:443/v1/x HTTP/1.1", "Host: evil.example\r\n"), ("GET /v1/x HTTP/1.1", "Host: evil.example\r\n"),
    ("GET /v1/x HTTP/1.1", f"Host: {NAME}.evil.example\r\n"), ("GET /v1/x HTTP/1.1", f"Host: {NAME}@evil.example\r\n"),
    ("GET /v1/x HTTP/1.1", f"Host: evil.example:443@{NAME}\r\n"), ("GET /v1/x HTTP/1.1", OUR_HOST + "Host: evil.example\r\n"),
    ("GET /v1/x HTTP/1.1", ""), ("GET /v1/x HTTP/1.0", ""), ("GET /v1/x HTTP/1.0", "Host: evil.example\r\n"),
    ("CONNECT evil.example:443 HTTP/1.1", "Host: evil.example:443\r\n"), ("CONNECT evil.example:443 HTTP/1.1", OUR_HOST),
    ("CONNECT /v1/x HTTP/1.1", OUR_HOST), ("TRACE /v1/x HTTP/1.1", OUR_HOST), ("GET @evil.example/ HTTP/1.1", OUR_HOST),
    ("GET evil.example HTTP/1.1", OUR_HOST), ("GET :443@evil.example/x HTTP/1.1", OUR_HOST), ("GET * HTTP/1.1", OUR_HOST),
    ("GET /v1/x", ""), ("GET /v1/x HTTP/2.0", OUR_HOST), ("PRI * HTTP/2.0", "")])
def test_another_host_is_not_asked(api, between, start, host):
    answer = between.ask(f"{start}\r\n{host}{AUTHORIZED}{END}")
    assert not answer.startswith(b"HTTP/1.1 200") and api.requests == []
    assert TOKEN.encode() not in answer


def test_another_name_in_the_handshake_or_beside_it_changes_nothing(api, between):
    assert between
    for name in ("evil.example", "platform.claude.com", ""):
        connection = unchecked(name)
        connection.sendall(f"GET /v1/x HTTP/1.1\r\nHost: {name or 'x'}\r\n{AUTHORIZED}{END}".encode())
        assert connection.recv(100).startswith((b"HTTP/1.1 421", b"HTTP/1.1 400"))
        connection.close()
    assert api.requests == []


def unchecked(name):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((GATEWAY, 443), timeout=240), server_hostname=name or None)


@pytest.mark.parametrize("target", [
    "//evil.example/v1/x", "///v1/x", "/v1//x", "/v1/../x", "/../../x", "/v1/./x", "/..", "/v1/%2e%2e/x", "/v1/%2E./x",
    "/v1/%2f..%2fx", "/v1/x%00", "/v1/%5c..%5cx", "/\\evil.example/x", "/v1/%252e%252e/x", "/v1/x\ty", "/v1/\xff",
    "/v1/x#y", "/v1/{x}", '/v1/"x"'])
def test_a_path_that_can_be_read_in_two_ways_is_refused(api, between, target):
    answer = between.ask(f"GET {target} HTTP/1.1\r\n{OUR_HOST}{AUTHORIZED}{END}")
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 505")) and api.requests == []


@pytest.mark.parametrize("target", [
    "/api/oauth/claude_cli/create_api_key", "/API/oauth/claude_cli/create_api_key", "/api/oauth/claude_cli/create%5Fapi%5Fkey",
    "/api/oauth/claude_cli/%63reate_api_key?x", "/v1/organizations/api_keys", "/v1/organizations/external_keys/1", "/v1/oauth/token",
    "/v1/token", "/v1/sessions", "/v1/sessions/1/events", "/v1/environments", "/v1/code/github/import-token",
    "/api/oauth/local_pairing"])
def test_credentials_of_its_own_and_sessions_elsewhere_are_not_to_be_had(api, between, target):
    status, body = between.get(target, "Content-Length: 0\r\n", method="POST")
    assert status == 403 and "keys, tokens and sessions" in body and api.requests == []


@pytest.mark.parametrize("target", [
    "/v1/messages?beta=true", "/v1/messages/count_tokens", "/api/oauth/profile", "/api/oauth/usage", "/api/hello",
    "/api/oauth/organizations/00000000-0000-4000-8000-000000000002/referral/eligibility", "/v1/mcp_servers?limit=1000",
    "/api/organization/claude_code_first_token_date", "/api/event_logging/v2/batch", "/api/eval/sdk-zAZezfDKGoZuXXKe"])
def test_what_the_cli_asks_is_forwarded(api, between, target):
    assert between.get(target)[0] == 200
    assert [request.target for request in api.requests] == [target]


SECOND = "GET /v1/smuggled HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer x\r\n\r\n"


@pytest.mark.parametrize("framing, body", [
    ("Content-Length: 0\r\nContent-Length: {n}\r\n", "{second}"), ("Content-Length: {n}\r\nContent-Length: 0\r\n", "{second}"),
    ("Content-Length: 0, {n}\r\n", "{second}"), ("Content-Length: +{n}\r\n", "{second}"), ("Content-Length: 0x1\r\n", "{second}"),
    ("Content-Length: -1\r\n", "{second}"), ("Content-Length : 0\r\n", "{second}"), ("Content-Length:\x0b0\r\n", "{second}"),
    ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n{second}"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\n{second}"),
    ("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n{second}"), ("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n{second}"),
    ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n{second}"),
    ("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n{second}"), ("Transfer-Encoding : chunked\r\n", "0\r\n\r\n{second}"),
    (" Transfer-Encoding: chunked\r\n", "0\r\n\r\n{second}"), ("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n{second}"),
    ("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n{second}"), ("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n{second}"),
    ("Transfer-Encoding: chunked\r\n", "0;\n\r\n{second}"), ("Transfer-Encoding: chunked\r\n", "-1\r\n{second}"),
    ("Transfer-Encoding: chunked\r\n", "fffffffffffffffff1\r\n{second}"), ("Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n{second}"),
    ("Transfer-Encoding: chunked\r\n", "1\r\nxx\r\n0\r\n\r\n{second}"), ("Upgrade: h2c\r\nConnection: close, upgrade, http2-settings\r\n", "{second}"),
    ("Connection: close, Authorization, Host\r\n", ""), ("Expect: 100-continue\r\nContent-Length: 3\r\n", "abc")])
def test_no_request_is_smuggled_behind_another(api, between, framing, body):
    """Whatever reaches the API is a request of which the gateway has seen the head: with our host and our token."""
    def answer(request, send):
        for _ in request.body():
            pass
        Api.plain(request, send)

    api.answer = answer
    text = body.replace("{second}", SECOND)
    close = "" if "Connection:" in framing else "Connection: close\r\n"
    between.ask(f"POST /v1/messages HTTP/1.1\r\n{OUR_HOST}{close}{AUTHORIZED}{framing.replace('{n}', str(len(text)))}\r\n{text}")
    assert len(api.requests) <= 1, api.raw
    for raw in api.raw:
        assert b"smuggled" not in raw and b"evil.example" not in raw, raw
    # Nothing is left of it for the next one on that connection.
    assert between.get("/v1/next")[0] == 200
    assert api.requests[-1].target == "/v1/next"


@pytest.mark.parametrize("line", [
    "X: a\x00b", "X: a\rAuthorization: Bearer x", "X\x00Y: a", "Authorization\x00: x", "X-Forwarded-Host: evil.example",
    "X-Original-URL: /api/oauth/claude_cli/create_api_key", "X-Http-Method-Override: DELETE", "X_Api_Key: sk-ant-api03-FAKE",
    "Proxy-Connection: keep-alive", "Forwarded: host=evil.example", "X: " + "a" * 40_000, "X-Accel-Redirect: /x"],
    ids=lambda line: line[:30])
def test_odd_headers_change_nothing(api, between, line):
    between.ask(f"GET /v1/x HTTP/1.1\r\n{OUR_HOST}{AUTHORIZED}{line}\r\n{END}")
    assert len(api.requests) <= 1
    for request in api.requests:
        assert not request.all("x-api-key") and not request.all("x_api_key")


def test_what_the_api_answers_leads_nowhere_inside(api, between):
    """X-Accel-Redirect of an answer is nginx's own word."""
    api.answer = lambda request, send: Api.plain(request, send, more="X-Accel-Redirect: /readyz\r\nX-Accel-Buffering: yes\r\n")
    assert between.get() == (200, '{"ok":true}')
    assert len(api.requests) == 1
