"""Reasons: the rules of a side, the objects that select, the nearest rule, the one-line verdict."""

from typing import Any

import pytest

from acns_chaos.policy import Endpoint, Engine, Settings
from tests.policy.policy_cases import API, OUTSIDE, TO_API, TO_WEB, WEB, WORLD, cnp, judge, to_api

STORE_FRONT = Endpoint.pod("pets", {"app": "store-front"}, name="store-front-68846476f4-x2x9k")


def shop(*ingress: dict[str, Any]) -> dict[str, Any]:
    """The workshop's policy with these ingress rules."""
    return cnp(
        {
            "endpointSelector": {"matchLabels": {"app": "store-front"}},
            "ingress": list(ingress),
            "egress": [{"toEndpoints": [{"matchLabels": {"app": "order-service"}}]}],
        },
        name="allow-store-front-traffic",
        namespace="pets",
    )


def on(port: str, protocol: str = "TCP") -> list[dict[str, Any]]:
    return [{"ports": [{"port": port, "protocol": protocol}]}]


@pytest.mark.parametrize(
    ("rules", "nearest"),
    [
        (
            [{"fromEntities": ["world"], "toPorts": on("80")}],
            (
                "spec.ingress[0] of pets/allow-store-front-traffic allows world, but on port "
                "80/TCP and not 8080/TCP."
            ),
        ),
        (
            [{"fromEntities": ["cluster"]}, {"fromEntities": ["world"], "toPorts": on("80")}],
            (
                "spec.ingress[1] of pets/allow-store-front-traffic allows world, but on port "
                "80/TCP and not 8080/TCP."
            ),
        ),
        (
            [{"fromEndpoints": [TO_WEB], "toPorts": on("8080")}],
            (
                "spec.ingress[0] of pets/allow-store-front-traffic allows traffic from app=web in "
                "namespace pets on 8080/TCP, but not from world."
            ),
        ),
        (
            [{"fromEntities": ["cluster"]}],
            (
                "spec.ingress[0] of pets/allow-store-front-traffic allows traffic from cluster, "
                "but not from world."
            ),
        ),
        (
            [{"fromEntities": ["cluster"], "toPorts": on("80")}],
            (
                "spec.ingress[0] of pets/allow-store-front-traffic allows traffic from cluster on "
                "port 80/TCP, but not from world on 8080/TCP."
            ),
        ),
        (
            [{"fromEndpoints": []}],
            (
                "spec.ingress[0] of pets/allow-store-front-traffic allows nobody: its "
                "fromEndpoints is an empty list."
            ),
        ),
        (
            [{}],
            (
                "spec.ingress[0] of pets/allow-store-front-traffic allows nobody: it names no peer "
                "and no port."
            ),
        ),
        (
            [{"toPorts": on("80")}],
            (
                "spec.ingress[0] of pets/allow-store-front-traffic allows world, but on port "
                "80/TCP and not 8080/TCP."
            ),
        ),
    ],
)
def test_a_denied_flow_names_the_nearest_rule_and_what_did_not_match(
    rules: list[dict[str, Any]], nearest: str
) -> None:
    """The rule that misses by least: the right peer first, then the right port."""
    side = judge(shop(*rules), WORLD, STORE_FRONT).ingress
    assert (side.verdict, side.rules) == ("DENIED", ())
    assert side.nearest == nearest


def test_peers_outside_are_worded_as_they_are_written() -> None:
    """Names, prefixes with exceptions, services, groups."""
    names = [{"matchName": "api.example.com"}, {"matchPattern": "*.example.org"}]
    policy = cnp({"endpointSelector": TO_WEB, "egress": [{"toFQDNs": names}]}, name="e")
    assert judge(policy, WEB, OUTSIDE).egress.nearest == (
        "spec.egress[0] of shop/e allows traffic to api.example.com or *.example.org, but not to "
        "203.0.113.10."
    )
    sets = [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}, {"cidrGroupRef": "partners"}]
    policy = cnp({"endpointSelector": TO_WEB, "egress": [{"toCIDRSet": sets}]}, name="e")
    assert judge(policy, WEB, OUTSIDE).egress.nearest == (
        "spec.egress[0] of shop/e allows traffic to 10.0.0.0/8 except 10.1.0.0/16 or CIDR group "
        "partners, but not to 203.0.113.10."
    )


