"""What tests of blame share: flows as Hubble tells them, policies, and the world they are in."""

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

from acns_chaos.cluster.hubble import Evidence, Peer, PolicyName, SeenFlow
from acns_chaos.evidence.blame import Blame, Case, blame
from acns_chaos.evidence.blame.changes import Change, changes_of_objects, merged
from acns_chaos.evidence.blame.events import Said
from acns_chaos.policy.world import World

# A quarter past nine in the evening of a day in November, as in the recordings.
AT = 1_795_382_573.928
WRITTEN = "2026-11-22T21:22:50Z"


def pod_peer(app: str, namespace: str = "pets", **labels: str) -> Peer:
    """A side in the cluster."""
    own = {"app": app, **labels}
    identity = (
        *(f"k8s:{key}={value}" for key, value in own.items()),
        f"k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name={namespace}",
        "k8s:io.cilium.k8s.policy.cluster=default",
        "k8s:io.cilium.k8s.policy.serviceaccount=default",
        f"k8s:io.kubernetes.pod.namespace={namespace}",
    )
    number = 1000 + sum(map(ord, app))
    return Peer(namespace, f"{app}-1", app, number, tuple(sorted(identity)), "10.244.0.9", ())


OUTSIDE = Peer("", "", "", 2, ("reserved:world",), "198.51.100.10", ())
SHOP = pod_peer("store-front")
ORDERS = pod_peer("order-service")
DNS = replace(pod_peer("coredns", "kube-system"), labels=(
    "k8s:k8s-app=kube-dns", "k8s:io.kubernetes.pod.namespace=kube-system",
    "k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=kube-system",
    "k8s:io.cilium.k8s.policy.cluster=default",
    "k8s:io.cilium.k8s.policy.serviceaccount=default",
))  # fmt: skip


def flow(**given: Any) -> SeenFlow:
    """A dropped flow: the world asks for the shop's page, and nothing allows it."""
    usual: dict[str, Any] = {
        "at": AT, "node": "default/node0", "verdict": "DROPPED", "reason": "POLICY_DENIED",
        "kind": "policy-verdict", "direction": "ingress", "source": OUTSIDE, "destination": SHOP,
        "protocol": "TCP", "port": 8080, "source_port": 51986, "flags": "SYN", "reply": None,
        "denied_by": (), "allowed_by": (), "dns_query": "", "dns_rcode": 0, "uuid": "u",
        "received": 0.0,
    }  # fmt: skip
    return SeenFlow(**{**usual, **given})


def packet(**given: Any) -> list[SeenFlow]:
    """A dropped packet as Hubble tells it: a policy verdict, and a drop."""
    at = given.pop("at", AT)
    return [
        flow(at=at, kind="policy-verdict", **given),
        flow(at=at + 0.0001, kind="drop", **given),
    ]


def lookup(name: str) -> SeenFlow:
    """A name that the DNS proxy refused to ask for."""
    return flow(
        reason="", kind="l7", direction="egress", source=ORDERS, destination=DNS,
        protocol="UDP", port=53, dns_query=f"{name}.",
    )  # fmt: skip


def policy(name: str, app: str, **spec: Any) -> dict[str, Any]:
    """A CiliumNetworkPolicy of namespace pets, as somebody wrote it before the drops."""
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {
            "name": name,
            "namespace": "pets",
            "managedFields": [
                {"manager": "kubectl-edit", "time": WRITTEN, "fieldsV1": {"f:spec": {}}}
            ],
        },
        "spec": {"endpointSelector": {"matchLabels": {"app": app}}, **spec},
    }


def storefront(*ingress: Any, **more: Any) -> dict[str, Any]:
    """The shop's policy; without rules as the workshop has it."""
    usual = {"fromEntities": ["world"], "toPorts": [{"ports": [{"port": "8080"}]}]}
    return policy("front", "store-front", ingress=list(ingress) or [usual], **more)


def applied(live: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """A live policy whose annotation says what `kubectl apply` wrote last."""
    found = deepcopy(live)
    config = {key: before[key] for key in ("apiVersion", "kind", "spec")}
    found["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps(config)
    }
    return found


def world(*policies: dict[str, Any]) -> World:
    """A cluster with the shop, the orders and a DNS server."""
    pods = [
        {
            "kind": "Pod",
            "metadata": {
                "name": f"{app}-1",
                "namespace": namespace,
                "labels": labels,
            },
            "spec": {"containers": [{"name": app, "ports": [{"containerPort": port}]}]},
            "status": {"phase": "Running", "podIP": "10.244.0.9"},
        }
        for app, namespace, labels, port in (
            ("store-front", "pets", {"app": "store-front"}, 8080),
            ("order-service", "pets", {"app": "order-service"}, 3000),
            ("coredns", "kube-system", {"k8s-app": "kube-dns"}, 53),
        )
    ]
    spaces = [{"kind": "Namespace", "metadata": {"name": n}} for n in ("pets", "kube-system")]
    return World.of([*pods, *spaces, *policies], complete=True)


def blamed(
    flows: list[SeenFlow],
    *policies: dict[str, Any],
    changes: tuple[Change, ...] = (),
    evidence: Evidence | None = None,
    events: tuple[Said, ...] = (),
) -> Blame:
    """Put the blame, with what the policies tell of themselves."""
    told = merged([*changes, *changes_of_objects(policies, "pets")])
    return blame(
        Case(flows, evidence or Evidence(), world(*policies), told, "the shop", (), events)
    )


__all__ = [
    "AT",
    "DNS",
    "ORDERS",
    "OUTSIDE",
    "SHOP",
    "WRITTEN",
    "PolicyName",
    "applied",
    "blamed",
    "flow",
    "lookup",
    "packet",
    "pod_peer",
    "policy",
    "storefront",
    "world",
]
