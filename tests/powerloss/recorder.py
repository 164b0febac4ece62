"""Records what a program does to a directory, in terms of inodes and directory entries, from strace's log of it.

Operations, in the order in which they ended:

    Entry(directory, name, node)      `name` in `directory` is now `node`; None: it has gone
    Rename(source, name, target, new_name, node)   both at once
    Data(node, apply)                 content, size, mode or mtime of a file
    Sync(nodes, began)                what was done to these before operation number `began` is on the disk; to all: None
"""
import dataclasses
import os
import re
import stat
import subprocess

CALLS = ("open,openat,openat2,creat,mkdir,mkdirat,mknodat,write,pwrite64,writev,pwritev,pwritev2,copy_file_range,sendfile,"
         "splice,ioctl,truncate,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,"
         "rmdir,fsync,fdatasync,sync_file_range,syncfs,sync,msync,chmod,fchmod,fchmodat,utimensat,io_uring_setup,setxattr,"
         "fsetxattr")
FICLONE = "FICLONE"


@dataclasses.dataclass(eq=False)
class Node:
    """An inode: what it has at the end; a replay makes copies."""
    kind: str
    mode: int = 0
    mtime: int = 0
    data: bytes = b""
    target: str = ""
    inode: int = 0            # on the recorded file system, for what was there before
    entries: dict = dataclasses.field(default_factory=dict)

    def copy(self):
        return dataclasses.replace(self, entries=dict(self.entries))


@dataclasses.dataclass(eq=False)
class Entry:
    directory: Node
    name: str
    node: Node


@dataclasses.dataclass(eq=False)
class Rename:
    source: Node
    name: str
    target: Node
    new_name: str
    node: Node


@dataclasses.dataclass(eq=False)
class Data:
    node: Node
    what: str       # "write", "truncate", "mode" or "time"
    value: object
    offset: int = 0


@dataclasses.dataclass(eq=False)
class Sync:
    node: Node      # None: everything
    began: int
    path: str


def unescape(text):
    return re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())


def split_arguments(text):
    """At the commas that are not in quotes, brackets or braces."""
    parts, depth, quoted, begin = [], 0, False, 0
    for index, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char in "[{(<") - (char in "]})>")
            if char == "," and depth == 0:
                parts.append(text[begin:index].strip())
                begin = index + 1
    return [*parts, text[begin:].strip()]


