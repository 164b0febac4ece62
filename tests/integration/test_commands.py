"""capture, restore and history: a store by hand."""

import json
import subprocess

import pytest
from keeping import publish
from places import place  # noqa: F401  pylint: disable=unused-import
from sessions import login


def test_a_state_goes_into_a_store_and_back(place):
    place.fill()
    status, _, err = place.capture()
    assert status == 0, err
    assert place.stored()["refreshToken"].endswith("FAKEa")
    assert (place.store / ".claude.json").exists(), "it lies beside ~/.claude, and in the store inside"
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "new")
    assert status == 0, err
    assert "Restored 3 files" in err, err
    restored = json.loads((place.path / "new/.credentials.json").read_text())["claudeAiOauth"]
    assert "refreshToken" not in restored and "refresh token" in err
    assert (place.path / "new/projects/x.jsonl").read_text() == "one\n"
    assert (place.path / "new/.claude.json").exists()


def test_with_json_a_capture_and_a_restore_tell_a_program_what_became_of_the_login_and_the_files(place):
    place.fill()
    status, out, err = place.capture("--json")
    told = json.loads(out)
    assert status == 0 and "Saved the login" in err
    assert (told["store"], told["from"]) == (str(place.store), str(place.config))
    assert told["login"] == {"outcome": "saved", "state": "usable"} and told["skipped"] == []
    assert told["files"]["added"] == 3 and told["files"]["bytes"] > 0
    assert json.loads(place.capture("--format=json")[1])["login"]["outcome"] == "unchanged"
    status, out, err = place.run("restore", "--store", place.store, "--to", place.path / "new", "--json")
    told = json.loads(out)
    assert status == 0 and "Restored 3 files" in err
    assert told["login"] == {"restored": True, "state": "usable"} and told["files"]["restored"] == 3
    assert place.capture()[1] == "", "without it standard output stays empty"
    (place.config / ".credentials.json").unlink()
    status, out, _ = place.run("capture", "--from", place.config, "--store", place.path / "other", "--json")
    assert (status, json.loads(out)["login"]) == (67, {"outcome": "none", "state": "missing"})


def test_the_refresh_token_is_handed_on_only_where_that_is_asked_for(place):
    place.fill()
    assert place.capture()[0] == 0
    to = place.path / "new"
    status, _, err = place.run("restore", "--store", place.store, "--to", to, "--refresh-token=copy")
    assert status == 0, err
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "one", "--generation", "1",
                               "--exclude", ".claude.json")
    assert status == 0 and "Restored 1 file (" in err, err
    assert (to / ".credentials.json").read_text() == (place.config / ".credentials.json").read_text()


@pytest.mark.parametrize("text, expected, told", [
    (None, 67, "no login was restored: missing: no login yet"),
    ("", 65, "no login was restored: empty: "), ('{"claudeAiOauth":{"accessT', 65, "no login was restored: malformed: "),
    ("{}", 67, "no login was restored: missing: "),
    (login("a", left=-60, refresh=False), 68, "the login that was restored cannot be used: expired: ")],
    ids=["missing", "empty", "cut-off", "none-in-it", "expired"])
def test_a_store_without_a_login_is_restored_and_said_with_its_status(place, text, expected, told):
    place.store.mkdir()
    (place.store / "settings.json").write_text("{}")
    if text is not None:
        (place.store / ".credentials.json").write_text(text)
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "new")
    assert status == expected, err
    assert told in err
    assert "→ " in err and "without its refresh token" not in err
    assert (place.path / "new/settings.json").exists()
    # Who does not want it is not told of it.
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "other", "--exclude", ".credentials.json")
    assert (status, "→" in err, "no login" in err) == (0, False, False), err


def test_a_login_whose_access_token_has_ended_is_of_no_use_without_its_refresh_token(place):
    place.store.mkdir()
    (place.store / ".credentials.json").write_text(login("a", left=-60))
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "new")
    assert status == 68 and "the login that was restored cannot be used: it is expired" in err
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "with", "--refresh-token=copy")
    assert status == 0, err


def test_a_better_login_that_stays_is_no_failure(place):
    place.store.mkdir()
    (place.store / ".credentials.json").write_text(login("old", left=-60, refresh=False))
    (place.path / "new").mkdir()
    (place.path / "new/.credentials.json").write_text(login("better"))
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "new")
    assert status == 0 and "a better login is in its place and is kept" in err, err
    assert "better" in (place.path / "new/.credentials.json").read_text()


def test_what_is_to_be_typed_for_the_refresh_token_is_shown(place):
    place.fill()
    assert place.capture()[0] == 0
    err = place.run("restore", "--store", place.store, "--to", place.path / "new")[2]
    assert "(--refresh-token=copy hands it on)" in err


