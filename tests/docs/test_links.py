"""Every link inside the project leads somewhere, to its heading too."""

import re
from pathlib import Path

import pytest
from pages import TOP, all_pages, anchors, links


def broken(path):
    found = []
    for number, target in links(path):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        aim = (path.parent / name).resolve() if name else path
        if not aim.is_relative_to(TOP) or not aim.exists():
            found.append(f"{path.relative_to(TOP)}:{number}: {target}: there is no such file")
        elif anchor and aim.suffix == ".md" and anchor not in anchors(aim):
            found.append(f"{path.relative_to(TOP)}:{number}: {target}: there is no such heading")
    return found


@pytest.mark.parametrize("path", all_pages(), ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(path):
    assert not broken(path)


def test_each_page_of_docs_is_in_the_index():
    index = TOP / "docs/README.md"
    listed = {(index.parent / target.partition("#")[0]).resolve() for _, target in links(index)}
    pages = {path for path in (TOP / "docs").rglob("*.md") if path != index}
    assert not {str(path.relative_to(TOP)) for path in pages - listed}


@pytest.mark.parametrize("heading, anchor", [
    ("# Plain words", "plain-words"), ("## Calling: `--on-change CMD`", "calling---on-change-cmd"),
    ("### The [link](x.md), said", "the-link-said")])
def test_an_anchor_is_what_github_makes(tmp_path, heading, anchor):
    path = tmp_path / "x.md"
    path.write_text(f"{heading}\n```sh\n# no heading\n```\n{heading}\n", encoding="utf-8")
    assert anchors(path) == {anchor, f"{anchor}-1"}


def test_pages_are_named_in_sources_as_they_are():
    """Comments, messages and manifests name pages by their path from the top."""
    missing = []
    for path in [*TOP.glob("*"), *(path for name in ("src", "scripts", "deploy", "examples", "tests", ".ci", ".github")
                                   for path in (TOP / name).rglob("*"))]:
        if not path.is_file() or path.suffix in (".md", ".pyc") or path == Path(__file__):
            continue
        for name in re.findall(r"\bdocs/[\w./-]+\.md\b", path.read_text(encoding="utf-8", errors="replace")):
            if not (TOP / name).exists():
                missing.append(f"{path.relative_to(TOP)}: {name}")
    assert not missing
