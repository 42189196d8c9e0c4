"""The dashboard of deploy/grafana: what Grafana would refuse, and what its queries find."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import promql_parser as pp
import pytest

from acns_chaos.controls.annotated import MARK, MARK_LAB
from acns_chaos.lab.net.metrics.families import FAMILIES
from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import parse
from acns_chaos.lab.net.promql.history import History
from tests.lab.dashboard import BOARD, PANELS, TEXT, VARIABLES, chosen, queries
from tests.lab.net_support import NOBODY, Bench

ROOT = Path(__file__).parents[2]
ROWS = [
    *("At a glance", "Drops", "DNS", "TCP", "Layer 7", "Policies in the agents"),
    "Can this page be trusted?",
]
# What neither the lab nor the captures have: no Envoy ran there (reference cilium-semantics §11.2).
ELSEWHERE = {"hubble_http_requests_total"}
CAPTURED = "".join(
    (ROOT / f"tests/lab/captured_{one}.prom").read_text() for one in ("agent", "hubble")
)
# What Azure's endpoint cannot do, or not for certain (reference workshop-facts §4.1).
NOT_AT_AZURE = (r"\(\?i\)", r"__name__", r"\{\s*\}")
# Panels that stay empty while the workshop's fault stands: nothing of theirs happens in it.
QUIET = {
    "Outgoing drops by workload": "the storefront is cut on its way in",
    "Queries refused by policy": "every name that is asked for is allowed",
    "HTTP by status": "no Envoy",
}


def selectors(expression: Any) -> Iterator[Any]:
    """Every selector of a parsed query."""
    if isinstance(expression, pp.VectorSelector):
        yield expression
    for name in ("vector_selector", "expr", "lhs", "rhs"):
        if (inner := getattr(expression, name, None)) is not None and not isinstance(inner, str):
            yield from selectors(inner)
    for inner in getattr(expression, "args", None) or []:
        yield from selectors(inner)


def test_it_opens_as_people_expect() -> None:
    """Grafana 10's schema, the last half hour, every ten seconds, in the time of whoever looks."""
    assert BOARD["schemaVersion"] == 39
    assert (BOARD["refresh"], BOARD["timezone"]) == ("10s", "browser")
    assert BOARD["time"] == {"from": "now-30m", "to": "now"}
    assert BOARD["uid"] == "acns-chaos"
    assert "id" not in BOARD, "a number of somebody else's Grafana"
    rows = [one["title"] for one in BOARD["panels"] if one["type"] == "row"]
    assert [title.partition(" (")[0] for title in rows] == ROWS


