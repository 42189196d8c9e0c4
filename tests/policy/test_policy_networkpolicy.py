"""Kubernetes NetworkPolicy as Cilium translates it."""

from typing import Any

import pytest

from acns_chaos.policy import Endpoint
from tests.policy.policy_cases import (
    API,
    DB,
    HOST,
    OUTSIDE,
    REMOTE,
    TO_API,
    TO_WEB,
    WEB,
    WEST,
    egress,
    ingress,
    judge,
    knp,
)

NO = "POLICY_DENIED"
NAMESPACE = "io.kubernetes.pod.namespace"


def to_api(*rules: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A NetworkPolicy for API."""
    return knp({"podSelector": TO_API, "ingress": list(rules), **more})


@pytest.mark.parametrize("rule", [{}, {"from": []}, {"from": None}])
def test_an_empty_rule_means_everybody(rule: dict[str, Any]) -> None:
    """The opposite of what it means in a CiliumNetworkPolicy."""
    for source in (WEB, DB, OUTSIDE, REMOTE):
        assert ingress(to_api(rule), source) == "ALLOWED"


@pytest.mark.parametrize(
    ("peer", "admitted"),
    [
        ({"podSelector": TO_WEB}, ["web"]),
        ({"podSelector": {}}, ["web"]),
        ({"namespaceSelector": {}}, ["web", "db"]),
        ({"namespaceSelector": {"matchLabels": {"team": "red"}}}, ["db"]),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "data"}}}, ["db"]),
        ({"namespaceSelector": {"matchLabels": {"team": "red"}}, "podSelector": TO_WEB}, []),
        ({"namespaceSelector": {"matchLabels": {"team": "blue"}}, "podSelector": TO_WEB}, ["web"]),
        ({"ipBlock": {"cidr": "203.0.113.0/24"}}, ["web", "outside"]),
        ({"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.0/28"]}}, ["web"]),
    ],
)
def test_whom_a_peer_admits(peer: dict[str, Any], admitted: list[str]) -> None:
    """On ingress an address block admits the policy's own namespace too."""
    sources = {"web": WEB, "db": DB, "west": WEST, "outside": OUTSIDE, "remote": REMOTE}
    policy = to_api({"from": [peer]})
    found = [name for name, source in sources.items() if ingress(policy, source) == "ALLOWED"]
    assert found == admitted


def test_an_address_block_admits_no_pod_on_egress_or_where_peers_are_of_every_cluster() -> None:
    """The pods come from the label of the cluster, on ingress only."""
    block = {"ipBlock": {"cidr": "203.0.113.0/24"}}
    off = {"policyDefaultLocalCluster": False}
    assert ingress(to_api({"from": [block]}), WEB, settings=off) == NO
    out = knp({"podSelector": TO_WEB, "egress": [{"to": [block]}]})
    assert egress(out, OUTSIDE) == "ALLOWED"
    assert egress(out, API) == NO


def test_the_policys_namespace_overwrites_one_among_the_labels_of_pods() -> None:
    """One in an expression stays, and so does one beside a namespaceSelector."""
    foreign = {"matchLabels": {NAMESPACE: "data", "app": "web"}}
    written = {"matchExpressions": [{"key": NAMESPACE, "operator": "In", "values": ["data"]}]}
    assert ingress(to_api({"from": [{"podSelector": foreign}]}), WEB) == "ALLOWED"
    assert ingress(to_api({"from": [{"podSelector": written}]}), WEB) == NO
    both = {"podSelector": foreign, "namespaceSelector": {}}
    assert ingress(to_api({"from": [both]}), WEB) == NO
    subject = {"matchLabels": {NAMESPACE: "data", "app": "api"}}
    assert ingress(knp({"podSelector": subject, "ingress": []}), WEB) == NO
    assert ingress(knp({"podSelector": written, "ingress": []}), WEB) == "ALLOWED"


def test_the_keys_of_its_selectors_are_those_of_kubernetes_labels_as_written() -> None:
    """Nothing in them names another source, not even what does so in a CiliumNetworkPolicy."""
    labels = {"app": "web", "reserved.team": "a"}
    pod = Endpoint.pod("shop", labels, namespace_labels={"reserved.kind": "b"})
    wanted = {"matchLabels": {"reserved.team": "a"}}
    assert ingress(to_api({"from": [{"podSelector": wanted}]}), pod) == "ALLOWED"
    assert ingress(to_api({"from": [{"podSelector": wanted}]}), WEB) == NO
    spaces = {"namespaceSelector": {"matchLabels": {"reserved.kind": "b"}}}
    assert ingress(to_api({"from": [spaces]}), pod) == "ALLOWED"
    closed = knp({"podSelector": wanted, "ingress": []})
    assert judge(closed, API, pod).ingress.verdict == "DENIED"


@pytest.mark.parametrize(
    ("ports", "number", "protocol", "expected"),
    [
        ([], 1, "TCP", "ALLOWED"),
        ([], None, "ICMP", "ALLOWED"),
        ([{"port": 8080}], 8080, "TCP", "ALLOWED"),
        ([{"port": 8080}], 8080, "UDP", NO),
        ([{"port": 8080}], None, "ICMP", NO),
        ([{"protocol": "UDP"}], 9999, "UDP", "ALLOWED"),
        ([{"protocol": "UDP"}], 9999, "TCP", NO),
        ([{"port": 8000, "endPort": 8100, "protocol": "TCP"}], 8100, "TCP", "ALLOWED"),
        ([{"port": "http"}], 8080, "TCP", "ALLOWED"),
        ([{"port": "http"}], 80, "TCP", NO),
        ([{}], 80, "TCP", "ALLOWED"),
    ],
)
def test_ports(ports: list[Any], number: int | None, protocol: str, expected: str) -> None:
    """No port means the whole protocol, no protocol means TCP."""
    policy = to_api({"from": [{"podSelector": TO_WEB}], "ports": ports})
    assert ingress(policy, WEB, number, protocol) == expected


@pytest.mark.parametrize(
    ("spec", "way_in", "way_out"),
    [
        ({}, NO, "ALLOWED"),
        ({"policyTypes": ["Ingress"]}, NO, "ALLOWED"),
        ({"policyTypes": ["Egress"]}, "ALLOWED", NO),
        ({"policyTypes": ["Ingress", "Egress"]}, NO, NO),
        ({"policyTypes": ["Egress"], "ingress": [{"ports": [{"port": 1}]}]}, NO, NO),
        ({"egress": [{"ports": [{"port": 1}]}]}, NO, NO),
    ],
)
def test_policy_types_decide_only_about_empty_sections(
    spec: dict[str, Any], way_in: str, way_out: str
) -> None:
    """A section with rules applies whether it is listed or not."""
    policy = knp({"podSelector": {}, **spec})
    assert ingress(policy, OUTSIDE) == way_in
    assert egress(policy, OUTSIDE) == way_out


def test_it_binds_only_the_pods_of_its_namespace() -> None:
    """And the local host still reaches them."""
    policy = knp({"podSelector": {}})
    assert judge(policy, WEB, DB, 5432).verdict == "ALLOWED"
    assert ingress(policy, HOST) == "ALLOWED"
    assert judge(policy, WEB, Endpoint.pod("shop", {}), 1).ingress.verdict == "DENIED"


def test_the_rules_of_a_verdict_name_the_native_object() -> None:
    """Kind, name and path."""
    side = judge(to_api({"from": [{"podSelector": TO_WEB}]}), WEB, API).ingress
    (rule,) = side.rules
    assert (rule.object.kind, str(rule)) == ("NetworkPolicy", "spec.ingress[0] of shop/k")
