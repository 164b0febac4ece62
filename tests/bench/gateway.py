#!/usr/bin/python3
"""What the gateway costs beside asking directly, in interleaved rounds: gateway.py [--quick] [--check]

nginx stands for the API, on the loopback of a network namespace. Prints a Markdown table: time to the first byte on a
connection that is there and on a new one, a stream at 20 MB/s and one as fast as it goes, a hundred streams at once, and
the memory of the gateway. With --check, exits 1 unless the limits of docs/gateway.md are kept: 3 ms more at the median,
0.95 of the stream's throughput, no failure. Needs root, nginx with njs, openssl.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gateway"))
from isolation import isolate

isolate()

import socket
import ssl

from api import API, GATEWAY, NAME, PLACEHOLDER, Gateway, eventually, make_authority, names

QUICK = "--quick" in sys.argv
STREAM = 60 << 20
CONFIGURATION = """
pid nginx.pid; error_log errors; worker_processes 2; daemon off;
events { worker_connections 2048; }
http {
  access_log off; keepalive_requests 1000000;
  client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {
    listen %s:443 ssl backlog=1024;
    ssl_certificate server.pem; ssl_certificate_key server.key;
    location /v1/small { return 200 "event: ping\\n\\n"; }
    location /v1/stream { alias stream; }
    location /v1/paced { alias stream; limit_rate 20m; }
  }
}
"""


class Way:
    """To the API, or to the gateway in front of it."""

    def __init__(self, name, address, authority):
        self.name, self.address = name, address
        self.context = ssl.create_default_context(cafile=authority)

    def connect(self):
        plain = socket.create_connection((self.address, 443), timeout=240)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(plain, server_hostname=NAME)

    @staticmethod
    def send(connection, path):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Bearer {PLACEHOLDER}\r\n\r\n".encode())

    def first_byte(self, connection):
        """Milliseconds."""
        begun = time.perf_counter()
        self.send(connection, "/v1/small")
        text = connection.recv(1 << 16)
        took = (time.perf_counter() - begun) * 1000
        while b"\r\n\r\nevent" not in text:
            text += connection.recv(1 << 16)
        return took

    def first_byte_anew(self):
        begun = time.perf_counter()
        with self.connect() as connection:
            self.send(connection, "/v1/small")
            connection.recv(1 << 16)
        return (time.perf_counter() - begun) * 1000

    def stream(self, path="/v1/stream"):
        """MB/s."""
        begun = time.perf_counter()
        with self.connect() as connection:
            self.send(connection, path)
            got, into = 0, bytearray(1 << 18)
            while got < STREAM:
                count = connection.recv_into(into)
                assert count, f"cut off after {got}"
                got += count
        return got / 1e6 / (time.perf_counter() - begun)

    def hundred(self):
        """How many of a hundred streams at once were whole."""
        whole = []

        def one():
            try:
                self.stream("/v1/paced")
                whole.append(1)
            except (OSError, AssertionError):
                pass

        threads = [threading.Thread(target=one) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(whole)


def memory(pid):
    """Of a process and all below it, kB: PSS, which counts what they share once."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) + sum(map(memory, children))


def measure(ways, times, what):
    """Of each way, interleaved."""
    found = {way.name: [] for way in ways}
    for number in range(times):
        for way in ways if number % 2 else reversed(ways):
            found[way.name].append(what(way))
    return [statistics.median(found[way.name]) for way in ways]


def main():
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        place.chmod(0o755)
        authority = make_authority(place / "api")
        (authority / "nginx.conf").write_text("user root;\n" + CONFIGURATION % API)
        (authority / "stream").write_bytes(os.urandom(1 << 20) * (STREAM >> 20))
        api = subprocess.Popen(["nginx", "-p", f"{authority}/", "-c", authority / "nginx.conf"],
                               env={"PATH": "/usr/sbin:/usr/bin"})
        with names(place, api_anthropic_com=API):
            gateway = Gateway(place, authority / "ca.pem").start()
            ways = [Way("direct", API, authority / "ca.pem"), Way("gateway", GATEWAY, gateway.shown / "ca.pem")]
            eventually(lambda: not ways[0].connect().close(), "the API")
            try:
                report(ways, gateway)
            finally:
                gateway.stop()
                api.terminate()
                api.wait()


def report(ways, gateway):
    idle = memory(gateway.process.pid)
    open_ones = {way.name: way.connect() for way in ways}
    for way in ways:
        way.first_byte(open_ones[way.name])
    rows = [("first byte, open connection, ms", *measure(ways, 100 if QUICK else 1000,
                                                         lambda way: way.first_byte(open_ones[way.name]))),
            ("first byte, new connection, ms", *measure(ways, 50 if QUICK else 300, Way.first_byte_anew)),
            ("stream of 60 MB at 20 MB/s, MB/s", *measure(ways, 2 if QUICK else 5, lambda way: way.stream("/v1/paced"))),
            ("the same without a limit, MB/s", *measure(ways, 3 if QUICK else 11, Way.stream))]
    print("| median | direct | gateway |\n|---|---|---|")
    for name, direct, through in rows:
        print(f"| {name} | {direct:.2f} | {through:.2f} |")
    global STREAM  # pylint: disable=global-statement
    STREAM_OF_ALL, STREAM = STREAM, STREAM // 60
    whole = [way.hundred() for way in ways]
    busy = memory(gateway.process.pid)
    STREAM = STREAM_OF_ALL
    print(f"| 100 streams at once, whole ones | {whole[0]} | {whole[1]} |")
    print(f"| memory: idle, after 100 streams, MB | | {idle / 1000:.1f}, {busy / 1000:.1f} |")
    if "--check" in sys.argv:
        more, share = rows[0][2] - rows[0][1], rows[2][2] / rows[2][1]
        if more > 3 or share < 0.95 or whole[1] < 100:
            sys.exit(f"too much: {more:.2f} ms more, {share:.2f} of the throughput, {whole[1]} of 100 streams")


if __name__ == "__main__":
    main()
