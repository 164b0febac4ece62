#!/usr/bin/python3
"""What a working copy costs: run.py CLAUDE-INIT [--quick] [--check]

A store of 10 000 files and 270 MB is made, and `run -- /bin/true` is timed on it beside `init -- /bin/true` and beside
`cp -a` of the same store to the same place, in interleaved rounds, so that whatever else the machine does hits all
alike; compare within one run only. `run` includes wiping the copy, `cp -a` leaves its own to be removed. Prints a
Markdown table. With --check, exits 1 unless the limits of docs/working-copies.md are kept.
"""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

FILES = 10_000
# An empty `docker run` takes 400 ms; a job is to start in 1.15 of that.
LOGIN_LIMIT, CONFIG_LIMIT, ALL_LIMIT, RSS_LIMIT = 3.0, 60.0, 0.9, 4096


def measure(*command):
    """Wall and CPU time of a command, in ms."""
    words = [str(word) for word in command]
    start = time.monotonic()
    pid = os.posix_spawn(shutil.which(words[0]), words, os.environ)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    assert status == 0, f"{words}: {status}"
    return wall * 1e3, (usage.ru_utime + usage.ru_stime) * 1e3


def resident(binary, *options):
    """kB of PID 1, or of the process that is it elsewhere, while its command runs."""
    script = "sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$PPID/status"
    return int(subprocess.run([binary, "run", *map(str, options), "--", "sh", "-c", script], capture_output=True,
                              text=True, check=True).stdout)


def main():
    flags = {word for word in sys.argv[1:] if word.startswith("--")}
    (binary,) = [word for word in sys.argv[1:] if word not in flags]
    rounds, many = (3, 5) if "--quick" in flags else (9, 15)
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    generator = os.path.join(os.path.dirname(os.path.abspath(__file__)), "state_generator.py")
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory(dir=in_memory) as place:
        store = os.path.join(source, "store")
        subprocess.run([sys.executable, generator, store, f"--files={FILES}"], check=True, stdout=subprocess.DEVNULL)
        run = [binary, "run", "--user", str(os.getuid()), "--store", store, "--workdir", place]
        short = {"init -- /bin/true": [binary, "init", "--", "/bin/true"],
                 "run --copy=login -- /bin/true": [*run, "--copy=login", "--", "/bin/true"],
                 "run -- /bin/true": [*run, "--", "/bin/true"]}
        long = {"run --copy=all -- /bin/true": [*run, "--copy=all", "--", "/bin/true"],
                "cp -a": ["cp", "-a", store, os.path.join(place, "copy")]}
        times = {name: [] for name in [*short, *long]}
        for _ in range(rounds):
            for _ in range(many):
                for name, command in short.items():
                    times[name].append(measure(*command))
            for name, command in long.items():
                times[name].append(measure(*command))
            shutil.rmtree(os.path.join(place, "copy"))
        rss = {name: resident(binary, *command[2:-2]) for name, command in [*short.items(), *long.items()]
               if name.startswith("run")}

    median = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in times.items()}
    print("| command | wall ms: median | CPU ms: median | RSS of claude-init kB |\n|---|---|---|---|")
    for name, (wall, cpu) in median.items():
        print(f"| `{name}` | {wall:.2f} | {cpu:.2f} | {rss.get(name, '')} |")
    init, login, config, everything, copied = median
    if "--check" in flags:
        def over_init(name):
            return statistics.median(b[0] - a[0] for a, b in zip(times[init], times[name]))

        limits = [("--copy=login over init, wall ms, at most 3", over_init(login), LOGIN_LIMIT),
                  ("the default over init, wall ms, at most 60", over_init(config), CONFIG_LIMIT),
                  ("--copy=all over cp -a, wall, at most 0.9 x", median[everything][0] / median[copied][0], ALL_LIMIT),
                  ("RSS, kB, at most 4096", max(rss.values()), RSS_LIMIT)]
        for what, value, limit in limits:
            print(f"{'ok' if value <= limit else 'MISSED'}: {what}: {value:.2f}")
        print(f"--copy=all over cp -a, CPU: {median[everything][1] / median[copied][1]:.2f} x")
        sys.exit(any(value > limit for _, value, limit in limits))


main()
