"""Several nodes: each enforces, learns and sees by itself."""

import copy
import dataclasses

import pytest
from net_support import NOBODY, Bench

from acns_chaos.lab.net.connections import Outcome
from acns_chaos.lab.net.events import Event
from acns_chaos.lab.world import World, load_world
from acns_chaos.policy import Endpoint

WORLD = Endpoint.outside("198.51.100.10")
GRAPH = "20.190.152.88"
SECOND = "aks-userpool-28641353-vmss000001"
SECOND_IP = "10.224.0.5"
LOAD_BALANCER = "203.0.113.80"


def two_nodes(*moved: str, routing: str = "tunnel", local: bool = False) -> World:
    """The pets with a second node and these apps on it."""
    world = load_world("pets")
    objects = copy.deepcopy(world.objects)
    first = next(o for o in objects if o["kind"] == "Node")
    second = copy.deepcopy(first)
    second["metadata"]["name"] = SECOND
    second["status"]["addresses"] = [{"type": "InternalIP", "address": SECOND_IP}]
    objects.append(second)
    for obj in objects:
        labels = obj["metadata"].get("labels") or {}
        if obj["kind"] == "Pod" and labels.get("app") in moved:
            obj["spec"]["nodeName"] = SECOND
        if local and obj["kind"] == "Service" and obj["metadata"]["name"] == "store-front":
            obj["spec"]["externalTrafficPolicy"] = "Local"
    return dataclasses.replace(world, objects=objects, routing=routing)


def first(bench: Bench) -> str:
    return bench.net.directory.node()


def endpoint(bench: Bench, app: str) -> Endpoint:
    return bench.net.directory.backend("pets", app).endpoint


def listen(bench: Bench) -> list[Event]:
    events: list[Event] = []
    bench.net.wire.listen(events.append)
    return events


async def reach(bench: Bench, source: Endpoint, ip: str, port: int) -> Outcome:
    connect = bench.net.connections.connect
    outcome, _ = await bench.clock.run(connect(source, ip, port, timeout=0.5))
    return outcome


async def test_egress_is_the_senders_nodes_and_ingress_the_receivers():
    """A deny that only the receiver's node has in force drops there, and the other way round."""
    bench = Bench(two_nodes("order-service"))
    front, orders = endpoint(bench, "store-front"), endpoint(bench, "order-service")
    verdict = bench.net.enforcement.verdict
    assert verdict(front, orders, 3000).verdict == "ALLOWED"
    bench.net.enforcement.freeze(first(bench))
    await bench.apply("allow-order-service-traffic", ingress=NOBODY)
    await bench.apply("allow-store-front-traffic", egress=[{}])
    judged = verdict(front, orders, 3000)
    assert (judged.egress.verdict, judged.ingress.verdict) == ("ALLOWED", "DENIED")
    assert (judged.verdict, judged.drop_reason) == ("DENIED", "POLICY_DENIED")
    bench.net.enforcement.freeze(SECOND)
    bench.net.enforcement.thaw(first(bench), after=0.1)
    await bench.clock.advance(0.2)
    assert verdict(front, orders, 3000).egress.verdict == "DENIED"


async def test_nodes_take_a_change_in_at_different_moments():
    """Each draws its own delay, so for some milliseconds they differ; then they agree."""
    bench = Bench(two_nodes("order-service"))
    moments: dict[str, float] = {}
    begun = bench.clock.now()

    def note() -> None:
        for node, revision in bench.net.enforcement.revisions().items():
            if revision == 2:
                moments.setdefault(node, bench.clock.now() - begun)

    bench.net.enforcement.on_applied(note)
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    assert len(moments) == 2
    assert len(set(moments.values())) == 2
    assert all(0 < moment < 0.0171 for moment in moments.values())
    assert bench.net.enforcement.revisions() == {first(bench): 2, SECOND: 2}


async def test_equal_nodes_share_their_engine():
    """A world of many nodes costs one compilation a change, not one a node."""
    bench = Bench(two_nodes("order-service"))
    of = bench.net.enforcement.engine_of
    assert of(first(bench)) is of(SECOND)
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    assert of(first(bench)) is of(SECOND)


