"""Entities, addresses, CIDR groups, names, services, nodes."""

from typing import Any

import pytest

from acns_chaos.policy import Endpoint
from tests.policy.policy_cases import (
    API,
    APISERVER,
    APISERVER_OUTSIDE,
    DB,
    HEALTH,
    HOST,
    INIT,
    ON_8080,
    OUTSIDE,
    REMOTE,
    WEB,
    WEST,
    WORLD,
    cnp,
    egress,
    from_web,
    ingress,
    judge,
    to_api,
)

NO = "POLICY_DENIED"
BY_POLICY = {"allowLocalhost": "policy"}
EVERYONE = {
    "web": WEB,
    "db": DB,
    "west": WEST,
    "host": HOST,
    "remote-node": REMOTE,
    "kube-apiserver": APISERVER,
    "apiserver outside": APISERVER_OUTSIDE,
    "health": HEALTH,
    "init": INIT,
    "ingress": Endpoint.entity("ingress"),
    "unmanaged": Endpoint.entity("unmanaged"),
    "world": WORLD,
    "address": OUTSIDE,
}
IN_CLUSTER = {
    "web",
    "db",
    "host",
    "remote-node",
    "kube-apiserver",
    "apiserver outside",
    "health",
    "init",
    "ingress",
    "unmanaged",
}


@pytest.mark.parametrize(
    ("entity", "admitted"),
    [
        ("all", set(EVERYONE)),
        ("world", {"world", "address", "apiserver outside"}),
        ("cluster", IN_CLUSTER),
        ("host", {"host"}),
        ("remote-node", {"remote-node", "kube-apiserver"}),
        ("kube-apiserver", {"kube-apiserver", "apiserver outside"}),
        ("health", {"health"}),
        ("init", {"init"}),
        ("ingress", {"ingress"}),
        ("unmanaged", {"unmanaged"}),
        ("none", set()),
        ("world-ipv4", set()),
    ],
)
def test_whom_an_entity_admits(entity: str, admitted: set[str]) -> None:
    """`cluster` has the nodes of other clusters but not their pods, and an outside API server."""
    policy = to_api({"fromEntities": [entity]})
    found = {
        name
        for name, source in EVERYONE.items()
        if ingress(policy, source, settings=BY_POLICY) == "ALLOWED"
    }
    assert found == admitted


def test_in_a_dual_stack_cluster_the_world_has_two_labels() -> None:
    """world-ipv4 and world-ipv6 then select their family, and world selects both."""
    six = Endpoint.outside("2001:db8::1")
    dual = {"enableIPv6": True}
    assert ingress(to_api({"fromEntities": ["world-ipv4"]}), OUTSIDE, settings=dual) == "ALLOWED"
    assert ingress(to_api({"fromEntities": ["world-ipv4"]}), six, settings=dual) == NO
    assert ingress(to_api({"fromEntities": ["world-ipv6"]}), six, settings=dual) == "ALLOWED"
    assert ingress(to_api({"fromEntities": ["world"]}), six, settings=dual) == "ALLOWED"
    assert ingress(to_api({"fromCIDR": ["::/0"]}), six, settings=dual) == "ALLOWED"
    assert ingress(to_api({"fromCIDR": ["0.0.0.0/0"]}), six, settings=dual) == NO


