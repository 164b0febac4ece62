"""`claude-init keep`: stores that are renewed, published and told about, with a script in the CLI's place."""

import os
import shutil
import signal
import socket
import subprocess
import time

import pexpect
import pytest
from harness import ALONE, BINARY, PATIENCE, SANITIZED, STRACE, eventually, status, supervises
from sessions import login
from test_follow import switches
from test_publish import files_with_a_refresh_token

LOG_IN = "docker compose run --rm setup"


@pytest.mark.parametrize("pid1", [True, False], ids=["pid1", "child"])
def test_a_login_is_renewed_again_and_again_and_published_each_time(keeping, pid1):
    keeping.mode("renewed", 3)
    keeping.store("dev", login("a", left=3))
    keeping.start("--publish", keeping.path / "published", pid1=pid1)
    keeping.has_token("a+++", "published")
    assert [call["refresh"] for call in keeping.calls()[:3]] == [f"sk-ant-ort01-FAKEa{'+' * n}" for n in range(3)]
    code, said = keeping.stop()
    assert code == 0, said
    assert said.count("the login has been renewed") == len(keeping.calls())
    assert "ort01" not in said and "oat01" not in said
    assert files_with_a_refresh_token(keeping.path / "published") == []
    assert files_with_a_refresh_token(keeping.path / "dev") != []


def test_a_dead_login_is_told_at_once_and_once_with_what_to_type_and_a_new_one_is_taken_up(keeping):
    keeping.mode("blanked")
    keeping.store("dev", login("a", left=4))
    keeping.start("--publish", keeping.path / "published", "--login-command", LOG_IN + " {name}")
    keeping.says("the login is dead")
    assert "expired" not in keeping.said()  # at once: not when its access token expires
    assert 'error: the login is dead: the server rejected it' in keeping.said()
    assert f'→ {LOG_IN} dev\n' in keeping.said()
    time.sleep(5)  # beyond its expiry: it is not tried again, and not told again
    assert len(keeping.calls()) == 1
    keeping.mode("renewed")
    keeping.put(login("b"))
    keeping.says("the login of 1 works")
    keeping.has_token("b", "published")
    code, said = keeping.stop()
    assert code == 0
    assert said.count("the login is dead") == 1, said


def test_a_login_that_was_ended_elsewhere_is_found_out_before_its_token_is_due(keeping):
    keeping.mode("renewed", 3600)
    keeping.store("dev", login("a", left=3600))
    keeping.start("--check-every", "500ms")
    keeping.has_token("a++")
    keeping.mode("blanked")
    keeping.says("the login is dead")
    assert keeping.stop()[0] == 0


def test_renewals_that_fail_are_told_once_and_their_success(keeping):
    keeping.mode("unchanged")
    keeping.store("dev", login("a", left=6))
    keeping.start()
    keeping.renewals(3)
    keeping.mode("renewed")
    keeping.has_token("a+")
    keeping.says("the login has been renewed")
    code, said = keeping.stop()
    assert code == 0
    assert said.count("the login could not be renewed") == 1, said


def test_a_renewal_that_is_killed_for_want_of_memory_is_survived_and_told(keeping):
    keeping.mode("killed")
    keeping.store("dev", login("a", left=6))
    keeping.start()
    keeping.says("out of memory?")
    assert '→ the CLI needs 200 MB' in keeping.said()
    assert "mb_for_a_renewal=200" in keeping.said()
    keeping.mode("renewed")
    keeping.has_token("a+")
    assert keeping.stop()[0] == 0


def test_a_store_that_vanishes_and_comes_back_is_kept_again(keeping):
    keeping.mode("renewed", 8)
    keeping.store("dev", login("a", left=8))
    keeping.start("--publish", keeping.path / "published")
    keeping.has_token("a", "published")
    for _ in range(2):
        before = keeping.said().count("works")
        (keeping.path / "dev").rename(keeping.path / "gone")
        keeping.says("no-store: there is no ", times=before)
        (keeping.path / "gone").rename(keeping.path / "dev")
        keeping.says("works", times=before + 1)
    keeping.has_token("a+", "published")
    code, said = keeping.stop()
    assert code == 0
    assert said.count("no-store") == 2, said


