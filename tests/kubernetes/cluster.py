"""What the tests on a real control plane are written in: the cluster of engine/cluster.sh, the manifests of
deploy/kubernetes as they are, and the stand-in of tests/e2e on the node."""

import base64
import contextlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))

from harness import HOST_NAMES, Terminal, clean_environment, wait_until  # noqa: E402

DEPLOY = TOP / "deploy/kubernetes"
EXAMPLES = DEPLOY / "examples"
BRIDGE, NODE = "k8sbr0", "10.99.0.1"
IMAGE_WITHOUT_US = "somebody-elses:latest"
LOG_IN = ["exec", "-it", "deploy/keeper", "--", "claude-init", "setup"]

# What the manifests say as of today, and how the cluster of the tests (1.20) knows it.
OLDER = [("apiVersion: policy/v1\nkind: PodDisruptionBudget", "apiVersion: policy/v1beta1\nkind: PodDisruptionBudget"),
         ("apiVersion: batch/v1\nkind: CronJob", "apiVersion: batch/v1beta1\nkind: CronJob")]

# A command that asks the CLI for ever: a line `STATUS WORDS` each time.
ASKING = 'while :; do answer=$(claude --print hello 2>&1 </dev/null); echo "$? $answer"; sleep "${PAUSE:-25}"; done'


class Cluster:
    """Called, it is kubectl; `ask` is for what is looked at again and again, for which that is too heavy."""

    def __init__(self, run, cache, home):
        pki = Path(run) / "pki"
        self.tls = ssl.create_default_context(cafile=pki / "ca.crt")
        self.tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self.environment = clean_environment(home, KUBECONFIG=Path(run) / "admin.conf")
        self.environment["PATH"] = f"{cache}/bin:{self.environment['PATH']}"

    def __call__(self, *words, check=True, timeout=240, **options):
        done = subprocess.run(["kubectl", *map(str, words)], env=self.environment, capture_output=True, text=True,
                              timeout=timeout, check=False, cwd=TOP, **options)
        assert not check or done.returncode == 0, f"kubectl {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def ask(self, path):
        """A GET of the API; the text, or None if there is no such thing."""
        connection = http.client.HTTPSConnection(NODE, 6443, context=self.tls, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        finally:
            connection.close()
        return text if answer.status == 200 else None

    def answers(self):
        return self("get", "--raw", "/readyz", check=False).returncode == 0


def rendered(cluster, directory):
    """`kubectl kustomize` of a directory in deploy/kubernetes, for this cluster's age: its kubectl wants a directory among
    the resources to be called a base. Each overlay has a key of its own, as documented."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(DEPLOY, copy, dirs_exist_ok=True)
        for overlay in (Path(copy) / "overlays").iterdir():
            (overlay / "seal-key").write_text(f"{os.urandom(32).hex()}\n", encoding="ascii")
        for path in Path(copy).rglob("kustomization.yaml"):
            text = path.read_text(encoding="utf-8").replace("  - ../../base\n", "bases: [../../base]\n")
            path.write_text(text, encoding="utf-8")
        return aged(cluster("kustomize", Path(copy) / directory).stdout)


def aged(text):
    for new, old in OLDER:
        text = text.replace(new, old)
    return text


def objects(cluster, text, *options):
    """Manifests, checked by the cluster's schema, as Python has them."""
    json_text = cluster(*options, "create", "--dry-run=client", "--validate", "-o", "json", "-f", "-", input=text).stdout
    found, decoder, at = [], json.JSONDecoder(), 0
    while json_text[at:].strip():
        at += len(json_text[at:]) - len(json_text[at:].lstrip())
        one, at = decoder.raw_decode(json_text, at)
        found += one["items"] if one["kind"] == "List" else [one]
    return found


def pod_spec(one):
    """Of whatever makes pods; None for what does not."""
    if one["kind"] == "CronJob":
        one = one["spec"]["jobTemplate"]
    if one["kind" if "kind" in one else "spec"] == "Pod":
        return one["spec"]
    return one.get("spec", {}).get("template", {}).get("spec")


class Namespace:
    """One namespace, in which the names of the CLI's servers lead to the stand-in."""

    def __init__(self, cluster, endpoint, name, directory):
        self.cluster, self.endpoint, self.name, self.directory = cluster, endpoint, name, Path(directory)
        self.volumes = []

    def __call__(self, *words, **options):
        return self.cluster("-n", self.name, *words, **options)

    def create(self):
        self.apply(self.read(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name}})))
        return self

    def read(self, text):
        return objects(self.cluster, text, "-n", self.name)

    def apply(self, found, changes=lambda one, spec: None):
        """As they are, but for the way to the stand-in, and `changes` of a test."""
        for one in found:
            if spec := pod_spec(one):
                lead_to_stand_in(spec, self.endpoint.address)
                changes(one, spec)
            if one["kind"] == "PersistentVolumeClaim":
                self.provide(one["metadata"]["name"])
        certificate = {"apiVersion": "v1", "kind": "ConfigMap",
                       "metadata": {"name": "stand-in", "namespace": self.name},
                       "data": {"ca.pem": self.endpoint.certificate.read_text(encoding="ascii")}}
        first = [one for one in found if one["kind"] == "Namespace"]
        rest = [one for one in found if one not in first]
        for some in (first, [certificate, *rest]):
            if some:
                self("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": some}))

    def example(self, name, changes=lambda one, spec: None):
        self.apply(self.read(aged((EXAMPLES / name).read_text(encoding="utf-8"))), changes)

    def provide(self, claim):
        """A volume on the node, for that claim."""
        path = self.directory / claim
        path.mkdir()
        name = f"{self.name}-{claim}"
        volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "local": {"path": str(path)},
            "claimRef": {"namespace": self.name, "name": claim}, "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["node0"]}]}]}}}}
        self.cluster("create", "-f", "-", input=json.dumps(volume))
        self.volumes.append(name)
        return path

    def put_login(self, login):
        """As the keeper's hook does."""
        oauth = {key: value for key, value in login.credentials["claudeAiOauth"].items() if key != "refreshToken"}
        text = json.dumps({"claudeAiOauth": oauth})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "claude-login", "namespace": self.name},
                  "data": {".credentials.json": base64.b64encode(text.encode()).decode()}}
        self("apply", "-f", "-", input=json.dumps(secret))

    def get(self, kind, name):
        return json.loads(self("get", kind, name, "-o", "json").stdout)

    def ask(self, what):
        return self.cluster.ask(f"/api/v1/namespaces/{self.name}/{what}")

    def pods(self, selector):
        found = json.loads(self.ask(f"pods?labelSelector={urllib.parse.quote(selector)}"))["items"]
        return [Pod(self, one) for one in found if "deletionTimestamp" not in one["metadata"]]

    def keeper(self):
        """The one that is there and serves."""
        def found():
            pods = [pod for pod in self.pods("app.kubernetes.io/name=claude-keeper") if pod.is_ready()]
            return pods[0] if pods else None
        return wait_until(found, "a keeper that is ready")

    def secret(self):
        """(the login in it, its annotations), or (None, None)."""
        found = self.ask("secrets/claude-login")
        if found is None:
            return None, None
        one = json.loads(found)
        notes = {key.removeprefix("claude-init/"): value
                 for key, value in one["metadata"].get("annotations", {}).items()}
        return base64.b64decode(one["data"][".credentials.json"]).decode(), notes

    def has_token(self, token):
        return token in (self.secret()[0] or "")

    def terminal(self, *words):
        return Terminal("kubectl", ["-n", self.name, *words], env=self.cluster.environment, cwd=str(TOP))

    def log_in(self, login, words=LOG_IN):
        """A person, on a terminal. What was said."""
        terminal = self.terminal(*words)
        if words[0] == "attach":  # the first prompt was for nobody
            terminal.sendline("")
        terminal.expect_prompt()
        terminal.log_in(login.command)
        return terminal.text

    def remove(self):
        self.cluster("delete", "namespace", self.name, "--wait=false", check=False)
        for volume in self.volumes:
            self.cluster("delete", "pv", volume, "--wait=false", check=False)


