"""In a production container with a published store, or a sealed one, there is no refresh token: in no file, no system
call, no environment and no memory of any process, PID 1 included. No job that README starts finds one."""

import contextlib
import mmap
import os
import re
import shlex
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from harness import TOP, Endpoint, Terminal, wait_until
from native import descendants

BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
PERSON = 1000  # whose the store is, and whose the jobs are
THINKING = 60  # seconds that the model takes; until then the container is frozen
PAGE = mmap.PAGESIZE
PIECE = 512 * PAGE
ENTRY, PRESENT = 8, 0x40  # of /proc/PID/pagemap: bytes, and the bits in the last of them for "in memory" or "in swap"
SPAN = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r")


class Traced:
    """A container whose every process is traced from PID 1's first steps on."""

    CALLS = "read,readv,pread64,preadv,write,writev,pwrite64,sendto,sendmsg,recvfrom,recvmsg,execve,openat,rename"

    def __init__(self, container, directory):
        self.container = container
        self.trace = directory / "trace"
        container.start()
        self.strace = subprocess.Popen(
            ["strace", "--follow-forks", "--string-limit=1000000", f"--attach={container.pid}", "-e",
             f"trace={self.CALLS}", "-o", self.trace], stderr=subprocess.PIPE, text=True)
        assert "attached" in self.strace.stderr.readline()
        threading.Thread(target=self.strace.stderr.read, daemon=True).start()
        (directory / "go").write_text("go\n", encoding="ascii")

    def finds(self, token):
        """Where it is, of: trace, files, environment, memory."""
        token = token.encode()
        found = set()
        if token in self.trace.read_bytes():
            found.add("trace")
        if self.is_in_files(token):
            found.add("files")
        searched = set()
        for pid in [self.container.pid, *descendants(self.container.pid)]:
            with contextlib.suppress(ProcessLookupError):  # ended and not yet reaped: it has no memory any more
                with open(f"/proc/{pid}/environ", "rb") as environment:
                    if token in environment.read():
                        found.add("environment")
                if is_in_memory(pid, token):
                    found.add("memory")
                searched.add(pid)
        assert self.container.pid in searched and len(searched) > 1, "PID 1 or the CLI has ended"
        return found

    def is_in_files(self, token):
        """Of everything that is mounted in there."""
        search = ["grep", "-rqF", "--devices=skip", "--exclude-dir=proc", "--exclude-dir=sys", token,
                  f"/proc/{self.container.pid}/root/"]
        return subprocess.run(search, stderr=subprocess.DEVNULL, check=False).returncode == 0