async def test_events_name_the_nodes_and_a_source_port():
    """Both nodes, none for the outside; repetitions keep their port, connections do not."""
    bench = Bench(two_nodes("order-service"))
    events = listen(bench)
    front, orders = (
        endpoint(bench, "store-front"),
        bench.net.directory.backend("pets", "order-service"),
    )
    await reach(bench, front, orders.ip, 3000)
    assert (events[-1].source_node, events[-1].destination_node) == (first(bench), SECOND)
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    del events[:]
    connect = bench.net.connections.connect
    for _ in range(2):
        await bench.clock.run(connect(WORLD, LOAD_BALANCER, 80, timeout=3.5))
    assert [(e.source_node, e.destination_node) for e in events] == [("", first(bench))] * 6
    ports = [e.source_port for e in events]
    assert len(set(ports[:3])) == len(set(ports[3:])) == 1
    assert ports[0] != ports[3]
    assert all(32768 <= port < 61000 for port in ports)


async def test_data_keeps_the_port_of_its_connection():
    """What is sent later belongs to the connection that was opened."""
    bench = Bench()
    events = listen(bench)
    orders = endpoint(bench, "order-service")
    queue = bench.net.directory.backend("pets", "rabbitmq").ip
    await reach(bench, orders, queue, 5672)
    await bench.clock.run(bench.net.connections.send(orders, queue, 5672, timeout=5))
    assert [e.flags for e in events] == ["SYN", "ACK, PSH"]
    assert events[0].source_port == events[1].source_port > 0


async def test_names_are_learned_by_the_node_that_looked_them_up():
    """One pod's lookup opens the address for its neighbours, not for pods on another node."""
    world = two_nodes()
    twin = next(
        copy.deepcopy(o)
        for o in world.objects
        if o["kind"] == "Pod" and o["metadata"]["name"].startswith("order-service")
    )
    twin["metadata"]["name"] = "order-service-elsewhere"
    twin["status"]["podIP"] = "10.244.1.7"
    twin["spec"]["nodeName"] = SECOND
    neighbour = copy.deepcopy(twin)
    neighbour["metadata"]["name"] = "order-service-neighbour"
    neighbour["status"]["podIP"] = "10.244.1.8"
    bench = Bench(dataclasses.replace(world, objects=[*world.objects, twin, neighbour]))
    pod = bench.net.directory.pod
    far, near = pod("pets", "order-service-elsewhere"), pod("pets", "order-service-neighbour")
    await bench.clock.run(bench.net.resolver.lookup(far, "graph.microsoft.com"))
    assert await reach(bench, far.endpoint, GRAPH, 443) is Outcome.OPEN
    assert await reach(bench, near.endpoint, GRAPH, 443) is Outcome.OPEN
    home = next(
        each
        for each in bench.net.directory.pods()
        if each.node == first(bench) and each.name.startswith("order-service")
    )
    assert await reach(bench, home.endpoint, GRAPH, 443) is Outcome.TIMEOUT


@pytest.mark.parametrize(
    ("routing", "local", "moved", "sources"),
    [
        ("tunnel", False, ["store-front"], {"198.51.100.10"}),
        ("native", False, ["store-front"], {"198.51.100.10", "10.224.0.4"}),
        ("native", True, ["store-front"], {"198.51.100.10"}),
        ("native", False, [], {"198.51.100.10", SECOND_IP}),
    ],
)
async def test_who_a_customer_is_behind_the_load_balancer(routing, local, moved, sources):
    """With native routing every node but the backend's own puts its address in place."""
    bench = Bench(two_nodes(*moved, routing=routing, local=local))
    events = listen(bench)
    for _ in range(4):
        await reach(bench, WORLD, LOAD_BALANCER, 80)
    assert {e.source.ip for e in events} == sources
    for event in events:
        foreign = event.source.ip != "198.51.100.10"
        assert event.source.name == ("remote-node" if foreign else "198.51.100.10")
        # `fromEntities: [world]` does not mean a node.
        assert (event.verdict.verdict == "DENIED") is foreign