class Recorder:
    def __init__(self, root):
        self.root = root
        self.initial = {}       # node → a copy of it as it was, whose entries are the nodes themselves
        self.top = self.scan(root)
        self.operations = []

    # --- what is there before ---
    def scan(self, path):
        status = os.lstat(path)
        node = Node({stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}.get(stat.S_IFMT(status.st_mode), "file"),
                    stat.S_IMODE(status.st_mode), status.st_mtime_ns, inode=status.st_ino)
        if node.kind == "directory":
            node.entries = {name: self.scan(os.path.join(path, name)) for name in os.listdir(path)}
        elif node.kind == "link":
            node.target = os.readlink(path)
        else:
            with open(path, "rb") as file:
                node.data = file.read()
        self.initial[node] = node.copy()
        return node

    # --- the log ---
    def record(self, command):
        log = self.root + ".strace"
        subprocess.run(["strace", "-f", "-qq", "-y", "-xx", "-s", "100000000", "-e", "trace=" + CALLS, "-e", "signal=none",
                        "-o", log, *command], check=True, capture_output=True)
        unfinished = {}
        with open(log) as file:
            for line in file:
                pid, text = line.rstrip("\n").split(None, 1)
                if text.endswith("<unfinished ...>"):
                    unfinished[pid] = (text.removesuffix("<unfinished ...>"), len(self.operations))
                    continue
                began = len(self.operations)
                if text.startswith("<... "):
                    start, began = unfinished.pop(pid)
                    text = start + text.split("resumed>", 1)[1]
                match = re.fullmatch(r"(\w+)\((.*)\)\s+= (-?\d+|\?)(.*)", text)
                if match and not match[3].startswith(("-", "?")):
                    self.call(match[1], split_arguments(match[2]), int(match[3]), match[4], began)
        os.unlink(log)
        return self.operations

    def path_of(self, fd):
        """The path behind "3<...>"."""
        return os.fsdecode(unescape(fd[fd.index("<") + 1:fd.rindex(">")])).removesuffix(" (deleted)")

    def find(self, path):
        """The node at `path`, or None outside of the root or where there is none."""
        if path != self.root and not path.startswith(self.root + "/"):
            return None
        node = self.top
        for name in path[len(self.root) + 1:].split("/") if path != self.root else []:
            node = node.entries.get(name) if node else None
        return node

    def place(self, directory, name):
        """(directory node, name) of an argument pair like `3</a>, "b/c"`."""
        path = os.path.join(self.path_of(directory), os.fsdecode(unescape(name.strip('"'))))
        return self.find(os.path.dirname(path)), os.path.basename(path)

    def do(self, operation):
        self.operations.append(operation)
        if isinstance(operation, Rename):
            operation.source.entries.pop(operation.name)
            operation.target.entries[operation.new_name] = operation.node
        elif isinstance(operation, Entry):
            set_entry(operation.directory, operation.name, operation.node)
        elif isinstance(operation, Data):
            apply_data(operation.node, operation)

    def call(self, name, arguments, result, extra, began):
        handler = getattr(self, "on_" + name, None)
        touched = [self.path_of(word) for word in arguments if re.match(r"(\d+|AT_FDCWD)<", word)]
        if handler:
            handler(arguments, result, extra, began)
        elif any(path.startswith(self.root) for path in touched) or name in ("io_uring_setup", "sync"):
            raise NotImplementedError(f"the recorder does not know {name}({', '.join(arguments)[:200]})")

    def on_openat(self, arguments, *_):
        self.opened(arguments[0], arguments[1], arguments[2], arguments[3] if len(arguments) > 3 else "0600")

    def on_openat2(self, arguments, *_):
        mode = re.search(r"mode=(\d+)", arguments[2])
        self.opened(arguments[0], arguments[1], arguments[2], mode[1] if mode else "0600")

    def opened(self, at, path, flags, mode):
        if "O_TMPFILE" in flags:
            raise NotImplementedError("a file without a name")
        directory, name = self.place(at, path)
        if directory is None:
            return
        if "O_CREAT" in flags and name not in directory.entries:
            self.do(Entry(directory, name, Node("file", int(mode, 8))))
        elif "O_TRUNC" in flags:
            self.do(Data(directory.entries[name], "truncate", 0))

    def on_mkdirat(self, arguments, *_):
        directory, name = self.place(arguments[0], arguments[1])
        if directory is not None:
            self.do(Entry(directory, name, Node("directory", 0o700)))

    def on_symlinkat(self, arguments, *_):
        directory, name = self.place(arguments[1], arguments[2])
        if directory is not None:
            self.do(Entry(directory, name, Node("link", target=os.fsdecode(unescape(arguments[0].strip('"'))))))

    def on_linkat(self, arguments, *_):
        source, name = self.place(arguments[0], arguments[1])
        directory, new_name = self.place(arguments[2], arguments[3])
        if directory is not None:
            self.do(Entry(directory, new_name, source.entries[name]))

    def on_unlinkat(self, arguments, *_):
        directory, name = self.place(arguments[0], arguments[1])
        if directory is not None:
            self.do(Entry(directory, name, None))

    def on_renameat(self, arguments, *_):
        source, name = self.place(arguments[0], arguments[1])
        target, new_name = self.place(arguments[2], arguments[3])
        if source is not None and target is not None:
            self.do(Rename(source, name, target, new_name, source.entries[name]))

    def on_renameat2(self, arguments, *_):
        if arguments[4] not in ("0", "RENAME_NOREPLACE"):
            raise NotImplementedError(f"renameat2 with {arguments[4]}")
        self.on_renameat(arguments)

    def on_file(self, argument):
        path = self.path_of(argument)
        node = self.find(path)
        if node is None and path.startswith(self.root + "/"):
            return Node("file")  # unlinked: whatever happens to it
        return node

    def on_write(self, arguments, result, _extra, _began, offset=None):
        node = self.on_file(arguments[0])
        if node is not None:
            data = unescape(arguments[1].strip('"'))[:result]
            self.do(Data(node, "write", data, len(node.data) if offset is None else offset))

    def on_pwrite64(self, arguments, result, extra, began):
        self.on_write(arguments, result, extra, began, int(arguments[3]))

    def on_copy_file_range(self, arguments, result, *_):
        node = self.on_file(arguments[2])
        if node is None or result == 0:
            return
        offsets = [int(word.strip("[]").split()[0]) if word != "NULL" else None for word in (arguments[1], arguments[3])]
        with open(self.path_of(arguments[0]), "rb") as file:
            file.seek(len(node.data) if offsets[0] is None else offsets[0])
            data = file.read(result)
        self.do(Data(node, "write", data, len(node.data) if offsets[1] is None else offsets[1]))

    def on_ioctl(self, arguments, *_):
        node = self.on_file(arguments[0])
        if node is not None and FICLONE in arguments[1]:
            with open(self.path_of(arguments[2]), "rb") as file:
                self.do(Data(node, "write", file.read(), 0))

    def on_ftruncate(self, arguments, *_):
        node = self.on_file(arguments[0])
        if node is not None:
            self.do(Data(node, "truncate", int(arguments[1])))

    def on_fchmod(self, arguments, *_):
        node = self.on_file(arguments[0])
        if node is not None:
            self.do(Data(node, "mode", int(arguments[1], 8)))

    def on_utimensat(self, arguments, *_):
        node = self.on_file(arguments[0])
        times = re.findall(r"tv_sec=(\d+), tv_nsec=(\d+)", arguments[2])
        if node is not None and times:
            self.do(Data(node, "time", int(times[1][0]) * 10**9 + int(times[1][1])))

    def on_fsync(self, arguments, _result, _extra, began):
        path = self.path_of(arguments[0])
        node = self.find(path)
        if node is not None:
            self.operations.append(Sync(node, began, path[len(self.root) + 1:]))

    on_fdatasync = on_fsync

    def on_syncfs(self, arguments, _result, _extra, began):
        if self.path_of(arguments[0]).startswith(self.root):
            self.operations.append(Sync(None, began, ""))


def set_entry(directory, name, node):
    if node is None:
        directory.entries.pop(name, None)
    else:
        directory.entries[name] = node


def apply_data(node, operation):
    if operation.what == "write":
        gap = bytes(max(0, operation.offset - len(node.data)))
        end = operation.offset + len(operation.value)
        node.data = node.data[:operation.offset] + gap + operation.value + node.data[end:]
    elif operation.what == "truncate":
        node.data = node.data[:operation.value] + bytes(max(0, operation.value - len(node.data)))
    elif operation.what == "mode":
        node.mode = operation.value
    else:
        node.mtime = operation.value
