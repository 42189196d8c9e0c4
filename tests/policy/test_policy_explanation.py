"""The walk through both sides: who selects, who enforces, what of each rule matched."""

import json
from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Endpoint, Engine, Explanation, Settings, World, explain
from acns_chaos.policy.explanation_text import explanation_text
from tests.policy.policy_cases import ON_8080, TO_API, TO_WEB, ccnp, cnp, knp

WEB = Endpoint.pod("shop", {"app": "web"}, name="web-1", ports=[(80, "TCP")])
API = Endpoint.pod(
    "shop", {"app": "api"}, name="api-1", named_ports={"http": (8080, "TCP")}, ports=[(9090, "TCP")]
)
DB = Endpoint.pod("data", {"app": "db"}, name="db-1")
DNS = Endpoint.pod("kube-system", {"k8s-app": "kube-dns"}, name="dns-1", ports=[(53, "UDP")])
ENDPOINTS = (WEB, API, DB, DNS)


def world(*policies: Any, **more: Any) -> World:
    """The small cluster with these policies."""
    made = World(policies=policies, endpoints=ENDPOINTS, **more)
    assert not made.invalid
    return made


def of_api(*ingress: Any, **more: Any) -> dict[str, Any]:
    """A policy that selects api."""
    return cnp({"endpointSelector": TO_API, "ingress": list(ingress), **more})


def why(policy: Any, source: Endpoint | str = WEB, port: int = 8080, **more: Any) -> str:
    """What the explanation says of the first rule at api's side."""
    return explain(world(policy), source, API, port, **more).ingress.candidates[0].why


PORT_80 = [{"ports": [{"port": "80", "protocol": "TCP"}]}]


@pytest.mark.parametrize(
    ("rule", "source", "text"),
    [
        (
            {"fromEndpoints": [TO_WEB], "toPorts": PORT_80},
            WEB,
            "peer matches, port is 80 and the pod listens on 8080 and 9090",
        ),
        ({"fromEndpoints": [TO_WEB], "toPorts": ON_8080}, WEB, "peer matches, port matches"),
        (
            {"fromEndpoints": [{"matchLabels": {"app": "wep"}}]},
            WEB,
            "the peer does not match: wants app=wep, but app is web; port matches",
        ),
        (
            {"fromEndpoints": [{"matchLabels": {"tier": "x"}}]},
            WEB,
            "the peer does not match: wants tier=x, which it lacks; port matches",
        ),
        (
            {"fromEndpoints": [TO_WEB]},
            DB,
            (
                "the peer does not match: wants app=web, but app is db and wants namespace shop, "
                "but it is in data; port matches"
            ),
        ),
        (
            {"fromEndpoints": [TO_WEB, {"matchLabels": {"app": "x"}}]},
            "world",
            (
                "the peer does not match: wants pods (app=web in namespace shop); or wants pods "
                "(app=x in namespace shop); port matches"
            ),
        ),
        (
            {"fromEntities": ["cluster"]},
            "world",
            "the peer does not match: wants the entity cluster; port matches",
        ),
        (
            {"fromEndpoints": []},
            WEB,
            "it selects nobody: its fromEndpoints is an empty list; port matches",
        ),
        ({}, WEB, "it selects nobody: it names no peer and no port; port matches"),
        (
            {"fromCIDR": ["192.0.2.0/24"]},
            WEB,
            (
                "the peer does not match: wants 192.0.2.0/24, and prefixes never mean pods or "
                "nodes; port matches"
            ),
        ),
        (
            {"fromCIDR": ["192.0.2.0/24"]},
            "198.51.100.1",
            "the peer does not match: 198.51.100.1 is not in 192.0.2.0/24; port matches",
        ),
        (
            {"fromCIDRSet": [{"cidr": "192.0.2.0/24", "except": ["192.0.2.8/29"]}]},
            "192.0.2.9",
            (
                "the peer does not match: 192.0.2.9 is excepted by 192.0.2.8/29 of 192.0.2.0/24 "
                "except 192.0.2.8/29; port matches"
            ),
        ),
        (
            {"fromCIDR": ["192.0.2.0/24"]},
            "world",
            (
                "the peer does not match: wants 192.0.2.0/24, and its address is not known; port "
                "matches"
            ),
        ),
        (
            {"toPorts": [{"ports": [{"port": "8080", "protocol": "UDP"}]}]},
            WEB,
            "peer matches, protocol is UDP and 8080/TCP is asked for",
        ),
        (
            {"toPorts": [{"ports": [{"port": "nope", "protocol": "TCP"}]}]},
            WEB,
            "peer matches, port nope is a name that no container port has",
        ),
        (
            {"toPorts": [{"ports": [{"port": "7000", "endPort": 7010, "protocol": "TCP"}]}]},
            WEB,
            "peer matches, port is 7000-7010 and the pod listens on 8080 and 9090",
        ),
        ({"toPorts": [{}]}, WEB, "peer matches, its list of ports is empty"),
    ],
)
def test_each_part_of_a_rule_that_misses_is_named(
    rule: dict[str, Any], source: Endpoint | str, text: str
) -> None:
    """Peers by label, namespace, entity, prefix; ports by number, name, protocol."""
    assert why(of_api(rule), source) == text


