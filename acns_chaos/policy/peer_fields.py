"""From the peer fields of a rule item to peers.

Belongs here: what each field means, and the difference between an absent and an empty one. Does
not belong here: matching (`peers`), and the fields of a NetworkPolicy (`networkpolicy`).
Source of the facts: Cilium 1.19, as tabled in the semantics.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.policy import names, services
from acns_chaos.policy.addresses import (
    GROUP_NAME_KEY,
    GROUP_SOURCE,
    CidrGroup,
    parse_prefix_or_address,
)
from acns_chaos.policy.endpoints import CLUSTER_KEY, NAMESPACE_KEY
from acns_chaos.policy.model import INGRESS, Settings
from acns_chaos.policy.peers import CidrPeer, GroupPeer, LabelPeer, NamePeer, Peer, PeerSet
from acns_chaos.policy.selectors import (
    K8S,
    RESERVED,
    Requirement,
    Selector,
    describe,
    everything,
    node_selector_peer,
    parse,
    peer_selector,
)
from acns_chaos.policy.services import Service

ENTITIES = (
    "all",
    "world",
    "world-ipv4",
    "world-ipv6",
    "cluster",
    "host",
    "remote-node",
    "kube-apiserver",
    "health",
    "ingress",
    "init",
    "unmanaged",
    "none",
)
_CLUSTER_ENTITIES = (
    "host",
    "remote-node",
    "init",
    "ingress",
    "health",
    "unmanaged",
    "kube-apiserver",
)


@dataclass(frozen=True, slots=True)
class World:
    """What rules refer to outside themselves.

    Attributes:
        settings: of the agents.
        services: all services.
        groups: all CIDR groups.
    """

    settings: Settings
    services: tuple[Service, ...] = ()
    groups: tuple[CidrGroup, ...] = ()

    @property
    def peer_cluster(self) -> str | None:
        """The cluster that peers are limited to by default."""
        return self.settings.cluster_name if self.settings.default_local_cluster else None


def entity_peer(entity: str, cluster_name: str) -> LabelPeer:
    """The peer that an entity means.

    Args:
        entity: one of ENTITIES.
        cluster_name: of the local cluster.
    """
    if entity == "all":
        return LabelPeer((everything(),), entity)
    if entity == "world":
        return LabelPeer(_reserved("world", "world-ipv4", "world-ipv6"), entity)
    if entity == "cluster":
        local = Requirement(K8S, CLUSTER_KEY, "In", frozenset({cluster_name}))
        return LabelPeer((*_reserved(*_CLUSTER_ENTITIES), Selector((local,))), entity)
    return LabelPeer(_reserved(entity), entity)


def _reserved(*labels: str) -> tuple[Selector, ...]:
    return tuple(Selector((Requirement(RESERVED, label, "Exists"),)) for label in labels)


def cidr_peer(cidr: str, excepts: Iterable[str], world: World) -> CidrPeer | None:
    """The peer that a prefix with exceptions means, or None when it is not a prefix."""
    network = parse_prefix_or_address(cidr)
    if network is None:
        return None
    holes = tuple(n for n in map(parse_prefix_or_address, excepts) if n is not None)
    text = cidr + (f" except {', '.join(str(hole) for hole in holes)}" if holes else "")
    return CidrPeer(network, holes, text, world.settings.ipv6)


def cidr_set_peer(item: Mapping[str, Any], world: World) -> Peer | None:
    """The peer that an item of fromCIDRSet or toCIDRSet means."""
    excepts = item.get("except") or ()
    if item.get("cidr"):
        return cidr_peer(item["cidr"], excepts, world)
    holes = tuple(n for n in map(parse_prefix_or_address, excepts) if n is not None)
    name = item.get("cidrGroupRef")
    if name:
        wanted = (Requirement(GROUP_SOURCE, GROUP_NAME_KEY + name, "Exists"),)
        return GroupPeer(wanted, holes, world.groups, f"CIDR group {name}")
    requirements = parse(item.get("cidrGroupSelector"), GROUP_SOURCE)
    text = f"CIDR groups with {describe(requirements)}"
    return GroupPeer(requirements, holes, world.groups, text)


def service_peers(items: Iterable[Mapping[str, Any]], world: World) -> list[Peer]:
    """The peers that toServices means now."""
    found: list[Peer] = []
    for item in items:
        for service in services.meant(item, world.services):
            text = f"service {service.namespace}/{service.name}"
            if service.selector:
                found.append(LabelPeer((_service_selector(service, world),), text))
            else:
                cidrs = (cidr_peer(ip, (), world) for ip in service.backends)
                found.extend(peer for peer in cidrs if peer is not None)
    return found


def _service_selector(service: Service, world: World) -> Selector:
    wanted = [Requirement(K8S, k, "In", frozenset({v})) for k, v in service.selector]
    wanted.append(Requirement(K8S, NAMESPACE_KEY, "In", frozenset({service.namespace})))
    if world.peer_cluster is not None:
        wanted.append(Requirement(K8S, CLUSTER_KEY, "In", frozenset({world.peer_cluster})))
    return Selector(tuple(wanted))


def rule_peers(
    item: Mapping[str, Any],
    direction: str,
    world: World,
    *,
    namespace: str,
    deny: bool,
    has_ports: bool,
    any_namespace: bool = False,
) -> PeerSet:
    """The peers of one rule item of a CiliumNetworkPolicy or its clusterwide form.

    Args:
        item: an item of ingress, egress, ingressDeny or egressDeny.
        direction: "ingress" or "egress".
        world: what the item refers to.
        namespace: of the policy, "" for a clusterwide one.
        deny: it is a deny item: it knows no names, and its toServices is never resolved.
        has_ports: it is restricted by toPorts or icmps.
        any_namespace: see selectors.peer_selector.
    """
    way = "from" if direction == INGRESS else "to"
    limited = [f"{way}{kind}" for kind in ("Endpoints", "CIDR", "CIDRSet", "Entities", "Nodes")]
    for name in limited:
        if item.get(name) == []:
            return PeerSet(why_nobody=f"its {name} is an empty list")

    cluster = world.peer_cluster
    selectors = [
        peer_selector(raw, namespace, cluster=cluster, any_namespace=any_namespace)
        for raw in item.get(f"{way}Endpoints") or ()
    ]
    selectors += [node_selector_peer(raw, cluster=cluster) for raw in item.get(f"{way}Nodes") or ()]
    members: list[Peer] = [LabelPeer((selector,), selector.text) for selector in selectors]
    members += [
        entity_peer(entity, world.settings.cluster_name)
        for entity in item.get(f"{way}Entities") or ()
    ]
    cidrs: list[Peer | None] = [cidr_peer(c, (), world) for c in item.get(f"{way}CIDR") or ()]
    cidrs += [cidr_set_peer(raw, world) for raw in item.get(f"{way}CIDRSet") or ()]
    members += [peer for peer in cidrs if peer is not None]
    if direction != INGRESS and not deny:
        members += [NamePeer(names.NameMatch.of(raw)) for raw in item.get("toFQDNs") or ()]
        members += service_peers(item.get("toServices") or (), world)
    if members:
        return PeerSet(tuple(members))
    if has_ports:
        return PeerSet(everyone=True)
    if item.get("toServices"):
        return PeerSet(why_nobody="its toServices finds no service")
    return PeerSet(why_nobody="it names no peer and no port")
