"""The query API: what clients of a real Prometheus send, and get."""

import asyncio

import aiohttp
import pytest
from net_support import NOBODY, Bench, JumpingClock
from prometheus_api_client import PrometheusConnect

from acns_chaos.lab.net.metrics.counters import Metrics
from acns_chaos.lab.net.prometheus.scraper import Scraper
from acns_chaos.lab.net.prometheus.server import Prometheus


@pytest.fixture
async def served():
    """A Prometheus over a network in which the storefront was denied for ten seconds."""
    bench = Bench()
    prometheus = bench.net.prometheus
    bench.net.metrics.record_noise(3)
    url = await prometheus.start()
    bench.net.traffic.start()
    await bench.clock.advance(60)
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(10)
    bench.net.scraper.scrape()
    yield bench, url
    await bench.net.traffic.stop()
    await prometheus.stop()


async def get(url: str, **params: str):
    async with aiohttp.ClientSession() as session, session.get(url, params=params) as response:
        return response.status, await response.json()


async def test_the_usual_client_library_works_against_it(served):
    """prometheus_api_client connects, queries now and over a range, and lists metrics."""
    bench, url = served
    now = bench.clock.now()

    def use():
        client = PrometheusConnect(url=url)
        drops = 'hubble_drop_total{reason="POLICY_DENIED"}'
        return (
            client.check_prometheus_connection(),
            client.custom_query(f"sum({drops})", params={"time": now}),
            client.custom_query_range(
                f"sum({drops}) or vector(0)",
                start_time=_moment(now - 20),
                end_time=_moment(now),
                step="5s",
            ),
            client.get_current_metric_value("up"),
            client.all_metrics(),
        )

    alive, now_value, over_time, up, names = await asyncio.to_thread(use)
    assert alive is True
    assert float(now_value[0]["value"][1]) == 2 * bench.drops()
    values = [float(v) for _, v in over_time[0]["values"]]
    assert len(values) == 5
    assert values[0] == 0.0
    assert values == sorted(values)
    assert values[-1] > 20
    assert {series["value"][1] for series in up} == {"1"}
    assert "hubble_drop_total" in names
    assert "cilium_drop_count_total" in names


def _moment(at: float):
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC)


async def test_a_query_can_be_posted(served):
    """Grafana and long queries use a form."""
    bench, url = served
    form = {"query": "count(up)", "time": str(bench.clock.now())}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/api/v1/query", data=form) as response,
    ):
        body = await response.json()
    assert body["status"] == "success"
    assert body["data"]["resultType"] == "vector"
    assert body["data"]["result"][0]["value"] == [bench.clock.now(), "2"]


async def test_the_workshops_question_is_answered(served):
    """Drops of store-front by reason, with a case-insensitive pattern."""
    _, url = served
    status, body = await get(
        f"{url}/api/v1/query",
        query='sum by (reason) (increase(hubble_drop_total{destination=~"pets/store-front-.*",'
        'reason=~"(?i)policy.den.*"}[2m]))',
    )
    assert status == 200
    (element,) = body["data"]["result"]
    assert element["metric"] == {"reason": "POLICY_DENIED"}
    assert float(element["value"][1]) > 10


async def test_a_range_selector_gives_the_raw_samples(served):
    """A sample every half second."""
    _, url = served
    _, body = await get(f"{url}/api/v1/query", query='up{job="networkobservability-cilium"}[5s]')
    assert body["data"]["resultType"] == "matrix"
    (series,) = body["data"]["result"]
    assert len(series["values"]) == 11


async def test_series_labels_and_values_can_be_listed(served):
    """What a query editor asks for."""
    _, url = served
    _, body = await get(f"{url}/api/v1/series", **{"match[]": "cilium_forward_count_total"})
    assert {s["direction"] for s in body["data"]} == {"EGRESS", "INGRESS"}
    _, body = await get(f"{url}/api/v1/labels")
    assert {"__name__", "cluster", "instance", "job", "reason"} <= set(body["data"])
    _, body = await get(f"{url}/api/v1/label/job/values")
    assert body["data"] == ["networkobservability-cilium", "networkobservability-hubble"]
    _, body = await get(f"{url}/api/v1/targets")
    assert {target["health"] for target in body["data"]["activeTargets"]} == {"up"}


async def test_a_path_that_is_not_modelled_says_so(served):
    """501 with its name."""
    _, url = served
    status, body = await get(f"{url}/api/v1/status/tsdb")
    assert (status, body["error"]) == (501, "/api/v1/status/tsdb is not modelled by the lab")


@pytest.mark.parametrize(
    ("path", "params", "status", "kind", "says"),
    [
        ("query", {"query": "sum("}, 400, "bad_data", 'invalid parameter "query": parse error'),
        ("query", {}, 400, "bad_data", "no expression found in input"),
        ("query", {"query": "up", "time": "noon"}, 400, "bad_data", 'cannot parse "noon"'),
        ("query", {"query": "up atan2 up"}, 422, "execution", "is not modelled by the lab"),
        ("series", {}, 400, "bad_data", "no match[] parameter provided"),
        (
            "query_range", {"query": "up", "start": "10", "end": "5", "step": "1"},
            400, "bad_data", "end timestamp must not be before start time",
        ),
        (
            "query_range", {"query": "up", "start": "0", "end": "5", "step": "0"},
            400, "bad_data", "zero or negative query resolution",
        ),
        (
            "query_range", {"query": "up", "start": "0", "end": "20000", "step": "1"},
            400, "bad_data", "exceeded maximum resolution",
        ),
        (
            "query_range", {"query": "up[1m]", "start": "0", "end": "5", "step": "1"},
            400, "bad_data", 'invalid expression type "range vector"',
        ),
    ],
)  # fmt: skip
async def test_errors_are_those_of_a_real_server(served, path, params, status, kind, says):
    """Status, type and text."""
    _, url = served
    got, body = await get(f"{url}/api/v1/{path}", **params)
    assert (got, body["status"], body["errorType"]) == (status, "error", kind)
    assert says in body["error"]


async def test_times_can_be_written_as_rfc_3339(served):
    """With a zone; a day of twelve days after 1970 is when these tests play."""
    _, url = served
    status, body = await get(f"{url}/api/v1/query", query="up", time="1970-01-12T13:47:00Z")
    assert status == 200
    assert body["data"]["result"][0]["value"][0] == 1_000_020.0


async def test_it_says_that_it_is_ready():
    """On the two paths that orchestrators ask."""
    clock = JumpingClock()
    prometheus = Prometheus(Scraper(Metrics(), clock, 0.5), clock)
    url = await prometheus.start()
    async with aiohttp.ClientSession() as session:
        for path in ("/-/ready", "/-/healthy"):
            async with session.get(url + path) as response:
                assert response.status == 200
    await prometheus.stop()