def test_ports_of_names_are_told_with_their_number() -> None:
    """A named port that means another number."""
    named = of_api({"toPorts": [{"ports": [{"port": "http", "protocol": "TCP"}]}]})
    assert why(named, port=9090) == (
        "peer matches, port is http (8080) and the pod listens on 8080 and 9090"
    )
    assert why(named, port=9999) == "peer matches, port is http (8080) and 9999/TCP is asked for"


def test_names_that_miss_are_told_apart() -> None:
    """Another name, no known name, a pod."""
    policy = cnp(
        {"endpointSelector": TO_WEB, "egress": [{"toFQDNs": [{"matchName": "a.example"}]}]}
    )

    def egress(destination: Endpoint | str) -> str:
        found = explain(world(policy), WEB, destination, 443)
        return found.egress.candidates[0].why.removeprefix("the peer does not match: ")

    assert egress("b.example") == "wants the name a.example, but it is b.example; port matches"
    assert egress("192.0.2.1") == (
        "wants an address learned under a.example, and it has no known name; port matches"
    )
    assert egress(DB) == (
        "wants the name a.example, and names never mean pods or nodes; port matches"
    )
    assert egress("a.example") == "peer matches, port matches"


def test_who_selects_and_who_enforces_are_told_apart() -> None:
    """A policy with default deny off selects, but another one enforces."""
    lax = cnp(
        {
            "endpointSelector": TO_API,
            "enableDefaultDeny": {"ingress": False},
            "ingress": [{"fromEntities": ["health"]}],
        },
        name="lax",
    )
    strict = of_api({"fromEntities": ["remote-node"]})
    both = explain(world(lax, strict), WEB, API, 8080).ingress
    assert [str(ref) for ref in both.selecting] == ["shop/lax", "shop/p"]
    assert [str(ref) for ref in both.enforcing] == ["shop/p"]
    assert both.verdict == "DENIED"
    alone = explain(world(lax), WEB, API, 8080)
    assert (alone.ingress.default_deny, alone.ingress.enforcing) == (False, ())
    assert alone.ingress.verdict == "ALLOWED"
    assert "default deny is off: only deny rules count" in explanation_text(alone)
    assert alone.ingress.conclusion == (
        "No rule matches it, but no policy switched default deny on, so it passes."
    )


def test_a_deny_rule_decides() -> None:
    """Even where an allow rule matches, too."""
    policy = of_api({"fromEndpoints": [TO_WEB]}, ingressDeny=[{"fromEndpoints": [TO_WEB]}])
    found = explain(world(policy), WEB, API, 8080)
    assert found.ingress.drop_reason == "POLICY_DENY"
    assert [(c.deny, c.matches) for c in found.ingress.candidates] == [(False, True), (True, True)]
    assert found.ingress.conclusion == (
        "spec.ingressDeny[0] of shop/p denies it, which no allow rule can outweigh."
    )
    assert "   DENY spec.ingressDeny[0] of shop/p" in explanation_text(found)


