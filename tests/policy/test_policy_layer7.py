"""DNS and HTTP behind an allowed connection, and the patterns of DNS names."""

from typing import Any

import pytest

from acns_chaos.policy.names import NameMatch
from tests.policy.policy_cases import (
    API,
    DNS,
    HOST,
    OUTSIDE,
    TO_API,
    TO_WEB,
    WEB,
    cnp,
    from_web,
    judge,
    to_api,
)

KUBE_DNS = {
    "matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}
}


def dns(*items: dict[str, str], **more: Any) -> dict[str, Any]:
    """An egress rule that sends lookups through the proxy."""
    port = {"ports": [{"port": "53", "protocol": "ANY"}], "rules": {"dns": list(items)}}
    return {"toEndpoints": [KUBE_DNS], "toPorts": [port], **more}


def lookup(policies: Any, name: str, protocol: str = "UDP") -> str | None:
    """What becomes of WEB's query."""
    return judge(policies, WEB, DNS, 53, protocol, dns_query=name).l7


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "a.example.com", True),
        ("*", "com", True),
        ("**", "a.b.c", True),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "A.Example.COM.", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.b.example.com", False),
        ("*.example.com", ".example.com", True),
        ("*example.com", "example.com", True),
        ("*example.com", "myexample.com", True),
        ("*example.com", "www.example.com", False),
        ("**.example.com", "a.example.com", True),
        ("**.example.com", "a.b.example.com", True),
        ("**.example.com", "example.com", False),
        ("a.**.example.com", "a.x.example.com", True),
        ("a.**.example.com", "a.x.y.example.com", False),
        ("sub*.example.com", "sub.example.com", True),
        ("sub*.example.com", "sub2.example.com", True),
        ("sub*.example.com", "x.sub.example.com", False),
        ("_sip._tcp.example.com", "_sip._tcp.example.com", True),
        ("a.example.com", "axexample.com", False),
        ("*.example.com", "a/b.example.com", False),
    ],
)
def test_patterns_of_names(pattern: str, name: str, matches: bool) -> None:
    """One star stays inside a label, two leading stars cross labels, dots are literal."""
    assert NameMatch.of({"matchPattern": pattern}).matches(name) is matches
    assert NameMatch.of({"matchPattern": pattern}, dns_rule=True).matches(name) is matches


def test_a_lone_star_in_a_dns_rule_admits_what_is_no_complete_name() -> None:
    """In toFQDNs it does not."""
    assert NameMatch.of({"matchPattern": "*"}, dns_rule=True).matches("a..b")
    assert not NameMatch.of({"matchPattern": "*"}).matches("a..b")


@pytest.mark.parametrize(
    ("items", "name", "expected"),
    [
        ([{"matchName": "api.example.com"}], "api.example.com", "ALLOWED"),
        ([{"matchName": "api.example.com"}], "www.example.com", "DENIED"),
        ([{"matchPattern": "*.example.com"}], "api.example.com.shop.svc.cluster.local", "DENIED"),
        ([{"matchName": "a.io"}, {"matchName": "b.io"}], "b.io", "ALLOWED"),
        ([{}], "api.example.com", "DENIED"),
        ([], "api.example.com", None),
    ],
)
def test_a_dns_rule_admits_names(
    items: list[dict[str, str]], name: str, expected: str | None
) -> None:
    """The connection is allowed in any case; an empty list is no DNS rule at all."""
    policy = from_web(dns(*items))
    assert lookup(policy, name) == expected
    assert judge(policy, WEB, DNS, 53, "UDP").egress.verdict == "ALLOWED"
    assert judge(policy, WEB, DNS, 53, "UDP").egress.redirected is (expected is not None)


def test_rules_of_the_same_port_are_united_for_names() -> None:
    """Whoever selects the server on that port may allow; a plain rule allows all names."""
    one = dns({"matchName": "a.io"})
    port = {"ports": [{"port": "53", "protocol": "UDP"}]}
    assert lookup(from_web(one, dns({"matchName": "b.io"})), "b.io") == "ALLOWED"
    assert (
        lookup(from_web(one, {"toEndpoints": [KUBE_DNS], "toPorts": [port]}), "x.io") == "ALLOWED"
    )
    assert lookup(from_web(one, {"toEntities": ["all"], "toPorts": [port]}), "x.io") == "ALLOWED"
    tcp = {"ports": [{"port": "53", "protocol": "TCP"}]}
    assert lookup(from_web(one, {"toEndpoints": [KUBE_DNS], "toPorts": [tcp]}), "x.io") == "DENIED"


@pytest.mark.parametrize(
    "wider",
    [
        {"toEndpoints": [KUBE_DNS]},
        {"toEntities": ["all"]},
        {"toEndpoints": [KUBE_DNS], "toPorts": [{"ports": [{"port": "0", "protocol": "UDP"}]}]},
        {
            "toEndpoints": [KUBE_DNS],
            "toPorts": [{"ports": [{"port": "50", "endPort": 60, "protocol": "UDP"}]}],
        },
    ],
)
def test_a_rule_for_the_peer_or_for_a_range_opens_no_name(wider: dict[str, Any]) -> None:
    """Only rules of that very port count."""
    assert lookup(from_web(dns({"matchName": "a.io"}), wider), "x.io") == "DENIED"


def test_with_default_deny_off_a_dns_rule_only_watches() -> None:
    """The agent adds an item that admits everything."""
    policy = from_web(dns({"matchName": "a.io"}), enableDefaultDeny={"egress": False})
    assert lookup(policy, "x.io") == "ALLOWED"


