"""The blast radius is the difference of two matrices; limits; and what may never be cut."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.policy import Endpoint, Engine, Flow, ObjectRef, Settings
from acns_chaos.policy.asked import Lookup, Request
from acns_chaos.policy.blast import BlastRadius, Touched, blast_radius
from acns_chaos.policy.known import known_world, sample_names
from acns_chaos.policy.lockout import lockouts, vital_flows
from acns_chaos.policy.workloads import flow_text, workload_of
from acns_chaos.policy.world import World
from tests.policy.mutation_cases import NAMES, PLAIN, PODS, SERVICES, front, ports
from tests.policy.policy_cases import ccnp, cnp, knp
from tests.policy.test_policy_mutants import SMALL, passing, proxied, turned
from tests.policy.test_policy_properties import policies
from tests.tiers import examples

Matrix = dict[tuple[Endpoint, Endpoint, int, str], bool]


def matrix(engine: Engine, endpoints: tuple[Endpoint, ...], asked: Any) -> Matrix:
    """Every cell, one verdict at a time."""
    return {
        (source, target, port, protocol): engine.verdict(source, target, port, protocol).verdict
        == "ALLOWED"
        for source in endpoints
        for target in endpoints
        for port, protocol in asked
        if source != target
    }


@pytest.mark.slow
@examples(25)
@given(policies("p"), policies("q"), policies("p"), st.booleans())
def test_the_blast_radius_is_the_difference_of_two_matrices(
    live: dict[str, Any], other: dict[str, Any], changed: dict[str, Any], deleted: bool
) -> None:
    """Cell by cell, each matrix from an engine of its own."""
    world = World((live, other), SMALL)
    changes: dict[ObjectRef, dict[str, Any] | None] = {ObjectRef.of(changed): changed}
    if deleted:
        changes[ObjectRef.of(other)] = None
    after = {ObjectRef.of(p): p for p in (live, other)} | changes
    left = [policy for policy in after.values() if policy is not None]
    known = known_world([live, other, changed], SMALL)
    cells = [
        matrix(Engine(found, endpoints=SMALL), known.endpoints, known.ports)
        for found in ([live, other], left)
    ]
    radius = blast_radius(world, changes)
    assert set(radius.opened) == {Flow(*k) for k, open_ in cells[0].items() if cells[1][k] > open_}
    assert set(radius.closed) == {Flow(*k) for k, open_ in cells[0].items() if cells[1][k] < open_}
    assert len(set(radius.opened)) + len(set(radius.closed)) == radius.size
    assert radius.affected <= radius.workloads
    assert bool(radius.affected) or not radius.workloads
    assert radius.empty is (cells[0] == cells[1])


@examples(15)
@given(proxied("p"), proxied("p"))
def test_lookups_names_and_requests_belong_to_it(
    live: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Where only a DNS or an HTTP rule changes, the connections all stay."""
    world = World((live,), SMALL)
    radius = blast_radius(world, {ObjectRef.of(changed): changed})
    asked = World((live, changed), SMALL)
    was = passing(asked, [live, changed], Engine([live], endpoints=SMALL))
    now = passing(asked, [live, changed], Engine([changed], endpoints=SMALL))
    opened, closed = turned(was, now)
    assert {str(flow) for flow in radius.opened} == opened
    assert {str(flow) for flow in radius.closed} == closed


def test_an_invalid_change_has_no_effect() -> None:
    """The agents keep the old version."""
    bad = copy.deepcopy(PLAIN)
    bad["spec"]["ingress"][0]["fromEndpoints"] = [{}]
    assert blast_radius(World((PLAIN,), PODS), {ObjectRef.of(bad): bad}).empty


def test_deleting_what_is_not_there_has_no_effect() -> None:
    """Nothing was enforced by it."""
    ref = ObjectRef("CiliumNetworkPolicy", "pets", "none")
    assert blast_radius(World((PLAIN,), PODS), {ref: None}).empty


def nobody() -> BlastRadius:
    """What the workshop's fault does to the small shop."""
    fault = front(ingress=[{"fromEndpoints": []}], egress=PLAIN["spec"]["egress"])
    return blast_radius(World((PLAIN,), PODS, services=SERVICES), {ObjectRef.of(fault): fault})


