#!/usr/bin/python3
"""What one renewal costs the API server where many nodes follow the Secret. No test: docs/scale.md has what it prints.

usage: measure_fanout.py RUN CACHE [WATCHERS...]

A kubelet follows a Secret by one watch, however many of its pods mount it. This opens so many watches on one Secret,
each on a connection of its own, patches it ten times, and prints for each number: when the first and the last had it,
and the processor time and memory of the API server.
"""

import asyncio
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
HOST, PORT = "10.99.0.1", 6443
SECRET = "/api/v1/namespaces/default/secrets"


def kubectl(run, cache, *words):
    return subprocess.run([f"{cache}/bin/kubectl", f"--kubeconfig={run}/admin.conf", *words], check=True, text=True,
                          capture_output=True).stdout


class ApiServer:
    def __init__(self, run):
        self.pid = int(Path(run, "pids/kube-apiserver").read_text(encoding="ascii"))

    def cpu(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
        return 0


async def watch(tls, seen, opened, version):
    reader, writer = await asyncio.open_connection(HOST, PORT, ssl=tls)
    path = f"{SECRET}?watch=1&fieldSelector=metadata.name%3Dfanout&resourceVersion={version}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: k\r\nAccept: application/json\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    opened.release()
    while line := await reader.readline():
        if b"MODIFIED" in line:
            data = json.loads(line)["object"]["metadata"]["annotations"]["number"]
            seen.setdefault(int(data), []).append(time.monotonic())


async def measure(run, cache, tls, watchers):
    api, seen, opened = ApiServer(run), {}, asyncio.Semaphore(0)
    version = json.loads(kubectl(run, cache, "get", "secret", "fanout", "-o", "json"))["metadata"]["resourceVersion"]
    tasks = []
    for _ in range(watchers):
        tasks.append(asyncio.create_task(watch(tls, seen, opened, version)))
        if len(tasks) % 50 == 0:
            await asyncio.sleep(0.2)
    for _ in range(watchers):
        await opened.acquire()
    await asyncio.sleep(3)
    idle, spent, first, last = api.cpu(), [], [], []
    await asyncio.sleep(5)
    idle = (api.cpu() - idle) / 5
    for number in range(10):
        before, began = api.cpu(), time.monotonic()
        await patch(tls, number)
        while len(seen.get(number, [])) < watchers:
            await asyncio.sleep(0.002)
        first.append((min(seen[number]) - began) * 1000)
        last.append((max(seen[number]) - began) * 1000)
        await asyncio.sleep(2)
        spent.append((api.cpu() - before - idle * (time.monotonic() - began)) * 1000)
    print(f"| {watchers} | {statistics.median(first):.0f} | {statistics.median(last):.0f} | "
          f"{max(0, statistics.median(spent)):.0f} | {api.memory()} |", flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def patch(tls, number):
    """As the hook does; the login is as long as a real one."""
    reader, writer = await asyncio.open_connection(HOST, PORT, ssl=tls)
    body = json.dumps({"metadata": {"annotations": {"number": str(number)}},
                       "data": {".credentials.json": "RkFLRUZB" * 80}})
    writer.write((f"PATCH {SECRET}/fanout HTTP/1.1\r\nHost: k\r\nConnection: close\r\n"
                  f"Content-Type: application/merge-patch+json\r\nContent-Length: {len(body)}\r\n\r\n{body}").encode())
    assert b" 200 " in await reader.readline()
    await reader.read()
    writer.close()


def main():
    run, cache = sys.argv[1:3]
    numbers = [int(word) for word in sys.argv[3:]] or [1, 100, 1000]
    tls = ssl.create_default_context(cafile=f"{run}/pki/ca.crt")
    tls.load_cert_chain(f"{run}/pki/admin.crt", f"{run}/pki/admin.key")
    kubectl(run, cache, "create", "secret", "generic", "fanout")
    print("| watches | first has it, ms | last has it, ms | processor of the API server, ms | its memory, MB |")
    print("|---|---|---|---|---|")
    try:
        for watchers in numbers:
            asyncio.run(measure(run, cache, tls, watchers))
    finally:
        kubectl(run, cache, "delete", "secret", "fanout")


if __name__ == "__main__":
    main()
