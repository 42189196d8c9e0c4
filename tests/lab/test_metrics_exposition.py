"""The nodes' metrics endpoints: as captured, booked where things happen, and what goes wrong."""

import re
import urllib.request
from pathlib import Path

import aiohttp
import pytest
from net_support import NOBODY, Bench

from acns_chaos.lab.net.metrics.counters import Metrics
from acns_chaos.lab.net.metrics.families import AGENT, FAMILIES, HUBBLE
from acns_chaos.lab.net.metrics.registry import number, text
from acns_chaos.policy import Endpoint

HERE = Path(__file__).parent
# What a real agent tells about its inside, and the lab does not.
LEFT_OUT = {
    "cilium_fqdn_gc_deletions_total", "cilium_fqdn_selectors", "cilium_identity_label_sources",
    "cilium_identity_updater_timer_duration", "cilium_identity_updater_timer_trigger_folds",
    "cilium_identity_updater_timer_trigger_latency", "cilium_policy_incremental_update_duration",
    "cilium_policy_selector_cache_identities",
    "cilium_policy_selector_cache_operation_duration_seconds",
    "cilium_policy_selector_cache_selectors", "cilium_policy_selector_match_count_max",
    "cilium_proxy_redirects",
}  # fmt: skip
# The captures were filtered: these two are from Cilium's documentation.
NOT_CAPTURED = {"cilium_endpoint", "cilium_kubernetes_events_total"}
_SAMPLE = re.compile(r"([a-z0-9_]+)(?:\{(.*)\})? \S+")
_LABEL = re.compile(r'([a-z0-9_]+)="((?:[^"\\]|\\.)*)"')


def parsed(exposed: str) -> tuple[dict[str, str], dict[str, str], dict[str, set[frozenset[str]]]]:
    """Help and type of each family, and the sets of label names of each metric."""
    helps: dict[str, str] = {}
    types: dict[str, str] = {}
    labels: dict[str, set[frozenset[str]]] = {}
    for line in exposed.splitlines():
        if line.startswith("# HELP "):
            _, _, name, helps[name] = line.split(" ", 3)
        elif line.startswith("# TYPE "):
            _, _, name, types[name] = line.split(" ")
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            names = frozenset(name for name, _ in _LABEL.findall(match[2] or ""))
            labels.setdefault(match[1], set()).add(names)
    return helps, types, labels


def exposed(bench: Bench, endpoint: str, node: str = "") -> str:
    return text(bench.net.metrics.exposed(node or bench.net.metrics.nodes[0], endpoint))


async def busy(world: str = "pets") -> Bench:
    """A network in which everything has happened once."""
    bench = Bench(world)
    bench.net.traffic.start()
    await bench.clock.advance(20)
    await bench.sh("order-service", "wget --spider -T 1 https://graph.microsoft.com")
    await bench.sh("order-service", "nc -zv -w1 product-service 3002")
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(10)
    await bench.net.traffic.stop()
    return bench


@pytest.mark.parametrize(
    ("endpoint", "capture"), [(AGENT, "captured_agent.prom"), (HUBBLE, "captured_hubble.prom")]
)
async def test_each_family_has_the_help_type_and_labels_of_the_captures(endpoint, capture):
    """And each captured family is exposed or named as left out."""
    bench = await busy()
    ours, real = parsed(exposed(bench, endpoint)), parsed((HERE / capture).read_text())
    assert set(real[1]) - set(ours[1]) == (LEFT_OUT if endpoint == AGENT else set())
    assert set(ours[1]) - set(real[1]) == (NOT_CAPTURED if endpoint == AGENT else set())
    for family in set(real[1]) & set(ours[1]):
        assert (ours[0][family], ours[1][family]) == (real[0][family], real[1][family])
    for metric in set(real[2]) & set(ours[2]):
        # ACNS dropped the label `query` in 2024.
        assert ours[2][metric] == {names - {"query"} for names in real[2][metric]}, metric


async def test_every_family_of_the_table_is_exposed_by_a_node_that_has_seen_everything():
    """None is listed and never counted."""
    bench = await busy()
    shown = set(parsed(exposed(bench, AGENT))[1]) | set(parsed(exposed(bench, HUBBLE))[1])
    assert shown == set(FAMILIES)


