"""`claude --continue` in the next container finds the session of the last: the real CLI, --persist and --sessions."""

import json
from types import SimpleNamespace

from harness import ANSWER, network

IMAGE = "claude-runtime"
KEEP = "--env=CLAUDE_INIT_PERSIST=sessions"


class Job:
    """The command line of a job that prints JSON, and what came of it."""

    def __init__(self, docker, endpoint, *options):
        self.docker, self.arguments = docker, [endpoint, *options, IMAGE, "--output-format", "json"]

    def start(self, *words):
        endpoint, *arguments = self.arguments
        return self.docker.start("run", "--rm", *network(endpoint), *arguments, *words)

    def __call__(self, *words):
        return self.result(self.docker.run(*self.arguments, *words))

    @staticmethod
    def result(done):
        assert done.returncode == 0, done.stdout + done.stderr
        answer = json.loads(done.stdout)
        assert answer["result"] == ANSWER
        return answer["session_id"]


def sessions(directory):
    """{session: what was asked in it} of the projects in a directory on the host."""
    return {path.stem: path.read_text() for path in directory.glob("projects/*/*.jsonl")}


def test_the_next_container_goes_on_with_the_session(docker, endpoint, ready_store):
    job = Job(docker, endpoint, f"--volume={ready_store.path}:/claude-auth", KEEP)
    session = job("--print", "first question")
    assert job("--continue", "--print", "second question") == session
    text = sessions(ready_store.path)[session]
    assert "first question" in text and "second question" in text
    # Who does not keep them can go on with them and adds nothing.
    without = Job(docker, endpoint, f"--volume={ready_store.path}:/claude-auth:ro", "--env=CLAUDE_INIT_COPY=all")
    assert without("--resume", session, "--print", "third question") == session
    assert sessions(ready_store.path)[session] == text


def test_two_containers_go_on_with_one_session_at_once(docker, endpoint, ready_store):
    job = Job(docker, endpoint, f"--volume={ready_store.path}:/claude-auth", KEEP)
    session = job("--print", "first question")
    both = [job.start("--continue", "--print", f"question of {name}") for name in ("one", "another")]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert Job.result(SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err)) == session
    text = sessions(ready_store.path)[session]
    assert [f"question of {name}" in text for name in ("one", "another")] == [True] * 2
    messages = [line["uuid"] for line in map(json.loads, text.splitlines()) if "uuid" in line]
    assert len(messages) == len(set(messages)), "each of its messages is there once"


def test_a_read_only_store_has_its_sessions_elsewhere(docker, endpoint, ready_store, tmp_path):
    before = ready_store.fingerprint()
    place = tmp_path / "sessions"
    place.mkdir()
    job = Job(docker, endpoint, f"--volume={ready_store.path}:/claude-auth:ro", f"--volume={place}:/sessions",
              "--env=CLAUDE_INIT_SESSIONS=/sessions")
    session = job("--print", "first question")
    assert job("--continue", "--print", "second question") == session
    assert "second question" in sessions(place)[session]
    assert ready_store.fingerprint() == before


def test_a_stopped_container_has_saved_its_session(docker, endpoint, ready_store, container):
    process = docker.start("run", "--rm", *network(endpoint), f"--name={container}",
                           f"--volume={ready_store.path}:/claude-auth", KEEP, IMAGE, "bash", "-c",
                           "claude --print 'first question'; sleep 1000")
    assert process.stdout.readline() == f"{ANSWER}\n"
    docker("stop", container)
    process.communicate(timeout=60)
    assert process.returncode == 143
    (text,) = sessions(ready_store.path).values()
    assert "first question" in text
