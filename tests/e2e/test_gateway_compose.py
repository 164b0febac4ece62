"""compose.yaml with deploy/compose/gateway.yaml, as documented: the real CLI in jobs on a network without a way out."""

import json
import os
import subprocess
import uuid

import pytest
from harness import ANSWER, HOST_NAMES, TOP, Endpoint, Store, wait_until

IMAGE = "localhost/nginx-of-debian"
FILES = ["compose", "-f", "compose.yaml", "-f", "deploy/compose/gateway.yaml"]
PLACEHOLDER = "sk-ant-oat01-FAKE-placeholder-for-which-the-gateway-puts-the-token"
PERSON = 1000
API = "api.anthropic.com"


@pytest.fixture(name="image", scope="module")
def fixture_image(docker, tmp_path_factory):
    """As the official one is: nginx with njs, openssl, curl."""
    context = tmp_path_factory.mktemp("nginx")
    (context / "Dockerfile").write_text(
        "FROM debian:trixie-slim\nRUN apt-get update && apt-get install --yes --no-install-recommends "
        "nginx libnginx-mod-http-js openssl curl ca-certificates && rm -rf /var/lib/apt/lists/*\n")
    docker("build", "--network=host", "--tag", IMAGE, context, timeout=600)
    return IMAGE


class Project:
    """Its own store, its own outside network, on which the stand-in is."""

    def __init__(self, docker, image, directory):
        self.docker, self.directory = docker, directory
        self.name = f"e2e-{uuid.uuid4().hex[:8]}"
        self.outside = f"{self.name}-outside"
        docker("network", "create", self.outside)
        [configuration] = json.loads(docker("network", "inspect", self.outside).stdout)[0]["IPAM"]["Config"]
        self.address = configuration["Gateway"]
        (directory / "endpoint").mkdir()
        self.endpoint = Endpoint(directory / "endpoint", ADDRESS=self.address)
        self.store = Store(directory / "hub").create(PERSON).make_key(PERSON)
        names = [f"{name}:{self.address}" for name in HOST_NAMES]
        certificate = f"{self.endpoint.certificate}:/run-stand-in-ca.pem:ro"
        override = {"networks": {"default": {"external": True, "name": self.outside}}, "services": {
            "keeper": {"extra_hosts": names, "volumes": [certificate],
                       "environment": {"NODE_EXTRA_CA_CERTS": "/run-stand-in-ca.pem"}},
            "gateway": {"extra_hosts": [f"{API}:{self.address}"], "volumes": [certificate],
                        "environment": {"SSL_CERT_FILE": "/run-stand-in-ca.pem"}}}}
        path = directory / "override.yaml"
        path.write_text(json.dumps(override), encoding="utf-8")
        self.files = [*FILES, "-f", path]
        self.environment = {**docker.environment, "CLAUDE_HUB_DIR": str(self.store.path), "NGINX_IMAGE": image,
                            "CLAUDE_HUB_USER": f"{PERSON}:{PERSON}", "CLAUDE_INTERVAL": "1d",
                            "COMPOSE_PROJECT_NAME": self.name}

    def __call__(self, *words, check=True):
        done = subprocess.run(["docker", *map(str, [*self.files, *words])], env=self.environment, cwd=TOP,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
        assert not check or done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}\n{self('logs', check=False).stdout}"
        return done

    def inspect(self, service):
        return json.loads(self.docker("inspect", *self("ps", "--all", "--quiet", service).stdout.split()).stdout)[0]

    def ask(self):
        return self("run", "--rm", "-T", "claude", "--print", "hello", check=False)

    def in_worker(self, script):
        return self("exec", "-T", "-u", "node", "worker", "sh", "-c", script, check=False)

    def close(self):
        self("down", "--timeout", "1", "--volumes", "--remove-orphans", check=False)
        self.endpoint.close()
        self.docker("network", "rm", self.outside, check=False)


@pytest.fixture(name="project")
def fixture_project(docker, image, tmp_path):
    if os.getuid() != 0:
        pytest.skip("the stand-in listens on port 443, which needs root")
    project = Project(docker, image, tmp_path)
    try:
        project("build", "gateway")
        yield project
    finally:
        project.close()


