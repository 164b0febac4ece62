"""Stands in for the CLI when it renews: does to the login in $CLAUDE_CONFIG_DIR what the file MODE says, as the real one
would. `calls` beside it gets a line for each run. What `burns` has spent is rejected from then on."""

import json
import os
import signal
import sys
import time

here, config = sys.argv[1], os.environ["CLAUDE_CONFIG_DIR"]
path = os.path.join(config, ".credentials.json")
with open(os.path.join(here, "mode"), encoding="ascii") as f:
    mode, *words = f.read().split()
with open(path, encoding="utf-8") as f:
    login = json.load(f)
oauth = login["claudeAiOauth"]
if mode == "slow":  # like the CLI, it saves what it is fetching before it ends; whoever sees the call may stop it
    signal.signal(signal.SIGTERM, lambda *_: open(os.path.join(here, "stopped"), "w").close())
with open(os.path.join(here, "calls"), "a", encoding="utf-8") as f:
    f.write(json.dumps({"expires": oauth["expiresAt"], "refresh": oauth["refreshToken"], "pid": os.getpid(),
                        "uid": os.getuid(), "files": sorted(os.listdir(config)), "environment": sorted(os.environ),
                        "words": sys.argv[2:], "base": os.environ.get("ANTHROPIC_BASE_URL"),
                        "streams": [os.readlink(f"/proc/self/fd/{n}") for n in range(3)]}) + "\n")


def wait_for(name):
    while not os.path.exists(os.path.join(here, name)):
        time.sleep(0.01)


def write(**changes):
    oauth.update(changes)
    with open(path + ".tmp.x", "w", encoding="utf-8") as out:
        json.dump(login, out)
    os.rename(path + ".tmp.x", path)


def renew(seconds):
    name = oauth["accessToken"] + "+"
    write(accessToken=name, refreshToken=oauth["refreshToken"] + "+", expiresAt=int((time.time() + seconds) * 1000))


def ask():
    """The CLI's lock for a renewal lies beside its configuration directory."""
    before = os.stat(os.path.dirname(config)).st_mtime_ns
    while os.stat(os.path.dirname(config)).st_mtime_ns == before:
        os.mkdir(config + ".lock")
        os.rmdir(config + ".lock")


print("the stand-in says: mode", mode, "with sk-ant-ort01-FAKEsecret", flush=True)
if mode != "unasked":
    ask()
spent = os.path.join(here, "spent")
if os.path.exists(spent):
    with open(spent, encoding="utf-8") as f:
        mode = "blanked" if oauth["refreshToken"] in f.read().split() else mode
lifetime = float(words[0]) if words else 3600
if mode == "renewed":
    renew(lifetime)
elif mode == "blanked":
    write(accessToken="", refreshToken="", expiresAt=0)
elif mode == "other":
    write(accountUuid="other")
    renew(lifetime)
elif mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif mode == "slow":
    wait_for("go")
    renew(lifetime)
elif mode == "burns" and sys.argv[2:3] != ["--print"]:
    with open(spent, "a", encoding="utf-8") as f:
        f.write(oauth["refreshToken"] + "\n")
elif mode == "burns" or mode == "fails" and sys.argv[2:3] == ["--print"]:
    renew(lifetime)
else:
    assert mode in ("unchanged", "unasked", "fails")
