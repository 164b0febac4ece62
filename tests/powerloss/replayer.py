"""What a disk may hold when the power goes, of what a recorder has seen.

The model promises less than any file system in docs/durability.md does:
- Content, size, mode and mtime of a file are on the disk after fsync of the file, or a syncfs. Before that the file may
  have all of it, none, zeros or garbage of the same length, or half.
- An entry of a directory (a name made, removed, linked) is there after fsync of that directory, or a syncfs; not after
  fsync of the file. Entries that are not synced reach the disk or not, each for itself, in any order.
- A rename is one change: it reaches the disk as a whole, certainly after fsync of the directory that it leads to.
"""
import itertools
import os
import random
import re
import zlib

from recorder import Data, Entry, Node, Rename, Sync, apply_data, set_entry

EXHAUSTIVE = 10        # so many unsynced entries at a time are tried in all combinations
SAMPLES = 5            # twice so many of more than that
JOURNAL = b"claude-init journal "
CONTENTS = ("all", "none", "zeros", "garbage", "half")


def is_entry(operation):
    return isinstance(operation, (Entry, Rename))


def directory_of(operation):
    return operation.target if isinstance(operation, Rename) else operation.directory


def synced_by(operations, sync):
    """The indices of the operations that `sync` brings to the disk."""
    for index, operation in enumerate(operations[:sync.began]):
        if isinstance(operation, Data) and sync.node in (None, operation.node):
            yield index
        elif is_entry(operation) and sync.node in (None, directory_of(operation)):
            yield index


def subsets(pending, rng):
    """Which of the unsynced entries reach the disk: the last one may, or there is nothing new to see."""
    *others, last = pending
    if len(others) < EXHAUSTIVE:
        for size in range(len(others) + 1):
            yield from ({last, *chosen} for chosen in itertools.combinations(others, size))
        return
    yield {last}
    yield set(pending)
    for _ in range(SAMPLES):
        yield set(pending) - {rng.choice(others)}
        yield {last, *(one for one in others if rng.random() < rng.choice((0.2, 0.5, 0.8)))}


class Disk:
    """A state of the disk: for each inode what it has, entries being the recorder's nodes."""

    def __init__(self, recorder):
        self.recorder = recorder
        self.nodes = {}

    def __getitem__(self, node):
        if node not in self.nodes:
            before = self.recorder.initial.get(node)
            self.nodes[node] = before.copy() if before else Node(node.kind, 0o600 if node.kind == "file" else 0o700,
                                                                 target=node.target)
        return self.nodes[node]

    def key(self, node=None, prefix=""):
        """Equal for equal states."""
        found = self[node or self.recorder.top]
        is_file = found.kind == "file"
        lines = [(prefix, found.kind, is_file and found.mode, is_file and found.mtime, hash(found.data), found.target)]
        for name, child in sorted(found.entries.items()):
            lines += self.key(child, prefix + "/" + name)
        return lines

    def make(self, path):
        """Makes it, as files. Inodes that a journal names are those of the new files."""
        inodes, journals = {}, []
        self._make(self.recorder.top, path, inodes, journals)
        for journal, node in journals:
            with open(journal, "wb") as file:
                file.write(with_inodes(node.data, inodes))

    def _make(self, node, path, inodes, journals):
        now = self[node]
        if now.kind == "directory":
            os.mkdir(path, now.mode)
            for name, child in now.entries.items():
                self._make(child, os.path.join(path, name), inodes, journals)
        elif now.kind == "link":
            os.symlink(now.target, path)
        else:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, now.mode)
            os.write(fd, now.data)
            inodes[now.inode] = os.fstat(fd).st_ino
            os.close(fd)
            os.utime(path, ns=(now.mtime, now.mtime))
            if now.data.startswith(JOURNAL):
                journals.append((path, now))


def with_inodes(text, inodes):
    """A whole journal, whose deletions name a file's inode, for files that have got other ones."""
    body, found, end = text.rpartition(b"end ")
    entries, _, checksum = end.partition(b" ")
    if not found or checksum.strip() != b"%08x" % zlib.crc32(body):
        return text
    body = re.sub(rb"^delete (\d+)", lambda match: b"delete %d" % inodes.get(int(match[1]), 0), body, flags=re.MULTILINE)
    return body + b"end " + entries + b" %08x\n" % zlib.crc32(body)


class Replayer:
    def __init__(self, recorder, seed=1):
        self.recorder = recorder
        self.operations = recorder.operations
        self.rng = random.Random(seed)

    def crashes(self, dropped=frozenset(), every=1):
        """Each state of the disk after each operation (or each so many), as (number of operations done, Disk).
        Syncs whose index is in `dropped` are taken for not having been made."""
        durable = set()
        last = len(self.operations)
        for done, operation in enumerate(self.operations, 1):
            if isinstance(operation, Sync):
                if done - 1 in dropped:
                    continue
                durable.update(synced_by(self.operations, operation))
            if done % every != 0 and done != last and not isinstance(operation, Sync):
                continue
            pending = [index for index in range(done) if index not in durable]
            entries = [index for index in pending if is_entry(self.operations[index])]
            files = list({self.operations[index].node: None
                          for index in pending if isinstance(self.operations[index], Data)})
            if isinstance(operation, Sync):
                choices = [set(entries), set()]
            else:
                choices = subsets(entries, self.rng) if is_entry(operation) else [set(entries)]
            for chosen in choices:
                contents_of_files = list(self.contents(files))
                if len(entries) > EXHAUSTIVE:
                    contents_of_files = self.rng.sample(contents_of_files, min(2, len(contents_of_files)))
                for contents in contents_of_files:
                    yield done, self.disk(done, durable | chosen, contents)

    def contents(self, files):
        """What each file with unsynced data has: all of them the same, one of them alone, and a mixture."""
        if not files:
            yield {}
            return
        for content in CONTENTS:
            yield {file: content for file in files}
        if len(files) > 1:
            lost = self.rng.choice(files)
            yield {file: "none" if file is lost else "all" for file in files}
            yield {file: self.rng.choice(CONTENTS) for file in files}

    def disk(self, done, applied, contents):
        """As it is when the operations `applied` of the first `done` are on it."""
        disk = Disk(self.recorder)
        for index, operation in enumerate(self.operations[:done]):
            if isinstance(operation, Data):
                self.write(disk[operation.node], operation,
                           "all" if index in applied else contents.get(operation.node, "none"))
            elif index in applied and isinstance(operation, Entry):
                set_entry(disk[operation.directory], operation.name, operation.node)
            elif index in applied and isinstance(operation, Rename):
                source = disk[operation.source]
                if source.entries.get(operation.name) is operation.node:
                    del source.entries[operation.name]
                disk[operation.target].entries[operation.new_name] = operation.node
        return disk

    def write(self, copy, operation, content):
        if content == "none":
            return
        if operation.what == "write" and content != "all":
            length = len(operation.value)
            spoilt = {"zeros": bytes(length), "garbage": b"\xa5" * length, "half": operation.value[:length // 2]}[content]
            operation = Data(operation.node, "write", spoilt, operation.offset)
        elif operation.what in ("mode", "time") and content != "all":
            return
        apply_data(copy, operation)
