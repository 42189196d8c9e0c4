"""What turns between two worlds: exact in its ports, grouped for people."""

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.policy import Difference, Endpoint, Engine, World, diff
from acns_chaos.policy.difference_text import difference_text
from acns_chaos.policy.portline import (
    EVERYTHING,
    Openings,
    Spans,
    as_ranges,
    common,
    first_port,
    minus,
    points,
    spans_text,
    union,
)
from tests.policy.policy_cases import ON_8080, TO_API, TO_WEB, ccnp, cnp, knp

WORKSHOP = Path(__file__).resolve().parents[1] / "data" / "workshop"


def manifests(name: str) -> list[dict[str, Any]]:
    """The objects of a workshop manifest, in namespace pets."""
    found = list(yaml.safe_load_all((WORKSHOP / name).read_text("utf-8")))
    return [{**o, "metadata": {**o["metadata"], "namespace": "pets"}} for o in found]


BASE = manifests("acns-network-policy.yaml")


def told(difference: Difference) -> list[str]:
    """Each group on one line."""
    return [
        f"{g.effect} {'everybody' if g.everybody else ', '.join(g.sources)} -> "
        f"{', '.join(g.destinations)}: {g.ports}"
        for g in difference.flows
    ]


def test_the_workshops_reused_name_cuts_amqp_and_opens_the_ingress() -> None:
    """Without any pods given: 5672 to rabbitmq closed, 3000 open to everybody."""
    found = diff(World.of(BASE), World.of([*BASE, *manifests("acns-network-policy-fqdn.yaml")]))
    assert [str(ref) for ref in found.changed] == ["pets/allow-order-service-traffic"]
    assert told(found) == [
        "closed pets/order-service -> pets/rabbitmq: 5672/TCP",
        "opened pets/order-service -> kube-system/kube-dns: 53/UDP",
        "opened everybody -> pets/order-service: 3000/TCP",
        "opened pets/order-service -> www.microsoft.com: 443/TCP",
        "opened everybody -> pets/order-service: every port and protocol but 3000/TCP",
    ]
    amqp, _, opened, _, rest = found.flows
    assert amqp.why == (
        "DENIED at egress of pets/order-service: no rule of pets/allow-order-service-traffic "
        "allows pets/rabbitmq on 5672/TCP"
    )
    assert opened.besides == ("pets/store-front",)
    assert opened.held_back == ("pets/product-service",)
    assert rest.held_back == ("pets/product-service", "pets/store-front")
    assert "world" in opened.sources
    assert found.notes == (
        (
            "Nobody says which pods there are in kube-system, pets: 6 are assumed from the labels "
            "that policies select, without container ports."
        ),
    )


def test_the_workshops_fault_cuts_the_world_off_the_storefront() -> None:
    """And nothing else, with the pods that the manifests make."""
    store = manifests("store.yaml")
    after = [*BASE, *manifests("acns-network-policy-chaos.yaml"), *store]
    found = diff(World.of([*BASE, *store]), World.of(after))
    assert told(found) == ["closed world -> pets/store-front: 8080/TCP"]
    back = diff(World.of(after), World.of([*BASE, *store]))
    assert told(back) == ["opened world -> pets/store-front: 8080/TCP"]


WEB = Endpoint.pod("shop", {"app": "web"}, name="web")
API = Endpoint.pod("shop", {"app": "api"}, name="api", ports=[(8080, "TCP")])
DNS = Endpoint.pod("kube-system", {"k8s-app": "kube-dns"}, name="dns", ports=[(53, "UDP")])


def world(*policies: Any, endpoints: Any = (WEB, API, DNS), **more: Any) -> World:
    """The small cluster."""
    return World(policies=policies, endpoints=endpoints, **more)


def of_api(*ingress: Any, **more: Any) -> dict[str, Any]:
    """A policy that selects api."""
    return cnp({"endpointSelector": TO_API, "ingress": list(ingress), **more})


