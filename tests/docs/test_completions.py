"""The completions, in the shells that they are for."""

import re
import shlex
import subprocess

import pexpect
import pytest
from pages import TOP
from skips import needed

COMPLETIONS = TOP / "completions"

# What is typed → what is offered, and what is not.
CASES = [
    ("claude-init r", {"run", "renew", "restore"}, {"setup"}),
    ("claude-init help re", {"renew", "restore"}, {"run"}),
    ("claude-init run --refresh", {"--refresh-token"}, {"--renew"}),
    ("claude-init run --copy ", {"config", "all", "login"}, {"--copy", "none"}),
    ("claude-init run --persist s", {"sessions"}, {"none", "all"}),
    ("claude-init health --format ", {"text", "json", "prometheus"}, set()),
    ("claude-init history --format ", {"text", "json"}, {"prometheus"}),
    ("claude-init keep --publ", {"--publish"}, {"--store"}),
    ("claude-init run -- readli", {"readlink"}, {"--copy"}),
]
IDS = [case[0] for case in CASES]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def check(offered, wanted, others):
    assert wanted <= offered, offered
    assert not others & offered, offered


def bash(words):
    """What bash would offer, the shell's own way of taking the words apart included."""
    script = f"""
      . {COMPLETIONS}/claude-init.bash
      complete -p claude-init >&2
      compopt() {{ :; }}  # there is no line that is being completed
      COMP_WORDS=({' '.join(map(shlex.quote, words))})
      COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
      _claude_init
      printf '%s\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "complete -F _claude_init claude-init\n"
    return set(done.stdout.split("\n")) - {""}


@pytest.mark.parametrize("typed, wanted, others", CASES, ids=IDS)
def test_bash(typed, wanted, others):
    check(bash(typed.split(" ")), wanted, others)


@pytest.mark.parametrize("words, wanted", [
    (["claude-init", "run", "--copy", "=", "a"], {"all"}),                  # --copy=a
    (["claude-init", "run", "--copy", "="], {"config", "all", "login"}),    # --copy=
    (["claude-init", "keep", "--store", "=", "work", "=", "/usr/b"], {"/usr/bin"}),
    (["claude-init", "keep", "--store", "work", "=", "/usr/b"], {"/usr/bin"}),
    (["claude-init", "run", "--exec", "readli"], {"readlink"}),
    (["claude-init", "run", "--wait-login", "readli"], {"readlink"}),       # its time may be left out
    (["claude-init", "run", "cat", "/etc/passw"], {"/etc/passwd"}),
    (["claude-init", "health", "word", ""], set()),
    (["claude-init", "nonsense", "--"], set()),
], ids=lambda words: " ".join(words) if isinstance(words, list) else "")
def test_bash_knows_where_a_value_and_a_command_begin(words, wanted):
    offered = bash(words)
    assert wanted <= offered and (wanted or not offered), offered


def test_bash_offers_each_option_where_nothing_is_typed_yet():
    assert {"--store", "--live", "--help-all"} <= bash(["claude-init", "health", ""])


@pytest.mark.parametrize("typed, wanted, others", CASES, ids=IDS)
def test_fish(typed, wanted, others, tmp_path):
    needed("fish")
    script = f"source {COMPLETIONS}/claude-init.fish; complete -C {shlex.quote(typed)}"
    done = subprocess.run(["fish", "--no-config", "--command", script], env={**ENVIRONMENT, "HOME": str(tmp_path)},
                          capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    check({line.split("\t")[0] for line in done.stdout.splitlines()}, wanted, others)


@pytest.fixture(scope="module", name="zsh")
def fixture_zsh(tmp_path_factory):
    """Types a line and <tab> into zsh, and returns what it shows."""
    needed("zsh")
    shell = pexpect.spawn("zsh", ["-f", "-i"], encoding="utf-8", dimensions=(100, 150), timeout=60,
                          env={**ENVIRONMENT, "HOME": str(tmp_path_factory.mktemp("home"))})
    # ^T says that the completion is done; ^U then empties the line.
    shell.sendline(f"PS1='> '; fpath=({COMPLETIONS} $fpath); autoload -U compinit; compinit -u -D; LISTMAX=1000; "
                   "mark() { zle -M END-OF-$((40 + 2)) }; zle -N mark; bindkey '^T' mark; print READY-$((40 + 2))")
    shell.expect("READY-42")

    def complete(typed):
        shell.send(typed + "\t\x14")
        shell.expect("END-OF-42")
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shell.before)
        shell.send("\x15")
        return set(re.split(r"[\s=]+", shown))

    yield complete
    shell.close(force=True)


@pytest.mark.parametrize("typed, wanted, others", CASES, ids=IDS)
def test_zsh(typed, wanted, others, zsh):
    offered = zsh(typed)
    check(offered, wanted, others - set(typed.split()))
