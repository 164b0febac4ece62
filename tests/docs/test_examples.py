"""The examples: each says what it needs and shows that it works, its files are what their programs can read, the options in
them are ours, and what can run here runs, with a script in Claude Code's place."""

import ast
import hashlib
import hmac
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from pages import TOP, lines, links
from skips import needed
from test_options import SUBCOMMANDS, ask, options_in

BINARY = os.environ["CLAUDE_INIT_BINARY"]
PATIENCE = 30    # seconds
EXAMPLES = TOP / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())
WORKFLOWS = sorted((TOP / ".github/workflows").iterdir())
FILES = [path for path in sorted(EXAMPLES.rglob("*")) if path.is_file() and path.suffix not in (".md", ".pyc")] + WORKFLOWS


def name_of(path):
    return str(path.relative_to(TOP))


def text_of(path):
    return path.read_text(encoding="utf-8")


# What each kind of file is. A reader returns the shell's part of it, as (shell, text).

class UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is a mistake."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(map(str, keys))), f"a key stands twice: {keys}"
        return super().construct_mapping(node, deep)


def read_yaml(text):
    document = yaml.load(text, UniqueKeys)
    if "jobs" not in document:    # GitLab's
        return [("sh", "\n".join(job["script"])) for job in document.values()]
    # To YAML 1.1 `on` is true.
    assert set(document) >= {"name", True, "jobs", "permissions"}
    scripts = []
    for name, job in document["jobs"].items():
        assert set(job) >= {"runs-on", "timeout-minutes", "steps"}, name
        assert set(job.get("needs", ())) <= set(document["jobs"]), name
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), step
            # What a stranger can write gets into a script through a variable only.
            assert "${{" not in step.get("run", ""), step
            scripts.append(("bash", step.get("run", "")))
    return scripts


def read_json(text):
    json.loads(re.sub(r"^ *//.*$", "", text, flags=re.MULTILINE))
    return []


def read_toml(text):
    tomllib.loads(text)
    return []


def read_python(text):
    assert ast.get_docstring(ast.parse(text))
    return []


def unit(text):
    """Section → [(key, value)]: systemd's files, whose keys may stand more than once."""
    sections, section = {}, None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if re.fullmatch(r"\[[A-Z]\w+\]", line):
            section = sections.setdefault(line[1:-1], [])
            continue
        key, equals, value = line.partition("=")
        assert section is not None and equals and re.fullmatch(r"[A-Z]\w+", key) and value == value.strip() != "", line
        section.append((key, value))
    return sections


def read_unit(text):
    assert unit(text)
    return []


def read_quadlet(text):
    # podman-systemd.unit(5) of podman 4.6. The generator refuses any other key.
    known = {"Image", "Exec", "Volume", "PublishPort", "ReadOnly", "Tmpfs", "DropCapability", "AddCapability",
             "NoNewPrivileges", "Environment"}
    sections = unit(text)
    assert {key for key, _ in sections.get("Container", ())} <= known
    assert set(sections) <= {"Unit", "Container", "Volume", "Service", "Install"}
    return []


def crontab(text):
    """The commands. Of a % cron makes the end of the line."""
    rows = [line for line in text.splitlines() if line and not re.match(r"#|[A-Z]+=", line)]
    found = [re.fullmatch(r"(?:[\d*/,-]+ +){5}(.+)", row) for row in rows]
    assert rows and all(found) and not any(re.search(r"(?<!\\)%", match[1]) for match in found), rows
    return [match[1] for match in found]


def read_crontab(text):
    return [("sh", command) for command in crontab(text)]


def read_jenkinsfile(text):
    scripts = re.findall(r"sh '''(.*?)'''", text, re.DOTALL)
    depth = 0
    for bracket in re.findall(r"[{}]", re.sub(r"'.*?'|//.*", "", re.sub(r"'''.*?'''", "", text, flags=re.DOTALL))):
        depth += 1 if bracket == "{" else -1
        assert depth >= 0, "a } too many"
    assert scripts and depth == 0, "a { too many"
    return [("sh", script.replace("\\\\", "\\")) for script in scripts]    # as Groovy has them


