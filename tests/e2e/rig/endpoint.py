#!/usr/bin/python3
"""A stand-in for the Claude CLI's OAuth and Messages endpoints, on loopback, for tests without a network.

usage: endpoint.py DIRECTORY [PORT]

Serves https on ADDRESS:PORT (127.0.0.1:443) with a certificate authority of its own and prints `ready`. In DIRECTORY:
  ca.pem           the authority, for NODE_EXTRA_CA_CERTS
  requests.jsonl   one line per request

Knobs, from the environment:
  ACCESS_TTL=28800      lifetime of the access tokens that a refresh issues, in seconds
  REUSE=reject|family   a spent refresh token is refused; `family` also ends the login that it belonged to
  GRACE=0               seconds during which the previous refresh token still works
  DELAY=0, MSG_DELAY=0  seconds before the token endpoint, or the model, answers
  ABANDONED=spend|drop  a refresh whose client hangs up during DELAY is done all the same, or is not
  LATE=0                an access token is taken past its end until its successor has been out for so many seconds
  ADDRESS=127.0.0.1     where it listens
  PLAIN_PORT=0          the same again in plain http on 127.0.0.1:PLAIN_PORT, for many light clients

For the test itself:
  POST /_admin/mint?access_left=S           a new login as a credentials file; S <= 0: its access token has expired
               &lifetime=S                  that of its later access tokens, instead of ACCESS_TTL
  POST /_admin/revoke?token=T | ?family=F   ends a login
  GET  /_admin/newest?token=T               the token pair that the login of T has now
  POST /_admin/hold, /_admin/release        in between, no refresh token is spent; hold returns when none is being spent
  POST /_admin/down, /_admin/up             in between, every other request is cut off without an answer
  POST /_admin/fault?kind=K                 from now on the token endpoint: `cut` spends the token and hangs up; `half` spends
                                            it and sends half of the answer; `429`, `503` answer so and spend nothing;
                                            `none` works as usual
  POST /_admin/delay?seconds=S              instead of DELAY from now on
  GET  /_admin/stats                        counters, and the families with whether they are revoked
"""

import http.server
import json
import os
import secrets
import select
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
from pathlib import Path

import messages
from logins import SCOPES, Logins, RefreshRefused

HOST_NAMES = ["platform.claude.com", "api.anthropic.com", "claude.ai", "claude.com", "console.anthropic.com"]
ACCOUNT = "00000000-0000-4000-8000-000000000001"
ORGANIZATION = "00000000-0000-4000-8000-000000000002"

TOKEN_DELAY = float(os.environ.get("DELAY", "0"))
MESSAGE_DELAY = float(os.environ.get("MSG_DELAY", "0"))
DROPS_ABANDONED = os.environ.get("ABANDONED", "spend") == "drop"
LOGINS = Logins(access_lifetime=float(os.environ.get("ACCESS_TTL", "28800")),
                reuse_revokes_family=os.environ.get("REUSE", "reject") == "family",
                reuse_grace=float(os.environ.get("GRACE", "0")), late=float(os.environ.get("LATE", "0")))


