"""Which flows are asked for: as filters of the relay, and as a test that has the last word."""

from dataclasses import replace
from typing import Any

import pytest

from acns_chaos.cluster.hubble import Peer, Query, SeenFlow
from acns_chaos.cluster.hubble.messages import request_of
from acns_chaos.errors import ArgumentError

WORLD = Peer("", "", "", 2, ("reserved:world",), "198.51.100.10", ())
SHOP = Peer("pets", "store-front-86c-kn57j", "store-front", 7, (), "10.244.0.90", ())
NAMED = Peer(
    "", "", "", 16777217, ("fqdn:*.bing.com", "reserved:world"), "203.0.113.9", ("www.bing.com",)
)
FLOW = SeenFlow(
    *(1.0, "n1", "DROPPED", "POLICY_DENIED", "drop", "ingress", WORLD, SHOP, "TCP", 8080, 40000),
    *("SYN", None, (), (), "", 0, "u1", 0.0),
)


@pytest.mark.parametrize(
    ("asked", "matches"),
    [
        ({}, True),
        ({"verdict": "DROPPED"}, True),
        ({"verdict": "FORWARDED"}, False),
        ({"destination": "pets/store-front"}, True),
        ({"destination": "pets/store"}, False),
        ({"destination": "pets/store-front-86c"}, True),
        ({"destination": "pets/"}, True),
        ({"destination": "shop/"}, False),
        ({"source": "pets/store-front"}, False),
        ({"source": "world", "destination": "10.244.0.0/24"}, True),
        ({"source": "host"}, False),
        ({"source": "198.51.100.10"}, True),
        ({"source": "198.51.100.11"}, False),
        ({"destination": "2001:db8::/32"}, False),
        ({"namespace": "pets"}, True),
        ({"namespace": "kube-system"}, False),
        ({"port": 8080, "protocol": "tcp", "direction": "ingress"}, True),
        ({"port": 80}, False),
        ({"protocol": "dns"}, False),
        ({"direction": "egress"}, False),
        ({"reason": "POLICY_DENY"}, False),
        ({"kinds": ("policy-verdict",)}, False),
        ({"kinds": ("l7", "drop")}, True),
    ],
)
def test_a_flow_is_tested_against_a_question(asked: dict[str, Any], matches: bool) -> None:
    """All that is asked must hold."""
    assert Query(**asked).matches(FLOW) is matches


def test_a_workload_is_not_another_whose_name_begins_alike() -> None:
    """`pets/store-front` is not `store-front-v2`, though Hubble's filter lets its pods through."""
    other = replace(SHOP, pod="store-front-v2-5d-x1", workload="store-front-v2")
    assert not Query(destination="pets/store-front").matches(replace(FLOW, destination=other))
    unknown = replace(SHOP, workload="")
    assert Query(destination="pets/store-front").matches(replace(FLOW, destination=unknown))


def test_a_dns_name_is_an_address_or_a_question() -> None:
    """The peer behind a name, by pattern too, and whoever asks for it."""
    reached = replace(FLOW, destination=NAMED)
    asking = replace(FLOW, kind="l7", reason="", dns_query="www.bing.com.")
    for pattern in ("www.bing.com", "*.bing.com", "WWW.Bing.com."):
        assert Query(destination=pattern).matches(reached)
        assert Query(destination=pattern).matches(asking)
        assert not Query(source=pattern).matches(asking)
    assert not Query(destination="bing.com").matches(reached)
    assert not Query(destination="www.bing.co").matches(asking)


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "DENIED"},
        {"verdict": "dropped"},
        {"direction": "in"},
        {"protocol": "smtp"},
        {"port": 70000},
        {"number": -1},
        {"source": "store-front"},
        {"source": "pets/Store_Front"},
        {"destination": "a/b/c"},
        {"destination": "$(id)"},
        {"namespace": "-n"},
        {"reason": "Policy denied"},
        {"kinds": ("drops",)},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    """At once and in a sentence: Hubble would answer with no flows, or with too many."""
    with pytest.raises(ArgumentError):
        Query(**wrong)


def test_the_relay_is_given_filters() -> None:
    """Fields of one filter are ANDed, filters ORed: a namespace and a name need several."""
    asked = Query(verdict="DROPPED", source="world", destination="pets/store-front", port=8080)
    assert asked.filters() == [
        {
            "verdict": ["DROPPED"],
            "destination_port": ["8080"],
            "source_label": ["reserved:world", "reserved:world-ipv4", "reserved:world-ipv6"],
            "destination_pod": ["pets/store-front"],
        }
    ]
    assert Query(namespace="pets").filters() == [
        {"source_pod": ["pets/"]},
        {"destination_pod": ["pets/"]},
    ]
    assert Query(destination="*.bing.com").filters() == [
        {"destination_fqdn": ["*.bing.com"]},
        {"dns_query": ["^.*[.]bing[.]com[.]?$"]},
    ]
    assert Query().filters() == []


def test_a_request_says_it_on_the_wire() -> None:
    """Names become numbers; a number without a filter would count what is no flow."""
    request = request_of(Query(verdict="DROPPED", kinds=("drop",), since=12.5))
    (one,) = request.whitelist
    assert (list(one.verdict), one.event_type[0].type) == ([2], 1)
    assert (request.since.seconds, request.since.nanos, request.follow) == (12, 500_000_000, False)
    few = request_of(Query(number=3))
    assert few.number == 3
    assert len(few.whitelist[0].verdict) == 8
    with pytest.raises(ValueError, match="NO_SUCH_REASON"):
        request_of(Query(reason="NO_SUCH_REASON"))
