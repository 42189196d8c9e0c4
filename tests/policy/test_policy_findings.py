"""Findings: the three layers in their order, and every fact about rules that are idle."""

import gzip
import json
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.policy import Endpoint, Engine, ObjectRef, Settings
from acns_chaos.policy.validity import Finding, findings, findings_by_object
from acns_chaos.policy.validity_neighbours import Neighbours
from tests.policy.policy_cases import (
    API,
    DB,
    DNS,
    NAMESPACES,
    ON_8080,
    TO_API,
    TO_WEB,
    WEB,
    ccnp,
    cnp,
    from_web,
    knp,
    to_api,
)

DATA = Path(__file__).resolve().parents[1] / "data" / "vectors"
KUBE_DNS = {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "kube-system"}}


def on(port: str, **more: Any) -> dict[str, Any]:
    """A rule's toPorts with one TCP port."""
    rules = {"rules": more.pop("rules")} if "rules" in more else {}
    return {"toPorts": [{"ports": [{"port": port, "protocol": "TCP", **more}], **rules}]}


def dns(*names: str, port: str = "53") -> dict[str, Any]:
    """A rule for lookups."""
    items = [{"matchPattern": name} for name in names]
    ports = [{"port": port, "protocol": "ANY"}]
    return {"toEndpoints": [KUBE_DNS], "toPorts": [{"ports": ports, "rules": {"dns": items}}]}


def the_one(found: list[Finding]) -> Finding:
    (finding,) = found
    return finding


# The layers.


def test_a_policy_that_means_what_it_says_has_no_findings() -> None:
    """Neither alone nor in its world."""
    policy = to_api({"fromEndpoints": [TO_WEB], "toPorts": ON_8080})
    world = Neighbours((policy,), (WEB, API, DB, DNS), NAMESPACES)
    assert findings(policy) == []
    assert findings(policy, world=world) == []


def test_what_no_agent_imports_says_what_stays_in_force() -> None:
    """Nothing on create, the old version on update."""
    finding = the_one(findings(to_api(on("70000"))))
    assert finding == Finding(
        "agent",
        "spec.ingress[0].toPorts[0].ports[0]",
        "unable to parse the port '70000'; give 0 to 65535 or a name: until then the API server "
        "stores the object, but no agent imports it: on create nothing of it is enforced, on "
        "update the version before stays in force.",
    )
    assert finding.to_json() == {
        "layer": "agent",
        "path": finding.path,
        "sentence": finding.sentence,
    }
    assert str(finding) == f"{finding.path}: {finding.sentence}"


def test_a_place_is_spoken_of_once() -> None:
    """The schema's refusal of an entity hides the agent's, and idle rules are not looked for."""
    policy = to_api({"fromEntities": ["planet"]}, {}, egress=[])
    assert [(f.layer, f.path) for f in findings(policy)] == [
        ("schema", "spec.ingress[0].fromEntities[0]")
    ]


def test_layers_are_asked_in_their_order() -> None:
    """An object can break the schema at one place and the agent's rules at another."""
    policy = to_api({"fromEntities": ["planet"]}, on("70000"))
    assert [f.layer for f in findings(policy)] == ["schema", "agent"]


def test_a_native_policy_is_refused_by_the_api_server_not_by_the_agent() -> None:
    """The API server checks its own kind to the end."""
    finding = the_one(findings(knp({"podSelector": {}, "ingress": [{"ports": [{"port": "80"}]}]})))
    assert (finding.layer, finding.path) == ("schema", "spec.ingress[0].ports[0]")
    both = {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}
    policy = knp({"podSelector": {}, "egress": [{"to": [both, {}]}]})
    assert [(f.layer, f.path) for f in findings(policy)] == [
        ("schema", "spec.egress[0].to[0]"),
        ("schema", "spec.egress[0].to[1]"),
    ]


# Unknown fields: what is left.


