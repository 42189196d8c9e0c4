"""Names: musl's search list, refusals, and addresses that Cilium learns."""

import asyncio

import pytest
from net_support import Bench

from acns_chaos.lab.net.connections import Outcome

GRAPH = "20.190.152.88"


def pod(bench: Bench, service: str):
    return bench.net.directory.backend("pets", service)


async def test_the_search_list_comes_before_the_plain_name():
    """Fewer than five dots: four expansions first, the node's own domain last."""
    bench = Bench()
    names = bench.net.resolver.candidates(pod(bench, "rabbitmq"), "www.bing.com")
    assert names == [
        "www.bing.com.pets.svc.cluster.local",
        "www.bing.com.svc.cluster.local",
        "www.bing.com.cluster.local",
        "www.bing.com.k2f4xq0zd1ue3m5c6wapr7tyhb.bx.internal.cloudapp.net",
        "www.bing.com",
    ]


@pytest.mark.parametrize("name", ["www.bing.com.", "a.b.c.d.e.f"])
async def test_a_complete_name_skips_the_search_list(name):
    """A trailing dot, or five dots, make a name complete."""
    bench = Bench()
    assert bench.net.resolver.candidates(pod(bench, "rabbitmq"), name) == [name.rstrip(".")]


async def test_an_unrestricted_pod_resolves_at_once():
    """No such name is an answer: the walk over the list takes no second."""
    bench = Bench()
    lookup = bench.net.resolver.lookup
    found, seconds = await bench.clock.run(lookup(pod(bench, "rabbitmq"), "www.bing.com"))
    assert found == ("13.107.21.237",)
    assert seconds < 0.1


async def test_without_dns_a_lookup_takes_five_seconds():
    """A and AAAA, sent twice, are four dropped packets."""
    bench = Bench("pets-workshop")
    lookup = bench.net.resolver.lookup
    found, seconds = await bench.clock.run(lookup(pod(bench, "order-service"), "www.bing.com"))
    assert found == ()
    assert round(seconds, 2) == 5.0
    assert bench.drops(direction="EGRESS") == 4
    source = pod(bench, "order-service").endpoint.name
    value = bench.net.metrics.value
    assert value("hubble_drop_total", protocol="UDP", source=source, reason="POLICY_DENIED") == 8


async def test_a_refused_search_name_ends_the_lookup_after_five_seconds():
    """The resolver takes REFUSED for no answer and never comes to the plain name."""
    bench = Bench()
    lookup = bench.net.resolver.lookup
    found, seconds = await bench.clock.run(lookup(pod(bench, "order-service"), "www.bing.com"))
    assert found == ()
    assert round(seconds, 2) == 5.0


async def test_refused_dns_is_counted_as_captured():
    """The agent's drop counter stands still; Hubble counts DROP_REASON_UNKNOWN once a query."""
    bench = Bench()
    lookup = bench.net.resolver.lookup
    await bench.clock.run(lookup(pod(bench, "order-service"), "www.bing.com"))
    value = bench.net.metrics.value
    assert bench.drops() == 0
    assert value("hubble_drop_total", protocol="DNS", reason="DROP_REASON_UNKNOWN") == 4
    assert value("hubble_drop_total", reason="POLICY_DENIED") == 0
    assert value("hubble_dns_queries_total", rcode="Policy denied", qtypes="A") == 2
    assert value("hubble_dns_responses_total") == 0
    # The proxy answered: nothing went on to the DNS pods.
    assert value("hubble_flows_processed_total", type="Trace", subtype="to-endpoint") == 0


async def test_a_resolver_that_still_waits_is_helped_by_a_policy_that_opens():
    """The second attempt, after 2.5 s, gets its answer."""
    bench = Bench("pets-workshop")
    work = asyncio.ensure_future(bench.net.resolver.lookup(pod(bench, "order-service"), "rabbitmq"))
    await bench.clock.advance(1)
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-order-service-traffic")
    found, seconds = await bench.clock.run(work)
    assert found == ("10.0.154.203",)
    assert round(1 + seconds, 1) == 2.5


async def test_an_address_is_dropped_until_a_lookup_has_shown_its_name():
    """A toFQDNs rule opens what the DNS proxy saw in an answer, nothing else."""
    bench = Bench()
    orders = pod(bench, "order-service")
    connect = bench.net.connections.connect

    async def graph() -> Outcome:
        outcome, _ = await bench.clock.run(connect(orders.endpoint, GRAPH, 443, timeout=2))
        return outcome

    assert await graph() is Outcome.TIMEOUT
    await bench.clock.run(bench.net.resolver.lookup(orders, "graph.microsoft.com"))
    assert await graph() is Outcome.OPEN
    await bench.clock.advance(3601)
    assert await graph() is Outcome.TIMEOUT


async def test_a_lookup_without_a_dns_rule_teaches_nothing():
    """With DNS allowed by port only, toFQDNs stays shut."""
    bench = Bench()
    egress = bench.policy("allow-order-service-traffic")["spec"]["egress"]
    del egress[1]["toPorts"][0]["rules"]
    await bench.apply("allow-order-service-traffic", egress=egress)
    orders = pod(bench, "order-service")
    found, _ = await bench.clock.run(bench.net.resolver.lookup(orders, "graph.microsoft.com"))
    assert found == (GRAPH,)
    connect = bench.net.connections.connect
    outcome, _ = await bench.clock.run(connect(orders.endpoint, GRAPH, 443, timeout=2))
    assert outcome is Outcome.TIMEOUT


async def test_names_of_services_follow_the_store():
    """A deleted service is no such name."""
    bench = Bench()
    addresses = bench.net.zone.addresses
    assert addresses("rabbitmq.pets.svc.cluster.local.") == ("10.0.154.203",)
    bench.store.delete("Service", "pets", "rabbitmq")
    assert addresses("rabbitmq.pets.svc.cluster.local") is None
