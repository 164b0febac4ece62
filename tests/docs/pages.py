"""The pages that people read, as the tests here see them: prose, links, headings, tables."""

import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)(```+|~~~+)(.*)$")


def all_pages():
    """Every Markdown page of the project. What a build or an engine has put beside it may go while we look."""
    def pages(directory):
        for path in directory.iterdir():
            if path.name in ("build", "node_modules") or path.name.startswith("."):
                continue
            if path.is_dir() and not path.is_symlink():
                yield from pages(path)
            elif path.suffix == ".md":
                yield path
    return sorted(pages(TOP))


def worded_pages():
    """Those whose words follow CONTRIBUTING.md."""
    top = [TOP / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return top + sorted((TOP / "docs").rglob("*.md")) + sorted((TOP / "examples").rglob("*.md"))


def lines(path):
    """(number, line, language): the language of the fenced block that the line is in, None outside of one."""
    language, fence = None, ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = FENCE.match(line)
        if match and language is None:
            language, fence = match[3].strip(), match[2]
        elif match and match[2].startswith(fence) and not match[3].strip():
            language = None
        else:
            yield number, line, language
    assert language is None, f"{path}: a block that begins with {fence} has no end"


def without_code(line):
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "CODE", line)


def anchors(path):
    """What GitHub makes of the headings: lower case, no punctuation, dashes for blanks, -1 behind the second."""
    seen, found = {}, set()
    for _, line, language in lines(path):
        match = re.match(r"#{1,6} +(.*?) *#*$", line)
        if language is not None or not match:
            continue
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", match[1])
        anchor = re.sub(r"[^\w\- ]", "", text.lower().replace("`", "")).replace(" ", "-")
        count = seen.get(anchor, 0)
        seen[anchor] = count + 1
        found.add(f"{anchor}-{count}" if count else anchor)
    return found


def links(path):
    """(number, target) of [text](target), and of src, srcset and href in HTML."""
    for number, line, language in lines(path):
        if language is not None:
            continue
        line = without_code(line) if "](" not in line else re.sub(r"(?<!\[)`[^`]*`(?!\])", "CODE", line)
        for pattern in (r"\]\(([^)\s]+)[^)]*\)", r'\b(?:src|srcset|href)="([^"]+)"'):
            for target in re.findall(pattern, line):
                yield number, target


def rows(path):
    """Of each row of a table that is no head and no rule: (number, cells)."""
    for number, line, language in lines(path):
        if language is None and line.startswith("|"):
            cells = [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                yield number, cells
