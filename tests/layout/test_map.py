"""The map in docs/development.md is true: it names every folder of src/, and each includes only what stands below it."""

import re
from pathlib import Path

TOP = Path(__file__).parents[2]
SOURCES = TOP / "src"
PAGE = TOP / "docs/development.md"


def folders_of_the_map():
    """In the map's order: the topmost first."""
    blocks = re.findall(r"```\n(src/main\.cpp.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1, "the page has one map, and it begins with src/main.cpp"
    folders = re.findall(r"^src/(\w+)/ ", blocks[0], re.MULTILINE)
    assert len(folders) == len(set(folders)), "the map names a folder twice"
    return folders


def includes():
    """(file, the folder that it lies in, the folder that it includes something of), of what is ours."""
    for source in sorted([*SOURCES.glob("*/*.h"), *SOURCES.glob("*/*.cpp")]):
        for folder in re.findall(r'^#include "(\w+)/', source.read_text(encoding="utf-8"), re.MULTILINE):
            yield source.relative_to(TOP), source.parent.name, folder


def test_the_map_names_every_folder_and_no_other():
    on_disk = {path.name for path in SOURCES.iterdir() if path.is_dir()}
    assert set(folders_of_the_map()) == on_disk


def test_no_folder_includes_one_above_it():
    height = {name: -place for place, name in enumerate(folders_of_the_map())}
    seen = list(includes())
    assert len(seen) > 500, "this test reads the sources"
    upwards = [f"{source}: {folder}/" for source, own, folder in seen
               if folder != own and height[folder] > height[own]]
    assert upwards == []


def test_a_library_depends_on_exactly_the_folders_that_it_includes():
    included = {}
    for _, own, folder in includes():
        included.setdefault(own, set()).add(folder)
    wrong = {}
    for name in folders_of_the_map():
        text = (SOURCES / name / "CMakeLists.txt").read_text(encoding="utf-8")
        call = re.search(r"claude_init_library\(([^)]*)\)", text).group(1)
        declared = set(call.partition(" DEPENDS ")[2].split())
        needed = (included.get(name, set()) | {"base"}) - {name}  # base has {fmt}, which needs no include of ours
        if declared != needed:
            wrong[name] = sorted(needed)
    assert wrong == {}


def test_a_library_has_all_sources_of_its_folder():
    for name in folders_of_the_map():
        call = re.search(r"claude_init_library\(([^)]*)\)", (SOURCES / name / "CMakeLists.txt").read_text(encoding="utf-8"))
        listed = set(re.findall(r"\w+\.cpp", call.group(1)))
        assert listed == {path.name for path in (SOURCES / name).glob("*.cpp")}, name


def test_every_path_that_the_page_names_is_there():
    named = re.findall(r"`((?:src|tests|scripts|docs)/[\w./-]+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert [path for path in named if not (TOP / path).exists()] == []


def test_the_way_through_the_code_names_functions_where_they_are():
    text = (TOP / "docs/login-through-the-code.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w:]+)\(\)`\s+in\s+`(src/[\w/.]+)`", text)
    assert len(named) == text.count("()`") > 30
    wrong = []
    for function, path in named:
        source = TOP / path
        name = function.rpartition("::")[2]
        if not source.exists() or not re.search(rf"\b{name}\(", source.read_text(encoding="utf-8")):
            wrong.append(f"{function} in {path}")
    assert wrong == []