def from_web(*egress: Any) -> dict[str, Any]:
    """A policy that selects web."""
    return cnp({"endpointSelector": TO_WEB, "egress": list(egress)}, name="e")


def test_equal_worlds_and_equal_meanings_are_equal() -> None:
    """Other words for the same rule turn nothing, and it is said that the objects differ."""
    one = of_api({"fromEndpoints": [TO_WEB]})
    other = of_api({"fromEndpoints": [TO_WEB]}, {})
    assert diff(world(one), world(copy.deepcopy(one))).empty
    found = diff(world(one), world(other))
    assert found.empty
    assert [str(ref) for ref in found.changed] == ["shop/p"]
    assert difference_text(found).endswith("Equal: the policies differ, but no flow does.")
    assert difference_text(diff(world(), world())).endswith("\nEqual.")


def test_a_closed_ingress_is_closed_for_everybody() -> None:
    """The local node is let in all the same, and is no exception worth naming."""
    found = diff(world(), world(of_api({})))
    assert told(found) == [
        "closed everybody -> shop/api: 8080/TCP",
        "closed everybody -> shop/api: every port and protocol but 8080/TCP",
    ]
    assert [str(ref) for ref in found.added] == ["shop/p"]


def test_destinations_with_the_same_sources_and_ports_are_one_group() -> None:
    """A cut egress is one line, not one for every peer."""
    found = diff(world(), world(from_web({"toEndpoints": [TO_API], "toPorts": ON_8080})))
    assert [(g.sources, g.ports) for g in found.flows] == [
        (("shop/web",), "every port and protocol"),
        (("shop/web",), "every port and protocol but 8080/TCP"),
    ]
    assert found.flows[1].destinations == ("shop/api",)
    assert "any other pod of shop" in found.flows[0].destinations
    assert "world" in found.flows[0].destinations


