"""What the keeper's ready-made hooks read: curl's settings are theirs alone."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

HOOKS = Path(__file__).resolve().parents[2] / "deploy/hooks"


@pytest.fixture
def server():
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(20)
        yield server


def call(script, tmp_path, **environment):
    return subprocess.Popen([HOOKS / script], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **environment})


def url(server):
    return f"http://127.0.0.1:{server.getsockname()[1]}/FAKEsecret"


def test_a_curlrc_of_somebody_elses_is_not_read(tmp_path, server):
    stolen = tmp_path / "stolen"
    (tmp_path / ".curlrc").write_text(f'dump-header = "{stolen}"\nheader = "X-Planted: yes"\n')
    hook = call("webhook", tmp_path, CLAUDE_INIT_WEBHOOK_URL=url(server))
    client, _ = server.accept()
    with client:
        request = client.recv(65536)
        client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    said = hook.communicate(timeout=40)[1]
    assert hook.returncode == 0, said
    assert b"X-Planted" not in request and not stolen.exists()


@pytest.mark.parametrize("line", ['\noutput = "{}"', '\r\noutput = "{}"'])
def test_a_second_line_in_the_urls_file_is_no_setting(tmp_path, server, line):
    stolen = tmp_path / "stolen"
    (tmp_path / "url").write_text(url(server) + line.format(stolen))
    (tmp_path / "url").write_text((tmp_path / "url").read_text().replace('"', ""))  # a quote is refused anyway
    hook = call("webhook", tmp_path, CLAUDE_INIT_WEBHOOK_URL_FILE=str(tmp_path / "url"))
    said = hook.communicate(timeout=60)[1]
    assert hook.returncode == 64 and "second line" in said, said
    assert "FAKEsecret" not in said and not stolen.exists()


def test_each_call_of_curl_begins_with_q():
    """The other hook speaks TLS to the API server only, so its calls are read."""
    for script in ("webhook", "kubernetes-secret"):
        text = (HOOKS / script).read_text()
        calls = [word for word in text.replace("$(", " ").split("curl ")[1:] if word.startswith("-")]
        assert calls and all(word.startswith("-q ") for word in calls), script
