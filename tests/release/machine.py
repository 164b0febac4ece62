"""A Debian of a test's own, by mmdebstrap, as an ordinary directory; and its systemd, really booted, in namespaces."""

import os
import re
import shutil
import signal
import subprocess
import time
import zlib
from pathlib import Path

from clone import TOP
from skips import needed, skip

PATIENCE = 120
CACHE = Path(os.environ.get("CLAUDE_INIT_DEBIAN_CACHE", "build/debian")).resolve()
ARCHIVE = r"^(?:URIs:|deb(?: \[.*?\])?) *(\S+/debian)/?(?:\s|$)"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
# What a small installation has for people: man, and systemd.
USUAL = ["ca-certificates", "man-db", "systemd", "systemd-sysv"]

NAMESPACES = ["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]

# In new namespaces: file systems of its own, and the directory as the root.
ENTER = """set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys || mount --rbind /sys sys
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do touch dev/$node; mount --bind /dev/$node dev/$node; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx; ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs tmp
shift
if [ "$1" = boot ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs run
  mkdir run/old
  pivot_root . run/old
  umount -l run/old
  mount --make-rshared /  # services get their credentials so
  exec /sbin/init
fi
exec chroot . "$@"
"""


def mirror():
    """The archive that this machine uses itself."""
    for path in [*Path("/etc/apt/sources.list.d").glob("*.sources"), Path("/etc/apt/sources.list")]:
        found = re.search(ARCHIVE, path.read_text(encoding="utf-8"), re.MULTILINE) if path.exists() else None
        if found:
            return found[1]
    return skip("apt's configuration names no Debian archive")


def skip_without_root():
    if os.geteuid() != 0:
        skip("needs root")
    needed("mmdebstrap", "unshare", "nsenter")


def tar_of(release, packages, more):
    """Made once; removed with the build."""
    CACHE.mkdir(parents=True, exist_ok=True)
    tar = CACHE / f"{release}-{zlib.crc32(' '.join([*packages, *more]).encode()):08x}.tar"
    if not tar.exists():
        new = tar.with_suffix(".part")
        subprocess.run(["mmdebstrap", "--quiet", "--format=tar", "--mode=root", "--variant=minbase",
                        f"--include={','.join(packages)}", *more, release, new,
                        f"deb [signed-by={KEYRING}] {mirror()} {release} main"], check=True, timeout=1800)
        new.rename(tar)
    return tar


class Machine:
    def __init__(self, root, release, packages=USUAL, more=()):
        """`more`: options of mmdebstrap."""
        skip_without_root()
        self.root, self.init, self.group = root, None, None
        root.mkdir()
        tar = tar_of(release, packages, more)
        subprocess.run(["tar", "--extract", "--numeric-owner", "--file", tar, "--directory", root], check=True)

    def run(self, *words, user=None, check=True, patience=PATIENCE):
        """In the system that was booted, or in the directory."""
        inside = list(map(str, words))
        enter = ["sh", "-c", ENTER, "sh", self.root]
        if user:
            inside = ["runuser", "-u", user, "--", "env", f"HOME=/home/{user}", *inside]
        if self.init:
            line = ["nsenter", f"--target={self.init}", *NAMESPACES, "--root", "--wd", "--", *inside]
        else:
            line = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *enter, *inside]
        done = subprocess.run(line, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              check=False, timeout=patience)
        said = f"{inside}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        assert not check or done.returncode == 0, said
        return done if not check else done.stdout

    def boot(self):
        """systemd as PID 1, up to multi-user.target."""
        places = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")]
        unified = next((each for each in places if (each / "cgroup.procs").exists()), None)
        if unified is None:
            skip("systemd needs cgroups of version 2")
        self.group = unified / f"claude-init-test-{os.getpid()}"
        self.group.mkdir()
        self.process = subprocess.Popen(
            ["sh", "-c", 'echo $$ > "$1"; shift; exec "$@"', "sh", self.group / "cgroup.procs", "unshare", *NAMESPACES,
             "--fork", "--kill-child", "sh", "-c", ENTER, "sh", self.root, "boot"],
            env={**ENVIRONMENT, "container": "other"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.wait_for(lambda: children.read_text().split(), "a process in the namespaces")
        init = int(children.read_text())
        self.wait_for(lambda: Path(f"/proc/{init}/comm").read_text() == "systemd\n", "systemd")
        self.init = init
        asked = ["systemctl", "is-active", "multi-user.target"]
        self.wait_for(lambda: self.run(*asked, check=False).stdout == "active\n", "the boot")

    @staticmethod
    def wait_for(condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not within {PATIENCE} s: {what}"
            time.sleep(0.1)

    def end(self):
        if self.group is None:
            return
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)  # and with it, by --kill-child, everything in its namespace
            self.process.wait()
        for path in [*sorted((each for each in self.group.rglob("*") if each.is_dir()), reverse=True), self.group]:
            self.wait_for(lambda here=path: not (here / "cgroup.procs").read_text(), "an empty group")
            path.rmdir()
        self.init = self.group = None

    def take_source(self):
        """The project as it is here, in /src."""
        left_out = shutil.ignore_patterns("build", "dist", ".git", "__pycache__", ".pytest_cache", ".cache")
        shutil.copytree(TOP, self.root / "src", ignore=left_out, symlinks=True)

    def files(self):
        """What is installed or left anywhere, but for the package manager's and man's own records."""
        kept = ("var/lib/", "var/log/", "var/cache/", "run/", "tmp/", "home/", "proc/", "sys/", "dev/")
        names = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}
        return {name for name in names if not name.startswith(kept)}

    def put(self, source, place):
        shutil.copy(source, self.root / place.lstrip("/"))
