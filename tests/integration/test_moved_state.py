"""A state that has moved into a working copy: what the settings name is found, or it is said; what cannot be brought
along is named; no start is refused on a guess."""

import json
import os
import subprocess

import pytest
from harness import BINARY
from keeping import publish
from sessions import login
from test_identities import binary, place  # noqa: F401  (fixtures)

GUARD = "#!/bin/sh\nexit 2\n"


def settings(command):
    return json.dumps({"hooks": {"UserPromptSubmit": [{"hooks": [{"type": "command", "command": command}]}]}})


def fill(store, command="", owner=4321, mode=0o700):
    """A store with a guard hook that the settings call by `command`."""
    (store / ".credentials.json").write_text(login("stored"))
    (store / "hooks").mkdir()
    (store / "hooks/guard.sh").write_text(GUARD)
    (store / "hooks/guard.sh").chmod(mode)
    (store / "settings.json").write_text(settings(command) if command else "{}")
    for path in (store, *store.rglob("*")):
        os.lchown(path, owner, owner)


NOEXEC = "mount -t tmpfs -o mode=1777,noexec tmpfs {}"


def test_programs_somewhere_in_the_state_do_not_keep_it_from_a_noexec_place(place):
    fill(place.store)
    code, out, err = place.run([], "--user", "4321:4321", script="echo started", before=NOEXEC.format(place.tmp))
    assert (code, out) == (0, "started\n"), err
    assert "noexec" not in err


@pytest.mark.parametrize("copy", ["config", "all"])
def test_programs_that_the_settings_call_are_named_where_they_cannot_run(place, copy):
    fill(place.store, "$CLAUDE_CONFIG_DIR/hooks/guard.sh")
    code, out, err = place.run([], "--user", "4321:4321", "--copy", copy, script="echo started",
                               before=NOEXEC.format(place.tmp))
    assert (code, out) == (0, "started\n"), err
    assert err.count("--tmpfs /tmp:exec") == 1 and "hooks/guard.sh" in err


def test_room_for_the_state_is_enough(place):
    """Half as much again is a guess of what a job may write."""
    fill(place.store)
    (place.store / "CLAUDE.md").write_text("x" * 700_000)
    os.chown(place.store / "CLAUDE.md", 4321, 4321)
    code, out, err = place.run([], "--user", "4321:4321", script="echo started",
                               before=f"mount -t tmpfs -o mode=1777,size=1m tmpfs {place.tmp}")
    assert (code, out) == (0, "started\n"), err


HOOK = 'sh -c "$(sed -n \'s/.*"command": "\\([^"]*\\)".*/\\1/p\' "$CLAUDE_CONFIG_DIR/settings.json")"; echo guard=$?'


