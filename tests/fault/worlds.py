"""A source with new content and a destination with old content, and which states between them are whole."""

import contextlib
import glob
import os
import shutil

from harness import OWN, drive, login, make_temporary, read_tree, remove, whole_login, write_tree

LOGIN, SETTINGS = ".credentials.json", ".claude.json"

OLD = {LOGIN: login(1), SETTINGS: '{"old":1}', "settings.json": "{}", "projects/p/s.jsonl": "one\n",
       "projects/p/kept.jsonl": "only here", "todos/t.json": "[]", "link": "-> settings.json"}
NEW = {LOGIN: login(2), SETTINGS: '{"new":1}', "settings.json": '{"new":1}', "projects/p/s.jsonl": "one\ntwo\n",
       "todos/t.json": "[1]", "link": "-> todos/t.json", "tool": "#!/bin/sh\n", "empty": "",
       "d/b": "b" * 300_000, "d/e/c": "", "d/l": "-> e/c"}
EIGHT_OLD = {path: text for path, text in OLD.items() if path not in ("link", "projects/p/kept.jsonl")}
EIGHT = {LOGIN: login(2), SETTINGS: '{"new":1}', "settings.json": '{"new":1}', "projects/p/s.jsonl": "one\ntwo\n",
         "tool": "#!/bin/sh\n", "d/b": "b" * 3000, "d/e/c": "c", "link": "-> d/b"}
LARGE = {**NEW, **{f"projects/q{n % 7}/{n}.jsonl": f"line {n}\n" * n for n in range(40)}}


def part_of(path):
    """The transaction that a path belongs to."""
    return {LOGIN: 0, SETTINGS: 1}.get(path, 2)


CLI_LOCKS = (".oauth_refresh.lock", ".storage-write.lock", ".claude.json.lock")


