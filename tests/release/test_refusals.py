"""What scripts/release.sh does not make a release of. None of these gets as far as a build."""

import pytest
from clone import Clone


@pytest.fixture(name="clone")
def fixture_clone(tmp_path):
    return Clone(tmp_path / "project", "9.8.7")


def refused(clone, *words):
    done = clone.release(*words)
    assert done.returncode == 64, done.stderr
    assert not (clone.path / "build").exists() and not (clone.path / "dist").exists()
    return done.stderr


def test_without_a_version_or_with_none_that_is_one(clone):
    assert "Which version?" in refused(clone, "--frobnicate")
    assert "is not a version" in refused(clone, "next")


def test_an_architecture_that_cannot_be_built_for_here(clone):
    assert "There is no way from" in refused(clone, "9.8.7", "sparc")


def test_another_version_than_that_of_the_tree(clone):
    assert "This is version 9.8.7, not 9.8.8." in refused(clone, "9.8.8")


def test_a_version_without_a_section_in_the_changelog(clone):
    clone.write("VERSION", "9.8.8\n")
    clone.commit()
    assert "CHANGELOG.md has no section for 9.8.8." in refused(clone, "9.8.8")


def test_a_section_without_a_date_or_without_a_word(clone):
    text = (clone.path / "CHANGELOG.md").read_text(encoding="utf-8")
    clone.write("CHANGELOG.md", text.replace("## [9.8.7] - 2026-01-02", "## [9.8.7]"))
    clone.commit()
    assert "has no section" in refused(clone)
    clone.write("CHANGELOG.md", "## [9.8.7] - 2026-01-02\n\n\n## [0.0.1] - 2025-01-02\n- The first one.\n")
    clone.commit()
    assert "says nothing of 9.8.7" in refused(clone)


@pytest.mark.parametrize("name", ["README.md", "something new"])
def test_a_tree_with_something_that_is_not_committed(clone, name):
    clone.write(name, "changed\n")
    assert "Not everything is committed:" in refused(clone)
