"""The main job of each subcommand where newer system calls are missing (ENOSYS: old kernels, gVisor) or forbidden
(EPERM: old seccomp profiles), one at a time and all together."""

import errno
import os
import shutil
import subprocess

import pytest
from harness import Init, helper
from sessions import login, project
from test_health import Health
from test_keep_outputs import Hook

CALLS = ["openat2", "close_range", "pidfd_open", "statx", "faccessat2", "renameat2", "copy_file_range", "memfd_create",
         "clone3"]
MANY = range(300)
STORES_OWNER = 4321
# Of the shell's own: what it ran would be without the calls too, and mv(1) cannot do without renameat2.
LOG_IN = 'cd "$CLAUDE_CONFIG_DIR"; printf %s "$login_a" > .credentials.json; '


@pytest.fixture(params=[errno.ENOSYS, errno.EPERM], ids=["missing", "forbidden"], name="error")
def fixture_error(request):
    return request.param


@pytest.fixture(params=[*CALLS, ",".join(CALLS)], ids=[*CALLS, "all"], name="old")
def fixture_old(request, error):
    """A command line that runs what follows it as there."""
    return helper("without.py", error, request.param)


@pytest.fixture(name="store")
def fixture_store(host):
    """It is another user's, as whom root works in it."""
    def own():
        for path in [host.store, *host.store.rglob("*")]:
            os.chown(path, STORES_OWNER, STORES_OWNER, follow_symlinks=False)
    host.put(login("stored"))
    (host.store / "settings.json").write_text("{}")
    own()
    host.own = own
    return host.store


def test_the_filter_answers_so(error):
    for word in ("statx", "openat2"):
        traced = subprocess.run([*helper("without.py", error, word), "python3", "-c", "import ctypes; l = ctypes.CDLL(None, "
                                 "use_errno=True); print(l.syscall(332 if 'x86' in __import__('os').uname().machine else 291,"
                                 " -1, 0, 0, 0, 0), ctypes.get_errno())"], capture_output=True, text=True, check=True)
        answered = int(traced.stdout.split()[1])
        assert (answered == error) == (word == "statx"), traced.stdout


@pytest.mark.parametrize("pid1", [True, False], ids=["pid1", "child"])
def test_init_supervises(pid1, old):
    init = Init(["sh", "-c", "trap 'exit 7' TERM; (true &); echo up; read x"], pid1=pid1, wrapper=old, stdin=subprocess.PIPE)
    try:
        init.expect("up")
        init.kill()
        assert init.wait() == 7
    finally:
        init.destroy()


def test_setup_saves_a_login_and_a_state(host, store, old):
    script = LOG_IN + "mkdir -p projects/x plans; for i in %s; do echo $i > projects/x/$i; done; " % " ".join(map(str, MANY)) + \
        "head -c 300000 /dev/zero > plans/large; ln -s large plans/link"
    status, _, err = host.session("setup", script, wrapper=old)
    assert status == 0, err
    assert host.token() == "a" and "error" not in err, err
    assert sorted(int(path.name) for path in (store / "projects/x").iterdir()) == list(MANY)
    assert (store / "plans/large").stat().st_size == 300000 and os.readlink(store / "plans/link") == "large"
    assert {path.stat(follow_symlinks=False).st_uid for path in store.rglob("*")} == {STORES_OWNER}
    assert host.copies() == []


def test_setup_does_not_save_over_a_mount(host, store, old):
    """Which a rename would have to go through; it is of the same file system."""
    (host.path / "elsewhere").mkdir()
    (store / "projects").mkdir()
    host.own()
    subprocess.run(["mount", "--bind", host.path / "elsewhere", store / "projects"], check=True)
    host.mounted.append(store / "projects")
    os.chown(store / "projects", STORES_OWNER, STORES_OWNER)
    _, _, err = host.session("setup", LOG_IN + "rm -rf projects; echo file > projects", wrapper=old)
    assert "what is in its place is a mount of its own" in err and host.token() == "a"


def test_run_has_the_login_and_gives_its_sessions_back(host, store, old):
    script = 'cd "$CLAUDE_CONFIG_DIR"; read -r text < .credentials.json; case $text in *FAKEstored*) echo in;; esac; ' \
        f"mkdir -p projects/{project()}; echo said > projects/{project()}/one.jsonl; exit 9"
    status, out, err = host.session("run", script, "--persist=all", wrapper=old)
    assert (status, out) == (9, "in\n"), err
    assert (store / "projects" / project() / "one.jsonl").read_text() == "said\n" and "error" not in err, err
    assert host.copies() == []


def test_run_gives_another_user_a_copy(host, store, old, tmp_path):
    for directory in (host.path, *host.path.parents[:3]):
        if directory.stat().st_uid == 0 and str(directory).startswith("/tmp/"):
            os.chmod(directory, 0o755)
    os.chmod(host.place, 0o1777)
    home = tmp_path / "theirs"
    home.mkdir()
    os.chown(home, 1234, 1234)
    host.environment["HOME"] = str(home)
    status, out, err = host.session("run", '(: >> "$CLAUDE_CONFIG_DIR/.credentials.json") && id -u', user=1234, wrapper=old)
    assert (status, out) == (0, "1234\n"), err


def test_keep_renews_publishes_and_tells(keeping, old):
    hook = Hook(keeping.path / "hook")
    keeping.mode("renewed")
    keeping.store("dev", login("a", left=3))
    keeping.start("--on-change", hook.path, "--publish", keeping.path / "published", wrapper=old, pid1=False)
    keeping.has_token("a+", "published")
    hook.gets("usable", "renewed")
    code, said = keeping.stop()
    assert code == 0 and "error" not in said and "the hook failed" not in said, said


def test_health_judges_and_asks(host, store, tmp_path, old):
    here = tmp_path / "cli"
    here.mkdir()
    health = Health(host, here)
    health.wrapper = old
    status, text = health("--live")
    assert (status, text.split(":")[0]) == (0, "usable"), health.errors
    assert health.runs() == 1
    os.chown(store / ".credentials.json", 0, 0)
    status, text = health("--detailed-exit-code")
    assert (status, text.split(":")[0]) == (16, "unreadable"), health.errors
    shutil.rmtree(store)
    assert health("--detailed-exit-code")[0] == 17