def is_in_memory(pid, words):
    with (open(f"/proc/{pid}/smaps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory,
          open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages):
        span = None
        for line in maps:
            if re.match(r"[0-9a-f]+-", line):
                readable = SPAN.match(line)
                span = (int(readable[1], 16), int(readable[2], 16)) if readable else None
            elif span and line.startswith("Rss:") and line.split()[1] != "0" and is_in_span(memory, pages, *span, words):
                return True
    return False


def is_in_span(memory, pages, begin, end, words):
    """A piece at a time, each with the end of the one before it; of reservations of gigabytes only what is there."""
    rest = b""
    while begin < end:
        size = min(PIECE, end - begin)
        pages.seek(begin // PAGE * ENTRY)
        entries = pages.read(size // PAGE * ENTRY)
        if max(entries[ENTRY - 1::ENTRY], default=0) >= PRESENT:
            memory.seek(begin)
            try:
                part = memory.read(size)
            except OSError:  # the kernel's own, such as [vvar]
                return False
            if words in rest + part:
                return True
            rest = part[-len(words):]
        else:
            rest = b""
        begin += size
    return False


@pytest.fixture(name="endpoint", scope="module")
def fixture_endpoint(tmp_path_factory):
    endpoint = Endpoint(tmp_path_factory.mktemp("endpoint"), MSG_DELAY=THINKING)
    yield endpoint
    endpoint.close()


@pytest.fixture(name="traced")
def fixture_traced(docker, endpoint, production, tmp_path):
    """A production container on a store, traced from the start, frozen while its CLI waits for the model."""
    os.mkfifo(tmp_path / "go")
    frozen = []

    def traced(path, *options):
        container = production(f"--volume={path}:/claude-auth:ro", f"--volume={tmp_path}/go:/go:ro", "--entrypoint=sh",
                               *options, "claude-runtime", "-c",
                               "read go </go; exec claude-init run -- claude --print hello")
        asked = endpoint.stats()["msg_ok"]
        traced = Traced(container, tmp_path)
        wait_until(lambda: endpoint.stats()["msg_ok"] > asked, "the CLI asks the model")
        docker("pause", container.name)
        frozen.append(container)
        return traced

    yield traced
    for container in frozen:
        docker("unpause", container.name)


def catches_term(pid):
    caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    return int(caught[1], 16) & 1 << signal.SIGTERM - 1


@pytest.fixture(name="kept")
def fixture_kept(store, endpoint, tmp_path):
    """A login in a store that a keeper has sealed, and what it has published."""
    login = endpoint.login()
    store.make_key().put(login)
    published = tmp_path / "published"
    keeper = subprocess.Popen([BINARY, "keep", f"--store={store.path}", f"--seal-key={store.key}",
                               f"--publish={published}", "--renew=never"], stderr=subprocess.PIPE)
    assert b"keeping stores=1" in keeper.stderr.readline()  # it publishes when it starts, and when it ends
    wait_until(lambda: not catches_term(keeper.pid), "the loop takes its signals: before, TERM ends its start by 143")
    keeper.terminate()
    keeper.communicate(timeout=60)
    assert keeper.returncode == 0
    return login, {"published": published, "sealed": store.path}


@pytest.mark.parametrize("which", ["published", "sealed"])
def test_refresh_token_is_nowhere(kept, traced, which):
    login, paths = kept
    container = traced(paths[which])
    assert container.finds(login.refresh_token) == set()
    assert container.finds(login.access_token) == {"trace", "files", "memory"}


def test_search_finds_it_where_it_is(store, endpoint, traced):
    """With a store that is not sealed, which production is not to mount, and the token in a variable."""
    login = endpoint.login()
    store.put(login)
    found = traced(store.path, f"--env=PLANTED={login.refresh_token}").finds(login.refresh_token)
    assert found == {"trace", "files", "environment", "memory"}


# --- README -------------------------------------------------------------------------------------------------------

README = re.sub(r"\\\n *", "", (TOP / "README.md").read_text(encoding="utf-8"))
JOB = re.compile(r"docker (?:compose )?run [^\n|]*?(?= --print )")
JOBS = JOB.findall(README)
# As the job's user: what it can read of tokens, the key and what is sealed. No pattern finds itself.
SEARCH = r"""
look() { grep --recursive --files-with-matches --text --devices=skip --exclude-dir=proc --exclude-dir=sys \
  --regexp="$1" / 2>/dev/null
  cat /proc/[0-9]*/environ 2>/dev/null | grep --quiet --text --regexp="$1" && echo environment; }
echo "refresh=$(look "sk-ant-ort0[1]-FAKE" | tr "\n" ,)."
echo "access=$(look "sk-ant-oat0[1]-FAKE" | tr "\n" ,)."
echo "sealed=$(find / -path /proc -prune -o "(" -name "*seal-key*" -o -name sealed-login ")" -print 2>/dev/null |
  tr "\n" ,)."
echo "user=$(id -u)."
"""


def test_every_command_of_the_readme_that_starts_a_job_is_tried():
    assert len(JOBS) == 3 and sum("compose" in line for line in JOBS) == 2
    assert README.count(" --print ") == len(JOBS), "each job there asks by --print"
    mounts = re.findall(r"(?:-v|--volume)[ =](\S+)", " ".join(JOBS))
    assert all("hub" not in mount for mount in mounts), "no job gets a store"


class Searched:
    """What a job that searches has found, by kind; the line is typed as it is, but for the job's own command."""

    def __init__(self, line, environment, directory):
        line += f" bash -c {shlex.quote(SEARCH)}"
        terminal = Terminal("bash", ["-c", line], env=environment, cwd=str(directory), timeout=300)
        self.status, self.text = terminal.finish(), terminal.text
        self.found = dict(re.findall(r"^(\w+)=(.*)\.$", self.text, re.MULTILINE))


@pytest.fixture(name="typed")
def fixture_typed(docker, project, endpoint, tmp_path):
    """An environment in which README's lines mean this project, with a keeper that has published."""
    project.environment["CLAUDE_HUB_USER"] = f"{PERSON}:{PERSON}"
    project.store.create(PERSON).make_key(PERSON).put(endpoint.login(), PERSON)
    project("up", "--detach", "keeper")
    wait_until(lambda: project.ask("/readyz/claude")[0] == 200, "the keeper has published it")
    shim = docker.shim(endpoint, tmp_path / "bin")
    return {**project.environment, "PATH": shim["PATH"], "COMPOSE_FILE": ":".join(project.arguments[2::2])}


@pytest.mark.parametrize("line", JOBS)
def test_a_job_of_the_readme_finds_no_refresh_token(typed, line, tmp_path):
    name, repository = typed["COMPOSE_PROJECT_NAME"], tmp_path / "repository"
    repository.mkdir()
    searched = Searched(line.replace("claude-init_published", f"{name}_published"), typed,
                        TOP if "compose" in line else repository)
    assert searched.status == 0, searched.text
    assert (searched.found["refresh"], searched.found["sealed"]) == ("", ""), searched.text
    assert ".credentials.json," in searched.found["access"], "it has searched"


def test_a_job_finds_it_in_a_store_that_is_not_sealed(docker, store, endpoint, tmp_path):
    store.put(endpoint.login(), PERSON)
    os.chown(store.path, PERSON, PERSON)
    line = f"docker run --rm -v {store.path}:/claude-auth:ro claude-runtime"
    searched = Searched(line, docker.shim(endpoint, tmp_path / "bin"), tmp_path)
    assert searched.found["user"] == str(PERSON)
    assert searched.found["refresh"] == "/claude-auth/.credentials.json,", searched.text
