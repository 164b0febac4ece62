"""The fixtures of the tests on a real control plane."""

import os
import subprocess
import uuid

import pytest
from cluster import BRIDGE, Cluster, Namespace
from harness import Endpoint
from skips import pytest_runtest_makereport


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    run, cache = os.environ.get("CLAUDE_INIT_KUBERNETES_RUN"), os.environ.get("CLAUDE_INIT_KUBERNETES_CACHE")
    if not run or not cache:
        pytest.skip("no cluster: CLAUDE_INIT_KUBERNETES_RUN and _CACHE (tests/kubernetes/README.md)")
    if not os.path.exists(f"{run}/admin.conf"):
        pytest.skip(f"no cluster was started in {run}")
    cluster = Cluster(run, cache, tmp_path_factory.mktemp("home"))
    if not cluster.answers():
        pytest.skip(f"no cluster answers in {run}")
    return cluster


@pytest.fixture(scope="module")
def address(cluster):
    """One of the node's, for a server of this file's tests; the pods can reach it."""
    del cluster
    for number in range(201, 250):
        one = f"10.99.0.{number}"
        added = subprocess.run(["ip", "address", "add", f"{one}/32", "dev", BRIDGE], capture_output=True, check=False)
        if added.returncode == 0:
            yield one
            subprocess.run(["ip", "address", "del", f"{one}/32", "dev", BRIDGE], check=False)
            return
    pytest.fail("no address is free")


@pytest.fixture(scope="module")
def make_endpoint(address, tmp_path_factory):
    """Stand-ins; one at a time."""
    made = []

    def make(**knobs):
        made.append(Endpoint(tmp_path_factory.mktemp("endpoint"), ADDRESS=address, **knobs))
        return made[-1]

    yield make
    for endpoint in made:
        endpoint.close()


@pytest.fixture(scope="module")
def endpoint(make_endpoint):
    return make_endpoint()


@pytest.fixture(scope="module")
def namespace(cluster, endpoint, tmp_path_factory):
    """One of its own."""
    made = Namespace(cluster, endpoint, f"t-{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("volumes")).create()
    yield made
    made.remove()
