"""Containers of claude-runtime as compose.yaml has them in production."""

import uuid

from harness import network
from native import is_renewing

OPTIONS = ["--read-only", "--tmpfs=/run:mode=1777", "--tmpfs=/tmp:mode=1777,exec",
           "--tmpfs=/home/node:uid=1000,gid=1000,mode=0700", "--cap-drop=ALL", "--cap-add=SETUID", "--cap-add=SETGID",
           "--cap-add=KILL", "--security-opt=no-new-privileges:true"]


class ProductionContainer:
    """A container with what `Chaos` wants of one."""

    def __init__(self, docker, endpoint, *arguments):
        self.docker, self.name, self.pid = docker, f"e2e-{uuid.uuid4().hex[:8]}", 0
        docker("create", "--name", self.name, *network(endpoint), *OPTIONS, *arguments)

    def start(self):
        self.docker("start", self.name)
        self.pid = int(self.docker("inspect", "--format={{.State.Pid}}", self.name).stdout)

    def renews(self):
        return is_renewing(self.pid)

    def kill(self):
        self.docker("kill", self.name, check=False)
        self.docker("wait", self.name)

    def stop(self):
        self.docker("stop", self.name)
        return int(self.docker("wait", self.name).stdout)

    def lines(self):
        return self.docker("logs", self.name).stdout.splitlines()

    def errors(self):
        return self.docker("logs", self.name).stderr

    def remove(self):
        self.docker("rm", "--force", "--volumes", self.name, check=False)
