"""Root that works in other people's directories: what they put in the way of its paths, links, other directories, hard
links, gives none of them what is another's."""

import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from harness import BINARY, eventually
from keeping import Keeping, publish
from sessions import login

ALICE, BOB = 1001, 1002


@pytest.fixture
def place():
    if os.geteuid() != 0:
        pytest.skip("is root")
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture
def keeping(place):
    (place / "keeper").mkdir()
    keeping = Keeping(place / "keeper")
    yield keeping
    keeping.end()


def directory_of(uid, path, mode=0o700):
    path.mkdir(mode=mode)
    path.chmod(mode)
    os.chown(path, uid, uid)
    return path


def store_of(uid, path, name, **more):
    directory_of(uid, path)
    (path / ".credentials.json").write_text(login(name, **more))
    (path / ".credentials.json").chmod(0o600)
    os.chown(path / ".credentials.json", uid, uid)
    return path


def link_of(uid, path, target):
    path.symlink_to(target)
    os.lchown(path, uid, uid)


def holds(directory, text):
    """Whether a file anywhere in it does."""
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                if text in Path(parent, name).read_text(errors="replace"):
                    return True
            except FileNotFoundError:
                pass
    return False


def claude_init(place, *words, wrapper=(), **more):
    environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(place), "XDG_RUNTIME_DIR": str(place), "container": ""}
    del environment["container"]
    return subprocess.run([*wrapper, BINARY, *map(str, words)], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, check=False, **more)


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace, which makes calls slow")
def test_a_directory_that_is_swapped_for_a_link_while_it_is_made_gives_nothing_away(place):
    """The owner of the directory above waits for the new one and puts a link to root's file in its place."""
    store = store_of(ALICE, place / "store", "a")
    parent, secret = directory_of(BOB, place / "bobs", 0o755), place / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    over = threading.Event()

    def swap():
        while not over.is_set():
            if (parent / "pub").is_dir() and not (parent / "pub").is_symlink():
                (parent / "pub").rename(parent / "away")
                link_of(BOB, parent / "pub", secret)
                return

    attacker = threading.Thread(target=swap)
    attacker.start()
    slow = ["strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=/chown", "-e", "inject=/chown:delay_enter=500000"]
    publish(store, parent / "pub", {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(place)}, place / "log", wrapper=slow)
    over.set()
    attacker.join()
    assert (parent / "pub").is_symlink(), "it was swapped"
    assert (secret.stat().st_uid, secret.stat().st_mode & 0o777) == (0, 0o600)
    assert secret.read_text() == "root's"


@pytest.mark.parametrize("parent, owner", [(0, ALICE), (ALICE, ALICE), (BOB, ALICE)])
def test_what_is_published_belongs_to_the_stores_owner_wherever_it_lies(place, parent, owner):
    store = store_of(ALICE, place / "store", "a")
    above = directory_of(parent, place / "above", 0o755)
    assert publish(store, above / "pub", {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(place)}, place / "log") == 0
    assert {path.stat().st_uid for path in [above / "pub", *(above / "pub").rglob("*")]} == {owner}
    assert holds(above / "pub", "FAKEa")


@pytest.mark.parametrize("words", [["--store-mode=group"], ["--store-owner", str(BOB)]], ids=" ".join)
def test_a_file_with_another_name_elsewhere_stays_whose_it_is(place, words):
    store, source = store_of(ALICE, place / "store", "a"), place / "source"
    roots, alices = place / "roots", place / "alices"
    for path, uid in ((roots, 0), (alices, ALICE)):
        path.write_text("")
        path.chmod(0o600)
        os.chown(path, uid, uid)
        os.link(path, store / path.name)
    (store / "below").mkdir()
    os.chown(store / "below", ALICE, ALICE)
    (store / "below/planted").write_text("")
    source.mkdir()
    (source / ".credentials.json").write_text(login("b", left=7200))
    done = claude_init(place, "capture", "--from", source, "--store", store, *words)
    for path, uid in ((roots, 0), (alices, ALICE), (store / "below/planted", 0)):
        assert (path.stat().st_uid, path.stat().st_mode & 0o7077) == (uid, path.stat().st_mode & 0o044), path
        assert path.stat().st_uid == uid
    assert roots.stat().st_mode & 0o777 == 0o600 and alices.stat().st_mode & 0o777 == 0o600
    assert done.returncode == 0 and "hard links" in done.stderr, done.stderr


