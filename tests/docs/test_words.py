"""What a program can check of the rules in CONTRIBUTING.md, "Words"."""

import re

import pytest
from pages import TOP, lines, without_code, worded_pages

# No actor, or a verb without one. Questions may begin with "What"; so may headings, which are no sentences.
FORBIDDEN = [
    r"\b(?:nobody|somebody|anybody|everybody|whoever|whomever|no one|someone)\b",
    r"\b(?:is|are|was|were|be|been) (?:said|told)\b(?! apart)",
    r"(?:^|[.!:;)|] |^\W+)(?-i:What) (?:are|was|were|have|had|did|can|could|may|must|will|cannot|they|it|we|you|one|a|"
    r"an|the|else|[a-z]+s)\b(?![^.|]*\?)",
    r"(?:^|[.!:;)|] |^\W+)(?-i:Who) [a-z]+\b(?![^.|]*\?)",
    r"\bor else it\b|[,;:] else it\b",
    # The sentences that were hard to read, by the words that nothing else would need.
    r"under each other's feet|whose that directory is|it is paid by|by hand\b.{0,20}announced|goes its way|comes about",
    r"It does not matter who comes first|says how it is|lies in the first of|that will do\)",
    r"keep one writable session open|is warned of|A store is called as it is|A year of it|is dear\b",
    r"type on a host|yours, not root's|so name both|Beside `setup` it is the only|for so long\b|and we are 1000",
    r"What a session that was killed|never replaces one that is better|Money for use",
]
# What claude-init and the CLI print is in blocks of `text`; commands and their comments follow the rules.
PRINTED = {"text", "console", "json"}


def paragraphs(path):
    """(number of the first line, text): lines that belong together joined; of a command, its comment."""
    first, text = 0, ""
    for number, line, language in lines(path):
        if language in PRINTED:
            continue
        alone = language is not None or re.match(r"\s*(?:[-*|#>]|\d+\. |$)", line)
        if alone and text:
            yield first, text
            text = ""
        if language is not None:
            yield number, line.partition("#")[2]
        elif not line.startswith("#"):
            first, text = (first, f"{text} {line.strip()}") if text else (number, line.strip())
    if text:
        yield first, text


def faults(path):
    return [f"{path.relative_to(TOP)}:{number}: {match[0].strip()}"
            for number, text in paragraphs(path) for pattern in FORBIDDEN
            for match in re.finditer(pattern, without_code(text), re.IGNORECASE)]


@pytest.mark.parametrize("path", worded_pages(), ids=lambda path: str(path.relative_to(TOP)))
def test_sentences_have_an_actor(path):
    assert not faults(path)


@pytest.mark.parametrize("sentence", [
    "Nobody renews it.", "It is said at the start.", "Whoever waits is told.", "What is wrong is told.",
    "It fails. What a job writes is a claim.", "Who waits has time.", "It is\nsaid.", "One.\nWhat is\nwrong is wrong.",
    "| a | b |\n|---|---|\n| c | told by nobody |", "# A heading\n- What has changed is saved.",
    "```sh\nls  # somebody's\n```"])
def test_a_sentence_without_one_is_found(tmp_path, monkeypatch, sentence):
    monkeypatch.setitem(globals(), "TOP", tmp_path)
    path = tmp_path / "x.md"
    path.write_text(sentence + "\n", encoding="utf-8")
    assert faults(path)


@pytest.mark.parametrize("sentence", [
    "What is it?", "Who is it?", "## What is copied", "The keeper says what it did.", "`nobody`",
    "```text\nnobody has logged in\n```"])
def test_a_sentence_with_one_is_left_alone(tmp_path, monkeypatch, sentence):
    monkeypatch.setitem(globals(), "TOP", tmp_path)
    path = tmp_path / "x.md"
    path.write_text(sentence + "\n", encoding="utf-8")
    assert not faults(path)


def test_the_readme_is_short():
    assert len((TOP / "README.md").read_text(encoding="utf-8").splitlines()) <= 180
