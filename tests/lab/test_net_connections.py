"""Connections: silence, retransmission, refusal, translation."""

import asyncio

from net_support import NOBODY, Bench

from acns_chaos.lab.net.connections import Outcome
from acns_chaos.lab.net.metrics.families import HUBBLE
from acns_chaos.policy import Endpoint

WORLD = Endpoint.outside("198.51.100.10")


def endpoint(bench: Bench, service: str) -> Endpoint:
    return bench.net.directory.backend("pets", service).endpoint


def ip(bench: Bench, service: str) -> str:
    return bench.store.get("Service", "pets", service)["spec"]["clusterIP"]


async def test_an_allowed_connection_opens_through_its_service():
    """The service's address and port become the pod's before policy is asked."""
    bench = Bench()
    front = ip(bench, "store-front")
    assert bench.net.directory.target(front, 80).port == 8080
    connect = bench.net.connections.connect
    outcome, seconds = await bench.clock.run(connect(WORLD, front, 80, timeout=5))
    assert outcome is Outcome.OPEN
    assert seconds < 0.01
    assert bench.drops() == 0


async def test_a_denied_connection_costs_exactly_the_clients_timeout():
    """Silence for 2 s means two SYNs, at 0 and 1 s, each one drop and two flows."""
    bench = Bench()
    source = endpoint(bench, "order-service")
    connect = bench.net.connections.connect
    outcome, seconds = await bench.clock.run(
        connect(source, ip(bench, "product-service"), 3002, timeout=2)
    )
    assert outcome is Outcome.TIMEOUT
    assert round(seconds, 3) == 2.0
    value = bench.net.metrics.value
    assert value("cilium_drop_count_total", direction="EGRESS", reason="Policy denied") == 2
    assert value("hubble_drop_total", source=source.name, reason="POLICY_DENIED") == 4
    assert value("hubble_policy_verdicts_total", action="dropped") == 2


async def test_syns_are_repeated_after_1_3_7_and_15_seconds():
    """Without a time-out of its own a client goes on for 127 s."""
    bench = Bench()
    source = endpoint(bench, "order-service")
    work = asyncio.ensure_future(
        bench.net.connections.connect(source, ip(bench, "product-service"), 3002)
    )
    seen = []
    for second in range(17):
        await bench.clock.advance(0.5)
        seen.append((second, bench.drops()))
        await bench.clock.advance(0.5)
    assert [n for _, n in seen] == [1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5]
    outcome, seconds = await bench.clock.run(work)
    assert outcome is Outcome.TIMEOUT
    assert round(seconds + 17, 1) == 127.0


async def test_a_syn_after_the_policy_opened_succeeds():
    """Policy that comes back after 1.5 s makes a slow success at the third SYN."""
    bench = Bench()
    good = bench.policy("allow-store-front-traffic")["spec"]["ingress"]
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    work = asyncio.ensure_future(
        bench.net.connections.connect(WORLD, ip(bench, "store-front"), 80, timeout=10)
    )
    await bench.clock.advance(1.5)
    bench.write("allow-store-front-traffic", ingress=good)
    outcome, seconds = await bench.clock.run(work)
    assert outcome is Outcome.OPEN
    assert round(1.5 + seconds, 2) == 3.0
    assert bench.drops(direction="INGRESS") == 2


async def test_an_ingress_drop_names_the_destination_pod_only():
    """The counter's source stays empty for what comes in, as AKS sets the contexts."""
    bench = Bench()
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    front = endpoint(bench, "store-front")
    connect = bench.net.connections.connect
    await bench.clock.run(connect(WORLD, ip(bench, "store-front"), 80, timeout=0.5))
    exposed = bench.net.metrics.exposed(bench.net.directory.node(), HUBBLE)
    drop = next(dict(labels) for name, labels, _ in exposed if name == "hubble_drop_total")
    assert drop["destination"] == front.name
    assert drop["reason"] == "POLICY_DENIED"
    assert drop["protocol"] == "TCP"
    assert not drop.get("source")


async def test_a_deny_rule_has_its_own_reason():
    """A rule in ingressDeny counts as POLICY_DENY, and as a denylist sentence at the agent."""
    bench = Bench()
    await bench.apply("allow-store-front-traffic", ingressDeny=[{"fromEntities": ["world"]}])
    connect = bench.net.connections.connect
    await bench.clock.run(connect(WORLD, ip(bench, "store-front"), 80, timeout=0.5))
    value = bench.net.metrics.value
    assert value("cilium_drop_count_total", reason="Policy denied by denylist") == 1
    assert value("hubble_drop_total", reason="POLICY_DENY") == 2
    assert value("hubble_drop_total", reason="POLICY_DENIED") == 0


async def test_nothing_listening_on_an_allowed_port_is_refused_at_once():
    """A reset proves that policy let the packet through."""
    bench = Bench()
    bench.store.delete("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
    await bench.clock.advance(0.05)
    front = bench.net.directory.backend("pets", "store-front")
    connect = bench.net.connections.connect
    outcome, seconds = await bench.clock.run(connect(WORLD, front.ip, 9999, timeout=5))
    assert outcome is Outcome.REFUSED
    assert seconds < 0.01


async def test_a_service_without_ready_backends_refuses():
    """While no pod is ready, clients are refused instead of waiting."""
    bench = Bench()
    pod = bench.store.get("Pod", "pets", bench.pod("store-front"))
    for condition in pod["status"]["conditions"]:
        condition["status"] = "False"
    bench.store.put(pod)
    connect = bench.net.connections.connect
    outcome, _ = await bench.clock.run(connect(WORLD, ip(bench, "store-front"), 80, timeout=5))
    assert outcome is Outcome.REFUSED


async def test_a_port_that_the_service_lacks_is_silence():
    """The service address itself belongs to nobody."""
    bench = Bench()
    connect = bench.net.connections.connect
    rabbit = endpoint(bench, "rabbitmq")
    outcome, seconds = await bench.clock.run(
        connect(rabbit, ip(bench, "product-service"), 80, timeout=3)
    )
    assert outcome is Outcome.TIMEOUT
    assert round(seconds, 3) == 3.0
    assert bench.drops() == 0


async def test_data_on_an_established_connection_stalls_and_resumes():
    """Repetitions double from 200 ms: back after 2 s means delivered at 3 s, as ACK, PSH."""
    bench = Bench()
    orders = endpoint(bench, "order-service")
    queue = bench.net.directory.backend("pets", "rabbitmq").ip
    good = bench.policy("allow-order-service-traffic")["spec"]["egress"]
    await bench.apply("allow-order-service-traffic", egress=[{}])
    work = asyncio.ensure_future(bench.net.connections.send(orders, queue, 5672, timeout=60))
    await bench.clock.advance(2)
    bench.write("allow-order-service-traffic", egress=good)
    outcome, seconds = await bench.clock.run(work)
    assert outcome is Outcome.OPEN
    assert round(2 + seconds, 2) == 3.0
    assert bench.drops(direction="EGRESS") == 4