def instructions(text):
    """(instruction, rest) of a Dockerfile, joined where a backslash ends a line."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE))
    assert "\\" not in re.sub(r"\\.", "", joined), "a backslash that joins nothing"
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def read_dockerfile(text):
    stages, scripts = set(), []
    for instruction, rest in instructions(text):
        assert instruction in {"FROM", "ARG", "RUN", "COPY", "ENV", "HEALTHCHECK", "ENTRYPOINT", "CMD", "EXPOSE"}, instruction
        if match := re.match(r"FROM .* AS (\S+)$", f"{instruction} {rest}"):
            stages.add(match[1])
        if instruction == "RUN":
            scripts.append(("sh", rest))
        if instruction in ("ENTRYPOINT", "CMD"):
            assert all(isinstance(word, str) for word in json.loads(rest)), rest
        if match := re.match(r"COPY --from=(\S+)", f"{instruction} {rest}"):
            assert match[1] in stages | {"claude-runtime"}, rest
    return scripts


READERS = {".yml": read_yaml, ".json": read_json, ".toml": read_toml, ".py": read_python, ".service": read_unit,
           ".timer": read_unit, ".container": read_quadlet, ".volume": read_quadlet, "crontab": read_crontab,
           "Jenkinsfile": read_jenkinsfile, "Dockerfile": read_dockerfile}


def test_there_is_one_of_each_kind():
    assert {path.name for path in FOLDERS} == {"own-image", "devcontainer", "github-actions", "gitlab-runner", "jenkins",
                                               "timer", "webhook", "podman"}
    assert {path.name for path in WORKFLOWS} == {"ci.yml", "release.yml"}


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_it_says_what_it_needs_and_shows_that_it_works(folder):
    readme = folder / "README.md"
    assert folder.name in {target.partition("/")[0] for _, target in links(EXAMPLES / "README.md")}
    sections, heading = {}, None
    for _, line, language in lines(readme):
        if language is None and line.startswith("## "):
            heading = line[3:]
        sections.setdefault(heading, []).append((line, language))
    assert list(sections) == [None, "Needs", "See it work"]
    assert len([line for line, _ in sections["Needs"] if line.startswith("- ")]) == 3
    assert [line for line, language in sections["See it work"] if language == "sh"]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_its_program_can_read_it(path):
    needed("shellcheck")
    for shell, script in READERS[path.suffix or path.name](text_of(path)):
        checked = subprocess.run(["shellcheck", f"--shell={shell}", "-"], input=script, capture_output=True, text=True,
                                 timeout=PATIENCE, check=False)
        assert checked.returncode == 0, checked.stdout + script


HELPED = {name: options_in(ask(name, "--help-all")) for name in SUBCOMMANDS}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_its_options_are_ours(path):
    text = re.sub(r"(^|\s)(?:#|//).*", "", text_of(path), flags=re.MULTILINE)
    # As words: JSON's lists, lines that go on, and quadlet's Exec, which the image's entrypoint stands before.
    text = re.sub(r"\\+\n *", " ", text).replace('", "', " ").replace("Exec=keep", "Exec=claude-init keep")
    for name, rest in re.findall(r"(?<![\w/-])(?:/usr/bin/)?claude-init +([a-z]+)\b([^|&;\n]*)", text):
        assert name in HELPED, f"{name}{rest}"
        assert set(re.findall(r"(?<=\s)--[a-z][a-z-]+", re.split(r" --(?: |\"|$)", rest)[0])) <= HELPED[name], f"{name}{rest}"


def test_images_have_the_version_of_the_others_and_the_targets_that_the_page_names():
    text, wanted = text_of(EXAMPLES / "own-image/Dockerfile"), r"^ARG CLAUDE_CODE_VERSION=(\S+)$"
    assert re.findall(wanted, text, re.MULTILINE) == re.findall(wanted, text_of(TOP / "Dockerfile.runtime"), re.MULTILINE)
    named = re.search(r"for base in (.*); do", text_of(EXAMPLES / "own-image/README.md"))[1].split()
    assert set(named) == set(re.findall(r"^FROM .* AS (\S+)$", text, re.MULTILINE)) - {"cli", "cli-musl"}
    ours = (EXAMPLES / "webhook", re.findall(r"^COPY (?!--)(\S+)", text_of(EXAMPLES / "webhook/Dockerfile"), re.MULTILINE))
    assert ours[1] and all((ours[0] / name).is_file() for name in ours[1])


def test_the_workflows_call_what_there_is():
    text = "".join(map(text_of, WORKFLOWS))
    named = re.findall(r"(?:scripts|\.ci)/[\w.]+", text)
    named += [f"Dockerfile.{name}" for name in re.search(r"for file in (.*); do", text)[1].split()]
    assert len(named) >= 4 and all((TOP / name).is_file() for name in named), named


# What runs.

CLAUDE = """#!/bin/sh
# In Claude Code's place: says what it was asked, if it has a login, and none to renew with.
grep -q sk-ant-oat01-FAKE "$CLAUDE_CONFIG_DIR/.credentials.json" || exit 3
grep -q sk-ant-ort "$CLAUDE_CONFIG_DIR/.credentials.json" && exit 4
prompt=$(cat)
case $prompt in
  fail) echo "it failed"; exit 5 ;;
  hold)
    : > "$HOME/held.$$"
    until [ -e "$HOME/release" ]; do sleep 0.05; done ;;
