"""What is measured of each version: tests assert it, write_table.py writes it into docs/reference/cli-versions.md."""

import json
import re
import subprocess

from clis import number
from machine import HANGS
from native import as_person

# Statuses of `claude-init renew` (src/ui/exit_status.h).
RENEWED, NOT_ASKED, NO_NEW_TOKEN, REJECTED, BURNT = 0, 20, 21, 22, 23

# Commands that somebody may think of for --renew-command, as in src/cli/known.cpp. The last one is the default's.
COMMAND_LIMIT, COMMAND_LATENCY = 90, 5
PRINT = "--print --model haiku ok"
COMMANDS = ["auth status", "mcp list", "--print /cost", "doctor", "--init-only", "agents --json", PRINT]
LATENCIES = [0.1, 3, 10, 30]  # seconds
SILENCE = 100  # and this is longer than any version waits for an answer


def tells_rejection(version):
    """As src/cli/known.cpp has it."""
    return number(version) >= (2, 1, 197)


def own_limit(version):
    """How long the CLI waits for an answer, in seconds: what the server answers after that is lost."""
    return 30 if number(version) >= (2, 1, 197) else 15


def notices_while_running(version):
    """Whether a process that has read its login notices that the file is another before it is turned away."""
    return number(version) >= (2, 1, 100)


def has_auth_command(version):
    """`claude auth`: an older one takes the words for a question."""
    return number(version) >= (2, 1, 100)


def renewal(machine, version, seconds=0.0):
    """By claude-init's default command, with a server that takes so long: what came of it, as one word."""
    place = machine.place()
    login = machine.login(place)
    with machine.endpoint.delay(seconds):
        ended = machine.renew(version, place, login)
    return ended, "renews" if ended.renewed and ended.status == RENEWED else "burns" if ended.spent else "does not renew"


def silence(machine, version):
    """With a server that does not answer for longer than the CLI waits."""
    return renewal(machine, version, SILENCE)[0]


def trouble(machine, version, kind):
    """The same with a server in trouble (endpoint.py, fault), with one that rejects the login (dead), or with none
    (down); `first`, and for a token that was spent `second`, when everything works again."""
    place = machine.place()
    login = machine.login(place, dead=kind == "dead")
    if kind == "dead":
        return machine.renew(version, place, login), None
    with machine.endpoint.down() if kind == "down" else machine.endpoint.fault(kind):
        first = machine.renew(version, place, login)
    return first, machine.renew(version, place, login)


def command(machine, version, words):
    """A command as such, without claude-init: "renews" with the number of messages, "burns", "does not ask". The server takes
    its time: then what does not wait for the answer ends before it, also on a machine that is busy."""
    place = machine.place()
    login = machine.login(place, expiresAt=0)
    with machine.endpoint.delay(COMMAND_LATENCY):
        ended = machine.cli(version, place, login, *words.split(), limit=COMMAND_LIMIT)
    if ended.status == HANGS and not ended.spent:
        return "hangs"
    if ended.renewed:
        return f"renews, {ended.messages} message{'' if ended.messages == 1 else 's'}"
    return "**burns**" if ended.spent else "asks, no answer" if ended.asked else "does not ask"


def expired_copy(machine, version):
    """A copy without refresh token, past its end: what a job sees. It must be left alone."""
    place = machine.place()
    login = machine.login(place, access_left=-60, refreshToken=None)
    return machine.cli(version, place, login, *PRINT.split())


def login_from_variables(machine, version):
    """`claude auth login` without a browser, as our tests log in."""
    place = machine.place()
    login = machine.endpoint.login()
    return machine.run(["claude", "auth", "login"], version, place, login, CLAUDE_CONFIG_DIR=place / "config",
                       **login.variables)


def answers_with(machine, version, place, logins):
    """One process that is asked once with each login in its file; the access tokens that its requests had, in turn."""
    words = "--print --model haiku --verbose --input-format stream-json --output-format stream-json".split()
    process = subprocess.Popen(as_person(["claude", *words]), env=machine.environment(
        version, place, CLAUDE_CONFIG_DIR=place / "config"), cwd=place, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True)
    question = json.dumps({"type": "user", "message": {"role": "user", "content": [{"type": "text", "text": "hello"}]}})
    shown = []
    try:
        for login in logins:
            machine.put(place, login, refreshToken=None)
            before = len(machine.lines())
            process.stdin.write(question + "\n")
            process.stdin.flush()
            while '"type":"result"' not in (line := process.stdout.readline()):
                assert line, "it ended"
            shown.append({line["bearer"] for line in machine.lines()[before:] if line["path"].startswith("/v1/messages")})
    finally:
        process.kill()
        process.communicate()
    return shown


def notices_replaced_file(machine, version):
    """Whether a running process asks with the token of a login that has replaced the one it was started with."""
    place = machine.place()
    first, second = machine.endpoint.login(), machine.endpoint.login()
    machine.put(place, first, refreshToken=None)
    shown = answers_with(machine, version, place, [first, second])
    return shown == [{first.access_token[:30]}, {second.access_token[:30]}], shown


def names_made(machine, version):
    """What a renewal makes and removes again in the configuration directory and beside it, and where it leaves
    `.claude.json`: names with X for what changes from one to the next."""
    place = machine.place()
    login = machine.login(place, expiresAt=0)
    trace = place / "trace"
    calls = "mkdir,mkdirat,open,openat,openat2,rename,renameat,renameat2"
    ended = machine.run(["claude", *PRINT.split()], version, place, login, wrapper=[
        "strace", "-f", "-qq", "-s", "300", "-e", f"trace={calls}", "-o", trace], CLAUDE_CONFIG_DIR=place / "config")
    assert ended.renewed, ended
    names = set()
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        made = re.search(r"\b(?:mkdir|mkdirat|open|openat|openat2)\(.*O_CREAT|\bmkdir(?:at)?\(|\brename", line)
        for path in re.findall(r'"([^"]*)"', line) if made and " = -1 " not in line else []:
            if path.startswith(f"{place}/config") and re.search(r"credentials|\.lock|\.claude\.json", path):
                names.add(re.sub(r"[0-9a-f-]{6,}|[0-9]{3,}", "X", path.removeprefix(f"{place}/")))
    return names


def settings_file(machine, version):
    """Where `.claude.json` lies with CLAUDE_CONFIG_DIR and without, seen from the place of a run."""
    found = []
    for variables in ({"CLAUDE_CONFIG_DIR": "config"}, {}):
        place = machine.place()
        login = machine.login(place, access_left=3600)
        machine.put(place, login, directory=place / "home/.claude")
        machine.run(["claude", *PRINT.split()], version, place, login,
                    **{name: place / value for name, value in variables.items()})
        found.append({str(path.relative_to(place)) for path in place.rglob(".claude.json")})
    return found
