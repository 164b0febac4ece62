"""The packages of a release: the same bytes from two directories at two times, and what is in them."""

import hashlib
import json
import os
import shutil
import subprocess

import pytest
from clone import Clone
from skips import needed

VERSION = "9.8.7"
EXAMPLES = "usr/share/doc/claude-init/examples/"


def run(*words, **more):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True, **more).stdout


@pytest.fixture(scope="module", name="releases")
def fixture_releases(tmp_path_factory):
    """Two of them, of the same commit."""
    needed("cmake", "ninja", "g++", "dpkg-deb")
    clones = [Clone(tmp_path_factory.mktemp("release") / name, VERSION) for name in ("one", "another/directory")]
    for clone in clones:
        done = clone.release()
        assert done.returncode == 0, done.stderr
    # For the tests that install it on a bare Debian.
    if kept := os.environ.get("CLAUDE_INIT_PACKAGE"):
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(clones[0].path / "dist", kept)
    return [clone.path / "dist" for clone in clones]


@pytest.fixture(name="deb")
def fixture_deb(releases):
    return next(releases[0].glob("*.deb"))


def test_two_builds_have_the_same_bytes(releases):
    one, other = ({path.name: path.read_bytes() for path in dist.iterdir()} for dist in releases)
    architecture = run("dpkg", "--print-architecture").strip()
    assert set(one) == set(other) == {
        f"claude-init_{VERSION}_{architecture}.deb", f"claude-init-{VERSION}-linux-{architecture}.tar.gz",
        f"claude-init-{VERSION}-linux-{architecture}.spdx.json", f"CHANGELOG-{VERSION}.md", "SHA256SUMS"}
    assert [name for name in one if one[name] != other[name]] == []


def test_the_sums_and_the_changelog_are_right(releases):
    sums = dict(reversed(line.split("  ")) for line in (releases[0] / "SHA256SUMS").read_text().splitlines())
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in releases[0].iterdir()
                    if path.name != "SHA256SUMS"}
    assert (releases[0] / f"CHANGELOG-{VERSION}.md").read_text() == "\n### Added\n- Something.\n\n"


def test_the_sbom_names_each_library_with_its_version_and_licence(releases):
    sbom = json.loads(next(releases[0].glob("*.spdx.json")).read_text())
    packages = {each["name"]: each for each in sbom["packages"]}
    assert packages["claude-init"]["versionInfo"] == VERSION
    for name in ("boost", "cli11", "fmtlib", "gcc", "glibc", "libsodium", "nlohmann-json3"):
        found = next(each for key, each in packages.items() if key.startswith(name))
        assert found["versionInfo"] and found["licenseDeclared"] not in ("", "NOASSERTION")
    linked = {each["relatedSpdxElement"] for each in sbom["relationships"] if each["relationshipType"] == "STATIC_LINK"}
    assert linked == {each["SPDXID"] for each in sbom["packages"]} - {"SPDXRef-claude-init"}


