#!/usr/bin/env python3
"""Which lines of the sources the tests run, by folder.

usage: coverage.py BUILD [CTEST OPTION...]

BUILD is that of the preset `coverage`. Runs `ctest CTEST OPTION...` (-L unit) there, on counters that begin at nothing, and
prints a Markdown table. A process that is killed, or that becomes another by exec, has counted nothing.
"""
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]


def lines_of(build):
    """File → line → how often it was run, by all objects that have it."""
    found = defaultdict(lambda: defaultdict(int))
    for notes in sorted((build / "src").rglob("*.gcno")):
        # By the object's name: gcov takes the counters that lie beside the notes, if there are any.
        done = subprocess.run(["gcov", "--json-format", "--stdout", notes], capture_output=True, text=True, check=True,
                              cwd=notes.parent)
        for document in filter(None, done.stdout.splitlines()):
            one = json.loads(document)
            for file in one["files"]:
                path = Path(one["current_working_directory"], file["file"]).resolve()
                for line in file["lines"] if path.is_relative_to(TOP / "src") else []:
                    found[path.relative_to(TOP / "src")][line["line_number"]] += line["count"]
    return found


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    build = Path(sys.argv[1]).resolve()
    for counters in build.rglob("*.gcda"):
        counters.unlink()
    tests = subprocess.run(["ctest", "--test-dir", build, *(sys.argv[2:] or ["-L", "unit"])], stdout=sys.stderr, check=False)
    folders = defaultdict(lambda: [0, 0])
    for path, lines in lines_of(build).items():
        for name in (path.parts[0] if len(path.parts) > 1 else ".", "all"):
            folders[name][0] += len(lines)
            folders[name][1] += sum(count > 0 for count in lines.values())
    print("| folder | lines | run | |\n|---|---|---|---|")
    for name, (lines, run) in sorted(folders.items(), key=lambda each: (each[0] == "all", each[0])):
        print(f"| `{name}` | {lines} | {run} | {100 * run / lines:.0f} % |")
    return tests.returncode


if __name__ == "__main__":
    sys.exit(main())
