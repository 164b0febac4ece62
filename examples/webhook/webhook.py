"""Answers POST {"prompt": "…"} with what `claude --print` says. usage: webhook.py SECRET_FILE ADDRESS PORT

Callers sign the body with the secret, as GitHub does: X-Hub-Signature-256: sha256=HMAC.
"""

import hashlib
import hmac
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LONGEST_BODY = 64 * 1024    # bytes
LONGEST_ANSWER = 300    # seconds
AT_ONCE = threading.BoundedSemaphore(4)
# Whoever may ask is not trusted with commands, files or the network of this container.
COMMAND = ["claude", "--print", "--tools", ""]


def ask(prompt):
    """(status, text). The prompt goes to standard input: on the command line it could be an option."""
    if not AT_ONCE.acquire(blocking=False):
        return 503, "too many questions at once\n"
    try:
        done = subprocess.run(COMMAND, input=prompt, stdout=subprocess.PIPE, text=True, encoding="utf-8",
                              timeout=LONGEST_ANSWER, check=False)
    except subprocess.TimeoutExpired:
        return 504, "no answer in time\n"
    finally:
        AT_ONCE.release()
    if done.returncode != 0:
        print(f"webhook: claude exited with {done.returncode}: {done.stdout}", file=sys.stderr, flush=True)
        return 502, "no answer\n"
    return 200, done.stdout


class Webhook(BaseHTTPRequestHandler):
    timeout = 30    # seconds for a slow caller to send what it has to

    def do_POST(self):
        try:
            length = int(self.headers["Content-Length"])
        except (TypeError, ValueError):
            return self.answer(400, "no Content-Length\n")
        if not 0 <= length <= LONGEST_BODY:
            return self.answer(413, "too long\n")
        body = self.rfile.read(length)
        wanted = "sha256=" + hmac.new(self.server.secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted.encode(), self.headers.get("X-Hub-Signature-256", "").encode()):
            return self.answer(401, "wrong signature\n")
        try:
            prompt = json.loads(body)["prompt"]
        except (ValueError, TypeError, KeyError):
            prompt = None
        if not isinstance(prompt, str) or not prompt.strip():
            return self.answer(400, 'send {"prompt": "…"}\n')
        return self.answer(*ask(prompt))

    def answer(self, status, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main(secret_file, address, port):
    server = ThreadingHTTPServer((address, int(port)), Webhook)
    server.secret = Path(secret_file).read_bytes().strip()
    if not server.secret:
        sys.exit(f"webhook: the secret is empty: {secret_file}")
    print(f"webhook: http://{address}:{server.server_port}/", file=sys.stderr, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: webhook.py SECRET_FILE ADDRESS PORT")
    main(*sys.argv[1:])