def test_lintian_has_nothing_against_the_package(deb):
    needed("lintian")
    done = subprocess.run(["lintian", "--fail-on=warning", *(["--allow-root"] if os.geteuid() == 0 else []), deb],
                          capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def files_of(text):
    return {line.split(None, 5)[5].removeprefix("./") for line in text.splitlines() if not line.startswith("d")}


def test_the_package_has_what_one_needs_and_depends_on_nothing(deb, tmp_path):
    assert run("dpkg-deb", "--field", deb, "Depends").strip() == ""
    files = files_of(run("dpkg-deb", "--contents", deb))
    assert {"usr/bin/claude-init", "usr/share/man/man1/claude-init.1.gz", "usr/share/man/man1/claude-init-run.1.gz",
            "usr/share/bash-completion/completions/claude-init", "usr/share/zsh/vendor-completions/_claude-init",
            "usr/share/fish/vendor_completions.d/claude-init.fish", "usr/lib/systemd/system/claude-init-keep@.service",
            "usr/libexec/claude-init/hooks/webhook", "usr/libexec/claude-init/hooks/kubernetes-secret",
            "usr/share/doc/claude-init/copyright", EXAMPLES + "compose.yaml", EXAMPLES + "webhook/README.md",
            EXAMPLES + "deploy/gateway/Dockerfile", EXAMPLES + "deploy/gateway/gateway",
            EXAMPLES + "deploy/systemd/seal-key.conf"} <= files
    run("dpkg-deb", "--extract", deb, tmp_path)
    told = run(tmp_path / "usr/bin/claude-init", "--version").splitlines()
    commit = run("git", "rev-parse", "--short=12", "HEAD", cwd=deb.parents[1]).strip()
    assert told[0] == f"claude-init {VERSION} ({commit})" and any(line.startswith("Boost 1.") for line in told)
    assert os.fsencode(deb.parents[1]) not in (tmp_path / "usr/bin/claude-init").read_bytes()
    assert os.access(tmp_path / EXAMPLES / "deploy/gateway/gateway", os.X_OK)


def verify(unit, manuals):
    environment = {"PATH": os.environ["PATH"], "MANPATH": str(manuals), "LC_ALL": "C.UTF-8"}
    verified = subprocess.run(["systemd-analyze", "verify", unit], env=environment, capture_output=True, text=True,
                              check=False, timeout=120)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_unit_is_one_and_is_confined(deb, tmp_path):
    needed("systemd-analyze", "man")
    run("dpkg-deb", "--extract", deb, tmp_path)
    unit = (tmp_path / "usr/lib/systemd/system/claude-init-keep@.service").read_text()
    # As it would be installed, but for where: what it names has to be there, and its man page to be found.
    instance = tmp_path / "claude-init-keep@root.service"
    instance.write_text(unit.replace("=claude-init ", f"={tmp_path}/usr/bin/claude-init "))
    verify(instance, tmp_path / "usr/share/man")
    # In tenths: up to 2.4 is OK.
    run("systemd-analyze", "security", "--offline=true", "--threshold=24", instance, timeout=120)


def test_the_archive_has_the_same_files_beneath_one_directory(releases, deb):
    archive = next(releases[0].glob("*.tar.gz"))
    name = archive.name.removesuffix(".tar.gz")
    files = files_of(run("tar", "--list", "--verbose", "--gzip", "--file", archive))
    installed = {file.removeprefix("usr/").replace("zsh/vendor-completions", "zsh/site-functions")
                 for file in files_of(run("dpkg-deb", "--contents", deb))}
    doc = "share/doc/claude-init/"
    assert {file.removeprefix(name + "/") for file in files} == \
        installed - {doc + "changelog.gz", "share/lintian/overrides/claude-init"} | {doc + "LICENSE", doc + "INSTALL"}


def test_the_archive_names_no_place_that_it_has_to_be_in(releases, tmp_path):
    archive = next(releases[0].glob("*.tar.gz"))
    run("tar", "--extract", "--gzip", "--strip-components=1", "--file", archive, "--directory", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"bin", "lib", "libexec", "share"}
    unit = (tmp_path / "lib/systemd/system/claude-init-keep@.service").read_text()
    assert "\nExecStart=claude-init keep\n" in unit and "/usr/bin/claude-init" not in unit


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_is_installed_is_gone_when_it_is_removed(deb, tmp_path):
    root = tmp_path / "root"
    (root / "var/lib/dpkg/updates").mkdir(parents=True)
    (root / "var/lib/dpkg/info").mkdir()
    for name in ("status", "available"):
        (root / "var/lib/dpkg" / name).touch()
    dpkg = ["dpkg", f"--root={root}", "--log=/dev/null"]
    run(*dpkg, "--install", deb)
    assert run(root / "usr/bin/claude-init", "--version").startswith(f"claude-init {VERSION}")
    run(*dpkg, "--purge", "claude-init")
    assert not any(path.is_file() for path in root.rglob("*") if "var/lib/dpkg" not in str(path))