@pytest.mark.parametrize(
    ("spec", "path", "left", "remedy"),
    [
        (
            {"ingress": [{"fromEntitys": ["world"]}]},
            "spec.ingress[0].fromEntitys",
            (
                "an empty rule is left, which allows nobody, so that ingress is closed but for "
                "what other rules allow"
            ),
            "write fromEntities",
        ),
        (
            {"ingress": [{"fromEndpoint": [{}], "toPorts": ON_8080}]},
            "spec.ingress[0].fromEndpoint",
            "a rule without peers is left, which opens its ports to everybody",
            "write fromEndpoints",
        ),
        (
            {"ingress": [{"fromEndpoints": [{}], "toPort": ON_8080}]},
            "spec.ingress[0].toPort",
            "a rule without ports is left, which opens every port",
            "write toPorts",
        ),
        (
            {"egress": [{}], "ingresss": [{"fromEntities": ["world"]}]},
            "spec.ingresss",
            (
                "it then does not restrict ingress at all, which is open to everybody unless "
                "another policy restricts it"
            ),
            "write ingress",
        ),
        (
            {"ingress": [{"fromEntities": ["all"]}], "ingressDenied": [{"fromEntities": ["all"]}]},
            "spec.ingressDenied",
            "nothing is then denied at ingress by it",
            "write ingressDeny",
        ),
        (
            {"egress": [{}], "egressDeny": [{"toFQDNs": [{"matchName": "a.com"}]}]},
            "spec.egressDeny[0].toFQDNs",
            "an empty deny rule is left, which denies nothing but keeps the default-deny",
            "take it out, or put it where it belongs",
        ),
        (
            {"ingress": [{}], "ingressDeny": [on("80", rules={"http": [{"path": "/x"}]})]},
            "spec.ingressDeny[0].toPorts[0].rules",
            "the rule then denies every request on its ports",
            "take it out, or put it where it belongs",
        ),
        (
            {"ingress": [{**on("80"), "fromEntities": ["world"]}, on("81", endport=90)]},
            "spec.ingress[1].toPorts[0].ports[0].endport",
            "the entry then means its first port only",
            "write endPort",
        ),
        (
            {"egress": [{"toCIDRSet": [{"cidr": "10.0.0.0/8", "excepts": ["10.0.0.0/16"]}]}]},
            "spec.egress[0].toCIDRSet[0].excepts",
            "the rule then covers the whole prefix, without any exception",
            "write except",
        ),
        (
            {"ingress": [{"fromEndpoints": [{"matchLabel": {"app": "web"}}]}]},
            "spec.ingress[0].fromEndpoints[0].matchLabel",
            "the selector is then empty and selects everybody that its kind reaches",
            "write matchLabels",
        ),
    ],
)
def test_an_unknown_field_says_what_a_raw_write_leaves_behind(
    spec: dict[str, Any], path: str, left: str, remedy: str
) -> None:
    """Which may be the opposite of what was meant."""
    finding = findings(cnp({"endpointSelector": TO_API, **spec}))[0]
    name = path.rpartition(".")[2]
    assert (finding.layer, finding.path) == ("schema", path)
    assert finding.sentence == (
        f"there is no field '{name}' here, so kubectl refuses the object, and a client without "
        f"strict validation stores it without the field: {left}; {remedy}."
    )


def test_an_unknown_field_is_named_before_what_is_refused_because_of_it() -> None:
    """A misspelt section may leave no section at all."""
    found = findings(cnp({"endpointSelector": {}, "ingres": [{}]}))
    assert [(f.layer, f.path) for f in found] == [("schema", "spec.ingres"), ("schema", "spec")]


def test_names_that_are_expansions_themselves_need_no_further_ones() -> None:
    """Those of the cluster and of the cloud's own domain."""
    rule = dns("a.*.*.internal.cloudapp.net", "a.shop.svc.cluster.local")
    assert findings(from_web(rule)) == []


# Idle, whatever the cluster.

CLOSED = {"egress": [{}]}
A_RULE = {"fromEndpoints": [TO_WEB]}


