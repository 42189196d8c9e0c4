"""A real Prometheus scrapes the lab, and both give the same answers."""

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from dashboard import chosen, queries
from net_support import JumpingClock
from promql_support import Queries, RealPrometheus, history_of, odd_metrics, real_prometheus

from acns_chaos.cluster.prometheus import drops_at_node, drops_of_workload
from acns_chaos.lab.net.metrics.counters import Metrics
from acns_chaos.lab.net.prometheus.scraper import Scraper
from acns_chaos.lab.net.prometheus.server import Prometheus
from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import ParseError, parse
from acns_chaos.lab.net.promql.history import History
from acns_chaos.lab.net.promql.vectors import ExecutionError

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SAMPLES_FOR = 5.0
# The shapes of the dashboards of Azure and Retina, and our own.
DASHBOARDS = [
    *(chosen(query) for _, query in queries()),
    "sum by (reason) (rate(cilium_drop_count_total[1m]))",
    "sum by (reason, direction) (increase(cilium_drop_bytes_total[1m]))",
    (
        'sum(rate(hubble_flows_processed_total{destination=~"^pets/store-front.*", '
        'verdict="FORWARDED"}[1m])) by (destination)'
    ),
    'topk(10, sum by (destination) (rate(hubble_flows_processed_total{destination!=""}[1m])))',
    "1 - sum(rate(hubble_dns_responses_total[1m])) / sum(rate(hubble_dns_queries_total[1m]))",
    (
        'sum(rate(hubble_tcp_flags_total{flag="SYN"}[1m])) - '
        'sum(rate(hubble_tcp_flags_total{flag="SYN-ACK"}[1m]))'
    ),
    "max by (instance) (rate(cilium_forward_bytes_total[1m]))",
    (
        'sum(increase(hubble_drop_total{destination=~"pets/store-front-.*", '
        'reason=~"(?i)policy.den.*"}[2m])) or vector(0)'
    ),
    "avg(cilium_policy_max_revision) by (cluster)",
    "sum(cilium_policy_endpoint_enforcement_status) by (enforcement)",
    "histogram_quantile(0.9, sum by (le, source) (cilium_policy_implementation_delay_bucket))",
    (
        'sum by (workload) (label_replace(rate(hubble_tcp_flags_total[1m]), "workload", "$1/$2", '
        '"source", "(?P<place>[^/]+)/(.+?)(-[a-z0-9]{6,10})?-[a-z0-9]{5}"))'
    ),
    'label_replace(up, "job", "${name}$$", "job", "(?P<name>.+)-.*")',
    'label_replace(up, "job", "", "job", ".*hubble")',
    'label_replace(up, "none", "x$9-$", "absent", "")',
]
BAD = [
    "", "sum(", "up{", "up[5m", "nonsense(up)", "rate(up)", "sum(up[5m])", "up{a=~\"(\"}",
    'up{a=~"x*+"}', 'up{a=~"(?=b)"}', "{}", '{a=""}', '{a=~".*"}', "1 == 2", "1 and 2",
    "vector(up)", "scalar(1)", "abs()", "clamp(up, 1)", 'abs("x")', "up offset", "up[0s]",
    'up{__name__="down"}', "up > bool", "sum by (a b) (up)", "up unless bool up", "a.b", "5m",
    "rate(up[5])", "limitk(1, up)", "up / on (job) group_left () on (job) up", '{a="b" or c="d"}',
    "odd_total / on (zone) odd_total", "odd_total + on (zone) odd_level",
    "odd_total * on (zone) group_right () odd_level", "topk(NaN, up)", 'label_replace(up)',
    "rate({__name__=~\"odd_total|odd_level\"}[3s])", "-{pod=\"a\"}",
]  # fmt: skip


