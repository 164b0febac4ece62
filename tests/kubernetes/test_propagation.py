"""From a Secret that is patched to the CLI's working copy: the kubelet's part and ours."""

import json
import statistics
import time

import pytest
from cluster import command
from harness import wait_until

# Looks at both files every 2 ms and tells when each changed, in milliseconds of the clock.
LOOKER = """
const fs = require('fs'), copy = process.env.CLAUDE_CONFIG_DIR + '/.credentials.json';
const files = {kubelet: '/claude-auth/.credentials.json', copy}, seen = {};
console.log('looking');
setInterval(() => {
  for (const [who, path] of Object.entries(files)) {
    let token;
    try { token = JSON.parse(fs.readFileSync(path)).claudeAiOauth.accessToken; } catch { continue; }
    if (seen[who] !== token) { seen[who] = token; console.log(who, token, Date.now()); }
  }
}, 2);
"""


@pytest.fixture(scope="module", name="pod")
def fixture_pod(namespace, endpoint):
    namespace.put_login(endpoint.login())
    namespace.example("job.yaml", command("node", "-e", LOOKER))
    return wait_until(lambda: next((pod for pod in namespace.pods("app=claude-job") if "copy" in pod.logs()), None),
                      "a pod that looks", 90)


def test_ours_is_less_than_200_ms(namespace, endpoint, pod):
    kubelets, ours = [], []
    for _ in range(8):
        login = endpoint.login(access_left=7200)
        patched = time.time() * 1000
        namespace.put_login(login)
        wait_until(lambda login=login: pod.logs().count(login.access_token) == 2, "both have it", 120)
        at = {line.split()[0]: float(line.split()[2]) for line in pod.logs().splitlines() if login.access_token in line}
        kubelets.append(at["kubelet"] - patched)
        ours.append(at["copy"] - at["kubelet"])
    report = {"patched to mounted, ms": [round(ms) for ms in kubelets],
              "mounted to copied, ms": [round(ms) for ms in ours]}
    print(json.dumps(report))
    # The best of them shows what there is to wait for, whatever else the machine does.
    assert min(ours) < 200 and statistics.median(ours) < 1000, report
    assert min(kubelets) < 5000, report  # with syncFrequency 1 s; it is a minute by default (docs/scale.md)
