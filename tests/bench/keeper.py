#!/usr/bin/python3
"""Measures a keeper in production: keeper.py ENGINE [--expiries N]

compose.yaml in the engine of tests/e2e/engine, with the real CLI: a keeper and three services that can only read what it
publishes, on a login whose access tokens live 40 s. The keeper is killed every 11 to 17 s, the renewing one preferred, and
started again by the engine; after each five expiries the stand-in is down for half a lifetime, around the time at which a
renewal is due. Prints a Markdown table, and exits with 1 if any request has failed. Needs root.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from fleet import LIFETIME, SERVER, SERVICES, Fleet  # noqa: E402
from harness import Docker, Endpoint, wait_until  # noqa: E402

COLUMNS = ["expiries", "kills of the keeper, amid a renewal", "outages", "requests answered", "renewals",
           "spent tokens replayed", "services restarted", "keeper RSS kB"]


def row(cells):
    return "| " + " | ".join(map(str, cells)) + " |"


def memory(pid):
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:"))


def live(fleet, expiries):
    fleet.start()
    fleet.log_in()
    wait_until(fleet.all_answer, "all answer", 120)
    begun = time.monotonic()
    while (left := LIFETIME * expiries - (time.monotonic() - begun)) > 0:
        fleet.live(min(left, LIFETIME * 5))
        if left > LIFETIME * 6:
            fleet.outage()
    return (time.monotonic() - begun) / LIFETIME


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    parser.add_argument("--expiries", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keeper-") as directory:
        home, certificates, project = (Path(directory) / name for name in ("home", "endpoint", "project"))
        for path in (home, certificates, project):
            path.mkdir()
        Path(directory).chmod(0o755)
        endpoint = Endpoint(certificates, **SERVER)
        fleet = Fleet(Docker(options.engine, home), endpoint, project)
        try:
            lived = live(fleet, options.expiries)
            lines, failed, stats = fleet.lines(), fleet.failures(), endpoint.stats()
            print(row(COLUMNS), row(["---"] * len(COLUMNS)), sep="\n")
            print(row([f"{lived:.0f}", f"{fleet.chaos.kills}, {fleet.chaos.kills_of_renewers}", fleet.outages,
                       f"{len(lines) - len(failed)} of {len(lines)}", stats["refresh_ok"], stats["refresh_reuse"],
                       f"{fleet.restarts()} of {SERVICES}", memory(fleet.keeper.pid)]), flush=True)
        finally:
            fleet.close()
            endpoint.close()
    sys.exit(1 if failed else 0)


main()
