"""Ports, ranges, names, protocols, ICMP."""

from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Endpoint, Engine
from tests.policy.policy_cases import (
    API,
    DB,
    OUTSIDE,
    TO_API,
    TO_WEB,
    WEB,
    cnp,
    egress,
    from_web,
    ingress,
    to_api,
)

NO = "POLICY_DENIED"


def on(*ports: dict[str, Any]) -> dict[str, Any]:
    """An ingress rule for WEB on these ports."""
    return to_api({"fromEndpoints": [TO_WEB], "toPorts": [{"ports": list(ports)}]})


@pytest.mark.parametrize(
    ("port", "number", "protocol", "expected"),
    [
        ({"port": "8080", "protocol": "TCP"}, 8080, "TCP", "ALLOWED"),
        ({"port": "8080", "protocol": "TCP"}, 8081, "TCP", NO),
        ({"port": "8080", "protocol": "TCP"}, 8080, "UDP", NO),
        ({"port": "8080", "protocol": "tcp"}, 8080, "TCP", "ALLOWED"),
        ({"port": "8080"}, 8080, "TCP", "ALLOWED"),
        ({"port": "8080"}, 8080, "UDP", "ALLOWED"),
        ({"port": "8080"}, 8080, "SCTP", "ALLOWED"),
        ({"port": "8080", "protocol": "ANY"}, 8080, "UDP", "ALLOWED"),
        ({"port": "8080", "protocol": ""}, 8080, "SCTP", "ALLOWED"),
        ({"port": "8080", "protocol": "ANY"}, None, "ICMP", NO),
        ({"port": "0", "protocol": "TCP"}, 1, "TCP", "ALLOWED"),
        ({"port": "0", "protocol": "TCP"}, 65535, "TCP", "ALLOWED"),
        ({"port": "0", "protocol": "TCP"}, 1, "UDP", NO),
        ({"port": "0", "endPort": 0, "protocol": "TCP"}, 9000, "TCP", "ALLOWED"),
        ({"port": "0", "endPort": 65535, "protocol": "TCP"}, 9000, "TCP", "ALLOWED"),
        ({"port": "0", "endPort": 8080, "protocol": "TCP"}, 8080, "TCP", "ALLOWED"),
        ({"port": "0", "endPort": 8080, "protocol": "TCP"}, 8081, "TCP", NO),
        ({"port": "8000", "endPort": 8010, "protocol": "TCP"}, 8000, "TCP", "ALLOWED"),
        ({"port": "8000", "endPort": 8010, "protocol": "TCP"}, 8010, "TCP", "ALLOWED"),
        ({"port": "8000", "endPort": 8010, "protocol": "TCP"}, 8011, "TCP", NO),
        ({"port": "8000", "endPort": 8000, "protocol": "TCP"}, 8000, "TCP", "ALLOWED"),
        ({"port": "8000", "endPort": 7000, "protocol": "TCP"}, 8000, "TCP", "ALLOWED"),
        ({"port": "8000", "endPort": 7000, "protocol": "TCP"}, 7500, "TCP", NO),
        ({"port": "http", "protocol": "TCP"}, 8080, "TCP", "ALLOWED"),
        ({"port": "HTTP", "protocol": "TCP"}, 8080, "TCP", "ALLOWED"),
        ({"port": "http"}, 8080, "TCP", "ALLOWED"),
        ({"port": "http", "protocol": "UDP"}, 8080, "UDP", NO),
        ({"port": "http", "endPort": 9999, "protocol": "TCP"}, 8081, "TCP", NO),
        ({"port": "nobody", "protocol": "TCP"}, 8080, "TCP", NO),
    ],
)
def test_which_traffic_a_port_entry_means(
    port: dict[str, Any], number: int | None, protocol: str, expected: str
) -> None:
    """Ports are texts; no protocol means TCP, UDP and SCTP but never ICMP."""
    assert ingress(on(port), WEB, number, protocol) == expected


