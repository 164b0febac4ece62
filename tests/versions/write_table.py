#!/usr/bin/python3
"""Measures every version in src/cli/versions and writes docs/reference/cli-versions.md.

usage: write_table.py [VERSION...]

Needs root, npm and CLAUDE_INIT_BINARY. With versions: those only, and the table goes to standard output.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

# pylint: disable=wrong-import-position
import habits
from clis import ALL, TOP
from machine import machine

TITLE = """# Versions of Claude Code

Measured with the real CLI from npm against a stand-in for its servers, by `tests/versions/write_table.py`, which wrote
this page. `tests/versions` asserts the same. A new version is one more line in `src/cli/versions`.
"""
RENEWALS = """
## A renewal by claude-init's default command

A server that answers at once, after 3 s, after 10 s; messages that reach the API; how many seconds it took here, on a
busy machine. Then what `claude-init renew` says where the server rejects the login, is away, answers 503 or 429, and
where its answer is lost on the way: the token is spent then, which no client can help.

| version | at once | 3 s | 10 s | messages | took | rejected | away | 503 | 429 | answer lost | half of it |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
COMMANDS = """
## Other commands as `--renew-command`

Three runs each, in a fresh configuration directory with an expired login, without claude-init. **burns**: the server gave
out a new token, and the command ended before it was saved, which costs the login. claude-init refuses what is in bold here
with that version, and a command that does not ask (`src/cli/known.cpp`).

"""
HABITS = """
## Other habits

| version | copy without refresh token, past its end | `claude auth login` from variables |
|---|---|---|
"""
STATUSES = {0: "renewed", 20: "not asked", 21: "no answer", 22: "rejected", 23: "burnt"}


def name_of(ended):
    return "-" if ended is None else STATUSES.get(ended.status, f"status {ended.status}")


def renewals(machine, version):
    speeds = [habits.renewal(machine, version, seconds) for seconds in (0, 3, 10)]
    troubles = {}
    for kind in ("dead", "down", "503", "429", "cut", "half"):
        first, second = habits.trouble(machine, version, kind)
        lost = kind in ("cut", "half") and first.status == 21
        troubles[kind] = name_of(first) + (f", then {name_of(second)}" if lost else "")
    cells = [word for _, word in speeds] + [str(sum(ended.messages for ended, _ in speeds)),
                                            f"{speeds[0][0].seconds:.0f} s", *troubles.values()]
    return f"| {version} | {' | '.join(cells)} |"


def commands(machine, version):
    cells = [" / ".join(sorted({habits.command(machine, version, words) for _ in range(3)})) for words in habits.COMMANDS]
    return f"| {version} | {' | '.join(cells)} |"


def others(machine, version):
    copy = habits.expired_copy(machine, version)
    login = habits.login_from_variables(machine, version) if habits.number(version) >= (2, 1, 100) else None
    said = (copy.out + copy.err).strip().splitlines() or ["nothing"]
    untouched = "left alone" if not copy.asked and not copy.blanked else "**not left alone**"
    logged_in = "no such command" if login is None else "saved" if login.login.get("refreshToken") else "not saved"
    return f"| {version} | {untouched}; status {copy.status} after {copy.seconds:.0f} s: `{said[-1][:80]}` | {logged_in} |"


def main():
    versions = sys.argv[1:] or ALL
    newest_first = list(reversed(versions))
    with machine() as ours:
        rows = []
        for measure in (renewals, commands, others):
            rows.append([])
            for version in newest_first:
                rows[-1].append(measure(ours, version))
                print(rows[-1][-1], file=sys.stderr, flush=True)
    head = "| version | " + " | ".join(f"`{words}`" for words in habits.COMMANDS) + " |\n" + "|---" * (len(habits.COMMANDS) + 1) + "|\n"
    text = (TITLE + RENEWALS + "\n".join(rows[0]) + "\n" + COMMANDS + head + "\n".join(rows[1]) + "\n" + HABITS
            + "\n".join(rows[2]) + "\n")
    if sys.argv[1:]:
        print(text)
    else:
        (TOP / "docs/reference/cli-versions.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