def test_ranges_and_protocols_are_exact() -> None:
    """A widened range, a protocol left out."""
    narrow = of_api({"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]})
    wide = of_api({"toPorts": [{"ports": [{"port": "80", "endPort": 90}]}]})
    found = diff(world(narrow), world(wide))
    assert {g.ports for g in found.flows} == {"81-90/TCP, 80-90/UDP, 80-90/SCTP"}


def test_pods_that_nobody_knows_yet_are_compared_too() -> None:
    """A selector that is too wide concerns the next pod that is deployed."""
    found = diff(world(of_api({"fromEndpoints": [TO_WEB]})), world(of_api({"fromEndpoints": [{}]})))
    assert told(found) == ["opened any other pod of shop -> shop/api: every port and protocol"]


def test_addresses_that_policies_speak_of_are_compared() -> None:
    """An exception that is gone."""
    item = {"cidr": "192.0.2.0/24"}
    before = of_api({"fromCIDRSet": [{**item, "except": ["192.0.2.8/29"]}]})
    found = diff(world(before), world(of_api({"fromCIDRSet": [item]})))
    assert told(found) == ["opened 192.0.2.9 -> shop/api: every port and protocol"]


def test_the_world_stands_for_all_addresses_where_they_turn_alike() -> None:
    """And the addresses are named where they do not."""
    cidr = of_api({"fromCIDR": ["192.0.2.0/24"]})
    found = diff(world(cidr), world(of_api({"fromEntities": ["world"]})))
    assert [g.sources[0] for g in found.flows] == ["world"]
    assert "192.0.2.1" not in found.flows[0].sources
    gone = diff(world(of_api({"fromEntities": ["world"]})), world(of_api({})))
    assert [g.sources for g in gone.flows] == [("world",)]


DNS_PORT = [{"port": "53", "protocol": "UDP"}]


def lookups(*patterns: str) -> dict[str, Any]:
    """A rule that lets web ask for names."""
    return {
        "toEndpoints": [{"matchLabels": {"io.kubernetes.pod.namespace": "kube-system"}}],
        "toPorts": [
            {
                "ports": DNS_PORT,
                **({"rules": {"dns": [{"matchPattern": p} for p in patterns]}} if patterns else {}),
            }
        ],
    }


NAMES = {"toFQDNs": [{"matchPattern": "*.example.com"}]}


def test_names_that_are_no_longer_answered_are_a_difference() -> None:
    """Though every connection stands: lookups, and connections that begin with one."""
    found = diff(
        world(from_web(lookups("*.example.com", "*.other.org"), NAMES)),
        world(from_web(lookups("*.other.org"), NAMES)),
    )
    assert found.flows == ()
    assert not found.empty
    assert [(g.effect, g.kind, g.sources, g.destination, g.what) for g in found.requests] == [
        ("closed", "lookup", ("shop/web",), "kube-system/dns:53/UDP", ("www.example.com",)),
        ("closed", "name", ("shop/web",), "www.example.com:443/TCP", ("www.example.com",)),
    ]
    assert "shop/web looks up www.example.com at kube-system/dns:53/UDP" in difference_text(found)


def test_lookups_that_nobody_sees_any_more_cut_names() -> None:
    """Plain port 53 answers everything and teaches the agents nothing."""
    found = diff(
        world(from_web(lookups("*.example.com"), NAMES)), world(from_web(lookups(), NAMES))
    )
    kinds = {(g.effect, g.kind, g.destination) for g in found.requests}
    assert ("closed", "name", "www.example.com:443/TCP") in kinds
    assert ("opened", "lookup", "kube-system/dns:53/UDP") in kinds


def test_http_requests_that_turn_are_a_difference() -> None:
    """A path that is no longer admitted."""

    def admitting(path: str) -> dict[str, Any]:
        rules = {"http": [{"method": "GET", "path": path}]}
        return of_api({"fromEndpoints": [TO_WEB], "toPorts": [{**ON_8080[0], "rules": rules}]})

    found = diff(world(admitting("/a")), world(admitting("/b")))
    assert found.flows == ()
    assert [(g.effect, g.kind, g.sources, g.destination) for g in found.requests] == [
        ("closed", "http", ("shop/web",), "shop/api:8080/TCP"),
        ("opened", "http", ("shop/web",), "shop/api:8080/TCP"),
    ]


def test_a_relabelled_workload_is_a_difference() -> None:
    """The policies stay, their selector no longer finds the pods."""

    def deployment(app: str) -> dict[str, Any]:
        template = {"metadata": {"labels": {"app": app}}, "spec": {}}
        return {
            "kind": "Deployment",
            "metadata": {"name": "api", "namespace": "shop"},
            "spec": {"template": template},
        }

    policy = of_api({})
    found = diff(World.of([policy, deployment("api")]), World.of([policy, deployment("api-v2")]))
    assert (found.added, found.removed, found.changed) == ((), (), ())
    assert {(g.effect, g.destinations) for g in found.flows} == {("opened", ("shop/api",))}


def test_what_one_world_lacks_is_taken_from_the_other() -> None:
    """Policies in a folder against a live cluster: its pods, services and groups."""
    group = {
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": "g"},
        "spec": {"externalCIDRs": ["192.0.2.0/24"]},
    }
    policy = of_api({"fromCIDRSet": [{"cidrGroupRef": "g"}]})
    live = world(policy, cidr_groups=(group,), namespaces={"shop": {}})
    assert diff(live, World.of([policy])).empty
    assert diff(World.of([policy]), live).empty
    other = {**group, "spec": {"externalCIDRs": ["198.51.100.0/24"]}}
    moved = diff(live, world(policy, cidr_groups=(other,)))
    assert {g.effect for g in moved.flows} == {"opened", "closed"}


def test_replicas_are_one_and_may_talk_to_each_other() -> None:
    """Two pods of a workload are one source and one destination."""
    replicas = (API, Endpoint.pod("shop", {"app": "api"}, name="api-2", ports=[(8080, "TCP")]))
    before = world(endpoints=replicas, workloads={"shop/api-2": "shop/api"})
    found = diff(before, before.with_policies([from_api_to_nobody()]))
    assert found.flows[0].sources == ("shop/api",)
    assert "shop/api" in found.flows[0].destinations


def from_api_to_nobody() -> dict[str, Any]:
    """A policy that cuts api's egress."""
    return cnp({"endpointSelector": TO_API, "egress": [{}]}, name="cut")


def test_refused_policies_are_noted_on_their_side() -> None:
    """They have no effect in a world of their own."""
    bad = of_api({"fromEntities": ["wrld"]})
    found = diff(world(of_api({})), world(bad))
    assert any("shop/p has no effect after, the agents refuse it" in note for note in found.notes)
    assert {g.effect for g in found.flows} == {"opened"}


def test_the_text_and_the_json_say_the_same() -> None:
    """Every group and note stands in both."""
    found = diff(World.of(BASE), World.of([*BASE, *manifests("acns-network-policy-fqdn.yaml")]))
    data, text = found.as_json(), difference_text(found)
    assert json.loads(json.dumps(data)) == data
    assert data["equal"] is False
    for group in (*data["opened"], *data["closed"]):
        assert group["why"] in text
        assert group["ports"] in text
    assert data["closed"][0]["ranges"] == [{"protocol": "TCP", "from": 5672, "to": 5672}]
    assert text.index("Closed:") < text.index("Opened:")
    assert "  everybody -> pets/order-service: 3000/TCP" in text
    assert text.splitlines()[-1] == "Different. Groups of flows closed: 1, opened: 4."


# --- the line of ports ------------------------------------------------------------------------

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 8))).map(
    lambda pairs: union((low, low + size) for low, size in pairs)
)


