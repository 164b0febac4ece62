"""setup and run on a host, with a shell script in the CLI's place: what becomes of logins."""

import fcntl
import os
import signal
import subprocess
import sys
import termios

import pytest
from harness import PATIENCE, STRACE, eventually, family
from sessions import login


def test_a_login_is_saved_while_the_session_runs_and_survives_a_kill(host):
    process = host.start("setup", "put a; read forever")
    eventually(lambda: host.token() == "a", "the login in the store")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert host.token() == "a"


def test_what_a_killed_session_left_is_saved_by_the_next_one_and_removed(host):
    process = host.start("setup", 'mkdir -p "$CLAUDE_CONFIG_DIR/projects"; echo left > "$CLAUDE_CONFIG_DIR/projects/x"; echo there; read forever')
    assert process.stdout.readline() == "there\n"
    for pid in reversed(family(process.pid)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert len(host.copies()) == 1
    status, _, err = host.session("setup", "put a")
    assert status == 0, err
    assert (host.store / "projects/x").read_text() == "left\n"
    assert host.copies() == []


def test_what_cannot_be_read_now_of_a_killed_session_stays_for_the_next_one(host):
    process = host.start("setup", 'mkdir "$CLAUDE_CONFIG_DIR/projects"; echo left > "$CLAUDE_CONFIG_DIR/projects/x"; echo there; read forever')
    assert process.stdout.readline() == "there\n"
    for pid in reversed(family(process.pid)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    (name,) = host.copies()
    failing = [*STRACE, "-P", str(host.place / name / "claude/projects"), "-e", "inject=openat2:error=EIO"]
    status, _, err = host.session("setup", "put a", wrapper=failing)
    assert "it stays there" in err and not (host.store / "projects/x").exists()
    assert host.copies() == [name] and host.token() == "a"
    status, _, err = host.session("setup", "true")
    assert status == 0, err
    assert (host.store / "projects/x").read_text() == "left\n" and host.copies() == []


def test_on_a_host_the_persons_own_state_is_neither_read_nor_touched(host):
    own = host.home / ".claude"
    own.mkdir()
    (own / ".credentials.json").write_text(login("own"))
    for more in ({}, {"CLAUDE_CONFIG_DIR": str(own)}):
        host.environment.update(more)
        host.put(login("stored"))
        status, _, err = host.session("setup", "true")
        assert status == 0, err
        assert "FAKEown" in (own / ".credentials.json").read_text()
        assert host.token() == "stored"
        assert sorted(os.listdir(own)) == [".credentials.json"]


def test_a_session_that_did_not_log_in_never_replaces_a_login_that_another_made(host):
    host.put(login("stored"))
    first = host.start("setup", "echo ready; read go")
    assert first.stdout.readline() == "ready\n"
    status, _, err = host.session("setup", "put other")
    assert status == 0, err
    assert "Both sessions work" in err
    assert host.token() == "other"
    _, err = first.communicate("go\n", timeout=PATIENCE)
    assert first.returncode == 0, err
    assert host.token() == "other"


def test_a_login_that_cannot_be_read_is_told_before_anybody_logs_in(host):
    if os.geteuid() != 0:
        pytest.skip("needs another user's file")
    host.put(login("stored"))
    os.chown(host.store, 1000, 1000)
    host.path.chmod(0o755)
    for parent in host.path.parents:
        if parent.stat().st_uid == 0 and str(parent) not in ("/", "/tmp"):
            parent.chmod(0o755)
    status, out, err = host.session("setup", "echo started")
    assert status == 77, err
    assert out == ""
    assert "chown -R 1000:1000" in err
    assert "SELinux" not in err


def test_setup_says_what_makes_the_cli_ignore_the_login(host):
    host.environment["ANTHROPIC_API_KEY"] = "sk-ant-api03-FAKE"
    _, _, err = host.session("setup", "true")
    assert "warning: ANTHROPIC_API_KEY is set: the CLI uses it and ignores the stored login; unset it" in err
    assert "FAKE" not in err


def test_without_a_login_the_status_says_so_and_the_rest_is_saved(host):
    status, _, err = host.session("setup", 'echo x > "$CLAUDE_CONFIG_DIR/settings.local.json"')
    assert status == 67, err
    assert "Not logged in" in err
    assert (host.store / "settings.local.json").exists()


def test_an_empty_and_a_cut_off_login_leave_the_stores_as_it_was(host):
    host.put(login("stored"))
    before = (host.store / ".credentials.json").read_bytes()
    for content in ("", '{"claudeAiOauth":{"accessT'):
        status, _, err = host.session("setup", f"printf %s '{content}' > \"$CLAUDE_CONFIG_DIR/.credentials.json\"")
        assert status == 65, err
        assert (host.store / ".credentials.json").read_bytes() == before


def test_a_login_that_a_run_renewed_goes_back_to_the_store(host):
    host.put(login("old", left=-60))
    refused, _, err = host.session("run", "true")
    assert refused == 68, err
    status, _, err = host.session("run", "put b", "--refresh-token", "copy")
    assert status == 0, err
    assert host.token() == "b"
    assert host.copies() == []


def test_only_one_session_at_a_time_is_given_the_refresh_token(host):
    host.put(login("stored"))
    first = host.start("run", "echo ready; read go", "--refresh-token", "copy")
    assert first.stdout.readline() == "ready\n"
    status, _, err = host.session("run", "true", "--refresh-token", "copy")
    assert status == 75, err
    assert "run with the refresh token on host" in err
    status, _, err = host.session("setup", "true")
    assert status == 0, err


def test_run_gives_no_refresh_token_and_leaves_nothing(host):
    host.put(login("stored"))
    status, out, err = host.session("run", 'cat "$CLAUDE_CONFIG_DIR/.credentials.json"')
    assert (status, err) == (0, "")
    assert "FAKEstored" in out
    assert "refreshToken" not in out
    assert host.copies() == []


def test_a_reader_that_stopped_reading_does_not_hold_up_the_end(host):
    # Real-time signals are not merged: each makes a line, together more than a pipe holds.
    number = signal.SIGRTMIN + 1
    process = host.start("run", "echo ready; read forever", "--log-level", "trace", "--allow-no-login",
                         "--rewrite", f"{number}:")
    assert process.stdout.readline() == "ready\n"
    for _ in range(4000):
        os.kill(process.pid, number)
    eventually(lambda: unread(process.stderr) > 32768, "a pipe that is nearly full")
    os.kill(process.pid, signal.SIGTERM)
    eventually(lambda: process.poll() is not None, "the end in spite of a full pipe")


def unread(pipe):
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_in_a_container_a_store_that_goes_with_it_is_refused_unless_that_is_allowed(host):
    host.environment["container"] = "test"
    status, out, err = host.session("setup", "echo started")
    assert (status, out) == (66, ""), err
    assert "-v" in err and "CLAUDE_INIT_ALLOW_EPHEMERAL=1" in err
    save = 'echo started; printf %s "$login_a" > "$HOME/.claude/.credentials.json"'
    status, out, err = host.session("setup", save, "--allow-ephemeral")
    assert (status, out) == (0, "started\n"), err
    assert "gone when the container is removed" in err
    assert host.token() == "a"
    assert f":{host.store}:ro -e CLAUDE_INIT_STORE={host.store} claude-runtime" in err


def test_a_store_in_memory_is_warned_about_and_a_full_one_refused(host):
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    for size, expected in (("64m", 0), ("1m", 72)):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", host.store], check=True)
        try:
            host.environment["container"] = "test"
            status, out, err = host.session("setup", 'echo started; printf %s "$login_a" > "$HOME/.claude/.credentials.json"')
            assert status == expected, err
            assert "is in memory" in err
            assert out == ("started\n" if expected == 0 else "")
        finally:
            subprocess.run(["umount", host.store], check=True)
