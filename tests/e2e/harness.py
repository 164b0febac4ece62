"""What the end-to-end tests are written in."""

import contextlib
import http.client
import io
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pexpect

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

import sealed_format  # noqa: E402
from isolation import dies_with_parent  # noqa: E402

RIG = TOP / "tests/e2e/rig"
ANSWER = "CANNED-ANSWER"
HOST_NAMES = ["platform.claude.com", "api.anthropic.com", "claude.ai", "claude.com", "console.anthropic.com"]
LOGIN_COMMAND = "claude auth login"

# Statuses of claude-init's own (src/ui/exit_status.h).
EXIT_MALFORMED, EXIT_NO_STORE, EXIT_NOT_LOGGED_IN, EXIT_EXPIRED, EXIT_PERMISSION = 65, 66, 67, 68, 77


def clean_environment(home, **more):
    """Nothing of the caller's, so that no login or setting of this machine takes part."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home),
            "LANG": "C.UTF-8", "TERM": "xterm-256color", **{key: str(value) for key, value in more.items()}}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


PATIENCE = 240  # seconds until a test that waits gives up, also on a machine that is busy


def wait_until(condition, what, timeout=PATIENCE):
    """Polls for what has no event to wait for."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.1)
    return result


class Login:
    """A login that the stand-in knows; a person could have made it."""

    def __init__(self, credentials):
        self.credentials = credentials
        oauth = credentials["claudeAiOauth"]
        self.access_token, self.refresh_token = oauth["accessToken"], oauth["refreshToken"]
        # `claude auth login` takes these two instead of a browser.
        self.variables = {"CLAUDE_CODE_OAUTH_REFRESH_TOKEN": self.refresh_token,
                          "CLAUDE_CODE_OAUTH_SCOPES": " ".join(oauth["scopes"])}

    @property
    def command(self):
        """What to type into a shell to log in without a browser."""
        assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.variables.items())
        return f"{assignments} {LOGIN_COMMAND}"


def free_loopback_address():
    """One of the host's loopback whose port 443 nobody has: other runs of the tests have stand-ins too."""
    while True:
        address = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, 443))
            return address


