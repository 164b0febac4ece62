#!/usr/bin/env python3
"""Do the tests notice when the program is wrong? Mutants of the sources, one at a time, each in turn compiled and tested.

usage: mutants.py [--lane unit|default|full] [--count 60] [--seed 1] [--only ID[,ID...]] [--again] [--list] [--work DIR]

  --lane    which tests: unit = all unit tests; default = those, a chosen set of integration tests and the hostile source;
            full = every integration, fault and power-loss test
  --count   how many mutants; --seed: which ones. The same lines give the same ones
  --only    these, by the ids that --list shows
  --again   those too that have a result already; else a run that was interrupted goes on
  --list    shows them, and runs nothing
  --work    private copy of the tree, its build, results.jsonl (build/mutants)

A mutant is killed when the same command fails twice, or does not end; the first ends it. Survivors that change nothing that can
be seen are explained in explained.txt (ID: why). Ends with 1 if a survivor is not.
"""
import argparse
import hashlib
import json
import os
import signal
import shutil
import subprocess
import sys
import time
from pathlib import Path

from rules import all_mutants, chosen

TOP = Path(__file__).resolve().parents[2]
EXPLAINED = Path(__file__).with_name("explained.txt")
PYTHON = "/usr/bin/python3"
UNIT = ["unit_tests", "fake_clock_tests", "simulated_days_test"]
DRIVERS = ["store_driver", "killer", "attacker", "renewal_driver"]
# What knows most of a folder comes first.
INTEGRATION = {
    "supervise": ["signals", "shutdown", "reaping", "exit_status", "terminal"],
    "loop": ["reaping", "follow"],
    "store": ["commands", "health"],
    "lock": ["locks", "moved_state"],
    "sync": ["commands", "publish", "saving", "sessions"],
    "renew": ["renewal", "keep"],
    "follow": ["follow", "checkpoint", "wait_login"],
    "workcopy": ["identities", "kept_sessions", "sessions"],
    "user": ["identities"],
}


class Lane:
    """Names → commands, in the order in which a mutant of a folder meets them."""

    def __init__(self, name, tree, build):
        self.name, self.tree = name, tree
        self.targets = UNIT if name == "unit" else [*UNIT, *DRIVERS, "claude-init"]
        binary = {word: str(build / "tests/fault" / word) for word in DRIVERS}
        self.environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "CLAUDE_INIT_BINARY": str(build / "claude-init"),
                            "STORE_DRIVER": binary["store_driver"], "STORE_KILLER": binary["killer"],
                            "STORE_ATTACKER": binary["attacker"], "RENEWAL_DRIVER": binary["renewal_driver"]}
        self.unit = {f"unit.{word}": [str(build / "tests/unit" / word), "--abort"] for word in UNIT}

    def file(self, kind, path):
        return {f"{kind}.{path.stem.removeprefix('test_')}":
                [PYTHON, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(path)]}

    def own(self, mutant):
        """The unit tests that are named like its file."""
        stem = Path(mutant.path).stem
        return {f"{name}.{stem}": [*command, "--filenames-as-tags", f"[#{stem}_test]"] for name, command in self.unit.items()}

    def commands(self, folder):
        found = dict(self.unit)
        if self.name == "unit":
            return found
        tests = self.tree / "tests"
        folders = [folder, *(other for other in INTEGRATION if other != folder)]
        for suite in [suite for each in folders for suite in INTEGRATION.get(each, [])]:
            found |= self.file("integration", tests / f"integration/test_{suite}.py")
        found |= self.file("fault", tests / "fault/test_hostile.py")
        if self.name == "full":
            for path in sorted(tests.glob("hostile/test_*.py")):
                found |= self.file("hostile", path)
            for path in sorted([*tests.glob("integration/test_*.py"), *tests.glob("fault/test_*.py")]):
                found |= self.file(path.parent.name, path)
            found |= self.file("powerloss", tests / "powerloss/test_power_loss.py")
        return found


def run(command, environment, cwd, limit, place=None):
    """(whether it was right, None where it did not end; its last lines). With `place`, it can write nowhere else, see and signal nobody else, and
    nothing of it is left afterwards: a mutant may kill or remove what it is not meant to."""
    if place:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        command = [PYTHON, "-B", str(TOP / "tests/isolation.py"), str(place), *command]
    process = subprocess.Popen(command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                               start_new_session=True)
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None, f"not within {limit:.0f} s"
    return process.returncode == 0, "\n".join(said.splitlines()[-15:])


