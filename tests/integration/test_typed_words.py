"""What people type behind an image's name, where the entrypoint is `run --` or `setup --`; and what an engine gives."""

import os
import subprocess

import pytest
from harness import BINARY
from test_identities import NAMESPACE, binary, place  # noqa: F401  (fixtures)
from sessions import login


def typed(host, subcommand, *words, **variables):
    environment = {**host.environment, "CLAUDE_INIT_STORE": str(host.store), **variables}
    done = subprocess.run([BINARY, subcommand, "--", *map(str, words)], env=environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def host(host):
    host.put(login("stored"))
    host.environment["CLAUDE_INIT_USER"] = str(os.geteuid())
    return host


def test_dashes_once_more_are_dropped(host):
    assert typed(host, "run", "--", "echo", "hi") == (0, "hi\n", "")
    status, out, _ = typed(host, "setup", "--", "echo", "hi")
    assert (status, "hi" in out.split()) == (0, True)


def test_a_subcommand_of_ours_is_meant(host):
    status, out, _ = typed(host, "run", "health")
    assert status == 0 and "usable" in out
    assert typed(host, "setup", "history", "--json")[0] == 0
    assert typed(host, "run", "run", "--copy=login", "--", "echo", "hi") == (0, "hi\n", "")


def test_a_program_that_is_called_so_wins(host, tmp_path):
    program = tmp_path / "health"
    program.write_text("#!/bin/sh\necho mine $1\n")
    program.chmod(0o755)
    assert typed(host, "run", "health", "x", PATH=f"{tmp_path}:/usr/bin:/bin") == (0, "mine x\n", "")


def test_options_of_ours_come_first(host):
    for words in (["--copy=login", "echo", "hi"], ["--copy", "login", "--", "echo", "hi"], ["--copy=login", "--", "--", "echo", "hi"]):
        assert typed(host, "run", *words) == (0, "hi\n", ""), words
    assert typed(host, "run", "--copy=nonsense")[0] == 64
    # Others are the CLI's, --help too.
    cli = host.path / "claude"
    cli.write_text('#!/bin/sh\necho claude "$@"\n')
    cli.chmod(0o755)
    for words in (["--help"], ["--print", "--copy=x"], ["-h"]):
        assert typed(host, "run", *words, PATH=f"{host.path}:/usr/bin:/bin") == (0, f"claude {' '.join(words)}\n", "")
    assert typed(host, "run", "--copy=login", "--print", "hi", PATH=f"{host.path}:/usr/bin:/bin") == (0, "claude --print hi\n", "")


def groups(place, who, *options):
    code, out, err = place.run(who, *options, script="id -G")
    assert code == 0, err
    return out.split()


def test_groups_that_the_engine_gave_hold_both_ways(place):
    place.owned_by(4321)
    root = ["setpriv", "--groups=0,44,55"]
    user = ["setpriv", "--reuid=4321", "--regid=4321", "--groups=44,55"]
    assert groups(place, root, "--user", "4321:4321") == groups(place, user) == ["4321", "44", "55"]
    # By the store's own group a job could read a refresh token.
    place.owned_by(0, 55, 0o2750, 0o640)
    assert groups(place, root, "--user", "4321:4321") == ["4321", "44"]


def test_git_works_in_somebody_elses_repository(place):
    place.owned_by(0)
    repository = place.path / "repository"
    (repository / "deep").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    subprocess.run(["chown", "-R", "1234:1234", repository], check=True)
    for directory in (repository, repository / "deep"):
        script = f"exec {place.binary} run --store {place.store} --workdir {place.tmp} --user 4321:4321 -- git status --short"
        done = subprocess.run([*NAMESPACE, "sh", "-c", f"cd {directory} && {script}"],
                              env={**place.environment, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"},
                              capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 and "dubious" not in done.stderr, done.stderr


def test_a_user_of_the_engine_with_somebody_elses_store_is_told_what_to_type(place):
    place.owned_by(1001)
    code, _, err = place.run(["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"])
    assert code == 77 and "-e CLAUDE_INIT_USER=4321:4321" in err


def test_a_mounted_directory_that_cannot_be_written_is_told_with_its_owner(place):
    place.owned_by(0)
    work = place.path / "work"
    work.mkdir()
    os.chown(work, 1234, 1234)
    code, _, err = place.run([], "--user", "4321:4321", script="true",
                             before=f"mount --bind {work} {work}; cd {work}")
    assert code == 0 and "-e CLAUDE_INIT_USER=1234:1234" in err
    code, _, err = place.run([], "--user", "1234:1234", script="true",
                             before=f"mount --bind {work} {work}; cd {work}")
    assert code == 0 and "CLAUDE_INIT_USER" not in err
