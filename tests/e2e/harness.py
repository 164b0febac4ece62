"""What the end-to-end tests are written in."""

import io
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pexpect

TOP = Path(__file__).resolve().parents[2]
RIG = TOP / "tests/e2e/rig"
ANSWER = "CANNED-ANSWER"
HOST_NAMES = ["platform.claude.com", "api.anthropic.com", "claude.ai", "claude.com", "console.anthropic.com"]
LOGIN_COMMAND = "claude auth login"

# Statuses of claude-init's own (src/options/exit_status.h).
EXIT_MALFORMED, EXIT_NO_STORE, EXIT_NOT_LOGGED_IN, EXIT_EXPIRED, EXIT_PERMISSION = 65, 66, 67, 68, 77


def clean_environment(home, **more):
    """Nothing of the caller's, so that no login or setting of this machine takes part."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home),
            "LANG": "C.UTF-8", "TERM": "xterm-256color", **{key: str(value) for key, value in more.items()}}


def wait_until(condition, what, timeout=30):
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


class Endpoint:
    """rig/endpoint.py on 127.0.0.1:443 of the host's network."""

    def __init__(self, directory, **knobs):
        self.directory = Path(directory)
        self.certificate = self.directory / "ca.pem"
        self.process = subprocess.Popen(
            [sys.executable, "-B", RIG / "endpoint.py", self.directory],
            env=clean_environment(directory, **knobs), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", "the endpoint did not start"

    def close(self):
        self.process.kill()
        self.process.wait()

    def login(self, access_left=3600):
        return Login(self._admin("POST", f"mint?access_left={access_left}"))

    def revoke(self, login):
        self._admin("POST", f"revoke?token={login.access_token}")

    def stats(self):
        return self._admin("GET", "stats")

    def _admin(self, method, path):
        context = ssl.create_default_context(cafile=self.certificate)
        context.check_hostname = False
        request = urllib.request.Request(f"https://127.0.0.1/_admin/{path}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}),
                                             urllib.request.HTTPSHandler(context=context))
        with opener.open(request) as answer:
            return json.load(answer)


class Store:
    """A directory on the host that keeps a login."""

    def __init__(self, path):
        self.path = Path(path)

    def create(self, owner=0):
        self.path.mkdir(mode=0o700)
        os.chown(self.path, owner, owner)
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
    def oauth(self):
        return json.loads((self.path / ".credentials.json").read_text(encoding="utf-8"))["claudeAiOauth"]

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


class Docker:
    """The engine of engine/engine.sh. `run` puts containers where the stand-in is, and nothing else can be found."""

    def __init__(self, directory, home):
        self.directory = Path(directory)
        self.home = Path(home)
        self.real = shutil.which("docker", path=str(self.directory / "root/usr/bin"))
        self.environment = clean_environment(
            home, DOCKER_HOST=f"unix://{self.directory}/docker.sock", DOCKER_CONFIG=self.directory / "config")
        self.environment["PATH"] = f"{self.directory}/root/usr/bin:" + self.environment["PATH"]

    def answers(self):
        return bool(self.real) and self("version", check=False).returncode == 0

    def __call__(self, *arguments, check=True, timeout=120, **options):
        result = subprocess.run(["docker", *map(str, arguments)], env=self.environment, capture_output=True, text=True,
                                timeout=timeout, cwd=TOP, stdin=options.pop("stdin", subprocess.DEVNULL), **options)
        assert not check or result.returncode == 0, f"docker {arguments}: {result.returncode}\n{result.stderr}"
        return result

    def start(self, *arguments):
        """Runs beside the test."""
        return subprocess.Popen(["docker", *map(str, arguments)], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=TOP)

    def run(self, endpoint, *arguments, **options):
        """`docker run --rm`, not checked."""
        return self("run", "--rm", *network(endpoint), *arguments, check=False, **options)

    def terminal(self, endpoint, *arguments, **options):
        """`docker run -it --rm` on a terminal."""
        return Terminal("docker", ["run", "-it", "--rm", *network(endpoint), *map(str, arguments)],
                        env=self.environment, **options)

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


def network(endpoint):
    """Arguments of `docker run` that lead the CLI to the stand-in; no other name can be resolved."""
    return [*(f"--add-host={name}:127.0.0.1" for name in [*HOST_NAMES, socket.gethostname()]), "--network=host",
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

    def finish(self):
        """Reads to the end; the exit status, 128+n for a signal."""
        self.expect(pexpect.EOF)
        self.close()
        return self.exitstatus if self.exitstatus is not None else 128 + self.signalstatus

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