def test_a_store_that_is_another_one_when_it_comes_back_is_kept_and_what_was_published_stays(keeping):
    keeping.store("dev", login("a"))
    (keeping.path / "dev/settings.json").write_text("{}")
    keeping.start("--publish", keeping.path / "published")
    keeping.has_token("a", "published")
    (keeping.path / "dev").rename(keeping.path / "gone")
    keeping.store("dev")  # empty: what is seen of a volume that is not mounted
    keeping.says("missing: no login yet")
    time.sleep(1)
    assert keeping.token("published") == "a"
    assert (keeping.path / "published/settings.json").exists()
    keeping.put(login("b"))
    keeping.has_token("b", "published")
    assert keeping.stop()[0] == 0


def test_nothing_needs_to_be_there_at_the_start(keeping):
    keeping.start("--publish", keeping.path / "published")
    keeping.says("no-store")
    keeping.store("dev")
    keeping.says("missing: no login yet")
    assert "claude-init setup --store " in keeping.said()
    keeping.put(login("a", left=-60))
    keeping.has_token("a+", "published")
    assert keeping.stop()[0] == 0


def test_a_published_store_that_is_emptied_or_replaced_is_published_into_again(keeping):
    keeping.store("dev", login("a"))
    published = keeping.path / "published"
    keeping.start("--publish", published)
    keeping.has_token("a", "published")
    (published / ".credentials.json").unlink()
    keeping.has_token("a", "published")
    published.rename(keeping.path / "elsewhere")
    keeping.has_token("a", "published")
    keeping.put(login("b", left=7200))
    keeping.has_token("b", "published")
    assert keeping.stop()[0] == 0


def test_a_published_store_that_cannot_be_written_is_told_once_and_does_not_stop_renewals(keeping):
    keeping.mode("renewed", 3)
    keeping.store("dev", login("a", left=3))
    (keeping.path / "published").write_text("a file")
    keeping.start("--publish", keeping.path / "published")
    keeping.says("publish")
    keeping.renewals(2)
    (keeping.path / "published").unlink()
    keeping.says("published again")
    code, said = keeping.stop()
    assert code == 0
    assert said.count("cannot be published") == 1, said


def test_many_stores_that_are_due_together_are_renewed_one_at_a_time(keeping):
    stores = [f"s{i}" for i in range(5)]
    for name in stores:
        keeping.store(name, login(name, left=-60))
    keeping.mode("slow")
    keeping.start(stores=stores)
    keeping.renewals(1)
    time.sleep(1)
    assert len(keeping.calls()) == 1
    (keeping.command / "go").touch()
    for name in stores:
        keeping.has_token(name + "+", name)
    assert keeping.stop()[0] == 0


def test_one_dead_store_is_none_of_the_others_business(keeping):
    keeping.store("dead", '{"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}}')
    keeping.store("broken", "{")
    keeping.store("dev", login("a", left=-60))
    keeping.start(stores=("dead", "absent", "broken", "dev"))
    keeping.has_token("a+")
    for name in ("dead", "absent", "broken"):
        keeping.says(f"store={name}\n")
    assert keeping.stop()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_it_and_a_renewal_that_runs_is_finished_and_published(keeping, number):
    keeping.mode("slow")
    keeping.store("dev", login("a", left=-60))
    keeping.start("--publish", keeping.path / "published")
    keeping.renewals(1)
    os.kill(keeping.pid, number)
    keeping.says("stopping")
    (keeping.command / "go").touch()
    assert keeping.process.wait(PATIENCE) == 0
    assert keeping.token() == keeping.token("published") == "a+"


def test_a_store_that_cannot_be_written_is_told_once_with_what_to_do_and_still_published(keeping):
    keeping.store("dev", login("a"))
    read_only = ["unshare", "--mount", "sh", "-c", 'mount --bind -o ro "$0" "$0" && exec "$@"', keeping.path / "dev"]
    keeping.start("--publish", keeping.path / "published", wrapper=read_only)
    keeping.has_token("a", "published")
    keeping.says("the login is not renewed from here: the store is read-only")
    assert "mount it so that it can be written" in keeping.said()
    assert keeping.stop()[1].count("not renewed from here") == 1


