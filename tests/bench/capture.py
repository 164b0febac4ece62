#!/usr/bin/python3
"""Compares a capture with its peers: capture.py CLAUDE_INIT DIRECTORY [--quick] [--check]

Everything lies in a new directory beneath DIRECTORY, whose disk is what is measured. Rounds are interleaved, each
begins with another one, so that whatever else the machine does hits all alike; compare within one run only. A peer is
followed by `sync -f`, since it does not sync; a capture is durable when it ends. Prints Markdown tables. With --check,
exits 1 unless the limits of docs/durability.md are kept.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from state_generator import generate, login  # noqa: E402

OURS, CP, RSYNC, RSYNC_DELETE = "claude-init capture", "cp -a", "rsync -a", "rsync -a --delete"
QUICK = "--quick" in sys.argv
FIRST_ROUNDS, NEXT_ROUNDS, LOGINS = (2, 3, 10) if QUICK else (7, 11, 100)


def timed(command):
    """Wall time in seconds and peak memory in KiB; the peak of the largest process where there are several."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - begin
    if status != 0:
        sys.exit(f"{command} failed: {process.stderr.read().decode()}")
    process.stderr.close()
    return took, usage.ru_maxrss


def followed_by_sync(*command):
    return ["sh", "-c", '"$@" && sync -f "$0"', command[-1], *command]


