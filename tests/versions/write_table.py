#!/usr/bin/python3
"""Measures every version in src/cli/versions and writes docs/reference/cli-versions.md.

usage: write_table.py [AT-ONCE]

Needs root, npm, strace and CLAUDE_INIT_BINARY. Measures two versions at once, or AT-ONCE; each takes minutes.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

# pylint: disable=wrong-import-position
import habits
from clis import ALL, TOP
from machine import machine

STATUSES = {0: "renewed", 20: "not asked", 21: "no answer", 22: "rejected", 23: "burnt"}
TEXT = """# Versions of Claude Code

`tests/versions/write_table.py` measured this with the real CLI from npm against a stand-in for its servers, and wrote this
page; `tests/versions` asserts it. A new version is one more line in `src/cli/versions`.

## A renewal by claude-init's default command

`{command}`,
with a server that answers after 0.1, 3, 10 and 30 s. **burns**: the server gave out a new token, and the CLI had given up. It
waits for {own} s at most, longer than any command that claude-init could run in its place; claude-init waits five minutes for
the CLI. No request but the renewal reached the server: {messages} messages.

{renewals}

## A server in trouble

What `claude-init renew` reports, and, where it reports no answer, what the next one reports when the server works again. In
the last two columns the server has spent the token, and its answer is cut off, or half of it is lost: the login is lost with
every client. Versions that tell a rejection may ask once more at once, and are rejected then.

{troubles}

## Other commands as `--renew-command`

Three runs each, in a fresh configuration directory with an expired login, without claude-init. **burns**: the command ended
before the new token was saved, which costs the login. That is a race, and machine and load decide it: *earlier* is what
other runs have seen. claude-init does not run what burns, or does not ask, with that version
(`src/cli/known.cpp`); between a version that burns and the next one that renews all versions count as burning.

{commands}

## Other habits

{habits}

- A copy without refresh token is left alone past its end: no version asks for a new token with it, or changes the file.
- **Replaced file**: whether a process that is running asks with a login that has replaced the one it started with.
- **Login file**: replaced by a rename, or written in place; a reader of claude-init reads again until it is whole.
- **Locks**: directories that a renewal makes and removes. All versions make `CONFIG_DIR.lock` before they ask, which is how
  claude-init tells whether one asked.
- **Temporary files**: X is what changes. claude-init captures, publishes and copies none of them, and no lock.
- `.claude.json` lies in `CLAUDE_CONFIG_DIR` where that is set, and in the home directory where it is not, in all versions.
- npm on Node.js 20 installs 2.1.197, since later versions ask for Node.js 22; their binary runs without.
"""


def name_of(ended):
    return STATUSES.get(ended.status, f"status {ended.status}")


def measure_renewals(ours, version):
    speeds = [habits.renewal(ours, version, seconds) for seconds in habits.LATENCIES]
    silent = habits.silence(ours, version)
    words = ["**burns**" if word == "burns" else word for _, word in speeds]
    return {"renewals": words + [f"{silent.waited:.0f} s"], "own": silent.waited, "messages": sum(ended.messages for ended, _ in speeds)}


def measure_troubles(ours, version):
    cells = []
    for kind in ("dead", "down", "503", "429", "cut", "half"):
        first, second = habits.trouble(ours, version, kind)
        cells.append(name_of(first) + (f", then {name_of(second)}" if second and first.status == habits.NO_NEW_TOKEN else ""))
    return {"troubles": cells}


def measure_commands(ours, version):
    def cell(words):
        if words.startswith("auth") and not habits.has_auth_command(version):
            return "no such command: starts a session"
        seen = set()
        for _ in range(3):
            seen.add(habits.command(ours, version, words))
            if "hangs" in seen:  # so it would again
                break
        return " / ".join(sorted(seen))
    return {"commands": [cell(words) for words in habits.COMMANDS]}


def names(paths, *, of_locks):
    return ", ".join(f"`{path.removeprefix('config/')}`" for path in sorted(paths)
                     if "/plugins/" not in path and path.endswith(".lock") == of_locks and (of_locks or "tmp" in path))


def measure_habits(ours, version):
    copy = habits.expired_copy(ours, version)
    said = (copy.out + copy.err).strip().splitlines() or ["nothing"]
    untouched = "" if not copy.asked and not copy.blanked else "**not left alone**, "
    login = habits.login_from_variables(ours, version) if habits.has_auth_command(version) else None
    made = {path.replace("config.lock", "CONFIG_DIR.lock") for path in habits.names_made(ours, version)}
    in_place = not any(".credentials.json.tmp" in path for path in made)
    return {"habits": [
        f"{untouched}status {copy.status} after {copy.seconds:.0f} s: `{said[-1][:60]}`",
        "at the next request" if habits.notices_replaced_file(ours, version)[0] else "not noticed",
        "in place" if in_place else "renamed", names(made, of_locks=True), names(made, of_locks=False),
        "no such command" if login is None else "saved" if login.login.get("refreshToken") else "**not saved**"]}


def measure(version):
    found = {}
    with machine() as ours:
        for part in (measure_renewals, measure_troubles, measure_commands, measure_habits):
            found.update(part(ours, version))
            print(version, found, file=sys.stderr, flush=True)
    return found


def table(heads, found, key):
    lines = [["version", *heads], ["---"] * (len(heads) + 1)]
    lines += [[version, *found[version][key]] for version in reversed(ALL)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# What has burnt in some run.
EARLIER = {**{version: ["--init-only", "agents --json"] for version in ("2.1.332", "2.1.330")},
           "2.1.260": ["auth status", "--init-only", "agents --json"],
           "2.1.220": ["auth status", "doctor", "--init-only", "agents --json"], "2.1.197": ["--init-only"],
           **{version: ["--print /cost"] for version in ("2.1.100", "2.0.77", "1.0.128")}}


def with_earlier(version, cells):
    return [f"**burns** earlier / {cell}" if words in EARLIER.get(version, []) and "burns" not in cell else cell
            for words, cell in zip(habits.COMMANDS, cells)]


def page(found):
    for version, one in found.items():
        one["commands"] = with_earlier(version, one["commands"])
    return TEXT.format(
        command="ANTHROPIC_BASE_URL=https://255.255.255.255 CLAUDE_CODE_MAX_RETRIES=0 claude --print --model haiku ok",
        own=round(max(one["own"] for one in found.values())), messages=sum(one["messages"] for one in found.values()),
        renewals=table([*(f"{seconds} s" for seconds in habits.LATENCIES), "gives up after"], found, "renewals"),
        troubles=table(["rejected", "away", "503", "429", "answer cut off", "half an answer"], found, "troubles"),
        commands=table([f"`{words}`" for words in habits.COMMANDS], found, "commands"),
        habits=table(["copy past its end", "replaced file", "login file", "locks", "temporary files",
                      "`claude auth login` from variables"], found, "habits"))


def in_a_process_of_its_own(version):
    """Each has namespaces of its own."""
    done = subprocess.run([sys.executable, "-B", __file__, "--of", version], check=True, text=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main():
    if sys.argv[1:2] == ["--of"]:
        print(json.dumps(measure(sys.argv[2])))
        return
    with ThreadPoolExecutor(int(sys.argv[1]) if sys.argv[1:] else 2) as pool:
        found = dict(zip(ALL, pool.map(in_a_process_of_its_own, ALL)))
    (TOP / "docs/reference/cli-versions.md").write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