@pytest.mark.parametrize(
    ("field", "ip", "expected"),
    [
        ({"toCIDR": ["203.0.113.0/24"]}, "203.0.113.10", "ALLOWED"),
        ({"toCIDR": ["203.0.113.77/24"]}, "203.0.113.10", "ALLOWED"),
        ({"toCIDR": ["203.0.113.10"]}, "203.0.113.10", "ALLOWED"),
        ({"toCIDR": ["203.0.113.10"]}, "203.0.113.11", NO),
        ({"toCIDR": ["0.0.0.0/0"]}, "203.0.113.10", "ALLOWED"),
        ({"toCIDR": ["::/0"]}, "2001:db8::1", NO),
        ({"toCIDR": ["2001:db8::/32"]}, "2001:db8::1", "ALLOWED"),
        ({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]}, "10.2.0.1", "ALLOWED"),
        ({"toCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]}, "10.1.0.1", NO),
        ({"toCIDRSet": [{"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}]}, "10.1.0.1", NO),
        ({"toCIDRSet": [{"cidr": "10.0.0.0/16", "except": ["10.0.0.0/8"]}]}, "10.0.0.1", NO),
        (
            {
                "toCIDRSet": [
                    {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]},
                    {"cidr": "10.1.2.0/24"},
                ]
            },
            "10.1.2.3",
            "ALLOWED",
        ),
    ],
)
def test_prefixes_and_their_exceptions(field: dict[str, Any], ip: str, expected: str) -> None:
    """Host bits are masked; an exception limits its own item only."""
    assert egress(from_web(field), Endpoint.outside(ip), 443) == expected


@pytest.mark.parametrize("target", [API, HOST, REMOTE, HEALTH])
def test_a_prefix_never_selects_pods_or_nodes(target: Endpoint) -> None:
    """Not even the prefix of everything."""
    assert egress(from_web({"toCIDR": ["0.0.0.0/0"]}), target) == NO


def test_an_api_server_outside_is_an_address_like_any_other() -> None:
    """It has the world label too, so prefixes reach it, and a deny of world does."""
    assert egress(from_web({"toCIDR": ["192.0.2.0/24"]}), APISERVER_OUTSIDE) == "ALLOWED"
    denied = from_web({"toEntities": ["kube-apiserver"]}, egressDeny=[{"toEntities": ["world"]}])
    assert egress(denied, APISERVER_OUTSIDE) == "POLICY_DENY"
    assert egress(denied, APISERVER) == "ALLOWED"


GROUPS = [
    {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": name, "labels": labels},
        "spec": {"externalCIDRs": cidrs},
    }
    for name, labels, cidrs in (
        ("partners", {"trust": "high"}, ["203.0.113.0/24", "198.51.100.0/25"]),
        ("vendors", {"trust": "low", "zone": "a"}, ["192.0.2.0/24", "198.51.100.0/24"]),
    )
]


@pytest.mark.parametrize(
    ("item", "ip", "expected"),
    [
        ({"cidrGroupRef": "partners"}, "203.0.113.10", "ALLOWED"),
        ({"cidrGroupRef": "partners"}, "192.0.2.9", NO),
        ({"cidrGroupRef": "missing"}, "203.0.113.10", NO),
        ({"cidrGroupRef": "partners", "except": ["203.0.113.10/32"]}, "203.0.113.10", NO),
        ({"cidrGroupRef": "partners", "except": ["203.0.113.10/32"]}, "203.0.113.11", "ALLOWED"),
        ({"cidrGroupSelector": {"matchLabels": {"trust": "low"}}}, "192.0.2.9", "ALLOWED"),
        ({"cidrGroupSelector": {"matchLabels": {"trust": "low"}}}, "203.0.113.10", NO),
        ({"cidrGroupSelector": {"matchLabels": {"trust": "low", "zone": "b"}}}, "192.0.2.9", NO),
        ({"cidrGroupSelector": {"matchLabels": {"trust": "high"}}}, "198.51.100.1", "ALLOWED"),
        ({"cidrGroupSelector": {"matchLabels": {"trust": "low"}}}, "198.51.100.1", "ALLOWED"),
    ],
)
def test_cidr_groups_by_name_and_by_label(item: dict[str, Any], ip: str, expected: str) -> None:
    """An address in two groups has the labels of both."""
    policy = from_web({"toCIDRSet": [item]})
    assert egress(policy, Endpoint.outside(ip), 443, groups=GROUPS) == expected


def test_a_group_selector_of_only_negative_conditions_also_selects_pods_and_nodes() -> None:
    """They lack the label, and so does an address in no group."""
    expression = {"key": "trust", "operator": "NotIn", "values": ["low"]}
    policy = from_web({"toCIDRSet": [{"cidrGroupSelector": {"matchExpressions": [expression]}}]})
    assert egress(policy, API, groups=GROUPS) == "ALLOWED"
    assert egress(policy, REMOTE, groups=GROUPS) == "ALLOWED"
    assert egress(policy, Endpoint.outside("8.8.8.8"), groups=GROUPS) == "ALLOWED"
    assert egress(policy, Endpoint.outside("192.0.2.9"), groups=GROUPS) == NO


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"matchName": "api.example.com"}, "ALLOWED"),
        ({"matchName": "API.Example.com."}, "ALLOWED"),
        ({"matchName": "www.example.com"}, NO),
        ({"matchPattern": "*.example.com"}, "ALLOWED"),
        ({"matchPattern": "*"}, "ALLOWED"),
        ({}, NO),
    ],
)
def test_names_open_the_addresses_that_the_dns_proxy_saw(
    item: dict[str, str], expected: str
) -> None:
    """Only those: the same address unlearned stays closed."""
    policy = from_web({"toFQDNs": [item]})
    learned = Endpoint.outside("203.0.113.10", fqdns=("other.example.org", "api.example.com"))
    assert egress(policy, learned, 443) == expected
    assert egress(policy, OUTSIDE, 443) == NO


def test_a_denied_prefix_beats_an_allowed_name() -> None:
    """The address carries both labels."""
    learned = Endpoint.outside("203.0.113.10", fqdns=("api.example.com",))
    policy = from_web(
        {"toFQDNs": [{"matchName": "api.example.com"}]},
        egressDeny=[{"toCIDR": ["203.0.113.0/24"]}],
    )
    assert egress(policy, learned, 443) == "POLICY_DENY"


