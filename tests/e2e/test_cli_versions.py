"""CLAUDE_CODE_VERSION: each version that claude-init knows makes an image that renews a login, and an unknown one makes none."""

import subprocess

import pytest
from harness import ANSWER, TOP

VERSIONS = (TOP / "src/cli/versions").read_text(encoding="ascii").split()


@pytest.fixture(scope="module", name="binary")
def fixture_binary(docker, tmp_path_factory):
    """The one of the images, so that it is not compiled again for each version."""
    directory = tmp_path_factory.mktemp("binary")
    container = docker("create", "claude-runtime:latest").stdout.strip()
    docker("cp", f"{container}:/usr/local/bin/claude-init", directory / "claude-init")
    docker("rm", container)
    return directory


def build(docker, binary, version):
    return docker("build", "--quiet", f"--build-context=binary={binary}", f"--build-arg=CLAUDE_CODE_VERSION={version}",
                  "--file=Dockerfile.runtime", f"--tag=claude-runtime:{version}", ".", check=False, timeout=1800)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_image_of_each_known_version_renews_and_answers(docker, binary, store, endpoint, version):
    built = build(docker, binary, version)
    assert built.returncode == 0, built.stderr
    try:
        login = endpoint.login(access_left=-60)
        store.put(login)
        volume = f"--volume={store.path}:/claude-auth"
        done = docker.run(endpoint, volume, "--entrypoint=claude-init", f"claude-runtime:{version}", "renew")
        assert (done.returncode, done.stdout[:8]) == (0, "renewed;"), done
        assert store.oauth["refreshToken"] == endpoint.newest(login)["refreshToken"]
        done = docker.run(endpoint, f"{volume}:ro", f"claude-runtime:{version}", "--print", "--model", "haiku", "hello")
        assert (done.returncode, done.stdout) == (0, f"{ANSWER}\n"), done
        done = docker.run(endpoint, f"{volume}:ro", "--entrypoint=claude-init", f"claude-runtime:{version}", "health")
        assert f"Claude Code {version} (tested)" in done.stdout, done
    finally:
        subprocess.run(["docker", "image", "rm", "--force", f"claude-runtime:{version}"], env=docker.environment,
                       capture_output=True, check=False)


def test_a_version_that_is_none_is_refused_when_the_image_is_built(docker, binary):
    built = build(docker, binary, "0.0.1-none")
    assert built.returncode != 0 and "npm install" in built.stderr
