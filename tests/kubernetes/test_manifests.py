"""The manifests: what Pod Security calls "restricted", the least of rights, and that a cluster accepts them."""

import base64
import json

import pytest
from cluster import EXAMPLES, LOG_IN, aged, objects, pod_spec, rendered

OVERLAYS = ["dev", "staging", "test"]
VOLUMES = {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"}


def everything(cluster):
    """Of every manifest here, (where it is, the object)."""
    texts = {f"overlays/{name}": rendered(cluster, f"overlays/{name}") for name in OVERLAYS}
    texts["setup"] = rendered(cluster, "setup")
    for path in sorted(EXAMPLES.glob("*.yaml")):
        if path.name != "podmonitor.yaml":  # of the operator's kind, which this cluster has not
            texts[path.name] = aged(path.read_text(encoding="utf-8"))
    return [(where, one) for where, text in texts.items() for one in objects(cluster, text)]


@pytest.fixture(scope="module", name="manifests")
def fixture_manifests(cluster):
    return everything(cluster)


def test_every_pod_keeps_to_restricted_and_more(manifests):
    seen = []
    for where, one in manifests:
        spec = pod_spec(one)
        if spec is None:
            continue
        seen.append(where)
        assert not [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)], where
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0, where
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert all(set(volume) - {"name"} <= VOLUMES for volume in spec["volumes"]), where
        assert spec["terminationGracePeriodSeconds"] == 12, where  # --stop-timeout is 10 s
        assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume), where
        for container in spec.get("initContainers", []) + spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True, where
            assert context["capabilities"] == {"drop": ["ALL"]}, where
            assert "memory" in container["resources"]["limits"], where
    assert len(set(seen)) == len(OVERLAYS) + 1 + len(list(EXAMPLES.glob("*.yaml"))) - 1


def test_a_dead_login_kills_nothing(manifests):
    """What restarts a container asks whether the keeper answers, and nobody else is restarted by a probe."""
    probed = []
    for where, one in manifests:
        spec = pod_spec(one) or {"containers": []}
        for container in spec.get("initContainers", []) + spec["containers"]:
            for kind in {"livenessProbe", "startupProbe"} & set(container):
                probe = container[kind]
                assert one["metadata"]["name"] == "keeper", where
                assert {"path": "/livez", "port": "http"}.items() <= probe["httpGet"].items(), where
                assert not {"exec", "tcpSocket"} & set(probe), where
                probed.append((where, kind))
    kinds = ["livenessProbe", "startupProbe"]
    assert sorted(probed) == [(f"overlays/{name}", kind) for name in OVERLAYS for kind in kinds]


def test_working_copies_are_in_memory_and_nowhere_else(manifests):
    seen = []
    for where, one in manifests:
        spec = pod_spec(one) or {"containers": []}
        for container in spec["containers"]:
            if "run" not in container.get("command", []):
                continue
            seen.append(where)
            [place] = [word.split("=", 1)[1] for word in container["command"] if word.startswith("--workdir=")]
            [volume] = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == place]
            [source] = [each["emptyDir"] for each in spec["volumes"] if each["name"] == volume]
            assert source["medium"] == "Memory", where
    assert len(seen) == len(list(EXAMPLES.glob("*.yaml"))) - 1


def mebibytes(spec, name):
    [size] = [volume["emptyDir"]["sizeLimit"] for volume in spec["volumes"] if volume["name"] == name]
    assert size.endswith("Mi")
    return int(size[:-2])


def test_what_may_be_saved_can_be_published(manifests):
    keepers = [pod_spec(one) for _, one in manifests if pod_spec(one) and one["metadata"]["name"] == "keeper"]
    [setup] = [pod_spec(one) for where, one in manifests if where == "setup"]
    for keeper in keepers:
        assert mebibytes(keeper, "published") >= max(mebibytes(keeper, "home"), mebibytes(setup, "home"))


