"""A job writes what the next one would read: memory, sessions of other directories, what looks like the copy of a run
that died, and as much of everything as there is room for."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from harness import family
from sessions import login, project

PERSIST = ("--persist", "sessions")
PROJECT = project()
HERE = f'mkdir -p "$CLAUDE_CONFIG_DIR/projects/{PROJECT}" && cd "$CLAUDE_CONFIG_DIR/projects/{PROJECT}" && '


@pytest.fixture(autouse=True)
def stored(host):
    host.put(login("stored"))


def kept(host):
    """All files of the store but the login and ours."""
    return sorted(str(path.relative_to(host.store)) for path in host.store.rglob("*")
                  if path.is_file() and not str(path.relative_to(host.store)).startswith((".claude-init", ".credentials")))


def test_what_would_instruct_the_next_run_is_not_saved(host):
    status, _, err = host.session("run", HERE + """
        mkdir -p memory 1/subagents 1/tool-results ../../plans ../../tasks/1 ../../agents ../../skills/x
        echo one > 1.jsonl; echo agent > 1/subagents/agent-1.jsonl
        for file in memory/MEMORY.md CLAUDE.md 1/tool-results/x.txt ../../plans/p.md ../../tasks/1/1.json \
                    ../../agents/a.md ../../skills/x/SKILL.md ../../CLAUDE.md ../../settings.json; do echo evil > $file; done
        """, *PERSIST)
    assert (status, err) == (0, "")
    assert kept(host) == [f"projects/{PROJECT}/1.jsonl", f"projects/{PROJECT}/1/subagents/agent-1.jsonl"]


def test_memory_is_saved_where_it_is_asked_for(host):
    script = HERE + "mkdir -p memory ../../plans ../../agents; for f in memory/M.md ../../plans/p.md ../../agents/a.md; do echo x > $f; done"
    status, _, err = host.session("run", script, "--persist", "all")
    assert (status, err) == (0, "")
    assert kept(host) == ["plans/p.md", f"projects/{PROJECT}/memory/M.md"]
    _, out, _ = host.session("run", HERE + "cat memory/M.md ../../plans/p.md", "--persist", "all")
    assert out == "x\nx\n"


def test_sessions_of_another_directory_are_neither_given_nor_saved(host):
    other = host.store / "projects/-another/2.jsonl"
    other.parent.mkdir(parents=True)
    other.write_text("theirs\n")
    status, out, err = host.session("run", HERE + """ls ..
        mkdir -p ../-another; echo evil >> ../-another/2.jsonl; echo evil > ../-another/3.jsonl""", *PERSIST)
    assert (status, out) == (0, PROJECT + "\n")
    assert "-another/2.jsonl" in err or "-another/3.jsonl" in err
    assert kept(host) == ["projects/-another/2.jsonl"] and other.read_text() == "theirs\n"


def test_no_link_of_a_jobs_is_followed_even_where_it_is_named(host):
    secret = host.path / "secret"
    secret.mkdir()
    (secret / "1.jsonl").write_text("secret")
    status, _, err = host.session("run", HERE + f"ln -s {secret}/1.jsonl 1.jsonl; ln -s {secret} deep; ln -s / root", *PERSIST,
                                  "--include", "projects/*")
    assert status == 0, err
    assert kept(host) == []


def copy_of_a_killed_run(host):
    run = host.start("run", HERE + "echo one > 1.jsonl; echo ready; read forever", *PERSIST)
    assert run.stdout.readline() == "ready\n"
    for pid in reversed(family(run.pid)):
        os.kill(pid, signal.SIGKILL)
    run.wait()
    (name,) = host.copies()
    return host.place / name


def test_what_only_looks_like_a_copy_of_a_killed_run_is_not_believed(host):
    real = copy_of_a_killed_run(host)
    # A run that keeps no sessions, in the same place, as the same user.
    planted = real.with_name(real.name[:-8] + "planted0")
    status, _, err = host.session("run", f"""mkdir -p {planted}/claude/projects/{PROJECT}
        echo evil > {planted}/claude/projects/{PROJECT}/2.jsonl; cp {real}/note {planted} 2>/dev/null; chmod 700 {planted}""")
    assert (status, err) == (0, "")
    status, out, err = host.session("run", HERE + "cat *", *PERSIST)
    assert (status, out) == (0, "one\n")
    assert str(planted) in err
    assert kept(host) == [f"projects/{PROJECT}/1.jsonl"]
    assert host.copies() == [planted.name]


def test_the_place_of_a_copy_of_a_killed_run_is_not_taken(host):
    real = copy_of_a_killed_run(host)
    shutil.rmtree(real)
    host.session("run", f"mkdir -p {real}/claude/projects/{PROJECT}; chmod 700 {real}; "
                        f"echo evil > {real}/claude/projects/{PROJECT}/2.jsonl")
    status, out, _ = host.session("run", HERE + "ls", *PERSIST)
    assert (status, out) == (0, "")
    assert kept(host) == []


def test_a_setup_session_does_not_take_what_only_looks_like_an_earlier_one(host):
    session = host.start("setup", "echo $CLAUDE_CONFIG_DIR; read forever")
    real = Path(session.stdout.readline().strip()).parent
    for pid in reversed(family(session.pid)):
        os.kill(pid, signal.SIGKILL)
    session.wait()
    shutil.rmtree(real)
    planted = real.with_name(real.name[:-8] + "planted0")
    host.session("run", f"""mkdir -p {planted}/claude; chmod 700 {planted}
        echo '{login("evil", left=7200)}' > {planted}/claude/.credentials.json; echo evil > {planted}/claude/CLAUDE.md""")
    status, _, err = host.session("setup", "true")
    assert host.token() == "stored" and kept(host) == []
    assert str(planted) in err


def test_sessions_take_no_more_than_their_quota(host):
    status, _, err = host.session("run", HERE + "head -c 700000 /dev/zero > 1.jsonl", *PERSIST, "--max-sessions", "1M")
    assert (status, err) == (0, "")
    status, _, err = host.session("run", HERE + "head -c 700000 /dev/zero > 2.jsonl", *PERSIST, "--max-sessions", "1M")
    assert status != 0 and "--max-sessions" in err
    assert kept(host) == [f"projects/{PROJECT}/1.jsonl"]


def test_files_without_content_take_room_too(host):
    status, _, err = host.session("run", HERE + "for i in $(seq 300); do : > $i.jsonl; done", *PERSIST, "--max-sessions", "1M")
    assert status != 0 and "--max-sessions" in err
    assert kept(host) == []
    for first, last, expected in ((1, 200, True), (201, 400, False)):
        script = f"for i in $(seq {first} {last}); do : > $i.jsonl; done"
        status, _, err = host.session("run", HERE + script, *PERSIST, "--max-sessions", "1M")
        assert (status == 0) == expected, err
    assert len(kept(host)) == 200


def test_versions_that_are_kept_take_room_too(host):
    plan = host.store / "plans/p.md"
    plan.parent.mkdir()
    for version, expected in ((1, True), (2, False)):
        plan.write_text(f"{version}" * 400_000)
        run = host.start("run", f'cd "$CLAUDE_CONFIG_DIR/plans"; head -c 400000 /dev/urandom > p.md; echo ready; read go',
                         "--persist", "all", "--max-sessions", "1M")
        assert run.stdout.readline() == "ready\n"
        plan.write_text(f"{version}" * 400_001)
        _, err = run.communicate("go\n")
        assert (run.returncode == 0) == expected, err
    assert "--max-sessions" in err
    assert len(kept(host)) == 2


@pytest.mark.parametrize("limit, work", [("nr_inodes=1000", "for i in $(seq 940); do : > $i.jsonl; done"),
                                         ("nr_inodes=0", "head -c 61000000 /dev/zero > 1.jsonl")], ids=["inodes", "room"])
def test_what_the_login_needs_is_not_given_to_sessions(host, limit, work):
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=64m,{limit},mode=700", "tmpfs", host.store], check=True)
    host.mounted.append(host.store)
    host.put(login("stored"))
    status, _, err = host.session("run", HERE + work, *PERSIST)
    assert status != 0 and "free for the login" in err
    assert kept(host) == []
    assert shutil.disk_usage(host.store).free > 32 << 20
