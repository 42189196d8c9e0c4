"""One example of every operator: what it makes of a small policy, and how that is classed."""

from typing import Any, NamedTuple

from acns_chaos.policy import Endpoint
from tests.policy.policy_cases import ccnp, cnp, knp


class Case(NamedTuple):
    """An example.

    Attributes:
        operator: its name.
        policy: the object.
        place: where the mistake is made.
        changed: paths and what stands there afterwards; ABSENT where nothing does.
        effect: the mutant's class in the small shop.
    """

    operator: str
    policy: dict[str, Any]
    place: str
    changed: dict[tuple[str | int, ...], Any]
    effect: str


ABSENT = object()
GONE: dict[tuple[str | int, ...], Any] = {}

PODS = (
    Endpoint.pod(
        "pets",
        {"app": "front", "tier": "web"},
        name="front-1",
        ports=[(8080, "TCP")],
        named_ports={"http": (8080, "TCP")},
    ),
    Endpoint.pod("pets", {"app": "order"}, name="order-1", ports=[(3000, "TCP")]),
    Endpoint.pod("pets", {"app": "queue", "tier": "back"}, name="queue-1", ports=[(5672, "TCP")]),
    Endpoint.pod("other", {"app": "order"}, name="order-2", ports=[(3000, "TCP")]),
    Endpoint.pod("kube-system", {"k8s-app": "kube-dns"}, ports=[(53, "UDP"), (53, "TCP")]),
)
SERVICES = (
    {
        "kind": "Service",
        "metadata": {"name": "front", "namespace": "pets"},
        "spec": {"selector": {"app": "front"}, "ports": [{"port": 80, "targetPort": 8080}]},
    },
    {
        "kind": "Service",
        "metadata": {"name": "queue", "namespace": "pets"},
        "spec": {"selector": {"app": "queue"}, "ports": [{"port": 5672}]},
    },
)
NAMESPACE = "k8s:io.kubernetes.pod.namespace"


def ports(*numbers: str, protocol: str = "TCP", **more: Any) -> list[dict[str, Any]]:
    """A toPorts list with one item."""
    return [{"ports": [{"port": number, "protocol": protocol} for number in numbers], **more}]


def front(name: str = "front", subject: Any = None, **sections: Any) -> dict[str, Any]:
    """A policy of the storefront."""
    selector = {"matchLabels": {"app": "front"}} if subject is None else subject
    return cnp({"endpointSelector": selector, **sections}, name=name, namespace="pets")


WORLD_IN = {"fromEntities": ["world"], "toPorts": ports("8080")}
ORDER_IN = {"fromEndpoints": [{"matchLabels": {"app": "order"}}], "toPorts": ports("8080")}
ORDER_OUT = {"toEndpoints": [{"matchLabels": {"app": "order"}}], "toPorts": ports("3000")}
DNS_PEER = {"matchLabels": {NAMESPACE: "kube-system", "k8s:k8s-app": "kube-dns"}}
DNS_OUT = {
    "toEndpoints": [DNS_PEER],
    "toPorts": ports(
        "53",
        protocol="ANY",
        rules={"dns": [{"matchName": "api.example.org"}, {"matchPattern": "*.example.net"}]},
    ),
}
ANY_DNS_OUT = {
    "toEndpoints": [DNS_PEER],
    "toPorts": ports("53", protocol="ANY", rules={"dns": [{"matchPattern": "*"}]}),
}
FQDN_OUT = {"toFQDNs": [{"matchPattern": "*.example.net"}], "toPorts": ports("443")}
NAME_OUT = {"toFQDNs": [{"matchName": "api.example.org"}], "toPorts": ports("443")}
HTTP_IN = {
    "fromEndpoints": [{}],
    "toPorts": ports("8080", rules={"http": [{"method": "GET", "path": "/api/.*"}]}),
}
CIDR_IN = {"fromCIDRSet": [{"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}]}
EXPRESSION = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["order", "queue"]}]}
PLAIN = front(ingress=[WORLD_IN], egress=[ORDER_OUT])
NAMES = front(egress=[DNS_OUT, FQDN_OUT, NAME_OUT])
IN0: tuple[str | int, ...] = ("spec", "ingress", 0)
OUT0: tuple[str | int, ...] = ("spec", "egress", 0)
PORT0: tuple[str | int, ...] = ("toPorts", 0, "ports", 0)
DNS0: tuple[str | int, ...] = (*OUT0, "toPorts", 0, "rules")