def test_flows_are_grouped_by_the_workloads_they_touch() -> None:
    """Each flow under both its ends, where they are workloads."""
    assert nobody().by_workload() == {
        "pets/front": Touched(opened=(), closed=("from world on 8080/TCP",))
    }
    radius = blast_radius(World((PLAIN,), PODS), {ObjectRef.of(PLAIN): front(ingress=[{}])})
    groups = radius.by_workload()
    assert "to pets/queue on 5672/TCP" in groups["pets/front"].opened
    assert "from pets/front on 5672/TCP" in groups["pets/queue"].opened
    assert groups["pets/front"].closed == ("from world on 8080/TCP",)


def test_the_effect_in_words() -> None:
    """What somebody listens to comes first; long lists are cut."""
    assert nobody().sentence() == "closed world -> pets/front:8080/TCP"
    assert BlastRadius().sentence() == "changes no verdict"
    radius = blast_radius(World((PLAIN,), PODS), {ObjectRef.of(PLAIN): front(ingress=[{}])})
    assert radius.sentence() == (
        "closed world -> pets/front:8080/TCP; opened pets/front -> kube-system/kube-dns:53/TCP, "
        "pets/front -> kube-system/kube-dns:53/UDP, pets/front -> other/order:3000/TCP, "
        "pets/front -> pets/queue:5672/TCP and 35 more"
    )


@pytest.mark.parametrize(
    ("limit", "most", "sentence"),
    [
        ([], 0, ""),
        (["pets/front"], 0, ""),
        (["pets/front"], 1, ""),
        (
            ["pets/order", "pets/queue"],
            0,
            (
                "The fault would also touch pets/front; the limit is pets/order, pets/queue. "
                "Narrow the fault or raise the limit."
            ),
        ),
    ],
)
def test_a_limit_of_workloads_and_flows(limit: list[str], most: int, sentence: str) -> None:
    """Empty and zero mean no limit."""
    assert nobody().beyond(limit, most) == sentence


@pytest.mark.parametrize(
    ("fault", "affected"),
    [
        # It may go everywhere now: only its own rules turned, whoever is within reach.
        (front(ingress=PLAIN["spec"]["ingress"], egress=[]), {"pets/front"}),
        # It may ask nobody any more: those that it asked lose nothing.
        (front(ingress=PLAIN["spec"]["ingress"], egress=[{}]), {"pets/front"}),
        (None, {"pets/front"}),
    ],
)
def test_a_limit_is_about_whose_rules_turn_and_who_loses_something(
    fault: dict[str, Any] | None, affected: set[str]
) -> None:
    """Not about everybody who is within reach now, or no longer."""
    radius = blast_radius(World((PLAIN,), PODS, services=SERVICES), {ObjectRef.of(PLAIN): fault})
    assert radius.affected == affected
    assert radius.affected < radius.workloads
    assert radius.beyond(affected) == ""


def test_who_loses_a_connection_is_affected_though_its_own_rules_stay() -> None:
    """A limit on one backend does not allow to cut off another team that uses it."""
    subject = {"endpointSelector": {"matchLabels": {"app": "queue"}}}
    clients = [{"fromEndpoints": [{"matchLabels": {"app": "front"}}]}]
    live = cnp({**subject, "ingress": clients}, "queue", "pets")
    cut = cnp({**subject, "ingress": [{}]}, "queue", "pets")
    radius = blast_radius(World((live,), PODS), {ObjectRef.of(live): cut})
    assert radius.affected == {"pets/queue", "pets/front"}
    assert radius.beyond(["pets/queue"]).startswith("The fault would also touch pets/front; ")


def test_too_many_flows_are_counted_and_shown() -> None:
    """By workload: replicas do not count twice."""
    flow = Flow(PODS[0], PODS[1], 3000)
    replica = Flow(Endpoint.pod("pets", {"app": "front"}, name="front-2"), PODS[1], 3000)
    other = Flow(PODS[0], PODS[2], 5672)
    assert BlastRadius((flow, replica)).beyond([], 1) == ""
    assert BlastRadius((flow, replica), (other,)).beyond([], 1) == (
        "The fault would turn 2 flows, and the limit is 1 (closed pets/front -> "
        "pets/queue:5672/TCP; opened pets/front -> pets/order:3000/TCP). Narrow the fault or raise "
        "the limit."
    )


