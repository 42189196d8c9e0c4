"""The agent's sanitizer: what is imported, what is refused, and in which words."""

from typing import Any

import pytest

from acns_chaos.errors import PolicyError
from acns_chaos.policy import Engine, ObjectRef, Settings
from acns_chaos.policy.regexes import go_regex
from acns_chaos.policy.validity import problems
from tests.policy.policy_cases import API, ON_8080, TO_WEB, WEB, ccnp, cnp, knp, to_api

DNS_RULES = {"dns": [{"matchPattern": "*"}]}
HTTP_RULES = {"http": [{"method": "GET"}]}


def ingress_item(item: dict[str, Any]) -> list[str]:
    """The findings about an ingress item of a CNP."""
    return problems(cnp({"endpointSelector": {}, "ingress": [item]}))


def egress_item(item: dict[str, Any]) -> list[str]:
    """The findings about an egress item of a CNP."""
    return problems(cnp({"endpointSelector": {}, "egress": [item]}))


def port(number: str, protocol: str = "TCP", rules: Any = None, **more: Any) -> dict[str, Any]:
    """An item with one port, and layer-7 rules."""
    entry = {"port": number, "protocol": protocol}
    if "endPort" in more:
        entry["endPort"] = more.pop("endPort")
    return {"toPorts": [{"ports": [entry], **({"rules": rules} if rules else {}), **more}]}


@pytest.mark.parametrize(
    ("obj", "finding"),
    [
        (
            cnp({"endpointSelector": {}, "ingress": [], "egress": []}),
            (
                "spec: a rule must have at least one of ingress, egress, ingressDeny, egressDeny "
                "that is not empty."
            ),
        ),
        (
            cnp({"ingress": [{}]}),
            "spec: a rule must have one of endpointSelector and nodeSelector.",
        ),
        (
            ccnp({"endpointSelector": {}, "nodeSelector": {}, "ingress": [{}]}),
            "spec: a rule cannot have both endpointSelector and nodeSelector.",
        ),
        (
            cnp({"nodeSelector": {}, "ingress": [{}]}),
            "spec: a rule of a CiliumNetworkPolicy cannot have a nodeSelector.",
        ),
        (
            {"kind": "CiliumNetworkPolicy", "metadata": {"name": "p", "namespace": "shop"}},
            "shop/p: the object must have spec or specs.",
        ),
        (
            {
                "kind": "CiliumNetworkPolicy",
                "metadata": {"name": "p", "namespace": "shop"},
                "specs": [
                    {"endpointSelector": {}, "ingress": [{}]},
                    {"endpointSelector": {}, "ingress": [{"fromEntities": ["planet"]}]},
                ],
            },
            (
                "specs[1].ingress[0]: unsupported entity 'planet'; use one of all, world, "
                "world-ipv4, world-ipv6, cluster, host, remote-node, kube-apiserver, health, "
                "ingress, init, unmanaged, none."
            ),
        ),
    ],
)
def test_an_object_that_is_refused_as_a_whole(obj: dict[str, Any], finding: str) -> None:
    """One bad block keeps the whole object out."""
    assert problems(obj) == [finding]


