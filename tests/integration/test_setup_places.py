"""setup in a container, where people name places of their own, and what it says there."""

import os
import subprocess

import pytest
from harness import BINARY
from sessions import login
from test_follow import BLANKED

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a store")


@pytest.fixture
def container(host):
    """A store that is a mount, so that it outlives this container."""
    subprocess.run(["mount", "--bind", host.store, host.store], check=True)
    host.mounted.append(host.store)
    host.environment["container"] = "docker"
    return host


def test_a_configuration_directory_is_made_with_all_of_its_way(container):
    place = container.home / "a/b/c"
    container.environment["CLAUDE_CONFIG_DIR"] = str(place)
    code, _, err = container.session("setup", "put a")
    assert code == 0, err
    assert container.token() == "a"
    assert (place / ".credentials.json").exists()


@pytest.mark.parametrize("name", [".", "inside"])
def test_a_configuration_directory_in_the_store_is_a_copy(container, name):
    container.put(login("a"))
    container.environment["CLAUDE_CONFIG_DIR"] = str(container.store / name)
    code, out, err = container.session("setup", 'echo "$CLAUDE_CONFIG_DIR"; put b')
    assert code == 0, err
    assert container.token() == "b"
    assert not out.startswith(str(container.store))
    assert container.copies() == []


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(container):
    (container.home / "file").touch()
    container.environment["CLAUDE_CONFIG_DIR"] = str(container.home / "file/x")
    code, _, err = container.session("setup", "put a")
    assert code != 0
    assert "or unset CLAUDE_CONFIG_DIR" in err, err


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_what_to_type_names_the_engine(container, engine):
    container.environment["container"] = engine
    code, _, err = container.session("setup", 'printf %s "$login_a" > ~/.claude/.credentials.json')
    assert code == 0, err
    assert f"{engine} run --rm -v " in err
    container.put("{")
    refused = subprocess.run([BINARY, "health", "--store", container.store], env=container.environment, text=True,
                             capture_output=True, timeout=60, check=False)
    assert f"{engine} run -it --rm -v " in refused.stdout


def test_a_dead_login_is_mended_here_and_not_by_the_command_that_was_just_typed(container):
    container.put(login("a", left=-60))
    container.environment["PATH"] = f"{container.path}:/usr/bin:/bin"
    cli = container.path / "claude"
    cli.write_text('#!/bin/sh\nprintf %s \'' + BLANKED + '\' > "$CLAUDE_CONFIG_DIR/.credentials.json"\n')
    cli.chmod(0o755)
    _, _, err = container.session("setup", "true")
    assert "the login is dead" in err
    dead = err[err.index("the login is dead"):].splitlines()[:3]
    assert any("→ here: claude, then /login" in line for line in dead), err


@pytest.mark.parametrize("owner, warned", [(0, True), (1234, False)])
def test_a_directory_that_the_engine_may_just_have_made_is_asked_about(container, owner, warned):
    os.chown(container.store, owner, owner)
    os.chmod(container.path, 0o755)
    _, _, err = container.session("setup", "true", user=1234)
    assert ("was the directory in your -v mistyped?" in err) == warned, err
    container.environment["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    assert "mistyped" not in container.session("setup", "true", user=1234)[2]