def test_an_earlier_login_that_cannot_be_used_is_said_by_its_state(place):
    for text in ("", login("a")):
        (place.config / ".credentials.json").write_text(text)
        (place.config / "settings.json").write_text(json.dumps({"x": text}))
        place.capture()
    dead = place.store / ".claude-init/generations/1/.credentials.json"
    dead.write_text("")
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "new", "--generation", "1")
    assert status == 65, err
    assert "no login was restored: it is empty" in err


def test_a_home_directorys_settings_go_back_beside_it(place):
    place.fill()
    assert place.capture()[0] == 0
    (place.path / "other").mkdir()
    assert place.run("restore", "--store", place.store, "--to", place.path / "other/.claude")[0] == 0
    assert (place.path / "other/.claude.json").exists()
    assert not (place.path / "other/.claude/.claude.json").exists()


def test_a_plain_copy_of_a_configuration_directory_is_migrated(place):
    hub = place.path / "claude-hub"
    hub.mkdir()
    (hub / ".credentials.json").write_text(login("hub"))
    (hub / ".claude.json").write_text('{"inside":1}')
    (place.path / ".claude.json").write_text('{"somebody":"else"}')
    status, _, err = place.run("capture", "--from", hub, "--store", place.store)
    assert status == 0, err
    assert place.stored()["accessToken"].endswith("FAKEhub")
    assert json.loads((place.store / ".claude.json").read_text()) == {"inside": 1}


def test_a_worse_login_is_kept_out_with_a_status_of_its_own_and_the_rest_is_captured(place):
    place.fill()
    assert place.capture()[0] == 0
    for number, (worse, expected) in enumerate([(login("older", left=60), 76), (login("other", left=9000, account="2"), 76),
                                                (login("spent", left=9000, refresh=False), 76), ("", 65)]):
        (place.config / ".credentials.json").write_text(worse)
        (place.config / f"projects/{number}").write_text("two\n")
        status, _, err = place.capture()
        assert status == expected, err
        assert "was kept" in err
        assert place.stored()["accessToken"].endswith("FAKEa")
        assert (place.store / f"projects/{number}").exists()


def test_an_empty_source_loses_nothing(place):
    place.fill()
    assert place.capture()[0] == 0
    before = sorted(str(path) for path in place.store.rglob("*") if ".claude-init" not in path.parts)
    empty = place.path / "empty"
    empty.mkdir()
    for words in ([], ["--delete"]):
        status, _, err = place.run("capture", "--from", empty, "--store", place.store, *words)
        assert status == 0, err
        assert sorted(str(path) for path in place.store.rglob("*") if ".claude-init" not in path.parts) == before


def test_only_delete_deletes_and_never_a_login(place):
    place.fill()
    assert place.capture()[0] == 0
    (place.config / "projects/x.jsonl").unlink()
    (place.config / "projects/z.jsonl").write_text("three\n")
    (place.config / ".credentials.json").unlink()
    assert place.capture()[0] == 0
    assert (place.store / "projects/x.jsonl").exists()
    status, _, err = place.capture("--delete")
    assert status == 0, err
    assert not (place.store / "projects/x.jsonl").exists()
    assert place.stored()["accessToken"].endswith("FAKEa")


def test_nonsense_is_refused_and_says_what_to_do(place):
    place.fill()
    assert place.capture()[0] == 0
    (place.path / "file").write_text("x")
    inside = place.store / "inside"
    inside.mkdir()
    for words, expected in [
            (["capture"], "write --from"),
            (["restore"], "write --to"),
            (["capture", "--from", place.store, "--store", place.store], "same directory"),
            (["capture", "--from", inside, "--store", place.store], "one lies in the other"),
            (["restore", "--to", inside, "--store", place.store], "one lies in the other"),
            (["capture", "--from", place.home, "--store", place.config], "one lies in the other"),
            (["capture", "--from", place.path / "none", "--store", place.store], "is not there"),
            (["capture", "--from", place.path / "file", "--store", place.store], "is not a directory"),
            (["restore", "--to", place.path / "file", "--store", place.store], "is not a directory"),
            (["restore", "--to", place.path / "a/b", "--store", place.store], "a directory that is there"),
            (["capture", "--from", place.home, "--store", place.store], "--from"),
            (["restore", "--to", place.path / "x", "--store", place.store, "--generation", "99"], "history"),
            (["capture", "--from", place.config, "--store", place.store, "--max-bytes", "many"], "16G"),
            (["capture", "--from", place.config, "--store", place.store, "--keep-generations", "0"], "from 1"),
            (["capture", "--from", place.config, "--store", place.store, "--locking", "magic"], "flock or lease"),
            (["capture", "--from", place.config, "--store", place.store, "word"], "takes no command")]:
        status, _, err = place.run(*words)
        assert status == 64, (words, err)
        assert expected in err, words
    assert place.run("restore", "--store", place.path / "none", "--to", place.path / "x")[0] == 66
    assert not (place.path / "x").exists()


