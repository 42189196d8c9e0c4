"""Flows a second, from JSON lines and over gRPC, and whether memory stays flat; in own processes.

The lines are the recorded ones with times, uuids, ports, outside addresses and latencies of their
own, so that nothing repeats that would not in a cluster. Over gRPC they come as a relay sends them,
with mutual TLS, from a server in a process of its own that does nothing else.
"""

import gzip
import itertools
import json
import random
import re
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.figures import child, show

CAPTURED = Path(__file__).parents[1] / "data" / "hubble" / "captured.jsonl.gz"
LINES, MANY = 100_000, 1_000_000
OVER_GRPC = 60_000
_VARYING = re.compile(
    rb'"time":"[^"]+"|"uuid":"[^"]+"|"source_port":[0-9]{5}|"destination_port":[0-9]{5}'
    rb'|"(source|destination)":"198[.]51[.]100[.]10"|"latency_ns":"[0-9]+"'
)


def main() -> None:
    """Print the figures."""
    found = child("-m", "tests.bench.hubble", "lines")
    show(
        "flows from JSON lines, all of them decoded",
        found["all"],
        "flows/s",
        100_000,
        at_least=True,
    )
    show("flows from JSON lines, of which the drops are wanted", found["dropped"], "flows/s")
    show("the same with json.loads alone, for comparison", found["json"], "lines/s")
    grown, lines = found["grown_mib"], f"{MANY:,} JSON lines"
    show(f"memory that grew over {lines}", grown, "MiB", 16, peak_rss_mib=found["peak_rss_mib"])
    found = child("-m", "tests.bench.hubble", "grpc")
    show("flows over gRPC with mutual TLS", found["flows"], "flows/s", 20_000, at_least=True)
    show("processor time of one, over gRPC", found["microseconds"], "us")
    show(f"memory that grew over {OVER_GRPC:,} flows", found["grown_mib"], "MiB", 16)


def generated(count: int, seed: int = 1) -> Iterator[bytes]:
    """Lines as Hubble writes them, none like another."""
    templates = gzip.decompress(CAPTURED.read_bytes()).splitlines(keepends=True)
    rng = random.Random(seed)
    clock = itertools.count(1_795_000_000_000_000, 137)
    for _ in range(count):
        yield _varied(rng.choice(templates), rng, next(clock))


def _varied(line: bytes, rng: random.Random, at: int) -> bytes:
    moment = f"{datetime.fromtimestamp(at // 10**6, UTC):%Y-%m-%dT%H:%M:%S}.{at % 10**6:06d}123Z"
    outside = f"203.0.{rng.randrange(256)}.{rng.randrange(256)}"

    def value(match: "re.Match[bytes]") -> bytes:
        name = match[0].partition(b":")[0]
        if name == b'"time"':
            return b'"time":"%s"' % moment.encode()
        if name == b'"uuid"':
            return b'"uuid":"%s"' % str(uuid.UUID(int=rng.getrandbits(128))).encode()
        if name == b'"latency_ns"':
            return b'"latency_ns":"%d"' % rng.randrange(10**6)
        if name.endswith(b'port"'):
            return b"%s:%d" % (name, rng.randrange(32768, 60999))
        return b'%s:"%s"' % (name, outside.encode())

    return _VARYING.sub(value, line)


def _rate(work: Callable[[], object], count: int) -> float:
    """Flows for each second of processor time: the best of three, as others use the machine."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return count / best


def rss() -> float:
    """Resident memory, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def over_lines() -> dict[str, float]:
    """Rates and memory of reading lines."""
    from acns_chaos.cluster.hubble import Query, read_lines

    def read(lines: Any, query: Query | None = None) -> int:
        return sum(1 for _ in read_lines(lines, query))

    lines = list(generated(LINES))
    wanted = Query(verdict="DROPPED", destination="pets/store-front")
    found = {
        "all": _rate(lambda: read(lines), LINES),
        "dropped": _rate(lambda: read(lines, wanted), LINES),
        "json": _rate(lambda: [json.loads(line) for line in lines[: LINES // 10]], LINES // 10),
    }
    lines.clear()
    stream = generated(MANY, 2)
    read(itertools.islice(stream, MANY // 10))
    before = rss()
    read(stream)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**found, "grown_mib": max(0.0, rss() - before), "peak_rss_mib": round(peak, 1)}


# ---------------------------------------------------------------------- over gRPC


def over_grpc() -> dict[str, float]:
    """Rate and memory of reading a relay's stream to its end."""
    from acns_chaos.cluster.hubble import Query
    from acns_chaos.cluster.hubble.line import VARIABLE, Line

    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.hubble", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    told = json.loads(server.stdout.readline())
    line = Line(_Secrets(told["secret"]), {VARIABLE: told["address"]}, 10.0)  # type: ignore[arg-type]
    try:
        sum(1 for _ in line.ask(Query(number=2000), 60))
        before, best, cpu = rss(), float("inf"), 0.0
        for _ in range(3):
            began, used = time.perf_counter(), time.process_time()
            count = sum(1 for _ in line.ask(Query(), 60))
            assert count == OVER_GRPC
            if time.perf_counter() - began < best:
                best, cpu = time.perf_counter() - began, time.process_time() - used
        grown = max(0.0, rss() - before)
    finally:
        line.close()
        server.stdin.close()
        server.wait(10)
    return {"flows": OVER_GRPC / best, "microseconds": cpu / OVER_GRPC * 1e6, "grown_mib": grown}


class _Secrets:
    """An API server with the Secret of the relay's clients."""

    def __init__(self, data: dict[str, str]) -> None:
        self._data = data

    def get(self, path: str) -> dict[str, Any]:
        """The Secret."""
        return {"data": self._data}

    def now(self) -> datetime:
        """This moment."""
        return datetime.now(UTC)


def serve() -> None:
    """Send the same flows to whoever asks, until standard input closes."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from google.protobuf import json_format

    from acns_chaos.lab.hubble.certificates import make_relay_certificates
    from acns_chaos.wire import observer_pb2

    made = make_relay_certificates()
    answers = [
        json_format.Parse(line, observer_pb2.GetFlowsResponse()).SerializeToString()
        for line in generated(OVER_GRPC)
    ]

    def get_flows(request: bytes, context: Any) -> Iterator[bytes]:
        number = observer_pb2.GetFlowsRequest.FromString(request).number
        return iter(answers[: number or None])

    handler = grpc.unary_stream_rpc_method_handler(get_flows)
    methods = grpc.method_handlers_generic_handler("observer.Observer", {"GetFlows": handler})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((methods,))
    credentials = grpc.ssl_server_credentials(
        [(made.server.key, made.server.chain)], made.authority, True
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    secret = made.secrets()[1]["data"]
    sys.stdout.write(json.dumps({"address": f"127.0.0.1:{port}", "secret": secret}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        work = {"lines": over_lines, "grpc": over_grpc}[sys.argv[1]]
        sys.stdout.write(json.dumps(work()) + "\n")
