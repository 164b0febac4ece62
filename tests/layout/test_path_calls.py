"""docs/path-calls.md lists every call in src/ that takes a path, by file and function, with why it is safe."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
PAGE = TOP / "docs/path-calls.md"
NAMES = """
access chdir chmod chown chroot creat execve execveat faccessat faccessat2 fchmodat fchmodat2 fchownat fopen fstatat
getxattr inotify_add_watch lchown lgetxattr link linkat lsetxattr lstat mkdir mkdirat mkdtemp mkfifo mkfifoat mknod
mknodat mkostemp mkstemp mount name_to_handle_at nftw open open64 openat openat2 opendir pivot_root readlink
readlinkat realpath removexattr remove rename renameat renameat2 rmdir scandir setxattr stat statfs statvfs statx
symlink symlinkat truncate umount umount2 unlink unlinkat utime utimensat utimes
""".split()
EACH = "|".join(NAMES)
# Nothing of ours is called so: found without `::` too.
ALONE = "|".join(name for name in NAMES if re.fullmatch(r"\w{3,}at|opendir|realpath|lchown", name))
CALL = re.compile(rf"(?<![\w>])(?:::|std::)({EACH})\(|\bSYS_({EACH})\b|(?<![\w:.>])({ALONE})\(|"
                  r"\bstd::([io]?fstream)\b|\b(?:boost::filesystem|bfs|std::filesystem)::(\w+)\(")
# As clang-format writes them: a definition begins in the first column, and so does the class of one that is in it.
NO_FUNCTION = r"(?![#/{}\s]|namespace|using|constexpr|static_assert|template|const )"
FUNCTION = re.compile(rf"^{NO_FUNCTION}(?:.*?[\s*&])?([\w:~]+)\(")
TYPE = re.compile(r"^(?:class|struct) (?:\[\[nodiscard\]\] )?([\w:]+)")
# Of boost::filesystem's: what only computes, and its types.
PURE = {"path", "absolute"}


def calls_of(source):
    """{function: {call}}"""
    found, function = {}, "?"
    for line in source.read_text(encoding="utf-8").splitlines():
        if match := TYPE.match(line) or FUNCTION.match(line):
            function = match[1]
        for match in CALL.finditer(line.split("//")[0]):
            call = next(group for group in match.groups() if group)
            if call not in PURE:
                found.setdefault(function, set()).add(call)
    return found


def calls():
    return {(str(source.relative_to(TOP / "src")), function): called
            for source in sorted((TOP / "src").rglob("*")) if source.suffix in (".h", ".cpp")
            for function, called in calls_of(source).items()}


def listed():
    """{(file, function): (calls, why)}"""
    rows = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.match(r"\| `([\w/.]+)` \| `([\w:~?]+)` \| ([^|]*) \| ([^|]*) \|$", line):
            assert (match[1], match[2]) not in rows, f"twice: {line}"
            rows[match[1], match[2]] = set(re.findall(r"`(\w+)`", match[3])), match[4].strip()
    return rows


def test_each_call_that_takes_a_path_is_listed_and_no_other():
    """A new one: add its line to the page, with the rule that makes it safe."""
    found, rows = calls(), listed()
    assert len(found) > 100, "this test reads the sources"
    assert {where: called for where, called in found.items() if where not in rows} == {}, "not listed"
    assert {where for where in rows if where not in found} == set(), "listed, and no longer there"
    assert {where: called for where, called in found.items() if rows[where][0] != called} == {}, "other calls"


def test_each_line_names_the_rule_that_makes_it_safe():
    rules = set(re.findall(r"^- \*\*(\w+)\*\*: ", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert len(rules) >= 5
    assert {where: why for where, (_, why) in listed().items() if why.partition(":")[0] not in rules} == {}


@pytest.mark.parametrize("code, found", [
    ("int f(int a) {\n  return ::unlinkat(a, b, 0);\n}\n", {"f": {"unlinkat"}}),
    ("Result<A> B::c(\n    int a) {\n  ::syscall(SYS_openat2, a);\n}\n", {"B::c": {"openat2"}}),
    ("class A {\n  int f() { return ::mkdirat(d, n, 0); }\n};\n", {"A": {"mkdirat"}}),
    ("struct A::B {\n  int f() { return ::link(a, b); }\n};\n", {"A::B": {"link"}}),
    ("int f() {\n  // ::open(a)\n  store::Store::open(a);\n  x->open(a);\n  ::openlog(a);\n}\n", {}),
    ("int f() {\n  return unlinkat(a, b, 0);\n}\n", {"f": {"unlinkat"}}),
    ("int f() {\n  boost::filesystem::create_directories(a, e);\n}\n", {"f": {"create_directories"}})])
def test_calls_are_found_as_they_are_written(tmp_path, code, found):
    source = tmp_path / "a.cpp"
    source.write_text(code)
    assert calls_of(source) == found
