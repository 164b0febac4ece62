#!/usr/bin/python3
"""Measures the one window in a renewal that no client can close: answered by the server, not yet written by the CLI.

usage: measure_window.py CLAUDE [ROUNDS]

CLAUDE is the CLI's own binary. Natively, with the stand-in in a network namespace of its own (needs root and strace);
prints a Markdown table, which docs/coherence.md has. In each round the CLI renews a login that has expired, as
claude-init has it do (a request that goes nowhere, in a directory with nothing else). The window begins when the stand-in has
sent the last byte of its answer and ends when the CLI renames the new file into its place, as strace saw it.
"""

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

from native import PERSON, as_person, machine, write_json

RENAME = re.compile(rb'^\d+ +([\d.]+) rename.*\.credentials\.json"', re.MULTILINE)


def one_round(place, binary, number):
    directory = place.home()
    login = place.endpoint.login(access_left=-60)
    login.credentials["claudeAiOauth"]["expiresAt"] = 0
    write_json(directory / ".credentials.json", login.credentials, PERSON)
    trace = directory.with_suffix(".trace")
    # Only these calls stop the CLI; it runs at its own speed otherwise.
    strace = ["strace", "--follow-forks", "--seccomp-bpf", "-ttt", "-e", "trace=rename,renameat,renameat2", "-o", trace]
    subprocess.run([*strace, *as_person([binary, "--print", "--model", "haiku", "ok"])],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, cwd=directory,
                   env=place.environment(directory, CLAUDE_CONFIG_DIR=directory, CLAUDE_CODE_MAX_RETRIES=0,
                                         ANTHROPIC_BASE_URL="https://255.255.255.255"))
    requests = [json.loads(line) for line in (place.directory / "endpoint/requests.jsonl").read_text().splitlines()]
    answered = [request["t"] for request in requests if request["path"] == "/v1/oauth/token" and request["status"] == 200]
    assert len(answered) == number, "one renewal a round"
    return (float(RENAME.search(trace.read_bytes())[1]) - answered[-1]) * 1000


def main():
    binary, rounds = Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 30
    with machine(binary, DELAY=0.5) as place:
        widths = sorted(one_round(place, binary, number) for number in range(1, rounds + 1))
    print(f"| rounds | minimum | median | 9 of 10 | maximum |\n|---|---|---|---|---|\n| {rounds} | {widths[0]:.0f} ms "
          f"| {statistics.median(widths):.0f} ms | {widths[(rounds * 9 + 9) // 10 - 1]:.0f} ms | {widths[-1]:.0f} ms |")


if __name__ == "__main__":
    main()