def test_the_local_host_is_exempt_and_it_is_said() -> None:
    """Kubelet probes pass; not where the agents say so."""
    found = explain(world(of_api({})), "host", API, 8080)
    assert (found.ingress.verdict, found.ingress.local_host) == ("ALLOWED", True)
    assert found.sentence == (
        "ALLOWED: host to shop/api-1 on 8080/TCP, because the local node may always reach its own "
        "pods"
    )
    asked = explain(world(of_api({}), settings=Settings(allow_localhost="policy")), "host", API, 1)
    assert (asked.ingress.verdict, asked.ingress.local_host) == ("DENIED", False)


def test_sides_that_are_not_judged_say_why() -> None:
    """Outside, in another cluster, unrestricted, enforcement off."""
    policy = of_api({"fromEntities": ["world"]})
    found = explain(world(policy), "world", API, 8080)
    assert found.egress.conclusion == "world is no policy subject, so its egress is not judged."
    assert (found.egress.verdict, found.egress.candidates) == ("N/A", ())
    west = Endpoint.pod("shop", {"app": "web"}, name="west", cluster="west")
    assert explain(world(policy), west, API, 1).egress.conclusion == (
        "shop/west is in another cluster, where other policies rule."
    )
    assert explain(world(), WEB, API, 1).ingress.conclusion == (
        "No policy restricts ingress of shop/api-1, so everything passes."
    )
    never = world(policy, settings=Settings(enforcement="never"))
    assert explain(never, WEB, API, 1).ingress.conclusion == (
        "The agents enforce nothing (policy enforcement mode never)."
    )
    always = world(settings=Settings(enforcement="always"))
    assert "   default deny is on, and no policy selects it" in explanation_text(
        explain(always, WEB, API, 1)
    )