class Journal:
    """Counters and the request log."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.counters = dict.fromkeys(
            ["refresh_begun", "refresh_ok", "refresh_reuse", "refresh_revoked", "refresh_unknown", "refresh_abandoned",
             "msg_ok", "msg_late", "msg_401", "revoke"], 0)

    def count(self, what):
        with self.lock:
            self.counters[what] += 1

    def write(self, record):
        with self.lock, open(self.path, "a", encoding="utf-8") as log:
            log.write(json.dumps({"t": round(time.time(), 3), **record}) + "\n")


class Switches:
    """What a test turns on and off."""

    def __init__(self):
        self.spending = threading.Lock()  # held by a test between hold and release
        self.down = False
        self.fault = "none"
        self.delay = TOKEN_DELAY


SWITCHES = Switches()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    journal: Journal

    def do_GET(self):
        self.handle_request()

    def do_POST(self):
        self.handle_request()

    def do_HEAD(self):
        self.record = {}
        self.reply(200, {})

    def log_message(self, *_):
        pass

    def handle_request(self):
        url = urllib.parse.urlparse(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.read_body()
        bearer = self.bearer()
        self.record = {"m": self.command, "host": self.headers.get("host"), "path": self.path,
                       "ua": self.headers.get("user-agent"), "bearer": bearer[:30] if bearer else None,
                       "xkey": bool(self.headers.get("x-api-key"))}
        try:
            self.route(url.path, query, body)
        finally:
            self.journal.write(self.record)

    def route(self, path, query, body):
        posted = self.command == "POST"
        if path.startswith("/_admin/"):
            self.administer(path.removeprefix("/_admin/"), query)
        elif SWITCHES.down:
            self.record["cut"] = True
            self.close_connection = True
        elif path == "/v1/oauth/token" and posted:
            self.refresh(json.loads(body))
        elif path == "/v1/oauth/token/revoke":
            self.journal.count("revoke")
            self.reply(200, {})
        elif path.startswith("/v1/messages") and posted:
            self.answer(path, json.loads(body))
        elif path == "/api/oauth/profile":
            self.reply_if_logged_in(PROFILE)
        elif path == "/api/oauth/claude_cli/roles":
            self.reply_if_logged_in({"organization_role": "admin", "workspace_role": None,
                                     "organization_name": "Fake Org"})
        elif path in ("/", "/api/hello", "/v1/oauth/hello"):
            self.reply(200, {"message": "hello"})
        else:
            self.reply_error(404, "not_found_error", "stand-in: no such path")

    def administer(self, what, query):
        if what == "mint":
            self.mint(float(query.get("access_left", "3600")), query.get("lifetime"))
            return
        answer = {}
        if what == "revoke":
            found = LOGINS.revoke(query.get("family"), query.get("token"))
        elif what == "newest":
            found = answer = LOGINS.newest(query.get("token"))
        elif what == "stats":
            found = answer = {**self.journal.counters, "families": LOGINS.revoked_by_family()}
        elif what == "fault":
            SWITCHES.fault = query["kind"]
            found = True
        elif what == "delay":
            SWITCHES.delay = float(query["seconds"])
            found = True
        else:
            found = self.turn(what)
        self.reply(200 if found else 404, answer)

    @staticmethod
    def turn(what):
        if what == "hold":
            SWITCHES.spending.acquire()  # pylint: disable=consider-using-with
        elif what == "release":
            SWITCHES.spending.release()
        elif what in ("down", "up"):
            SWITCHES.down = what == "down"
        else:
            return False
        return True

    def mint(self, access_left, lifetime):
        access_token, refresh_token = LOGINS.mint(access_left, float(lifetime) if lifetime else None)
        self.reply(200, {"claudeAiOauth": {
            "accessToken": access_token, "refreshToken": refresh_token,
            "expiresAt": int((time.time() + access_left) * 1000), "scopes": SCOPES,
            "subscriptionType": "max", "rateLimitTier": "default_claude_max_5x"}})

    def refresh(self, request):
        self.record["refresh_token"] = str(request.get("refresh_token"))[:30]
        self.journal.count("refresh_begun")
        self.think(SWITCHES.delay)
        if SWITCHES.fault.isdigit():
            self.reply_error(int(SWITCHES.fault), "api_error", "stand-in: not now")
            return
        try:
            with SWITCHES.spending:
                if DROPS_ABANDONED and self.hung_up():
                    self.journal.count("refresh_abandoned")
                    self.record["abandoned"] = self.close_connection = True
                    return
                access_token, refresh_token, lifetime = LOGINS.refresh(request.get("refresh_token"))
        except RefreshRefused as refusal:
            self.journal.count(f"refresh_{refusal}")
            self.record["refused"] = str(refusal)
            self.reply(400, {"error": "invalid_grant",
                             "error_description": "Refresh token not found or invalid"})
            return
        self.journal.count("refresh_ok")
        self.record["issued"], self.record["ends"] = time.time(), time.time() + lifetime
        if SWITCHES.fault == "cut":
            self.record["cut"] = self.close_connection = True
            return
        self.reply(200, {
            "token_type": "Bearer", "access_token": access_token, "refresh_token": refresh_token,
            "expires_in": int(lifetime), "scope": " ".join(SCOPES),
            "account": {"uuid": ACCOUNT, "email_address": "fake@example.invalid"},
            "organization": {"uuid": ORGANIZATION, "name": "Fake Org"}})

    def answer(self, path, request):
        accepted = LOGINS.accepts(self.bearer())
        if accepted == "no":
            self.journal.count("msg_401")
            self.deny()
            return
        if accepted == "late":
            self.journal.count("msg_late")
            self.record["late"] = {"successor_out_for": LOGINS.replaced_since(self.bearer())}
        if path.endswith("count_tokens"):
            self.reply(200, {"input_tokens": 10})
            return
        self.journal.count("msg_ok")
        self.record["model"] = request.get("model")
        time.sleep(MESSAGE_DELAY)
        if request.get("stream"):
            self.reply(200, messages.event_stream(request), "text/event-stream")
        else:
            self.reply(200, messages.whole_message(request))

    def think(self, seconds):
        """For so long, also when nobody waits for the answer any more: then the log says after how long they left."""
        began = time.monotonic()
        if self.hung_up(seconds):
            self.record["left_after"] = round(time.monotonic() - began, 1)
            time.sleep(max(0, began + seconds - time.monotonic()))

    def hung_up(self, seconds=0):
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLRDHUP)
        return bool(poll.poll(seconds * 1000))

    def bearer(self):
        scheme, _, token = (self.headers.get("authorization") or "").partition(" ")
        return token if scheme.lower() == "bearer" else None

    def logged_in(self):
        return LOGINS.accepts(self.bearer()) != "no"

    def reply_if_logged_in(self, answer):
        if self.logged_in():
            self.reply(200, answer)
        else:
            self.deny()

    def deny(self):
        self.reply_error(401, "authentication_error", "OAuth authentication is invalid (stand-in).")

    def reply_error(self, status, kind, text):
        self.reply(status, {"type": "error", "error": {"type": kind, "message": text}})

    def reply(self, status, answer, content_type="application/json"):
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.record["status"] = status
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("request-id", f"req_FAKE{secrets.token_hex(6)}")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            halved = SWITCHES.fault == "half" and self.path == "/v1/oauth/token" and status == 200
            self.wfile.write(body[:len(body) // 2] if halved else body)
            self.close_connection = self.close_connection or halved

    def read_body(self):
        length = int(self.headers.get("content-length") or 0)
        if length:
            return self.rfile.read(length)
        body = b""
        if "chunked" in (self.headers.get("transfer-encoding") or ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body


PROFILE = {
    "account": {"uuid": ACCOUNT, "email": "fake@example.invalid", "display_name": "Fake", "full_name": "Fake User",
                "has_claude_max": True, "has_claude_pro": False, "created_at": "2025-01-01T00:00:00Z"},
    "organization": {"uuid": ORGANIZATION, "name": "Fake Org", "organization_type": "claude_max",
                     "billing_type": "stripe_subscription", "rate_limit_tier": "default_claude_max_5x",
                     "has_extra_usage_enabled": False, "subscription_created_at": "2025-01-01T00:00:00Z",
                     "cc_onboarding_flags": {}},
}


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request, client_address):
        # A client that goes away in the middle is what some tests are about.
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


def make_certificates(directory):
    """ca.pem, and server.pem with server.key signed by it."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ",".join(f"DNS:{name}" for name in HOST_NAMES)
    (directory / "names").write_text(f"subjectAltName={names}\n", encoding="ascii")
    openssl("req", "-x509", *new_key, "-days", "2", "-subj", "/CN=claude-init test CA",
            "-keyout", "ca.key", "-out", "ca.pem")
    openssl("req", *new_key, "-subj", f"/CN={HOST_NAMES[0]}",
            "-keyout", "server.key", "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", "names", "-out", "server.pem")


def main():
    directory = Path(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 443
    make_certificates(directory)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(directory / "server.pem", directory / "server.key")
    Handler.journal = Journal(directory / "requests.jsonl")
    if plain_port := int(os.environ.get("PLAIN_PORT", "0")):
        plain = Server(("127.0.0.1", plain_port), Handler)
        threading.Thread(target=plain.serve_forever, daemon=True).start()
    server = Server((os.environ.get("ADDRESS", "127.0.0.1"), port), Handler)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
