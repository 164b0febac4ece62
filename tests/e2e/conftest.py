"""The fixtures of the end-to-end tests."""

import json
import os
import subprocess
import uuid

import pytest
from harness import Docker, Endpoint, Podman, Project, Store
from production import ProductionContainer
from skips import pytest_runtest_makereport
from small_machine import SmallMachine

pytest.register_assert_rewrite("shell_tests")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    if os.getuid() != 0:
        pytest.skip("the stand-in listens on port 443, which needs root")
    endpoint = Endpoint(tmp_path_factory.mktemp("endpoint"))
    yield endpoint
    endpoint.close()


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    docker = Docker(os.environ.get("CLAUDE_INIT_E2E_ENGINE", ""), tmp_path_factory.mktemp("home"))
    if not docker.answers():
        pytest.skip("no engine answers in CLAUDE_INIT_E2E_ENGINE (tests/e2e/README.md)")
    return docker


@pytest.fixture(scope="module")
def podman(docker, tmp_path_factory):
    podman = Podman(docker.directory / "podman", tmp_path_factory.mktemp("home"))
    if not podman.answers():
        pytest.skip("there is no podman (apt-get install podman buildah runc)")
    podman.load(docker, "claude-setup:latest", "claude-runtime:latest")
    yield podman
    podman.close()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "claude-hub").create()


@pytest.fixture
def ready_store(store, endpoint):
    """With a login, and without anything that the CLI would ask first."""
    store.put(endpoint.login())
    trusted = {"/workspace": {"hasTrustDialogAccepted": True}}
    store.write(".claude.json", json.dumps({"hasCompletedOnboarding": True, "projects": trusted}))
    return store


@pytest.fixture
def container(docker):
    """A name for a container; it is gone afterwards whatever happens."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    yield name
    subprocess.run(["docker", "rm", "--force", "--volumes", name], env=docker.environment, capture_output=True,
                   check=False)


@pytest.fixture
def production(docker, endpoint):
    """Makes production containers; they are gone afterwards whatever happens."""
    made = []

    def make(*arguments):
        made.append(ProductionContainer(docker, endpoint, *arguments))
        return made[-1]

    yield make
    for container in made:
        container.remove()


@pytest.fixture
def project(docker, endpoint, tmp_path):
    project = Project(docker, endpoint, tmp_path)
    yield project
    project.down()


@pytest.fixture
def small(tmp_path):
    return SmallMachine(tmp_path)