DNS_RULE = {
    "toEndpoints": [
        {"matchLabels": {"io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}}
    ],
    "toPorts": [
        {
            "ports": [{"port": "53", "protocol": "UDP"}],
            "rules": {"dns": [{"matchPattern": "*.example.com"}]},
        }
    ],
}


def test_a_lookup_is_followed_to_the_proxy() -> None:
    """The connection stands, the name decides."""
    policy = cnp({"endpointSelector": TO_WEB, "egress": [DNS_RULE]})
    refused = explain(world(policy), WEB, DNS, 53, "UDP", dns_query="example.com")
    assert (refused.verdict.verdict, refused.verdict.l7) == ("ALLOWED", "DENIED")
    assert (refused.egress.proxy, refused.ingress.proxy) == ("DENIED", None)
    assert refused.request == "DNS query for example.com"
    assert refused.egress.candidates[0].why == (
        "peer matches, port matches, the request is not among those it admits"
    )
    assert refused.egress.conclusion == (
        "spec.egress[0] of shop/p lets the connection through, but the proxy refuses the request."
    )
    passed = explain(world(policy), WEB, DNS, 53, "UDP", dns_query="a.example.com")
    assert (passed.verdict.l7, passed.egress.candidates[0].admits_request) == ("ALLOWED", True)


def test_an_http_request_is_followed_to_the_proxy() -> None:
    """Method and path decide."""
    rules = {"http": [{"method": "GET", "path": "/ok"}]}
    policy = of_api({"toPorts": [{**ON_8080[0], "rules": rules}]})
    for path, verdict in (("/ok", "ALLOWED"), ("/no", "DENIED")):
        found = explain(world(policy), WEB, API, 8080, http={"method": "GET", "path": path})
        assert found.ingress.proxy == verdict
        assert found.ingress.candidates[0].proxy == "http"
        assert found.request == f"HTTP GET {path}"


def test_the_nearest_rule_ends_the_sentence_of_a_denial() -> None:
    """A rule with the right peer is nearer than one with the right port."""
    policy = of_api(
        {"fromEntities": ["host"], "toPorts": ON_8080},
        {"fromEndpoints": [TO_WEB], "toPorts": PORT_80},
    )
    found = explain(world(policy), WEB, API, 8080)
    assert found.sentence == (
        "DENIED at ingress of shop/api-1: no rule of shop/p allows shop/web-1 on 8080/TCP; nearest "
        "is spec.ingress[1] of shop/p: peer matches, port is 80 and the pod listens on 8080 and "
        "9090"
    )


def test_what_helps_besides_is_noted() -> None:
    """A service's port instead of the pod's, a port nobody listens on, refused objects."""
    service = {
        "kind": "Service",
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"selector": {"app": "api"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    with_service = World(endpoints=ENDPOINTS, services=(service,))
    assert explain(with_service, WEB, API, 80).notes == (
        ("80 is the port of service shop/api; policy sees the target port 8080: ask for that one."),
    )
    assert explain(with_service, WEB, API, 8080).notes == ()
    assert explain(with_service, WEB, API, 81).notes == (
        (
            "shop/api-1 declares TCP port 8080, 9090: on 81/TCP probably nothing listens, whatever "
            "policy says."
        ),
    )
    bad = cnp({"endpointSelector": {}, "ingress": [{"fromEntities": ["wrld"]}]}, name="bad")
    notes = explain(World(policies=(bad,), endpoints=ENDPOINTS), WEB, API, 8080).notes
    assert notes[0].startswith(
        "CiliumNetworkPolicy shop/bad has no effect, the agents refuse it: spec.ingress[0]"
    )


def test_the_text_and_the_json_say_the_same() -> None:
    """Every rule, verdict and note of the data stands in the text."""
    policies = (
        of_api({"fromEndpoints": [TO_WEB], "toPorts": PORT_80}),
        knp({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]}),
        ccnp({"endpointSelector": {}, "egressDeny": [{"toEntities": ["world"]}]}),
    )
    found = explain(world(*policies), "shop/web", "shop/api", 8080)
    data, text = found.as_json(), explanation_text(found)
    assert json.loads(json.dumps(data)) == data
    assert data["verdict"] == found.verdict.verdict == "DENIED"
    for side in ("egress", "ingress"):
        assert data[side]["conclusion"] in text
        for rule in data[side]["rules"]:
            assert f"{rule['rule']} of {rule['policy']}" in text
            assert rule["why"] in text
    assert text.splitlines()[0] == "shop/web-1 -> shop/api-1 on 8080/TCP"
    assert text.splitlines()[-1] == f"{found.sentence}."


def test_a_crowd_of_rules_that_miss_is_cut_short() -> None:
    """The text stays readable; the rule that matches is shown wherever it stands."""
    misses = [{"fromCIDR": [f"192.0.2.{n}/32"]} for n in range(40)]
    text = explanation_text(explain(world(of_api(*misses, {"fromEntities": ["all"]})), WEB, API, 1))
    assert "… and 28 more rules that do not match" in text
    assert " hit spec.ingress[40] of shop/p" in text


def test_explaining_agrees_with_judging() -> None:
    """The verdict in an explanation is the engine's own."""
    policies = (of_api({"fromEndpoints": [TO_WEB]}),)
    for source in (*ENDPOINTS, Endpoint.entity("world"), Endpoint.entity("host")):
        for destination in ENDPOINTS:
            found: Explanation = explain(world(*policies), source, destination, 8080)
            engine = Engine(policies, endpoints=ENDPOINTS)
            assert found.verdict == engine.verdict(source, destination, 8080)
            assert found.ingress.verdict == found.verdict.ingress.verdict


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nobody", API, 80), "'nobody' is no entity, workload, address or DNS name"),
        ((WEB, API, 70000), "A TCP flow to port 70000 cannot be judged"),
        ((WEB, API, 80, "TPC"), "Protocol 'TPC' of a flow is not known"),
        ((WEB, API, None), "A TCP flow to port None cannot be judged"),
    ],
)
def test_a_question_that_cannot_be_asked_says_why(arguments: Any, sentence: str) -> None:
    """One sentence."""
    with pytest.raises(PolicyError, match=sentence):
        explain(world(), *arguments)