def test_a_cron_job_is_over_before_its_next_time(manifests):
    [cron] = [one["spec"] for _, one in manifests if one["kind"] == "CronJob"]
    assert cron["schedule"].split()[1:] == ["*"] * 4, "every hour"
    assert cron["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600 and 10 < cron["startingDeadlineSeconds"] < 3600


def test_only_the_keeper_has_a_token_of_a_service_account_and_the_login_with_its_refresh_token(manifests):
    for where, one in manifests:
        if (spec := pod_spec(one)) is None:
            continue
        is_keeper = one["metadata"]["name"] == "keeper"
        assert spec.get("automountServiceAccountToken", True) is is_keeper, where
        claims = {volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"]
                  if "persistentVolumeClaim" in volume}
        assert ("claude-login" in claims) == (is_keeper or where == "setup"), where


def test_the_login_and_its_key_come_together_and_no_job_has_either(manifests):
    having = []
    for where, one in manifests:
        spec = pod_spec(one) or {"containers": [], "volumes": []}
        secrets = {volume["name"]: volume["secret"] for volume in spec["volumes"] if "secret" in volume}
        keys = [name for name, secret in secrets.items() if secret["secretName"] == "claude-seal-key"]
        variables = [variable["value"] for container in spec["containers"] for variable in container.get("env", [])
                     if variable["name"] == "CLAUDE_INIT_SEAL_KEY"]
        assert len(keys) == len(variables), where
        if not keys:
            continue
        having.append(where)
        assert secrets[keys[0]]["defaultMode"] & 0o007 == 0, where
        [place] = [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"] if mount["name"] == keys[0]]
        assert variables == [f"{place}/seal-key"], where
    assert sorted(having) == ["overlays/dev", "overlays/staging", "overlays/test", "setup"]
    made = [base64.b64decode(one["data"]["seal-key"]) for _, one in manifests if one["kind"] == "Secret"]
    assert len(made) == len(set(made)) == len(OVERLAYS) and all(len(key.strip()) >= 32 for key in made)


def test_what_people_are_told_to_type_goes_to_the_namespace_that_it_is_told_in(manifests):
    told = []
    for where, one in manifests:
        for container in (pod_spec(one) or {"containers": []})["containers"]:
            names = [variable["name"] for variable in container.get("env", [])]
            if "CLAUDE_INIT_LOGIN_COMMAND" not in names:
                continue
            told.append(where)
            at = names.index("CLAUDE_INIT_LOGIN_COMMAND")
            # A variable stands for its value only in those that come after it.
            assert {"fieldPath": "metadata.namespace"}.items() <= container["env"][names.index("NAMESPACE", 0, at)][
                "valueFrom"]["fieldRef"].items(), where
            assert container["env"][at]["value"] == f"kubectl -n $(NAMESPACE) {' '.join(LOG_IN)}", where
    assert len(told) == len(OVERLAYS) + len(list(EXAMPLES.glob("*.yaml"))) - 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_cluster_accepts_an_overlay_and_the_keeper_may_no_more_than_it_needs(cluster, overlay):
    space = f"check-{overlay}"  # another test may have the real one
    text = rendered(cluster, f"overlays/{overlay}").replace(f"claude-{overlay}", space)
    cluster("create", "namespace", space)
    try:
        cluster("apply", "--dry-run=server", "-f", "-", input=text)
        roles = [one for one in objects(cluster, text) if one["kind"] in ("Role", "RoleBinding", "ServiceAccount")]
        cluster("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": roles}))
        account = f"system:serviceaccount:{space}:keeper"
        may = cluster("-n", space, "auth", "can-i", "--list", "--no-headers", f"--as={account}").stdout.splitlines()
        # What everybody may is about who they are, and what the server is.
        may = [" ".join(line.split()) for line in may if line[0] != " " and not line.startswith("selfsubject")]
        assert sorted(may) == ["secrets [] [] [create]", "secrets [] [claude-login] [get patch]"]
    finally:
        cluster("delete", "namespace", space, "--wait=false")


def test_each_environment_is_by_itself(manifests):
    for name in OVERLAYS:
        spaces = {one["metadata"].get("namespace", one["metadata"]["name"]) for where, one in manifests
                  if where == f"overlays/{name}"}
        assert spaces == {f"claude-{name}"}
        labels = next(one["metadata"]["labels"] for where, one in manifests
                      if where == f"overlays/{name}" and one["kind"] == "Namespace")
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
        assert all(one["metadata"]["labels"]["app.kubernetes.io/part-of"] == "claude-init" for where, one in manifests
                   if where == f"overlays/{name}" and one["kind"] != "Namespace")


def test_what_the_keeper_serves_is_for_whom_it_is_meant(manifests):
    policy = next(one for _, one in manifests if one["kind"] == "NetworkPolicy")
    service = next(one for _, one in manifests if one["kind"] == "Service")
    keeper = next(one for _, one in manifests
                  if one["kind"] == "Deployment" and one["metadata"]["name"] == "keeper")
    labels = keeper["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"] == service["spec"]["selector"] == labels
    port = keeper["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"]
    asking = {"matchLabels": {"claude-init/may-ask": "true"}}
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    [rule] = policy["spec"]["ingress"]
    # Two in a list: one of the two is enough.
    assert rule["from"] == [{"podSelector": asking}, {"namespaceSelector": asking}]
    assert rule["ports"] == [{"protocol": "TCP", "port": port}]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