def test_a_pod_does_not_talk_to_itself_through_policy_but_two_replicas_do() -> None:
    """A hairpin is never judged."""
    policy = front(ingress=[{"fromEndpoints": [{"matchLabels": {"app": "front"}}]}])
    fault = front(ingress=[{}])
    one = blast_radius(World((policy,), PODS), {ObjectRef.of(policy): fault})
    assert one.empty
    twin = Endpoint.pod(
        "pets",
        {"app": "front", "tier": "web"},
        name="front-2",
        named_ports={"http": (8080, "TCP")},
    )
    two = blast_radius(World((policy,), (*PODS, twin)), {ObjectRef.of(policy): fault})
    assert "pets/front -> pets/front:8080/TCP" in two.as_json()["closed"]
    assert two.workloads == {"pets/front"}


def test_requests_are_written_behind_their_connection() -> None:
    """In sentences and in JSON."""
    ends = (PODS[0], PODS[1], 80, "TCP")
    assert flow_text(Request(*ends, "GET", "/a", "shop.example.org")) == (
        "pets/front -> pets/order:80/TCP GET shop.example.org/a"
    )
    assert flow_text(Lookup(*ends, "a.example.org")) == (
        "pets/front -> pets/order:80/TCP asks for a.example.org"
    )
    assert flow_text(Flow(*ends)) == "pets/front -> pets/order:80/TCP"
    assert workload_of(Endpoint.pod("pets", {"x": "y"}, name="odd-1")) == "pets/odd-1"
    assert workload_of(Endpoint.outside("192.0.2.1")) == "192.0.2.1"


# What is known.


def test_known_are_pods_entities_addresses_names_and_ports() -> None:
    """Each prefix with an address in it, one in each exception, and one beside it."""
    policy = front(
        ingress=[
            {"fromCIDRSet": [{"cidr": "198.51.100.0/24", "except": ["198.51.100.0/25"]}]},
            {"fromCIDR": ["192.0.2.7/32", "0.0.0.0/0"]},
            {"fromEntities": ["health"], "toPorts": ports("9000")},
            {"icmps": [{"fields": [{"type": 3}, {"type": "EchoReply", "family": "IPv6"}]}]},
        ]
    )
    native = knp({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]})
    group = {"metadata": {"name": "g"}, "spec": {"externalCIDRs": ["2001:db8::/64"]}}
    known = known_world([policy, native], PODS[:1], SERVICES[:1], [group])
    assert [endpoint.name for endpoint in known.endpoints] == [
        *("pets/front-1", "world", "host", "remote-node", "kube-apiserver", "health"),
        *("198.51.100.1", "198.51.100.255", "198.51.101.1", "192.0.2.7", "192.0.2.6"),
        *("10.1.0.1", "10.0.0.1", "2001:db8::1", "2001:db8:0:1::1"),
    ]
    assert known.ports == (
        *((3, "ICMP"), (8, "ICMP"), (128, "ICMPv6"), (129, "ICMPv6")),
        *((8080, "TCP"), (9000, "TCP")),
    )
    assert (known.servers, known.queries, known.names, known.requests) == ((), (), (), ())