class Bench:
    def __init__(self, binary, root):
        self.binary = binary
        self.root = root

    def path(self, name):
        return os.path.join(self.root, name)

    def capture(self, source, store, *options):
        os.makedirs(store, mode=0o700, exist_ok=True)
        return [self.binary, "capture", "--from", source, "--store", store, *options]

    def commands(self, source, **targets):
        """Of each competitor, for the tree that is its own."""
        made = {OURS: self.capture(source, targets["ours"], "--delete")}
        for name, words in ((CP, ["cp", "-a"]), (RSYNC, ["rsync", "-a"]), (RSYNC_DELETE, ["rsync", "-a", "--delete"])):
            if name in targets:
                made[name] = followed_by_sync(*words, source + "/.", targets[name])
        return made

    def interleaved(self, rounds, commands, prepare):
        """Seconds of each command in each round; `prepare(round)` goes before each round."""
        took = {name: [] for name in commands}
        for number in range(rounds):
            prepare(number)
            names = list(commands)
            names = names[number % len(names):] + names[:number % len(names)]
            for name in names:
                took[name].append(timed(commands[name])[0])
                print(f"round {number + 1} of {rounds}: {name}: {took[name][-1]:.3f} s", file=sys.stderr)
        return took

    def first(self, source):
        targets = {"ours": self.path("first-ours"), CP: self.path("first-cp"), RSYNC: self.path("first-rsync")}

        def prepare(number):
            # Moved away: after a removal a disk is busy discarding for longer than `sync` waits.
            for target in targets.values():
                if os.path.exists(target):
                    os.rename(target, f"{target}-before-{number}")
            os.makedirs(targets["ours"], mode=0o700)
            subprocess.run(["sync", "-f", self.root], check=True)

        took = self.interleaved(FIRST_ROUNDS, self.commands(source, **targets), prepare)
        prepare(None)
        return took

    def next(self, source):
        """Three files changed, and nothing changed."""
        targets = {"ours": self.path("next-ours"), RSYNC_DELETE: self.path("next-rsync")}
        commands = self.commands(source, **targets)
        for command in commands.values():
            timed(command)

        def change(number):
            conversations = os.path.join(source, "projects")
            folder = os.path.join(conversations, sorted(os.listdir(conversations))[0])
            with open(os.path.join(folder, sorted(os.listdir(folder))[0]), "a") as file:
                file.write(json.dumps({"type": "user", "message": f"round {number}"}) + "\n")
            todo = sorted(os.listdir(os.path.join(source, "todos")))[number]
            for name, text in ((f"todos/{todo}", f'[{{"content": "{number}"}}]'),
                               (".credentials.json", login(number + 2))):
                with open(os.path.join(source, name), "w") as file:
                    file.write(text)
            subprocess.run(["sync", "-f", self.root], check=True)

        changed = self.interleaved(NEXT_ROUNDS, commands, change)
        return changed, self.interleaved(NEXT_ROUNDS, commands, lambda _: None)

    def growth(self):
        """Seconds of a first capture and of one of nothing changed, and peak memory, of 10 000 and 100 000 files."""
        found = {}
        for files in (10_000, 100_000):
            source, store = self.path(f"growth-{files}"), self.path("growth-store")
            generate(source, files, files * 2000)
            subprocess.run(["sync", "-f", self.root], check=True)
            firsts = []
            for _ in range(1 if QUICK else 3):
                shutil.rmtree(store, ignore_errors=True)
                firsts.append(timed(self.capture(source, store)))
            again = [timed(self.capture(source, store))[0] for _ in range(3)]
            found[files] = (statistics.median(took for took, _ in firsts), statistics.median(again),
                            max(peak for _, peak in firsts))
            shutil.rmtree(source)
            shutil.rmtree(store)
        return found

    def logins(self):
        """Milliseconds from a login's being written in a setup session to its being durable in the store, and of a
        bare write, fsync and rename of the same bytes."""
        home, store = self.path("home"), self.path("login-store")
        for directory in (home, store):
            os.mkdir(directory, 0o700)
        session = subprocess.Popen(
            [self.binary, "setup", "--log-level", "info", "--store", store, "--user", str(os.geteuid()), "--",
             "sh", "-c", 'echo "$CLAUDE_CONFIG_DIR"; exec cat'],
            env={"PATH": "/usr/bin:/bin", "HOME": home, "XDG_RUNTIME_DIR": home},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        place = session.stdout.readline().strip()
        durable, probe = [], []
        for number in range(1, LOGINS + 1):
            text = login(number)
            put_login(self.root, f"probe-{number % 2}", text, probe)
            written = put_login(place, ".credentials.json", text)
            while True:
                line = session.stderr.readline()
                if not line:
                    sys.exit("the setup session ended before it saved a login")
                # Said when the capture has returned: all is on the disk.
                if "captured" in line and json.loads(text) == read_json(os.path.join(store, ".credentials.json")):
                    break
            durable.append((time.monotonic() - written) * 1e3)
        session.stdin.close()
        session.stderr.close()
        session.wait()
        return durable, probe


def put_login(directory, name, text, took=None):
    """As the CLI does it. Returns when it was in place; `took` gets the milliseconds."""
    begin = time.monotonic()
    path = os.path.join(directory, name)
    fd = os.open(path + ".tmp.0000000a", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, text.encode())
    os.fsync(fd)
    os.close(fd)
    os.rename(path + ".tmp.0000000a", path)
    end = time.monotonic()
    if took is not None:
        took.append((end - begin) * 1e3)
    return end


def read_json(path):
    try:
        with open(path) as file:
            return json.load(file)
    except OSError:
        return None


def row(*cells):
    print(f"| {' | '.join(cells)} |")


def print_times(titles, rounds):
    """`rounds` has for each title the seconds of each competitor."""
    row("", *titles)
    row(*["---"] * (len(titles) + 1))
    for name in (OURS, CP, RSYNC, RSYNC_DELETE):
        cells = [f"{statistics.median(took[name]):.3f} s ({min(took[name]):.3f})" if name in took else "" for took in rounds]
        row(name, *cells)


def measure(binary, root):
    bench = Bench(binary, root)
    source = bench.path("source")
    files, total = generate(source)
    peak = timed(bench.capture(source, bench.path("peak-store")))[1]
    shutil.rmtree(bench.path("peak-store"))
    first = bench.first(source)
    changed, unchanged = bench.next(source)
    growth = bench.growth()
    durable, probe = bench.logins()

    print(f"{files} files, {total / 1e6:.0f} MB, durable: median (minimum) of {FIRST_ROUNDS}, {NEXT_ROUNDS} and "
          f"{NEXT_ROUNDS} rounds\n")
    print_times(["first capture", "three files changed", "nothing changed"], [first, changed, unchanged])
    print()
    row("files of 2 kB", "first capture", "nothing changed", "peak memory")
    row(*["---"] * 4)
    for count, (once, again, memory) in growth.items():
        row(str(count), f"{once:.2f} s", f"{again:.3f} s", f"{memory / 1024:.1f} MiB")
    late = sorted(durable)[int(len(durable) * 0.95) - 1]
    print()
    row(f"{LOGINS} logins", "median", "95 of 100 within")
    row(*["---"] * 3)
    row("written in a setup session → durable in the store", f"{statistics.median(durable):.0f} ms", f"{late:.0f} ms")
    row("bare write, fsync and rename of the same bytes", f"{statistics.median(probe):.1f} ms",
        f"{sorted(probe)[int(len(probe) * 0.95) - 1]:.1f} ms")

    def ratio(took, peer):
        return statistics.median(took[OURS]) / statistics.median(took[peer])

    small, large = growth[10_000], growth[100_000]
    return [("first capture, at most 1.0 x cp -a", ratio(first, CP), 1.0),
            ("first capture, at most 1.0 x rsync -a", ratio(first, RSYNC), 1.0),
            ("three files changed, at most 0.6 x rsync -a --delete", ratio(changed, RSYNC_DELETE), 0.6),
            ("nothing changed, at most 0.35 x rsync -a --delete", ratio(unchanged, RSYNC_DELETE), 0.35),
            ("peak memory at 10 000 files, at most 32 MiB", peak / 1024, 32),
            ("100 000 files, first capture: time for one file, at most 1.5 x that of 10 000", large[0] / small[0] / 10, 1.5),
            ("100 000 files, nothing changed: time for one file, at most 1.5 x that of 10 000",
             large[1] / small[1] / 10, 1.5),
            ("login written -> durable, median ms, at most 400", statistics.median(durable), 400),
            ("login written -> durable, 95 of 100, ms, at most 1000", late, 1000)]


def main():
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    if len(words) != 2:
        sys.exit(__doc__)
    root = tempfile.mkdtemp(prefix="bench-capture.", dir=words[1])
    try:
        limits = measure(words[0], root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print()
    for what, value, limit in limits:
        print(f"{'ok' if value <= limit else 'MISSED'}: {what}: {value:.2f}")
    if "--check" in sys.argv:
        sys.exit(any(value > limit for _, value, limit in limits))


main()
