"""`run` as whoever an engine starts it as: Docker, podman, podman without root. tests/integration/test_identities.py
shows more of each without an engine."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from harness import ANSWER, EXIT_PERMISSION, TOP, Engine, Store, clean_environment

IMAGE = "claude-runtime"
THREE = ["--cap-drop=ALL", "--cap-add=SETUID", "--cap-add=SETGID", "--cap-add=KILL"]
PROBE = """id -u; id -g; stat -c %u:%g:%a "$CLAUDE_CONFIG_DIR/.credentials.json"; grep -c FAKE "$CLAUDE_CONFIG_DIR/.credentials.json"
grep -c refreshToken "$CLAUDE_CONFIG_DIR/.credentials.json"; cd "$HOME" && echo home"""

# What claude-init says of every store that is mounted read-only, and podman of mounts that are not shared.
KNOWN = ["it cannot be renewed from here", "is not a shared mount"]


class Case(NamedTuple):
    """What the engine is told, whose the store is, and who the command then is."""

    options: list
    owner: tuple = (1000, 1000)
    modes: tuple = (0o700, 0o600)
    uid: int = 1000
    gid: int = 1000
    warning: str = ""


CASES = {
    "root": Case([]),
    "root_with_three": Case(THREE),
    "root_with_none": Case(["--cap-drop=ALL"], owner=(0, 0), uid=0, gid=0, warning="--cap-add SETUID"),
    "user_1000": Case(["--user=1000:1000"]),
    "user_1000_no_new_privileges": Case(["--user=1000:1000", "--cap-drop=ALL", "--security-opt=no-new-privileges"]),
    "random_user_of_group_0": Case(["--user=1000650000:0"], (0, 0), (0o750, 0o640), 1000650000, 0),
    "read_only_root": Case(["--read-only", "--tmpfs=/tmp", *THREE]),
    "read_only_root_user_1000": Case(["--read-only", "--tmpfs=/tmp", "--user=1000:1000"]),
    "no_writable_home": Case(["--user=4321:4321", "--env=HOME=/proc"], (4321, 4321), uid=4321, gid=4321),
    "store_of_1001": Case([], (1001, 1001)),
    "store_of_1001_with_three": Case(THREE, (1001, 1001)),
}


class Container:
    """One engine and how a command is run in it by `claude-init run`, without a network."""

    def __init__(self, engine, words, before=()):
        self.engine, self.words, self.before = engine, list(words), list(before)

    def run(self, options, store, *command, at="/claude-auth"):
        return self.engine("run", "--rm", "--network=none", f"--volume={store}:{at}:ro", *self.before, *options,
                           *self.words, *command, check=False)


def minimal_root(directory):
    """A root of links into the machine's own /usr, and a user node: nothing that would have to be loaded."""
    for name in ("usr", "etc", "tmp", "proc", "dev", "sys", "run", "home/node", "claude-auth"):
        (directory / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (directory / name).symlink_to(f"usr/{name}")
    (directory / "tmp").chmod(0o1777)
    (directory / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n")
    (directory / "etc/group").write_text("root:x:0:\nnode:x:1000:\n")
    os.chown(directory / "home/node", 1000, 1000)
    return directory


def on_minimal_root(binary, root):
    return ([f"--volume={binary}:/claude-init:ro", "--volume=/usr:/usr:ro", "--entrypoint=/claude-init"],
            ["--rootfs", root, "run", "--"])


@pytest.fixture(scope="module")
def directory():
    """Short and open to every user, since podman without root works in it too."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="e2e-") as name:
        os.chmod(name, 0o755)
        shutil.copy(os.environ["CLAUDE_INIT_BINARY"], f"{name}/claude-init")
        yield Path(name)


@pytest.fixture(scope="module")
def in_docker(docker):
    return Container(docker, [IMAGE])


@pytest.fixture(scope="module")
def in_podman(directory):
    if os.getuid() != 0 or not shutil.which("podman"):
        pytest.skip("needs root and podman")
    root = minimal_root(directory / "podman-root")
    where = directory / "podman"
    engine = Engine(["podman", f"--root={where}/root", f"--runroot={where}/run", f"--tmpdir={where}/run/tmp"],
                    clean_environment(directory, CONTAINERS_CONF=TOP / "tests/e2e/engine/containers.conf"))
    before, words = on_minimal_root(directory / "claude-init", root)
    # podman makes a passwd entry for whoever has none; Docker and Kubernetes do not.
    yield Container(engine, words, ["--passwd=false", *before])
    engine("rm", "--all", "--force", "--time=0", check=False)
    subprocess.run(["umount", f"{where}/root/overlay"], capture_output=True, check=False)


@pytest.fixture
def make_store(directory):
    made = []

    def make(case_owner, modes):
        store = Store(tempfile.mkdtemp(dir=directory, prefix="store-"))
        made.append(store.path)
        in_8_hours = int((time.time() + 8 * 3600) * 1000)
        store.write(".credentials.json", '{"claudeAiOauth":{"accessToken":"FAKE-access","refreshToken":"FAKE-refresh",'
                    f'"expiresAt":{in_8_hours},"scopes":["user:inference"]}}}}')
        for path, mode in ((store.path, modes[0]), (store.path / ".credentials.json", modes[1])):
            os.chown(path, *case_owner)
            path.chmod(mode)
        return store

    yield make
    for path in made:
        shutil.rmtree(path)


def check(done, uid, gid, warning=""):
    assert done.returncode == 0, done.stderr
    said = "".join(line for line in done.stderr.splitlines(True) if not any(words in line for words in KNOWN))
    assert (warning in said) if warning else said == "", said
    lines = done.stdout.split()
    assert lines == [str(uid), str(gid), f"{uid}:{gid}:600", "1", "0", "home"], done.stdout


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_the_command_has_its_login(request, engine, name, make_store):
    case = CASES[name]
    store = make_store(case.owner, case.modes)
    before = store.fingerprint()
    done = request.getfixturevalue(f"in_{engine}").run(case.options, store.path, "sh", "-c", PROBE)
    check(done, case.uid, case.gid, case.warning)
    assert store.fingerprint() == before


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_what_cannot_be_read_or_become_is_told_with_how_to_allow_it(request, engine, make_store):
    container = request.getfixturevalue(f"in_{engine}")
    of_1001 = make_store((1001, 1001), (0o700, 0o600))
    for options, words in ((["--cap-drop=ALL"], "--cap-add SETUID"), (["--user=1000:1000"], f"{engine} run --user 1001:1001")):
        done = container.run(options, of_1001.path, "echo", "started")
        assert (done.returncode, done.stdout) == (EXIT_PERMISSION, "")
        assert words in done.stderr


def test_a_store_mounted_at_home_itself(in_docker, make_store):
    store = make_store((1000, 1000), (0o700, 0o600))
    before = store.fingerprint()
    for options in ([], ["--user=1000:1000"]):
        check(in_docker.run(options, store.path, "sh", "-c", PROBE, at="/home/node/.claude"), 1000, 1000)
    assert store.fingerprint() == before


def test_a_user_namespace_of_podmans(in_podman, make_store):
    store = make_store((101000, 101000), (0o700, 0o600))
    maps = ["--uidmap=0:100000:65536", "--gidmap=0:100000:65536"]
    done = in_podman.run(maps, store.path, "sh", "-c", PROBE)
    check(done, 1000, 1000)


class Rootless:
    """podman of a user that exists in this mount namespace only."""

    UID = 12345

    def __init__(self, directory):
        self.directory = directory
        self.root = minimal_root(directory / "root")
        for name in ("home/.config/containers", "run"):
            (directory / name).mkdir(parents=True)
        (directory / "home/.config/containers/storage.conf").write_text('[storage]\ndriver = "overlay"\n')
        files = {"passwd": f"rootless:x:{self.UID}:{self.UID}::{directory}/home:/bin/sh\n",
                 "group": f"rootless:x:{self.UID}:\n", "subuid": "rootless:200000:65536\n", "subgid": "rootless:200000:65536\n"}
        binds = ""
        for name, line in files.items():
            etc = Path("/etc") / name
            (directory / name).write_text((etc.read_text() if name in ("passwd", "group") else "") + line)
            if not etc.exists():
                pytest.skip(f"there is no {etc} (apt-get install uidmap)")
            binds += f"mount --bind {directory}/{name} {etc}; "
        subprocess.run(["chown", "-R", f"{self.UID}:{self.UID}", directory / "home", directory / "run", self.root], check=True)
        (directory / "run").chmod(0o700)
        environment = clean_environment(directory / "home", XDG_RUNTIME_DIR=directory / "run",
                                        CONTAINERS_CONF=TOP / "tests/e2e/engine/containers.conf")
        setpriv = ["setpriv", f"--reuid={self.UID}", f"--regid={self.UID}", "--clear-groups"]
        self.engine = Engine(["unshare", "--mount", "sh", "-ec", f'{binds} cd /; exec {shlex.join(setpriv)} "$@"', "sh", "podman"],
                             environment)


@pytest.fixture(scope="module")
def rootless(directory):
    if os.getuid() != 0 or not shutil.which("podman") or not shutil.which("newuidmap"):
        pytest.skip("needs root, podman and newuidmap (apt-get install podman uidmap)")
    (directory / "rootless").mkdir()
    rootless = Rootless(directory / "rootless")
    before, words = on_minimal_root(directory / "claude-init", rootless.root)
    yield Container(rootless.engine, words, before)
    rootless.engine("system", "migrate", check=False)  # ends the process that holds its user namespace


ME = (Rootless.UID, Rootless.UID)


@pytest.mark.parametrize("options, uid, warning", [([], 1000, ""), (["--userns=keep-id"], Rootless.UID, ""),
                                                   (["--cap-drop=ALL"], 0, "--cap-add SETUID")],
                         ids=["becomes_node", "keep_id", "root_with_none"])
def test_podman_without_root(rootless, make_store, options, uid, warning):
    """Whoever owns the store on the host is root in it, or with keep-id themselves."""
    store = make_store(ME, (0o700, 0o600))
    done = rootless.run(options, store.path, "sh", "-c", PROBE)
    check(done, uid, uid, warning)


@pytest.mark.parametrize("options", [[], ["--user=1000:1000"], ["--read-only", "--tmpfs=/tmp", *THREE]],
                         ids=["root", "user_1000", "read_only_root_with_three"])
def test_the_real_cli_answers(docker, endpoint, make_store, options):
    store = make_store((1000, 1000), (0o700, 0o600))
    store.put(endpoint.login(), 1000)
    done = docker.run(endpoint, f"--volume={store.path}:/claude-auth:ro", *options, IMAGE, "--print", "hi")
    assert (done.returncode, done.stdout) == (0, f"{ANSWER}\n"), done.stderr