def test_jobs_hold_no_token_and_reach_the_api_through_the_gateway_alone(project):
    login = project.endpoint.login()
    project.store.put(login, PERSON)
    project("up", "--detach")
    wait_until(lambda: ANSWER in project("logs", "worker").stdout, "the worker's answer")
    secrets = [login.access_token, login.refresh_token]
    assert project.store.is_sealed and project.store.exposed(login.refresh_token) == []

    # No token, in what a job has.
    published = project.in_worker("cat /claude-published/login/.credentials.json").stdout
    assert json.loads(published)["claudeAiOauth"]["accessToken"] == PLACEHOLDER
    everything = project.in_worker("grep -rhaoE 'sk-ant-[a-z]+[0-9]+-[A-Za-z0-9-]+' /claude-published /claude-gateway-ca /run /tmp "
                                   "/home/node /proc/[0-9]*/environ 2>/dev/null | sort -u").stdout.split()
    assert everything == [PLACEHOLDER]
    assert not any(secret in json.dumps(project.inspect("worker")) for secret in secrets)

    # No way out but one.
    for target in ("https://github.com/", f"https://{project.address}/", "https://1.1.1.1/", "http://keeper:8080/"):
        done = project.in_worker(f"curl --silent --show-error --insecure --max-time 20 {target}")
        assert done.returncode in (6, 7, 28), (target, done)
    ca = "--cacert /claude-gateway-ca/ca.pem"
    assert "placeholder" in project.in_worker(f"curl --silent {ca} https://{API}/api/oauth/profile").stdout
    header = f"--header 'Authorization: Bearer {PLACEHOLDER}'"
    assert '"email"' in project.in_worker(f"curl --silent {ca} {header} https://{API}/api/oauth/profile").stdout
    networks = project.inspect("gateway")["NetworkSettings"]["Networks"]
    inside = networks[f"{project.name}_jobs"]["IPAddress"]
    assert project.in_worker(f"getent hosts {API}").stdout.split()[0] == inside
    # Its own name for it would lead the gateway to itself.
    assert not any(API in (network["Aliases"] or []) + (network.get("DNSNames") or []) for network in networks.values())

    # The gateway has no rights, and is nowhere else.
    gateway = project.inspect("gateway")
    assert gateway["Config"]["User"] == f"{PERSON}:{PERSON}" and gateway["HostConfig"]["ReadonlyRootfs"]
    assert gateway["HostConfig"]["CapDrop"] == ["ALL"] and not gateway["HostConfig"]["PortBindings"]
    status = project("exec", "-T", "gateway", "cat", "/proc/1/status").stdout
    assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status
    log = project("logs", "--no-log-prefix", "gateway").stdout
    assert "method=POST path=/v1/messages status=200" in log and "sk-ant" not in log


def test_the_order_does_not_matter_and_a_login_that_dies_and_comes_back_restarts_nothing(project):
    project("up", "--detach")
    wait_until(lambda: "docker compose run --rm setup" in project("logs", "worker").stderr + project("logs", "worker").stdout,
               "the worker says what to do")
    assert "no login yet" in project("exec", "-T", "gateway", "curl", "--silent", "http://127.0.0.1:8080/readyz").stdout
    login = project.endpoint.login()
    project.store.put(login, PERSON)
    wait_until(lambda: ANSWER in project("logs", "worker").stdout, "the worker's answer")
    started = [project.inspect(service)["State"]["StartedAt"] for service in ("keeper", "gateway", "worker")]
    assert project.ask().stdout.strip() == ANSWER

    project.endpoint.revoke(login)
    answer = project.ask()
    assert answer.returncode == 1
    assert "403 claude-init: the server does not accept this login any more; log in again: docker compose run --rm setup" in answer.stdout
    project.store.put(project.endpoint.login(), PERSON)
    wait_until(lambda: project.ask().stdout.strip() == ANSWER, "jobs work again")
    assert [project.inspect(service)["State"]["StartedAt"] for service in ("keeper", "gateway", "worker")] == started

    # Jobs that run know the gateway's authority: it stays the same.
    before = project.in_worker("cat /claude-gateway-ca/ca.pem").stdout
    project("restart", "gateway")
    assert project.ask().stdout.strip() == ANSWER
    assert project.in_worker("cat /claude-gateway-ca/ca.pem").stdout == before
    assert project("exec", "-T", "-u", "node", "worker", "claude", "--print", "hi").stdout.strip() == ANSWER
