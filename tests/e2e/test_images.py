"""What the images are, and are not."""

import json
import re
import subprocess

import pytest
from harness import TOP

IMAGES = {"claude-setup": "Dockerfile.claude-setup", "claude-runtime": "Dockerfile.runtime"}


@pytest.fixture(params=IMAGES)
def image(request):
    return request.param


def configuration(docker, image):
    return json.loads(docker("image", "inspect", image).stdout)[0]["Config"]


def in_image(docker, image, script):
    return docker("run", "--rm", "--network=none", "--entrypoint=", image, "bash", "-c", script).stdout.strip()


def test_entrypoint_is_claude_init_and_takes_the_command(docker):
    assert configuration(docker, "claude-setup")["Entrypoint"] == ["claude-init", "setup", "--"]
    assert configuration(docker, "claude-runtime")["Entrypoint"] == ["claude-init", "run", "--"]


def test_health_is_asked_of_claude_init(docker, image):
    assert configuration(docker, image)["Healthcheck"]["Test"] == ["CMD", "claude-init", "health"]


def test_nothing_of_a_login_is_baked_in(docker, image):
    assert not configuration(docker, image).get("Volumes")
    assert in_image(docker, image, "ls -d /home/node/.claude* /root/.claude* /claude-auth 2>/dev/null || echo none") == "none"


def test_binary_is_static_and_small(docker, image):
    assert int(in_image(docker, image, "stat -c %s /usr/local/bin/claude-init")) <= 3.25 * 1024 * 1024
    assert "not a dynamic executable" in in_image(docker, image, "ldd /usr/local/bin/claude-init 2>&1 || :")
    assert in_image(docker, image, "claude-init --version").startswith("claude-init ")


def test_cli_is_the_pinned_one_in_both_places(docker, image):
    pinned = re.search(r"^ARG CLAUDE_CODE_VERSION=(\S+)$", (TOP / IMAGES[image]).read_text(), re.MULTILINE)[1]
    versions = in_image(docker, image, "claude --version; /usr/local/share/npm-global/bin/claude --version")
    assert versions.splitlines() == [f"{pinned} (Claude Code)"] * 2


def test_user_node_is_there_and_only_setup_has_sudo(docker, image):
    assert in_image(docker, image, "id -u node") == "1000"
    assert in_image(docker, image, "stat -c %U /workspace") == "node"
    assert in_image(docker, image, "command -v sudo || echo none") == (
        "/usr/bin/sudo" if image == "claude-setup" else "none")
    assert in_image(docker, image, "command -v git") == "/usr/bin/git"


def test_a_keeper_of_any_user_can_publish_and_post_in_the_runtime_image(docker):
    script = "stat -c %a /claude-published; claude-webhook 2>&1 || echo $?; curl --version | head -c 4"
    assert in_image(docker, "claude-runtime", script).splitlines() == [
        "1777", "webhook: set CLAUDE_INIT_WEBHOOK_URL or CLAUDE_INIT_WEBHOOK_URL_FILE", "64", "curl"]


def test_images_share_the_stages_that_cost_time():
    def shared(name):
        text = (TOP / name).read_text()
        return text[text.index("ARG BUILD_IMAGE"):text.index("FROM cli\n")]

    assert shared("Dockerfile.claude-setup") == shared("Dockerfile.runtime")


def test_images_hold_the_same_binary(docker):
    digests = {in_image(docker, image, "sha256sum </usr/local/bin/claude-init") for image in IMAGES}
    assert len(digests) == 1


def test_any_builder_can_build_them():
    """Docker 20.10, Debian 12's, has BuildKit only where that is asked for."""
    for name in IMAGES.values():
        assert not re.search(r"^(COPY|ADD|RUN) .*--(chmod|mount|link)\b", (TOP / name).read_text(), re.MULTILINE), name


def test_documents_name_no_syntax_image():
    """A `# syntax` line would need a registry."""
    found = subprocess.run(["grep", "-lE", "^# *syntax *=", *IMAGES.values()], cwd=TOP, capture_output=True, check=False)
    assert found.returncode == 1
