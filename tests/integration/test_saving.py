"""A stop while much is unsaved: the login first, then what the time allows, and the rest is named."""

import shutil
import signal
import os

import pytest
from harness import PATIENCE, STRACE, alive, children, eventually

# The login is written where only the stop itself or the end can save it: the checkpoint comes too late.
LATE = ["--checkpoint", "60s"]
SESSION = ("trap '' TERM; mkdir -p $CLAUDE_CONFIG_DIR/projects/p; put a; "
           "for i in $(seq {count}); do head -c {size} /dev/urandom > $CLAUDE_CONFIG_DIR/projects/p/$i.jsonl; done; "
           "echo ready; while :; do sleep 0.05; done")


def start(host, count, size, *options, **more):
    process = host.start("setup", SESSION.format(count=count, size=size), *LATE, *options, **more)
    assert process.stdout.readline() == "ready\n"
    return process


def saved(host, size):
    files = list((host.store / "projects/p").glob("*.jsonl"))
    assert all(file.stat().st_size == size for file in files), "only whole files"
    return len(files)


def finish(process):
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGKILL, err
    return err


def test_64_mib_are_durable_when_a_stop_is_over(host):
    """Within the default stop timeout: scripts/bench.sh measures that."""
    process = start(host, 16, 4 << 20, "--stop-timeout", "600s")
    os.kill(process.pid, signal.SIGTERM)
    err = finish(process)
    assert host.token() == "a"
    assert saved(host, 4 << 20) == 16, err


def test_a_stop_signal_saves_the_login_at_once_and_a_second_one_everything_without_the_grace(host):
    process = start(host, 4, 1 << 20, "--grace", "300s", "--stop-timeout", "600s")
    os.kill(process.pid, signal.SIGTERM)
    eventually(lambda: host.token() == "a", "the login, while the command still has its grace")
    assert alive(children(process.pid)[0])
    os.kill(process.pid, signal.SIGTERM)
    err = finish(process)  # long before the grace is over
    assert saved(host, 1 << 20) == 4, err


def test_of_more_than_fits_the_login_and_what_is_staged_are_saved_and_the_rest_is_named_and_kept(host):
    if not shutil.which("strace"):
        pytest.skip("needs strace, which makes the store slow")
    slow = [*STRACE, "-e", "trace=utimensat", "-e", "inject=utimensat:delay_enter=400000"]
    process = start(host, 60, 1000, "--grace", "1s", "--stop-timeout", "9s", wrapper=slow)
    init = children(process.pid)[0]
    os.kill(init, signal.SIGTERM)
    err = finish(process)
    assert host.token() == "a"
    count = saved(host, 1000)
    assert 0 < count < 60, err
    assert f"{60 - count} files were not saved before the stop timeout" in err
    assert len(host.copies()) == 1
    status, _, err = host.session("setup", "true")
    assert status == 0, err
    assert saved(host, 1000) == 60
    assert host.copies() == []


def test_a_second_stop_signal_while_it_is_saved_commits_what_is_staged(host):
    if not shutil.which("strace"):
        pytest.skip("needs strace, which makes the store slow")
    slow = [*STRACE, "-e", "trace=utimensat", "-e", "inject=utimensat:delay_enter=1000000"]
    process = start(host, 60, 1000, "--grace", "50ms", "--stop-timeout", "600s", wrapper=slow)
    init = children(process.pid)[0]
    os.kill(init, signal.SIGTERM)
    stage = host.store / ".claude-init"
    eventually(lambda: any(path.is_file() and path.stat().st_size == 1000 for path in stage.rglob("*")), "some staged")
    os.kill(init, signal.SIGTERM)
    err = finish(process)  # all of it would take a minute
    assert 0 < saved(host, 1000) < 60, err
    assert "files were not saved before the stop timeout" in err