@pytest.mark.parametrize(
    ("spec", "path", "words"),
    [
        ({**CLOSED, "ingress": []}, "spec.ingress", "does not close ingress"),
        ({**CLOSED, "ingress": None}, "spec.ingress", "null is dropped"),
        ({"ingress": [A_RULE], "ingressDeny": []}, "spec.ingressDeny", "denies nothing"),
        (
            {**CLOSED, "enableDefaultDeny": {"ingress": True}},
            "spec.enableDefaultDeny.ingress",
            "it closes nothing",
        ),
        (
            {**CLOSED, "enableDefaultDeny": {"ingress": False}},
            "spec.enableDefaultDeny.ingress",
            "it switches nothing off",
        ),
        (
            {"ingress": [A_RULE], "enableDefaultDeny": {"ingress": False}},
            "spec.enableDefaultDeny.ingress",
            "the allow rules of ingress restrict nothing",
        ),
        (
            {"ingressDeny": [{"fromEntities": ["world"]}]},
            "spec.ingressDeny",
            "deny rules close all of ingress",
        ),
        ({"ingress": [A_RULE], "ingressDeny": [{}]}, "spec.ingressDeny[0]", "denies nothing"),
        ({"ingress": [A_RULE, {}]}, "spec.ingress[1]", "beside other rules it adds nothing"),
        ({"ingress": [{"fromEndpoints": []}]}, "spec.ingress[0].fromEndpoints", "selects nobody"),
        (
            {"ingress": [{"fromCIDR": [], "toPorts": ON_8080}]},
            "spec.ingress[0].fromCIDR",
            "selects nobody",
        ),
        (
            {"ingress": [{"fromEndpoints": None, "toPorts": ON_8080}]},
            "spec.ingress[0].fromEndpoints",
            "the ports are open to everybody",
        ),
        (
            {"egress": [{"toFQDNs": [], "toPorts": ON_8080}]},
            "spec.egress[0].toFQDNs",
            "the ports are open to everybody",
        ),
        (
            {"egress": [{}], "egressDeny": [{"toServices": [{"k8sService": {}}], **on("80")}]},
            "spec.egressDeny[0].toServices",
            "denies its ports to everybody",
        ),
        (
            {"egress": [{"toServices": [{"k8sService": {"serviceName": "kubernetes"}}]}]},
            "spec.egress[0].toServices[0]",
            "use toEntities: [kube-apiserver]",
        ),
        (
            {"ingress": [{"fromEndpoints": [{"matchLabels": {"app": None}}]}]},
            "spec.ingress[0].fromEndpoints[0].matchLabels",
            "'app' is null, which is dropped",
        ),
        ({"ingress": [{"fromEntities": ["none"]}]}, "spec.ingress[0].fromEntities[0]", "nobody"),
        (
            {"egress": [{"toCIDR": ["2001:db8::/32"]}]},
            "spec.egress[0].toCIDR[0]",
            "the cluster has no IPv6",
        ),
        ({"egress": [{"toCIDR": ["::/0"]}]}, "spec.egress[0].toCIDR[0]", "no IPv6"),
        (
            {"egress": [{"toCIDR": ["10.0.0.1/24"]}]},
            "spec.egress[0].toCIDR[0]",
            "it means all of 10.0.0.0/24",
        ),
        (
            {"egress": [{"toCIDRSet": [{"cidr": "10.0.0.0/16", "except": ["10.0.0.0/8"]}]}]},
            "spec.egress[0].toCIDRSet[0].except",
            "nobody is left",
        ),
        (
            {"ingress": [{"toPorts": [{"ports": []}]}]},
            "spec.ingress[0].toPorts[0]",
            "it allows nothing",
        ),
        ({"ingress": [{"icmps": [{}]}]}, "spec.ingress[0].icmps[0]", "it allows nothing"),
        (
            {"ingress": [{"icmps": [{"fields": [{"type": "EchoReply"}]}]}]},
            "spec.ingress[0].icmps[0].fields[0]",
            "type 0 counts as every type",
        ),
        (
            {"ingress": [on("8080", endPort=80)]},
            "spec.ingress[0].toPorts[0].ports[0].endPort",
            "only port 8080 is meant",
        ),
        (
            {"ingress": [on("http", endPort=80)]},
            "spec.ingress[0].toPorts[0].ports[0].endPort",
            "it is ignored",
        ),
        (
            {"ingress": [on("010")]},
            "spec.ingress[0].toPorts[0].ports[0].port",
            "so port 8 is meant",
        ),
        (
            {"ingress": [on("80", rules={"http": []})]},
            "spec.ingress[0].toPorts[0].rules.http",
            "every request on the ports passes",
        ),
        (
            {"ingress": [on("80", rules={"http": [{}]})]},
            "spec.ingress[0].toPorts[0].rules.http[0]",
            "admits every request",
        ),
        (
            {"ingress": [on("80", rules={"http": [{"method": "get"}]})]},
            "spec.ingress[0].toPorts[0].rules.http[0].method",
            "write GET",
        ),
        (
            {"ingress": [on("80", rules={"http": [{"path": "api/.*"}]})]},
            "spec.ingress[0].toPorts[0].rules.http[0].path",
            "begin it with a slash",
        ),
        (
            {"egress": [dns("*", port="5353")]},
            "spec.egress[0].toPorts[0].ports[0]",
            "lookups go to port 53",
        ),
        (
            {"egress": [dns("*.example.com")]},
            "spec.egress[0].toPorts[0].rules.dns[0]",
            "*.example.com.shop.svc.cluster.local first",
        ),
        (
            {"egress": [{"toFQDNs": [{"matchName": "a.example.com"}]}]},
            "spec.egress[0].toFQDNs",
            "the names stay unknown",
        ),
        (
            {"egress": [dns("*.b.com", "**.local"), {"toFQDNs": [{"matchName": "a.com"}]}]},
            "spec.egress[1].toFQDNs[0]",
            "no DNS rule lets a.com be looked up",
        ),
        (
            {"egress": [dns("*"), {"toFQDNs": [{"matchName": "db.data.svc.cluster.local"}]}]},
            "spec.egress[1].toFQDNs[0]",
            "toFQDNs never selects pods",
        ),
        (
            {"egress": [dns("*"), {"toFQDNs": [{"matchName": "10.0.0.1"}]}]},
            "spec.egress[1].toFQDNs[0]",
            "use toCIDR",
        ),
        (
            {"egress": [dns("*"), {"toFQDNs": [{"matchName": "rabbitmq"}]}]},
            "spec.egress[1].toFQDNs[0]",
            "has no domain",
        ),
        ({"ingress": [A_RULE, A_RULE]}, "spec.ingress[1]", "the same as spec.ingress[0]"),
        (
            {
                "ingress": [{"fromCIDR": ["10.1.0.0/16"], **on("80")}],
                "ingressDeny": [{"fromCIDR": ["10.0.0.0/8"]}],
            },
            "spec.ingress[0]",
            "spec.ingressDeny[0] denies all that it allows",
        ),
        (
            {
                "egress": [
                    {"toEndpoints": [TO_API], **on("80", rules={"http": [{"method": "GET"}]})},
                    {"toEndpoints": [{}]},
                ]
            },
            "spec.egress[0]",
            "spec.egress[1] allows the same peers these ports without layer-7 rules",
        ),
        (
            {"ingress": [{"fromEndpoints": [{"matchLabels": {"pod-template-hash": "6d"}}]}]},
            "spec.ingress[0].fromEndpoints[0]",
            "the agents hide the label pod-template-hash",
        ),
        (
            {"ingress": [{"fromEndpoints": [{"matchLabels": {"container:app": "web"}}]}]},
            "spec.ingress[0].fromEndpoints[0]",
            "no label comes from the source container",
        ),
        (
            {"ingress": [{**A_RULE, "authentication": {"mode": "required"}}]},
            "spec.ingress[0].authentication",
            "packets drop until both sides have authenticated",
        ),
        (
            {"egress": [{"toGroups": [{"aws": {"region": "x"}}]}]},
            "spec.egress[0].toGroups",
            "is a template",
        ),
    ],
)
def test_what_is_idle_whatever_the_cluster(spec: dict[str, Any], path: str, words: str) -> None:
    """One finding, at that place, in these words."""
    finding = the_one(findings(cnp({"endpointSelector": TO_API, **spec})))
    assert (finding.layer, finding.path) == ("idle", path)
    assert words in finding.sentence
    assert finding.sentence.endswith(".")