class Pod:
    def __init__(self, namespace, one):
        self.namespace, self.one, self.name = namespace, one, one["metadata"]["name"]

    def again(self):
        self.one = json.loads(self.namespace.ask(f"pods/{self.name}"))
        return self

    def is_ready(self):
        return any(condition["type"] == "Ready" and condition["status"] == "True"
                   for condition in self.one.get("status", {}).get("conditions", []))

    def restarts(self):
        return sum(status["restartCount"] for status in self.one["status"].get("containerStatuses", []))

    def is_running(self):
        statuses = self.one["status"].get("containerStatuses", [])
        return bool(statuses) and all("running" in status["state"] for status in statuses)

    def is_on_node(self):
        """Whether there are processes of its containers."""
        containers = [status["containerID"].split("//")[1] for status in self.one["status"]["containerStatuses"]]
        for cgroup in Path("/proc").glob("[0-9]*/cgroup"):
            with contextlib.suppress(OSError):
                text = cgroup.read_text(encoding="ascii")
                if any(container in text for container in containers):
                    return True
        return False

    def status(self):
        """Its exit status; None while it runs."""
        states = [status["state"] for status in self.again().one["status"].get("containerStatuses", [])]
        return states[0]["terminated"]["exitCode"] if states and "terminated" in states[0] else None

    def logs(self):
        return self.namespace.ask(f"pods/{self.name}/log") or ""

    def execute(self, *command, **options):
        return self.namespace("exec", self.name, "--", *command, **options)


def lead_to_stand_in(spec, address):
    spec["hostAliases"] = [{"ip": address, "hostnames": HOST_NAMES}]
    spec.setdefault("volumes", []).append({"name": "stand-in", "configMap": {"name": "stand-in"}})
    for container in spec["containers"]:
        container.setdefault("env", []).append({"name": "NODE_EXTRA_CA_CERTS", "value": "/run/stand-in/ca.pem"})
        container.setdefault("volumeMounts", []).append(
            {"name": "stand-in", "mountPath": "/run/stand-in", "readOnly": True})


def command(*words, grace=None):
    """For apply(): another command for claude-init to run, and another time until the kubelet kills."""
    def change(_, spec):
        spec["containers"][0]["args"] = list(words)
        if grace:
            spec["terminationGracePeriodSeconds"] = grace
    return change
