"""Which single changes of a line of C++ are mutants: a condition negated, a bound moved, a sync or a check left out."""

import hashlib
import random
import re
from dataclasses import dataclass

FOLDERS = ["supervise", "loop", "store", "lock", "sync", "renew", "follow", "workcopy", "user"]

# What only tells people, or only makes room.
TALK = re.compile(r"log::|fmt::|printable\(|INFO\(|reserve\(|static_assert|#include|\[\[|describe\(|took_since")
# What a compiler only warns of is for the tests to find.
HUSH = "".join(f'#pragma GCC diagnostic ignored "-W{name}"\n' for name in [
    "unused", "unused-parameter", "unused-result", "unused-but-set-variable", "unused-const-variable", "parentheses",
    "maybe-uninitialized", "type-limits", "extra"])
COMPARISON = {"<": ["<="], "<=": ["<"], ">": [">="], ">=": [">"], "==": ["!="], "!=": ["=="]}


@dataclass(frozen=True)
class Mutant:
    path: str  # from the top of the tree
    line: int  # from 1
    rule: str
    before: str  # the line, without its indentation
    after: str  # "" = left out
    number: str  # stays the same while the line does, wherever it goes

    @property
    def folder(self):
        return self.path.split("/")[1]

    def applied(self, text):
        lines = text.splitlines(keepends=True)
        old = lines[self.line - 1]
        indentation = old[:len(old) - len(old.lstrip())]
        lines[self.line - 1] = f"{indentation}{self.after}\n"
        return HUSH + "".join(lines)

    def __str__(self):
        return f"{self.path}:{self.line} {self.rule}: {self.before}  =>  {self.after or '(left out)'}"


def masked(text):
    """The same text, with blanks in the place of comments, characters and the insides of strings."""
    blank = lambda found: re.sub(r"[^\n]", " ", found.group(0))
    whole = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])\'', re.DOTALL)
    return whole.sub(blank, text)


def closing(line, start):
    """Where the parenthesis that opens at `start` is closed; -1 on another line."""
    depth = 0
    for at in range(start, len(line)):
        depth += {"(": 1, ")": -1}.get(line[at], 0)
        if depth == 0:
            return at
    return -1


def negated(line, mask):
    """`if (a; b)` with `!(b)`."""
    found = re.match(r"(?:\} else )?if \(", mask)
    if not found:
        return
    begin, end = found.end() - 1, closing(mask, found.end() - 1)
    if end < 0:
        return
    first = mask.rfind("; ", begin, end)
    first = first + 2 if first >= 0 else begin + 1
    condition = line[first:end]
    if re.match(r"(const )?(auto|[\w:]+)[*&]? [*&]?\w+ = ", condition):  # one that declares
        return
    simple = re.fullmatch(r"!([\w.:>-]+(\([^()]*\))?)", condition)
    yield "negate", line[:first] + (simple[1] if simple else f"!({condition})") + line[end:]


def compared(line, mask):
    for found in re.finditer(r" (<=|>=|==|!=|<|>) ", mask):
        for other in COMPARISON[found[1]]:
            yield ("bound" if "=" not in found[1] or found[1] in ("<=", ">=") else "equal",
                   line[:found.start(1)] + other + line[found.end(1):])


def connected(line, mask):
    for found in re.finditer(r" (&&|\|\|) ", mask):
        yield "connect", line[:found.start(1)] + ("||" if found[1] == "&&" else "&&") + line[found.end(1):]


def stepped(line, mask):
    for found in re.finditer(r"(?<=[\w)]) [+-] 1\b", mask):
        yield "bound", line[:found.start()] + line[found.end():]


def unsynced(line, mask):
    for found in re.finditer(r"Sync::yes", mask):
        yield "sync", line[:found.start()] + "Sync::no" + line[found.end():]
    for found in re.finditer(r"::f(data)?sync\([^()]*(\(\)[^()]*)?\)", mask):
        yield "sync", line[:found.start()] + "0" + line[found.end():]


def left_out(line, mask):
    if re.match(r"(if \(.*\) )(return\b.*|continue|break);$", mask) and closing(mask, mask.index("(")) > 0:
        yield "check", ""
    call = re.match(r"(?:static_cast<void>\()?(?:::)?[\w.:>\-\[\]*]+\(.*\)+;$", mask)
    if call and not re.match(r"(return|throw|delete|co_|if|for|while|switch|REQUIRE|CHECK)\b", mask):
        yield ("sync" if "sync" in mask else "call"), ""


def turned(line, mask):
    for found in re.finditer(r"\breturn (true|false);", mask):
        yield "return", line[:found.start(1)] + {"true": "false", "false": "true"}[found[1]] + line[found.end(1):]


RULES = [negated, compared, connected, stepped, unsynced, turned]


def mutants_of(path, text):
    seen, before = {}, ";"
    shown = masked(text).splitlines()
    for number, (line, mask) in enumerate(zip(text.splitlines(), shown), 1):
        line, mask = line.strip(), mask.rstrip()[len(line) - len(line.lstrip()):]
        if not mask.strip():
            continue
        begins, before = before[-1] in ";{}:", mask.rstrip()
        if TALK.search(line) or mask.startswith(("template", "#", "using", "namespace")):
            continue
        for rule in [*RULES, left_out] if begins else RULES:  # half a statement cannot be left out
            for kind, after in rule(line, mask):
                key = (path, line, after)
                seen[key] = seen.get(key, 0) + 1
                name = hashlib.sha256(repr((key, seen[key])).encode()).hexdigest()[:8]
                yield Mutant(path, number, kind, line, after, name)


def all_mutants(top, folders=FOLDERS):
    return [mutant for folder in folders for source in sorted((top / "src" / folder).glob("*.cpp"))
            for mutant in mutants_of(str(source.relative_to(top)), source.read_text(encoding="utf-8"))]


def chosen(mutants, count, seed):
    """`count` of them: more of a folder that has more, of each rule in it in turn; the same ones for the same seed as
    long as their lines are there."""
    order = lambda mutant: hashlib.sha256(f"{seed} {mutant.number}".encode()).digest()
    queues = {}
    for mutant in sorted(mutants, key=order):
        queues.setdefault(mutant.folder, {}).setdefault(mutant.rule, []).append(mutant)
    share = {folder: sum(map(len, rules.values())) ** 0.5 for folder, rules in queues.items()}
    total, picked = sum(share.values()), []
    for folder, rules in queues.items():
        wanted = max(2, round(count * share[folder] / total))
        names = sorted(rules)
        random.Random(f"{seed} {folder}").shuffle(names)
        while wanted > 0 and any(rules.values()):
            for name in names:
                if rules[name] and wanted > 0:
                    picked.append(rules[name].pop(0))
                    wanted -= 1
    return picked[:count] if len(picked) > count else picked
