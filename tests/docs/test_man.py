"""The man pages are what man takes without a warning, and say what a page has to."""

import re
import subprocess

import pytest
from pages import TOP
from skips import needed

PAGES = sorted((TOP / "man").glob("*.1"))


def test_there_is_one_of_each_subcommand():
    assert len(PAGES) >= 10


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_man_has_nothing_to_warn_of(path):
    needed("man", "groff")
    shown = subprocess.run(["man", "--warnings", "--encoding=UTF-8", "--local-file", path], capture_output=True, text=True,
                           env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}, timeout=60, check=False)
    assert (shown.returncode, shown.stderr) == (0, "")
    headings = re.findall(r"^([A-Z ]+)$", shown.stdout, re.MULTILINE)
    assert headings[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"] and headings[-1] == "SEE ALSO"
    assert re.search(rf"^ +{path.stem}\s+-\s+\w", shown.stdout, re.MULTILINE)
