"""The command lines of the pages, as far as they can be looked at without running them: bash can read them, and the
subcommands, options, services, scripts and manifests that they name are there. The end-to-end tests run them."""

import os
import re
import subprocess

import pytest
from pages import TOP, lines, without_code, worded_pages


def blocks(path, wanted="sh"):
    """(number of the first line, text) of each block of that language."""
    found, last = [], None
    for number, line, language in lines(path):
        if language == wanted:
            if last != number - 1:
                found.append([number, ""])
            found[-1][1] += line + "\n"
            last = number
    return found


PAGES = [path for path in worded_pages() if blocks(path)]
NAMES = [str(path.relative_to(TOP)) for path in PAGES]


def commands(path):
    """(number, line): of blocks, joined where a backslash ends a line, without comments; and of code within text."""
    for number, text in blocks(path):
        for line in re.sub(r"\\\n *", "", text).splitlines():
            yield number, re.sub(r"(^|\s)#.*", "", line)
    for number, line, language in lines(path):
        if language is None and without_code(line) != line:
            for code in re.findall(r"`([^`]+)`", line.replace(r"\|", "|")):
                yield number, code


def test_pages_have_commands():
    assert len(PAGES) >= 12 and sum(len(blocks(path)) for path in PAGES) >= 45


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_bash_can_read_each_block(path):
    for number, text in blocks(path):
        result = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, f"{path.relative_to(TOP)}:{number}: {result.stderr}"


@pytest.fixture(scope="session", name="helped")
def fixture_helped():
    def ask(*words, option="--help-all"):
        return subprocess.run([os.environ["CLAUDE_INIT_BINARY"], *words, option], env={"PATH": "/usr/bin:/bin"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True).stdout
    return {name: set(re.findall(r"--[a-z][a-z-]+", ask(name)))
            for name in re.findall(r"^  ([a-z]+)  +\S", ask(option="--help"), re.MULTILINE)}


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_subcommands_and_options_are_there(path, helped):
    for number, line in commands(path):
        line = re.sub(r"--entrypoint[ =]claude-init \S+ +", "claude-init ", line)
        for name, rest in re.findall(r"\bclaude-init +([a-z]+)\b([^|&;]*)", line):
            where = f"{path.relative_to(TOP)}:{number}: {line}"
            if re.search(r"\b(?:git clone|install|cd|cat|mkdir)\b.*claude-init +", line):
                continue
            assert name in helped, where
            ours = re.split(r" -- ", rest)[0]
            assert set(re.findall(r"(?<=\s)--[a-z][a-z-]+", ours)) <= helped[name], where


@pytest.mark.parametrize("path", PAGES, ids=NAMES)
def test_services_and_files_are_there(path):
    files = [TOP / "compose.yaml", *(TOP / "deploy/compose").glob("*.yaml")]
    services = {name for file in files for name in re.findall(r"^  ([a-z]+):$", file.read_text(encoding="utf-8"), re.MULTILINE)}
    for number, line in commands(path):
        where = f"{path.relative_to(TOP)}:{number}: {line}"
        for words in re.findall(r"\bdocker compose ([^|&;]*)", line):
            match = re.search(r"\b(?:run|exec|logs|up|port|build)((?: +-\S+)*)((?: +[a-z]+)*)", words)
            if match and match[2]:
                assert match[2].split()[0] in services, where
        for name in re.findall(r"(?<![\w/.-])(?:\./)?((?:scripts|deploy|examples|tests|src|\.ci)/[\w./*{,}-]+)", line):
            # kubectl's name of a Deployment, and what the reader makes.
            if name == "deploy/keeper" or name.endswith("/seal-key"):
                continue
            choice = re.search(r"{(.*)}", name)
            words = choice[1].split(",") if choice and "," in choice[1] else ["*"]
            assert all(list(TOP.glob(re.sub(r"{.*}", word, name).rstrip("."))) for word in words), f"{where}: {name}"