def test_a_store_that_is_not_there_is_said_with_what_to_do(place):
    (place.path / "file").write_text("x")
    for command in (["history"], ["restore", "--to", place.path / "x"]):
        status, _, err = place.run(*command, "--store", place.path / "none")
        assert status == 66 and "No such file" in err, err
        assert "say where it is: --store DIR" in err and f"claude-init setup --store {place.path}/none" in err, err
        status, _, err = place.run(*command, "--store", place.path / "file")
        assert status == 66 and "name the directory that holds the login, not a file of it" in err, err


def test_what_can_be_typed_names_the_store(place):
    log_in = {"CLAUDE_INIT_LOGIN_COMMAND": "type setup {name}"}
    assert "type setup none" in place.run("history", "--store", place.path / "none", **log_in)[2]
    assert "type setup none" in place.run("health", "--store", place.path / "none", **log_in)[1]


def test_a_source_without_a_login_is_named_with_what_to_do(place):
    (place.config / "settings.json").write_text("{}")
    status, _, err = place.capture()
    assert err.startswith("claude-init: warning: "), "as in the log"
    assert status == 67 and f"No login was captured: that in {place.config} is missing" in err, err
    assert "--from" in err and "log in first" in err, err


@pytest.mark.parametrize("name", ["health", "setup", "run"])
def test_a_user_that_is_not_there_is_a_wrong_setting(place, name):
    place.store.mkdir()
    command = ["--", "true"] if name != "health" else []
    status, _, err = place.run(name, "--store", place.store, "--user", "nobody-here", *command)
    assert status == 64 and "there is no user 'nobody-here' here" in err, err
    status, _, err = place.run(name, "--store", place.store, *command, CLAUDE_INIT_USER="nobody-here")
    assert status == 64, err


def test_a_mistyped_variable_is_said(place):
    _, _, err = place.run("health", CLAUDE_INIT_STROE="x")
    assert err.count("nothing reads CLAUDE_INIT_STROE; did you mean CLAUDE_INIT_STORE?") == 1, err
    assert place.run("health", CLAUDE_INIT_STORE=str(place.store))[2] == ""


def test_the_help_names_every_way_to_it(place):
    text = place.run("--help")[1]
    assert "--version" in text and "-h" in text
    text = place.run("run", "--help")[1]
    assert "-h, --help" in text and "$CLAUDE_HUB_DIR" in text and "run --help-all" in text, text
    assert "--remap-exit N:M" not in text and "--remap-exit N:M" in place.run("run", "--help-all")[1]


def test_limits_end_in_a_message_and_an_untouched_store(place):
    place.fill()
    (place.config / "big").write_bytes(b"x" * 100_000)
    for words in (["--max-bytes", "50K"], ["--max-files", "2"], ["--max-depth", "1"]):
        deep = place.config / "projects/a/b"
        deep.mkdir(parents=True, exist_ok=True)
        (deep / "file").write_text("x")
        status, _, err = place.capture(*words)
        assert status == 71 and f"or allow more ({words[0]})" in err, (words, err)
        assert not (place.store / "big").exists() and not (place.store / "projects").exists()


def test_history_lists_logins_with_their_deadlines_and_without_secrets(place):
    for name, left in (("a", 3600), ("b", 7200)):
        place.fill(name, left=left)
        assert place.capture()[0] == 0
    status, out, err = place.run("history", "--store", place.store)
    assert status == 0, err
    assert "capture" in out and "UTC" in out
    status, text, err = place.run("history", "--store", place.store, "--json")
    assert status == 0, err
    generations = json.loads(text)["generations"]
    assert len(generations) >= 2 and generations[-1]["state"] == "usable" and generations[-1]["access_expires_at"]
    assert "FAKE" not in out + text
    first = generations[-2]["generation"]
    status, _, err = place.run("restore", "--store", place.store, "--to", place.path / "old", "--generation", first)
    assert status == 0, err
    assert "FAKEa" in (place.path / "old/.credentials.json").read_text()
    assert "refreshToken" not in (place.path / "old/.credentials.json").read_text()
    assert place.stored()["accessToken"].endswith("FAKEb")


def test_no_more_generations_are_kept_than_asked_for(place):
    for number in range(4):
        place.fill(f"n{number}", left=3600 + number)
        assert place.capture("--keep-generations", 2)[0] == 0
    _, text, _ = place.run("history", "--store", place.store, "--json")
    assert len(json.loads(text)["generations"]) == 2


