"""The flows of one situation each, field by field as they were recorded from Cilium 1.19.4."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hubble_support import CASES, OUTSIDE, RecordedCluster, flows

from acns_chaos.lab.net.events import Event
from acns_chaos.policy import Endpoint
from acns_chaos.wire import flow_pb2

FRONT, PRODUCTS, LEARNED, DENIED = (
    "10.244.0.90",
    "10.244.0.44",
    "198.51.100.21",
    "198.51.100.20",
)


def without(cluster: RecordedCluster, *policies: str) -> None:
    """Delete policies."""
    for name in policies:
        cluster.store.delete("CiliumNetworkPolicy", "pets", name)


def source(cluster: RecordedCluster, app: str) -> Endpoint:
    pod = cluster.net.directory.pod("pets", cluster.pod(app))
    assert pod is not None
    return pod.endpoint


async def from_outside(cluster: RecordedCluster) -> None:
    await cluster.connect(OUTSIDE, FRONT, 8080)


async def between_pods(cluster: RecordedCluster) -> None:
    await cluster.connect(source(cluster, "store-front"), "10.244.0.175", 3000)


async def without_policy(cluster: RecordedCluster) -> None:
    without(cluster, "allow-order-service-traffic", "allow-product-service-traffic")
    await cluster.clock.advance(0.1)
    cluster.forget()
    await cluster.connect(source(cluster, "order-service"), PRODUCTS, 3002)


async def to_learned_name(cluster: RecordedCluster) -> None:
    await cluster.apply_later("fqdn")
    await ask(cluster, "order-service", "graph.microsoft.com")
    cluster.forget()
    await cluster.connect(source(cluster, "order-service"), LEARNED, 80)


async def to_denied_name(cluster: RecordedCluster) -> None:
    await cluster.apply_later("fqdn")
    await ask(cluster, "order-service", "www.bing.com")
    cluster.forget()
    await cluster.connect(source(cluster, "order-service"), DENIED, 80)


async def ask(cluster: RecordedCluster, app: str, name: str) -> None:
    pod = cluster.net.directory.pod("pets", cluster.pod(app))
    assert pod is not None
    await cluster.clock.run(cluster.net.resolver.ask(pod, name))


async def lookup_proxied(cluster: RecordedCluster) -> None:
    await cluster.apply_later("fqdn")
    await ask(cluster, "order-service", "product-service.pets.svc.cluster.local")


async def lookup_of_no_name(cluster: RecordedCluster) -> None:
    await cluster.apply_later("fqdn")
    await ask(cluster, "order-service", "graph.microsoft.com.pets.svc.cluster.local")


async def egress_denied(cluster: RecordedCluster) -> None:
    await cluster.connect(source(cluster, "order-service"), PRODUCTS, 3002)


async def egress_denied_beside_dns(cluster: RecordedCluster) -> None:
    await cluster.apply_later("fqdn")
    await egress_denied(cluster)


async def ingress_denied(cluster: RecordedCluster) -> None:
    await cluster.connect(source(cluster, "rabbitmq"), PRODUCTS, 3002)


async def closed(cluster: RecordedCluster) -> None:
    await cluster.apply_later("closed")
    await from_outside(cluster)


async def denied(cluster: RecordedCluster) -> None:
    await cluster.apply_later("denied")
    await from_outside(cluster)


def packet(cluster: RecordedCluster, sender: Endpoint, flags: str, count: int = 1) -> None:
    """One packet to the storefront, whatever the lab's clients would send."""
    receiver = source(cluster, "store-front")
    verdict = cluster.net.enforcement.verdict(sender, receiver, 8080)
    now = cluster.clock.now()
    event = Event(now, sender, receiver, 8080, "TCP", verdict, flags=flags, count=count)
    cluster.net.wire.record(event)


async def established_denied(cluster: RecordedCluster) -> None:
    await cluster.apply_later("denied")
    packet(cluster, OUTSIDE, "ACK", count=2)


async def from_the_node(cluster: RecordedCluster) -> None:
    node = Endpoint(
        "host",
        frozenset({"reserved:host=", "reserved:kube-apiserver="}),
        kind="entity",
        ip="10.244.0.83",
    )
    packet(cluster, node, "SYN")


async def noise(cluster: RecordedCluster) -> None:
    pods = list(cluster.net.directory.pods())
    turn = next(n for n, pod in enumerate(pods) if pod.name.startswith("rabbitmq"))
    cluster.net.relay.record_noise(turn + 1)
    flows = cluster.seen()
    cluster.forget()
    recorder = cluster.net.relay.recorder
    assert len(flows) == turn + 1
    recorder.record_noise(pods[turn].endpoint, cluster.clock.now())