@pytest.mark.parametrize(
    ("item", "finding"),
    [
        (
            {"fromEndpoints": [{}], "fromCIDR": ["10.0.0.0/8"]},
            ": combining fromEndpoints and fromCIDR is not supported; make two rules of it.",
        ),
        (
            {"fromNodes": [{}]},
            ": fromNodes needs the agent option enable-node-selector-labels.",
        ),
        ({"fromCIDR": [""]}, ": '' is neither an address nor a prefix."),
        (
            {"fromCIDR": ["10.0.0.0/255.0.0.0"]},
            ": '10.0.0.0/255.0.0.0' is neither an address nor a prefix.",
        ),
        ({"fromCIDR": ["10.0.0.0/33"]}, ": '10.0.0.0/33' is neither an address nor a prefix."),
        (
            {"fromCIDRSet": [{}]},
            (
                ".fromCIDRSet[0]: none of cidr, cidrGroupRef and cidrGroupSelector is set; "
                "set exactly one."
            ),
        ),
        (
            {"fromCIDRSet": [{"cidr": "10.0.0.0/8", "cidrGroupRef": "g"}]},
            (
                ".fromCIDRSet[0]: more than one of cidr, cidrGroupRef and cidrGroupSelector is "
                "set; set exactly one."
            ),
        ),
        (
            {"fromCIDRSet": [{"cidr": "10.0.0.1"}]},
            ".fromCIDRSet[0]: unable to parse the prefix '10.0.0.1'.",
        ),
        (
            {"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["192.168.0.0/16"]}]},
            ".fromCIDRSet[0]: prefix 10.0.0.0/8 does not contain the except prefix 192.168.0.0/16.",
        ),
        (
            {"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["2001:db8::/32"]}]},
            ".fromCIDRSet[0]: prefix 10.0.0.0/8 does not contain the except prefix 2001:db8::/32.",
        ),
        (
            {"fromEndpoints": [{"matchLabels": {"bad key": "x"}}]},
            ".fromEndpoints[0].matchLabels: 'bad key' is not a label key.",
        ),
        (
            {"fromEndpoints": [{"matchLabels": {"app": "not valid"}}]},
            ".fromEndpoints[0].matchLabels: 'not valid' is not a label value.",
        ),
        (
            {"fromEndpoints": [{"matchExpressions": [{"key": "app", "operator": "Like"}]}]},
            (
                ".fromEndpoints[0].matchExpressions[0]: operator 'Like' is not known; use one of "
                "In, NotIn, Exists, DoesNotExist."
            ),
        ),
        (
            {"fromEndpoints": [{"matchExpressions": [{"key": "app", "operator": "In"}]}]},
            ".fromEndpoints[0].matchExpressions[0]: operator In needs values.",
        ),
        (
            {
                "fromEndpoints": [
                    {"matchExpressions": [{"key": "app", "operator": "Exists", "values": ["x"]}]}
                ]
            },
            ".fromEndpoints[0].matchExpressions[0]: operator Exists takes no values.",
        ),
        (
            {"fromEndpoints": [{"matchLabels": {"Bad_Prefix/app": "x"}}]},
            ".fromEndpoints[0].matchLabels: 'Bad_Prefix/app' is not a label key.",
        ),
        (
            {"fromEndpoints": [{"matchExpressions": [{"operator": "Exists"}]}]},
            ".fromEndpoints[0].matchExpressions[0]: '' is not a label key.",
        ),
        (
            {
                "fromEndpoints": [
                    {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a b"]}]}
                ]
            },
            ".fromEndpoints[0].matchExpressions[0]: 'a b' is not a label value.",
        ),
        (
            {"toPorts": [{"ports": [{"protocol": "TCP"}]}]},
            ".toPorts[0].ports[0]: the port must be specified.",
        ),
        (
            port("65536"),
            ".toPorts[0].ports[0]: unable to parse the port '65536'; give 0 to 65535 or a name.",
        ),
        (
            port("08"),
            ".toPorts[0].ports[0]: unable to parse the port '08'; give 0 to 65535 or a name.",
        ),
        (
            port("80", "ICMP"),
            (
                ".toPorts[0].ports[0]: invalid protocol 'ICMP'; use one of ANY, TCP, UDP, SCTP, "
                "VRRP, IGMP."
            ),
        ),
        (
            port("80", "VRRP"),
            ".toPorts[0].ports[0]: the port must be empty or 0 with protocol VRRP.",
        ),
        (
            {"toPorts": [{"ports": [{"port": str(n)} for n in range(41)]}]},
            ".toPorts[0]: 41 ports are too many, the most is 40.",
        ),
        (
            {"icmps": [{"fields": [{"type": 8}] * 41}]},
            ".icmps[0]: 41 types are too many, the most is 40.",
        ),
        (
            {"icmps": [{"fields": [{"type": 8, "family": "IPv5"}]}]},
            ".icmps[0].fields[0]: wrong family 'IPv5'; use IPv4 or IPv6.",
        ),
        (
            {"icmps": [{"fields": [{"type": "PacketTooBig"}]}]},
            ".icmps[0].fields[0]: 'PacketTooBig' is not an ICMP type of IPv4.",
        ),
        (
            {"icmps": [{"fields": [{"type": 8}]}], "toPorts": ON_8080},
            ": icmps may only be present without toPorts; make two rules of it.",
        ),
        (
            port("53", "UDP", DNS_RULES),
            ".toPorts[0]: L7 protocol DNS is not supported on ingress yet.",
        ),
        (
            port("80", "UDP", HTTP_RULES),
            ".toPorts[0]: layer-7 rules can only apply to TCP, not UDP, except for DNS rules.",
        ),
        (
            port("0", "TCP", HTTP_RULES),
            ".toPorts[0]: layer-7 rules can not be used when a port is 0.",
        ),
        (
            port("80", "TCP", {"http": [{"path": "/a("}]}),
            ".toPorts[0].rules.http[0]: path '/a(' is not a regular expression.",
        ),
        (
            port("80", "TCP", {"http": [{"headerMatches": [{"value": "x"}]}]}),
            ".toPorts[0].rules.http[0]: a header match has no name.",
        ),
        (
            port("80", listener={"name": "l"}),
            ".toPorts[0]: a listener is not allowed on ingress.",
        ),
        (
            port("443", serverNames=[""]),
            ".toPorts[0]: an empty server name is not allowed.",
        ),
        (
            port("443", rules=HTTP_RULES, serverNames=["a.example.com"]),
            ".toPorts[0]: serverNames are not allowed with layer-7 rules without TLS termination.",
        ),
    ],
)
def test_what_the_agent_refuses_in_an_ingress_rule(item: dict[str, Any], finding: str) -> None:
    """Each finding says where it is."""
    assert ingress_item(item) == [f"spec.ingress[0]{finding}"]


@pytest.mark.parametrize(
    ("item", "finding"),
    [
        (
            {"toFQDNs": [{"matchName": "a.io"}], "toEndpoints": [{}]},
            ": combining toEndpoints and toFQDNs is not supported; make two rules of it.",
        ),
        (
            {"toFQDNs": [{"matchName": "*.example.com"}]},
            (
                ".toFQDNs[0]: invalid characters in matchName '*.example.com': letters, digits, "
                "dot, dash and underscore only."
            ),
        ),
        (
            {"toFQDNs": [{"matchPattern": "a/*"}]},
            (
                ".toFQDNs[0]: invalid characters in matchPattern 'a/*': letters, digits, dot, "
                "dash, underscore and star only."
            ),
        ),
        (
            {"toFQDNs": [{"matchName": "a.io", "matchPattern": "*"}]},
            ".toFQDNs[0]: only one of matchName and matchPattern may be set.",
        ),
        (
            {"toFQDNs": [{"matchName": "a" * 256}]},
            ".toFQDNs[0]: a name of 256 characters is longer than 255.",
        ),
        (
            port("53", "UDP", DNS_RULES, endPort=54),
            ".toPorts[0]: DNS rules do not support port ranges.",
        ),
        (
            {"toPorts": [{"rules": DNS_RULES}]},
            ".toPorts[0]: a port must be specified for DNS rules.",
        ),
        (
            port("53", "TCP", {**DNS_RULES, **HTTP_RULES}),
            ".toPorts[0]: multiple layer-7 protocols are specified in a single rule.",
        ),
        (
            port("80", rules={"l7": [{"command": "get"}]}),
            ".toPorts[0]: l7 may only be specified together with l7proto.",
        ),
        (
            {"toServices": [{"k8sServiceSelector": {"selector": {"matchLabels": {"a b": "c"}}}}]},
            ".toServices[0].matchLabels: 'a b' is not a label key.",
        ),
        (
            port("80", rules=HTTP_RULES, listener={"name": "l"}),
            ".toPorts[0]: a listener is not allowed with layer-7 rules.",
        ),
    ],
)
def test_what_the_agent_refuses_in_an_egress_rule(item: dict[str, Any], finding: str) -> None:
    """Names, DNS rules and listeners are of egress only."""
    assert egress_item(item) == [f"spec.egress[0]{finding}"]


@pytest.mark.parametrize(
    "item",
    [
        {"toServices": [{"k8sService": {"serviceName": "x"}}], "toPorts": ON_8080},
        {"toEntities": ["world-ipv4"]},
        {"toCIDR": ["10.0.0.1", "10.0.0.7/8"]},
        {"toCIDRSet": [{"cidr": "10.0.0.0/16", "except": ["10.0.0.0/8"]}]},
        {"toEndpoints": [], "toEntities": ["world"]},
        {"toEndpoints": [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "x", "$host": ""}}]},
        port("5353", "UDP", DNS_RULES),
        port("53", "ANY", DNS_RULES),
        port("53", "UDP", DNS_RULES, endPort=53),
        port("dns", "UDP", DNS_RULES, endPort=99),
        port("80", rules={"l7": [{"command": "get"}], "l7proto": "memcache"}),
        port("8000", endPort=7000),
        port("0x10"),
        port("0", "VRRP"),
        port("80", "UDP", {"http": []}),
        port("80", "TCP", {"http": [{"path": "/[[:alpha:]&&x]+"}]}),
        {"icmps": [{"fields": [{"type": "EchoRequest", "family": "IPv6"}, {"type": 255}]}]},
        {"toPorts": [{"ports": [{"port": str(n)} for n in range(40)]}]},
        {"unknownField": 7},
    ],
)
def test_what_the_agent_imports_though_one_might_not_think_so(item: dict[str, Any]) -> None:
    """Nothing is refused that a real agent takes."""
    assert egress_item(item) == []


def test_settings_change_what_is_refused() -> None:
    """Options of the agent allow or forbid whole features."""
    nodes = cnp({"endpointSelector": {}, "ingress": [{"fromNodes": [{}]}]})
    assert problems(nodes, Settings(node_selector_labels=True)) == []
    http = cnp({"endpointSelector": {}, "ingress": [port("80", rules=HTTP_RULES)]})
    assert problems(http, Settings(l7_proxy=False)) == [
        (
            "spec.ingress[0].toPorts[0]: layer-7 rules are not supported since the L7 proxy is not "
            "enabled."
        )
    ]
    icmp = cnp({"endpointSelector": {}, "ingress": [{"icmps": [{"fields": [{"type": 8}]}]}]})
    assert problems(icmp, Settings(icmp_rules=False)) == [
        "spec.ingress[0]: icmps needs the agent option enable-icmp-rules."
    ]
    no_port = cnp({"endpointSelector": {}, "ingress": [{"toPorts": [{"ports": [{}]}]}]})
    assert problems(no_port, Settings(extended_protocols=True)) == []


def test_a_host_policy_has_no_http() -> None:
    """DNS rules on its egress are the exception."""
    ingress = ccnp({"nodeSelector": {}, "ingress": [port("80", rules=HTTP_RULES)]})
    assert problems(ingress) == [
        "spec.ingress[0].toPorts[0]: layer-7 rules are not supported on host ingress yet."
    ]
    egress = ccnp({"nodeSelector": {}, "egress": [port("80", rules=HTTP_RULES)]})
    assert problems(egress) == [
        "spec.egress[0].toPorts[0]: layer-7 rules are not supported on host egress yet."
    ]
    dns = ccnp({"nodeSelector": {}, "egress": [port("53", "UDP", DNS_RULES)]})
    assert problems(dns) == []


def test_layer_7_and_names_in_a_deny_rule_are_pruned_not_refused() -> None:
    """The schema has no such fields there."""
    item = {"toFQDNs": [{"matchName": "*"}], **port("80", "UDP", HTTP_RULES)}
    assert problems(cnp({"endpointSelector": {}, "egressDeny": [item]})) == []


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        ("deny", "spec is not an object."),
        ({"endpointSelector": {}, "ingress": {}}, "spec.ingress is not a list."),
        ({"endpointSelector": {}, "ingress": [None]}, "spec.ingress[0] is not an object."),
        (
            {"endpointSelector": {"matchLabels": {"a": 1}}, "ingress": [{}]},
            "spec.endpointSelector.matchLabels['a'] is not a text; put it in quotes.",
        ),
        (
            {"endpointSelector": {"matchLabels": {1: "a"}}, "ingress": [{}]},
            (
                "spec.endpointSelector.matchLabels has the key 1, which is not a text; "
                "put it in quotes."
            ),
        ),
        (
            {"endpointSelector": {}, "ingress": [{"toPorts": [{"ports": [{"port": 80}]}]}]},
            "spec.ingress[0].toPorts[0].ports[0].port is not a text; put it in quotes.",
        ),
        (
            {"endpointSelector": {}, "ingress": [{"fromCIDR": [1]}]},
            "spec.ingress[0].fromCIDR is not a list of texts.",
        ),
        (
            {"endpointSelector": {}, "ingress": [{}], "enableDefaultDeny": {"ingress": "no"}},
            "spec.enableDefaultDeny.ingress is neither true nor false.",
        ),
    ],
)
def test_what_cannot_even_be_decoded(spec: Any, finding: str) -> None:
    """A wrong shape is a finding, never a traceback."""
    obj = {**cnp({}), "spec": spec}
    assert problems(obj) == [finding]


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        (
            {"podSelector": {}, "ingress": [{"ports": [{"port": 70000}]}]},
            "spec.ingress[0].ports[0]: port 70000 is out of range; give 1 to 65535.",
        ),
        (
            {"podSelector": {}, "ingress": [{"ports": [{"port": "80"}]}]},
            "spec.ingress[0].ports[0]: '80' is not a port name; write a number without quotes.",
        ),
        (
            {"podSelector": {}, "ingress": [{"ports": [{"port": 80, "endPort": 79}]}]},
            "spec.ingress[0].ports[0]: endPort 79 needs a numeric port that is not above it.",
        ),
        (
            {"podSelector": {}, "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]},
            "spec.egress[0].to[0]: unable to parse the prefix '10.0.0.0'.",
        ),
        (
            {"podSelector": {"matchLabels": {"a b": "c"}}},
            "spec.podSelector.matchLabels: 'a b' is not a label key.",
        ),
    ],
)
def test_what_is_refused_in_a_network_policy(spec: dict[str, Any], finding: str) -> None:
    """The native kind has numbers for ports."""
    assert problems(knp(spec)) == [finding]