def test_known_names_are_looked_up_where_there_is_a_server() -> None:
    """And those of toFQDNs are connected to."""
    known = known_world([NAMES], PODS)
    assert [(server.name, port) for server, port in known.servers] == [
        ("kube-system/k8s-app=kube-dns", 53)
    ]
    named = ["api.example.org", "example.net", "www.api.example.org", "www.example.com"]
    assert list(known.queries) == [*named, "www.example.net"]
    assert [endpoint.name for endpoint in known.names] == [*named, "www.example.net"]
    assert known.name_ports == ((443, "TCP"),)
    assert known_world([NAMES], PODS[:1]).queries == ()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"matchName": "API.example.org."}, ["api.example.org", "www.api.example.org"]),
        ({"matchName": "rabbitmq"}, ["rabbitmq"]),
        ({"matchName": "a.pets.svc.cluster.local"}, ["a.pets.svc.cluster.local"]),
        ({"matchPattern": "*.example.net"}, ["www.example.net", "example.net"]),
        (
            {"matchPattern": "**.example.net"},
            ["www.example.net", "a.www.example.net", "example.net"],
        ),
        ({"matchPattern": "sub*.example.net"}, ["subx.example.net"]),
        ({"matchPattern": "a.*.*.net"}, ["a.x.x.net"]),
        ({"matchPattern": "*.svc.cluster.local"}, ["www.svc.cluster.local"]),
        ({"matchPattern": "*"}, []),
        ({}, []),
    ],
)
def test_a_name_for_every_pattern(item: dict[str, str], expected: list[str]) -> None:
    """And one for what the pattern is mistaken for."""
    assert list(sample_names(item)) == expected


# What may never be cut.

DNS = Endpoint.pod(
    "kube-system", {"k8s-app": "kube-dns"}, name="dns", ports=[(53, "UDP"), (53, "TCP")]
)
METRICS = Endpoint.pod("kube-system", {"k8s-app": "metrics-server"}, name="metrics")
RELAY = Endpoint.pod(
    "kube-system", {"k8s-app": "hubble-relay"}, name="relay", ports=[(4245, "TCP")]
)
PROMETHEUS = Endpoint.pod("monitoring", {"app": "prometheus"}, name="prom", ports=[(9090, "TCP")])
AMA = Endpoint.pod("kube-system", {"rsName": "ama-metrics"}, name="ama")
RUNNER = Endpoint.pod("pets", {"job": "x"}, name="runner", service_account="acns-chaos")
SHOP = Endpoint.pod("pets", {"app": "front"}, name="front-1", ports=[(8080, "TCP")])
CLUSTER = (DNS, METRICS, RELAY, PROMETHEUS, AMA, RUNNER, SHOP)
KUBERNETES = {
    "kind": "Service",
    "metadata": {"name": "kubernetes", "namespace": "default"},
    "spec": {"ports": [{"port": 443, "targetPort": 443}]},
}
EVERYBODY: dict[str, Any] = {"endpointSelector": {}}
TO_DNS_NAMES = {
    "toEndpoints": [{"matchLabels": {"k8s-app": "kube-dns"}}],
    "toPorts": ports("53", protocol="ANY", rules={"dns": [{"matchName": "www.example.org"}]}),
}


def cut(*after: dict[str, Any], before: tuple[dict[str, Any], ...] = ()) -> list[str]:
    """What a change would cut."""
    engines = (Engine(found, endpoints=CLUSTER) for found in (before, after))
    return [found.what for found in lockouts(*engines, CLUSTER, (KUBERNETES,))]


