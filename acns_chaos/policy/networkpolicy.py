"""Kubernetes NetworkPolicy, the way Cilium translates it.

Belongs here: only that translation, with its two opposite conventions (an empty rule and an
empty `from` mean everybody). Does not belong here: anything of Cilium's own kinds.
Source of the facts: Cilium 1.19, pkg/k8s/network_policy.go, as tabled in the semantics.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.policy.endpoints import CLUSTER_KEY, NAMESPACE_KEY, NAMESPACE_LABEL_PREFIX
from acns_chaos.policy.model import EGRESS, INGRESS
from acns_chaos.policy.peer_fields import World, cidr_peer
from acns_chaos.policy.peers import LabelPeer, Peer, PeerSet
from acns_chaos.policy.ports import PortEntry, PortSet, port_entry
from acns_chaos.policy.selectors import K8S, Requirement, Selector, describe, parse_native


def subject(policy: Mapping[str, Any], namespace: str) -> Selector:
    """The pods that a NetworkPolicy is for."""
    own = pods_of_namespace((policy.get("spec") or {}).get("podSelector"))
    return Selector((*own, _in_namespace(namespace)), describe(own))


def pods_of_namespace(selector: Mapping[str, Any] | None) -> tuple[Requirement, ...]:
    """The conditions of a podSelector on pods of the policy's own namespace.

    Args:
        selector: the raw podSelector.

    Returns:
        All that it says, but a namespace among its matchLabels: Cilium overwrites that one.
    """
    labels = (selector or {}).get("matchLabels") or {}
    if NAMESPACE_KEY in labels:
        kept = {key: value for key, value in labels.items() if key != NAMESPACE_KEY}
        selector = {**(selector or {}), "matchLabels": kept}
    return parse_native(selector)


def pods_of_peer(peer: Mapping[str, Any]) -> tuple[Requirement, ...]:
    """The conditions on the pods of a peer, an item of `from` or `to`."""
    if peer.get("namespaceSelector") is None:
        return pods_of_namespace(peer.get("podSelector"))
    return parse_native(peer.get("podSelector"))


def items(
    policy: Mapping[str, Any], namespace: str, world: World
) -> Iterator[tuple[str, str, PeerSet, PortSet]]:
    """Its rules as (path, direction, peers, ports).

    A section with rules applies whatever policyTypes says; policyTypes only decides which empty
    section denies.
    """
    spec = policy.get("spec") or {}
    types = spec.get("policyTypes") or ()
    for direction, field in ((INGRESS, "from"), (EGRESS, "to")):
        rules = spec.get(direction) or ()
        for number, rule in enumerate(rules):
            peers = _peers(rule.get(field) or (), direction, namespace, world)
            yield f"spec.{direction}[{number}]", direction, peers, _ports(rule.get("ports") or ())
        listed = direction.capitalize() in types
        if not rules and (listed or (direction == INGRESS and "Egress" not in types)):
            nobody = PeerSet(why_nobody="it has no rule for this direction")
            yield f"spec.{direction}", direction, nobody, PortSet(all=True)


def _peers(raw: Any, direction: str, namespace: str, world: World) -> PeerSet:
    if not raw:
        return PeerSet(everyone=True)
    members: list[Peer] = []
    for peer in raw:
        block = peer.get("ipBlock")
        selects = peer.get("podSelector") is not None or peer.get("namespaceSelector") is not None
        # On ingress the cluster label makes a selector out of an absent one, so an ipBlock
        # also admits the pods of the policy's own namespace.
        if selects or (direction == INGRESS and world.peer_cluster is not None):
            members.append(label_peer(peer, namespace, world))
        if block:
            found = cidr_peer(block.get("cidr") or "", block.get("except") or (), world)
            if found is not None:
                members.append(found)
    return PeerSet(tuple(members))


def label_peer(peer: Mapping[str, Any], namespace: str, world: World) -> LabelPeer:
    """Whom the podSelector and namespaceSelector of a peer select.

    Args:
        peer: an item of `from` or `to`.
        namespace: of the policy.
        world: what the peer refers to.
    """
    pods = pods_of_peer(peer)
    wanted = list(pods)
    raw_namespaces = peer.get("namespaceSelector")
    if raw_namespaces is None:
        wanted.append(_in_namespace(namespace))
        where = f"namespace {namespace}"
    else:
        namespaces = parse_native(raw_namespaces)
        where = f"namespaces with {describe(namespaces)}" if namespaces else "any namespace"
        wanted += [
            Requirement(K8S, NAMESPACE_LABEL_PREFIX + r.key, r.operator, r.values)
            for r in namespaces
        ] or [Requirement(K8S, NAMESPACE_KEY, "Exists")]
    if world.peer_cluster is not None and not any(r.key == CLUSTER_KEY for r in pods):
        wanted.append(Requirement(K8S, CLUSTER_KEY, "In", frozenset({world.peer_cluster})))
    return LabelPeer((Selector(tuple(wanted)),), f"{describe(pods) or 'every pod'} in {where}")


def _in_namespace(namespace: str) -> Requirement:
    return Requirement(K8S, NAMESPACE_KEY, "In", frozenset({namespace}))


def _ports(raw: Any) -> PortSet:
    if not raw:
        return PortSet(all=True)
    entries: list[PortEntry] = []
    for item in raw:
        port = item.get("port")
        written = {
            "port": "0" if port is None else str(port),
            "endPort": item.get("endPort"),
            "protocol": item.get("protocol") or "TCP",
        }
        entries.append(port_entry(written, None))
    return PortSet(tuple(entries))
