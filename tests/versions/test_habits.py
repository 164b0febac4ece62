"""What claude-init relies on besides the renewal."""

from clis import number
from habits import expired_copy, login_from_variables


def test_a_copy_without_refresh_token_is_left_alone_past_its_end(machine, version):
    ended = expired_copy(machine, version)
    assert ended.status != 0
    assert not ended.asked and not ended.spent and not ended.blanked, ended


def test_a_login_from_variables_is_saved_in_the_configuration_directory(machine, version):
    if number(version) < (2, 1, 100):
        return  # it has no such command
    ended = login_from_variables(machine, version)
    assert ended.status == 0, ended
    assert ended.login.get("refreshToken"), ended
