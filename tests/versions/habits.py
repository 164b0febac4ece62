"""What is measured of each version: tests assert it, write_table.py writes it into docs/reference/cli-versions.md."""

from clis import number
from machine import HANGS

# Statuses of `claude-init renew` (src/ui/exit_status.h).
RENEWED, NOT_ASKED, NO_NEW_TOKEN, REJECTED, BURNT = 0, 20, 21, 22, 23

# Commands that somebody may think of for --renew-command, as in src/cli/known.cpp. The last one is the default's.
COMMAND_LIMIT = 120
COMMANDS = ["auth status", "mcp list", "--print /cost", "doctor", "--init-only", "agents --json", "--print --model haiku ok"]


def tells_rejection(version):
    """As src/cli/known.cpp has it."""
    return number(version) >= (2, 1, 197)


def asks_again(version):
    """Whether the CLI sends the same refresh token once more where the answer was cut off."""
    return number(version) >= (2, 1, 220)


def renewal(machine, version, seconds=0.0):
    """By claude-init's default command, with a server that takes so long: what came of it, as one word."""
    place = machine.place()
    login = machine.login(place)
    with machine.endpoint.delay(seconds):
        ended = machine.renew(version, place, login)
    return ended, "renews" if ended.renewed and ended.status == RENEWED else "burns" if ended.spent else "does not renew"


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
    """A command as such, without claude-init: "renews" with the number of messages, "burns", "does not ask"."""
    place = machine.place()
    login = machine.login(place, expiresAt=0)
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
    return machine.cli(version, place, login, "--print", "--model", "haiku", "ok")


def login_from_variables(machine, version):
    """`claude auth login` without a browser, as our tests log in."""
    place = machine.place()
    login = machine.endpoint.login()
    return machine.run(["claude", "auth", "login"], version, place, login, CLAUDE_CONFIG_DIR=place / "config",
                       **login.variables)
