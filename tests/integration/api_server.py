"""As much of Kubernetes' API as concerns Secrets, over TLS: resource versions, merge patches, and failures at will."""

import base64
import http.server
import json
import re
import ssl
import subprocess
import threading

from harness import PATIENCE

TOKEN = "FAKE-service-account-token"
PATH = re.compile(r"/api/v1/namespaces/([a-z0-9-]+)/secrets(?:/([a-z0-9.-]+))?\?pretty=false")


def certificates(path):
    """ca.crt, and tls.crt with tls.key for 127.0.0.1, signed by it."""
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    (path / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for words in (["req", "-x509", *new, "-subj", "/CN=test CA", "-keyout", "ca.key", "-out", "ca.crt"],
                  ["req", *new, "-subj", "/CN=api", "-keyout", "tls.key", "-out", "tls.csr"],
                  ["x509", "-req", "-in", "tls.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                   "-extfile", "names", "-days", "2", "-out", "tls.crt"]):
        subprocess.run(["openssl", *words], cwd=path, check=True, capture_output=True)


def merge(into, patch):
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            merge(into.setdefault(key, {}), value)
        else:
            into[key] = value


class ApiServer(http.server.ThreadingHTTPServer):
    """`secrets` by "NAMESPACE/NAME"; `asked` has what was, as (method, name, body). `failing`: the statuses that the
    next requests with a method get; `meanwhile`: called before the next write; `held`: answers wait for it."""

    def __init__(self, path):
        path.mkdir()
        certificates(path)
        self.secrets, self.asked, self.failing, self.meanwhile, self.held = {}, [], {}, None, None
        self.version = 100
        super().__init__(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(path / "tls.crt", path / "tls.key")
        self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def end(self):
        self.shutdown()
        self.server_close()

    def put(self, name, secret):
        self.version += 1
        secret.setdefault("metadata", {}).update(resourceVersion=str(self.version), name=name.split("/")[1])
        self.secrets[name] = secret

    def login(self, name):
        return base64.b64decode(self.secrets[name]["data"][".credentials.json"]).decode()

    def annotations(self, name):
        return {key.removeprefix("claude-init/"): value
                for key, value in self.secrets[name]["metadata"]["annotations"].items()}

    def handle_error(self, request, client_address):
        pass  # whoever does not trust the certificate goes away


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(lambda name, _: (200, self.server.secrets[name]) if name in self.server.secrets else (404, {}))

    def do_POST(self):
        self.answer(self.create)

    def do_PATCH(self):
        self.answer(self.patch)

    def log_message(self, *_):
        pass

    def create(self, name, body):
        name += body["metadata"]["name"]
        if name in self.server.secrets:
            return 409, {}
        self.server.put(name, body)
        return 201, body

    def patch(self, name, body):
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        if meanwhile := self.server.meanwhile:
            self.server.meanwhile = None
            meanwhile()
        secret = self.server.secrets[name]
        if body["metadata"]["resourceVersion"] != secret["metadata"]["resourceVersion"]:
            return 409, {}
        merge(secret, body)
        self.server.put(name, secret)
        return 200, secret

    def answer(self, what):
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        namespace, name = PATH.fullmatch(self.path).groups()
        self.server.asked.append((self.command, f"{namespace}/{name or ''}", text))
        if self.server.held:
            self.server.held.wait(PATIENCE)
        if failing := self.server.failing.get(self.command):
            status, body = failing.pop(0), {}
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            status, body = 401, {}
        else:
            status, body = what(f"{namespace}/{name or ''}", json.loads(text or "null"))
        if status >= 300:
            body = {"kind": "Status", "message": f'secrets "x" is what "{status}" means', "code": status}
        data = json.dumps(body, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
