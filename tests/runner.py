"""Builds and runs what scripts/test.sh asks for, by ctest, and reports.

usage: runner.py BUILD-DIRECTORY quick|full|long LIST [NAME]...

1. ctest says which tests there are; their labels say in which lane each is.
2. Only what the chosen tests need is built. What an engine needs is made meanwhile.
3. ctest runs them. A test of a kind that meets the outside world (integration, e2e, kubernetes) that fails is tried once
   more, and the report says so. All others have one try.
4. The report: lanes and times, what was left out, what was tried again, and one line of totals.
"""

import fcntl
import json
import os
import re
import shlex
import subprocess
import sys
import time
import xml.etree.ElementTree
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
LANES = ["quick", "full", "long"]
TRIED_AGAIN = {"integration", "e2e", "kubernetes"}
MACHINE_LOCK = Path("/run/lock/claude-init-tests.lock")
# The programs that each kind of test needs; any other kind needs all that there are.
TARGETS = {"unit": ["unit_tests", "fake_clock_tests", "simulated_days_test"], "integration": ["claude-init"], "model": [],
           "docs": ["claude-init", "write_reference"], "fault": ["store_driver", "killer", "attacker", "renewal_driver"],
           "release": [], "fuzz": [], "sanitizers": [], "tidy": [], "e2e": ["claude-init", "small_client"],
           "kubernetes": ["claude-init"]}


class Test:
    def __init__(self, described):
        properties = {one["name"]: one["value"] for one in described.get("properties", [])}
        self.name = described["name"]
        self.labels = set(properties.get("LABELS", []))
        self.fixtures = set(properties.get("FIXTURES_REQUIRED", []))
        self.is_fixture = bool({"FIXTURES_SETUP", "FIXTURES_CLEANUP"} & set(properties))
        self.lane = next((lane for lane in LANES if lane in self.labels), "full")
        self.kinds = self.labels - set(LANES)


def step(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def ctest(build, *arguments, **options):
    return subprocess.run(["ctest", "--test-dir", str(build), *arguments], check=False, **options)


def find_tests(build):
    described = ctest(build, "--show-only=json-v1", capture_output=True, text=True)
    return [Test(one) for one in json.loads(described.stdout)["tests"]]


def known_times(build):
    """Seconds that each test took at the median of the runs that were recorded here, or of those in times.tsv."""
    times = {}
    for file, separator in ((TOP / "tests/times.tsv", "\t"), (build / "times.tsv", "\t")):
        if file.exists():
            times.update(line.split(separator)[:2] for line in file.read_text(encoding="utf-8").splitlines() if line)
    return {name: float(seconds) for name, seconds in times.items()}


def tell_ctest_what_takes_long(build, times):
    """It starts the longest first, by its own file of earlier runs, which a fresh clone has not."""
    costs = build / "Testing/Temporary/CTestCostData.txt"
    if times and not costs.exists():
        costs.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{name} 1 {seconds}" for name, seconds in sorted(times.items())]
        costs.write_text("\n".join([*lines, "---", ""]), encoding="utf-8")


def choose(tests, lane, names):
    """Names are looked for in the lane that was asked for by name, else in every one."""
    most = LANES.index("long" if names and lane == "quick" else lane)
    return [test for test in tests if LANES.index(test.lane) <= most
            and (not names or any(name in test.name for name in names))]


def print_list(tests, times):
    print(f"{'lane':<6}{'seconds':>8}  name")
    for test in sorted(tests, key=lambda test: (LANES.index(test.lane), test.name)):
        if not test.is_fixture:
            print(f"{test.lane:<6}{times.get(test.name, float('nan')):8.1f}  {test.name}")


def targets_of(chosen):
    """None: everything."""
    targets = set()
    for kind in {kind for test in chosen for kind in test.kinds}:
        if kind == "e2e" and all("quick" in test.labels or "kubernetes" in test.labels for test in chosen):
            targets.add("claude-init")
        elif kind in TARGETS:
            targets.update(TARGETS[kind])
        else:
            return None
    return sorted(targets)


def build_targets(build, targets):
    if targets == []:
        return
    step("Building " + ("everything" if targets is None else ", ".join(targets)))
    words = [] if targets is None else ["--target", *targets]
    if subprocess.run(["cmake", "--build", str(build), *words], stdout=sys.stderr, check=False).returncode != 0:
        sys.exit("fail: the build failed; the reason is above")


class Preparation:
    """What takes long and needs nothing of ours, made while we compile. The tests that need it find it, or make it and
    report why they cannot."""

    def __init__(self, build, chosen):
        self.processes = []
        fixtures = {fixture for test in chosen for fixture in test.fixtures}
        if os.getuid() != 0:
            return
        if fixtures & {"cluster", "kubernetes"}:
            self.start(build / "prepare-kubernetes.log", TOP / "tests/with-nice.sh", "10",
                       TOP / "tests/kubernetes/engine/project-cluster.sh", "build", cache_of(build) / "kubernetes"
                       if "CLAUDE_INIT_E2E_CACHE" in os.environ else build / "cluster/cache")
        if fixtures & {"engine", "images", "cluster"}:
            self.start(build / "prepare-engine.log", TOP / "tests/e2e/engine/prepare.sh", build / "engine", cache_of(build))

    def start(self, log, *command):
        with open(log, "w", encoding="utf-8") as output:
            self.processes.append(subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                                   stdout=output, stderr=output))

    def end(self):
        for process in self.processes:
            process.wait()


def cache_of(build):
    return Path(os.environ.get("CLAUDE_INIT_E2E_CACHE", build / "engine/cache"))


