"""A session follows its store: what is put into the store is soon in the working copy. What is made in the copy goes to
the store in setup, and in a run that is given the refresh token. A shell stands for the CLI."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness import ALONE, PATIENCE, SANITIZED, STRACE, eventually, status
from sessions import login

BLANKED = '{"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0,"scopes":["user:inference"]}}'
WAITING = 'echo "$CLAUDE_CONFIG_DIR"; read forever'


class Run:
    """A run that waits until its standard input is closed, and its working copy's login."""

    def __init__(self, host, *options, subcommand="run", script=WAITING, **more):
        self.process = host.start(subcommand, script, *options, **more)
        self.path = os.path.join(self.process.stdout.readline().strip(), ".credentials.json")

    def text(self):
        try:
            with open(self.path) as f:
                return f.read()
        except FileNotFoundError:
            return None

    def token(self):
        try:
            return json.loads(self.text())["claudeAiOauth"]["accessToken"].removeprefix("sk-ant-oat01-FAKE")
        except (TypeError, ValueError, KeyError):
            return None

    def gets(self, name):
        """Waits for that login."""
        eventually(lambda: self.token() == name, f"login {name} in the copy")

    def keeps(self, text, seconds=0.3):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.text() == text
            time.sleep(0.005)

    def put(self, text):
        """Made in the copy, as the CLI does it."""
        with open(self.path + ".new", "w") as f:
            f.write(text)
        os.rename(self.path + ".new", self.path)

    def end(self):
        """Exit status and what was said."""
        _, err = self.process.communicate("\n", timeout=PATIENCE)
        return self.process.returncode, err


def replace(host, text):
    """As the CLI and claude-init write: a new file, renamed into place."""
    (host.store / "new").write_text(text)
    os.rename(host.store / "new", host.store / ".credentials.json")


def write_in_place(host, text):
    with open(host.store / ".credentials.json", "r+") as f:
        f.truncate(0)
        f.flush()
        f.write(text[:40])
        f.flush()
        f.write(text[40:])


def test_a_login_that_is_put_into_the_store_is_in_the_copy_at_once(host):
    """Within 200 ms: tests/unit/follower_test.cpp, on a clock of its own."""
    host.put(login("first"))
    run = Run(host)
    for i in range(10):
        (replace if i % 2 else write_in_place)(host, login(f"next{i}", left=7200 + i))
        run.gets(f"next{i}")
        assert "sk-ant-ort01" not in run.text()
    assert os.stat(run.path).st_mode & 0o777 == 0o600
    assert run.end() == (0, "")


def test_unknown_keys_reach_the_copy_and_only_the_refresh_token_does_not(host):
    host.put(login("first"))
    run = Run(host)
    known = json.loads(login("next", left=7200))
    known["claudeAiOauth"]["somethingNew"] = {"deep": [1, None, "x"]}
    known["mcpOAuth"] = {"server": {"accessToken": "FAKE-other"}}
    replace(host, json.dumps(known))
    run.gets("next")
    del known["claudeAiOauth"]["refreshToken"]
    assert json.loads(run.text()) == known
    # A change beside the access token is one too.
    known["claudeAiOauth"]["rateLimitTier"] = "new"
    replace(host, json.dumps(known))
    eventually(lambda: "rateLimitTier" in run.text(), "what was added")


def test_broken_blanked_and_missing_logins_are_never_passed_on(host):
    host.put(login("first"))
    run = Run(host)
    before = run.text()
    for broken in (BLANKED, "", login("cut", left=7200)[:70], "{}", '{"claudeAiOauth":null}'):
        replace(host, broken)
        run.keeps(before)
    (host.store / ".credentials.json").unlink()
    run.keeps(before)
    replace(host, login("next", left=7200))
    run.gets("next")


def test_a_copy_that_was_blanked_or_damaged_is_repaired_and_a_logout_is_respected(host):
    host.put(login("first"))
    run = Run(host)
    for broken in (BLANKED, "", login("first")[:50]):
        run.put(broken)
        run.gets("first")
    os.unlink(run.path)
    run.keeps(None, 1)
    replace(host, login("next", left=7200))
    run.gets("next")


def test_a_volume_of_kubernetes_is_accepted_and_followed_when_it_is_swapped(host):
    published = {name: login(name, left=left, refresh=False) for name, left in (("one", 3600), ("two", 7200))}
    for name, text in published.items():
        (host.store / f"..{name}").mkdir()
        (host.store / f"..{name}" / ".credentials.json").write_text(text)
    (host.store / "..data").symlink_to("..one")
    (host.store / ".credentials.json").symlink_to("..data/.credentials.json")
    host.make_read_only()
    run = Run(host)
    assert run.token() == "one"
    # The kubelet swaps the link on its side of the mount.
    subprocess.run(["umount", host.store], check=True)
    host.mounted.clear()
    (host.store / "..data_tmp").symlink_to("..two")
    os.rename(host.store / "..data_tmp", host.store / "..data")
    run.gets("two")
    status_, err = run.end()
    assert status_ == 0 and "can be used until" not in err, "somebody else renews what is in a Secret"


