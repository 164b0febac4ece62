"""Production as compose.yaml has it: a keeper, and services that ask the real CLI again and again."""

import contextlib
import http.server
import json
import os
import signal
import threading
import time
from types import SimpleNamespace

from harness import Project, wait_until
from native import Chaos, asking, failures, is_renewing

PERSON = 1000
LIFETIME = 40  # of the access tokens
SERVICES = 3
LOG_IN = "docker compose run --rm setup"
SERVER = {"REUSE": "family", "DELAY": 0.5, "ABANDONED": "drop", "LATE": 15}


class Inbox:
    """Where the web hook posts to."""

    def __init__(self):
        self.got = got = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/FAKE-secret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def changes(self):
        return [call["change"] for call in self.got]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Service:
    """A container of the project."""

    def __init__(self, docker, container):
        self.docker, self.container = docker, container

    def inspect(self, template):
        return self.docker("inspect", f"--format={{{{{template}}}}}", self.container).stdout.strip()

    def lines(self):
        return self.docker("logs", self.container).stdout.splitlines()

    def errors(self):
        return self.docker("logs", self.container).stderr

    def health(self):
        """The exit status, and what a person reads."""
        done = self.docker("exec", self.container, "claude-init", "health", check=False)
        return done.returncode, done.stdout


class Keeper(Service):
    """With what `Chaos` wants of one. It is killed as by the kernel; the engine starts it again by itself, and waits twice as
    long each time that it has lived for less than ten seconds: of two lives one at least is longer, or it would be the
    engine that lets tokens expire."""

    pid = 0
    begun = 0.0
    last_was_short = False

    def start(self):
        def another():
            pid = int(self.inspect(".State.Pid"))
            return pid if pid not in (0, self.pid) else None
        self.pid = wait_until(another, "the engine starts the keeper")
        self.begun = time.monotonic()

    def is_young(self):
        return time.monotonic() - self.begun < 10

    def kill(self):
        self.last_was_short = self.is_young()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{self.pid}"), "the keeper's end")

    def renews(self):
        return is_renewing(self.pid) and not (self.last_was_short and self.is_young())


class Fleet:
    def __init__(self, docker, endpoint, directory):
        self.docker, self.endpoint = docker, endpoint
        self.inbox = Inbox()
        self.project = Project(docker, endpoint, directory, PERSON)
        self.store = self.project.store.create(PERSON)
        self.project.environment["CLAUDE_INIT_WEBHOOK_URL"] = self.inbox.url
        self.project.command("worker", asking(8))
        self.keeper, self.workers, self.login, self.chaos = None, [], None, None
        self.outages = 0

    def start(self):
        self.project("up", "--detach", "--scale", f"worker={SERVICES}")
        self.keeper = Keeper(self.docker, *self.project("ps", "--quiet", "keeper").stdout.split())
        self.keeper.start()
        self.workers = [Service(self.docker, one) for one in self.project("ps", "--quiet", "worker").stdout.split()]

    def close(self):
        self.project.down()
        self.inbox.close()

    def log_in(self):
        """As a person does, by the command that everybody is told."""
        self.login = self.endpoint.login(LIFETIME, LIFETIME)
        terminal = self.project.terminal("run", "--rm", "setup")
        terminal.expect_prompt()
        terminal.log_in(self.login.command)
        self.chaos = self.chaos or Chaos(self, [self.keeper], self.login, pause=(11, 17), renewers=1)

    def live(self, seconds):
        """The keeper is killed again and again."""
        self.chaos.run(seconds)

    def newest(self):
        return self.endpoint.newest(self.login)["refreshToken"]

    def outage(self):
        """Half a lifetime, around the time at which a renewal is due."""
        before = self.newest()
        wait_until(lambda: self.newest() != before, "a renewal", 2 * LIFETIME)
        time.sleep(LIFETIME / 4)
        with self.endpoint.down():
            time.sleep(LIFETIME / 2)
        self.outages += 1

    def revoke(self):
        self.endpoint.revoke(SimpleNamespace(access_token=self.endpoint.newest(self.login)["accessToken"]))

    def lines(self):
        return [line for worker in self.workers for line in worker.lines()]

    def failures(self):
        return failures(self.lines())

    def report(self):
        return f"{len(self.lines())} asked, {len(self.failures())} in vain; of the keeper: {self.chaos.report()}"

    def all_answer(self):
        """Every one has, to the last time that it asked."""
        last = [worker.lines()[-1:] for worker in self.workers]
        return all(last) and not failures(line for lines in last for line in lines)

    def restarts(self):
        return sum(int(worker.inspect(".RestartCount")) for worker in self.workers)

    def status(self):
        return json.loads(self.project.ask("/status")[1])["stores"][0]

    def told(self):
        """What one reads where one may look, of this login."""
        return {"log": self.keeper.errors(), "/status": json.dumps(self.status()), "/": self.project.ask("/")[1],
                "/readyz/claude": self.project.ask("/readyz/claude")[1], "hook": json.dumps(self.inbox.got[-1:]),
                "health": self.workers[0].health()[1]}