def test_a_verdict_by_several_rules_names_them_all() -> None:
    """Of both sides."""
    out = cnp({"endpointSelector": TO_WEB, "egress": [{"toEntities": ["cluster"]}]}, name="e")
    assert judge([out, to_api({"fromEntities": ["all"]})], WEB, API).sentence() == (
        "ALLOWED: shop/web-1 to shop/api-1 on 8080/TCP, by spec.egress[0] of shop/e and "
        "spec.ingress[0] of shop/p"
    )


def test_an_allowed_side_names_its_rules_and_has_no_nearest() -> None:
    """Every rule that matched, not only the first."""
    policy = shop({"fromEntities": ["world"]}, {"fromEntities": ["all"], "toPorts": on("8080")})
    side = judge(policy, WORLD, STORE_FRONT).ingress
    assert [str(rule) for rule in side.rules] == [
        "spec.ingress[0] of pets/allow-store-front-traffic",
        "spec.ingress[1] of pets/allow-store-front-traffic",
    ]
    assert [rule.section for rule in side.rules] == ["ingress", "ingress"]
    assert side.nearest == ""


def test_a_deny_names_the_rule_that_matched() -> None:
    """And the side tells all objects that select it."""
    deny = cnp({"endpointSelector": TO_API, "ingressDeny": [{"fromEndpoints": [TO_WEB]}]}, name="d")
    side = judge([to_api({"fromEntities": ["all"]}), deny], WEB, API).ingress
    assert [str(rule) for rule in side.rules] == ["spec.ingressDeny[0] of shop/d"]
    assert [str(ref) for ref in side.selecting] == ["shop/p", "shop/d"]
    assert side.drop_reason == "POLICY_DENY"


def test_a_policy_of_deny_rules_alone_says_so() -> None:
    """Denying switches default-deny on for everybody else."""
    deny = cnp({"endpointSelector": TO_API, "ingressDeny": [{"fromEndpoints": [TO_WEB]}]}, name="d")
    side = judge(deny, OUTSIDE, API).ingress
    assert side.drop_reason == "POLICY_DENIED"
    assert side.nearest == "spec.ingressDeny[0] of shop/d only denies, and no rule allows anything."


@pytest.mark.parametrize(
    ("policies", "sentence"),
    [
        (
            [shop({"fromEndpoints": []})],
            (
                "DENIED at ingress of pets/store-front-68846476f4-x2x9k: no rule of "
                "pets/allow-store-front-traffic allows world on 8080/TCP"
            ),
        ),
        (
            [shop({"fromEntities": ["world"]})],
            (
                "ALLOWED: world to pets/store-front-68846476f4-x2x9k on 8080/TCP, by "
                "spec.ingress[0] of pets/allow-store-front-traffic"
            ),
        ),
        (
            [],
            (
                "ALLOWED: world to pets/store-front-68846476f4-x2x9k on 8080/TCP: no policy "
                "restricts it"
            ),
        ),
    ],
)
def test_a_verdict_is_one_line_for_a_person(policies: list[Any], sentence: str) -> None:
    """What happened, where, and by which object."""
    verdict = Engine(policies).verdict(WORLD, STORE_FRONT, 8080)
    assert verdict.sentence() == sentence


def test_a_denied_egress_a_deny_and_a_refused_request_have_their_own_words() -> None:
    """The side that dropped it is named, or the proxy."""
    closed = cnp({"endpointSelector": TO_WEB, "egress": [{}]}, name="e")
    assert judge(closed, WEB, API).sentence() == (
        "DENIED at egress of shop/web-1: no rule of shop/e allows shop/api-1 on 8080/TCP"
    )
    deny = cnp({"endpointSelector": TO_API, "ingressDeny": [{"fromEntities": ["world"]}]}, name="d")
    assert judge(deny, WORLD, API, None, "ICMP").sentence() == (
        "DENIED at ingress of shop/api-1: spec.ingressDeny[0] of shop/d denies world on ICMP type 8"
    )
    get = {"ports": [{"port": "8080", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}
    policy = to_api({"fromEntities": ["world"], "toPorts": [get]})
    request = {"method": "POST", "path": "/"}
    assert judge(policy, WORLD, API, http=request).sentence() == (
        "DENIED by the proxy: spec.ingress[0] of shop/p let world to shop/api-1 on 8080/TCP, but "
        "not this request"
    )


def test_where_no_object_selects_a_closed_endpoint_the_sentence_says_so() -> None:
    """Enforcement mode always closes pods that no policy selects."""
    engine = Engine([], settings=Settings(enforcement="always"))
    assert engine.verdict(WORLD, STORE_FRONT, 8080).sentence() == (
        "DENIED at ingress of pets/store-front-68846476f4-x2x9k: no policy selects it, and nothing "
        "allows world on 8080/TCP"
    )