def project(host, name, **files):
    """As the kubelet fills a volume: a new directory, and `..data` swapped to it."""
    for path, text in files.items():
        path = host.store / f"..{name}" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (host.store / "..data_tmp").symlink_to(f"..{name}")
    os.rename(host.store / "..data_tmp", host.store / "..data")
    for entry in {path.split("/")[0] for path in files}:
        if not (host.store / entry).is_symlink():
            (host.store / entry).symlink_to(f"..data/{entry}")


def test_a_projected_volume_of_a_secret_and_of_settings_is_a_store(host):
    settings = {".claude.json": '{"hasCompletedOnboarding": true}', "settings.json": '{"model": "haiku"}',
                "commands/hello.md": "Say hello."}
    project(host, "one", **{".credentials.json": login("one", refresh=False)}, **settings)
    host.make_read_only()
    run = Run(host)
    assert run.token() == "one"
    for path, text in settings.items():
        with open(os.path.join(os.path.dirname(run.path), path)) as f:
            assert f.read() == text
    subprocess.run(["umount", host.store], check=True)  # the kubelet writes on its side of the mount
    host.mounted.clear()
    project(host, "two", **{".credentials.json": login("two", left=7200, refresh=False)}, **settings)
    run.gets("two")
    assert run.end()[0] == 0


def test_a_store_that_is_replaced_is_followed(host):
    host.put(login("first"))
    run = Run(host)
    os.rename(host.store, host.path / "old")
    host.store.mkdir(mode=0o700)
    host.put(login("next", left=7200))
    run.gets("next")
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0700", "tmpfs", host.store], check=True)
    host.mounted.append(host.store)
    host.put(login("mounted", left=9000))
    run.gets("mounted")


@pytest.mark.parametrize("fault", ["inotify_add_watch:error=ENOSPC", "inotify_init1:error=EMFILE"])
def test_without_watches_the_store_is_looked_at_again_and_again(host, fault):
    host.put(login("first"))
    run = Run(host, wrapper=[*STRACE, "-e", "trace=inotify_add_watch,inotify_init1",
                             "-e", f"inject={fault}"])
    replace(host, login("next", left=7200))
    run.gets("next")
    run.put(BLANKED)
    run.gets("next")


def test_a_store_that_others_change_behind_the_kernels_back_is_looked_at_again_and_again(host):
    if os.geteuid() != 0:
        pytest.skip("mounts a file system")
    layers = [host.path / name for name in ("lower", "upper", "work")]
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", host.path / "home"], check=True)
    host.mounted.append(host.path / "home")
    layers = [host.path / "home" / name for name in ("lower", "upper", "work")]
    for layer in layers:
        layer.mkdir(mode=0o700)
    mount = subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                            "lowerdir={},upperdir={},workdir={}".format(*layers), host.store])
    if mount.returncode != 0:
        pytest.skip("no overlay on this kernel")
    host.mounted.insert(0, host.store)
    host.put(login("first"))
    run = Run(host)
    with open(layers[1] / ".credentials.json", "w") as f:
        f.write(login("next", left=7200))
    run.gets("next")
    run.end()


def test_a_login_made_in_a_copy_is_stored_once_and_its_refresh_token_then_leaves_the_copy(host):
    host.put(login("first"))
    run = Run(host, "--log-level", "info", subcommand="setup")
    run.put(login("made", left=7200))
    eventually(lambda: host.token() == "made", "the login in the store")
    assert "sk-ant-ort01-FAKEmade" in (host.store / ".credentials.json").read_text()
    eventually(lambda: "sk-ant-ort01" not in run.text(), "the refresh token to leave the copy")
    assert run.token() == "made"
    # Followed again, and what was followed is not saved.
    replace(host, login("next", left=9000))
    run.gets("next")
    status_, err = run.end()
    assert status_ == 0
    assert host.token() == "next", err
    generations = [json.loads((host.store / f".claude-init/generations/{n}/.credentials.json").read_text())
                   ["claudeAiOauth"]["accessToken"] for n in (1, 2)]
    assert generations == ["sk-ant-oat01-FAKEfirst", "sk-ant-oat01-FAKEmade"]


def test_a_login_made_just_before_the_end_is_stored(host):
    host.put(login("first"))
    assert host.session("run", "put b", "--refresh-token=copy")[0] == 0
    assert host.token() == "b"