def test_values_are_written_as_go_writes_them():
    """Shortest, with an exponent from a million on."""
    assert [number(v) for v in (0.0, 5.0, 81544.0, 999999.0, 1e6, 1234567.0, 1.278000145)] == [
        "0", "5", "81544", "999999", "1e+06", "1.234567e+06", "1.278000145",
    ]  # fmt: skip
    assert [number(v) for v in (1e-5, 0.0001, float("inf"), float("nan"), -2.5)] == [
        "1e-05", "0.0001", "+Inf", "NaN", "-2.5",
    ]  # fmt: skip


async def test_traffic_between_nodes_is_booked_where_each_end_is():
    """Egress at the sender's node, ingress at the receiver's, with the packet's way between."""
    bench = Bench("pets-allinone")
    shop = bench.net.directory.backend("pets", "order-service")
    customer = next(p for p in bench.net.directory.pods() if p.name.startswith("virtual-customer"))
    orders = bench.net.directory.service("pets", "order-service")["spec"]["clusterIP"]
    first, last = shop.node, customer.node
    assert first != last
    await bench.clock.run(bench.net.connections.connect(customer.endpoint, orders, 3000))
    there, here = exposed(bench, HUBBLE, first), exposed(bench, HUBBLE, last)
    assert f'direction="egress",match="l3-l4",source="pets/{customer.name}"' in here
    assert 'direction="egress"' not in there
    assert 'direction="ingress",match="l3-l4"' in there
    assert 'direction="ingress"' not in here
    assert 'subtype="to-network"' in here
    assert 'subtype="to-endpoint"' in there


async def test_a_drop_is_counted_on_the_node_that_dropped_it():
    """A denied SYN to another node: at the receiver's node when ingress denies it."""
    bench = Bench("pets-allinone")
    customer = next(p for p in bench.net.directory.pods() if p.name.startswith("virtual-customer"))
    await bench.apply("allow-order-service-traffic", ingress=NOBODY)
    orders = bench.net.directory.service("pets", "order-service")["spec"]["clusterIP"]
    await bench.clock.run(bench.net.connections.connect(customer.endpoint, orders, 3000, timeout=1))
    dropped = 'cilium_drop_count_total{direction="INGRESS",reason="Policy denied"}'
    shop = bench.net.directory.backend("pets", "order-service")
    assert dropped in exposed(bench, AGENT, shop.node)
    assert dropped not in exposed(bench, AGENT, customer.node)


async def test_hubbles_counters_restart_with_the_agent_and_the_kernels_do_not():
    """So the two drift apart, as captured."""
    bench = await busy()
    value = bench.net.metrics.value
    before = value("cilium_drop_count_total")
    assert before > 0
    assert value("hubble_drop_total") > 0
    bench.net.metrics.restart_agent(bench.net.metrics.nodes[0])
    assert value("cilium_drop_count_total") == before
    assert value("hubble_drop_total") == 0
    assert value("cilium_policy_l7_total") == 0


async def test_an_agent_that_is_down_has_no_metrics_and_begins_anew():
    """Its endpoints refuse while it is down; its counters are at 0 after."""
    bench = await busy()
    scraper = bench.net.scraper
    scraper.scrape()
    bench.net.enforcement.freeze()
    assert not any(scraper.is_up(target) for target in scraper.targets)
    bench.net.enforcement.thaw(after=1.0)
    await bench.clock.advance(2)
    assert all(scraper.is_up(target) for target in scraper.targets)
    assert bench.net.metrics.value("hubble_drop_total") == 0


async def test_a_written_policy_shows_in_the_agents_gauges():
    """Rules, revision, enforcement status, changes, and how long the change took."""
    bench = Bench()
    before = exposed(bench, AGENT)
    assert "cilium_policy 11\n" in before
    assert 'status{enforcement="both"} 3' in before
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-product-service-traffic")
    await bench.clock.advance(0.5)
    after = exposed(bench, AGENT)
    assert "cilium_policy 9\n" in after
    assert 'status{enforcement="both"} 2' in after
    assert 'change_total{outcome="success"} 1' in after
    assert 'delay_count{source="custom-resource"} 1' in after
    assert 'delay_bucket{source="custom-resource",le="1"} 1' in after
    assert 'events_total{action="delete",scope="CiliumNetworkPolicy",status="success"} 1' in after
    revisions = [re.search(r"max_revision (\d+)", one)[1] for one in (before, after)]
    assert int(revisions[1]) == int(revisions[0]) + 1


