"""The project as it is here, committed or not, in a repository of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
# Nothing of the caller's: neither its git settings nor its times.
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "GIT_CONFIG_NOSYSTEM": "1",
               "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.invalid", "GIT_COMMITTER_NAME": "Test",
               "GIT_COMMITTER_EMAIL": "test@example.invalid", "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
               "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z"}


def skip(reason):
    """Visibly; where everything has to be there, it is a failure."""
    if os.environ.get("CLAUDE_INIT_TEST_NO_SKIP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def needed(*names):
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        skip(f"there is no {', '.join(missing)}")


class Clone:
    def __init__(self, path, version):
        needed("git")
        self.path, self.version = path, version
        path.mkdir(parents=True)
        copied = shutil.ignore_patterns("build", "dist", ".git", "__pycache__", ".pytest_cache", ".cache")
        shutil.copytree(TOP, path, ignore=copied, dirs_exist_ok=True, symlinks=True)
        self.run("git", "-c", "init.defaultBranch=main", "init", "--quiet")
        self.write("VERSION", version + "\n")
        text = (path / "CHANGELOG.md").read_text(encoding="utf-8")
        head, mark, rest = text.partition("## [Unreleased]\n")
        assert mark
        self.write("CHANGELOG.md", f"{head}{mark}\n## [{version}] - 2026-01-02\n\n### Added\n- Something.\n{rest and chr(10)}"
                                   "## [0.0.1] - 2025-01-02\n\n- The first one.\n")
        self.commit()

    def write(self, name, text):
        (self.path / name).write_text(text, encoding="utf-8")

    def run(self, *words, check=True):
        return subprocess.run(list(map(str, words)), cwd=self.path, env=ENVIRONMENT, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, check=check)

    def commit(self):
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message=x")

    def release(self, *words):
        return self.run(self.path / "scripts/release.sh", *(words or [self.version]), check=False)
