"""run as whoever it is started as, without an engine: root with all, three and no capabilities, other users, user
namespaces, a read-only root. tests/e2e/test_identities.py shows the same with engines."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness import BINARY, NAMESPACE, PATIENCE, eventually
from test_sessions import login

# What the command sees of itself, of PID 1 and of its copy: one KEY=VALUE a line.
PROBE = r"""
echo uid=$(id -u); echo gid=$(id -g); echo groups=$(id -G); echo umask=$(umask)
echo HOME=$HOME; echo USER=$USER; echo LOGNAME=$LOGNAME; echo copy=$CLAUDE_CONFIG_DIR
for key in CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs; do echo $key=$(sed -n "s/^$key:[[:space:]]*//p" /proc/self/status); done
for key in CapInh CapPrm CapEff CapBnd CapAmb; do echo init$key=$(sed -n "s/^$key:[[:space:]]*//p" /proc/1/status); done
echo mode=$(stat -c %u:%g:%a "$CLAUDE_CONFIG_DIR/.credentials.json") outer=$(stat -c %u:%g:%a "$CLAUDE_CONFIG_DIR/..")
grep -q FAKEstored "$CLAUDE_CONFIG_DIR/.credentials.json" && echo login=usable
grep -q refreshToken "$CLAUDE_CONFIG_DIR/.credentials.json" && echo refresh=there
echo x > "$CLAUDE_CONFIG_DIR/x" && echo writable=yes
setpriv --reuid=0 true 2>/dev/null && echo back=root
for file in environ mem maps; do head -c 1 /proc/1/$file >/dev/null 2>&1 && echo "leak=$file"; done
true
"""
THREE = "+setuid,+setgid,+kill"
NONE = "0000000000000000"
WITHHELD = "WITHHELD"
# Said of every store that we may only read, and of every one here, since the test mounts nothing at it.
KNOWN = ("it cannot be renewed from here", "the store is part of the image")


def unexpected(errors):
    """What is said besides."""
    return "".join(line for line in errors.splitlines(True) if not any(words in line for words in KNOWN))


def as_root_with(capabilities):
    return ["setpriv", f"--bounding-set=-all{capabilities and ',' + capabilities}", "--inh-caps=-all"]


def as_user(uid, gid):
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]


@pytest.fixture(scope="module")
def binary():
    """Where every user can reach it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        yield shutil.copy(BINARY, directory)


class Place:
    """A store, a home and a place for copies that other users can get to."""

    def __init__(self, path, binary):
        self.path, self.binary = Path(path), binary
        self.path.chmod(0o755)
        self.store, self.home, self.tmp = (self.path / name for name in ("store", "home", "tmp"))
        for directory in (self.store, self.home, self.tmp):
            directory.mkdir()
        self.tmp.chmod(0o1777)
        self.options = ["--workdir", self.tmp]
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home), "container": "test"}

    def owned_by(self, uid, gid=None, directory=0o700, file=0o600):
        path = self.store / ".credentials.json"
        path.write_text(login("stored"))
        for entry, mode in ((path, file), (self.store, directory)):
            entry.chmod(mode)
            os.chown(entry, uid, uid if gid is None else gid)
        return self

    def command(self, who, *options, script=PROBE, before=""):
        run = [*who, self.binary, "run", "--store", self.store, *self.options, *options, "--", "sh", "-c", script]
        if not before:
            return [*NAMESPACE, *map(str, run)]
        return [*NAMESPACE, "--mount", "sh", "-ec", before + '; exec "$@"', "sh", *map(str, run)]

    def run(self, who, *options, **more):
        umask = more.pop("umask", 0o027)
        done = subprocess.run(self.command(who, *options, **more), env=self.environment, capture_output=True, text=True,
                              timeout=PATIENCE, umask=umask, check=False)
        return done.returncode, done.stdout, done.stderr

    def probe(self, who, *options, **more):
        """What PROBE says, once the run has gone well and left nothing."""
        code, out, err = self.run(who, *options, **more)
        assert (code, unexpected(err)) == (0, ""), (out, err)
        assert list(self.tmp.iterdir()) == []
        words = [word.split("=", 1) for line in out.splitlines() for word in line.split(" ") if "=" in word]
        found = dict(words)
        found["groups"] = next(line for line in out.splitlines() if line.startswith("groups="))[7:]
        assert found["login"] == "usable"
        assert "refresh" not in found and "back" not in found and "leak" not in found, out
        assert found["writable"] == "yes"
        assert found["umask"] == "0027"
        assert found["NoNewPrivs"] == "1"
        return found


@pytest.fixture
def place(binary):
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Place(directory, binary)


