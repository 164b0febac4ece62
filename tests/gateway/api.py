"""An API over TLS that notes each request as it came, byte for byte, and a gateway in front of it; both on loopback."""

import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

from isolation import dies_with_parent  # noqa: E402

PATIENCE = 240  # seconds until a test that waits gives up, also on a machine that is busy
NAME = "api.anthropic.com"
API, GATEWAY, OTHER = "127.0.0.2", "127.0.0.3", "127.0.0.4"
TOKEN = "sk-ant-oat01-FAKE-of-the-login"
PLACEHOLDER = re.search(r"PLACEHOLDER = '(.*)'", (TOP / "deploy/gateway/gateway.js").read_text(encoding="ascii"))[1]


def eventually(condition, what, patience=PATIENCE):
    """Polls for what has no event to wait for."""
    end = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(0.02)
    return found


def openssl(*words, directory):
    subprocess.run(["openssl", *map(str, words)], cwd=directory, check=True, capture_output=True)


def make_authority(directory, name=NAME):
    """ca.pem, and server.pem with server.key for that name."""
    directory.mkdir()
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    (directory / "names").write_text(f"subjectAltName=DNS:{name}\n")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=an authority", "-keyout", "ca.key", "-out", "ca.pem",
            directory=directory)
    openssl("req", *key, "-subj", "/CN=x", "-keyout", "server.key", "-out", "server.csr", directory=directory)
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server.pem", directory=directory)
    return directory


class Request:
    def __init__(self, head, stream):
        self.head = head.decode("latin-1")
        first, *rest = self.head.split("\r\n")
        self.method, self.target, _ = first.split(" ", 2)
        self.headers = [tuple(line.split(": ", 1)) for line in rest if line]
        self.stream = stream
        self.received = 0
        self.pieces = self._read()

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name]

    def body(self):
        """What has not been read yet, piece by piece."""
        return self.pieces

    def _read(self):
        if self.all("transfer-encoding"):
            while size := int(self.stream.readline(), 16):
                yield self._took(self.stream.read(size))
                self.stream.readline()
            self.stream.readline()
            return
        left = int((self.all("content-length") or ["0"])[0])
        while left:
            piece = self.stream.read1(min(left, 1 << 20))
            left -= len(piece)
            yield self._took(piece)

    def _took(self, piece):
        self.received += len(piece)
        return piece


class Api:
    """`answer(request, send)` may be replaced. What it was asked is in `requests`, connection by connection in `raw`."""

    def __init__(self, certificates, address=API):
        self.address, self.socket, self.open = address, None, []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        self.begin_anew()

    def begin_anew(self):
        """Nothing was asked, and every answer is `plain`."""
        self.requests, self.raw, self.connections = [], [], 0
        self.answer = self.plain
        if self.socket is None:
            self.socket = socket.create_server((self.address, 443), backlog=256)
            threading.Thread(target=self._accept, args=(self.socket,), daemon=True).start()

    @staticmethod
    def plain(_request, send, status="200 OK", body=b'{"ok":true}', more=""):
        send(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
             .encode() + body)

    def close(self):
        """It is away, for connections that there are, too."""
        if self.socket is None:
            return
        for connection in [self.socket, *self.open]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.socket, self.open = None, []

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(connection.dup())
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError, ValueError), self.tls.wrap_socket(connection, server_side=True) as secure, \
                secure.makefile("rb") as stream:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = stream.readline()
                    if not line:
                        return
                    head += line
                request = Request(head[:-4], stream)
                self.requests.append(request)
                self.raw.append(head)
                self.answer(request, secure.sendall)
                for _ in request.body():
                    pass


class Gateway:
    """deploy/gateway/gateway as its container runs it. `login` is what the keeper has published."""

    def __init__(self, directory, trusted, **environment):
        self.directory, self.published = directory, directory / "login.json"
        self.state, self.shown, self.run = (directory / name for name in ("state", "shown", "run"))
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE": str(trusted), "CLAUDE_GATEWAY_ADDRESS": GATEWAY,
            "CLAUDE_GATEWAY_PORT": "443", "CLAUDE_GATEWAY_LOGIN": str(self.published),
            "CLAUDE_GATEWAY_STATE": str(self.state), "CLAUDE_GATEWAY_CA": str(self.shown),
            "CLAUDE_GATEWAY_RUN": str(self.run), "CLAUDE_INIT_LOGIN_COMMAND": "type this to log in", **environment}
        self.log, self.errors = directory / "log", directory / "errors"
        self.process = None
        self.log_in()

    def log_in(self, token=TOKEN, left=3600):
        """As the keeper publishes: a file that is renamed into place."""
        self.put(json.dumps({"claudeAiOauth": {"accessToken": token, "expiresAt": int((time.time() + left) * 1000)}}))

    def put(self, text):
        new = self.published.with_suffix(".new")
        new.write_text(text)
        new.rename(self.published)

    def start(self):
        with self.log.open("ab") as log, self.errors.open("ab") as errors:
            self.process = subprocess.Popen([TOP / "deploy/gateway/gateway"], env=self.environment, stdout=log, stderr=errors,
                                            stdin=subprocess.DEVNULL, preexec_fn=dies_with_parent)
        eventually(self.is_up, "the gateway's start")
        return self

    def is_up(self):
        assert self.process.poll() is None, self.errors.read_text()
        with contextlib.suppress(OSError):
            return self.health("/livez")[0] == 200
        return False

    def health(self, path):
        with socket.create_connection((GATEWAY, 8080), timeout=PATIENCE) as plain:
            plain.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = read_to_end(plain)
        return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2].decode()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
        return self.process and self.process.wait(PATIENCE)

    def connect(self, name=NAME, trusted=None):
        """A job's connection, whose certificate is checked against what the gateway shows."""
        context = ssl.create_default_context(cafile=trusted or self.shown / "ca.pem")
        return context.wrap_socket(socket.create_connection((GATEWAY, 443), timeout=PATIENCE), server_hostname=name)

    def ask(self, raw):
        """All that is answered to these bytes; where the gateway waits for more, within some seconds."""
        with self.connect() as connection:
            connection.settimeout(20)
            with contextlib.suppress(OSError):  # it may have had enough before the end
                connection.sendall(raw if isinstance(raw, bytes) else raw.encode("latin-1"))
            return read_to_end(connection)

    def get(self, target="/v1/models", more="", authorization=f"Authorization: Bearer {PLACEHOLDER}\r\n", method="GET"):
        """Status and body."""
        answer = self.ask(f"{method} {target} HTTP/1.1\r\nHost: {NAME}\r\n{authorization}{more}Connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 "), answer
        return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2].decode()

    def lines(self):
        return self.log.read_text().splitlines()


def read_to_end(connection):
    answer = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


def message(body):
    """What the CLI shows of an error."""
    error = json.loads(body)
    assert error["type"] == "error"
    return error["error"]["message"]


@contextlib.contextmanager
def names(directory, **leads_to):
    """Inside, these names lead there, in this mount namespace."""
    hosts = directory / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name.replace('_', '.')}\n" for name, address in leads_to.items()))
    hosts.chmod(0o644)
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "/etc/hosts"], check=True)