class Endpoint:
    """rig/endpoint.py on port 443 of an address of its own on the host's loopback, or of the knob ADDRESS."""

    def __init__(self, directory, **knobs):
        self.directory = Path(directory)
        self.address = knobs["ADDRESS"] if "ADDRESS" in knobs else free_loopback_address()
        self.certificate = self.directory / "ca.pem"
        self.process = subprocess.Popen(
            [sys.executable, "-B", RIG / "endpoint.py", self.directory],
            env=clean_environment(directory, **{**knobs, "ADDRESS": self.address}), stdout=subprocess.PIPE, text=True,
            preexec_fn=dies_with_parent)
        assert self.process.stdout.readline() == "ready\n", "the endpoint did not start"

    def close(self):
        self.process.kill()
        self.process.wait()

    def login(self, access_left=3600, lifetime=None):
        """One whose later access tokens live `lifetime` seconds, if given."""
        more = f"&lifetime={lifetime}" if lifetime else ""
        return Login(self._admin("POST", f"mint?access_left={access_left}{more}"))

    def revoke(self, login):
        self._admin("POST", f"revoke?token={login.access_token}")

    def stats(self):
        return self._admin("GET", "stats")

    def requests(self):
        """All that it was asked so far, by time."""
        lines = (self.directory / "requests.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def newest(self, login):
        """The token pair that a login has now: {"accessToken", "refreshToken"}."""
        return self._admin("GET", f"newest?token={login.access_token}")

    @contextlib.contextmanager
    def holding(self):
        """Inside, no refresh token is spent: those who ask wait."""
        self._admin("POST", "hold")
        try:
            yield
        finally:
            self._admin("POST", "release")

    @contextlib.contextmanager
    def down(self):
        """Inside, nobody gets an answer."""
        self._admin("POST", "down")
        try:
            yield
        finally:
            self._admin("POST", "up")

    @contextlib.contextmanager
    def delay(self, seconds):
        """Inside, the token endpoint takes so long."""
        self._admin("POST", f"delay?seconds={seconds}")
        try:
            yield
        finally:
            self._admin("POST", "delay?seconds=0")

    @contextlib.contextmanager
    def fault(self, kind):
        """Inside, the token endpoint fails in that way: cut, half, 429, 503."""
        self._admin("POST", f"fault?kind={kind}")
        try:
            yield
        finally:
            self._admin("POST", "fault?kind=none")

    def _admin(self, method, path):
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        request = urllib.request.Request(f"https://{self.address}/_admin/{path}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        with opener.open(request) as answer:
            return json.load(answer)


class Store:
    """A directory on the host that keeps a login; its key, if it has one, is the file beside it."""

    def __init__(self, path):
        self.path = Path(path)
        self.key = self.path.with_name(self.path.name + ".key")

    def create(self, owner=0):
        self.path.mkdir(mode=0o700)
        os.chown(self.path, owner, owner)
        return self

    def make_key(self, owner=0):
        """As the documented line does."""
        self.key.write_text(f"{os.urandom(32).hex()}\n", encoding="ascii")
        self.key.chmod(0o600)
        os.chown(self.key, owner, owner)
        return self

    def put(self, login, owner=0):
        """As a setup container leaves it."""
        self.write(".credentials.json", json.dumps(login.credentials), owner)
        self.write(".claude.json", json.dumps({"hasCompletedOnboarding": True}), owner)
        return self

    def write(self, name, text, owner=0):
        path = self.path / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        os.chown(path, owner, owner)

    @property
    def is_sealed(self):
        return (self.path / ".claude-init/sealed-login").exists()

    @property
    def oauth(self):
        """With its refresh token, where it is sealed too."""
        own = self.path / ".claude-init"
        if not self.is_sealed:
            text = (self.path / ".credentials.json").read_bytes()
        else:
            name = re.search(rb"^store (.+)$", (own / "id").read_bytes(), re.MULTILINE)[1]
            text = sealed_format.open_((own / "sealed-login").read_bytes(), self.key.read_bytes(), name)
        return json.loads(text)["claudeAiOauth"]

    def exposed(self, token):
        """The files of the store, claude-init's own among them, that have this token in plain."""
        return [str(path.relative_to(self.path)) for path in sorted(self.path.rglob("*"))
                if path.is_file() and token.encode() in path.read_bytes()]

    @property
    def settings(self):
        return json.loads((self.path / ".claude.json").read_text(encoding="utf-8"))

    def files(self):
        """{relative path: lstat} of what a person finds here; claude-init's own directory left out."""
        return {str(path.relative_to(self.path)): path.lstat() for path in sorted(self.path.rglob("*"))
                if ".claude-init" not in path.relative_to(self.path).parts}

    def fingerprint(self):
        """Everything that a change would change, claude-init's own directory included."""
        return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_mode, path.lstat().st_uid,
                            path.read_bytes() if path.is_file() else b"") for path in sorted(self.path.rglob("*"))}


def mode(status):
    return stat.S_IMODE(status.st_mode)


class Engine:
    """`run` and `terminal` put containers where the stand-in is, and nothing else can be found."""

    def __init__(self, command, environment):
        self.command = command
        self.environment = environment

    def __call__(self, *arguments, check=True, timeout=300, **options):
        result = subprocess.run([*self.command, *map(str, arguments)], env=self.environment, capture_output=True,
                                text=True, timeout=timeout, cwd=TOP, stdin=options.pop("stdin", subprocess.DEVNULL),
                                **options)
        assert not check or result.returncode == 0, f"{self.command[0]} {arguments}: {result.returncode}\n{result.stderr}"
        return result

    def answers(self):
        return self("version", check=False).returncode == 0

    def start(self, *arguments):
        """Runs beside the test."""
        return subprocess.Popen([*self.command, *map(str, arguments)], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=TOP)

    def run(self, endpoint, *arguments, **options):
        """`docker run --rm`, not checked."""
        return self("run", "--rm", *network(endpoint), *arguments, check=False, **options)

    def terminal(self, endpoint, *arguments, **options):
        """`docker run -it --rm` on a terminal."""
        return self.on_terminal("run", "-it", "--rm", *network(endpoint), *arguments, **options)

    def on_terminal(self, *arguments, **options):
        """Any command of the engine with a person before it."""
        return Terminal(self.command[0], [*self.command[1:], *arguments], env=self.environment, **options)