CASES = (
    # Empties and sections.
    Case(
        "ingress-from-nobody",
        PLAIN,
        "spec.ingress",
        {("spec", "ingress"): [{"fromEndpoints": []}]},
        "closes",
    ),
    Case(
        "egress-to-nobody",
        PLAIN,
        "spec.egress",
        {("spec", "egress"): [{"toEndpoints": []}]},
        "closes",
    ),
    Case("section-emptied", PLAIN, "spec.ingress", {("spec", "ingress"): []}, "opens"),
    Case("rule-emptied", PLAIN, "spec.ingress[0]", {IN0: {}}, "closes"),
    Case(
        "empty-rule-added",
        front(egress=[ORDER_OUT]),
        "spec.ingress",
        {("spec", "ingress"): [{}]},
        "closes",
    ),
    Case(
        "default-deny-without-rule",
        PLAIN,
        "spec.ingress",
        {("spec", "ingress"): [], ("spec", "enableDefaultDeny"): {"ingress": True}},
        "opens",
    ),
    Case("ingress-removed", PLAIN, "spec.ingress", {("spec", "ingress"): ABSENT}, "opens"),
    Case("egress-removed", PLAIN, "spec.egress", {("spec", "egress"): ABSENT}, "opens"),
    Case(
        "default-deny-off",
        PLAIN,
        "spec.enableDefaultDeny.egress",
        {("spec", "enableDefaultDeny"): {"egress": False}},
        "opens",
    ),
    Case(
        "rule-removed",
        front(ingress=[WORLD_IN, ORDER_IN]),
        "spec.ingress[0]",
        {("spec", "ingress"): [ORDER_IN]},
        "closes",
    ),
    Case(
        "rule-in-other-direction",
        front(ingress=[WORLD_IN, ORDER_IN]),
        "spec.ingress[1]",
        {
            ("spec", "ingress"): [WORLD_IN],
            ("spec", "egress"): [
                {"toEndpoints": [{"matchLabels": {"app": "order"}}], "toPorts": ports("8080")}
            ],
        },
        "closes",
    ),
    # Subject.
    Case(
        "subject-key-misspelt",
        PLAIN,
        "spec.endpointSelector.matchLabels.app",
        {("spec", "endpointSelector", "matchLabels"): {"pap": "front"}},
        "opens",
    ),
    Case(
        "subject-value-misspelt",
        PLAIN,
        "spec.endpointSelector.matchLabels.app",
        {("spec", "endpointSelector", "matchLabels"): {"app": "frotn"}},
        "opens",
    ),
    Case(
        "subject-condition-forgotten",
        front(subject={"matchLabels": {"app": "front", "tier": "web"}}, ingress=[WORLD_IN]),
        "spec.endpointSelector.matchLabels.tier",
        {("spec", "endpointSelector", "matchLabels"): {"app": "front"}},
        "equivalent",
    ),
    Case(
        "subject-value-forgotten",
        front(subject=EXPRESSION, ingress=[{}]),
        "spec.endpointSelector.matchExpressions[0].values[0]",
        {("spec", "endpointSelector", "matchExpressions", 0, "values"): ["queue"]},
        "opens",
    ),
    Case(
        "subject-widened",
        PLAIN,
        "spec.endpointSelector",
        {("spec", "endpointSelector"): {}},
        "both",
    ),
    Case(
        "subject-mistaken",
        PLAIN,
        "spec.endpointSelector.matchLabels.app=order",
        {("spec", "endpointSelector", "matchLabels"): {"app": "order"}},
        "both",
    ),
    Case(
        "subject-expression-inverted",
        front(subject=EXPRESSION, ingress=[{}]),
        "spec.endpointSelector.matchExpressions[0]",
        {("spec", "endpointSelector", "matchExpressions", 0, "operator"): "NotIn"},
        "both",
    ),
    # Lists of peers.
    Case(
        "peer-list-emptied",
        PLAIN,
        "spec.ingress[0].fromEntities",
        {(*IN0, "fromEntities"): []},
        "closes",
    ),
    Case(
        "peers-forgotten",
        PLAIN,
        "spec.ingress[0].fromEntities",
        {(*IN0, "fromEntities"): ABSENT},
        "opens",
    ),
    Case(
        "empty-list-lost",
        front(ingress=[{"fromEndpoints": [], "toPorts": ports("8080")}]),
        "spec.ingress[0].fromEndpoints",
        {(*IN0, "fromEndpoints"): ABSENT},
        "opens",
    ),
    Case(
        "peer-removed",
        front(ingress=[{"fromEntities": ["world", "remote-node"]}]),
        "spec.ingress[0].fromEntities[1]",
        {(*IN0, "fromEntities"): ["world"]},
        "closes",
    ),
    Case(
        "peers-widened-to-cluster",
        front(ingress=[ORDER_IN]),
        "spec.ingress[0].fromEndpoints",
        {(*IN0, "fromEndpoints"): ABSENT, (*IN0, "fromEntities"): ["cluster"]},
        "opens",
    ),
    Case(
        "everybody-written-as-pods",
        PLAIN,
        "spec.ingress[0].fromEntities",
        {(*IN0, "fromEntities"): ABSENT, (*IN0, "fromEndpoints"): [{}]},
        "both",
    ),
    Case(
        "pods-written-as-cidr",
        PLAIN,
        "spec.egress[0].toEndpoints",
        {(*OUT0, "toEndpoints"): ABSENT, (*OUT0, "toCIDR"): ["10.0.0.0/8"]},
        "closes",
    ),
    Case(
        "pods-written-as-outside",
        PLAIN,
        "spec.egress[0].toEndpoints",
        {(*OUT0, "toEndpoints"): ABSENT, (*OUT0, "toEntities"): ["world"]},
        "both",
    ),
    # Selectors of peers.
    Case(
        "peer-key-misspelt",
        PLAIN,
        "spec.egress[0].toEndpoints[0].matchLabels.app",
        {(*OUT0, "toEndpoints"): [{"matchLabels": {"pap": "order"}}]},
        "closes",
    ),
    Case(
        "peer-value-misspelt",
        PLAIN,
        "spec.egress[0].toEndpoints[0].matchLabels.app",
        {(*OUT0, "toEndpoints"): [{"matchLabels": {"app": "ordre"}}]},
        "closes",
    ),
    Case(
        "peer-condition-forgotten",
        front(ingress=[{"fromEndpoints": [{"matchLabels": {"app": "queue", "tier": "back"}}]}]),
        "spec.ingress[0].fromEndpoints[0].matchLabels.app",
        {(*IN0, "fromEndpoints"): [{"matchLabels": {"tier": "back"}}]},
        "equivalent",
    ),
    Case(
        "peer-value-forgotten",
        front(ingress=[{"fromEndpoints": [EXPRESSION]}]),
        "spec.ingress[0].fromEndpoints[0].matchExpressions[0].values[1]",
        {(*IN0, "fromEndpoints", 0, "matchExpressions", 0, "values"): ["order"]},
        "closes",
    ),
    Case(
        "peer-widened",
        front(ingress=[ORDER_IN]),
        "spec.ingress[0].fromEndpoints[0]",
        {(*IN0, "fromEndpoints"): [{}]},
        "opens",
    ),
    Case(
        "peer-mistaken",
        front(ingress=[ORDER_IN]),
        "spec.ingress[0].fromEndpoints[0].matchLabels.app=queue",
        {(*IN0, "fromEndpoints"): [{"matchLabels": {"app": "queue"}}]},
        "both",
    ),
    Case(
        "peer-expression-inverted",
        front(ingress=[{"fromEndpoints": [EXPRESSION]}]),
        "spec.ingress[0].fromEndpoints[0].matchExpressions[0]",
        {(*IN0, "fromEndpoints", 0, "matchExpressions", 0, "operator"): "NotIn"},
        "closes",
    ),
    Case(
        "peer-namespace-misspelt",
        NAMES,
        f"spec.egress[0].toEndpoints[0].matchLabels[{NAMESPACE}]",
        {(*OUT0, "toEndpoints", 0, "matchLabels", NAMESPACE): "kubesystem"},
        "closes",
    ),
    Case(
        "peer-namespace-forgotten",
        NAMES,
        f"spec.egress[0].toEndpoints[0].matchLabels[{NAMESPACE}]",
        {(*OUT0, "toEndpoints"): [{"matchLabels": {"k8s:k8s-app": "kube-dns"}}]},
        "closes",
    ),
    Case(
        "peer-namespace-by-wrong-key",
        NAMES,
        f"spec.egress[0].toEndpoints[0].matchLabels[{NAMESPACE}]",
        {
            (*OUT0, "toEndpoints", 0, "matchLabels"): {
                "kubernetes.io/metadata.name": "kube-system",
                "k8s:k8s-app": "kube-dns",
            }
        },
        "closes",
    ),
    # Entities.
    Case(
        "entity-mistaken",
        PLAIN,
        "spec.ingress[0].fromEntities[0]=cluster",
        {(*IN0, "fromEntities"): ["cluster"]},
        "both",
    ),
    Case(
        "world-added",
        front(ingress=[{"fromEntities": ["cluster"]}]),
        "spec.ingress[0].fromEntities",
        {(*IN0, "fromEntities"): ["cluster", "world"]},
        "opens",
    ),
    Case(
        "entities-widened-to-all",
        PLAIN,
        "spec.ingress[0].fromEntities",
        {(*IN0, "fromEntities"): ["all"]},
        "opens",
    ),
    Case(
        "world-narrowed-to-office",
        PLAIN,
        "spec.ingress[0].fromEntities",
        {(*IN0, "fromEntities"): ABSENT, (*IN0, "fromCIDR"): ["203.0.113.0/24"]},
        "closes",
    ),
    # Addresses.
    Case(
        "cidr-widened",
        front(ingress=[CIDR_IN]),
        "spec.ingress[0].fromCIDRSet[0].cidr",
        {(*IN0, "fromCIDRSet", 0, "cidr"): "198.51.100.0/16"},
        "opens",
    ),
    Case(
        "cidr-narrowed",
        front(ingress=[{"fromCIDR": ["198.51.100.0/24"]}]),
        "spec.ingress[0].fromCIDR[0]",
        {(*IN0, "fromCIDR"): ["198.51.100.0/32"]},
        "closes",
    ),
    Case(
        "cidr-mistyped",
        front(ingress=[{"fromCIDR": ["198.51.100.0/24"]}]),
        "spec.ingress[0].fromCIDR[0]",
        {(*IN0, "fromCIDR"): ["198.51.101.0/24"]},
        "both",
    ),
    Case(
        "except-forgotten",
        front(ingress=[CIDR_IN]),
        "spec.ingress[0].fromCIDRSet[0].except",
        {(*IN0, "fromCIDRSet"): [{"cidr": "198.51.100.0/24"}]},
        "opens",
    ),
    Case(
        "cidr-group-misspelt",
        front(ingress=[{"fromCIDRSet": [{"cidrGroupRef": "office"}]}]),
        "spec.ingress[0].fromCIDRSet[0].cidrGroupRef",
        {(*IN0, "fromCIDRSet"): [{"cidrGroupRef": "offiec"}]},
        "closes",
    ),
    # Services.
    Case(
        "service-misspelt",
        front(
            egress=[
                {
                    "toServices": [{"k8sService": {"serviceName": "queue", "namespace": "pets"}}],
                    "toPorts": ports("5672"),
                }
            ]
        ),
        "spec.egress[0].toServices[0].k8sService.serviceName",
        {(*OUT0, "toServices", 0, "k8sService", "serviceName"): "queeu"},
        "opens",
    ),
    Case(
        "service-namespace-misspelt",
        front(
            subject={"matchLabels": {"app": "order"}},
            egress=[
                {"toServices": [{"k8sService": {"serviceName": "front", "namespace": "pets"}}]}
            ],
        ),
        "spec.egress[0].toServices[0].k8sService.namespace",
        {(*OUT0, "toServices", 0, "k8sService", "namespace"): "pest"},
        "closes",
    ),
    # Ports.
    Case(
        "port-off-service",
        PLAIN,
        "spec.ingress[0].toPorts[0].ports[0]",
        {(*IN0, *PORT0, "port"): "80"},
        "closes",
    ),
    Case(
        "port-mistyped",
        PLAIN,
        "spec.egress[0].toPorts[0].ports[0]",
        {(*OUT0, *PORT0, "port"): "3001"},
        "closes",
    ),
    Case(
        "port-name-misspelt",
        front(ingress=[{"fromEntities": ["world"], "toPorts": ports("http")}]),
        "spec.ingress[0].toPorts[0].ports[0]",
        {(*IN0, *PORT0, "port"): "htpt"},
        "closes",
    ),
    Case(
        "port-removed",
        front(ingress=[{"fromEntities": ["world"], "toPorts": ports("8080", "9090")}]),
        "spec.ingress[0].toPorts[0].ports[0]",
        {(*IN0, "toPorts"): ports("9090")},
        "closes",
    ),
    Case(
        "ports-forgotten",
        PLAIN,
        "spec.ingress[0].toPorts",
        {(*IN0, "toPorts"): ABSENT},
        "opens",
    ),
    Case(
        "port-list-emptied",
        PLAIN,
        "spec.ingress[0].toPorts[0].ports",
        {(*IN0, "toPorts"): [{"ports": []}]},
        "closes",
    ),
    Case(
        "port-zero",
        PLAIN,
        "spec.ingress[0].toPorts[0].ports[0]",
        {(*IN0, *PORT0, "port"): "0"},
        "opens",
    ),
    Case(
        "port-range-opened",
        PLAIN,
        "spec.egress[0].toPorts[0].ports[0]",
        {(*OUT0, *PORT0, "endPort"): 65535},
        "opens",
    ),
    Case(
        "port-range-cut",
        front(
            egress=[
                {
                    "toEndpoints": [{}],
                    "toPorts": [{"ports": [{"port": "3000", "endPort": 9000, "protocol": "TCP"}]}],
                }
            ]
        ),
        "spec.egress[0].toPorts[0].ports[0]",
        {(*OUT0, *PORT0): {"port": "3000", "protocol": "TCP"}},
        "closes",
    ),
    # Protocols.
    Case(
        "protocol-widened",
        front(egress=[{"toEndpoints": [DNS_PEER], "toPorts": ports("53", protocol="UDP")}]),
        "spec.egress[0].toPorts[0].ports[0].protocol",
        {(*OUT0, *PORT0, "protocol"): "ANY"},
        "opens",
    ),
    Case(
        "protocol-mistaken",
        PLAIN,
        "spec.ingress[0].toPorts[0].ports[0].protocol",
        {(*IN0, *PORT0, "protocol"): "UDP"},
        "closes",
    ),
    Case(
        "protocol-narrowed",
        NAMES,
        "spec.egress[0].toPorts[0].ports[0].protocol=UDP",
        {(*OUT0, *PORT0, "protocol"): "UDP"},
        "closes",
    ),
    Case(
        "icmp-type-mistaken",
        front(ingress=[{"icmps": [{"fields": [{"type": "EchoRequest"}, {"type": 3}]}]}]),
        "spec.ingress[0].icmps[0].fields[0]",
        {(*IN0, "icmps", 0, "fields", 0): {"type": 0}},
        "equivalent",
    ),
    Case(
        "icmp-forgotten",
        front(ingress=[WORLD_IN, {"icmps": [{"fields": [{"type": 8}]}]}]),
        "spec.ingress[1].icmps",
        {("spec", "ingress"): [WORLD_IN]},
        "closes",
    ),
    # DNS.
    Case(
        "dns-rule-forgotten",
        NAMES,
        "spec.egress[0].toPorts[0].rules",
        {DNS0: ABSENT},
        "both",
    ),
    Case(
        "dns-egress-forgotten",
        NAMES,
        "spec.egress",
        {("spec", "egress"): [FQDN_OUT, NAME_OUT]},
        "closes",
    ),
    Case(
        "dns-name-forgotten",
        NAMES,
        "spec.egress[0].toPorts[0].rules.dns[0]",
        {(*DNS0, "dns"): [{"matchPattern": "*.example.net"}]},
        "closes",
    ),
    Case(
        "dns-any-name",
        NAMES,
        "spec.egress[0].toPorts[0].rules.dns[0]",
        {(*DNS0, "dns", 0): {"matchPattern": "*"}},
        "opens",
    ),
    Case(
        "dns-server-mistaken",
        NAMES,
        "spec.egress[0].toEndpoints[0].matchLabels[k8s:k8s-app]",
        {(*OUT0, "toEndpoints", 0, "matchLabels", "k8s:k8s-app"): "coredns"},
        "closes",
    ),
    Case(
        "dns-name-misspelt",
        NAMES,
        "spec.egress[0].toPorts[0].rules.dns[1].matchPattern",
        {(*DNS0, "dns", 1): {"matchPattern": "*.example.nte"}},
        "closes",
    ),
    # Names.
    Case(
        "fqdn-misspelt",
        NAMES,
        "spec.egress[2].toFQDNs[0].matchName",
        {("spec", "egress", 2, "toFQDNs"): [{"matchName": "aip.example.org"}]},
        "closes",
    ),
    Case(
        "fqdn-any-name",
        front(egress=[ANY_DNS_OUT, NAME_OUT]),
        "spec.egress[1].toFQDNs[0]",
        {("spec", "egress", 1, "toFQDNs"): [{"matchPattern": "*"}]},
        "opens",
    ),
    Case(
        "wildcard-forgotten",
        NAMES,
        "spec.egress[0].toPorts[0].rules.dns[1]",
        {(*DNS0, "dns", 1): {"matchName": "example.net"}},
        "both",
    ),
    Case(
        "wildcard-for-name",
        NAMES,
        "spec.egress[2].toFQDNs[0]",
        {("spec", "egress", 2, "toFQDNs"): [{"matchPattern": "*.api.example.org"}]},
        "closes",
    ),
    Case(
        "wildcard-too-shallow",
        front(
            egress=[
                {
                    "toEndpoints": [DNS_PEER],
                    "toPorts": ports(
                        "53", protocol="ANY", rules={"dns": [{"matchPattern": "**.example.net"}]}
                    ),
                }
            ]
        ),
        "spec.egress[0].toPorts[0].rules.dns[0]",
        {(*DNS0, "dns"): [{"matchPattern": "*.example.net"}]},
        "closes",
    ),
    # HTTP.
    Case(
        "http-rules-forgotten",
        front(ingress=[HTTP_IN]),
        "spec.ingress[0].toPorts[0].rules",
        {(*IN0, "toPorts", 0, "rules"): ABSENT},
        "opens",
    ),
    Case(
        "http-method-mistaken",
        front(ingress=[HTTP_IN]),
        "spec.ingress[0].toPorts[0].rules.http[0].method",
        {(*IN0, "toPorts", 0, "rules", "http", 0, "method"): "POST"},
        "both",
    ),
    Case(
        "http-path-too-narrow",
        front(ingress=[HTTP_IN]),
        "spec.ingress[0].toPorts[0].rules.http[0].path",
        {(*IN0, "toPorts", 0, "rules", "http", 0, "path"): "/api/"},
        "closes",
    ),
    Case(
        "http-any-request",
        front(ingress=[HTTP_IN]),
        "spec.ingress[0].toPorts[0].rules.http",
        {(*IN0, "toPorts", 0, "rules", "http", 1): {}},
        "opens",
    ),
    # Deny.
    Case(
        "deny-world-ingress",
        PLAIN,
        "spec.ingressDeny",
        {("spec", "ingressDeny"): [{"fromEntities": ["world"]}]},
        "closes",
    ),
    Case(
        "metadata-service-denied",
        front(ingress=[WORLD_IN]),
        "spec.egressDeny",
        {("spec", "egressDeny"): [{"toCIDR": ["169.254.169.254/32"]}]},
        "closes",
    ),
    Case(
        "deny-forgotten",
        front(ingress=[WORLD_IN], ingressDeny=[{"fromCIDR": ["198.51.100.0/24"]}]),
        "spec.ingressDeny",
        {("spec", "ingressDeny"): ABSENT},
        "opens",
    ),
    Case(
        "allow-as-deny",
        front(ingress=[WORLD_IN, ORDER_IN]),
        "spec.ingress[0]",
        {("spec", "ingress"): [ORDER_IN], ("spec", "ingressDeny"): [WORLD_IN]},
        "closes",
    ),
    Case(
        "deny-as-allow",
        front(ingress=[ORDER_IN], ingressDeny=[{"fromEntities": ["world"]}]),
        "spec.ingressDeny[0]",
        {
            ("spec", "ingress"): [ORDER_IN, {"fromEntities": ["world"]}],
            ("spec", "ingressDeny"): [],
        },
        "opens",
    ),
    # Objects.
    Case("object-deleted", PLAIN, "metadata.name", GONE, "opens"),
    Case(
        "name-reused",
        PLAIN,
        "metadata.name=second",
        {("spec",): {"endpointSelector": {"matchLabels": {"app": "queue"}}, "ingress": [{}]}},
        "opens",
    ),
    Case("namespace-forgotten", PLAIN, "metadata.namespace", GONE, "opens"),
    Case(
        "kind-made-clusterwide",
        front(subject={"matchLabels": {"app": "order"}}, ingress=[{}]),
        "kind",
        GONE,
        "closes",
    ),
    # Stored, but refused by the agents.
    Case(
        "two-peer-kinds",
        PLAIN,
        "spec.egress[0]",
        {(*OUT0, "toEntities"): ["world"]},
        "invalid",
    ),
    Case(
        "port-out-of-range",
        PLAIN,
        "spec.ingress[0].toPorts[0].ports[0]",
        {(*IN0, *PORT0, "port"): "65536"},
        "invalid",
    ),
    Case(
        "except-outside",
        front(ingress=[CIDR_IN]),
        "spec.ingress[0].fromCIDRSet[0].except",
        {(*IN0, "fromCIDRSet", 0, "except"): ["2001:db8::/32"]},
        "invalid",
    ),
    Case(
        "selector-for-nodes",
        PLAIN,
        "spec.endpointSelector",
        {
            ("spec", "endpointSelector"): ABSENT,
            ("spec", "nodeSelector"): {"matchLabels": {"app": "front"}},
        },
        "invalid",
    ),
    Case(
        "all-sections-emptied",
        PLAIN,
        "spec",
        {("spec", "ingress"): [], ("spec", "egress"): []},
        "invalid",
    ),
    Case(
        "http-path-broken",
        front(ingress=[HTTP_IN]),
        "spec.ingress[0].toPorts[0].rules.http[0].path",
        {(*IN0, "toPorts", 0, "rules", "http", 0, "path"): "/api/(.*"},
        "invalid",
    ),
    Case(
        "dns-rule-on-ingress",
        PLAIN,
        "spec.ingress[0].toPorts[0]",
        {(*IN0, "toPorts", 0, "rules"): {"dns": [{"matchPattern": "*"}]}},
        "invalid",
    ),
)

NATIVE = knp(
    {
        "podSelector": {"matchLabels": {"app": "front"}},
        "ingress": [
            {
                "from": [
                    {"podSelector": {"matchLabels": {"app": "order"}}},
                    {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}},
                ],
                "ports": [{"port": 8080, "protocol": "TCP"}, {"port": 9090}],
            }
        ],
    },
    name="front",
    namespace="pets",
)
SECOND = cnp(
    {"endpointSelector": {"matchLabels": {"app": "queue"}}, "ingress": [{}]},
    name="second",
    namespace="pets",
)
CLUSTERWIDE = ccnp({"endpointSelector": {"matchLabels": {"app": "order"}}, "ingress": [{}]})
GROUP = {
    "kind": "CiliumCIDRGroup",
    "metadata": {"name": "office"},
    "spec": {"externalCIDRs": ["203.0.113.0/24"]},
}