def test_a_deny_of_all_denies_the_kubelets_probes_too() -> None:
    """Beside an allow rule the deny is not said to close everything else."""
    spec = {"ingress": [{"fromCIDR": ["10.0.0.0/8"]}], "ingressDeny": [{"fromEntities": ["all"]}]}
    found = findings(to_api(**spec))
    assert [f.path for f in found] == ["spec.ingressDeny[0].fromEntities[0]", "spec.ingress[0]"]
    assert "the kubelet's probes fail" in found[0].sentence


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        (
            {"matchLabels": {"k8s:io.kubernetes.pod.namespace": "data"}},
            "the namespace 'data' is overwritten with the policy's own",
        ),
        (
            {"matchLabels": {"io.kubernetes.pod.namespace": "data"}},
            "io.kubernetes.pod.namespace=data excludes those, so it selects nothing",
        ),
        (
            {
                "matchExpressions": [
                    {
                        "key": "k8s:io.kubernetes.pod.namespace",
                        "operator": "NotIn",
                        "values": ["shop"],
                    }
                ]
            },
            "so it selects nothing",
        ),
    ],
)
def test_a_subject_in_a_foreign_namespace_is_not_what_it_looks_like(
    selector: dict[str, Any], words: str
) -> None:
    """Written one way it is overwritten, written another it selects nothing."""
    finding = the_one(findings(cnp({"endpointSelector": selector, "ingress": [{}]})))
    assert (finding.layer, finding.path) == ("idle", "spec.endpointSelector")
    assert words in finding.sentence


