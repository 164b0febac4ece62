"""Jobs with the real CLI behind the gateway, which is Debian's nginx: they are on a network where nothing but the gateway
is, and hold no token."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from harness import ANSWER, PATIENCE, TOP, Store, wait_until
from isolation import dies_with_parent
from native import (PERSON, Chaos, Container, as_person, asking, descendants, failures, find_cli, machine, run_command)

BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
LIFETIME = 40  # of the access tokens
JOBS = 5
INSIDE, OUTSIDE = "10.78.1.2", "10.78.1.1"
NAME = "api.anthropic.com"
LOG_IN = "docker compose run --rm setup"
PLACEHOLDER = "sk-ant-oat01-FAKE-placeholder-for-which-the-gateway-puts-the-token"


class Network:
    """The jobs': a namespace with a wire to the gateway, and no route to anything else."""

    def __init__(self, place):
        self.process = subprocess.Popen(["unshare", "--mount", "--net", "sh", "-c", "echo made; exec cat"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=dies_with_parent)
        assert self.process.stdout.readline() == b"made\n"
        pid = str(self.process.pid)
        self.enter = ["nsenter", f"--target={pid}", "--mount", "--net", "--"]
        hosts = place.directory / "hosts-of-jobs"
        hosts.write_text(f"127.0.0.1 localhost\n{OUTSIDE} {NAME}\n", encoding="ascii")
        hosts.chmod(0o644)
        for command in (["ip", "link", "add", "to-jobs", "type", "veth", "peer", "name", "wire", "netns", pid],
                        ["ip", "address", "add", f"{OUTSIDE}/24", "dev", "to-jobs"], ["ip", "link", "set", "to-jobs", "up"],
                        [*self.enter, "ip", "address", "add", f"{INSIDE}/24", "dev", "wire"],
                        [*self.enter, "ip", "link", "set", "wire", "up"], [*self.enter, "ip", "link", "set", "lo", "up"],
                        [*self.enter, "mount", "--bind", hosts, "/etc/hosts"]):
            subprocess.run(command, check=True)
        # Of this namespace, as the engine has it in a container.
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("443", encoding="ascii")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Gateway:
    """As the person, without any capability, started anew as often as one likes."""

    def __init__(self, place, login):
        self.place = place
        self.directory = place.directory / "gateway"
        self.directory.mkdir()
        self.directory.chmod(0o755)
        os.chown(self.directory, PERSON, PERSON)
        self.ca = self.directory / "ca/ca.pem"
        self.log, self.errors = self.directory / "log", self.directory / "errors"
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SSL_CERT_FILE": str(place.endpoint.certificate),
            "CLAUDE_GATEWAY_ADDRESS": OUTSIDE, "CLAUDE_GATEWAY_PORT": "443", "CLAUDE_GATEWAY_LOGIN": str(login),
            "CLAUDE_GATEWAY_STATE": str(self.directory / "state"), "CLAUDE_GATEWAY_CA": str(self.directory / "ca"),
            "CLAUDE_GATEWAY_RUN": str(self.directory / "run"), "CLAUDE_INIT_LOGIN_COMMAND": LOG_IN}
        self.process, self.restarts = None, 0

    def start(self):
        self.log.touch()
        with self.log.open("ab") as log, self.errors.open("ab") as errors:
            # A process group of its own: a container that is killed leaves nothing.
            self.process = subprocess.Popen(
                as_person([TOP / "deploy/gateway/gateway"])[:-1] + ["--inh-caps=-all", "--bounding-set=-all", TOP / "deploy/gateway/gateway"],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=errors, start_new_session=True)

        def is_up():
            assert self.process.poll() is None, self.errors.read_text()
            return subprocess.run(["curl", "--silent", "--fail", "--output", "/dev/null", f"http://{OUTSIDE}:8080/livez"],
                                  check=False).returncode == 0

        wait_until(is_up, "the gateway's start")
        return self

    def restart(self, number):
        self.end(number)
        self.restarts += 1
        self.start()

    def end(self, number=signal.SIGKILL):
        if number == signal.SIGTERM:
            self.process.terminate()
            self.process.wait(PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not list(self._left()), "nothing of it is left")

    def _left(self):
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                _, _, rest = stat.read_text(encoding="utf-8").rpartition(")")
                if int(rest.split()[2]) == self.process.pid and rest.split()[0] not in "ZX":
                    yield stat

    def lines(self, **having):
        """Of its log, each as a dictionary."""
        found = [dict(word.split("=", 1) for word in line.split()) for line in self.log.read_text().splitlines()]
        return [line for line in found if having.items() <= line.items()]