class Docker(Engine):
    """The engine of engine/engine.sh."""

    def __init__(self, directory, home):
        self.directory = Path(directory)
        self.home = Path(home)
        self.real = shutil.which("docker", path=str(self.directory / "root/usr/bin"))
        environment = clean_environment(
            home, DOCKER_HOST=f"unix://{self.directory}/docker.sock", DOCKER_CONFIG=self.directory / "config")
        environment["PATH"] = f"{self.directory}/root/usr/bin:" + environment["PATH"]
        super().__init__(["docker"], environment)

    def answers(self):
        return bool(self.real) and super().answers()

    def stop(self, container, command=None):
        """`docker stop`, or another command that does it: the container ends in time, the engine does not kill it."""
        since = time.time()
        (command or (lambda: self("stop", container)))()
        assert self.signals(container, since) == [signal.SIGTERM]

    def signals(self, container, since):
        """What the engine has sent it from that time until its end, which may be told a little later."""
        told = self.start("events", f"--since={since:.9f}", f"--filter=container={container}", "--filter=event=kill",
                          "--filter=event=die", "--format={{.Action}} {{.Actor.Attributes.signal}}")
        with told:
            sent = []
            for action, number in (line.split(maxsplit=1) for line in told.stdout):
                if action == "die":
                    told.kill()
                    return sent
                sent.append(int(number))
        raise AssertionError(f"the engine told of no end of {container}")

    def shim(self, endpoint, directory):
        """An environment in which the plain command `docker run …` means `run` above: for documented command lines."""
        directory.mkdir()
        path = directory / "docker"
        # sudo resets the environment; it is to leave this one variable.
        sudoers = directory / "sudoers"
        sudoers.write_text('Defaults env_keep += "NODE_EXTRA_CA_CERTS"\n', encoding="ascii")
        sudoers.chmod(0o440)
        words = " ".join(shlex.quote(word) for word in
                         [*network(endpoint), f"--volume={sudoers}:/etc/sudoers.d/stand-in:ro"])
        path.write_text(f'#!/bin/bash\nif [[ $1 == run ]]; then shift; set -- run {words} "$@"; fi\n'
                        f'exec {shlex.quote(self.real)} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
        return {**self.environment, "PATH": f"{directory}:{self.environment['PATH']}"}


class Podman(Engine):
    """Debian's podman as root, with images and containers of its own under a directory."""

    def __init__(self, directory, home):
        self.directory = Path(directory)
        self.root = self.directory / "root"
        run = self.directory / "run"
        super().__init__(
            ["podman", f"--root={self.root}", f"--runroot={run}", f"--tmpdir={run}/tmp"],
            clean_environment(home, CONTAINERS_CONF=Path(__file__).resolve().parent / "engine/containers.conf"))

    def answers(self):
        return bool(shutil.which("podman", path=self.environment["PATH"])) and self("info", check=False).returncode == 0

    def load(self, docker, *images):
        """Images that the other engine has built."""
        self.directory.mkdir(parents=True, exist_ok=True)
        archive = self.directory / "images.tar"
        try:
            docker("save", "--output", archive, *images)
            self("load", "--quiet", "--input", archive, timeout=300)
        finally:
            archive.unlink(missing_ok=True)

    def close(self):
        """The images stay for the next time; a directory with a mount in it could not be removed."""
        self("rm", "--all", "--force", "--time=0", check=False)
        subprocess.run(["umount", self.root / "overlay"], capture_output=True, check=False)


def network(endpoint):
    """Arguments of `docker run` that lead the CLI to the stand-in; no other name can be resolved."""
    return [*(f"--add-host={name}:{endpoint.address}" for name in HOST_NAMES),
            f"--add-host={socket.gethostname()}:127.0.0.1", "--network=host",
            "--dns=0.0.0.0",
            f"--volume={endpoint.certificate}:/run/stand-in-ca.pem:ro",
            "--env=NODE_EXTRA_CA_CERTS=/run/stand-in-ca.pem"]


class Terminal(pexpect.spawn):
    """A person at a terminal. Escape sequences stay in the output; `text` leaves them out."""

    SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][A-Z0-9]|[=>78])|\r")

    def __init__(self, command, arguments, timeout=60, **options):
        super().__init__(str(command), [str(argument) for argument in arguments], encoding="utf-8",
                         codec_errors="replace", timeout=timeout, dimensions=(40, 120), **options)
        self.logfile_read = io.StringIO()

    @property
    def text(self):
        return self.SEQUENCE.sub("", self.logfile_read.getvalue())

    def expect_words(self, words, **options):
        """Words that a full-screen program may have drawn with cursor movements between them."""
        self.expect(r"(?:\s|\x1b\[[0-9;]*[A-Za-z])+".join(map(re.escape, words.split())), **options)

    def expect_prompt(self):
        self.expect(r"[$#] (?:\x1b\[K)?$")

    def expect_eof(self):
        self.expect(pexpect.EOF)

    def finish(self):
        """Reads to the end; the exit status, 128+n for a signal."""
        self.expect_eof()
        self.close()
        return self.exitstatus if self.exitstatus is not None else 128 + self.signalstatus

    def log_in(self, command):
        """At the prompt of setup's shell, which ends."""
        self.sendline(command)
        self.expect("Login successful")
        self.expect_prompt()
        self.sendline("exit")
        assert self.finish() == 0, self.text

    def settle(self):
        """Reads until the program has drawn what it wants to and waits for a key; a person is no faster."""
        while self.expect([pexpect.TIMEOUT, r".+"], timeout=0.5):
            pass

    def choose_yes(self, words):
        """A dialog of the CLI with `No` above `Yes`."""
        self.expect_words(words)
        self.expect_words("Enter to confirm")
        self.settle()
        self.send("\x1b[B")
        self.expect("❯")
        self.settle()
        self.send("\r")


