"""What claude-init relies on besides the renewal."""

from habits import (expired_copy, has_auth_command, login_from_variables, names_made, notices_replaced_file,
                    notices_while_running, settings_file)

# Made beside a login and in its directory (src/store/cli_locks.cpp waits for the locks, src/store/names.cpp leaves out
# all of them), X for what changes.
LOCKS = {"config.lock", "config/.oauth_refresh.lock", "config/.storage-write.lock", "config/.claude.json.lock"}
OTHERS = {"config/.credentials.json", "config/.credentials.json.tmp.X", "config/.claude.json", "config/.claude.json.tmp.X.X",
          "config/.claude.json.backup", "config/backups/.claude.json.backup.X", "config/.oauth_refresh.lock.owner",
          "config/.oauth_refresh.lock.owner.tmp.X"}


def test_a_copy_without_refresh_token_is_left_alone_past_its_end(machine, version):
    ended = expired_copy(machine, version)
    assert ended.status != 0
    assert not ended.asked and not ended.spent and not ended.blanked, ended


def test_a_running_process_asks_with_the_login_that_has_replaced_its_own(machine, version):
    noticed, shown = notices_replaced_file(machine, version)
    assert noticed == notices_while_running(version), shown


def test_only_known_names_are_made_by_a_renewal(machine, version):
    """Others would be captured, published and copied."""
    made = {name for name in names_made(machine, version) if "/plugins/" not in name}
    assert "config.lock" in made  # by which claude-init tells that somebody asked
    assert made <= LOCKS | OTHERS


def test_the_settings_lie_where_claude_init_looks_for_them(machine, version):
    assert settings_file(machine, version) == [{"config/.claude.json"}, {"home/.claude.json"}]


def test_a_login_from_variables_is_saved_in_the_configuration_directory(machine, version):
    if not has_auth_command(version):
        return
    ended = login_from_variables(machine, version)
    assert ended.status == 0, ended
    assert ended.login.get("refreshToken"), ended
