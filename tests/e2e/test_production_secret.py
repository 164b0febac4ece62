"""In a production container with a published store there is no refresh token: in no file, no system call, no environment
and no memory of any process, PID 1 included."""

import contextlib
import mmap
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from harness import Endpoint, wait_until
from native import descendants

BINARY = os.environ.get("CLAUDE_INIT_BINARY", "")
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


def test_refresh_token_is_nowhere(store, endpoint, traced, tmp_path):
    login = endpoint.login()
    store.put(login)
    published = tmp_path / "published"
    keeper = subprocess.Popen([BINARY, "keep", f"--store={store.path}", f"--publish={published}", "--renew=never"],
                              stderr=subprocess.PIPE)
    assert b"keeping stores=1" in keeper.stderr.readline()  # it publishes when it starts, and when it ends
    wait_until(lambda: not catches_term(keeper.pid), "the loop takes its signals: before, TERM ends its start by 143")
    keeper.terminate()
    keeper.communicate(timeout=60)
    assert keeper.returncode == 0
    container = traced(published)
    assert container.finds(login.refresh_token) == set()
    assert container.finds(login.access_token) == {"trace", "files", "memory"}


def test_search_finds_it_where_it_is(store, endpoint, traced):
    """With a full store, which production is not to mount, and the token in a variable."""
    login = endpoint.login()
    store.put(login)
    found = traced(store.path, f"--env=PLANTED={login.refresh_token}").finds(login.refresh_token)
    assert found == {"trace", "files", "environment", "memory"}
