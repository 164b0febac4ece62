#!/usr/bin/python3
"""Measures how containers share one login: coherence.py BINARY CLAUDE [--expiries N]

For each number of containers, and in each of three ways: a new login whose access tokens live 40 s; containers that ask
the real CLI again and again, until none gets an answer any more; one of them is killed every few seconds and started anew
(with claude-init the renewing one preferred), never in the window that no client can close (docs/coherence.md). The
stand-in ends a login when a spent refresh token is replayed (REUSE=family) and answers after 0.5 s. Two of these
are measured at a time. Prints a Markdown table. Needs root.

The CLI renews from 300 s before expiry on, so with tokens of 40 s it always finds its own login due: the two ways without
claude-init renew at each request. Real tokens live for hours; then the same happens once each time they expire.
"""

import argparse
import concurrent.futures
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from native import Chaos, Container, as_person, asking, copy_for_person, failures, machine, run_command  # noqa: E402

LIFETIME = 40
SERVER = {"REUSE": "family", "DELAY": 0.5, "ABANDONED": "drop"}
AT_ONCE = 2  # measurements, each in namespaces of its own
ANSWERS_A_SECOND = 0.2  # of all containers of one together: two cores can do no more than about one
PAUSE = (3, 8)  # seconds between two kills
COLUMNS = ["containers", "way", "expiries", "kills, amid a renewal", "requests answered", "containers that work at the end",
           "refreshes", "spent tokens replayed", "login lost"]


def working_copies(place, binary, count, pause):
    return [Container(f"run-{n}", place, run_command(binary, place, *asking(pause))) for n in range(count)]


def plain_copies(place, _, count, pause):
    copies = [place.directory / f"copy-{n}" for n in range(count)]
    for copy in copies:
        copy_for_person(place.store.path, copy)
    return [Container(copy.name, place, as_person(asking(pause)), CLAUDE_CONFIG_DIR=copy) for copy in copies]


def shared_directory(place, _, count, pause):
    return [Container(f"shared-{n}", place, as_person(asking(pause)), CLAUDE_CONFIG_DIR=place.store.path)
            for n in range(count)]


WAYS = {"`claude-init run`": working_copies, "`cp -r` copies": plain_copies, "one shared directory": shared_directory}


class ChaosAmongCopies(Chaos):
    """The new tokens may have been written to anybody's copy, or blanked in there since."""

    def __init__(self, place, containers, login):
        super().__init__(place, containers, login, pause=PAUSE)

    def saved(self, token):
        return (super().saved(token) or any(self.endpoint.stats()["families"].values())
                or any(token in path.read_text(encoding="utf-8", errors="replace")
                       for path in self.store.path.parent.glob("*/.credentials.json")))


def has_failed(container):
    """Its last request has."""
    return bool(failures(container.lines()[-1:]))


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def measure(cli, binary, way, count, expiries):
    with machine(cli, **SERVER) as place:
        login = place.log_in(LIFETIME)
        containers = WAYS[way](place, binary, count, count / ANSWERS_A_SECOND)
        for container in containers:
            container.start()
        chaos = ChaosAmongCopies(place, containers, login)
        begun = time.monotonic()
        while (lived := time.monotonic() - begun) < LIFETIME * expiries and not all(map(has_failed, containers)):
            chaos.run(LIFETIME / 2)
        for container in containers:
            container.kill()
        lines = [line for container in containers for line in container.lines()]
        for failure in sorted(set(failures(lines))):
            print(f"{count} of {way}: {failure}", file=sys.stderr, flush=True)
        stats = place.endpoint.stats()
        working = sum(not has_failed(container) for container in containers)
        lost = any(stats["families"].values())
        return row([count, way, f"{lived / LIFETIME:.0f}", f"{chaos.kills}, {chaos.kills_of_renewers}",
                    f"{len(lines) - len(failures(lines))} of {len(lines)}", f"{working} of {count}", stats["refresh_ok"],
                    stats["refresh_reuse"], "yes" if lost else "no"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("cli")
    parser.add_argument("--expiries", type=int, default=20)
    options = parser.parse_args()
    print(row(COLUMNS), row(["---"] * len(COLUMNS)), sep="\n", flush=True)
    rows = {(count, way): None for count in [5, 10, 20] for way in WAYS}
    # Those that live longest first.
    with concurrent.futures.ProcessPoolExecutor(AT_ONCE) as pool:
        for count, way in sorted(rows, key=lambda row: list(WAYS).index(row[1])):
            rows[count, way] = pool.submit(measure, options.cli, options.binary, way, count, options.expiries)
        for each in rows.values():
            print(each.result(), flush=True)


main()
