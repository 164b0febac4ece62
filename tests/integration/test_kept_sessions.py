"""run --persist=sessions and --sessions: what runs add to their sessions outlives them. A shell stands for the CLI."""

import os
import signal

import pytest
from harness import PATIENCE, eventually, family
from sessions import Host, login, project

PROJECT = project()
SESSION = f'mkdir -p "$CLAUDE_CONFIG_DIR/projects/{PROJECT}" && cd "$CLAUDE_CONFIG_DIR/projects/{PROJECT}" && '
PERSIST = ("--persist", "sessions")


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    host.put(login("stored"))
    yield host
    host.end()


def lines(directory, name="1.jsonl"):
    return (directory / "projects" / PROJECT / name).read_text().split()


def test_the_next_run_finds_what_the_last_one_added(host):
    status, _, err = host.session("run", SESSION + "echo one > 1.jsonl", *PERSIST)
    assert (status, err) == (0, "")
    assert lines(host.store) == ["one"]
    for extent in ("config", "all", "login"):
        status, out, err = host.session("run", SESSION + "cat 1.jsonl", *PERSIST, "--copy", extent)
        assert (status, out, err) == (0, "one\n", "")
    assert host.copies() == []


def test_without_it_nothing_is_kept(host):
    status, _, err = host.session("run", SESSION + "echo one > 1.jsonl")
    assert (status, err) == (0, "")
    assert not (host.store / "projects").exists()


def test_two_runs_at_once_both_keep_their_lines(host):
    host.session("run", SESSION + "echo one > 1.jsonl", *PERSIST)
    runs = [host.start("run", SESSION + f"echo ready; read go; echo {name} >> 1.jsonl; echo {name} > {name}.jsonl", *PERSIST)
            for name in ("a", "b")]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    for run in runs:
        _, err = run.communicate(timeout=PATIENCE)
        assert (run.returncode, err) == (0, "")
    assert lines(host.store)[0] == "one"
    assert sorted(lines(host.store)[1:]) == ["a", "b"]
    assert lines(host.store, "a.jsonl") == ["a"] and lines(host.store, "b.jsonl") == ["b"]


def test_a_stopped_run_keeps_its_sessions(host):
    run = host.start("run", SESSION + "echo one > 1.jsonl; echo ready; exec sleep 1000", *PERSIST)
    assert run.stdout.readline() == "ready\n"
    os.kill(run.pid, signal.SIGTERM)
    run.communicate(timeout=PATIENCE)
    assert run.returncode == 128 + signal.SIGTERM
    assert lines(host.store) == ["one"]
    assert host.copies() == []


def test_what_a_killed_run_added_is_kept_by_the_next_one_that_keeps_sessions(host):
    run = host.start("run", SESSION + "echo one > 1.jsonl; echo ready; read forever", *PERSIST)
    assert run.stdout.readline() == "ready\n"
    for pid in reversed(family(run.pid)):
        os.kill(pid, signal.SIGKILL)
    run.wait()
    status, _, err = host.session("run", "true")
    assert (status, err) == (0, "")
    assert len(host.copies()) == 1, "a run that keeps none must not throw away what another one wanted to keep"
    status, out, err = host.session("run", SESSION + "cat 1.jsonl", *PERSIST)
    assert (status, out, err) == (0, "one\n", "")
    assert lines(host.store) == ["one"]
    assert host.copies() == []


def test_a_store_that_cannot_be_written_is_told_before_anything_runs_and_another_place_is_named(host):
    host.make_read_only()
    status, out, err = host.session("run", "echo started", *PERSIST)
    assert (status, out) == (73, ""), err
    assert "--sessions DIR" in err
    place = host.path / "sessions"
    place.mkdir()
    for round_ in ("one", "two"):
        status, out, err = host.session("run", SESSION + f"echo {round_} >> 1.jsonl; cat 1.jsonl", "--sessions", place)
        assert status == 0, err
    assert out == "one\ntwo\n"
    assert lines(place) == ["one", "two"]
    assert not (host.store / "projects").exists()


def test_sessions_that_cannot_be_saved_are_told_and_stay(host):
    place = host.path / "sessions"
    place.mkdir()
    # A file where the directory has to be.
    status, _, err = host.session("run", SESSION + f"echo one > 1.jsonl; rm -r {place}/.claude-init/locks; touch {place}/.claude-init/locks",
                                  "--sessions", place)
    assert status not in (0, 70), err
    assert "the sessions stay in" in err
    (copy,) = host.copies()
    assert (host.place / copy / "claude/projects" / PROJECT / "1.jsonl").read_text() == "one\n"
    (place / ".claude-init/locks").unlink()
    status, out, err = host.session("run", SESSION + "cat 1.jsonl", "--sessions", place)
    assert (status, out, err) == (0, "one\n", "")
    assert host.copies() == []


def test_what_the_workload_puts_in_the_place_of_its_copy_is_not_read_through(host):
    outside = host.path / "outside"
    (outside / "projects").mkdir(parents=True)
    (outside / "projects/secret.jsonl").write_text("secret\n")
    status, _, err = host.session(
        "run", f'mv "$CLAUDE_CONFIG_DIR" "$CLAUDE_CONFIG_DIR.old"; ln -s {outside} "$CLAUDE_CONFIG_DIR"', *PERSIST)
    assert status != 0
    assert "the sessions stay in" in err
    assert not (host.store / "projects").exists()
    status, _, err = host.session(
        "run", f'ln -s {outside}/projects "$CLAUDE_CONFIG_DIR/projects"', "--sessions", host.store)
    assert status == 0, err
    assert not (host.store / "projects").exists()


@pytest.mark.parametrize("options, word", [(("--exec", *PERSIST), "--exec"),
                                           (("--persist", "none", "--sessions", "/x"), "--persist none")])
def test_options_that_exclude_each_other_are_refused(host, options, word):
    status, out, err = host.session("run", "echo started", *options)
    assert (status, out) == (64, "")
    assert word in err