def test_the_agents_settings_make_objects_idle() -> None:
    """Enforcement off, the host firewall off, enableDefaultDeny ignored."""
    open_rule = to_api(A_RULE)
    found = the_one(findings(open_rule, Settings(enforcement="never")))
    assert "the agents enforce no policy at all" in found.sentence
    host = ccnp({"nodeSelector": {}, "ingress": [{"fromEntities": ["world"]}]})
    assert the_one(findings(host)).path == "spec.nodeSelector"
    assert findings(host, Settings(host_firewall=True)) == []
    deny = to_api(A_RULE, enableDefaultDeny={"ingress": False})
    found = the_one(findings(deny, Settings(non_default_deny=False)))
    assert "the agents ignore it" in found.sentence
    ipv6 = cnp({"endpointSelector": {}, "egress": [{"toCIDR": ["::/0"]}]})
    assert findings(ipv6, Settings(ipv6=True)) == []


def test_a_clusterwide_policy_has_no_namespace() -> None:
    """It applies everywhere, whatever its metadata says."""
    policy = ccnp({"endpointSelector": TO_API, "ingress": [{}]})
    policy["metadata"]["namespace"] = "shop"
    assert the_one(findings(policy)).path == "metadata.namespace"


def test_where_cilium_reads_a_native_policy_otherwise() -> None:
    """Its policyTypes is not obeyed where there are rules, and ipBlock lets neighbours in."""
    block = {"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}
    policy = knp({"podSelector": {}, "policyTypes": ["Egress"], "ingress": [block]})
    found = findings(policy)
    assert [f.path for f in found] == ["spec.ingress", "spec.ingress[0].from[0].ipBlock"]
    assert "the rules apply although policyTypes does not list Ingress" in found[0].sentence


def test_a_native_key_that_looks_like_a_reserved_label_is_a_label_of_pods() -> None:
    """And a key below a domain that is hidden is one too."""
    labels = {"reserved.team": "a", "batch.kubernetes.io/job-name": "j"}
    peer = {"podSelector": {"matchLabels": labels}}
    assert findings(knp({"podSelector": peer["podSelector"], "ingress": [{"from": [peer]}]})) == []


# Idle because of what exists.

SERVICE = {
    "kind": "Service",
    "metadata": {"name": "api", "namespace": "shop"},
    "spec": {
        "clusterIP": "10.0.100.7",
        "selector": {"app": "api"},
        "ports": [{"port": 80, "targetPort": 8080}],
    },
}
LISTENING = Endpoint.pod(
    "shop", {"app": "api"}, name="api-1", named_ports={"http": (8080, "TCP")}, ip="10.244.1.7"
)
WORLD = Neighbours(
    endpoints=(WEB, LISTENING, DB, DNS),
    namespaces=NAMESPACES,
    services=(SERVICE,),
    cidr_groups=({"kind": "CiliumCIDRGroup", "metadata": {"name": "office"}, "spec": {}},),
)


@pytest.mark.parametrize(
    ("policy", "path", "words"),
    [
        (
            cnp({"endpointSelector": {"matchLabels": {"app": "appi"}}, "ingress": [{}]}),
            "spec.endpointSelector",
            (
                "it selects no pod of the cluster, so the policy does nothing and the pods it was "
                "meant for stay as they are (is app=api meant?)"
            ),
        ),
        (
            cnp({"endpointSelector": {}, "ingress": [{}]}, namespace="shopp"),
            "metadata.namespace",
            "there is no namespace shopp, so the policy is for no pod (is shop meant?)",
        ),
        (
            to_api({"fromEndpoints": [{"matchLabels": {"app": "wep"}}]}),
            "spec.ingress[0].fromEndpoints[0]",
            (
                "it selects no pod of namespace shop that exists, so it counts for nothing (is "
                "app=web meant?)"
            ),
        ),
        (
            to_api({"fromEndpoints": [{"matchLabels": {"io.kubernetes.pod.namespace": "date"}}]}),
            "spec.ingress[0].fromEndpoints[0]",
            "there is no namespace date, so nobody is selected by it (is data meant?)",
        ),
        (
            to_api({"fromEndpoints": [TO_WEB], **on("80")}),
            "spec.ingress[0].toPorts[0].ports[0]",
            (
                "80 is the port of the service shop/api, and policy judges the container's, "
                "which is 8080, so nobody listens on it; write 8080."
            ),
        ),
        (
            from_web({"toEndpoints": [TO_API], **on("80")}),
            "spec.egress[0].toPorts[0].ports[0]",
            "80 is the port of the service shop/api",
        ),
        (
            to_api({"fromEndpoints": [TO_WEB], **on("htttp")}),
            "spec.ingress[0].toPorts[0].ports[0]",
            "none of the pods it is for gives a port the name htttp (they name http)",
        ),
        (
            from_web({"toServices": [{"k8sService": {"serviceName": "apii"}}], **on("8080")}),
            "spec.egress[0].toServices[0]",
            "there is no such service, so the ports are open to everybody (is api meant?)",
        ),
        (
            from_web({"toCIDR": ["10.244.0.0/16"]}),
            "spec.egress[0].toCIDR[0]",
            "it holds the address of pod shop/api-1, but a prefix never selects pods",
        ),
        (
            from_web({"toCIDR": ["10.0.100.7/32"]}),
            "spec.egress[0].toCIDR[0]",
            "it holds the address of service shop/api",
        ),
        (
            from_web({"toCIDRSet": [{"cidrGroupRef": "ofice"}]}),
            "spec.egress[0].toCIDRSet[0].cidrGroupRef",
            "there is no CIDR group ofice, so it selects nobody (is office meant?)",
        ),
        (
            knp(
                {
                    "podSelector": TO_API,
                    "ingress": [
                        {
                            "from": [
                                {"podSelector": TO_API},
                                {"namespaceSelector": {"matchLabels": {"team": "green"}}},
                            ]
                        }
                    ],
                }
            ),
            "spec.ingress[0].from[1]",
            "it selects no pod that exists",
        ),
    ],
)
def test_what_is_idle_because_of_what_exists(policy: dict[str, Any], path: str, words: str) -> None:
    """Nothing of it is said without the world."""
    finding = the_one(findings(policy, world=WORLD))
    assert (finding.layer, finding.path) == ("idle", path)
    assert words in finding.sentence
    assert findings(policy) == []


def test_a_namespace_that_is_overwritten_need_not_exist() -> None:
    """In a podSelector alone; beside a namespaceSelector it counts."""
    named = {"matchLabels": {"io.kubernetes.pod.namespace": "date", "app": "web"}}
    peer: dict[str, Any] = {"podSelector": named}
    assert findings(knp({"podSelector": TO_API, "ingress": [{"from": [peer]}]}), world=WORLD) == []
    peer["namespaceSelector"] = {}
    policy = knp({"podSelector": TO_API, "ingress": [{"from": [peer]}]})
    assert "there is no namespace date" in the_one(findings(policy, world=WORLD)).sentence


def test_an_empty_collection_counts_as_not_known() -> None:
    """Without pods, services and groups nothing is missing."""
    policy = from_web(
        {"toEndpoints": [{"matchLabels": {"app": "nobody"}}]},
        {"toServices": [{"k8sService": {"serviceName": "none"}}]},
        {"toCIDRSet": [{"cidrGroupRef": "none"}]},
    )
    assert findings(policy, world=Neighbours()) == []


def test_names_that_another_policy_of_the_same_pods_lets_be_looked_up_are_learnt() -> None:
    """One of other pods does not help."""
    names = from_web({"toFQDNs": [{"matchName": "a.example.com"}]})
    lookups = cnp({"endpointSelector": {}, "egress": [dns("*")]}, name="lookups")
    others = cnp({"endpointSelector": TO_API, "egress": [dns("*")]}, name="others")
    pods = (WEB, API, DB, DNS)
    helped = Neighbours((names, lookups), pods, NAMESPACES)
    assert findings(names, world=helped) == []
    left_alone = Neighbours((names, others), pods, NAMESPACES)
    assert the_one(findings(names, world=left_alone)).path == "spec.egress[0].toFQDNs"


def test_a_rule_can_be_overridden_by_another_objects_deny() -> None:
    """Which is named; its own earlier version among the policies does not count."""
    allow = to_api({"fromEndpoints": [TO_WEB]})
    deny = ccnp(
        {"endpointSelector": {}, "ingress": [{}], "ingressDeny": [{"fromEntities": ["cluster"]}]}
    )
    world = Neighbours((allow, deny), (WEB, API, DB), NAMESPACES)
    finding = the_one(findings(allow, world=world))
    assert finding.sentence.startswith("spec.ingressDeny[0] of cp denies all that it allows")


def test_many_objects_are_asked_at_once() -> None:
    """Each gets what it would get alone."""
    policies = [to_api({}, {}), to_api(A_RULE, name="q")]
    policies[1]["metadata"]["name"] = "q"
    world = Neighbours(tuple(policies), (WEB, API), NAMESPACES)
    found = findings_by_object(policies, world=world)
    assert [str(ref) for ref in found] == ["shop/p", "shop/q"]
    for policy in policies:
        assert found[ObjectRef.of(policy)] == findings(policy, world=world)


# What is said to do nothing does nothing.

HARMLESS = re.compile(
    r"denies all that it allows|says the same as|an empty rule allows nobody|does not close"
    r"|so it counts for nothing|so it means no port|nobody ever is none|it (allows|denies) nothing"
    r"|only port \d+ is meant|closes nothing|switches nothing off|null is dropped"
    r"|denies nothing, as if|nobody is left|never met and it (allows|denies) nobody"
)


def without(policy: dict[str, Any], path: str) -> bool:
    """Take out what stands at a path, unless that would change what stands around it."""
    steps = [int(n) if n else name for n, name in re.findall(r"\[(\d+)\]|([^.\[\]]+)", path)]
    place: Any = policy
    for step in steps[:-1]:
        place = place[step]
    if isinstance(place, list) and len(place) < 2:
        return False
    if isinstance(place[steps[-1]], list) and steps[-1] not in {"ingress", "egress"}:
        return False
    del place[steps[-1]]
    return True


def verdicts(world: Mapping[str, Any], policies: Any) -> list[str]:
    """Of every flow of a generated world."""
    ends = {
        name: Endpoint.from_json(raw, world.get("namespaces", {}))
        for name, raw in world["endpoints"].items()
    }
    engine = Engine(
        policies,
        namespaces=world.get("namespaces", {}),
        endpoints=ends.values(),
        services=world.get("services", ()),
        cidr_groups=world.get("cidrGroups", ()),
        settings=Settings.from_json(world.get("config") or {}),
    )
    return [
        engine.verdict(
            ends[source], ends[to], port, protocol, icmp_type=(more or [{}])[0].get("icmpType")
        ).verdict
        for source, to, protocol, port, *more in world["flows"]
    ]


@pytest.mark.slow
def test_what_is_said_to_do_nothing_does_nothing() -> None:
    """In generated worlds, taking it out changes no verdict of any flow."""
    lines = gzip.decompress((DATA / "generated.jsonl.gz").read_bytes()).splitlines()
    tried, wrong = 0, []
    for world in map(json.loads, lines[:60]):
        around = Neighbours(
            tuple(world["policies"]),
            tuple(
                Endpoint.from_json(e, world.get("namespaces", {}))
                for e in world["endpoints"].values()
            ),
            world.get("namespaces", {}),
            tuple(world.get("services", ())),
            tuple(world.get("cidrGroups", ())),
            Settings.from_json(world.get("config") or {}),
        )
        before = [expected[2] for expected in world["expected"]]
        for number, policy in enumerate(world["policies"]):
            for finding in findings(policy, world=around):
                if finding.layer != "idle" or not HARMLESS.search(finding.sentence):
                    continue
                changed = deepcopy(world["policies"])
                if without(changed[number], finding.path):
                    tried += 1
                    if verdicts(world, changed) != before:
                        wrong.append((world["id"], str(finding)))
    assert not wrong
    assert tried > 150