@pytest.mark.parametrize("way", ["end", "middle"])
@pytest.mark.parametrize("when", ["before", "while it runs"])
def test_a_keeper_does_not_follow_ones_link_to_anothers_store(place, keeping, way, when):
    alices = store_of(ALICE, place / "alices", "alice")
    home = directory_of(BOB, place / "bobs", 0o755)
    directory_of(BOB, home / "deep", 0o755)
    path = home / ("hub" if way == "end" else "deep/hub")
    store_of(BOB, path, "bob")
    published = directory_of(BOB, home / "published")

    def replace():
        if way == "end":
            path.rename(home / "away")
            link_of(BOB, path, alices)
        else:
            (home / "deep").rename(home / "deep-away")
            directory_of(BOB, home / "deep2", 0o755)
            link_of(BOB, home / "deep", place)
            alices.rename(place / "hub")

    if when == "before":
        replace()
    keeping.process = subprocess.Popen([BINARY, "keep", f"--store=bob={path}", f"--publish=bob={published}",
                                        "--renew=never"], env=keeping.environment, stdin=subprocess.DEVNULL,
                                       stderr=keeping.log.open("a"))
    keeping.pid = keeping.process.pid
    if when != "before":
        eventually(lambda: holds(published, "FAKEbob"), "bob's own login is published")
        replace()
        subprocess.run(["touch", "-h", path], check=False)
    keeping.says(f"a link of uid {BOB}")
    theirs = (place / "hub" if way == "middle" else alices) / ".credentials.json"
    new = theirs.with_name("new")
    new.write_text(login("alice2", left=9000))
    new.chmod(0o600)
    os.chown(new, ALICE, ALICE)
    new.rename(theirs)
    status, said = keeping.stop()  # which publishes once more
    assert status == 0 and not holds(published, "FAKEalice"), said
    assert "FAKE" not in said


def test_a_keeper_keeps_to_the_owner_that_it_began_with(place, keeping):
    """Where others may rename what lies beside theirs."""
    shared = place / "shared"
    shared.mkdir()
    store_of(BOB, shared / "bob", "bob")
    store_of(ALICE, shared / "alice", "alice")
    published = directory_of(BOB, place / "published")
    keeping.process = subprocess.Popen([BINARY, "keep", f"--store=bob={shared / 'bob'}", f"--publish=bob={published}",
                                        "--renew=never"], env=keeping.environment, stdin=subprocess.DEVNULL,
                                       stderr=keeping.log.open("a"))
    keeping.pid = keeping.process.pid
    eventually(lambda: holds(published, "FAKEbob"), "bob's own login is published")
    (shared / "bob").rename(shared / "away")
    (shared / "alice").rename(shared / "bob")
    keeping.says(f"belongs to uid {ALICE} and belonged to uid {BOB}")
    status, said = keeping.stop()
    assert status == 0 and not holds(published, "FAKEalice"), said


def test_nor_does_it_publish_into_what_ones_link_leads_to(place, keeping):
    store = store_of(ALICE, place / "alices", "alice")
    victim = store_of(BOB, place / "bobs", "bob", refresh=False)
    home = directory_of(ALICE, place / "home", 0o755)
    link_of(ALICE, home / "pub", victim)
    keeping.process = subprocess.Popen([BINARY, "keep", f"--store=a={store}", f"--publish=a={home / 'pub'}",
                                        "--renew=never"], env=keeping.environment, stdin=subprocess.DEVNULL,
                                       stderr=keeping.log.open("a"))
    keeping.pid = keeping.process.pid
    keeping.says(f"a link of uid {ALICE}")
    assert keeping.stop()[0] == 0
    assert holds(victim, "FAKEbob") and not holds(victim, "FAKEalice")


def says_why_not(keeping, store, published):
    """A keeper whose publishing fails, up to its end."""
    keeping.process = subprocess.Popen([BINARY, "keep", f"--store=a={store}", f"--publish=a={published}", "--renew=never"],
                                       env=keeping.environment, stdin=subprocess.DEVNULL, stderr=keeping.log.open("a"))
    keeping.pid = keeping.process.pid
    keeping.says("the login cannot be published")
    assert keeping.stop()[0] == 0


