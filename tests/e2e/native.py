"""The stand-in and the real CLI without an engine: in namespaces of this process, so that several tests can run at once.

A container is here what an engine makes of it where coherence is concerned: PID and mount namespaces of its own, which
go with their PID 1.
"""

import contextlib
import ctypes
import datetime
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "versions"))

# pylint: disable=wrong-import-position
import clis
from harness import ANSWER, HOST_NAMES, PATIENCE, Endpoint, Store, clean_environment, wait_until
from isolation import dies_with_parent

PERSON = 1000  # owns the store and runs the commands
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
CLI_IN_IMAGE = "/usr/local/share/npm-global/bin/claude"  # a link to the binary

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


def find_cli(version=None):
    """The CLI's own binary: of that version from npm, or CLAUDE_INIT_E2E_CLI, or out of the image."""
    if version:
        return (clis.installed(version) / "claude").resolve()
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
        # Never written in place: a test beside this one may be running it.
        new = kept.with_suffix(".new")
        subprocess.run([docker, "cp", "--follow-link", f"{container}:{CLI_IN_IMAGE}", new], env=environment, check=True)
        new.replace(kept)
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
        self.provide("claude", cli)
        self.copies = self._directory("copies", mode=0o1777)
        self.logs = self._directory("logs")
        certificates = self._directory("endpoint")
        self.endpoint = Endpoint(certificates, **{"ADDRESS": "127.0.0.1", **knobs})
        self.store = Store(self.directory / "store").create(PERSON)
        self.homes = 0
        self.containers = []

    def _directory(self, name, mode=0o755):
        path = self.directory / name
        path.mkdir()
        path.chmod(mode)
        return path

    def close(self):
        for container in self.containers:
            container.kill()
        self.endpoint.close()

    def provide(self, name, program):
        """A program where everybody can reach it, whatever the rights on the way to it."""
        (self.bin / name).touch()
        subprocess.run(["mount", "--bind", program, self.bin / name], check=True)

    def home(self):
        self.homes += 1
        home = self._directory(f"home-{self.homes}")
        os.chown(home, PERSON, PERSON)
        return home

    def environment(self, home, **more):
        environment = clean_environment(home, **{"DISABLE_AUTOUPDATER": 1, "NODE_EXTRA_CA_CERTS": self.endpoint.certificate,
                                                 "XDG_RUNTIME_DIR": self.copies, **more})
        environment["PATH"] = f"{self.bin}:{environment['PATH']}"
        return environment

    def log_in(self, lifetime, access_left=None):
        """A login in the store whose access tokens all live that long."""
        login = self.endpoint.login(lifetime if access_left is None else access_left, lifetime)
        self.store.put(login, PERSON)
        return login


@contextlib.contextmanager
def machine(cli, **knobs):
    with tempfile.TemporaryDirectory(prefix="coherence-", dir="/tmp") as directory, network_of_our_own():
        place = Machine(directory, cli, **knobs)
        try:
            yield place
        finally:
            place.close()


class Container:
    """A command as PID 1 in namespaces of its own, one line of output a result; started anew as often as one likes."""

    def __init__(self, name, place, command, wrapper=(), **environment):
        self.log = place.logs / name
        self.command = [*wrapper, "unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc",
                        *map(str, command)]
        self.environment = place.environment(place.home(), **environment)
        self.process = None
        self.lines_before = 0
        place.containers.append(self)

    def start(self):
        self.lines_before = len(self.lines())
        with open(self.log, "ab") as log, open(self.log.with_suffix(".errors"), "ab") as errors:
            self.process = subprocess.Popen(self.command, env=self.environment, cwd=self.environment["HOME"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=errors,
                                            preexec_fn=dies_with_parent)

    @property
    def init(self):
        """PID 1, seen from outside; None before it is there and when it has gone."""
        children = children_of(self.process.pid)
        return children[0] if children else None

    def renews(self):
        return self.init is not None and is_renewing(self.init)

    def kill(self):
        """As an engine does: PID 1 by SIGKILL, all others with it. Returns when none is left."""
        if self.process is None:
            return
        init = self.init
        if init is None:
            self.process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(init, signal.SIGKILL)
        self.process.wait()  # unshare ends after its child, and that one after all that it had

    def stop(self, patience=PATIENCE):
        """TERM, as for `docker stop`, when the command is there: before that PID 1 may not listen yet. The status."""
        wait_until(lambda: self.process.poll() is not None or (self.init and children_of(self.init)), "a command")
        if self.init is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGTERM)
        return self.process.wait(patience)

    def lines(self):
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []

    def has_answered(self):
        """Since it was started last."""
        return len(self.lines()) > self.lines_before

    def errors(self):
        return self.log.with_suffix(".errors").read_text(encoding="utf-8", errors="replace")


def children_of(pid):
    """Whichever of its threads has made them."""
    children = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            children += [int(word) for word in (thread / "children").read_text(encoding="ascii").split()]
    return children


def descendants(pid):
    return [found for child in children_of(pid) for found in [child, *descendants(child)]]


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def is_renewing(init):
    """Whether the CLI renews a login below this process."""
    return any(b"--print\0--model\0haiku\0ok" in command_line(pid) for pid in descendants(init))