def test_peers_and_ports_of_one_rule_belong_together() -> None:
    """Two rules do not mix: each peer has its own port."""
    policy = to_api(
        {"fromEndpoints": [TO_WEB], "toPorts": [{"ports": [{"port": "1", "protocol": "TCP"}]}]},
        {"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "2", "protocol": "TCP"}]}]},
    )
    assert ingress(policy, WEB, 1) == "ALLOWED"
    assert ingress(policy, WEB, 2) == NO
    assert ingress(policy, OUTSIDE, 2) == "ALLOWED"
    assert ingress(policy, OUTSIDE, 1) == NO


def test_a_named_port_on_egress_is_what_any_pod_gives_the_name() -> None:
    """For every peer of the rule, even outside; a conflict between pods matches nothing."""
    policy = from_web({"toEntities": ["all"], "toPorts": [{"ports": [{"port": "http"}]}]})
    assert egress(policy, API, 8080) == "ALLOWED"
    assert egress(policy, DB, 8080) == "ALLOWED"
    assert egress(policy, OUTSIDE, 8080) == "ALLOWED"
    assert egress(policy, OUTSIDE, 80) == NO
    other = Endpoint.pod("data", {"app": "other"}, named_ports={"http": (80, "TCP")})
    engine = Engine([policy], endpoints=(API, other))
    assert engine.verdict(WEB, API, 8080).egress.verdict == "DENIED"
    assert engine.verdict(WEB, API, 80).egress.verdict == "DENIED"


@pytest.mark.parametrize(
    ("field", "icmp_type", "protocol", "expected"),
    [
        ({"type": 8}, 8, "ICMP", "ALLOWED"),
        ({"type": "8"}, 8, "ICMP", "ALLOWED"),
        ({"type": 8}, None, "ICMP", "ALLOWED"),
        ({"type": 8}, 3, "ICMP", NO),
        ({"type": 8}, 8, "ICMPv6", NO),
        ({"type": "EchoRequest"}, 8, "ICMP", "ALLOWED"),
        ({"type": "EchoRequest", "family": "IPv6"}, 128, "ICMPv6", "ALLOWED"),
        ({"type": "EchoRequest", "family": "IPv6"}, 8, "ICMP", NO),
        ({"type": 0}, 8, "ICMP", "ALLOWED"),
        ({"type": "EchoReply"}, 3, "ICMP", "ALLOWED"),
        ({"type": 0}, 128, "ICMPv6", NO),
    ],
)
def test_icmp_types(field: dict[str, Any], icmp_type: int, protocol: str, expected: str) -> None:
    """Type 0 covers every type of its family; no type in the flow means an echo request."""
    policy = to_api({"fromEndpoints": [TO_WEB], "icmps": [{"fields": [field]}]})
    assert ingress(policy, WEB, None, protocol, icmp_type=icmp_type) == expected
    assert ingress(policy, WEB, 8, "TCP") == NO


def test_a_rule_with_peers_only_lets_icmp_through() -> None:
    """Any restriction of ports blocks it."""
    assert ingress(to_api({"fromEndpoints": [TO_WEB]}), WEB, None, "ICMP") == "ALLOWED"
    assert ingress(on({"port": "0"}), WEB, None, "ICMP") == NO


def test_extended_protocols_have_no_port() -> None:
    """VRRP is judged by its protocol alone."""
    settings = {"enableExtendedIPProtocols": True}
    policy = on({"protocol": "VRRP"})
    assert ingress(policy, WEB, 0, "VRRP", settings=settings) == "ALLOWED"
    assert ingress(policy, WEB, 0, "IGMP", settings=settings) == NO


@pytest.mark.parametrize(
    ("port", "protocol", "sentence"),
    [
        (None, "TCP", "A TCP flow to port None cannot be judged"),
        (70000, "UDP", "A UDP flow to port 70000 cannot be judged"),
        (80, "QUIC", "Protocol 'QUIC' of a flow is not known"),
    ],
)
def test_a_flow_that_cannot_be_is_refused_in_a_sentence(
    port: int | None, protocol: str, sentence: str
) -> None:
    """The caller learns what to give."""
    with pytest.raises(PolicyError) as error:
        Engine([cnp({"endpointSelector": TO_API, "ingress": [{}]})]).verdict(
            WEB, API, port, protocol
        )
    assert sentence in str(error.value)