async def test_a_node_is_the_host_to_itself_only():
    """The kubelet's node gets in under default deny, another node does not."""
    bench = Bench(two_nodes("order-service"))
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    directory, verdict = bench.net.directory, bench.net.enforcement.verdict
    front = endpoint(bench, "store-front")
    own = directory.endpoint("10.224.0.4", first(bench))
    other = directory.endpoint(SECOND_IP, first(bench))
    assert (own.name, other.name) == ("host", "remote-node")
    assert directory.endpoint(SECOND_IP, SECOND).name == "host"
    assert verdict(own, front, 8080).verdict == "ALLOWED"
    assert verdict(other, front, 8080).verdict == "DENIED"
    # As the other node sees itself it is the host; the receiver sees a remote node all the same.
    itself = directory.endpoint(SECOND_IP, SECOND)
    assert verdict(itself, front, 8080).verdict == "DENIED"


async def test_internal_traffic_policy_local_keeps_to_the_node():
    """A service that is local to the node has nobody behind it on the other one."""
    bench = Bench(two_nodes("order-service"))
    service = bench.store.get("Service", "pets", "product-service")
    service["spec"]["internalTrafficPolicy"] = "Local"
    bench.store.put(service)
    ip = service["spec"]["clusterIP"]
    assert await reach(bench, endpoint(bench, "store-front"), ip, 3002) is Outcome.OPEN
    assert await reach(bench, endpoint(bench, "order-service"), ip, 3002) is Outcome.REFUSED


async def test_in_a_sound_world_of_two_nodes_nothing_is_denied():
    """The steady traffic crosses nodes without a drop."""
    bench = Bench(two_nodes("order-service", "rabbitmq"))
    bench.net.traffic.start()
    await bench.clock.advance(120)
    assert bench.drops() == 0
    await bench.net.traffic.stop()


async def test_a_restarted_agent_reads_its_settings_anew():
    """Enforcement mode `never` counts from the agent's next start, on that node."""
    bench = Bench(two_nodes("order-service"))
    await bench.apply("allow-store-front-traffic", ingress=NOBODY)
    config = bench.store.get("ConfigMap", "kube-system", "cilium-config")
    config["data"]["enable-policy"] = "never"
    bench.store.put(config)
    front, verdict = endpoint(bench, "store-front"), bench.net.enforcement.verdict
    assert verdict(WORLD, front, 8080).verdict == "DENIED"
    bench.net.enforcement.restart(first(bench), after=1)
    await bench.clock.advance(0.9)
    assert verdict(WORLD, front, 8080).verdict == "DENIED"
    await bench.clock.advance(0.2)
    assert verdict(WORLD, front, 8080).verdict == "ALLOWED"


async def test_cidr_groups_are_enforced_like_policies():
    """A group that changes changes what its rules let in, after the same delay."""
    bench = Bench()
    group = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": "customers"},
        "spec": {"externalCIDRs": ["192.0.2.0/24"]},
    }
    bench.store.put(group)
    rule = [{"fromCIDRSet": [{"cidrGroupRef": "customers"}]}]
    await bench.apply("allow-store-front-traffic", ingress=rule)
    front, verdict = endpoint(bench, "store-front"), bench.net.enforcement.verdict
    assert verdict(WORLD, front, 8080).verdict == "DENIED"
    group["spec"]["externalCIDRs"].append("198.51.100.0/24")
    bench.store.put(group)
    assert verdict(WORLD, front, 8080).verdict == "DENIED"
    await bench.clock.advance(0.05)
    assert verdict(WORLD, front, 8080).verdict == "ALLOWED"


async def test_an_unknown_node_is_refused_by_name():
    """Misbehaviour on a node that is not there is a mistake."""
    bench = Bench()
    with pytest.raises(ValueError, match="there is no node 'nowhere'"):
        bench.net.enforcement.freeze("nowhere")