class Workshop:
    def __init__(self, work, lane):
        self.tree, self.build = work / "tree", work / "tree/build/dev"
        self.lane = Lane(lane, self.tree, self.build)
        self.results, self.place, self.known_times = work / "results.jsonl", work / "place", work / "baseline.json"

    def prepare(self):
        """A copy of the tree as it is, and its build. What is the same is left alone, so little is compiled anew."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP,
                                check=True, capture_output=True, text=True).stdout.split("\0")
        names = {name for name in listed if name and (TOP / name).is_file()}
        whole = hashlib.sha256()
        for name in sorted(names):
            whole.update(hashlib.sha256(name.encode() + b"\0" + (TOP / name).read_bytes()).digest())
        self.digest = whole.hexdigest()
        for name in names:
            source, target = TOP / name, self.tree / name
            if not target.is_file() or target.read_bytes() != source.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        for path in [path for path in self.tree.rglob("*") if path.is_file()]:
            name = str(path.relative_to(self.tree))
            if name not in names and not name.startswith("build/"):
                path.unlink()
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        if not (self.build / "build.ninja").exists():
            subprocess.run(["cmake", "--preset", "dev", "-DCMAKE_UNITY_BUILD=OFF", *launcher], cwd=self.tree, check=True,
                           stdout=subprocess.DEVNULL)

    def compiles(self):
        return run(["cmake", "--build", str(self.build), "--target", *self.lane.targets], os.environ, self.tree, 7200)

    def test(self, command, limit):
        return run(command, self.lane.environment, self.tree, limit, self.place)

    def baseline(self, folders):
        """Seconds of each command on the sources as they are; everything has to be right. Measured once."""
        right, said = self.compiles()
        if not right:
            sys.exit(f"mutants: it does not compile as it is\n{said}")
        known = json.loads(self.known_times.read_text(encoding="utf-8")) if self.known_times.exists() else {}
        times = known.get("times", {}) if known.get("digest") == self.digest else {}
        for folder in folders:
            for name, command in self.lane.commands(folder).items():
                if name not in times:
                    begun = time.monotonic()
                    right, said = self.test(command, 3600)
                    if not right:
                        sys.exit(f"mutants: {name} fails without a mutant\n{said}")
                    times[name] = time.monotonic() - begun
                    known = {"digest": self.digest, "times": times}
                    self.known_times.write_text(json.dumps(known), encoding="utf-8")
        return times

    def judge(self, mutant, times):
        """What became of it: killed, survived or invalid, by what, and what that said."""
        path = self.tree / mutant.path
        original = path.read_text(encoding="utf-8")
        path.write_text(mutant.applied(original), encoding="utf-8")
        try:
            right, said = self.compiles()
            if not right:
                return "invalid", "compiler", said
            for name, command in {**self.lane.own(mutant), **self.lane.commands(mutant.folder)}.items():
                limit = 120 + 5 * times.get(name, 0)
                right, said = self.test(command, limit)
                if right is False:
                    right, said = self.test(command, limit)
                if not right:
                    return "killed", name, said
            return "survived", "", ""
        finally:
            path.write_text(original, encoding="utf-8")


def digest(mutant):
    return hashlib.sha256((TOP / mutant.path).read_bytes()).hexdigest()[:12]


def known(results, lane):
    """(id, source) → result, of that lane."""
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    return {(one["id"], one["source"]): one for one in lines if one["lane"] == lane}


def explained():
    if not EXPLAINED.exists():
        return {}
    lines = [line for line in EXPLAINED.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split(": ", 1) for line in lines)


def report(mutants, found):
    """The table; whether every survivor is explained."""
    reasons, counts, open_ = explained(), {}, 0
    print("| id | what became of it | where | mutation |\n|---|---|---|---|")
    for mutant in mutants:
        one = found.get((mutant.number, digest(mutant)))
        state = one["state"] if one else "not run"
        counts[state] = counts.get(state, 0) + 1
        told = f"{state} by {one['by']}" if state == "killed" else state
        if state == "survived":
            told += f", explained: {reasons[mutant.number]}" if mutant.number in reasons else ""
            open_ += mutant.number not in reasons
        words = f"{mutant.rule}: `{mutant.before}` → `{mutant.after or 'left out'}`".replace("|", "\\|")
        print(f"| {mutant.number} | {told} | {mutant.path}:{mutant.line} | {words} |")
    judged = counts.get("killed", 0) + counts.get("survived", 0)
    share = f", {100 * counts.get('killed', 0) / judged:.0f} % killed" if judged else ""
    print(f"\n{', '.join(f'{count} {state}' for state, count in sorted(counts.items()))}{share}")
    return open_ == 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--lane", choices=["unit", "default", "full"], default="default")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--work", type=Path, default=TOP / "build/mutants")
    options = parser.parse_args()
    mutants = all_mutants(TOP)
    if options.only:
        wanted = options.only.split(",")
        mutants = [mutant for mutant in mutants if mutant.number in wanted]
        if missing := set(wanted) - {mutant.number for mutant in mutants}:
            sys.exit(f"mutants: there is no {', '.join(sorted(missing))}")
    else:
        mutants = chosen(mutants, options.count, options.seed)
    if options.list:
        print(*(f"{mutant.number} {mutant}" for mutant in mutants), sep="\n")
        return 0
    options.work = options.work.resolve()
    if os.geteuid() != 0:
        sys.exit("mutants: only root can keep a mutant from doing harm")
    options.work.mkdir(parents=True, exist_ok=True)
    workshop = Workshop(options.work, options.lane)
    found = {} if options.again else known(workshop.results, options.lane)
    left = [mutant for mutant in mutants if (mutant.number, digest(mutant)) not in found]
    if left:
        workshop.prepare()
        times = workshop.baseline(sorted({mutant.folder for mutant in left}))
    for number, mutant in enumerate(left, 1):
        begun = time.monotonic()
        state, by, said = workshop.judge(mutant, times)
        one = {"id": mutant.number, "source": digest(mutant), "lane": options.lane, "state": state, "by": by,
               "seconds": round(time.monotonic() - begun), "what": str(mutant), "said": said}
        with workshop.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(one) + "\n")
        found[mutant.number, digest(mutant)] = one
        print(f"{number}/{len(left)} {mutant.number} {state} {by} ({one['seconds']} s): {mutant}", file=sys.stderr, flush=True)
    return 0 if report(mutants, found) else 1


if __name__ == "__main__":
    sys.exit(main())