Situation = Callable[[RecordedCluster], Awaitable[None]]
SITUATIONS: dict[str, Situation] = {
    "connection from outside": from_outside,
    "connection between pods": between_pods,
    "connection to a learned name": to_learned_name,
    "connection to a denied name": to_denied_name,
    "connection from the node": from_the_node,
    "egress denied": egress_denied,
    "egress denied beside a DNS rule": egress_denied_beside_dns,
    "ingress denied between pods": ingress_denied,
    "ingress denied by default": closed,
    "ingress denied by a rule": denied,
    "established connection denied": established_denied,
    "router solicitation": noise,
}


def lines(flows: list[dict[str, Any]]) -> list[str]:
    return [json.dumps(flow, sort_keys=True) for flow in flows]


@pytest.mark.parametrize("name", SITUATIONS)
async def test_a_situation_gives_exactly_the_recorded_flows(name: str) -> None:
    """Same flows, same order, same fields with the same values, none more and none fewer."""
    cluster = RecordedCluster()
    await SITUATIONS[name](cluster)
    assert lines(cluster.seen()) == lines(CASES[name])


@pytest.mark.parametrize(
    ("name", "situation"),
    [
        ("lookup through the proxy", lookup_proxied),
        ("lookup of no name", lookup_of_no_name),
    ],
)
async def test_a_lookup_gives_the_recorded_flows(name: str, situation: Situation) -> None:
    """The same flows; proxy and datapath log on their own, so their order is not fixed."""
    cluster = RecordedCluster()
    await situation(cluster)
    assert sorted(lines(cluster.seen())) == sorted(lines(CASES[name]))


async def test_a_lookup_without_a_dns_rule_is_seen_by_the_datapath_only() -> None:
    """One verdict and two traces, and nothing that names the question."""
    cluster = RecordedCluster()
    await ask(cluster, "store-front", "order-service.pets.svc.cluster.local")
    assert lines(cluster.seen()) == lines(CASES["lookup without a proxy"])


async def test_a_refused_lookup_is_one_dropped_flow_without_a_reason() -> None:
    """Each question once, and musl's second attempt from the same socket without a new verdict."""
    cluster = RecordedCluster()
    await cluster.apply_later("restricted")
    await ask(cluster, "order-service", "graph.microsoft.com.pets.svc.cluster.local")
    seen = cluster.seen()
    assert sorted(lines(seen[:5])) == sorted(lines(CASES["lookup refused"]))
    assert [flow["Type"] for flow in seen[5:]] == ["L7", "L7"]
    assert not any("drop_reason" in flow for flow in seen)


async def test_a_lookup_that_policy_stops_is_two_flows_a_packet() -> None:
    """Without a rule for port 53 the datapath drops each question, and says so twice."""
    cluster = RecordedCluster()
    await ask(cluster, "order-service", "www.bing.com")
    seen = cluster.seen()
    assert lines(seen[:2]) == lines(CASES["lookup denied"])
    assert len(seen) == 2 * 2 * 2  # A and AAAA, two attempts, two flows each


async def test_without_policies_no_verdict_is_logged() -> None:
    """Traces only: the recorded ones, and the last acknowledgement that its recording missed."""
    cluster = RecordedCluster()
    await without_policy(cluster)
    seen = lines(cluster.seen())
    for line in lines(CASES["connection between pods without a policy"]):
        assert line in seen
    assert not any('"type": 5' in line for line in seen)


async def test_a_repeated_syn_keeps_its_port_and_counts_again() -> None:
    """Two SYNs of one client are four flows with one source port."""
    cluster = RecordedCluster()
    await cluster.apply_later("closed")
    await cluster.clock.run(cluster.net.connections.connect(OUTSIDE, FRONT, 8080, timeout=2))
    seen = flows(cluster.agent())
    assert len(seen) == 4
    assert len({flow.l4.TCP.source_port for flow in seen}) == 1


async def test_a_connection_between_nodes_is_logged_by_each_node_for_its_own_pod() -> None:
    """The egress verdict at the sender, the ingress one at the receiver; remote pods half known."""
    cluster = RecordedCluster(second_node="order-service")
    agents = {agent.name: agent for agent in cluster.net.relay._nodes.agents()}
    assert sorted(agents) == ["node0", "node1"]
    await between_pods(cluster)
    at_sender, at_receiver = flows(agents["node0"]), flows(agents["node1"])
    assert at_sender[0].egress_allowed_by
    assert not at_sender[0].ingress_allowed_by
    assert at_receiver[0].ingress_allowed_by
    assert [flow.node_name for flow in (at_sender[0], at_receiver[0])] == ["node0", "node1"]
    for flow, own, other in (
        (at_sender[0], at_sender[0].source, at_sender[0].destination),
        (at_receiver[0], at_receiver[0].destination, at_receiver[0].source),
    ):
        assert flow.event_type.type == 5
        assert own.ID
        assert own.workloads
        assert not other.ID
        assert not other.workloads
        assert other.pod_name
    assert at_sender[1].trace_observation_point == flow_pb2.TO_NETWORK
    assert at_receiver[1].trace_observation_point == flow_pb2.TO_ENDPOINT
