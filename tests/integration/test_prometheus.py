"""The rules in deploy/prometheus, by promtool, and a real Prometheus that scrapes a keeper."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request

import pytest
from harness import PATIENCE, eventually
from sessions import login
from test_keep_outputs import Served, free_port

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../deploy/prometheus")


@pytest.fixture(autouse=True)
def tools():
    for tool in ("prometheus", "promtool"):
        if not shutil.which(tool):
            pytest.skip(f"needs {tool}")


def promtool(*words, text=None):
    done = subprocess.run(["promtool", *words], cwd=DEPLOY, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_fire_when_they_should_and_not_before():
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "alerts_test.yml")


def test_whatever_scrapes_a_keeper_calls_the_job_as_the_rule_does():
    """Else that alert fires for ever."""
    def text(*path):
        with open(os.path.join(DEPLOY, *path), encoding="utf-8") as f:
            return f.read()

    [job] = set(re.findall(r'job="([^"]*)"', text("alerts.yml")))
    assert re.findall(r"job_name: (\S+)", text("prometheus.yml")) == [job]
    [label] = re.findall(r"^  jobLabel: (\S+)$", text("../kubernetes/examples/podmonitor.yaml"), re.MULTILINE)
    template = text("../kubernetes/base/keeper.yaml").split("template:")[1]
    assert re.search(r"^      labels: {(.*)}$", template, re.MULTILINE)[1] == f"{label}: {job}"


def test_the_metrics_are_as_prometheus_wants_them(keeping):
    keeping.store("dev", login("a"))
    text = Served(keeping, "--publish", keeping.path / "published").ask("/metrics")[1]
    promtool("check", "metrics", text=text)
    assert keeping.stop()[0] == 0


class Prometheus:
    """Scrapes a keeper every second, with the rules as they are."""

    def __init__(self, directory, keeper_port):
        self.port = free_port()
        with open(os.path.join(DEPLOY, "prometheus.yml"), encoding="utf-8") as f:
            config = f.read()
        config = config.replace("30s", "1s").replace("keeper:8080", f"127.0.0.1:{keeper_port}")
        config = config.replace("alerts.yml", os.path.join(DEPLOY, "alerts.yml"))
        (directory / "prometheus.yml").write_text(config)
        self.log = (directory / "prometheus.log").open("w")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log, env={"PATH": "/usr/bin"})

    def ask(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return None

    def firing(self):
        data = self.ask("alerts")
        return data and sorted(a["labels"]["alertname"] for a in data["alerts"] if a["state"] == "firing")

    def value(self, query):
        data = self.ask("query?query=" + query)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.log.close()


@pytest.fixture
def scraped(keeping):
    keeping.mode("blanked")
    keeping.store("dev", login("a", left=20))
    served = Served(keeping, "--publish", keeping.path / "published", pid1=False)
    prometheus = Prometheus(keeping.path, served.port)
    yield prometheus
    prometheus.end()


def test_a_real_prometheus_scrapes_it_and_an_alert_fires_and_resolves(keeping, scraped):
    eventually(lambda: scraped.value("up") == 1, "a scrape")
    assert 0 < scraped.value("claude_init_access_token_expiry_timestamp_seconds") - time.time() < 20
    assert scraped.firing() == []
    eventually(lambda: scraped.firing() == ["ClaudeLoginDead"], "the alert")
    keeping.put(login("b", left=7200))
    eventually(lambda: scraped.firing() == [], "its end")
    assert scraped.value('claude_init_login_state{claude_init_login_state="usable"}') == 1
