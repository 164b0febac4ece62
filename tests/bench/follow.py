#!/usr/bin/python3
"""How soon what is put somewhere is where it is wanted: follow.py CLAUDE-INIT [--quick] [--check]

A login from a store to a run's copy, and to a hundred runs' copies, beside a `cp` for each of the same; and a stop with
64 MiB to save, with default values. Prints a Markdown table. With --check, exits 1 unless the limits of
docs/working-copies.md are kept: 200 ms, one second for a hundred, the engine's ten seconds.
"""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

LOGIN = ".credentials.json"


def login(number):
    return json.dumps({"claudeAiOauth": {
        "accessToken": f"sk-ant-oat01-FAKE{number}", "refreshToken": f"sk-ant-ort01-FAKE{number}",
        "expiresAt": int((time.time() + 7200 + number) * 1000), "scopes": ["user:inference"], "accountUuid": "1"}})


def put(store, number):
    """As the CLI does it. When it was there."""
    with open(os.path.join(store, "new"), "w") as file:
        file.write(login(number))
    os.chmod(os.path.join(store, "new"), 0o600)
    os.rename(os.path.join(store, "new"), os.path.join(store, LOGIN))
    return time.monotonic()


class Place:
    def __init__(self, binary, root):
        self.binary, self.root, self.store = binary, root, os.path.join(root, "store")
        os.mkdir(self.store, 0o700)
        self.environment = {"PATH": "/usr/bin:/bin", "HOME": root, "XDG_RUNTIME_DIR": root}

    def start(self, subcommand, script, *options):
        """A session whose command has said its first line, and that line."""
        process = subprocess.Popen([self.binary, subcommand, "--user", str(os.geteuid()), "--store", self.store, *options, "--",
                                    "sh", "-c", script], env=self.environment, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return process, process.stdout.readline().strip()

    def follow(self, runs, rounds, first):
        """Milliseconds from the store to the last of so many copies, each time; and of a `cp` for each."""
        put(self.store, first)
        started = [self.start("run", 'echo "$CLAUDE_CONFIG_DIR"; read forever', "--copy", "login") for _ in range(runs)]
        copies = [os.path.join(place, LOGIN) for _, place in started]
        took, probe = [], []
        for number in range(first + 1, first + 1 + rounds):
            time.sleep(0.5)  # the runs are at rest
            begun, word = put(self.store, number), f"FAKE{number}\""
            for copy in copies:
                while word not in open(copy).read():
                    time.sleep(0.001)
            took.append((time.monotonic() - begun) * 1e3)
            begun = time.monotonic()
            for copy in copies:
                subprocess.run(["cp", copy, copy + ".tmp.probe"], check=True)
            probe.append((time.monotonic() - begun) * 1e3)
        for process, _ in started:
            process.communicate("\n")
        return took, probe

    def stop(self):
        """Milliseconds from TERM to the end of a setup with 64 MiB that nothing has saved before."""
        shutil.rmtree(os.path.join(self.store, "projects"), ignore_errors=True)
        process, _ = self.start("setup", 'mkdir -p "$CLAUDE_CONFIG_DIR/projects/p"; for i in $(seq 16); do head -c 4194304 '
                                '/dev/urandom > "$CLAUDE_CONFIG_DIR/projects/p/$i.jsonl"; done; echo ready; exec sleep 1000')
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate()
        took = (time.monotonic() - begun) * 1e3
        saved = os.listdir(os.path.join(self.store, "projects/p"))
        assert len(saved) == 16, f"{len(saved)} of 16 files are saved"
        return took


def main():
    flags = {word for word in sys.argv[1:] if word.startswith("--")}
    (binary,) = [word for word in sys.argv[1:] if word not in flags]
    rounds = 5 if "--quick" in flags else 20
    with tempfile.TemporaryDirectory() as root:
        place = Place(binary, root)
        one, one_cp = place.follow(1, rounds, 0)
        many, many_cp = place.follow(100, max(3, rounds // 4), 1000)
        stops = [place.stop() for _ in range(3)]
    print("| ms | median | longest |\n|---|---|---|")
    for name, took in (("store → copy", one), ("a `cp`", one_cp), ("store → 100 copies", many), ("100 times `cp`", many_cp),
                       ("TERM → end, 64 MiB to save", stops)):
        print(f"| {name} | {statistics.median(took):.0f} | {max(took):.0f} |")
    if "--check" in flags:
        limits = [("store -> copy, median ms, at most 200", statistics.median(one), 200),
                  ("store -> 100 copies, median ms, at most 1000", statistics.median(many), 1000),
                  ("a stop with 64 MiB, ms, at most 10000", max(stops), 10_000)]
        for what, value, limit in limits:
            print(f"{'ok' if value <= limit else 'MISSED'}: {what}: {value:.0f}")
        sys.exit(any(value > limit for _, value, limit in limits))


main()
