"""deploy/kubernetes/components/gateway: the least of rights, and what belongs together is called the same in each place.
The cluster of tests/kubernetes is of Kubernetes 1.20, whose kustomize knows no components."""

import re
import shutil
import subprocess

import yaml
from api import TOP

COMPONENT = TOP / "deploy/kubernetes/components/gateway"


def manifests(text):
    return [one for one in yaml.safe_load_all(text) if one]


def named(kind, name, found):
    [one] = [one for one in found if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return one


GATEWAY = manifests((COMPONENT / "gateway.yaml").read_text(encoding="utf-8"))
NETWORK = manifests((COMPONENT / "network.yaml").read_text(encoding="utf-8"))
[JOB] = manifests((COMPONENT / "job.yaml").read_text(encoding="utf-8"))


def test_its_pods_keep_to_restricted_and_more():
    for one in (named("Deployment", "gateway", GATEWAY), JOB):
        spec = one["spec"]["template"]["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume)
        [container] = spec["containers"]
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                                "capabilities": {"drop": ["ALL"]}}
        assert "memory" in container["resources"]["limits"]


def test_the_gateway_alone_has_the_login_and_a_job_has_the_placeholder():
    volumes = named("Deployment", "gateway", GATEWAY)["spec"]["template"]["spec"]["volumes"]
    assert [volume["secret"]["secretName"] for volume in volumes if "secret" in volume] == ["claude-login"]
    text = (COMPONENT / "job.yaml").read_text(encoding="utf-8")
    assert "claude-placeholder" in text and "claude-login" not in text


def test_its_port_is_where_the_service_and_the_policies_lead():
    [container] = named("Deployment", "gateway", GATEWAY)["spec"]["template"]["spec"]["containers"]
    port = {one["name"]: one["containerPort"] for one in container["ports"]}
    script = (TOP / "deploy/gateway/gateway").read_text(encoding="utf-8")
    assert port == {"https": int(re.search(r"CLAUDE_GATEWAY_PORT:-(\d+)", script)[1]),
                    "health": int(re.search(r"CLAUDE_GATEWAY_HEALTH_PORT:-(\d+)", script)[1])}
    [service] = named("Service", "gateway", GATEWAY)["spec"]["ports"]
    assert (service["port"], service["targetPort"]) == (443, "https")
    label = named("Deployment", "gateway", GATEWAY)["spec"]["template"]["metadata"]["labels"]
    jobs = {"claude-init/behind-gateway": "true"}
    assert jobs.items() <= JOB["spec"]["template"]["metadata"]["labels"].items()
    there = named("NetworkPolicy", "gateway", NETWORK)["spec"]
    assert there["podSelector"]["matchLabels"] == label
    assert there["ingress"] == [{"from": [{"podSelector": {"matchLabels": jobs}}],
                                 "ports": [{"protocol": "TCP", "port": port["https"]}]}]
    behind = named("NetworkPolicy", "behind-gateway", NETWORK)["spec"]
    assert behind["podSelector"]["matchLabels"] == jobs and set(behind["policyTypes"]) == {"Egress", "Ingress"}
    assert behind["egress"] == [{"to": [{"podSelector": {"matchLabels": label}}],
                                 "ports": [{"protocol": "TCP", "port": port["https"]}]}]
    assert JOB["spec"]["template"]["spec"]["hostAliases"][0]["hostnames"] == ["api.anthropic.com"]


def test_it_fits_the_base(tmp_path):
    """By kubectl, where one is that knows components; else by what its patches name."""
    patches = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text(encoding="utf-8"))["patches"]
    keeper = manifests((TOP / "deploy/kubernetes/base/keeper.yaml").read_text(encoding="utf-8"))
    access = manifests((TOP / "deploy/kubernetes/base/access.yaml").read_text(encoding="utf-8"))
    assert [patch["target"] for patch in patches] == [{"kind": "Deployment", "name": "keeper"}, {"kind": "Role", "name": "keeper"}]
    assert "--publish=login=/claude-published" in named("Deployment", "keeper", keeper)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert named("Role", "keeper", access)["rules"][0]["resourceNames"] == ["claude-login"]
    if not shutil.which("kubectl"):
        return
    shutil.copytree(TOP / "deploy/kubernetes", tmp_path / "kubernetes")
    overlay = tmp_path / "kubernetes/overlays/dev"
    (overlay / "seal-key").write_text("FAKE key, long enough for a sealed store", encoding="ascii")
    with (overlay / "kustomization.yaml").open("a", encoding="utf-8") as file:
        file.write("components: [../../components/gateway]\n")
    done = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True, check=False)
    if 'unknown field "components"' in done.stderr:
        return
    assert done.returncode == 0, done.stderr
    made = manifests(done.stdout)
    assert {one["metadata"].get("namespace") for one in made if one["kind"] != "Namespace"} == {"claude-dev"}
    args = named("Deployment", "keeper", made)["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[-1] == "--publish-placeholder=login=/claude-placeholder"
    assert named("Role", "keeper", made)["rules"][0]["resourceNames"] == ["claude-login", "claude-placeholder"]
