"""What the tests of the policy engine share: a small cluster and short ways to write policies."""

from collections.abc import Mapping
from typing import Any

from acns_chaos.policy import Endpoint, Engine, Settings, Verdict

NAMESPACES = {
    "shop": {"team": "blue"},
    "data": {"team": "red"},
    "kube-system": {},
}

WEB = Endpoint.pod("shop", {"app": "web"}, name="web-1", namespace_labels={"team": "blue"})
API = Endpoint.pod(
    "shop",
    {"app": "api", "tier": "back"},
    name="api-1",
    namespace_labels={"team": "blue"},
    named_ports={"http": (8080, "TCP"), "metrics": (9090, "TCP")},
)
DB = Endpoint.pod("data", {"app": "db"}, name="db-1", namespace_labels={"team": "red"})
DNS = Endpoint.pod("kube-system", {"k8s-app": "kube-dns"}, name="dns-1")
WEST = Endpoint.pod("shop", {"app": "web"}, name="west-1", cluster="west")
WORLD = Endpoint.entity("world")
HOST = Endpoint.entity("host")
REMOTE = Endpoint.entity("remote-node")
HEALTH = Endpoint.entity("health")
INIT = Endpoint.entity("init")
APISERVER = Endpoint.entity("kube-apiserver")
APISERVER_OUTSIDE = Endpoint.entity("kube-apiserver-external", ip="192.0.2.44")
OUTSIDE = Endpoint.outside("203.0.113.10")
PODS = (WEB, API, DB, DNS, WEST)

TO_API = {"matchLabels": {"app": "api"}}
TO_WEB = {"matchLabels": {"app": "web"}}
ON_8080 = [{"ports": [{"port": "8080", "protocol": "TCP"}]}]


def cnp(spec: Mapping[str, Any], name: str = "p", namespace: str = "shop") -> dict[str, Any]:
    """A CiliumNetworkPolicy."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": dict(spec),
    }


def ccnp(spec: Mapping[str, Any], name: str = "cp") -> dict[str, Any]:
    """A CiliumClusterwideNetworkPolicy."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": name},
        "spec": dict(spec),
    }


def knp(spec: Mapping[str, Any], name: str = "k", namespace: str = "shop") -> dict[str, Any]:
    """A Kubernetes NetworkPolicy."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": dict(spec),
    }


def to_api(*rules: Any, **more: Any) -> dict[str, Any]:
    """A policy that selects API, with these ingress rules."""
    return cnp({"endpointSelector": TO_API, "ingress": list(rules), **more})


def from_web(*rules: Any, **more: Any) -> dict[str, Any]:
    """A policy that selects WEB, with these egress rules."""
    return cnp({"endpointSelector": TO_WEB, "egress": list(rules), **more}, name="e")


def judge(
    policies: Any,
    source: Endpoint,
    destination: Endpoint,
    port: int | None = 8080,
    protocol: str = "TCP",
    *,
    settings: Mapping[str, Any] | None = None,
    services: Any = (),
    groups: Any = (),
    **request: Any,
) -> Verdict:
    """The verdict on one flow in the small cluster."""
    engine = Engine(
        policies if isinstance(policies, list) else [policies],
        namespaces=NAMESPACES,
        endpoints=PODS,
        services=services,
        cidr_groups=groups,
        settings=Settings.from_json(settings or {}),
    )
    assert dict(engine.invalid) == {}
    verdict = engine.verdict(source, destination, port, protocol, **request)
    if port is not None:
        quick = engine.allows(source, destination, port, protocol)
        assert quick is (verdict.verdict == "ALLOWED")
    return verdict


def ingress(
    policies: Any, source: Endpoint, port: int | None = 8080, *rest: Any, **more: Any
) -> str:
    """What API's side says of a flow to it, with its drop reason if it has one."""
    side = judge(policies, source, API, port, *rest, **more).ingress
    return side.drop_reason or side.verdict


def egress(
    policies: Any, destination: Endpoint, port: int | None = 8080, *rest: Any, **more: Any
) -> str:
    """What WEB's side says of a flow from it, with its drop reason if it has one."""
    side = judge(policies, WEB, destination, port, *rest, **more).egress
    return side.drop_reason or side.verdict