def kube_system(spec: dict[str, Any]) -> dict[str, Any]:
    """A policy of kube-system."""
    return cnp({"endpointSelector": {}, **spec}, namespace="kube-system")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (
            ccnp({**EVERYBODY, "egress": [{}]}),
            [
                *("DNS for kube-system", "Prometheus", "Hubble relay"),
                *("our own way to restore", "the API server"),
            ],
        ),
        (
            kube_system({"egress": [{"toEntities": ["kube-apiserver", "world"]}]}),
            ["DNS for kube-system", "Hubble relay", "Prometheus"],
        ),
        (
            kube_system(
                {"endpointSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, "ingress": [{}]}
            ),
            ["DNS for kube-system", "Prometheus", "Hubble relay"],
        ),
        (
            kube_system(
                {
                    "endpointSelector": {"matchLabels": {"k8s-app": "metrics-server"}},
                    "egress": [TO_DNS_NAMES, {"toEntities": ["all"], "toPorts": ports("443")}],
                }
            ),
            ["DNS for kube-system"],
        ),
        (
            kube_system(
                {
                    "endpointSelector": {"matchLabels": {"k8s-app": "metrics-server"}},
                    "egressDeny": [{"toEntities": ["kube-apiserver"]}],
                    "enableDefaultDeny": {"egress": False},
                }
            ),
            ["the API server"],
        ),
        (
            kube_system(
                {
                    "endpointSelector": {"matchLabels": {"k8s-app": "metrics-server"}},
                    "egressDeny": [{"toEntities": ["world"]}],
                    "enableDefaultDeny": {"egress": False},
                }
            ),
            ["the API server"],
        ),
        (
            kube_system(
                {"endpointSelector": {"matchLabels": {"k8s-app": "hubble-relay"}}, "ingress": [{}]}
            ),
            ["Hubble relay"],
        ),
        (
            kube_system(
                {
                    "endpointSelector": {"matchLabels": {"k8s-app": "hubble-relay"}},
                    "egress": [{"toEndpoints": [{}]}, {"toEntities": ["kube-apiserver", "world"]}],
                }
            ),
            ["Hubble relay"],
        ),
        (cnp({**EVERYBODY, "ingress": [{}]}, namespace="monitoring"), ["Prometheus"]),
        (
            kube_system(
                {
                    "endpointSelector": {"matchLabels": {"rsName": "ama-metrics"}},
                    "egressDeny": [{"toEntities": ["world"], "toPorts": ports("443")}],
                    "enableDefaultDeny": {"egress": False},
                }
            ),
            ["the API server", "Prometheus"],
        ),
        (cnp({**EVERYBODY, "egress": [{}]}, namespace="pets"), ["our own way to restore"]),
        (knp({"podSelector": {}, "ingress": []}, namespace="monitoring"), ["Prometheus"]),
        (
            cnp(
                {"endpointSelector": {"matchLabels": {"app": "front"}}, "egress": [{}]},
                namespace="pets",
            ),
            [],
        ),
        (cnp({**EVERYBODY, "ingress": [{}]}, namespace="pets"), []),
    ],
)
def test_what_may_never_be_cut(policy: dict[str, Any], expected: list[str]) -> None:
    """DNS for kube-system, the API server, Hubble relay, Prometheus, our own way to restore."""
    assert sorted(cut(policy)) == sorted(expected)


def test_what_was_cut_already_is_not_cut_again() -> None:
    """A guard that refuses everything in such a cluster would protect nothing."""
    closed = ccnp({**EVERYBODY, "egress": [{}], "ingress": [{}]})
    assert cut(closed, kube_system({"egress": [{}]}), before=(closed,)) == []


def test_a_fault_that_opens_cuts_nothing() -> None:
    """Taking a policy away lets more through."""
    assert cut(before=(ccnp({**EVERYBODY, "egress": [{}]}),)) == []


def test_the_sentence_names_what_would_be_cut_and_one_flow() -> None:
    """So that the person can see which rule to narrow."""
    after = Engine([kube_system({"ingress": [{}]})], endpoints=(DNS, METRICS))
    (found,) = lockouts(Engine([]), after, (DNS, METRICS))
    assert found.sentence() == (
        "The fault would cut DNS for kube-system (kube-system/metrics-server -> "
        "kube-system/kube-dns:53/TCP): such a fault is never injected, as nobody could watch it or "
        "take it back. Narrow the fault."
    )


def test_with_the_host_firewall_a_node_is_a_client_too() -> None:
    """A host policy can cut the nodes off from DNS."""
    policy = ccnp({"nodeSelector": {}, "egress": [{}]})
    engines = [
        Engine(found, endpoints=CLUSTER, settings=Settings(host_firewall=True))
        for found in ([], [policy])
    ]
    assert lockouts(engines[0], engines[1], CLUSTER)[0].what == "DNS for kube-system"


def test_without_its_service_both_usual_ports_of_the_api_server_count() -> None:
    """Which one it is, nobody said: better one fault too few."""
    policy = kube_system({"egress": [{"toEntities": ["all"], "toPorts": ports("443", "53")}]})
    engines = [Engine(found, endpoints=(METRICS,)) for found in ([], [policy])]
    assert lockouts(engines[0], engines[1], (METRICS,), (KUBERNETES,)) == []
    (found,) = lockouts(engines[0], engines[1], (METRICS,))
    assert flow_text(found.flow) == "kube-system/metrics-server -> kube-apiserver:6443/TCP"


def test_an_empty_cluster_has_nothing_to_cut() -> None:
    """No pods, no vital flows."""
    assert list(vital_flows([])) == []
