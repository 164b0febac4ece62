"""coherence.pml: every state of the protocol, and every rule of it broken on purpose."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).resolve().parent / "coherence.pml"
EVERY_ASSERTION = (["-DSAFETY", "-DNOCLAIM"], [])


def always(claim):
    """A claim about what comes in the end, for processes that are not starved."""
    return ["-DNFAIR=3"], ["-a", "-f", "-N", claim]


FOLLOWED = ["FOLLOWED", "KILLS=0"]

# What pan prints of a property that does not hold.
TWO_SPENDS = "assertion violated (current[family[token]]==token)"
USABLE_REPLACED_BY_DEAD = "assertion violated ( !(((((store!=0)"
NO_LOGIN_PUBLISHED = "assertion violated ((directory!=0)&&(directory!=255))"
NO_LOGIN_PASSED_ON = "assertion violated ((copy!=0)&&(copy!=255))"
NEVER = "acceptance cycle"


@pytest.fixture(name="search")
def fixture_search(tmp_path):
    if not shutil.which("spin"):
        assert os.environ.get("CLAUDE_INIT_TEST_NO_SKIP") != "1", "there is no spin"
        pytest.skip("there is no spin (apt-get install spin)")

    def search(what, definitions):
        """spin's report on one variant of the model: the violations that it found, how many states it saw."""
        compile_with, run_with = what

        def run(*command):
            return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=True).stdout

        run("spin", "-a", *(f"-D{definition}" for definition in definitions), MODEL)
        run("cc", "-O2", "-w", "-DCOLLAPSE", *compile_with, "-o", "pan", "pan.c")
        report = run("./pan", "-m100000", "-n", *run_with)
        assert "max search depth too small" not in report
        return report, int(re.search(r"errors: (\d+)", report)[1]), int(re.search(r"(\d+) states, stored", report)[1])

    return search


@pytest.mark.parametrize("what, definitions", [
    (EVERY_ASSERTION, []), (EVERY_ASSERTION, ["KILLS=2"]), (EVERY_ASSERTION, FOLLOWED),
    (always("renewed"), ["EXPIRIES=1"]), (always("followed"), ["EXPIRIES=1", "OUTAGES=0", *FOLLOWED]),
], ids=["safe", "safe-with-two-kills", "safe-with-a-follower", "a-renewal-always-comes", "everybody-hears-of-it"])
def test_protocol_holds_in_every_state(search, what, definitions):
    report, errors, states = search(what, definitions)
    assert errors == 0, report
    assert states > 10_000


@pytest.mark.parametrize("rule, what, more, violated", [
    ("NO_LOCK", EVERY_ASSERTION, [], TWO_SPENDS), ("NO_INHERIT", EVERY_ASSERTION, [], TWO_SPENDS),
    ("NO_REREAD", EVERY_ASSERTION, [], TWO_SPENDS), ("NO_RECOVER", EVERY_ASSERTION, [], TWO_SPENDS),
    ("WINDOW", EVERY_ASSERTION, [], TWO_SPENDS), ("NO_BASE", EVERY_ASSERTION, [], USABLE_REPLACED_BY_DEAD),
    ("PUBLISH_BLANK", EVERY_ASSERTION, [], NO_LOGIN_PUBLISHED),
    ("FOLLOW_BLANK", EVERY_ASSERTION, FOLLOWED, NO_LOGIN_PASSED_ON),
    ("NO_RETRY", always("renewed"), ["EXPIRIES=1"], NEVER), ("DEAF", always("followed"), ["OUTAGES=0", *FOLLOWED], NEVER),
])
def test_broken_rule_is_found_out(search, rule, what, more, violated):
    report, errors, _ = search(what, [rule, *more])
    assert errors == 1, report
    assert violated in report, report