def hold_machine(chosen):
    """One engine, one cluster and one stand-in on port 443 at a time: a run beside another one waits for its turn."""
    if not any(test.kinds & {"e2e", "kubernetes"} for test in chosen):
        return None
    lock = open(MACHINE_LOCK, "w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        step("Another run on this machine has the container engine: waiting for its end")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


class Results:
    """What ctest's runs came to: name → status, seconds, last words."""

    def __init__(self):
        self.status, self.seconds, self.words = {}, {}, {}

    def add(self, report):
        for case in xml.etree.ElementTree.parse(report).iter("testcase"):
            name = case.get("name")
            self.status[name] = status_of(case)
            self.seconds[name] = self.seconds.get(name, 0) + float(case.get("time") or 0)
            self.words[name] = last_words(case)

    def having(self, *statuses):
        return sorted(name for name, status in self.status.items() if status in statuses)


def status_of(case):
    """ctest says `notrun` of a test that skipped itself as of one whose fixture failed."""
    skipped = case.find("skipped")
    is_own = skipped is not None and "SKIP_" in (skipped.get("message") or "")
    return "skipped" if is_own else case.get("status")


def last_words(case):
    """The line of a test's output that says why it failed."""
    output = (case.findtext("system-out") or "").splitlines()
    telling = [line for line in output if re.match(r"(E  |FAILED |.*(Error|error|failed|FAILED)\b)", line)]
    return (telling or output or [case.findtext("failure") or "no output"])[-1].strip()[:160]


def run(build, chosen, environment):
    results, again = Results(), {}
    parallel = str(4 * (os.cpu_count() or 1))

    def one_run(names, report):
        # Names of tests are words of their own for ctest's expression.
        pattern = "^(" + "|".join(re.escape(name).replace("\\-", "-") for name in names) + ")$"
        file = build / report
        file.unlink(missing_ok=True)
        ctest(build, "--output-on-failure", "--parallel", parallel, "--output-junit", str(file), "-R", pattern,
              env=environment, stdin=subprocess.DEVNULL)
        results.add(file)

    one_run([test.name for test in chosen], "first.xml")
    by_name = {test.name: test for test in chosen}
    failed = results.having("fail", "notrun")
    # Where a fixture failed, ctest has not run what needs it.
    retry = [name for name in failed if TRIED_AGAIN & (by_name[name].kinds if name in by_name else {name.split(".")[0]})]
    if failed and len(retry) == len(failed) and len(retry) <= 5:
        again = {name: results.words[name] for name in retry}
        step("Trying once more: " + ", ".join(retry))
        one_run(retry, "second.xml")
    return results, again


def minutes(seconds):
    return f"{int(seconds) // 60} min {int(seconds) % 60:02} s"


def report(lane, names, tests, chosen, results, again, began, built):
    lanes = {}
    for test in chosen:
        kind = test.name.split(".")[0]
        count, seconds = lanes.get(kind, (0, 0))
        lanes[kind] = (count + 1, seconds + results.seconds.get(test.name, 0))
    print("\nkind          tests   seconds")
    for kind, (count, seconds) in sorted(lanes.items()):
        print(f"{kind:<14}{count:5}{seconds:10.1f}")
    print(f"compiling and preparing: {minutes(built - began)}; testing: {minutes(time.monotonic() - built)}")
    for name in sorted(again):
        print(f"tried again: {name} ({again[name]})")
    for name in results.having("fail", "notrun"):
        print(f"failed: {name} ({results.words[name]})")
    skipped = results.having("skipped")
    for name in skipped:
        print(f"skipped: {name} ({results.words[name]})")
    if not names:
        left = [test for test in tests if test not in chosen and not test.is_fixture]
        for which in LANES[LANES.index(lane) + 1:]:
            out = [test.name for test in left if test.lane == which]
            if out:
                kinds = sorted({name.split(".")[0] for name in out})
                print(f"left out: {len(out)} tests of {', '.join(kinds)}: scripts/test.sh --{which}")
        if lane != "long":
            print("left out: " + ("every system call killed and failed, not a sample: scripts/test.sh --full"
                                  if lane == "quick" else "the exhaustive fault tests: scripts/test.sh --long"))
    failed = len(results.having("fail", "notrun"))
    passed = len(results.having("run"))
    print(f"tests: {passed} passed, {failed} failed, {len(skipped)} skipped", flush=True)
    return failed


def record_times(build, results):
    times = known_times(build) | {name: round(seconds, 1) for name, seconds in results.seconds.items()}
    (build / "times.tsv").write_text("".join(f"{name}\t{seconds}\n" for name, seconds in sorted(times.items())),
                                     encoding="utf-8")


def main(build, lane, only_list, *names):
    build = Path(build).resolve()
    began = time.monotonic()
    tests = find_tests(build)
    if only_list == "1":
        print_list(tests, known_times(build))
        return 0
    chosen = [test for test in choose(tests, lane, names) if not test.is_fixture]
    if not chosen:
        sys.exit(f"fail: no test has {' or '.join(map(shlex.quote, names))} in its name (scripts/test.sh --list)")
    lock = hold_machine(chosen)
    preparation = Preparation(build, chosen)
    build_targets(build, targets_of(chosen))
    built = time.monotonic()
    depth = max([lane, *(test.lane for test in chosen)], key=LANES.index)
    environment = os.environ | {"CLAUDE_INIT_TEST_LANE": depth}
    tell_ctest_what_takes_long(build, known_times(build))
    step(f"Testing ({len(chosen)} tests)")
    results, again = run(build, chosen, environment)
    preparation.end()
    record_times(build, results)
    failed = report(lane, names, tests, chosen, results, again, began, built)
    if lock:
        lock.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
