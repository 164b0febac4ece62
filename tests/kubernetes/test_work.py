"""The examples of deploy/kubernetes/examples, as they are but for the way to the stand-in: jobs, services, and the ways
to have claude-init in a pod."""

import json
import re
import select
import subprocess

import pytest
from cluster import DEPLOY, IMAGE_WITHOUT_US, command
from harness import ANSWER, wait_until

# Prints who it is, what is PID 1 and what is its parent, and stays.
WHO = 'echo "uid=$(id -u) parent=$PPID one=$(tr "\\0" " " < /proc/1/cmdline)"; '
QUESTION = "What is new since the last time?"  # of cronjob.yaml
# The child of claude-init, which is PID 1.
KILL_THE_COMMAND = '''for each in /proc/[0-9]*/stat; do
  read -r pid name state parent rest < "$each" || continue
  if [ "$parent" = 1 ]; then kill -KILL "$pid"; fi
done 2>/dev/null'''
LONG_GRACE = 600  # seconds: longer than a test waits
STAYS = WHO + 'trap "echo got TERM; exit 7" TERM; while :; do sleep 0.1; done'


@pytest.fixture(scope="module", name="space")
def fixture_space(namespace, endpoint):
    namespace.put_login(endpoint.login())
    namespace.apply(namespace.read((DEPLOY / "base/settings.yaml").read_text(encoding="utf-8")))
    return namespace


@pytest.fixture(autouse=True)
def fixture_nothing_is_left(space):
    yield
    kinds = "cronjobs,jobs,deployments,replicasets,pods"

    def gone():
        # At once: the kubelet takes up to a minute to forget a pod whose processes have ended, and the next may have its
        # name. Again: a controller may have made one more meanwhile.
        space("delete", kinds, "--all", "--grace-period=0", "--force", "--wait=false", check=False)
        found = space.ask("pods")
        return found is not None and not json.loads(found)["items"]

    wait_until(gone, "no pod stays")


def ended(space, selector):
    """The pod of a job, when it has ended."""
    def found():
        pods = space.pods(selector)
        return pods[0] if pods and pods[0].status() is not None else None
    return wait_until(found, f"the end of {selector}")


def started(space, name, words="uid="):
    def found():
        pods = [pod for pod in space.pods(f"app={name}") if words in pod.logs()]
        return pods[0] if pods else None
    return wait_until(found, f"{name} says {words}")


def test_a_job_has_the_answer_and_the_exit_status_of_the_cli(space):
    space.example("job.yaml")
    pod = ended(space, "app=claude-job")
    assert (pod.status(), pod.logs().splitlines()[-1]) == (0, ANSWER)
    space("wait", "--for=condition=Complete", "--timeout=200s", "job/claude-job")
    space("delete", "job", "claude-job")

    space.example("job.yaml", command("claude", "--no-such-option"))
    pod = ended(space, "app=claude-job")
    assert pod.status() == 1 and "unknown option" in pod.logs()
    space("wait", "--for=condition=Failed", "--timeout=200s", "job/claude-job")
    assert len(space.pods("app=claude-job")) == 1


def test_a_job_is_stopped_within_the_grace(space):
    space.example("job.yaml", command("sh", "-c", STAYS, grace=LONG_GRACE))
    pod = started(space, "claude-job")
    assert "one=claude-init run" in pod.logs() and "uid=1000" in pod.logs()
    wait_until(lambda: pod.again().is_running(), "the kubelet says that it runs")
    with Follow(pod) as follow:
        space("delete", "job", "claude-job", "--wait=false")
        going = "deletionTimestamp"
        wait_until(lambda: going in (space.ask(f"pods/{pod.name}") or going), "its pod goes too")
        ends_within_grace(pod)
        assert "got TERM" in follow.text()


def ends_within_grace(pod):
    wait_until(lambda: not pod.is_on_node(), "its processes are gone before the grace is over")


class Follow:
    """`kubectl logs --follow`: what a pod that has said something says while it goes."""

    def __init__(self, pod):
        words = ["kubectl", "-n", pod.namespace.name, "logs", "--follow", pod.name]
        self.process = subprocess.Popen(words, env=pod.namespace.cluster.environment, stdout=subprocess.PIPE, text=True)
        # By the time that something is here the kubelet has the file open, and the pod may go.
        assert select.select([self.process.stdout], [], [], 240)[0], "nothing comes from the pod's log"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def text(self):
        return self.process.communicate(timeout=240)[0]


def test_a_cron_job_goes_on_with_its_conversation(space):
    space.example("cronjob.yaml")
    directory = space.directory / "claude-sessions"
    for number in (1, 2):
        space("create", "job", f"hour-{number}", "--from=cronjob/claude-hourly")
        pod = ended(space, f"job-name=hour-{number}")
        assert pod.status() == 0 and ANSWER in pod.logs(), pod.logs()
    files = list(directory.rglob("*.jsonl"))
    assert len(files) == 1, "the second went on with the first one's"
    questions = [json.loads(line) for line in files[0].read_text(encoding="utf-8").splitlines()]
    assert [line["message"]["content"] for line in questions if line.get("type") == "user"] == [QUESTION] * 2
    assert not list(directory.rglob(".credentials.json"))