class World:
    """One operation from `source` to `destination`, repeatable.

    `old` and `new` are what the destination has before and after it. A capture is three transactions in this order:
    the login, .claude.json, everything else. So there are four whole states: old; with the login; with .claude.json
    too; new. A restore is not journaled: a working copy is not worth it, and is made again. Of it each file is whole.

    `key`: of a store that is "sealed", or one in plain that gets its key with this operation, "moving". Then the old
    login, derived from what was sealed, is one more state before the new one.
    """

    def __init__(self, operation, old=None, new=None, root=None, key=""):
        self.operation, self.key = operation, key
        self.root = root or make_temporary()
        self.source = os.path.join(self.root, "source")
        self.destination = os.path.join(self.root, "destination")
        self.old_tree = OLD if old is None else old
        self.new_tree = NEW if new is None else new
        write_tree(self.source, self.new_tree, 1_700_000_000)
        self.template = os.path.join(self.root, "template")
        derived = self.make_template() if key else None
        self.reset()
        self.old = read_tree(self.destination)
        self.either = {path: (entry,) for path, entry in self.old.items()}
        if derived and LOGIN in self.old:
            self.either[LOGIN] = (self.old[LOGIN], derived)
        done = drive(*self.arguments)
        assert done.returncode == 0, done.stderr
        self.new = read_tree(self.destination)
        self.states = [self.mix(range(count)) for count in range(4)]
        self.states += [{**self.old, LOGIN: entry} for entry in self.either.get(LOGIN, ())[1:]]
        self.reset()

    def make_template(self):
        """The old content, sealed, with the identity that this is bound to. Its login's plain file."""
        os.mkdir(self.template, 0o700)
        write_tree(self.template, self.old_tree, 1_600_000_000)
        done = drive("sealed", "recover", self.template)
        assert done.returncode == 0, done.stderr
        return read_tree(self.template).get(LOGIN)

    @property
    def arguments(self):
        deletes = ["delete"] if self.operation == "capture" else []
        return (*self.sealed, self.operation, self.source, self.destination, *deletes)

    @property
    def sealed(self):
        return ("sealed",) if self.key else ()

    def mix(self, arrived):
        both = sorted(self.old.keys() | self.new.keys())
        chosen = {path: (self.new if part_of(path) in arrived else self.old).get(path) for path in both}
        return {path: entry for path, entry in chosen.items() if entry is not None}

    def reset(self):
        remove(self.destination)
        if self.key == "sealed":
            shutil.copytree(self.template, self.destination, symlinks=True)
            return
        os.mkdir(self.destination, 0o700)
        write_tree(self.destination, self.old_tree, 1_600_000_000)

    def remove(self):
        remove(self.root)

    def found(self, destination=None):
        """Half-made files of a killed restore have the CLI's own name for such, which nobody reads or captures. The
        CLI's locks, which a killed capture leaves, are no state either: the next capture takes them over."""
        return {path: entry for path, entry in read_tree(destination or self.destination).items()
                if ".tmp." not in path and path not in CLI_LOCKS}

    def recover(self):
        done = drive(*self.recovery)
        assert done.returncode == 0, done.stderr

    @property
    def recovery(self):
        return (*self.sealed, "recover", self.destination)

    def check_files(self):
        """What any reader may count on at any moment: each file is whole, and none of the old ones is lost."""
        found = self.found()
        for path, entry in found.items():
            wanted = (*self.either.get(path, ()), self.new.get(path))
            assert entry in wanted, f"{path} is neither the old nor the new one"
        for path in self.old:
            assert path in found or path not in self.new, f"{path} is lost"
        if self.key:
            self.check_sealed(found)

    def check_sealed(self, found, destination=None):
        """What is sealed counts, and is never older than the plain file beside it."""
        root = destination or self.destination
        whole = whole_login(root, root)
        new = self.new_tree[LOGIN].encode()
        assert whole in (new, self.old_tree.get(LOGIN, "").encode() or None), "the whole login is neither old nor new"
        assert whole == new or found.get(LOGIN) != self.new[LOGIN], "the plain file is newer than what is sealed"
        if self.key == "sealed":
            self.check_nothing_plain(root)

    def check_nothing_plain(self, root):
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.islink(path):
                    with open(path, "rb") as file:
                        assert b"FAKE-r" not in file.read(), f"a refresh token lies in {path}"

    def has_lost_login(self, destination=None):
        """Whether a login that was replaced is not among the generations."""
        root = destination or self.destination
        old = self.old_tree.get(LOGIN)
        kept = [root, *glob.glob(os.path.join(glob.escape(root), OWN, "generations", "[0-9]*"))]
        logins = [whole_login(root, folder) for folder in kept]
        return self.operation == "capture" and old is not None and old.encode() not in logins

    def check_whole(self):
        """What recovery leaves: one of the whole states, and nothing half-done of ours."""
        found = self.found()
        if self.operation == "restore":
            self.check_files()
        elif found not in self.states:
            raise AssertionError(self.nearest(found))
        assert not self.has_lost_login(), "the login that was replaced is not among the generations"
        for left in ("journal", "stage"):
            assert not os.path.exists(os.path.join(self.destination, OWN, left)), f"the {left} is left behind"
        if self.key:
            self.check_sealed(found)
            self.check_nothing_plain(self.destination)

    def nearest(self, found):
        """How `found` differs from the whole state that it is most like."""
        return f"neither old nor new: {min((difference(state, found) for state in self.states), key=len)}"

    def check_retry(self):
        again = drive(*self.arguments)
        assert again.returncode == 0, again.stderr
        assert self.found() == self.new, difference(self.new, self.found())


def difference(wanted, found):
    def short(entry):
        return entry if entry is None else tuple(part[:60] if isinstance(part, bytes) else part for part in entry)

    return {path: (short(wanted.get(path)), short(found.get(path)))
            for path in sorted(wanted.keys() | found.keys()) if wanted.get(path) != found.get(path)}