@pytest.mark.parametrize("above, owner", [(0, 0), (ALICE, ALICE), (BOB, BOB)])
def test_why_nothing_is_published_is_told_with_the_owners_rights(place, keeping, above, owner):
    store = store_of(ALICE, place / "alices", "alice")
    home = directory_of(above, place / "home", 0o755)
    store_of(ALICE, home / "pub", "of its own", account="2", left=7200)
    says_why_not(keeping, store, home / "pub")
    word = home / "pub.unpublished"
    assert "login of its own" in word.read_text() and word.stat().st_uid == owner


def test_that_is_not_told_where_somebodys_link_leads_and_removes_nothing_there(place, keeping):
    store = store_of(ALICE, place / "alices", "alice")
    home = directory_of(BOB, place / "bobs", 0o755)
    roots = place / "roots"
    roots.mkdir()
    link_of(BOB, home / "link", roots)
    says_why_not(keeping, store, home / "link/pub")
    assert not list(roots.iterdir())
    # Nor is anything but a word taken away.
    planted = home / "pub.unpublished"
    (planted / "below").mkdir(parents=True)
    assert publish(store, home / "pub", {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(place)}, place / "log") == 0
    assert holds(home / "pub", "FAKEalice") and (planted / "below").exists()


@pytest.mark.parametrize("command", ["run", "capture from", "health"])
def test_no_other_command_of_roots_follows_it_either(place, command):
    store_of(ALICE, place / "alices", "alice")
    home = directory_of(BOB, place / "bobs", 0o755)
    link_of(BOB, home / ".claude", place / "alices")
    mine = directory_of(BOB, home / "mine")
    if command == "run":
        done = claude_init(place, "run", "--user", BOB, "--workdir", "/tmp", "--store", home / ".claude", "--", "sh", "-c",
                           'cat "$CLAUDE_CONFIG_DIR/.credentials.json"')
    elif command == "health":
        done = claude_init(place, "health", "--store", home / ".claude")
    else:
        done = claude_init(place, "capture", "--from", home / ".claude", "--store", mine)
    assert done.returncode != 0 and f"a link of uid {BOB}" in done.stdout + done.stderr, done
    assert "FAKEalice" not in done.stdout and not holds(mine, "FAKEalice")


@pytest.mark.parametrize("maker", [0, ALICE])
def test_links_of_roots_and_of_the_stores_owner_are_followed(place, maker):
    store_of(ALICE, place / "alices", "alice")
    link_of(maker, place / "link", "alices")
    link_of(maker, place / "link2", place / "link")
    done = claude_init(place, "run", "--user", ALICE, "--workdir", "/tmp", "--store", place / "link2", "--", "true")
    assert done.returncode == 0, done.stderr


def test_directories_are_not_made_where_somebodys_link_leads(place):
    home = directory_of(BOB, place / "bobs", 0o755)
    roots = place / "roots"
    roots.mkdir()
    link_of(BOB, home / "x", roots)
    done = claude_init(place, "capture", "--from", store_of(ALICE, place / "alices", "alice"), "--store", home / "x/store")
    assert done.returncode != 0 and f"a link of uid {BOB}" in done.stderr, done.stderr
    assert not list(roots.iterdir())
    # In a directory of somebody's what is made is theirs.
    done = claude_init(place, "capture", "--from", place / "alices", "--store", home / "y/store")
    assert done.returncode == 0, done.stderr
    assert {path.stat().st_uid for path in [home / "y", *(home / "y").rglob("*")]} == {BOB}


def exchange(one, other):
    """renameat2(2) with RENAME_EXCHANGE: neither name is ever missing."""
    if ctypes.CDLL(None, use_errno=True).renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def test_the_way_that_only_root_can_go_is_not_gone_by_anothers_link(place):
    """What is open to all in a directory of root's that is not: its owner exchanges what root captures from, again and
    again, with a link there."""
    private, home = place / "private", directory_of(BOB, place / "bobs", 0o755)
    (private / "open").mkdir(parents=True)
    private.chmod(0o700)
    (private / "open").chmod(0o755)
    (private / "open/CLAUDE.md").write_text("root's secret")
    (private / "open/CLAUDE.md").chmod(0o644)
    source, store = store_of(BOB, home / "source", "bob"), directory_of(BOB, home / "store")
    link_of(BOB, home / "link", private / "open")
    over = threading.Event()

    def swap():
        while not over.is_set():
            exchange(source, home / "link")

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        for _ in range(150):
            claude_init(place, "capture", "--from", source, "--store", store)
            assert not holds(store, "root's secret")
    finally:
        over.set()
        attacker.join()