SERVICES = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "orders", "namespace": "data", "labels": {"env": "prod"}},
        "spec": {"selector": {"app": "db"}},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "legacy", "namespace": "shop", "labels": {"env": "test"}},
        "spec": {},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "legacy-1",
            "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "legacy"},
        },
        "endpoints": [{"addresses": ["203.0.113.10"]}],
    },
]


@pytest.mark.parametrize(
    ("item", "to_db", "to_address"),
    [
        ({"k8sService": {"serviceName": "orders", "namespace": "data"}}, "ALLOWED", NO),
        ({"k8sService": {"serviceName": "orders"}}, "ALLOWED", NO),
        ({"k8sService": {"serviceName": "orders", "namespace": "shop"}}, NO, NO),
        ({"k8sService": {"serviceName": "legacy", "namespace": "shop"}}, NO, "ALLOWED"),
        (
            {"k8sServiceSelector": {"selector": {"matchLabels": {"k8s:env": "prod"}}}},
            "ALLOWED",
            NO,
        ),
        (
            {
                "k8sServiceSelector": {
                    "selector": {"matchLabels": {"env": "test"}},
                    "namespace": "shop",
                }
            },
            NO,
            "ALLOWED",
        ),
        (
            {
                "k8sService": {"serviceName": "orders", "namespace": "data"},
                "k8sServiceSelector": {"selector": {"matchLabels": {"env": "test"}}},
            },
            NO,
            "ALLOWED",
        ),
    ],
)
def test_services_stand_for_their_pods_or_their_addresses(
    item: dict[str, Any], to_db: str, to_address: str
) -> None:
    """With a selector it is the pods, without one the addresses of its slices.

    Where an item names a service and selects others by label, the labels count.
    """
    policy = from_web({"toServices": [item]})
    assert egress(policy, DB, 5432, services=SERVICES) == to_db
    assert egress(policy, OUTSIDE, 443, services=SERVICES) == to_address


def test_pods_behind_a_service_are_those_of_the_local_cluster() -> None:
    """Unless peers are of every cluster."""
    policy = from_web({"toServices": [{"k8sService": {"serviceName": "orders"}}]})
    other = Endpoint.pod("data", {"app": "db"}, cluster="west")
    off = {"policyDefaultLocalCluster": False}
    assert egress(policy, other, 5432, services=SERVICES) == NO
    assert egress(policy, other, 5432, services=SERVICES, settings=off) == "ALLOWED"


def test_a_service_can_be_given_in_short_form() -> None:
    """As scenario files write it, with the addresses of one without a selector."""
    service = {"name": "legacy", "namespace": "shop", "backends": ["203.0.113.10"]}
    policy = from_web({"toServices": [{"k8sService": {"serviceName": "legacy"}}]})
    assert egress(policy, OUTSIDE, 443, services=[service]) == "ALLOWED"
    assert egress(policy, Endpoint.outside("203.0.113.11"), 443, services=[service]) == NO


def test_services_are_never_resolved_in_a_deny_rule() -> None:
    """With ports it denies every peer, without ports nobody."""
    item = {"toServices": [{"k8sService": {"serviceName": "orders"}}]}
    allow = {"toEntities": ["all"]}
    with_ports = from_web(allow, egressDeny=[{**item, "toPorts": ON_8080}])
    assert egress(with_ports, OUTSIDE, 8080, services=SERVICES) == "POLICY_DENY"
    assert egress(with_ports, OUTSIDE, 443, services=SERVICES) == "ALLOWED"
    without = from_web(allow, egressDeny=[item])
    assert egress(without, DB, 5432, services=SERVICES) == "ALLOWED"


def test_nodes_are_selected_by_their_labels_where_the_option_is_on() -> None:
    """Only remote nodes are."""
    settings = {"enableNodeSelectorLabels": True}
    policy = to_api({"fromNodes": [{"matchLabels": {"role": "edge"}}]})
    edge = Endpoint.entity("remote-node", node_labels={"role": "edge"})
    assert ingress(policy, edge, settings=settings) == "ALLOWED"
    assert ingress(policy, REMOTE, settings=settings) == NO
    assert ingress(policy, WEB, settings=settings) == NO


def test_an_object_with_cloud_groups_has_no_effect_itself() -> None:
    """The operator derives another object from it."""
    policy = cnp(
        {
            "endpointSelector": {},
            "egress": [
                {"toEndpoints": [{}]},
                {"toGroups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]},
            ],
        }
    )
    verdict = judge(policy, WEB, OUTSIDE)
    assert verdict.verdict == "ALLOWED"
    assert verdict.egress.selecting == ()
