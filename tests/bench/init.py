#!/usr/bin/python3
"""Compares container inits: init.py PROBE [--quick] [--check] NAME=COMMAND...

Rounds are interleaved, so that whatever else the machine does hits all alike; compare within one run only. Prints a
Markdown table. With --check, exits 1 unless `claude-init` keeps the limits of docs/supervision.md.
"""
import os
import shlex
import shutil
import statistics
import subprocess
import sys

OURS, FLOOR, REAPER = "claude-init", "tini-static", "tini"


def measure(probe, *arguments):
    """All numbers that the probe prints."""
    result = subprocess.run([probe, *map(str, arguments)], capture_output=True, text=True, timeout=300, check=True)
    return [float(word) for word in result.stdout.split()]


def percentile(numbers, share):
    return sorted(numbers)[min(len(numbers) - 1, int(len(numbers) * share))]


def main():
    flags = {word for word in sys.argv[1:] if word.startswith("--") and "=" not in word}
    probe, *named = [word for word in sys.argv[1:] if word not in flags]
    inits = {name: shlex.split(command) for name, command in (word.split("=", 1) for word in named)}
    quick = "--quick" in flags

    spawn = {name: [] for name in ["(none)", *inits]}
    for _ in range(10 if quick else 30):
        spawn["(none)"] += measure(probe, "spawn", 20, "/bin/true")
        for name, command in inits.items():
            spawn[name] += measure(probe, "spawn", 20, *command, "/bin/true")
    latency = {name: [] for name in ["(none)", *inits]}
    for _ in range(2 if quick else 8):
        latency["(none)"] += measure(probe, "latency", 200, "direct")
        for name, command in inits.items():
            latency[name] += measure(probe, "latency", 200, *command)
    reaping = {name: [] for name in inits}
    for _ in range(2 if quick else 5):
        for name, command in inits.items():
            reaping[name].append(measure(probe, "reap", 10_000, *command))
    idle = {name: measure(probe, "idle", 3 if quick else 15, *command) for name, command in inits.items()}

    print("| init | size B | spawn + true: min / median ms | signal latency: median / p99 us "
          "| 10 000 orphans: wall ms / init CPU ms | RSS / private dirty kB | idle: CPU us/s, wakeups/s |")
    print("|---|---|---|---|---|---|---|")
    cpu = {name: statistics.median(run[2] for run in reaping[name]) for name in inits}
    for name in ["(none)", *inits]:
        row = [name, "", f"{min(spawn[name]) / 1e3:.2f} / {statistics.median(spawn[name]) / 1e3:.2f}",
               f"{statistics.median(latency[name]):.0f} / {percentile(latency[name], .99):.0f}", "", "", ""]
        if name in inits:
            row[1] = f"{os.path.getsize(os.path.realpath(shutil.which(inits[name][0]))):,}".replace(",", " ")
            row[4] = f"{statistics.median(run[0] for run in reaping[name]):.0f} / {cpu[name]:.0f}"
            row[5] = f"{idle[name][0]:.0f} / {idle[name][1]:.0f}"
            row[6] = f"{idle[name][2]:.0f}, {idle[name][3]:.2f}"
        print(f"| {' | '.join(row)} |")

    if "--check" in flags:
        rss, dirty, _, wakeups = idle[OURS]
        limits = [("spawn + true, minimum, at most 1.15 x tini-static's", min(spawn[OURS]) / min(spawn[FLOOR]), 1.15),
                  ("init CPU for 10 000 orphans, at most 1.3 x tini's", cpu[OURS] / cpu[REAPER], 1.3),
                  ("RSS, at most 1500 kB", rss, 1500), ("private dirty, at most 300 kB", dirty, 300),
                  ("idle wakeups a second, none", wakeups, 0)]
        for what, value, limit in limits:
            print(f"{'ok' if value <= limit else 'MISSED'}: {what}: {value:.2f}")
        sys.exit(any(value > limit for _, value, limit in limits))


main()
