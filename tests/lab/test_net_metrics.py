"""Counters: spelled as the captures spell them."""

from net_support import NOBODY, Bench

from acns_chaos.policy import Endpoint

NODE = "aks-systempool-28641353-vmss000000"
TARGET = {"instance", "cluster", "job"}
# Family to the sets of labels that the captures show, without empty ones.
SPELLING = {
    "cilium_drop_count_total": [{"direction", "reason"}],
    "cilium_drop_bytes_total": [{"direction", "reason"}],
    "cilium_forward_count_total": [{"direction"}],
    "cilium_forward_bytes_total": [{"direction"}],
    "hubble_drop_total": [
        {"protocol", "reason"},
        {"protocol", "reason", "source"},
        {"protocol", "reason", "destination"},
    ],
    "hubble_flows_processed_total": [
        {"protocol", "type", "verdict"},
        {"protocol", "subtype", "type", "verdict"},
        {"protocol", "subtype", "type", "verdict", "source"},
        {"protocol", "type", "verdict", "source"},
        {"protocol", "type", "verdict", "destination"},
    ],
    "hubble_policy_verdicts_total": [
        {"action", "direction", "match", "source"},
        {"action", "direction", "match", "destination"},
    ],
    "hubble_tcp_flags_total": [
        {"family", "flag"},
        {"family", "flag", "source"},
        {"family", "flag", "destination"},
    ],
    "hubble_dns_queries_total": [
        {"ips_returned", "qtypes", "source"},
        {"ips_returned", "qtypes", "rcode", "source"},
    ],
    "hubble_dns_responses_total": [{"ips_returned", "qtypes", "rcode", "source"}],
    "hubble_dns_response_types_total": [{"qtypes", "type", "source"}],
    "up": [set()],
}


def stored(bench: Bench) -> list[dict[str, str]]:
    """The labels of every series after a scrape."""
    bench.net.scraper.scrape()
    return [series.names for series in bench.net.scraper.history.select(())]


async def busy() -> Bench:
    """A network in which everything has happened once."""
    bench = Bench()
    bench.net.traffic.start()
    await bench.clock.advance(40)
    await bench.sh("order-service", "wget --spider -T 1 https://graph.microsoft.com")
    await bench.sh("order-service", "nc -zv -w1 product-service 3002")
    await bench.sh("order-service", "nc -zv -w1 10.0.96.101 3002")
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    await bench.clock.advance(10)
    await bench.apply("allow-store-front-traffic", ingressDeny=[{"fromEntities": ["world"]}])
    await bench.clock.advance(10)
    await bench.net.traffic.stop()
    return bench


async def test_families_and_labels_are_those_of_the_captures():
    """No family and no label that a real node does not show, and none missing."""
    bench = await busy()
    seen: dict[str, list[set[str]]] = {}
    for labels in stored(bench):
        names = set(labels)
        assert names >= TARGET
        family = labels["__name__"]
        shape = names - TARGET - {"__name__"}
        if shape not in seen.setdefault(family, []):
            seen[family].append(shape)
    assert set(seen) >= set(SPELLING)
    for family, shapes in seen.items():
        if family not in SPELLING:
            continue
        for shape in shapes:
            assert shape in SPELLING[family], (family, shape)


async def test_reasons_are_spelled_as_each_side_spells_them():
    """Hubble has enum names, the agent has sentences."""
    bench = await busy()
    samples = stored(bench)
    hubble = {s["reason"] for s in samples if s["__name__"] == "hubble_drop_total"}
    agent = {s["reason"] for s in samples if s["__name__"] == "cilium_drop_count_total"}
    assert hubble == {
        "POLICY_DENIED", "POLICY_DENY", "UNSUPPORTED_L3_PROTOCOL", "DROP_REASON_UNKNOWN",
    }  # fmt: skip
    assert agent == {"Policy denied", "Policy denied by denylist", "Unsupported L3 protocol"}


async def test_jobs_and_instance_are_those_of_aks():
    """Agent and Hubble are two jobs of the same node."""
    bench = await busy()
    samples = stored(bench)
    assert {s["instance"] for s in samples} == {NODE}
    jobs = {s["__name__"].split("_")[0]: s["job"] for s in samples if s["__name__"] != "up"}
    assert jobs == {
        "cilium": "networkobservability-cilium",
        "hubble": "networkobservability-hubble",
    }


async def test_hubble_counts_a_policy_drop_twice_and_the_agent_once():
    """The sums over everything that policy dropped are exactly 2 : 1."""
    bench = await busy()
    value = bench.net.metrics.value
    agent = sum(
        value("cilium_drop_count_total", reason=reason)
        for reason in ("Policy denied", "Policy denied by denylist")
    )
    hubble = sum(
        value("hubble_drop_total", reason=reason) for reason in ("POLICY_DENIED", "POLICY_DENY")
    )
    assert agent > 30
    assert hubble == 2 * agent
    flows = value("hubble_flows_processed_total", verdict="DROPPED", type="PolicyVerdict")
    assert flows == agent


async def test_a_dropped_syn_has_74_bytes():
    """As captured: nine SYNs were 666 bytes."""
    bench = Bench()
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    front = bench.net.directory.backend("pets", "store-front")
    world = Endpoint.outside("198.51.100.10")
    connect = bench.net.connections.connect
    await bench.clock.run(connect(world, front.ip, 8080, timeout=2))
    assert bench.net.metrics.value("cilium_drop_bytes_total", direction="INGRESS") == 148


async def test_an_answered_lookup_is_counted_on_both_sides():
    """The query names the asking pod, the response the DNS pod."""
    bench = Bench()
    await bench.sh("order-service", "nc -zv -w1 rabbitmq 5672")
    value = bench.net.metrics.value
    source = f"pets/{bench.pod('order-service')}"
    assert value("hubble_dns_queries_total", source=source, qtypes="A") == 1
    assert value("hubble_dns_queries_total", source=source, qtypes="AAAA") == 1
    answered = {"rcode": "No Error", "qtypes": "A", "ips_returned": "1"}
    assert value("hubble_dns_responses_total", **answered) == 1
    assert value("hubble_flows_processed_total", verdict="REDIRECTED", protocol="UDP") == 2