@dataclass
class Scraped:
    """The real Prometheus, the lab's ready line, and the real one's samples up to a moment."""

    real: RealPrometheus
    lab: dict[str, Any]
    history: History
    at: float


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    """A lab of three nodes under a real Prometheus, for some seconds."""
    folder = tmp_path_factory.mktemp("prometheus")
    command = [sys.executable, "-m", "acns_chaos.lab", "serve", "--until-stdin-closes"]
    process = subprocess.Popen(
        [*command, "--world", "pets-allinone"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    lab = json.loads(process.stdout.readline())
    with odd_metrics() as odd, real_prometheus(folder, [*lab["scrape"], odd]) as real:
        shop = lab["env"]["ACNS_CHAOS_STOREFRONT_URL"]
        end = time.monotonic() + SAMPLES_FOR
        with requests.Session() as session:
            while time.monotonic() < end:
                session.get(f"{shop}/api/products", timeout=5)
                threading.Event().wait(0.1)
        real.wait_for("odd_fresh > 14")
        at = round(time.time() - 0.6, 3)
        yield Scraped(real, lab, history_of(real, at), at)
    process.stdin.close()
    process.wait(timeout=10)
    process.stdout.close()


def shipped() -> list[str]:
    """Every query that the project asks or shows."""
    found = [
        drops_of_workload("pets", "store-front", "ingress").query,
        drops_of_workload("pets", "", "egress").query,
        drops_at_node("ingress").query,
        "cilium_forward_count_total[3s]",
    ]
    for path in sorted([*ROOT.glob("experiments/*.json"), *ROOT.glob("probes/*.json")]):
        found += [text for text in _texts(json.loads(path.read_text())) if _is_query(text)]
    return found + DASHBOARDS


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _is_query(text: str) -> bool:
    if not ("hubble_" in text or "cilium_" in text):
        return False
    try:
        parse(text)
    except ParseError:
        return False
    return True


def ours(text: str, scraped: Scraped) -> object:
    """The lab's answer: values by labels, or the kind of error."""
    try:
        query = Query(parse(text), scraped.history)
        if text.endswith("]"):
            window = query.range_at(query.expression, scraped.at)
            return {
                tuple(sorted(labels.items())): [(at / 1000, value) for at, value in samples]
                for labels, samples in window.series
            }
        value = query.at(scraped.at)
    except ParseError:
        return 400, "bad_data"
    except ExecutionError as problem:
        return (422, "execution") if "not modelled" not in str(problem) else str(problem)
    if isinstance(value, float):
        return value
    assert not isinstance(value, str)
    return {tuple(sorted(labels.items())): number for labels, number in value}


def theirs(text: str, scraped: Scraped) -> object:
    """The real one's answer, likewise."""
    status, body = scraped.real.get("query", query=text, time=f"{scraped.at:.3f}")
    if body["status"] == "error":
        return status, body["errorType"]
    data = body["data"]
    if data["resultType"] == "scalar":
        return float(data["result"][1])
    if data["resultType"] == "matrix":
        return {
            tuple(sorted(one["metric"].items())): [(at, float(v)) for at, v in one["values"]]
            for one in data["result"]
        }
    return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in data["result"]}


def same(left: object, right: object) -> bool:
    """Equal but for the order in which floating-point numbers were summed."""
    if isinstance(left, float) and isinstance(right, float):
        close = math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
        return close or (math.isnan(left) and math.isnan(right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


def test_every_query_of_the_project_gives_what_a_real_prometheus_gives(scraped: Scraped):
    """Those of the product, of its experiments and of the usual dashboards, on the same samples."""
    queries = shipped()
    assert len(queries) > 12
    for text in queries:
        assert same(ours(text, scraped), theirs(text, scraped)), text
    answered = [text for text in queries if ours(text, scraped)]
    # The dashboard also asks for what did not happen here.
    assert len(answered) >= len(queries) * 3 // 4


def test_random_queries_of_the_subset_give_what_a_real_prometheus_gives(scraped: Scraped):
    """Four hundred drawn queries agree, errors included, and most of them have a result."""
    drawn = [Queries(seed).draw() for seed in range(400)]
    wrong = []
    for text in drawn:
        mine, real = ours(text, scraped), theirs(text, scraped)
        if not same(mine, real):
            wrong.append((text, mine, real))
    assert wrong == []
    assert sum(1 for text in drawn if ours(text, scraped)) > 250


def test_what_a_real_prometheus_refuses_is_refused_alike(scraped: Scraped):
    """Status and type of the error agree."""
    wrong = [
        (text, ours(text, scraped), theirs(text, scraped))
        for text in BAD
        if ours(text, scraped) != theirs(text, scraped)
    ]
    assert wrong == []


def test_both_scrape_the_same_values_while_nothing_moves(scraped: Scraped):
    """The lab's own Prometheus, asked over HTTP, has the series of the real one, labels and all."""
    url = scraped.lab["env"]["ACNS_CHAOS_PROMETHEUS_URL"]
    for text in (
        "cilium_policy", "cilium_endpoint", "cilium_version", "cilium_policy_max_revision",
        "cilium_policy_endpoint_enforcement_status", "cilium_identity", "hubble_lost_events_total",
        "cilium_kubernetes_events_total", 'count by (job, instance) (up{job!="odd"})',
        'count({__name__=~"cilium_policy.*"}) by (__name__)',
    ):  # fmt: skip
        answer = requests.get(f"{url}/api/v1/query", params={"query": text}, timeout=5).json()
        lab = {
            tuple(sorted(one["metric"].items())): float(one["value"][1])
            for one in answer["data"]["result"]
        }
        assert lab, text
        assert lab == theirs(text, scraped), text


async def test_range_queries_and_lists_agree_over_http(scraped: Scraped):
    """Steps, timestamps, numbers as text, and the parameters that are refused."""
    scraper = Scraper(Metrics(), JumpingClock(scraped.at), 1e9)
    scraper.history = scraped.history
    served = Prometheus(scraper, JumpingClock(scraped.at))
    scraper.targets = []
    url = await served.start()
    window = {"start": f"{scraped.at - 4:.3f}", "end": f"{scraped.at:.3f}", "step": "0.5"}
    asked: list[tuple[str, dict[str, str]]] = [
        ("query_range", {"query": "odd_level", **window}),
        ("query_range", {"query": "rate(odd_total[2s])", **window}),
        ("query_range", {"query": "odd_flapping > 3", **window}),
        ("query_range", {"query": "time()", **window}),
        ("query_range", {"query": "1e9 * 1e15 + vector(0.1)", **window, "step": "1s"}),
        ("query_range", {"query": "up[1m]", **window}),
        ("query_range", {"query": '"x"', **window}),
        ("query_range", {"query": "up", **window, "step": "0"}),
        ("query_range", {"query": "up", **window, "step": "x"}),
        ("query_range", {"query": "up", **window, "end": "1"}),
        ("query_range", {"query": "up", "start": "0", "end": "1", "step": "1e-5"}),
        ("query_range", {"query": "up", "end": "1", "step": "1"}),
        ("query", {"query": '"text"', "time": "12.5"}),
        ("query", {"query": "1 / 3", "time": "12"}),
        ("query", {"query": "up", "time": "noon"}),
        ("query", {"query": "odd_gone", "time": f"{scraped.at:.3f}"}),
        ("series", {}),
        ("series", {"match[]": "odd_info", "start": f"{scraped.at - 60:.3f}"}),
        ("series", {"match[]": "sum(up)"}),
        ("labels", {"match[]": "odd_total"}),
        ("label/pod/values", {"match[]": "odd_total"}),
        ("label/po-d/values", {}),
        ("rules", {}), ("alerts", {}),
    ]  # fmt: skip
    async with aiohttp.ClientSession() as session:
        for path, params in asked:
            async with session.get(f"{url}/api/v1/{path}", params=params) as response:
                mine = response.status, await response.json()
            real = scraped.real.get(path, **params)
            assert (mine[0], mine[1].get("errorType")) == (real[0], real[1].get("errorType")), path
            if real[0] == 200:
                assert _comparable(mine[1]["data"]) == _comparable(real[1]["data"]), params
    await served.stop()


def _comparable(data: Any) -> Any:
    """The answer with its series in one order, and its numbers as numbers."""
    if isinstance(data, dict) and isinstance(data.get("result"), list):
        key = lambda one: json.dumps(one["metric"], sort_keys=True)  # noqa: E731
        kind, result = data["resultType"], data["result"]
        return kind, sorted(result, key=key) if kind in ("matrix", "vector") else result
    if isinstance(data, list):
        return sorted(data, key=lambda one: json.dumps(one, sort_keys=True))
    return data