def test_panels_have_their_own_number_and_place() -> None:
    """No two share a number or a spot, none leaves the page's 24 columns."""
    assert len(PANELS) == 24
    numbers = [one["id"] for one in BOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        spots = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not spots & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= spots


@pytest.mark.parametrize("panel", PANELS, ids=lambda one: one["title"])
def test_every_panel_explains_itself(panel: dict[str, Any]) -> None:
    """A description, a unit, a legend; its data comes from the chosen Prometheus."""
    assert len(panel["description"]) > 80
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert target["legendFormat"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_titles_are_told_apart() -> None:
    """A title is how people speak of a panel."""
    assert len({one["title"] for one in PANELS}) == len(PANELS)


def test_who_counts_twice_is_said_where_it_is_read() -> None:
    """Every panel over hubble_drop_total says that a policy drop counts twice there."""
    for panel in PANELS:
        if any("hubble_drop_total" in one["expr"] for one in panel["targets"]):
            assert "twice" in panel["description"], panel["title"]


def test_no_data_source_of_somebodys_own_is_named() -> None:
    """Only the variable, and Grafana's own, which is called alike everywhere."""
    assert set(re.findall(r'"uid": "([^"]+)"', TEXT)) == {
        *("acns-chaos", "${datasource}", "-- Grafana --"),
    }


def test_every_variable_is_used_and_every_use_is_declared() -> None:
    """A variable that nothing reads would only look as if it had an effect."""
    used = set(re.findall(r"\$\{?([a-z_]\w*)", TEXT)) - {"__rate_interval"}
    assert used - {"__all"} == set(VARIABLES)
    in_panels = {name for _, one in queries() for name in re.findall(r"\$([a-z]\w*)", one)}
    assert in_panels == {"cluster", "namespace", "workload", "suffix"}


def test_the_variables_find_workloads_by_their_pods() -> None:
    """A Deployment's, a DaemonSet's, a StatefulSet's and a bare pod's name lead to the workload."""
    workload = re.compile(VARIABLES["workload"]["regex"][1:-1].replace("\\/", "/"))
    namespace = re.compile(VARIABLES["namespace"]["regex"][1:-1].replace("\\/", "/"))
    suffix = VARIABLES["suffix"]["query"]
    for pod, name in {
        "pets/store-front-68846476f4-x2x9k": "store-front",
        "pets/order-service-784f8c6987-wsv8z": "order-service",
        "kube-system/cilium-8wq4t": "cilium",
        "pets/rabbitmq-0": "rabbitmq",
        "pets/my-redis": "my-redis",
        "pets/store-front-admin-68846476f4-x2x9k": "store-front-admin",
    }.items():
        found = workload.search(pod)
        assert found, pod
        assert found[1] == name
        (place,) = namespace.findall(pod)
        assert re.fullmatch(f"{place}/{name}{suffix}", pod)
    assert not re.fullmatch(f"pets/store-front{suffix}", "pets/store-front-admin-68846476f4-x2x9k")


@pytest.mark.parametrize(("title", "query"), queries(), ids=[one[0] for one in queries()])
def test_every_query_is_promql_over_metrics_that_there_are(title: str, query: str) -> None:
    """Prometheus' grammar, metrics that a real node exposed, and nothing that Azure refuses."""
    expression = parse(chosen(query))

    names = {one.name for one in selectors(expression)}
    assert names
    assert names <= set(FAMILIES) | ELSEWHERE | {"up", "cilium_policy_implementation_delay_bucket"}
    for name in names & set(FAMILIES):
        assert re.search(rf"^# TYPE {name} ", CAPTURED, re.MULTILINE), name
    for bad in NOT_AT_AZURE:
        assert not re.search(bad, query)
    assert 'cluster=~"$cluster"' in query
    Query(expression, History()).at(1_000_000.0)


def test_the_labels_asked_for_are_those_of_the_metric() -> None:
    """A label that is mistyped selects nothing, or sums everything."""
    common = {"cluster", "instance", "job"}
    for _, query in queries():
        for one in selectors(parse(chosen(query))):
            if family := FAMILIES.get(one.name):
                asked = {matcher.name for matcher in one.matchers.matchers}
                assert asked <= {*family.labels, *common}, query


def test_runs_are_shown_on_every_panel_and_the_labs_only_when_asked_for() -> None:
    """Annotations by the tag that the control writes, from Grafana itself."""
    found = {one["name"]: one for one in BOARD["annotations"]["list"]}
    assert found["Chaos runs"]["target"] == {
        "limit": 100,
        "matchAny": False,
        "tags": [MARK],
        "type": "tags",
    }
    assert found["Chaos runs"]["enable"]
    assert "filter" not in found["Chaos runs"], "no panel is left out"
    assert found["Lab runs (simulated)"]["target"]["tags"] == [MARK_LAB]
    assert not found["Lab runs (simulated)"]["enable"]


# ---------------------------------------------------------------------- while a fault stands


@pytest.mark.slow
async def test_every_query_finds_what_happens_while_a_fault_stands() -> None:
    """Asked of the lab's Prometheus over HTTP, for a namespace, a workload, and for all."""
    bench = Bench()
    prometheus = bench.net.prometheus
    url = await prometheus.start()
    bench.net.metrics.record_noise(3)
    bench.net.traffic.start()
    await bench.clock.advance(90)
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(90)
    found: dict[str, list[float]] = {title: [] for title, _ in queries()}
    try:
        async with aiohttp.ClientSession() as session:
            for title, query in queries():
                for choice in ({}, {"namespace": "pets", "workload": "store-front"}):
                    asked = {
                        "query": chosen(query, **choice),
                        "start": str(bench.clock.now() - 60),
                        "end": str(bench.clock.now()),
                        "step": "15",
                    }
                    async with session.post(f"{url}/api/v1/query_range", data=asked) as answer:
                        told = await answer.json()
                    assert answer.status == 200, (title, told)
                    found[title] += [float(one["values"][-1][1]) for one in told["data"]["result"]]
    finally:
        await bench.net.traffic.stop()
        await prometheus.stop()
        await asyncio.sleep(0)

    assert {title for title, values in found.items() if not values} == set(QUIET)
    dropped = [title for title in found if "drop" in title.lower() and title not in QUIET]
    assert len(dropped) == 6
    assert all(max(found[title]) > 0 for title in dropped), found
