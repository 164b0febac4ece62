#!/usr/bin/python3
"""Makes a configuration directory of the CLI, shaped like one that has been used for months.

usage: state_generator.py DIRECTORY [--files N] [--megabytes N] [--seed N]

    DIRECTORY         is made; it must not exist or be empty
    --files 10000     regular files, the login and the settings included
    --megabytes 270   bytes of them all, in units of 1 000 000
    --seed 1          the same numbers make the same tree: names, sizes, contents and mtimes

Conversations take nearly all of the bytes and a third of the files; to-do lists are most of the files and tiny. The
sizes of conversations are log-normal: half of them are below 30 kB, the largest have megabytes. The tokens in it are
made up.
"""
import argparse
import json
import math
import os
import random
import time
import uuid

EPOCH = 1_790_000_000        # mtimes are seconds before this
MONTHS = 120 * 86_400
LOGIN_LIFETIME = 8 * 3600

# Shares of the files. What is left over after rounding are to-do lists.
SHARES = {"conversation": 0.34, "todo": 0.42, "history": 0.12, "plugin": 0.09, "snapshot": 0.03}
MEDIAN_CONVERSATION = 30_000
SIGMA_CONVERSATION = 1.6     # of the logarithm
POOL = 1 << 20               # contents are cut out of this much text
LARGEST = 8 << 20


def login(number=1):
    """The text of a .credentials.json; a higher number is a later login."""
    expires = int(time.time() + LOGIN_LIFETIME + number)
    return json.dumps({"claudeAiOauth": {
        "accessToken": f"FAKE-access-{number:08d}", "refreshToken": f"FAKE-refresh-{number:08d}",
        "expiresAt": expires * 1000, "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max"}})


class Generator:
    def __init__(self, root, seed):
        self.root = root
        self.random = random.Random(seed)
        self.pool = self.make_pool()
        self.made = set()
        self.files = 0
        self.bytes = 0

    def make_pool(self):
        words = ["".join(self.random.choices("abcdefghijklmnopqrstuvwxyz", k=self.random.randint(2, 11)))
                 for _ in range(2000)]
        lines, size = [], 0
        while size < POOL + 4096:
            line = json.dumps({"type": self.random.choice(["user", "assistant", "tool_result"]),
                               "uuid": str(uuid.UUID(int=self.random.getrandbits(128))),
                               "message": " ".join(self.random.choices(words, k=self.random.randint(10, 200)))})
            lines.append(line)
            size += len(line) + 1
        return "\n".join(lines).encode()

    def text(self, size):
        """So many bytes of the pool, from a random place on."""
        begin = self.random.randrange(POOL)
        piece = self.pool[begin:begin + size]
        while len(piece) < size:
            piece += self.pool[:size - len(piece)]
        return piece

    def add(self, path, content, executable=False):
        full = os.path.join(self.root, path)
        parent = os.path.dirname(full)
        if parent not in self.made:
            os.makedirs(parent, exist_ok=True)
            self.made.add(parent)
        fd = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700 if executable else 0o600)
        os.write(fd, content)
        os.close(fd)
        written = EPOCH - self.random.randrange(MONTHS)
        os.utime(full, ns=(written * 10**9, written * 10**9 + self.random.randrange(10**9)))
        self.files += 1
        self.bytes += len(content)

    def uuid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def add_few(self):
        """What every such directory has once."""
        self.add(".credentials.json", login().encode())
        self.add("settings.json", b'{"model": "opus", "permissions": {"allow": ["Bash(git:*)"]}}\n')
        self.add("settings.local.json", b'{"enabledPlugins": {}}\n')
        self.add("CLAUDE.md", self.text(1800))
        self.add("history.jsonl", self.text(120_000))
        self.add("statsig/statsig.cached.evaluations.0f3a", self.text(52_000))
        self.add("statsig/statsig.last_modified_time.evaluations", b'{"0f3a": 1}')
        self.add("statsig/statsig.stable_id.2656274335", b'"' + self.uuid().encode() + b'"')
        self.add("plugins/config.json", b'{"repositories": {}}\n')
        self.add("plugins/bin/format", b"#!/bin/sh\nexec true\n", executable=True)

    def projects(self, count):
        folders = ["-home-node-work-" + "-".join(self.random.choices(
            ["api", "web", "infra", "docs", "lib", "core", "app", "data", "tools", "site"], k=3)) + f"-{n}"
            for n in range(count)]
        # Few projects have most of the conversations.
        return folders, [1 / (n + 1) for n in range(count)]

    def add_conversations(self, count, total):
        """`count` conversations of `total` bytes together."""
        if count == 0:
            return
        sizes = [self.random.lognormvariate(math.log(MEDIAN_CONVERSATION), SIGMA_CONVERSATION)
                 for _ in range(count)]
        factor = total / sum(sizes)
        folders, weights = self.projects(max(1, count // 60))
        for size, folder in zip(sizes, self.random.choices(folders, weights, k=count)):
            self.add(f"projects/{folder}/{self.uuid()}.jsonl", self.text(min(LARGEST, max(1, round(size * factor)))))

    def add_small(self, kind):
        if kind == "todo":
            self.add(f"todos/{self.uuid()}-agent-{self.uuid()}.json", self.text(self.random.choice([2, 2, 2, 480])))
        elif kind == "history":
            folder = f"{self.random.randrange(16**2):02x}"
            self.add(f"file-history/{folder}/{self.random.getrandbits(64):016x}@v1",
                     self.text(self.random.randrange(200, 9000)))
        elif kind == "plugin":
            name = f"plugins/marketplaces/community/plugin-{self.random.randrange(40)}/commands"
            self.add(f"{name}/{self.random.getrandbits(48):012x}.md", self.text(self.random.randrange(300, 6000)))
        else:
            stamp = (EPOCH - self.random.randrange(MONTHS)) * 1000
            self.add(f"shell-snapshots/snapshot-bash-{stamp}-{self.random.getrandbits(30):06x}.sh",
                     self.text(self.random.randrange(1000, 5000)))

    def add_settings(self):
        """.claude.json, which names the projects, comes last."""
        names = sorted(os.listdir(os.path.join(self.root, "projects"))) if "projects" in os.listdir(self.root) else []
        self.add(".claude.json", json.dumps({
            "hasCompletedOnboarding": True, "numStartups": 412,
            "oauthAccount": {"accountUuid": self.uuid(), "emailAddress": "someone@example.com"},
            "projects": {"/" + name.strip("-").replace("-", "/"): {"hasTrustDialogAccepted": True, "allowedTools": []}
                         for name in names}}).encode())


def generate(root, files=10_000, total=270_000_000, seed=1):
    """Makes the tree; returns the number of files and of bytes in it."""
    os.makedirs(root, exist_ok=True)
    if os.listdir(root):
        raise FileExistsError(f"{root} is not empty")
    generator = Generator(root, seed)
    generator.add_few()
    rest = max(0, files - generator.files - 1)
    counts = {kind: int(rest * share) for kind, share in SHARES.items()}
    counts["todo"] += rest - sum(counts.values())
    for kind in ("todo", "history", "plugin", "snapshot"):
        for _ in range(counts[kind]):
            generator.add_small(kind)
    generator.add_conversations(counts["conversation"], max(0, total - generator.bytes))
    generator.add_settings()
    return generator.files, generator.bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("directory")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--megabytes", type=float, default=270)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    files, total = generate(options.directory, options.files, round(options.megabytes * 1e6), options.seed)
    print(f"{files} files, {total} bytes")


if __name__ == "__main__":
    main()