class Place:
    def __init__(self, inner):
        self.inner = inner
        self.endpoint, self.store = inner.endpoint, inner.store
        self.published, self.jobs = inner.directory / "published", inner.directory / "jobs"
        for directory in (self.published, self.jobs):
            directory.mkdir()
            os.chown(directory, PERSON, PERSON)
        self.network = Network(inner)
        self.keeper = Container("keeper", inner, as_person([
            BINARY, "keep", f"--store=login={self.store.path}", f"--publish={self.published}/login",
            f"--publish-placeholder={self.jobs}/login"]))
        self.keeper.environment["CLAUDE_INIT_LOGIN_COMMAND"] = LOG_IN
        self.gateway = Gateway(inner, self.published / "login/.credentials.json")

    def start(self):
        self.keeper.start()
        wait_until((self.jobs / "login/.credentials.json").exists, "a placeholder")
        self.gateway.start()
        return self

    def close(self):
        if self.gateway.process:
            self.gateway.end()
        self.keeper.kill()
        for container in self.inner.containers:
            container.kill()
        self.network.close()

    def command(self, *words, options=()):
        command = run_command(BINARY, self.inner, *words, options=options)
        return [word if not str(word).startswith("--store=") else f"--store={self.jobs}/login" for word in command]

    def job(self, name, *words, wrapper=()):
        return Container(name, self.inner, self.command(*words), wrapper=[*self.network.enter, *wrapper],
                         NODE_EXTRA_CA_CERTS=self.gateway.ca)

    def ask(self, *words):
        """One job to its end."""
        return subprocess.run([*self.network.enter, *map(str, self.command("claude", "--print", *words))],
                              env=self.inner.environment(self.inner.home(), NODE_EXTRA_CA_CERTS=self.gateway.ca),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False)

    def curl(self, *words):
        return subprocess.run([*self.network.enter, "curl", "--silent", "--show-error", "--max-time", "20", *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def tokens(self):
        """All that the stand-in has ever given out for the login that the store has."""
        text = self.store.oauth
        return [text["accessToken"], text["refreshToken"]]


@pytest.fixture(name="place")
def fixture_place():
    if not shutil.which("nginx", path="/usr/sbin:/usr/bin"):
        pytest.skip("needs nginx with njs (apt-get install nginx libnginx-mod-http-js)")
    with machine(find_cli(), REUSE="family", ABANDONED="drop", LATE=15, MSG_DELAY=1) as inner:
        place = Place(inner)
        try:
            yield place
        finally:
            place.close()


def test_five_jobs_get_every_answer_over_six_expiries_whatever_is_restarted(place):
    login = place.inner.log_in(LIFETIME)
    place.start()
    jobs = [place.job(f"job-{number}", *asking(2)) for number in range(JOBS)]
    for job in jobs:
        job.start()
    wait_until(lambda: all(job.lines() for job in jobs), "an answer for each job")
    chaos = Chaos(place, [place.keeper], login, pause=(11, 17), renewers=1)
    kills = {"TERM": 0, "KILL": 0}

    def cut(number):
        """In the middle of a request, which takes a second."""
        before = len(place.endpoint.requests())
        wait_until(lambda: place.endpoint.stats()["msg_ok"] > len(place.gateway.lines(path="/v1/messages", status="200"))
                   or len(place.endpoint.requests()) > before, "a request")
        place.gateway.restart(number)
        kills[number.name[3:]] += 1

    end = time.monotonic() + 10 * LIFETIME
    for number in [signal.SIGTERM, signal.SIGKILL] * 50:
        chaos.run(14)
        cut(number)
        if place.endpoint.stats()["refresh_ok"] >= 6 and kills["KILL"] >= 4 or time.monotonic() > end:
            break
    answered = [len(job.lines()) for job in jobs]
    wait_until(lambda: all(len(job.lines()) > before for job, before in zip(jobs, answered)), "one more answer for each")
    for job in jobs:
        job.stop()
    lines = [line for job in jobs for line in job.lines()]
    asked = place.endpoint.requests()
    refreshes = [line for line in asked if line["path"].startswith("/v1/oauth/token")]
    messages = [line for line in asked if line["path"].startswith("/v1/messages") and line["m"] == "POST"]
    print(f"{len(lines)} answers in {[len(job.lines()) for job in jobs]}, {len(messages)} requests for them at the API; "
          f"{len(refreshes)} renewals; the gateway restarted {kills}; {chaos.report()}")
    statuses = {}
    for line in place.gateway.lines(path="/v1/messages"):
        statuses[line["status"]] = statuses.get(line["status"], 0) + 1
    print("the gateway's answers:", statuses)
    assert not failures(lines), failures(lines)
    assert place.endpoint.stats()["refresh_ok"] >= 6 and len(refreshes) >= 6
    assert all(line["bearer"].startswith("sk-ant-oat01-FAKE") and line["bearer"] != PLACEHOLDER for line in messages)
    # Renewing is the keeper's alone: the name of that server leads nowhere for jobs.
    assert not place.gateway.lines(path="/v1/oauth/token")
    assert json.loads((place.jobs / "login/.credentials.json").read_text())["claudeAiOauth"]["accessToken"] == PLACEHOLDER


def files_below(directory):
    return [path for path in Path(directory).rglob("*") if path.is_file() and not path.is_symlink()]


def memory_of(pid):
    """All that a process can read of itself."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/mem", "rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            if line.split()[1][0] != "r" or end - begin > 1 << 31:
                continue
            with contextlib.suppress(OSError, OverflowError, ValueError):
                memory.seek(begin)
                yield memory.read(end - begin)


def test_nothing_of_a_token_is_in_a_job(place):
    """In its files, environments, memory, and in what it reads and writes by system calls."""
    place.inner.log_in(3600)
    place.start()
    secrets = [token.encode() for token in place.tokens()]
    trace = place.inner.directory / "trace"
    job = place.job("job", "sh", "-c", "claude --print hello; claude --print --allowedTools Bash -- 'RUNBASH:tail -f /dev/null:END'",
                    wrapper=["strace", "--follow-forks", "--string-limit=100000", "--trace=read,write,readv,writev,sendto,recvfrom,"
                             "sendmsg,recvmsg,pread64,execve", "--output", trace])
    job.start()
    wait_until(lambda: any(Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"tail\x00-f") for pid in alive(job)),
               "the CLI has asked twice and runs a command")
    seen = 0
    for pid in alive(job):
        for name in ("environ", "cmdline"):
            text = Path(f"/proc/{pid}/{name}").read_bytes()
            assert not any(secret in text for secret in secrets), (pid, name)
        for piece in memory_of(pid):
            seen += piece.count(PLACEHOLDER.encode())
            assert not any(secret in piece for secret in secrets), pid
    assert seen, "the placeholder is found that way"
    for directory in (place.jobs, place.inner.copies, *place.inner.directory.glob("home-*")):
        for path in files_below(directory):
            assert not any(secret in path.read_bytes() for secret in secrets), path
    assert any(PLACEHOLDER.encode() in path.read_bytes() for path in files_below(place.inner.copies))
    text = trace.read_bytes()
    assert PLACEHOLDER.encode() in text and not any(secret in text for secret in secrets)
    job.kill()


def alive(job):
    return descendants(job.process.pid)


def test_a_revoked_login_ends_all_jobs_with_what_to_type_and_a_new_one_brings_them_back(place):
    login = place.inner.log_in(3600)
    place.start()
    jobs = [place.job(f"job-{number}", *asking(1)) for number in range(3)]
    for job in jobs:
        job.start()
    wait_until(lambda: all(f"0 {ANSWER}" in job.lines() for job in jobs), "an answer for each job")
    place.endpoint.revoke(login)
    message = f"API Error: 403 claude-init: the server does not accept this login any more; log in again: {LOG_IN}"
    wait_until(lambda: all(job.lines()[-1].startswith("1 ") and message in job.lines()[-1] for job in jobs), "each is told")
    place.store.put(place.endpoint.login(), PERSON)
    before = [len(job.lines()) for job in jobs]
    wait_until(lambda: all(f"0 {ANSWER}" in job.lines()[count:] for job, count in zip(jobs, before)), "each works")
    for job in jobs:
        job.stop()


def test_the_cli_shows_what_the_gateway_says_without_a_login(place):
    place.inner.log_in(3600)
    place.start()
    place.keeper.kill()
    (place.published / "login/.credentials.json").rename(place.published / "away")
    answer = place.ask("hello")
    assert answer.returncode == 1
    assert f"API Error: 403 claude-init: no login yet; run: {LOG_IN}" in answer.stdout
    (place.published / "away").rename(place.published / "login/.credentials.json")
    assert place.ask("hello").stdout.strip() == ANSWER


def test_jobs_reach_the_gateway_and_nothing_else(place):
    place.inner.log_in(3600)
    place.start()
    trusted = ["--cacert", place.gateway.ca]
    header = ["--header", f"Authorization: Bearer {PLACEHOLDER}"]
    assert '"email"' in place.curl(*trusted, *header, f"https://{NAME}/api/oauth/profile").stdout
    for target in ("https://platform.claude.com/", "https://github.com/", "https://example.org/"):
        assert "Could not resolve host" in place.curl(target).stderr
    for address in ("1.1.1.1", "10.77.0.1", "127.0.0.1"):
        assert re.search("Couldn't connect|Failed to connect|Network is unreachable", place.curl(f"https://{address}/").stderr)
    # What the CLI's own calls were, for the page on it.
    assert place.ask("hello").stdout.strip() == ANSWER
    print(sorted({f"{line['method']} {line['path']} {line['status']}" for line in place.gateway.lines()}))
    hosts = {line["host"] for line in place.endpoint.requests() if line["host"] != "127.0.0.1"}
    assert hosts <= {NAME, "127.0.0.1"}, hosts