@pytest.mark.parametrize("home", ["none", "unwritable", "writable", "empty", "occupied"])
@pytest.mark.parametrize("written", ["~", "$HOME", "${HOME}"])
def test_a_hook_that_is_named_by_the_home_directory_runs(place, home, written):
    fill(place.store, f"{written}/.claude/hooks/guard.sh")
    (place.path / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\nsomebody:x:4321:4321::{place.home}:/bin/sh\n")
    before = f"mount --bind {place.path}/passwd /etc/passwd"
    user = "4321:4321" if home == "none" else "somebody"
    if home in ("writable", "empty", "occupied"):
        os.chown(place.home, 4321, 4321)
    if home == "occupied":
        (place.home / ".claude.json").write_text("{}")
    if home == "empty":
        (place.home / ".claude").mkdir()
        os.chown(place.home / ".claude", 4321, 4321)
    code, out, err = place.run([], "--user", user, script=HOOK, before=before if home != "none" else "true")
    assert (code, out) == (0, "guard=2\n"), err
    assert "name what is not there" not in err


def test_what_an_unwritable_home_has_is_still_there(place):
    fill(place.store)
    (place.home / ".gitconfig").write_text("[user]\nname = Somebody\n")
    (place.path / "passwd").write_text(f"root:x:0:0::/root:/bin/sh\nsomebody:x:4321:4321::{place.home}:/bin/sh\n")
    code, out, err = place.run([], "--user", "somebody", script='cat ~/.gitconfig; echo x > ~/new && echo written',
                               before=f"mount --bind {place.path}/passwd /etc/passwd")
    assert (code, out) == (0, "[user]\nname = Somebody\nwritten\n"), err
    assert sorted(path.name for path in place.home.iterdir()) == [".gitconfig"]


def test_a_hook_that_is_not_there_is_told(host):
    host.put(login("stored"))
    for command in ("~/.claude/hooks/guard.sh", f"{host.path}/gone/.claude/hooks/guard.sh --strict",
                    "bash \"$HOME\"/.claude/hooks/guard.sh"):
        (host.store / "settings.json").write_text(settings(command))
        status, out, err = host.session("run", "echo started")
        assert (status, out) == (0, "started\n")
        assert "a hook that is not found stops nothing" in err and "guard.sh" in err
    # With the login alone come settings that call what does not come.
    (host.store / "hooks").mkdir()
    (host.store / "hooks/guard.sh").write_text(GUARD)
    (host.store / "settings.json").write_text(settings("$CLAUDE_CONFIG_DIR/hooks/guard.sh"))
    assert host.session("run", "true")[2] == ""
    assert "guard.sh" in host.session("run", "true", "--copy", "login")[2]
    # A rule is no command.
    (host.store / "settings.json").write_text('{"permissions": {"deny": ["Read(~/.claude/private/**)"]}}')
    assert host.session("run", "true") == (0, "", "")


def outside(host, name, text="FAKE deny rules"):
    """A file elsewhere that a link in the store leads to."""
    target = host.path / "dotfiles" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    link = host.store / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    return link


@pytest.mark.parametrize("name", ["settings.json", "settings.local.json", "CLAUDE.md"])
def test_rules_that_cannot_be_brought_along_are_a_refusal(host, name):
    host.put(login("stored"))
    outside(host, name, "{}")
    status, out, err = host.session("run", "echo started")
    assert status != 0 and out == ""
    assert name in err and f"--exclude {name}" in err
    assert host.copies() == []
    status, out, err = host.session("run", f'test ! -e "$CLAUDE_CONFIG_DIR/{name}" && echo without', "--exclude", name)
    assert (status, out, err) == (0, "without\n", "")
    status, out, err = host.session("run", f'cat "$CLAUDE_CONFIG_DIR/{name}"', "--include", name)
    assert (status, out, err) == (0, "{}", "")


def test_other_links_that_lead_outside_are_named(host):
    host.put(login("stored"))
    outside(host, "agents/reviewer.md")
    status, out, err = host.session("run", "echo started")
    assert (status, out) == (0, "started\n")
    assert "agents/reviewer.md" in err and "points outside" in err


def capture(host, source, *options):
    done = subprocess.run([BINARY, "capture", "--from", source, "--store", host.store, *options], env=host.environment,
                          capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


def linked_state(host):
    """As a dotfile manager and a skill installer leave it."""
    state = host.path / "state"
    (state / "skills").mkdir(parents=True)
    (state / ".credentials.json").write_text(login("a"))
    skill = host.path / "skills/writing"
    (skill / "deep").mkdir(parents=True)
    (skill / "SKILL.md").write_text("skill")
    (skill / "deep/more.md").write_text("more")
    (skill / "out").symlink_to("/etc/hostname")
    (state / "skills/writing").symlink_to("../../skills/writing")
    (host.path / "dotfiles").mkdir()
    (host.path / "dotfiles/settings.json").write_text('{"deny": 1}')
    (state / "settings.json").symlink_to("../dotfiles/settings.json")
    (state / "everything").symlink_to(host.path)
    return state


def test_a_capture_takes_what_links_lead_to_where_it_is_asked_to(host):
    state = linked_state(host)
    status, said = capture(host, state)
    assert status != 0 and "--include settings.json" in said
    assert not (host.store / "settings.json").exists()
    status, said = capture(host, state, "--exclude", "settings.json")
    assert status == 0, said
    status, said = capture(host, state, "--include", "settings.json", "--include", "skills/*", "--include", "everything")
    assert status == 0, said
    assert (host.store / "settings.json").read_text() == '{"deny": 1}'
    assert not (host.store / "settings.json").is_symlink()
    assert (host.store / "skills/writing/SKILL.md").read_text() == "skill"
    assert (host.store / "skills/writing/deep/more.md").read_text() == "more"
    assert not os.path.lexists(host.store / "skills/writing/out"), "behind a link no other one is followed"
    assert not os.path.lexists(host.store / "everything"), "it has the state itself in it"
    assert "everything" in said


def test_nobody_elses_files_are_taken_through_a_link(host):
    if os.geteuid() != 0:
        pytest.skip("gives files away")
    state = linked_state(host)
    os.chown(host.path / "dotfiles/settings.json", 4321, 4321)
    status, said = capture(host, state, "--include", "settings.json")
    assert status != 0 and "belongs to uid 4321" in said
    assert not (host.store / "settings.json").exists()


def test_setup_saves_what_a_session_has_linked(host):
    dotfiles = host.path / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "settings.json").write_text('{"deny": 1}')
    status, _, err = host.session("setup", f'put a; ln -s {dotfiles}/settings.json "$CLAUDE_CONFIG_DIR/settings.json"; '
                                           f'ln -s {host.store} "$CLAUDE_CONFIG_DIR/mirror"; '
                                           f'ln -s {host.store}/.credentials.json "$CLAUDE_CONFIG_DIR/token"')
    assert status == 0, err
    assert (host.store / "settings.json").read_text() == '{"deny": 1}'
    for name in ("mirror", "token"):
        assert not os.path.lexists(host.store / name), "the store itself is not taken into it"


def test_history_stays_where_it_is_and_what_is_not_known_comes(host):
    host.put(login("stored"))
    for name in ("projects/-w/1.jsonl", "todos/1.json", "file-history/x/y", "plans/a.md", "tasks/1", "statsig/x",
                 "shell-snapshots/x", "history.jsonl", "cache/x"):
        path = host.store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    for name in ("CLAUDE.md", "agents/a.md", "commands/c.md", "skills/s/SKILL.md", "plugins/p/x", "hooks/h", "rules/r.md",
                 "not-known-yet/x"):
        path = host.store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    (host.store / "settings.json").write_text("{}")
    (host.store / ".claude.json").write_text("{}")
    listing = 'cd "$CLAUDE_CONFIG_DIR" && find . -type f | cut -d/ -f2 | sort -u'
    _, out, _ = host.session("run", listing)
    assert out.split() == sorted([".claude.json", ".credentials.json", "CLAUDE.md", "agents", "commands", "hooks",
                                  "not-known-yet", "plugins", "rules", "settings.json", "skills"])
    _, out, _ = host.session("run", listing, "--copy", "all")
    assert {"projects", "todos", "file-history", "plans", "tasks", "statsig", "history.jsonl"} <= set(out.split())
    assert "cache" not in out.split()
    _, out, _ = host.session("run", listing, "--include", "projects/-w")
    assert "projects" in out.split()


def test_the_memory_of_the_directory_comes_along(host, tmp_path):
    from sessions import project
    host.put(login("stored"))
    for name in (project(), "-another"):
        memory = host.store / "projects" / name / "memory"
        memory.mkdir(parents=True)
        (memory / "MEMORY.md").write_text(name)
        (memory.parent / "1.jsonl").write_text("{}")
    _, out, err = host.session("run", 'cd "$CLAUDE_CONFIG_DIR/projects" && find . -type f')
    assert (out, err) == (f"./{project()}/memory/MEMORY.md\n", "")


def test_rules_that_cannot_be_published_are_told(host):
    host.put(login("stored"))
    outside(host, "settings.json", "{}")
    published = host.path / "published"
    published.mkdir()
    publish(host.store, published, host.environment, host.keeper_log)
    assert (published / ".credentials.json").exists()
    assert "settings.json" in host.keeper_said() and "points outside" in host.keeper_said()