@pytest.mark.parametrize(
    ("obj", "sentence"),
    [
        ({"kind": "Pod", "metadata": {"name": "x"}}, "An object of kind 'Pod' is not a policy"),
        ({}, "An object without a kind is not a policy"),
        ({"kind": "NetworkPolicy", "metadata": {}}, "A NetworkPolicy has no metadata.name"),
    ],
)
def test_an_object_that_is_no_policy_is_an_error(obj: dict[str, Any], sentence: str) -> None:
    """It is the caller's mistake, not the object's."""
    for use in (problems, lambda raw: Engine([raw])):
        with pytest.raises(PolicyError) as error:
            use(obj)
        assert sentence in str(error.value)


def test_an_invalid_object_is_listed_and_has_no_effect() -> None:
    """Verdicts are as if it were not there."""
    bad = to_api({"fromEntities": ["planet"]})
    engine = Engine([bad])
    ref = ObjectRef("CiliumNetworkPolicy", "shop", "p")
    assert list(engine.invalid) == [ref]
    assert engine.invalid[ref][0].startswith("spec.ingress[0]: unsupported entity 'planet'")
    assert engine.verdict(WEB, API, 8080).verdict == "ALLOWED"


def test_an_invalid_update_leaves_the_imported_version_in_force() -> None:
    """As in a real agent; correcting it takes it from the list."""
    closed = Engine([to_api({})])
    broken = closed.with_policy(to_api({"fromEntities": ["planet"]}))
    assert broken.verdict(WEB, API, 8080).verdict == "DENIED"
    assert [str(ref) for ref in broken.invalid] == ["shop/p"]
    mended = broken.with_policy(to_api({"fromEndpoints": [TO_WEB]}))
    assert dict(mended.invalid) == {}
    assert mended.verdict(WEB, API, 8080).verdict == "ALLOWED"
    gone = broken.without_policy(ObjectRef("CiliumNetworkPolicy", "shop", "p"))
    assert dict(gone.invalid) == {}
    assert gone.verdict(WEB, API, 8080).verdict == "ALLOWED"


