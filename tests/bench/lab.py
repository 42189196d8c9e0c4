"""The lab's figures: requests a second on one core, memory, and a clean end.

The clients are processes of their own that write prepared bytes and read no more of an answer than
they must, so the lab is the bottleneck. Its core is one by nature: the lab has one thread. As other
programs may want that core too, the rate is counted per second of the lab's own processor time;
the rate by the clock stands beside it.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.bench.figures import child, show

RATE, MEMORY, READY = 500, 120, 1.0
CLIENTS = 2
REQUESTS = 2000  # of each client and kind
SETTLING, SCRAPES = 3, 20  # seconds without a request
CNP = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"
PODS = "/api/v1/namespaces/pets/pods"
KINDS = ("GET of a policy", "LIST of the pods in pets", "PUT of a policy")


class Connection:
    """A keep-alive connection to the lab that knows just enough HTTP."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster = config["clusters"][0]["cluster"]
        where = urlsplit(cluster["server"])
        self._token = config["users"][0]["user"]["token"]
        # The bench trusts loopback: checking certificates is not what it measures.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        raw = socket.create_connection((where.hostname or "", where.port or 0), 30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = context.wrap_socket(raw)
        self._buffer = b""

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        """One request; returns the answer's body."""
        data = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: lab\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + data)
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        answer, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        assert answer[9:10] == b"2", answer + self._buffer
        size = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(self._buffer) < size:
            self._receive()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _receive(self) -> None:
        part = self._socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the lab closed the connection")
        self._buffer += part


def policy(name: str) -> dict[str, Any]:
    """A policy like those of the shop."""
    rule = {
        "fromEndpoints": [{"matchLabels": {"app": "store-front"}}],
        "toPorts": [{"ports": [{"port": "3000", "protocol": "TCP"}]}],
    }
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"endpointSelector": {"matchLabels": {"app": name}}, "ingress": [rule]},
    }


def client(kubeconfig: str, kind: str, count: int) -> None:
    """Send requests of one kind, one after the other."""
    connection = Connection(kubeconfig)
    if kind == KINDS[0]:
        for _ in range(count):
            connection.request("GET", f"{CNP}/allow-store-front-traffic")
    elif kind == KINDS[1]:
        for _ in range(count):
            connection.request("GET", PODS)
    else:
        name = f"bench-{os.getpid()}"
        obj = json.loads(connection.request("POST", CNP, policy(name)))
        while "status" not in obj:  # the operator's verdict moves the version once
            obj = json.loads(connection.request("GET", f"{CNP}/{name}"))
        for number in range(count):
            port = obj["spec"]["ingress"][0]["toPorts"][0]["ports"][0]
            port["port"] = str(3000 + number % 2)
            obj = json.loads(connection.request("PUT", f"{CNP}/{name}", obj))
        connection.request("DELETE", f"{CNP}/{name}")
    sys.stdout.write(json.dumps({"sent": count}) + "\n")


@contextmanager
def running(folder: str, world: str) -> Iterator[dict[str, Any]]:
    """A lab of a world; yields its ready line."""
    begun = time.perf_counter()
    command = (sys.executable, "-m", "acns_chaos.lab", "serve", "--until-stdin-closes")
    process = subprocess.Popen(
        [*command, "--world", world],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": folder},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    show(f"lab, ready: {world}", time.perf_counter() - begun, "s", READY)
    yield ready
    process.stdin.close()
    began = time.perf_counter()
    process.wait(10)
    left = sorted(path.name for path in Path(folder).iterdir())
    show("lab, from end of input to gone", time.perf_counter() - began, "s", 1.0, left=left)


def processor_seconds(pid: int) -> float:
    """What a process has used of its core so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> float:
    """The memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def rate(ready: dict[str, Any], kind: str) -> None:
    """Let the clients send requests of a kind, and print the rate."""
    arguments = ("-m", "tests.bench.lab", ready["kubeconfig"], kind, str(REQUESTS))
    used, began = processor_seconds(ready["pid"]), time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        runs: list[Callable[[], Any]] = [lambda: child(*arguments)] * CLIENTS
        sent = sum(done["sent"] for done in pool.map(lambda run: run(), runs))
    took = time.perf_counter() - began
    used = processor_seconds(ready["pid"]) - used
    show(kind, sent / used, "requests/s of one core", RATE, at_least=True, by_the_clock=sent / took)


def main() -> None:
    """Print the figures of one lab, and how soon a large one is there."""
    with tempfile.TemporaryDirectory() as folder, running(folder, "generated:100"):
        pass
    with tempfile.TemporaryDirectory() as folder, running(folder, "pets") as ready:
        Event().wait(SETTLING)
        used = resident(ready["pid"])
        show("lab's memory, when ready", used, "MiB", MEMORY)
        Event().wait(SCRAPES)
        # Until the rings of flows are full it grows; an hour of scrapes takes some 2 MiB.
        grown = (resident(ready["pid"]) - used) * 60 / SCRAPES
        show("lab's memory, growth without a request", grown, "MiB a minute")
        for kind in KINDS:
            rate(ready, kind)
        sent = CLIENTS * REQUESTS * len(KINDS)
        show(f"lab's memory, {sent:,} requests later", resident(ready["pid"]), "MiB", MEMORY)


if __name__ == "__main__":
    client(sys.argv[1], sys.argv[2], int(sys.argv[3]))