def test_that_a_store_cannot_be_written_is_told_when_the_login_comes_later(keeping):
    keeping.store("dev")
    read_only = ["unshare", "--mount", "sh", "-c", 'mount --bind -o ro "$0" "$0" && exec "$@"', keeping.path / "dev"]
    keeping.start(wrapper=read_only)
    keeping.says("missing: no login yet")
    keeping.put(login("a"))
    keeping.says("the login is not renewed from here: the store is read-only")
    keeping.put(login("b", left=7200))  # somebody else renews it
    keeping.says("the login is not renewed from here", times=2)
    assert keeping.stop()[0] == 0


def copied(keeping, left):
    """The store `dev`, a copy of one in which somebody has renewed."""
    keeping.store("first", login("a", left=-60))
    keeping.start(stores=("first",))
    keeping.has_token("a+", "first")
    keeping.stop()
    keeping.log.write_text("")
    subprocess.run(["cp", "-a", keeping.path / "first", keeping.path / "dev"], check=True)
    keeping.put(login("b", left=left))


def adopt(keeping):
    subprocess.run([BINARY, "setup", "--adopt", "--store", keeping.path / "dev", "--", "true"], check=False,
                   env=keeping.environment, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.mark.parametrize("left", [-60, 8 * 3600], ids=["due", "not-due"])
def test_a_copied_store_is_told_at_once_and_kept_as_soon_as_it_is_adopted(keeping, left):
    copied(keeping, left)
    keeping.start(pid1=False)
    keeping.says("the login is not renewed from here: ")
    assert "is a copy" in keeping.said() and "--adopt" in keeping.said()
    assert len(keeping.calls()) == 1
    adopt(keeping)
    if left < 0:
        keeping.has_token("b+")
        keeping.says("the login has been renewed")
    else:
        keeping.says("the login can be renewed from here again")
    code, said = keeping.stop()
    assert code == 0
    assert said.count("not renewed from here") == 1, said


def test_a_refusal_that_ends_while_the_store_is_away_is_not_kept(keeping):
    keeping.store("dev", login("a", left=-60))
    keeping.start(pid1=False)
    keeping.says("the login has been renewed")  # until then it is being put there
    place, original, copy = (keeping.path / name for name in ("dev", "original", "copy"))
    eventually(lambda: not (place / ".claude-init/renewal").exists(), "the renewal has left nothing")
    subprocess.run(["cp", "-a", place, copy], check=True)
    text = login("b", left=-60)
    (copy / ".credentials.json").write_text(text)
    place.rename(original)
    copy.rename(place)
    keeping.says("the login is not renewed from here: ")
    (original / ".credentials.json").write_text(text)
    place.rename(copy)
    keeping.says("no-store")
    original.rename(place)
    keeping.has_token("b+")
    assert keeping.stop()[0] == 0


def test_what_is_said_of_a_store_goes_by_whose_it_is_when_it_is_looked_at(keeping):
    keeping.start(pid1=False)
    keeping.says("no-store")
    keeping.store("new", login("a"))
    os.chown(keeping.path / "new", 1234, 1234)
    os.chown(keeping.path / "new/.credentials.json", 2345, 2345)
    (keeping.path / "new").rename(keeping.path / "dev")
    keeping.says("unreadable: permission denied")
    assert "1234" in keeping.said().split("unreadable", 1)[1]
    assert keeping.stop()[0] == 0


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace, which makes watches slow")
def test_a_login_that_comes_while_the_watches_change_hands_is_seen(keeping):
    slow = [*STRACE, "-f", "-e", "trace=inotify_add_watch", "-e", "inject=inotify_add_watch:delay_enter=100000"]
    keeping.start(pid1=False, wrapper=slow)
    keeping.says("no-store")
    os.mkdir(keeping.path / "new", 0o700)
    os.chown(keeping.path / "new", 1234, 1234)
    (keeping.path / "new").rename(keeping.path / "dev")
    keeping.says("missing: no login yet")
    time.sleep(0.3)  # its watches go at once, and those for the new owner take as long as this twice
    keeping.put(login("a"))
    os.chown(keeping.path / "dev/.credentials.json", 1234, 1234)
    keeping.says("the login of 1 works")


@pytest.mark.parametrize("publish", ["dev=test", "dev=dev", "dev=link", "dev=other test=other", "dev=test/sub",
                                     "dev=link/sub", "dev=", "dev=other test=other/sub"])
def test_no_two_write_into_one_directory(keeping, publish):
    for name in ("dev", "test", "other"):
        keeping.store(name)
    (keeping.path / "link").symlink_to(keeping.path / "test")
    words = [f"--publish={word.replace('=', '=' + str(keeping.path) + '/')}" for word in publish.split()]
    keeping.start(*words, stores=("dev", "test"), pid1=False)
    assert keeping.process.wait(PATIENCE) == 64
    assert " is both " in keeping.said() or " is inside " in keeping.said()
    assert "a directory of its own" in keeping.said()
    assert all(not list((keeping.path / name).iterdir()) for name in ("dev", "test", "other"))


def test_it_needs_no_root(keeping):
    keeping.mode("renewed", 3)
    keeping.store("dev", login("a", left=3))
    subprocess.run(["chown", "-R", "1234:1234", keeping.path], check=True)
    for directory in (keeping.path, *list(keeping.path.parents)[:2]):
        directory.chmod(0o755)
    keeping.start("--publish", keeping.path / "published", pid1=False,
                  wrapper=("setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"))
    keeping.has_token("a++", "published")
    assert {call["uid"] for call in keeping.calls()} == {1234}
    assert keeping.stop()[0] == 0


def test_nothing_happens_while_nothing_happens_and_ten_stores_are_small(keeping):
    stores = [f"s{i}" for i in range(10)]
    for name in stores:
        keeping.store(name, login(name, left=8 * 3600))
    keeping.start("--publish", f"s0={keeping.path / 'published'}", stores=stores, pid1=False, wrapper=ALONE)
    keeping.has_token("s0", "published")
    eventually(lambda: switches(keeping.pid, 1) == 0, "quiet after the start")
    assert switches(keeping.pid, 3) == 0
    assert SANITIZED or int(status(keeping.pid, "VmRSS").split()[0]) <= 6 * 1024
    assert keeping.stop()[0] == 0


def test_a_wrong_command_line_is_refused(keeping):
    done = subprocess.run([BINARY, "keep", "--store", "/a/x", "--store", "/b/x"], capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "two stores are called 'x'" in done.stderr


@pytest.mark.parametrize("nohup", [False, True], ids=["", "nohup"])
def test_on_a_terminal_it_ends_with_its_window_unless_it_was_told_to_outlive_it(keeping, nohup):
    keeper = pexpect.spawn(str(BINARY), ["keep", "--store", str(keeping.path / "dev")], env=keeping.environment,
                           timeout=PATIENCE, ignore_sighup=nohup)
    keeper.expect("no-store")
    eventually(lambda: supervises(keeper.pid), "supervision, after the start")
    keeper.kill(signal.SIGHUP)
    if nohup:
        time.sleep(0.5)
        assert keeper.isalive()
        keeper.kill(signal.SIGTERM)
    keeper.expect("stopping signal=" + ("TERM" if nohup else "HUP"))
    keeper.expect(pexpect.EOF)
    keeper.close()
    assert keeper.exitstatus == 0


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_a_service_manager_learns_of_the_start_and_of_the_end(keeping, abstract):
    name = f"{keeping.path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(PATIENCE)
        manager.bind("\0" + name if abstract else name)
        keeping.environment["NOTIFY_SOCKET"] = "@" + name if abstract else name
        keeping.start(pid1=False)
        assert manager.recv(100) == b"READY=1"
        assert keeping.stop()[0] == 0
        assert manager.recv(100) == b"STOPPING=1"


def test_a_service_manager_that_is_not_there_is_no_reason_to_end(keeping):
    keeping.environment["NOTIFY_SOCKET"] = f"{keeping.path}/nobody"
    keeping.start(pid1=False)
    keeping.says("tell the service manager")
    keeping.stop()