async def test_the_series_of_a_deleted_pod_disappear():
    """Hubble removes them, so a restarted pod begins at nothing."""
    bench = await busy()
    front = bench.pod("store-front")
    assert f"pets/{front}" in exposed(bench, HUBBLE)
    bench.store.delete("Pod", "pets", front)
    assert f"pets/{front}" not in exposed(bench, HUBBLE)


async def test_unscraped_metrics_keep_their_last_values_for_five_minutes():
    """Then there is nothing, not even `up`."""
    bench = await busy()
    scraper, history = bench.net.scraper, bench.net.scraper.history
    scraper.scrape()
    bench.net.prometheus.stale(True)
    await bench.clock.advance(299)
    scraper.scrape()
    now = round(bench.clock.now() * 1000)
    assert all(series.at(now) for series in history.select(()))
    assert not any(series.at(now + 2000) for series in history.select(()))
    bench.net.prometheus.stale(False)
    scraper.scrape()
    assert all(series.at(now + 2000) for series in history.select(()))


async def test_series_of_endpoints_that_refuse_end_at_once():
    """`up` is 0 and the rest is gone at the next scrape."""
    bench = await busy()
    scraper = bench.net.scraper
    scraper.scrape()
    bench.net.metrics.down()
    scraper.scrape()
    now = round(bench.clock.now() * 1000)
    alive = {s.names["__name__"]: s.at(now) for s in scraper.history.select(()) if s.at(now)}
    assert alive == {"up": (now, 0.0)}


async def test_a_missing_family_is_not_exposed_until_it_is_back():
    """Filtering at the source, as a ContainerNetworkMetric does."""
    bench = await busy()
    bench.net.metrics.missing("hubble_drop_total")
    assert "hubble_drop_total" not in exposed(bench, HUBBLE)
    bench.net.metrics.missing("hubble_drop_total", False)
    assert "hubble_drop_total" in exposed(bench, HUBBLE)
    with pytest.raises(ValueError, match="exposes no metric 'nonsense'"):
        bench.net.metrics.missing("nonsense")


def test_the_metric_that_acns_lacks_is_a_setting():
    """Without it the family never shows."""
    assert "hubble_policy_verdicts_total" not in text(Metrics(["a"]).exposed("a", HUBBLE))
    metrics = Metrics(["a"], policy_verdicts=False)
    metrics.registry("a").add("hubble_policy_verdicts_total", 1, action="dropped")
    assert "hubble_policy_verdicts_total" not in text(metrics.exposed("a", HUBBLE))


async def test_endpoints_that_are_down_close_the_connection():
    """No status, no body, as a port that nobody answers."""
    bench = Bench()
    targets = await bench.net._exposition.start()
    async with aiohttp.ClientSession() as session:
        async with session.get(targets[0].url) as response:
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert (await response.text()).startswith("# HELP cilium_")
        bench.net.metrics.down()
        with pytest.raises(aiohttp.ClientError):
            await session.get(targets[0].url)
    await bench.net._exposition.stop()


def test_the_ready_line_says_where_to_scrape(lab_process):
    """Two endpoints of each node, on loopback."""
    found = {target["job"]: target for target in lab_process["scrape"]}
    assert set(found) == {"networkobservability-cilium", "networkobservability-hubble"}
    for target in found.values():
        assert target["url"].startswith("http://127.0.0.1:")
        with urllib.request.urlopen(target["url"], timeout=5) as response:
            assert b"# TYPE " in response.read()


def test_events_without_names_of_nodes_are_booked_by_where_the_pods_are():
    """A recorder that says nothing about nodes is not wrong."""
    metrics = Metrics(["a", "b"], lambda endpoint: "b" if endpoint.kind == "pod" else "")
    metrics.record_noise(2)
    assert 'reason="Unsupported L3 protocol"} 2' in text(metrics.exposed("a", AGENT))
    assert Endpoint.outside("198.51.100.1").kind == "outside"