def test_a_copied_store_takes_captures_says_so_and_is_taken_over(place):
    place.fill()
    assert place.capture()[0] == 0
    copy = place.path / "copy"
    subprocess.run(["cp", "-a", place.store, copy], check=True)
    words = ["capture", "--from", place.config, "--store", copy]
    status, _, err = place.run(*words)
    assert status == 0 and "is a copy" in err and "--adopt" in err
    status, _, err = place.run(*words, "--adopt")
    assert status == 0 and "is a copy" not in err
    status, _, err = place.run(*words)
    assert status == 0 and "is a copy" not in err


def a_directory(path):
    """As an engine makes one where the file that is to be mounted does not exist."""
    path.mkdir()


def a_link_that_leads_outside(path):
    (path.parent.parent / "elsewhere").write_text(login("elsewhere"))
    path.symlink_to("../elsewhere")


def what_no_cli_writes(path):
    path.write_text(" " * (1 << 20) + login("large"))


@pytest.mark.parametrize("make, told", [(a_directory, "is a directory"), (what_no_cli_writes, "larger than 1.0 MiB"),
                                        (a_link_that_leads_outside, "is a link that points outside")])
def test_what_no_login_could_replace_is_told_before_anybody_logs_in(place, make, told):
    place.store.mkdir()
    make(place.store / ".credentials.json")
    status, out, err = place.run("setup", "--store", place.store, "--", "touch", place.path / "begun")
    assert status == 65 and told in err and "mv " in err, (status, out, err)
    assert not (place.path / "begun").exists()
    status, _, err = place.run("run", "--store", place.store, "--", "true")
    assert status == 65 and told in err and "mv " in err, err
    place.fill()
    status, _, err = place.capture()
    assert status == 76 and told in err and "Move that file away" in err, err
    (place.store / ".credentials.json").rename(place.path / "moved")
    assert place.run("setup", "--store", place.store, "--", "touch", place.path / "begun")[0] == 67
    assert (place.path / "begun").exists()


def test_a_login_that_meets_something_unreadable_at_its_end_is_not_lost(place):
    """What the session has saved stays, and the next one saves it."""
    store = place.store / ".credentials.json"
    place.fill("new")
    script = f'cp {place.config}/.credentials.json "$CLAUDE_CONFIG_DIR"; mkdir {store}'
    status, _, err = place.run("setup", "--store", place.store, "--checkpoint", "1h", "--", "sh", "-c", script)
    assert status == 76 and "Move that file away" in err, err
    assert "the next setup saves it" in err, err
    store.rmdir()
    status, _, err = place.run("setup", "--store", place.store, "--", "true")
    assert status == 0 and place.stored()["refreshToken"].endswith("FAKEnew"), err


def test_nothing_is_captured_into_a_published_store(place):
    place.fill()
    assert place.capture()[0] == 0
    published = place.path / "published"
    assert publish(place.store, published, place.environment, place.path / "keeper.log") == 0
    status, _, err = place.run("capture", "--from", place.config, "--store", published)
    assert status == 66 and "is a published store" in err and "the store that it is published from" in err, err
    assert "refreshToken" not in (published / ".credentials.json").read_text()


def test_health_notes_that_a_store_is_a_copy(place):
    place.fill()
    assert place.capture()[0] == 0
    assert "copy" not in place.run("health", "--store", place.store)[1]
    subprocess.run(["cp", "-a", place.store, place.path / "copy"], check=True)
    status, out, _ = place.run("health", "--store", place.path / "copy")
    assert status == 0 and "note: this login is not renewed: " in out and "setup --adopt" in out, out
    (place.store / ".claude-init/id").unlink()
    (place.store / ".claude-init/id").mkdir()
    assert "is not renewed" not in place.run("health", "--store", place.store)[1]


def test_who_says_how_to_log_in_says_how_to_go_on(place):
    place.fill()
    command = ["setup", "--store", place.store, "--", "sh", "-c", f'cp {place.config}/.credentials.json "$CLAUDE_CONFIG_DIR"']
    for variables, said in (({}, True), ({"CLAUDE_INIT_LOGIN_COMMAND": "./login"}, False)):
        status, _, err = place.run(*command, **variables)
        assert status == 0 and ("Use it:" in err) is said and "take it over" not in err, err


def test_owner_and_modes_of_a_store(place):
    place.fill()
    assert place.capture("--store-mode", "group", "--store-owner", "1000:1001")[0] == 0
    for path, mode in ((place.store, 0o2750), (place.store / ".credentials.json", 0o640)):
        found = path.stat()
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (mode, 1000, 1001), path
    status, _, err = place.capture("--store-owner", "nobody-of-that-name")
    assert status == 64, err


def test_each_option_has_a_variable(place):
    place.fill()
    status, _, err = place.run("capture", CLAUDE_INIT_FROM=str(place.config), CLAUDE_INIT_STORE=str(place.store))
    assert status == 0, err
    status, out, err = place.run("history", CLAUDE_INIT_STORE=str(place.store), CLAUDE_INIT_JSON="1")
    assert status == 0 and json.loads(out), err