esac
for word; do printf '<%s>' "$word"; done
printf '\\n%s' "$prompt"
"""


@pytest.fixture(name="host")
def fixture_host(tmp_path):
    """A home with a published login, and a PATH with the stand-in and claude-init: (home, environment)."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    for directory in (home, home / ".claude-published", programs, tmp_path / "run"):
        directory.mkdir(mode=0o700)
    login = home / ".claude-published/.credentials.json"
    login.write_text(json.dumps({"claudeAiOauth": {
        "accessToken": "sk-ant-oat01-FAKE", "scopes": ["user:inference"], "expiresAt": int((time.time() + 3600) * 1000)}}))
    login.chmod(0o600)
    (programs / "claude").write_text(CLAUDE)
    (programs / "claude").chmod(0o755)
    (programs / "claude-init").symlink_to(BINARY)
    # The user: a root of the tests would become another one, if the machine has a `node`.
    return home, {"HOME": str(home), "PATH": f"{programs}:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path / "run"),
                  "CLAUDE_INIT_USER": str(os.geteuid())}


ANSWER = "<--print><say good morning>\n"


def test_the_line_of_cron_asks(host):
    home, environment = host
    for command in crontab(text_of(EXAMPLES / "timer/crontab")):
        done = subprocess.run(["/bin/sh", "-c", command], env=environment, cwd=home, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert text_of(home / "claude-summary.txt") == ANSWER


def test_the_page_finds_the_line_of_cron():
    page = text_of(EXAMPLES / "timer/README.md")
    sed = re.search(r"\$\((sed -n .*? examples/timer/crontab)\)", page)[1]
    found = subprocess.run(["bash", "-c", sed], cwd=TOP, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    assert found.splitlines() == crontab(text_of(EXAMPLES / "timer/crontab"))


def test_the_service_of_the_timer_asks(host):
    home, environment = host
    service = dict(unit(text_of(EXAMPLES / "timer/claude-summary.service"))["Service"])
    command = shlex.split(service["ExecStart"].replace("%h", str(home)))
    assert command[0] == "/usr/bin/claude-init"
    done = subprocess.run([BINARY, *command[1:]], env=environment, cwd=home, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, ANSWER, "")


def test_systemd_takes_the_timer(tmp_path):
    needed("systemd-analyze")
    for path in (EXAMPLES / "timer").glob("claude-summary.*"):
        (tmp_path / path.name).write_text(text_of(path).replace("/usr/bin/claude-init", BINARY))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    verified = subprocess.run(["systemd-analyze", "--user", "--man=no", "verify", *sorted(map(str, tmp_path.glob("*.*")))],
                              env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    told = [line for line in verified.stderr.splitlines() if "claude-summary" in line]
    assert (verified.returncode, told) == (0, []), verified.stderr


def test_podman_makes_services_of_its_units(tmp_path):
    """With the generator, where the machine has one: podman 4.4 or later."""
    generator = Path("/usr/libexec/podman/quadlet")
    if not generator.exists():
        return    # Debian 12's podman has none, which is no reason to fail there
    done = subprocess.run([generator, "-user", "-dryrun"], capture_output=True, text=True, timeout=PATIENCE, check=False,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "QUADLET_UNIT_DIRS": str(EXAMPLES / "podman")})
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"---(\S+)\.service---", done.stdout)) == {"claude-keeper", "claude-job", "claude-published-volume"}