def assert_dropped(found, uid, gid):
    assert (found["uid"], found["gid"]) == (str(uid), str(gid))
    assert found["mode"] == f"{uid}:{gid}:600" and found["outer"] == f"{uid}:{gid}:700"
    for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert found[key] == NONE, key


THREE_BITS = f"{1 << 7 | 1 << 6 | 1 << 5:016x}"  # SETUID, SETGID, KILL (capability.h)


@pytest.mark.parametrize("capabilities", ["+all", THREE], ids=["all", "three"])
def test_root_drops_everything_and_keeps_the_least(place, capabilities):
    found = place.owned_by(1001).probe(as_root_with(capabilities), "--user", "4321:4321")
    assert_dropped(found, 4321, 4321)
    assert found["groups"] == "4321"
    assert (found["USER"], found["LOGNAME"]) == ("4321", "4321")
    assert found["initCapPrm"] == found["initCapEff"] == THREE_BITS
    assert found["initCapInh"] == found["initCapAmb"] == NONE
    if capabilities == "+all":  # without CAP_SETPCAP the bounding set stays
        assert found["CapBnd"] == found["initCapBnd"] == NONE


def test_supplementary_groups_and_home_are_those_of_the_account(place):
    (place.path / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\nsomebody:x:4321:4321::{place.home}:/bin/sh\n")
    (place.path / "group").write_text("somebody:x:4321:\nmore:x:50:somebody\nother:x:60:\n")
    os.chown(place.home, 4321, 4321)
    mounts = "".join(f"mount --bind {place.path}/{name} /etc/{name};" for name in ("passwd", "group"))
    found = place.owned_by(0).probe([], "--user", "somebody", before=mounts + "true")
    assert_dropped(found, 4321, 4321)
    assert found["groups"] == "4321 50"
    assert (found["HOME"], found["USER"], found["LOGNAME"]) == (str(place.home), "somebody", "somebody")


def test_new_privileges_where_they_are_allowed(place):
    code, out, err = place.owned_by(0).run([], "--user", "4321:4321", "--allow-new-privileges")
    assert (code, unexpected(err)) == (0, "")
    assert "NoNewPrivs=0" in out
    assert f"CapBnd={NONE}" not in out
    assert f"CapEff={NONE}" in out and f"initCapPrm={THREE_BITS}" in out


def test_root_without_capabilities_runs_as_root_and_says_how_to_allow_more(place):
    code, out, err = place.owned_by(0).run(as_root_with(""))
    assert code == 0, err
    assert "--cap-add SETUID" in err and "--user 1000:1000" in err
    assert "uid=0" in out and "login=usable" in out and f"CapEff={NONE}" in out
    code, out, err = place.run(as_root_with(""), "--user", "4321:4321")
    assert (code, out) == (77, "")
    assert "--cap-add SETUID" in err
    code, out, err = place.owned_by(1001).run(as_root_with(""))
    assert (code, out) == (77, "")
    assert "--cap-add SETUID" in err and "1001" in err


def test_a_user_given_by_the_engine_stays_who_it_is(place):
    found = place.owned_by(4321).probe(as_user(4321, 4321))
    assert_dropped(found, 4321, 4321)


def test_a_random_user_of_group_0_without_passwd_entry_reads_a_group_readable_store(place):
    place.owned_by(4321, 0, 0o2750, 0o640)
    found = place.probe(as_user(1_000_650_000, 0))
    assert_dropped(found, 1_000_650_000, 0)
    assert found["HOME"] == os.path.dirname(found["copy"])
    assert found["USER"] == "1000650000"


def test_a_store_of_another_user_is_told_with_its_owner(place):
    code, out, err = place.owned_by(1001).run(as_user(4321, 4321))
    assert (code, out) == (77, "")
    assert "1001" in err and "docker run --user 1001:1001" in err


def test_no_writable_home(place):
    place.environment["HOME"] = "/proc"
    found = place.owned_by(4321).probe(as_user(4321, 4321))
    assert found["HOME"] == os.path.dirname(found["copy"])


@pytest.mark.parametrize("who", [[], as_root_with(THREE), as_user(4321, 4321)], ids=["root", "three", "user"])
def test_a_read_only_root_with_only_tmp(place, who):
    place.options = []
    place.owned_by(4321)
    # What lies in /tmp is bound elsewhere before the tmpfs covers it.
    before = (f"mkdir -p /mnt/test; mount --bind {place.path} /mnt/test; cp {place.binary} /mnt/test/claude-init;"
              "mount -t tmpfs -o mode=1777 tmpfs /tmp; mount -t tmpfs -o ro tmpfs /run; mount -o remount,ro,bind /")
    place.binary, place.store = "/mnt/test/claude-init", "/mnt/test/store"
    place.environment["HOME"] = "/mnt/test/home"
    found = place.probe(who, *([] if who and "--reuid=4321" in who else ["--user", "4321:4321"]), before=before)
    assert_dropped(found, 4321, 4321)
    assert found["copy"].startswith("/tmp/claude-init-")


def test_a_user_namespace_that_has_only_root(place):
    who = ["unshare", "--user", "--mount", "--map-root-user"]
    code, out, err = place.owned_by(0).run(who)
    assert (code, unexpected(err)) == (0, "")
    assert "uid=0\n" in out and "mode=0:0:600 outer=0:0:700\n" in out and "login=usable\n" in out
    code, out, err = place.run(who, "--user", "4321")
    assert (code, out) == (77, "")
    assert "this user namespace has no such ids" in err


def test_a_secret_mount_of_a_group_is_read_by_any_user_of_it(place):
    """..data, mode 0440, fsGroup: what Kubernetes mounts; read-only."""
    data = place.store / "..2026_01_01"
    data.mkdir()
    (data / ".credentials.json").write_text(login("stored"))
    (data / ".claude.json").write_text(json.dumps({"hasCompletedOnboarding": True}))
    (place.store / "..data").symlink_to(data.name)
    for name in (".credentials.json", ".claude.json"):
        (data / name).chmod(0o440)
        os.chown(data / name, 0, 2000)
        (place.store / name).symlink_to(f"..data/{name}")
    for directory in (data, place.store):
        os.chown(directory, 0, 2000)
        directory.chmod(0o2750)
    read_only = f"mount --bind {place.store} {place.store}; mount -o remount,ro,bind {place.store}"
    who = ["setpriv", "--reuid=123456", "--regid=123456", "--groups=2000"]
    found = place.probe(who, before=read_only)
    assert_dropped(found, 123456, 123456)
    assert found["groups"] == "123456 2000"
    # Root that drops: the group's rights are not needed.
    found = place.probe(as_root_with(THREE), "--user", "4321:4321", before=read_only)
    assert_dropped(found, 4321, 4321)


def test_a_published_store_is_enough(place):
    place.owned_by(0, 4321, 0o750, 0o640)
    (place.store / ".credentials.json").write_text(login("stored", refresh=False))
    assert_dropped(place.probe(as_user(4321, 4321)), 4321, 4321)


def test_pid_1_can_still_signal_and_wipe_with_what_it_kept(place):
    place.owned_by(1001)
    command = place.command([], "--user", "4321:4321", script="trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    process = subprocess.Popen(command, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    os.kill(init_of_binary(process.pid, place.binary), signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, unexpected(err)) == (7, "")
    assert list(place.tmp.iterdir()) == []


def init_of_binary(pid, binary):
    def find():
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return next((int(child) for child in f.read().split() if os.path.samefile(f"/proc/{child}/exe", binary)), None)
    return eventually(find, "claude-init as PID 1")


def test_a_withheld_refresh_token_is_not_in_the_memory_of_pid_1(place):
    place.owned_by(1001)
    # Long enough that what is left of it in freed memory is not overwritten by chance.
    path = place.store / ".credentials.json"
    path.write_text(path.read_text().replace("ort01-FAKE", "ort01-FAKE" + WITHHELD * 200))
    command = place.command([], "--user", "4321:4321", script="echo ready; read forever")
    process = subprocess.Popen(command, env=place.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        found = memory_of(init_of_binary(process.pid, place.binary))
        assert b"CLAUDE_CONFIG_DIR" in found, "this is the memory of a claude-init that has started something"
        assert (WITHHELD * 2).encode() not in found
    finally:
        process.communicate("\n", timeout=PATIENCE)


def test_health_warns_of_a_refresh_token_that_the_commands_user_could_read(place):
    def says(*options):
        done = subprocess.run([place.binary, "health", "--store", place.store, *options], env=place.environment,
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    warning = "can read the refresh token"
    place.owned_by(4321)
    assert warning in says("--user", "4321:4321")
    assert warning not in says("--user", "4322:4322")
    place.owned_by(0)
    assert warning not in says("--user", "4321:4321")
    place.owned_by(0, 50, 0o750, 0o640)
    assert warning in says("--user", "4321:50")
    assert json.loads(says("--user", "4321:50", "--json"))["notes"]
    path = place.store / ".credentials.json"
    path.write_text(login("published", refresh=False))
    assert warning not in says("--user", "4321:50")


def memory_of(pid):
    memory = b""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights, *_, = line.split()
            start, end = (int(number, 16) for number in span.split("-"))
            if "w" not in rights:
                continue
            mem.seek(start)
            memory += mem.read(end - start)
    return memory
