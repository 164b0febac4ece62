"""What is committed of docs/reference/cli.md, man/ and completions/ is what tools/reference writes from the options."""

import os
import subprocess

from pages import TOP

HOW = "cmake --build build/dev --target reference"


def files_in(top):
    names = ["docs/reference/cli.md", *(path for folder in ("man", "completions")
                                        for path in sorted(f"{folder}/{each.name}" for each in (top / folder).iterdir()))]
    return {name: (top / name).read_text(encoding="utf-8") for name in names}


def test_what_is_committed_is_what_is_written(tmp_path):
    subprocess.run([os.environ["CLAUDE_INIT_WRITE_REFERENCE"], tmp_path], check=True, timeout=60)
    written, committed = files_in(tmp_path), files_in(TOP)
    assert len(written) >= 14
    assert set(committed) == set(written), HOW
    assert [name for name in written if written[name] != committed[name]] == [], HOW