class Project:
    """A Compose project of its own on a store of its own, led to the stand-in by an override file."""

    def __init__(self, docker, endpoint, directory, owner=0):
        self.docker = docker
        self.directory = directory
        self.store = Store(directory / "claude-hub").make_key(owner)
        self.port = free_port()  # the keeper's: all are on the host's network
        network = {"network_mode": "host", "dns": ["0.0.0.0"],
                   "extra_hosts": [f"{n}:{endpoint.address}" for n in HOST_NAMES],
                   "environment": {"NODE_EXTRA_CA_CERTS": "/run/stand-in-ca.pem",
                                   "CLAUDE_INIT_LISTEN": f"127.0.0.1:{self.port}"},
                   "volumes": [f"{endpoint.certificate}:/run/stand-in-ca.pem:ro"]}
        self.environment = {**docker.environment, "CLAUDE_HUB_DIR": str(self.store.path), "CLAUDE_INTERVAL": "1d",
                            "CLAUDE_HUB_USER": f"{owner}:{owner}",
                            "COMPOSE_PROJECT_NAME": f"e2e-{uuid.uuid4().hex[:8]}"}
        self.arguments = ["compose", "-f", str(TOP / "compose.yaml")]
        for service in ("setup", "keeper", "claude", "worker"):
            self.override(service, network)

    def override(self, service, settings):
        """By a file of its own: JSON is YAML."""
        path = self.directory / f"override-{len(self.arguments)}.yaml"
        path.write_text(json.dumps({"services": {service: settings}}), encoding="utf-8")
        self.arguments += ["-f", str(path)]

    def command(self, service, words):
        """What it runs, word for word."""
        self.override(service, {"command": [word.replace("$", "$$") for word in words]})

    def ask(self, target):
        """The keeper: status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def down(self):
        self("down", "--timeout", "1", "--remove-orphans", "--volumes")

    def __call__(self, *arguments, **options):
        environment, self.docker.environment = self.docker.environment, self.environment
        try:
            return self.docker(*self.arguments, *arguments, **options)
        finally:
            self.docker.environment = environment

    def terminal(self, *arguments):
        return Terminal("docker", [*self.arguments, *arguments], env=self.environment, cwd=str(TOP))


def start_claude(terminal):
    """Types the documented command into a setup shell and answers the CLI's first questions."""
    terminal.sendline("claude --dangerously-skip-permissions")
    terminal.choose_yes("trust this folder")
    terminal.choose_yes("Yes, I accept")
    terminal.expect_words("bypass permissions on")


def ask(terminal, question):
    enter(terminal, question)
    terminal.expect(ANSWER)


def leave_claude(terminal):
    """Back to where it was started from."""
    enter(terminal, "/exit")


def enter(terminal, text):
    terminal.settle()
    terminal.send(text)
    terminal.settle()
    terminal.send("\r")