def test_taking_away_what_is_not_there_is_an_error() -> None:
    """The sentence names it."""
    with pytest.raises(PolicyError, match="There is no CiliumNetworkPolicy shop/p to take away"):
        Engine([]).without_policy(ObjectRef("CiliumNetworkPolicy", "shop", "p"))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Settings(enforcement="often"), "Policy enforcement mode 'often' is not known"),
        (lambda: Settings.from_json({"hostfirewall": True}), "Agent setting 'hostfirewall'"),
    ],
)
def test_settings_that_do_not_exist_are_refused(make: Any, sentence: str) -> None:
    """A misspelt setting would silently change verdicts."""
    with pytest.raises(PolicyError) as error:
        make()
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("/a[[:digit:]]+", "/a12", True),
        ("/a[[:digit:]]+", "/ax", False),
        ("[]a]", "]", True),
        ("[^]a]", "b", True),
        ("[a||b]", "|", True),
        (r"\[x\]", "[x]", True),
        (r"a\z", "a", True),
    ],
)
def test_expressions_are_read_as_go_reads_them(pattern: str, text: str, matches: bool) -> None:
    """POSIX classes and brackets in classes differ from Python's."""
    regex = go_regex(pattern)
    assert regex is not None
    assert (regex.fullmatch(text) is not None) is matches


@pytest.mark.parametrize("pattern", ["/a(", "(?=x)", r"(a)\1", "a++", "[[:nope:]]", "(?<!x)y"])
def test_what_is_no_expression_in_go(pattern: str) -> None:
    """Look-around, references and possessive repeats do not exist there."""
    assert go_regex(pattern) is None
