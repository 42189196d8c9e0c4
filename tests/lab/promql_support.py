"""What the comparison with a real Prometheus needs: the program, odd metrics, random queries."""

import contextlib
import math
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from acns_chaos.lab.net.promql.history import History, Labels

INTERVAL = 0.25
CLUSTER = "acns-chaos-lab"


class RealPrometheus:
    """A running Prometheus."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, path: str, **params: Any) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer of the API."""
        response = self._session.get(f"{self.url}/api/v1/{path}", params=params, timeout=10)
        return response.status_code, response.json()

    def close(self) -> None:
        """Close the connections to it."""
        self._session.close()

    def wait_for(self, query: str, seconds: float = 20.0) -> None:
        """Wait until a query has a result."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(requests.RequestException):
                _, body = self.get("query", query=query)
                if body["status"] == "success" and body["data"]["result"]:
                    return
            threading.Event().wait(0.05)
        raise AssertionError(f"the real Prometheus has no answer to {query}")


@contextlib.contextmanager
def real_prometheus(
    folder: Path,
    targets: list[dict[str, str]],
    rules: str = "",
    alertmanager: str = "",
    interval: float = INTERVAL,
) -> Iterator[RealPrometheus]:
    """Run Debian's Prometheus on loopback, scraping these targets (node, job, url) as AKS does.

    Args:
        folder: for its files.
        targets: to scrape.
        rules: a file of rules, as YAML; "" for none.
        alertmanager: host and port of one to tell, "" for none.
        interval: seconds between two scrapes, and between two evaluations of a group that does not
            say.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on PATH")
    lines = ["global:", f"  scrape_interval: {int(interval * 1000)}ms"]
    lines += [f"  scrape_timeout: {int(interval * 1000)}ms"]
    lines += [f"  evaluation_interval: {int(interval * 1000)}ms"]
    if rules:
        (folder / "rules.yml").write_text(rules)
        lines += ["rule_files: [rules.yml]"]
    if alertmanager:
        lines += ["alerting:", "  alertmanagers:", "  - static_configs:"]
        lines += [f"    - targets: ['{alertmanager}']"]
    lines += ["scrape_configs:"]
    for job in sorted({target["job"] for target in targets}):
        lines += [f"- job_name: {job}", "  static_configs:"]
        for target in targets:
            if target["job"] == job:
                address = target["url"].split("/")[2]
                lines.append(f"  - targets: ['{address}']")
                lines.append(f"    labels: {{instance: '{target['node']}', cluster: {CLUSTER}}}")
    config = folder / "prometheus.yml"
    config.write_text("\n".join(lines) + "\n")
    port = free_port()
    process = subprocess.Popen(
        [
            program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
            # An alert that fires before the first Alertmanager is known is told again in time.
            "--rules.alert.resend-delay=1s",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    real = RealPrometheus(f"http://127.0.0.1:{port}")
    try:
        real.wait_for("up == 1")
        yield real
    finally:
        real.close()
        process.terminate()
        process.wait(timeout=20)


@contextlib.contextmanager
def real_alertmanager(folder: Path) -> Iterator[str]:
    """Run Debian's Alertmanager on loopback, telling nobody; yields its base URL."""
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        pytest.skip("no prometheus-alertmanager on PATH")
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: nobody, group_wait: 0s}\nreceivers: [{name: nobody}]\n")
    port = free_port()
    process = subprocess.Popen(
        [
            _with_templates(Path(program), folder), f"--config.file={config}",
            f"--storage.path={folder / 'alerts'}", f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=", "--log.level=error",
        ],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{url}/-/ready", timeout=1).ok:
                    break
            assert process.poll() is None, "the real Alertmanager ended"
            threading.Event().wait(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


_TEMPLATES = "/usr/share/prometheus/alertmanager"


def _with_templates(program: Path, folder: Path) -> Path:
    """A program that finds its templates though its package was unpacked and not installed.

    Debian's has their path built in; a copy of it gets one of the same length: where it runs.
    """
    if Path(_TEMPLATES).exists():
        return program
    for template in (program.resolve().parents[2] / _TEMPLATES[1:]).glob("*.tmpl"):
        shutil.copy(template, folder)
    here = "/proc/self/cwd".ljust(len(_TEMPLATES), "/")
    own = folder / "alertmanager"
    own.write_bytes(program.read_bytes().replace(_TEMPLATES.encode(), here.encode()))
    own.chmod(0o755)
    return own


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# ---------------------------------------------------------------------- odd metrics

_ODD = """\
# TYPE odd_total counter
odd_total{{pod="a",zone="x"}} {rising}
odd_total{{pod="b",zone="x"}} {resetting}
odd_total{{pod="c",zone="y",empty=""}} {late}
# TYPE odd_level gauge
odd_level{{pod="a",zone="x"}} {wave}
odd_level{{pod="b",zone="x"}} NaN
odd_level{{pod="c",zone="y"}} +Inf
odd_level{{pod="d",zone="y"}} {negative}
# TYPE odd_info gauge
odd_info{{zone="x",team="one"}} 1
odd_info{{zone="y",team="two"}} 1
# TYPE odd_seconds histogram
odd_seconds_bucket{{pod="a",le="0.1"}} {few}
odd_seconds_bucket{{pod="a",le="1"}} {some}
odd_seconds_bucket{{pod="a",le="+Inf"}} {rising}
odd_seconds_bucket{{pod="b",le="0.1"}} 0
odd_seconds_bucket{{pod="b",le="+Inf"}} 0
"""


@contextlib.contextmanager
def odd_metrics() -> Iterator[dict[str, str]]:
    """Serve what a lab does not show in seconds: resets, NaN, series that come and go."""
    scrapes = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal scrapes
            scrapes += 1
            n = scrapes
            text = _ODD.format(
                rising=3 * n,
                resetting=(n % 7) * 2.5,
                late=max(0, n - 6),
                wave=math.sin(n) * 10,
                negative=-1.5 * n,
                few=n,
                some=2 * n,
            )
            if n < 8:
                text += "odd_gone 7\n"
            if n % 6 < 3:
                text += f"odd_flapping {n}\n"
            if n > 10:
                text += f"odd_fresh {n}\n"
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield {"node": "odd", "job": "odd", "url": f"http://127.0.0.1:{server.server_port}/metrics"}
    server.shutdown()
    thread.join()
    server.server_close()


def history_of(real: RealPrometheus, at: float) -> History:
    """The raw samples of a real Prometheus as a history of the lab's."""
    _, body = real.get("query", query='{__name__!=""}[5m]', time=f"{at:.3f}")
    scrapes: dict[tuple[float, str, str], list[tuple[Labels, float]]] = {}
    for series in body["data"]["result"]:
        names = series["metric"]
        labels = tuple(sorted(names.items()))
        for moment, value in series["values"]:
            key = (float(moment), names["job"], names["instance"])
            scrapes.setdefault(key, []).append((labels, float(value)))
    made = History()
    for (moment, job, instance), samples in sorted(scrapes.items()):
        made.append(moment, samples, (job, instance))
    return made


# ---------------------------------------------------------------------- random queries

_SELECTORS = (
    "odd_total", 'odd_total{pod="a"}', 'odd_total{pod!="a"}', 'odd_total{pod=~"a|b"}',
    'odd_total{zone!~"x.*"}', 'odd_total{empty=""}', "odd_level", 'odd_level{pod="d"}', "odd_info",
    "odd_gone", "odd_flapping", "odd_fresh", "odd_missing", "up", "cilium_forward_count_total",
    'hubble_flows_processed_total{verdict="FORWARDED"}', "hubble_drop_total",
    'hubble_tcp_flags_total{flag=~"SYN.*",source!=""}', '{__name__=~"odd_.*",pod="a"}',
    'cilium_drop_count_total{reason=~"(?i)unsupported.*"}',
)  # fmt: skip
_RANGES = ("1s", "2s", "3s500ms", "10s", "1m", "5m")
_OVER = (
    "rate", "increase", "irate", "delta", "idelta", "changes", "resets", "avg_over_time",
    "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "last_over_time",
    "present_over_time",
)  # fmt: skip
_EACH = ("abs", "ceil", "floor", "sqrt", "ln", "log2", "log10", "exp", "sgn", "timestamp", "sort")
_FOLDS = ("sum", "min", "max", "avg", "count", "group", "stddev", "stdvar")
_LABELS = ("pod", "zone", "job", "instance", "reason", "flag", "__name__")


class Queries:
    """Draws PromQL of the subset that docs/promql.md lists."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def draw(self) -> str:
        """One query."""
        return self._scalar(2) if self._chance.random() < 0.06 else self._vector(3)

    def _one(self, *options: str) -> str:
        return self._chance.choice(options)

    def _selector(self) -> str:
        return self._one(*_SELECTORS)

    def _offset(self) -> str:
        return self._one("", "", "", " offset 1s", " offset 1m")

    def _vector(self, depth: int) -> str:
        kinds = ["selector", "over", "over"]
        if depth:
            kinds += ["fold", "fold", "each", "number", "vectors", "sets", "special"]
        match self._chance.choice(kinds):
            case "selector":
                return self._selector() + self._offset()
            case "over":
                window = self._one(*_RANGES)
                return f"{self._one(*_OVER)}({self._selector()}[{window}]{self._offset()})"
            case "fold":
                return self._fold(depth - 1)
            case "each":
                return f"{self._one(*_EACH)}({self._vector(depth - 1)})"
            case "number":
                operator = self._one("+", "-", "*", "/", "%", "^", ">", "<=", "== bool", "> bool")
                left, right = self._vector(depth - 1), self._scalar(0)
                pair = (left, right) if self._chance.random() < 0.6 else (right, left)
                return f"({pair[0]}) {operator} ({pair[1]})"
            case "vectors":
                return self._matching(depth - 1)
            case "sets":
                left, right = self._vector(depth - 1), self._vector(depth - 1)
                on = self._one("", "", "on (pod) ", "ignoring (zone) ", "on () ")
                return f"({left}) {self._one('and', 'or', 'unless')} {on}({right})"
            case _:
                return self._special(depth - 1)

    def _fold(self, depth: int) -> str:
        names = ", ".join(self._chance.sample(_LABELS, self._chance.randint(0, 2)))
        group = self._one("", f" by ({names})", f" without ({names})")
        inner = self._vector(depth)
        if self._chance.random() < 0.15:
            return f"quantile{group} ({self._one('0', '0.5', '0.9', '2')}, {inner})"
        return f"{self._one(*_FOLDS)}{group} ({inner})"

    def _matching(self, depth: int) -> str:
        operator = self._one("+", "-", "/", "*", ">", "!=", "< bool")
        left = self._vector(depth)
        match self._one("same", "fold", "info", "free"):
            case "same":
                return f"({left}) {operator} ({left})"
            case "fold":
                return f"({left}) {operator} on (job) group_left () sum by (job) ({left})"
            case "info":
                side = self._one("odd_total", "rate(odd_total[3s])", "odd_level")
                return f"{side} {operator} on (zone) group_left (team) odd_info"
            case _:
                on = self._one("", "on (pod) ", "ignoring (zone, job) ")
                return f"({left}) {operator} {on}({self._vector(depth)})"

    def _special(self, depth: int) -> str:
        inner = self._vector(depth)
        return self._one(
            f"-({inner})",
            f"absent({self._selector()})",
            f"absent_over_time({self._selector()}[2s])",
            f"round({inner}, {self._one('1', '0.5', '10')})",
            f"clamp({inner}, -5, {self._one('5', '-6')})",
            f"clamp_min({inner}, 3)",
            f"clamp_max({inner}, 3)",
            f"vector({self._scalar(depth)})",
            f"sort_desc({inner})",
            f"histogram_quantile({self._one('0.5', '0.9', '1')}, odd_seconds_bucket)",
            "histogram_quantile(0.9, sum by (le) (rate(odd_seconds_bucket[5s])))",
        )

    def _scalar(self, depth: int) -> str:
        plain = ("0", "1", "-2.5", "1e3", "time()", "Inf", "NaN", "scalar(odd_fresh)", "0x1F")
        if depth and self._chance.random() < 0.7:
            operator = self._one("+", "-", "*", "/", "%", "^", ">= bool")
            return f"({self._scalar(depth - 1)}) {operator} ({self._scalar(depth - 1)})"
        return self._one(*plain)