class Host:
    """Another machine: a host name, mounts and a network of its own, with a wire to this one and memory for its copies."""

    def __init__(self, place, number):
        here, there = f"10.77.{number}.1", f"10.77.{number}.2"
        self.process = subprocess.Popen(["unshare", "--mount", "--net", "--uts", "sh", "-c", "echo made; exec cat"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"made\n"
        pid = str(self.process.pid)
        self.enter = ["nsenter", f"--target={pid}", "--mount", "--net", "--uts", "--"]
        hosts = place.directory / f"hosts-{number}"
        hosts.write_text(f"127.0.0.1 localhost host-{number}\n{here} {' '.join(HOST_NAMES)}\n", encoding="ascii")
        hosts.chmod(0o644)
        wire = f"wire-{number}"
        for command in (["ip", "link", "add", wire, "type", "veth", "peer", "name", "wire", "netns", pid],
                        ["ip", "address", "add", f"{here}/24", "dev", wire], ["ip", "link", "set", wire, "up"],
                        [*self.enter, "ip", "address", "add", f"{there}/24", "dev", "wire"],
                        [*self.enter, "ip", "link", "set", "wire", "up"], [*self.enter, "ip", "link", "set", "lo", "up"],
                        [*self.enter, "hostname", f"host-{number}"],
                        [*self.enter, "mount", "--bind", hosts, "/etc/hosts"],
                        [*self.enter, "mount", "-t", "tmpfs", "-o", "mode=1777", "copies", place.copies]):
            subprocess.run(command, check=True)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Chaos:
    """Kills one container every few seconds and starts it anew, the renewing one if there is one.

    Of those that renew one login's next tokens, which takes about `renewal` seconds, it kills at most `renewers`, or nobody
    would ever be done. It never kills between the answer of the endpoint and the write of the CLI: no client can survive that (docs/coherence.md).
    """

    def __init__(self, place, containers, login, pause=(2, 5), renewers=2, renewal=1.5):
        self.endpoint, self.store, self.containers, self.login = place.endpoint, place.store, containers, login
        self.pause, self.renewers, self.renewal = pause, renewers, renewal
        self.random = random.Random()
        self.kills = self.kills_of_renewers = self.kills_for_token = self.kills_put_off = 0
        self.token = None

    def run(self, seconds, kills=0, of_renewers=0):
        """For so long, and, where the machine is busy, until so many were killed, up to ten times as long."""
        begun = time.monotonic()
        end, latest = begun + seconds, begun + 10 * seconds
        while (now := time.monotonic()) < end or (
                now < latest and (self.kills < kills or self.kills_of_renewers < of_renewers)):
            strike = now + self.random.uniform(*self.pause)
            self.strike(min(end, strike) if now < end else strike)

    def strike(self, deadline):
        """Waits until then, or for somebody who renews; one of them is killed."""
        while time.monotonic() < deadline:
            renewing = next((one for one in self.containers if one.renews()), None)
            if renewing and self.may_kill_renewer():
                # From its first instruction to the publication.
                time.sleep(self.random.uniform(0, self.renewal))
                self.kills_for_token += 1
                self.kills_of_renewers += renewing.renews()
                self.restart(renewing)
                return
            time.sleep(0.05)
        # A machine that is busy for longer than a pause is given the time to answer at all.
        ready = [one for one in self.containers if getattr(one, "has_answered", lambda: True)()]
        if ready:
            self.restart(self.random.choice(ready))

    def may_kill_renewer(self):
        token = self.endpoint.newest(self.login)["refreshToken"]
        if token != self.token:
            self.token, self.kills_for_token = token, 0
        return self.kills_for_token < self.renewers

    def restart(self, container):
        self.kills += 1
        with self.endpoint.holding():
            newest = self.endpoint.newest(self.login)["refreshToken"]
            if not self.saved(newest):
                self.kills_put_off += 1
                wait_until(lambda: self.saved(newest), "the CLI writes the new tokens")
            container.kill()
        container.start()

    def saved(self, token):
        """Whether it is in a file of the store, where whoever comes next finds it."""
        with contextlib.suppress(OSError, ValueError):
            if token == self.store.oauth["refreshToken"]:
                return True
        left = self.store.path / ".claude-init/renewal/config/.credentials.json"
        with contextlib.suppress(OSError):
            return token in left.read_text(encoding="utf-8")
        return False

    def report(self):
        late = [line["late"]["successor_out_for"] for line in self.endpoint.requests() if "late" in line]
        return (f"{sum(len(one.lines()) for one in self.containers)} answers, {self.kills} kills, {self.kills_of_renewers} "
                f"of them amid a renewal, {self.kills_put_off} put off for the window; late, seconds after the "
                f"next token was out: {late}; {self.endpoint.stats()}")


def begun_too_late(endpoint, first_end, logs):
    """The tokens that somebody replaced after their end without having begun before it: nobody here has to be quick for that.
    A CLI that is slow may renew twice in one renewal. Whoever renews logs as JSON, at level debug."""
    begun = sorted(datetime.datetime.fromisoformat(time).timestamp() for time in re.findall(
        r'"time":"([^"]+)","level":"debug","pid":\d+,"message":"renewing the login"', logs))
    issued, end, late = 0.0, first_end, []
    for line in endpoint.requests():
        if "issued" in line:
            if line["issued"] > end and not any(int(issued) <= at <= end for at in begun):  # the log has whole seconds
                late.append((issued, end, line["issued"]))
            issued, end = line["issued"], line["ends"]
    return late


def run_command(binary, place, *command, options=()):
    """`claude-init run` on the machine's store, as the person."""
    return [binary, "run", f"--store={place.store.path}", f"--user={PERSON}:{PERSON}",
            f"--workdir={place.copies}", *options, "--", *command]


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