def inside(spans: Spans) -> set[int]:
    """The numbers in spans."""
    return {n for low, high in spans for n in range(low, high + 1)}


@given(SPANS, SPANS)
def test_spans_are_sets(one: Spans, other: Spans) -> None:
    """Union, difference and overlap are those of the numbers."""
    assert inside(minus(one, other)) == inside(one) - inside(other)
    assert inside(common(one, other)) == inside(one) & inside(other)
    assert inside(union((*one, *other))) == inside(one) | inside(other)


@pytest.mark.parametrize(
    ("spans", "text"),
    [
        (EVERYTHING, "every port and protocol"),
        (points([(80, "TCP"), (53, "UDP")]), "80/TCP, 53/UDP"),
        (minus(EVERYTHING, points([(80, "TCP")])), "every port and protocol but 80/TCP"),
        (((0, 65535),), "every TCP port"),
        (((1000, 2000),), "1000-2000/TCP"),
        (((3 * 65536, 4 * 65536 - 1),), "ICMP"),
        (((3 * 65536 + 8, 3 * 65536 + 8),), "ICMP type 8"),
        (
            points([(n * 2, "TCP") for n in range(1, 12)]),
            "2/TCP, 4/TCP, 6/TCP, 8/TCP, 10/TCP, 12/TCP, 14/TCP, 16/TCP and 3 more",
        ),
    ],
)
def test_spans_are_told_in_few_words(spans: Spans, text: str) -> None:
    """Everything, everything but a few, protocols, ranges, types."""
    assert spans_text(spans) == text


def test_a_port_of_spans_is_a_wanted_one_if_there_is_one() -> None:
    """And never port 0."""
    spans = ((0, 100),)
    assert first_port(spans, [(443, "TCP"), (80, "TCP")]) == (80, "TCP")
    assert first_port(spans) == (1, "TCP")
    assert as_ranges(((65535, 65537),)) == [("TCP", 65535, 65535), ("UDP", 0, 1)]