def test_a_logout_at_once_is_respected(host):
    host.put(login("first"))
    status_, _, err = host.session("run", 'f=$CLAUDE_CONFIG_DIR/.credentials.json; rm "$f"; sleep 0.3; ! test -e "$f"')
    assert status_ == 0, err


def test_a_kernel_without_room_for_watches_ends_nothing(host, tmp_path):
    host.put(login("first"))

    def run(*inject):
        log = tmp_path / "log"
        strace = ["strace", "-qq", "-o", log, *STRACE[4:], "-e", "trace=epoll_ctl,openat", *inject]
        return host.session("run", "sleep 0.3; put b", "--refresh-token=copy", wrapper=strace), log.read_text()

    calls = re.findall(r"^epoll_ctl|^openat.*mountinfo", run()[1], re.MULTILINE)
    watched = max(at for at, call in enumerate(calls) if call.startswith("openat"))
    number = calls[:watched].count("epoll_ctl") + 1
    host.put(login("first"))
    (status_, _, err), _ = run("-e", f"inject=epoll_ctl:error=ENOSPC:when={number}")
    assert status_ == 0 and "watch the store and the working copy" in err, err
    assert host.token() == "b"


@pytest.mark.parametrize("made, why", [
    (login("other", left=7200, account="2"), "another account"),
    (login("older", left=60), "older"),
    (login("short", left=7200, refresh=False), "no refresh token")], ids=["other", "older", "short"])
def test_a_login_made_in_a_copy_that_may_not_be_stored_is_said_and_stays_in_it(host, made, why):
    stored = login("first")
    host.put(stored)
    run = Run(host, "--refresh-token=copy")
    run.put(made)
    run.keeps(made, 1.5)
    assert host.token() == "first"
    status_, err = run.end()
    assert status_ == 0
    assert err.count("was not saved") == 1 and why in err, err


def test_a_login_made_on_a_read_only_store_is_said(host):
    host.put(login("first"))
    host.make_read_only()
    run = Run(host)
    run.put(login("made", left=7200))
    status_, err = run.end()
    assert status_ == 0
    assert re.search(r"can be used until \d{4}-\d\d-\d\d \d\d:\d\d UTC, which is in 59 min", err), err
    assert err.count("was not saved") == 1 and err.count("store is read-only") == 1, err
    assert "log in with claude-init setup" in err, err


def test_a_secret_with_a_refresh_token_is_nobodys_to_renew_and_that_is_said(host):
    project(host, "one", **{".credentials.json": login("one")})
    host.make_read_only()
    assert "cannot be renewed from here: the store is read-only" in Run(host).end()[1]


def test_until_when_is_said_again_before_the_end(host):
    host.put(login("brief", left=4))
    host.make_read_only()
    run = Run(host)
    eventually(lambda: json.loads(run.text())["claudeAiOauth"]["expiresAt"] < time.time() * 1000, "the end")
    _, err = run.end()
    assert err.count("can be used until") == 2, err


def test_an_idle_run_does_not_wake_up(host):
    host.put(login("first"))
    run = Run(host, wrapper=ALONE)
    eventually(lambda: switches(run.process.pid, 0.7) == 0, "quiet after the start")
    assert switches(run.process.pid, 3) == 0


def switches(pid, seconds):
    """How often a process gave up the processor within that time."""
    before = int(status(pid, "voluntary_ctxt_switches"))
    time.sleep(seconds)
    return int(status(pid, "voluntary_ctxt_switches")) - before


def test_a_hundred_copies_have_a_new_login(host):
    """As a user of their own: of the 128 inotify instances that the kernel gives each one."""
    host.put(login("first"))
    (host.store / ".claude.json").write_text("{}")
    user = 100_000 + host.path.stat().st_ino % 1_000_000_000
    for path in (host.store, *host.store.iterdir(), host.home, host.place):
        os.chown(path, user, user)
    for parent in (host.path, *list(host.path.parents)[:2]):
        parent.chmod(0o755)
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    runs = [Run(host, "--copy", "login", user=user, wrapper=as_user) for _ in range(100)]
    for run in runs:
        eventually(lambda: switches(run.process.pid, 0) == 0, "a run")
    memory = [int(status(run.process.pid, "RssAnon").split()[0]) for run in runs]
    replace(host, login("next", left=7200))
    os.chown(host.store / ".credentials.json", user, user)
    for run in runs:
        run.gets("next")
    assert SANITIZED or max(memory) <= 4096, f"{max(memory)} KiB"
    for run in runs:
        os.kill(run.process.pid, signal.SIGTERM)
    for run in runs:
        run.process.communicate(timeout=PATIENCE)