SECRET = b"FAKE secret"


@pytest.fixture(name="webhook")
def fixture_webhook(host, tmp_path):
    """(the service's process, its URL), started as its image starts it."""
    home, environment = host
    secret, log = tmp_path / "secret", tmp_path / "log"
    secret.write_bytes(SECRET + b"\n")
    with log.open("w") as errors:
        process = subprocess.Popen([BINARY, "run", "--store", home / ".claude-published", "--", sys.executable, "-B",
                                    EXAMPLES / "webhook/webhook.py", secret, "127.0.0.1", "0"], cwd=home, env=environment,
                                   stdin=subprocess.DEVNULL, stderr=errors)
    try:
        yield process, eventually(lambda: re.search(r"http://\S+/", text_of(log)), log)[0]
    finally:
        process.terminate()    # claude-init ends the service; its own KILL would leave it
        process.wait(PATIENCE)


def eventually(condition, what):
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return value


def post(url, body, secret=SECRET, **headers):
    """(status, text)"""
    signed = {"X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(), **headers}
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                urllib.request.Request(url, body, signed), timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def prompt(text):
    return json.dumps({"prompt": text}).encode()


def test_the_webhook_answers_whoever_has_the_secret(webhook):
    _, url = webhook
    assert post(url, prompt("--help me, ünd \"quote\" $HOME")) == (
        200, "<--print><--tools><>\n--help me, ünd \"quote\" $HOME")
    assert post(url, prompt("hello"), secret=b"another")[0] == 401
    assert post(url, prompt("hello"), **{"X-Hub-Signature-256": "sha256=\xe9"})[0] == 401
    for body in (b"", b"no JSON", b"[]", b"7", b'{"prompt": 7}', prompt(" "), b'{"question": "x"}'):
        assert post(url, body)[0] == 400, body
    # Without the body: a service that does not read it may reset the connection before its answer is read.
    assert post(url, b"", **{"Content-Length": "70000"})[0] == 413
    assert post(url, prompt("fail")) == (502, "no answer\n")


def test_the_webhook_answers_a_few_at_once_and_ends_on_term(webhook, host):
    process, url = webhook
    home, _ = host
    with ThreadPoolExecutor(4) as callers:
        held = [callers.submit(post, url, prompt("hold")) for _ in range(4)]
        try:
            eventually(lambda: len(list(home.glob("held.*"))) == 4, "four questions at once")
            assert post(url, prompt("hello"))[0] == 503
        finally:
            (home / "release").touch()
        assert [caller.result()[0] for caller in held] == [200] * 4
    assert post(url, prompt("hello"))[0] == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143