def random_policies(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Policies of all kinds with ports of all kinds."""
    for number in range(rng.randint(1, 4)):
        way = rng.choice(["ingress", "egress"])
        side = "from" if way == "ingress" else "to"
        item: dict[str, Any] = rng.choice(
            [
                {},
                {f"{side}Endpoints": [TO_WEB]},
                {f"{side}Endpoints": [{}]},
                {f"{side}Entities": [rng.choice(["world", "all", "cluster", "host"])]},
                {f"{side}CIDR": ["192.0.2.0/24"]},
            ]
        )
        match rng.randrange(4):
            case 0:
                first = rng.randint(1, 9000)
                port = {"port": str(first), "endPort": first + rng.randint(0, 500)}
                item = {**item, "toPorts": [{"ports": [port]}]}
            case 1:
                port = {"port": rng.choice(["http", "0", "53"]), "protocol": "TCP"}
                item = {**item, "toPorts": [{"ports": [port]}]}
            case 2:
                item = {**item, "icmps": [{"fields": [{"type": rng.choice([0, 8])}]}]}
            case _:
                pass
        section = way + rng.choice(["", "", "Deny"])
        spec = {"endpointSelector": rng.choice([{}, TO_API, TO_WEB]), section: [item]}
        if rng.random() < 0.2:
            spec["enableDefaultDeny"] = {way: False}
        kind = rng.choice([cnp, ccnp])
        yield kind(spec, name=f"p{number}")
    if rng.random() < 0.3:
        yield knp({"podSelector": {}, "ingress": [{"ports": [{"port": rng.choice([80, "http"])}]}]})


def test_openings_are_what_the_engine_allows_port_by_port() -> None:
    """The line of ports and single verdicts agree, for 300 sets of policies and 30,000 flows."""
    rng = random.Random(7)
    named = Endpoint.pod("shop", {"app": "api"}, name="n", named_ports={"http": (8080, "TCP")})
    ends = [WEB, named, DNS, Endpoint.entity("world"), Endpoint.entity("host")]
    ends.append(Endpoint.outside("192.0.2.9"))
    for _ in range(300):
        engine = Engine(random_policies(rng), endpoints=(named,))
        openings = Openings(engine)
        for _ in range(100):
            source, destination = rng.choice(ends), rng.choice(ends)
            protocol = rng.choice(["TCP", "UDP", "SCTP", "ICMP"])
            port = rng.choice([0, 8, 53, 80, 8080, rng.randrange(1, 9600)])
            if protocol == "ICMP":
                port %= 256
            spans = openings.between(source, destination)
            (point, _), *_ = points([(port, protocol)])
            assert any(low <= point <= high for low, high in spans) is engine.allows(
                source, destination, port, protocol
            )


def test_a_difference_is_that_of_single_verdicts() -> None:
    """Each flow of a group turned, and each flow that turned is in a group."""
    rng = random.Random(11)
    ends = {"shop/web": WEB, "shop/api": API, "kube-system/dns": DNS}
    ends |= {name: Endpoint.entity(name) for name in ("world", "host", "remote-node")}
    for _ in range(60):
        before, after = world(*random_policies(rng)), world(*random_policies(rng))
        found = diff(before, after)
        turned: dict[str, set[tuple[str, str, int]]] = {"opened": set(), "closed": set()}
        for group in found.flows:
            for port in (53, 80, 8080, 4000):
                (point, _), *_ = points([(port, "TCP")])
                if any(low <= point <= high for low, high in group.spans):
                    turned[group.effect] |= {
                        (source, destination, port)
                        for source in group.sources
                        for destination in group.destinations
                        if source in ends and destination in ends
                    }
        for source, one in ends.items():
            for destination, other in ends.items():
                if source == destination:
                    continue
                for port in (53, 80, 8080, 4000):
                    was = before.engine.allows(one, other, port)
                    now = after.engine.allows(one, other, port)
                    flow = (source, destination, port)
                    assert (flow in turned["closed"]) is (was and not now)
                    assert (flow in turned["opened"]) is (now and not was)
