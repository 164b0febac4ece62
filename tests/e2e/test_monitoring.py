"""compose.yaml with deploy/compose/monitoring.yaml: a Prometheus beside the keeper, on a network of the project's own."""

import json
import os
import shutil
import subprocess
import uuid

import pytest
from harness import TOP, Store, wait_until

IMAGE = "localhost/prometheus-of-debian"
FILES = ["compose", "-f", "compose.yaml", "-f", "deploy/compose/monitoring.yaml"]
DEAD = {"claudeAiOauth": {"accessToken": "", "refreshToken": "", "expiresAt": 0}}


@pytest.fixture(name="image", scope="module")
def fixture_image(docker, tmp_path_factory):
    """As the usual one is: the program, its directory, and nobody who runs it."""
    if not (program := shutil.which("prometheus")):
        pytest.skip("needs prometheus (apt-get install prometheus)")
    context = tmp_path_factory.mktemp("prometheus")
    shutil.copy(program, context)
    (context / "Dockerfile").write_text("FROM debian:trixie-slim\nCOPY prometheus /bin/\n"
                                        "RUN install --directory --owner=nobody /prometheus\nUSER nobody\n")
    docker("build", "--tag", IMAGE, context)
    return IMAGE


@pytest.fixture(name="compose")
def fixture_compose(docker, image, tmp_path):
    """`docker compose` with both files, as documented; of the services no one asks the network."""
    environment = {**docker.environment, "CLAUDE_HUB_DIR": str(tmp_path / "hub"), "PROMETHEUS_IMAGE": image,
                   "COMPOSE_PROJECT_NAME": f"e2e-{uuid.uuid4().hex[:8]}"}
    override = tmp_path / "override.yaml"
    override.write_text(json.dumps({"networks": {"default": {"internal": True}}}), encoding="utf-8")

    def compose(*arguments):
        done = subprocess.run(["docker", *FILES, "-f", override, *arguments], env=environment, cwd=TOP,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield compose
    compose("down", "--timeout", "1", "--volumes")


def test_its_files_are_where_it_looks_for_them(docker):
    service = json.loads(docker(*FILES, "config", "--format", "json").stdout)["services"]["prometheus"]
    assert service["volumes"][0]["source"] == str(TOP / "deploy/prometheus")
    assert os.path.exists(TOP / "deploy/prometheus" / os.path.basename(service["command"][0].split("=")[1]))
    assert service["read_only"] and service["cap_drop"] == ["ALL"]


def test_a_dead_login_is_an_alert(compose, tmp_path):
    Store(tmp_path / "hub").create(1000).make_key(1000).write(".credentials.json", json.dumps(DEAD), 1000)
    compose("up", "--detach", "keeper", "prometheus")

    def ask(path):
        # From the keeper's container: there is curl, and the network.
        text = compose("exec", "-T", "keeper", "sh", "-c", f"curl --silent http://prometheus:9090/api/v1/{path} || :")
        return json.loads(text)["data"] if text else {}

    assert wait_until(lambda: ask("query?query=up").get("result"), "a scrape")[0]["value"][1] == "1"
    wait_until(lambda: "ClaudeLoginDead" in json.dumps(ask("alerts")), "the alert")
    assert len([group for group in ask("rules")["groups"] if group["name"] == "claude-init"]) == 1
