"""The stand-in and the real CLI without an engine: in namespaces of this process, so that several tests can run at once.

A container is here what an engine makes of it where coherence is concerned: PID and mount namespaces of its own, which
go with their PID 1.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from harness import ANSWER, HOST_NAMES, Endpoint, Store, clean_environment, wait_until

PERSON = 1000  # owns the store and runs the commands
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
CLI_IN_IMAGE = "/usr/local/share/npm-global/lib/node_modules/@anthropic-ai/claude-code-linux-x64/claude"

libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


@contextlib.contextmanager
def network_of_our_own():
    """Inside, this process and its children see the loopback only, and every name of the CLI leads there."""
    before = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt")]
    _check(libc.unshare(CLONE_NEWNS | CLONE_NEWNET), "unshare")
    try:
        with tempfile.NamedTemporaryFile("w", prefix="hosts-") as hosts:
            hosts.write(f"127.0.0.1 localhost {socket.gethostname()} {' '.join(HOST_NAMES)}\n")
            hosts.flush()
            os.chmod(hosts.name, 0o644)
            for command in (["ip", "link", "set", "lo", "up"], ["mount", "--make-rprivate", "/"],
                            ["mount", "--bind", hosts.name, "/etc/hosts"]):
                subprocess.run(command, check=True)
            yield
    finally:
        for namespace in before:
            _check(libc.setns(namespace, 0), "setns")
            os.close(namespace)


def find_cli():
    """The CLI's own binary: CLAUDE_INIT_E2E_CLI, or out of the image."""
    if given := os.environ.get("CLAUDE_INIT_E2E_CLI"):
        return Path(given)
    engine = Path(os.environ.get("CLAUDE_INIT_E2E_ENGINE", "/nonexistent"))
    docker, kept = engine / "root/usr/bin/docker", engine / "cli/claude"
    if not docker.exists():
        pytest.skip("no CLI: CLAUDE_INIT_E2E_CLI, or an engine in CLAUDE_INIT_E2E_ENGINE (tests/e2e/README.md)")
    kept.parent.mkdir(exist_ok=True)
    with open(kept.parent / "taking", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        environment = clean_environment("/nonexistent", DOCKER_HOST=f"unix://{engine}/docker.sock")
        container = subprocess.run([docker, "create", "claude-runtime:latest"], env=environment, check=True, text=True,
                                   capture_output=True).stdout.strip()
        subprocess.run([docker, "cp", "--follow-link", f"{container}:{CLI_IN_IMAGE}", kept], env=environment, check=True)
        subprocess.run([docker, "rm", container], env=environment, check=True, capture_output=True)
    return kept


class Machine:
    """A place where everybody can read, with the stand-in on its network, a store and a directory for working copies.

    `claude` on its PATH is the CLI, or what the test gives out as one.
    """

    def __init__(self, directory, cli, **knobs):
        self.directory = Path(directory)
        self.directory.chmod(0o755)
        self.bin = self._directory("bin")
        (self.bin / "claude").symlink_to(cli)
        self.copies = self._directory("copies", mode=0o1777)
        self.logs = self._directory("logs")
        certificates = self._directory("endpoint")
        self.endpoint = Endpoint(certificates, **knobs)
        self.store = Store(self.directory / "store").create(PERSON)
        self.homes = 0

    def _directory(self, name, mode=0o755):
        path = self.directory / name
        path.mkdir()
        path.chmod(mode)
        return path

    def close(self):
        self.endpoint.close()

    def home(self):
        self.homes += 1
        home = self._directory(f"home-{self.homes}")
        os.chown(home, PERSON, PERSON)
        return home

    def environment(self, home, **more):
        environment = clean_environment(home, DISABLE_AUTOUPDATER=1, NODE_EXTRA_CA_CERTS=self.endpoint.certificate,
                                        XDG_RUNTIME_DIR=self.copies, **more)
        environment["PATH"] = f"{self.bin}:{environment['PATH']}"
        return environment

    def log_in(self, lifetime, access_left=None):
        """A login in the store whose access tokens all live that long."""
        login = self.endpoint.login(lifetime if access_left is None else access_left, lifetime)
        self.store.put(login, PERSON)
        return login

    def saved(self, token):
        """Whether a token is in a file of the store: what has happened to it can be found out and mended."""
        for name in (".credentials.json", ".claude-init/renewal/config/.credentials.json"):
            with contextlib.suppress(OSError):
                if token in (self.store.path / name).read_text(encoding="utf-8"):
                    return True
        return False


@contextlib.contextmanager
def machine(cli, **knobs):
    with tempfile.TemporaryDirectory(prefix="coherence-", dir="/tmp") as directory, network_of_our_own():
        machine_ = Machine(directory, cli, **knobs)
        try:
            yield machine_
        finally:
            machine_.close()


class Container:
    """A command as PID 1 in namespaces of its own, one line of output a result; started anew as often as one likes."""

    def __init__(self, name, machine_, command, wrapper=(), **environment):
        self.log = machine_.logs / name
        self.command = [*wrapper, "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc",
                        *map(str, command)]
        self.environment = machine_.environment(machine_.home(), **environment)
        self.process = None
        self.starts = 0

    def start(self):
        self.starts += 1
        with open(self.log, "ab") as log, open(self.log.with_suffix(".errors"), "ab") as errors:
            self.process = subprocess.Popen(self.command, env=self.environment, cwd=self.environment["HOME"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=errors)

    @property
    def init(self):
        """PID 1, seen from outside; None before it is there and when it has gone."""
        children = children_of(self.process.pid)
        return children[0] if children else None

    def renews(self):
        return self.init is not None and any(b"auth\0status" in command_line(pid) for pid in descendants(self.init))

    def kill(self):
        """As an engine does: PID 1 by SIGKILL, all others with it. Returns when none is left."""
        if self.init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def stop(self, patience=20):
        """TERM, as for `docker stop`; the status."""
        if self.init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGTERM)
        return self.process.wait(patience)

    def lines(self):
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []

    def errors(self):
        return self.log.with_suffix(".errors").read_text(encoding="utf-8", errors="replace")


def children_of(pid):
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


def descendants(pid):
    return [found for child in children_of(pid) for found in [child, *descendants(child)]]


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


class Chaos:
    """Kills one container every few seconds and starts it anew, the renewing one if there is one.

    Of those that renew one login's next tokens it kills at most `renewers`, or nobody would ever be done. It never kills
    between the answer of the endpoint and the write of the CLI: no client can survive that (docs/coherence.md).
    """

    def __init__(self, machine_, containers, login, pause=(2, 5), renewers=2, seed=None):
        self.machine, self.containers, self.login = machine_, containers, login
        self.pause, self.renewers = pause, renewers
        self.random = random.Random(seed)
        self.kills = self.renewing = self.renewing_tokens = 0
        self.waited_for_window = 0
        self.token = None

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.strike(min(end, time.monotonic() + self.random.uniform(*self.pause)))

    def strike(self, deadline):
        """Waits until then, or for somebody who renews; one of them is killed."""
        while time.monotonic() < deadline:
            renewing = next((one for one in self.containers if one.renews()), None)
            if renewing and self.may_kill_renewer():
                # From its first instruction to the publication.
                time.sleep(self.random.uniform(0, 1.5))
                self.renewing_tokens += 1
                self.renewing += renewing.renews()
                self.restart(renewing)
                return
            time.sleep(0.05)
        self.restart(self.random.choice(self.containers))

    def may_kill_renewer(self):
        token = self.machine.endpoint.newest(self.login)["refreshToken"]
        if token != self.token:
            self.token, self.renewing_tokens = token, 0
        return self.renewing_tokens < self.renewers

    def restart(self, container):
        self.kills += 1
        with self.machine.endpoint.holding():
            newest = self.machine.endpoint.newest(self.login)["refreshToken"]
            if not self.machine.saved(newest):
                self.waited_for_window += 1
                wait_until(lambda: self.machine.saved(newest), "the CLI writes the new tokens")
            container.kill()
        container.start()


def run_command(binary, machine_, *command, options=()):
    """`claude-init run` on the machine's store, as the person."""
    return [binary, "run", f"--store={machine_.store.path}", f"--user={PERSON}:{PERSON}",
            f"--workdir={machine_.copies}", *options, "--", *command]


def asking(pause):
    """A command that asks the CLI for ever: a line `STATUS WORDS` each time."""
    return ["sh", "-c", f'while :; do answer=$(claude --print hello 2>&1 </dev/null); echo "$? $answer"; sleep {pause}; done']


def failures(lines):
    return [line for line in lines if line not in (f"0 {ANSWER}", "ok")]


def as_person(command):
    return ["setpriv", f"--reuid={PERSON}", f"--regid={PERSON}", "--clear-groups", *map(str, command)]


def write_json(path, content, owner=PERSON):
    path.write_text(json.dumps(content), encoding="utf-8")
    path.chmod(0o600)
    os.chown(path, owner, owner)


def copy_for_person(source, target):
    """`cp -r` of a store."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(".claude-init"))
    for path in [target, *target.rglob("*")]:
        os.chown(path, PERSON, PERSON)
