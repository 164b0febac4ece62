"""src/store/names.cpp knows every name that the real CLI writes at the top of its configuration directory."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from harness import RIG, clean_environment
from native import find_cli

TABLE = Path(__file__).parents[2] / "src/store/names.cpp"

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a network namespace needs root")


@pytest.fixture
def cli():
    if not any(os.environ.get(name) for name in ("CLAUDE_INIT_E2E_CLI", "CLAUDE_INIT_E2E_ENGINE")):
        pytest.skip("CLAUDE_INIT_E2E_CLI names no CLI")
    return find_cli()


def test_the_cli_writes_no_name_that_the_table_does_not_know(cli, tmp_path):
    known = set(re.findall(r'KnownName\{"([^"]+)"', TABLE.read_text()))
    assert len(known) > 50
    config = tmp_path / "config"
    config.mkdir()
    script = f"""curl --silent --cacert "$RIG_CA" -X POST "$RIG_URL/_admin/mint" > {config}/.credentials.json
        export CLAUDE_CONFIG_DIR={config} NODE_EXTRA_CA_CERTS=$RIG_CA; cd {tmp_path}
        {cli} --print hello; {cli} --print --continue again; {cli} auth status; {cli} mcp list; {cli} plugin list"""
    done = subprocess.run([RIG / "with-endpoint", "bash", "-c", script], env=clean_environment(tmp_path), text=True,
                          capture_output=True, timeout=300, check=False)
    written = {path.name for path in config.iterdir()}
    assert "projects" in written, (written, done.stdout, done.stderr)
    ignored = re.compile(r".*\.lock(\.owner)?$|.*\.tmp\..*")
    assert {name for name in written if not ignored.fullmatch(name)} <= known