def http(*items: dict[str, Any], **peer: Any) -> dict[str, Any]:
    """An ingress rule with HTTP items."""
    port = {"ports": [{"port": "8080", "protocol": "TCP"}], "rules": {"http": list(items)}}
    return {**(peer or {"fromEndpoints": [TO_WEB]}), "toPorts": [port]}


NOT_WORLD = {"matchExpressions": [{"key": "reserved:world", "operator": "DoesNotExist"}]}
GET = {"method": "GET", "path": "/public", "host": "api.shop", "headers": {"X-Token": "42"}}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([{"method": "GET", "path": "/public"}], "ALLOWED"),
        ([{"method": "POST"}], "DENIED"),
        ([{"path": "/pub"}], "DENIED"),
        ([{"path": "/pub.*"}], "ALLOWED"),
        ([{"path": "/[[:alpha:]]+"}], "ALLOWED"),
        ([{"method": "GE"}], "DENIED"),
        ([{"method": "POST"}, {"method": "GET"}], "ALLOWED"),
        ([{"host": "api[.]shop"}], "ALLOWED"),
        ([{"host": "api"}], "DENIED"),
        ([{"headers": ["X-Token: 42"]}], "ALLOWED"),
        ([{"headers": ["x-token"]}], "ALLOWED"),
        ([{"headers": ["X-Token: 43"]}], "DENIED"),
        ([{"headers": ["X-Other"]}], "DENIED"),
        ([{"headerMatches": [{"name": "X-Token", "value": "42"}]}], "ALLOWED"),
        ([{"headerMatches": [{"name": "X-Token", "value": "1"}]}], "DENIED"),
        ([{"headerMatches": [{"name": "X-Token", "value": "1", "mismatch": "LOG"}]}], "ALLOWED"),
        ([{}], "ALLOWED"),
        ([], None),
    ],
)
def test_an_http_rule_admits_requests(items: list[Any], expected: str | None) -> None:
    """Expressions match the whole value; conditions of one item must all hold, items are ORed."""
    assert judge(to_api(http(*items)), WEB, API, http=GET).l7 == expected


@pytest.mark.parametrize(
    "plain",
    [
        {"fromEndpoints": [TO_WEB], "toPorts": [{"ports": [{"port": "8080", "protocol": "TCP"}]}]},
        {"fromEntities": ["cluster"], "toPorts": [{"ports": [{"port": "8080"}]}]},
        {"fromEndpoints": [TO_WEB]},
    ],
)
def test_a_plain_rule_beside_it_lifts_the_restriction_of_http(plain: dict[str, Any]) -> None:
    """Envoy unites them, the rule for the peer alone too."""
    post = {"method": "POST", "path": "/"}
    assert judge(to_api(http({"method": "GET"})), WEB, API, http=post).l7 == "DENIED"
    assert judge(to_api(http({"method": "GET"}), plain), WEB, API, http=post).l7 == "ALLOWED"


@pytest.mark.parametrize(
    ("peer", "settings", "expected"),
    [
        ({"fromEntities": ["all"]}, {}, "ALLOWED"),
        ({"fromEntities": ["host"]}, {}, "DENIED"),
        ({"fromEntities": ["cluster"]}, {}, "DENIED"),
        ({"fromEntities": ["all"]}, {"allowLocalhost": "policy"}, "DENIED"),
        ({"fromEndpoints": [{"matchLabels": {"reserved:host": ""}}]}, {}, "DENIED"),
        ({"fromEndpoints": [NOT_WORLD]}, {}, "ALLOWED"),
        ({"fromEndpoints": [NOT_WORLD, {"matchLabels": {"$host": ""}}]}, {}, "DENIED"),
        ({"fromEndpoints": [NOT_WORLD]}, {"allowLocalhost": "policy"}, "DENIED"),
    ],
)
def test_the_local_host_passes_http_rules_that_do_not_name_it(
    peer: dict[str, Any], settings: dict[str, Any], expected: str
) -> None:
    """Named through host or cluster it is bound, even where it may always connect.

    A selector that it meets among others does not name it.
    """
    policy = to_api(http({"method": "GET"}, **peer))
    post = {"method": "POST", "path": "/"}
    assert judge(policy, HOST, API, http=post, settings=settings).l7 == expected


def test_requests_of_a_denied_flow_never_reach_a_proxy() -> None:
    """A deny rule drops in the datapath; there is no layer-7 answer."""
    policy = cnp(
        {
            "endpointSelector": TO_API,
            "ingress": [http({"method": "GET"})],
            "ingressDeny": [{"fromEndpoints": [TO_WEB]}],
        }
    )
    verdict = judge(policy, WEB, API, http=GET)
    assert (verdict.verdict, verdict.l7) == ("DENIED", None)


@pytest.mark.parametrize(
    ("server_names", "host", "expected"),
    [
        (["a.example.com"], "a.example.com", "ALLOWED"),
        (["*.example.com"], "a.example.com", "ALLOWED"),
        (["*.example.com"], "a.b.example.com", "DENIED"),
        (["**.example.com"], "a.b.example.com", "ALLOWED"),
        (["b.example.com", "a.example.com"], "A.example.com", "ALLOWED"),
    ],
)
def test_server_names_of_tls(server_names: list[str], host: str, expected: str) -> None:
    """One star is one label, two are several."""
    port = {"ports": [{"port": "443", "protocol": "TCP"}], "serverNames": server_names}
    policy = from_web({"toEntities": ["world"], "toPorts": [port]})
    request = {"method": "GET", "path": "/", "host": host}
    assert judge(policy, WEB, OUTSIDE, 443, http=request).l7 == expected