def test_a_service_is_ready_and_its_failure_restarts_it(space):
    space.example("deployment.yaml")
    wait_until(lambda: sum(pod.is_ready() for pod in space.pods("app=claude-worker")) == 3, "three that are ready")
    wait_until(lambda: all(ANSWER in pod.logs() for pod in space.pods("app=claude-worker")), "three answers")
    pod, *others = space.pods("app=claude-worker")
    pod.execute("sh", "-c", KILL_THE_COMMAND, check=False)  # this shell goes with the container
    wait_until(lambda: pod.again().restarts() == 1 and pod.is_ready(), "it is restarted, and ready again")
    [status] = pod.one["status"]["containerStatuses"]
    assert status["lastState"]["terminated"]["exitCode"] == 128 + 9
    assert [other.again().restarts() for other in others] == [0, 0]


def test_any_user_can_run_it(space):
    def somebody(one, spec):
        spec["securityContext"].update(runAsUser=1234567, runAsGroup=0)
        command("sh", "-c", WHO + "claude --print hello")(one, spec)

    space.example("job.yaml", somebody)
    pod = ended(space, "app=claude-job")
    assert pod.status() == 0 and "uid=1234567" in pod.logs() and ANSWER in pod.logs(), pod.logs()


ORPHANS = 'for i in 1 2 3 4 5; do (sleep 0.2 &) ; done; (sleep 1000 &); '


def zombies(pod):
    """Of the pod's PID namespace, by what they were."""
    text = pod.execute("sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null || :").stdout
    return re.findall(r"^\d+ \((.*?)\) Z", text, re.MULTILINE)


def test_shared_processes_claude_init_is_not_pid_1_and_reaps_and_stops_all_the_same(space):
    space.example("shared-processes.yaml", command("sh", "-c", ORPHANS + "echo left; " + STAYS, grace=LONG_GRACE))
    pod = started(space, "claude-shared")
    assert "one=/pause" in pod.logs()
    parent = re.search(r"parent=(\d+)", pod.logs())[1]
    assert pod.execute("cat", f"/proc/{parent}/cmdline").stdout.startswith("claude-init\0run")
    # Their parent has gone: claude-init is it now, not pause.
    sleeper = pod.execute("sh", "-c", "pgrep -f 'sleep 1000' || grep -lz 1000 /proc/[0-9]*/cmdline | head -n 1").stdout
    number = re.search(r"\d+", sleeper)[0]
    assert f"PPid:\t{parent}\n" in pod.execute("cat", f"/proc/{number}/status").stdout
    wait_until(lambda: zombies(pod) == [], "no zombie is left")
    wait_until(lambda: pod.again().is_running(), "the kubelet says that it runs")
    with Follow(pod) as follow:
        space("delete", "pod", pod.name, "--wait=false")
        ends_within_grace(pod)
        assert "got TERM" in follow.text()


def test_shared_processes_a_signal_from_a_neighbour_is_forwarded_and_the_status_is_the_commands(space):
    def once(one, spec):
        spec["restartPolicy"] = "Never"
        command("sh", "-c", STAYS)(one, spec)

    space.example("shared-processes.yaml", once)
    pod = started(space, "claude-shared")
    parent = re.search(r"parent=(\d+)", pod.logs())[1]
    pod.execute("sh", "-c", f"kill -TERM {parent}")
    wait_until(lambda: pod.status() is not None, "the end")
    assert pod.status() == 7 and "got TERM" in pod.logs()


def test_the_binary_is_put_beside_an_image_that_does_not_have_it(space):
    def image(one, spec):
        spec["containers"][0]["image"] = IMAGE_WITHOUT_US
        command("sh", "-c", "command -v claude-init; " + WHO + "claude --print hello; sleep 1000")(one, spec)

    space.example("injected.yaml", image)
    pod = started(space, "claude-injected", ANSWER)
    assert "one=/claude-init/claude-init run" in pod.logs() and "/usr/local/bin/claude-init" not in pod.logs()
    wait_until(lambda: pod.again().is_ready(), "it is ready")


def test_what_restricted_means_holds_inside(space):
    """By /proc, whatever the manifests say: no capability, no new privileges, a seccomp filter, a read-only root."""
    look = "cat /proc/1/status; touch /x; mount | grep ' /run/claude '; "
    space.example("job.yaml", command("sh", "-c", look + STAYS))
    pod = started(space, "claude-job")
    said = pod.logs()
    for field in ("CapPrm", "CapEff", "CapBnd"):
        assert re.search(rf"{field}:\t0+\n", said), field
    assert "NoNewPrivs:\t1" in said and "Seccomp:\t2" in said
    assert "Read-only file system" in said and "tmpfs on /run/claude" in said
    copies = pod.execute("sh", "-c", "ls -A /run/claude/claude-init-*/claude").stdout.split()
    assert {".claude.json", ".credentials.json", "settings.json"} <= set(copies)
