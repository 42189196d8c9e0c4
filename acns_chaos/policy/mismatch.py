"""Why a rule does not match a flow, part by part, in words.

Belongs here: the words for peers and ports that miss. Does not belong here: matching itself
(`peers`, `ports`), and choosing which rule to speak of (`nearest`, `explanation`).
"""

from collections.abc import Iterable

from acns_chaos.policy.addresses import inside
from acns_chaos.policy.endpoints import CLUSTER_KEY, ENTITIES, NAMESPACE_KEY, Endpoint
from acns_chaos.policy.nearest import flow_ports
from acns_chaos.policy.peers import (
    CidrPeer,
    GroupPeer,
    LabelPeer,
    NamePeer,
    Peer,
    PeerSet,
    is_outside,
)
from acns_chaos.policy.ports import NamedPorts, PortEntry, PortSet
from acns_chaos.policy.selectors import Requirement, Selector, index_labels

__all__ = ["peer_miss", "port_miss"]

# A rule may name hundreds of peers; a sentence holds a few.
_MOST = 3


def peer_miss(peers: PeerSet, endpoint: Endpoint) -> str:
    """Why the peers of a rule do not include an endpoint.

    Args:
        peers: of the rule.
        endpoint: the other side, as rules see it.

    Returns:
        E.g. "the peer does not match: wants app=web, but app is api".
    """
    if not peers.members:
        return f"it selects nobody: {peers.why_nobody}"
    reasons = list(dict.fromkeys(_miss(member, endpoint) for member in peers.members))
    more = f"; and {len(reasons) - _MOST} more" if len(reasons) > _MOST else ""
    return f"the peer does not match: {'; or '.join(reasons[:_MOST])}{more}"


def _miss(peer: Peer, endpoint: Endpoint) -> str:
    if isinstance(peer, NamePeer):
        if not is_outside(endpoint):
            return f"wants the name {peer.text}, and names never mean pods or nodes"
        if not endpoint.fqdns:
            return f"wants an address learned under {peer.text}, and it has no known name"
        return f"wants the name {peer.text}, but it is {' and '.join(endpoint.fqdns)}"
    if isinstance(peer, CidrPeer | GroupPeer):
        return _prefix_miss(peer, endpoint)
    if isinstance(peer, LabelPeer):
        if peer.text in ENTITIES or peer.text in {"cluster", "none"}:
            return f"wants the entity {peer.text}"
        if peer.text.startswith("service "):
            return f"wants the pods of {peer.text}"
        misses = [_selector_miss(selector, endpoint) for selector in peer.selectors]
        return next((miss for miss in misses if miss), f"wants {peer.text}")
    return f"wants {peer.text}"


def _prefix_miss(peer: CidrPeer | GroupPeer, endpoint: Endpoint) -> str:
    if not is_outside(endpoint):
        return f"wants {peer.text}, and prefixes never mean pods or nodes"
    if not endpoint.ip:
        return f"wants {peer.text}, and its address is not known"
    hole = next((hole for hole in peer.excepts if inside(hole, endpoint.ip)), None)
    if hole is not None:
        return f"{endpoint.ip} is excepted by {hole} of {peer.text}"
    if isinstance(peer, CidrPeer) and peer.network.prefixlen == 0 and peer.network.version == 6:
        return f"{peer.text} matches nothing in a cluster without IPv6"
    return f"{endpoint.ip} is not in {peer.text}"


def _selector_miss(selector: Selector, endpoint: Endpoint) -> str:
    if endpoint.kind != "pod" and not any(r.source == "reserved" for r in selector.requirements):
        return f"wants pods ({selector.text})" if selector.text else "wants pods"
    index = index_labels(endpoint.labels)
    missing = [r for r in selector.requirements if not r.matches(index)]
    return " and ".join(_requirement_miss(r, endpoint) for r in missing)


def _requirement_miss(requirement: Requirement, endpoint: Endpoint) -> str:
    found = [value for _, value in index_labels(endpoint.labels).get(requirement.key, ())]
    if requirement.key == NAMESPACE_KEY and requirement.operator == "In":
        wanted = " or ".join(sorted(requirement.values))
        return f"wants namespace {wanted}, but it is in {endpoint.namespace or 'none'}"
    if requirement.key == CLUSTER_KEY and found:
        return f"wants cluster {'|'.join(sorted(requirement.values))}, but it is in {found[0]}"
    if not found:
        return f"wants {requirement}, which it lacks"
    return f"wants {requirement}, but {requirement.key} is {' and '.join(found)}"


def port_miss(
    ports: PortSet,
    port: int,
    protocol: str,
    destination: Endpoint,
    named: NamedPorts,
) -> str:
    """Why the ports of a rule do not include a flow's.

    Args:
        ports: of the rule.
        port: destination port, or ICMP type.
        protocol: of the flow.
        destination: who is asked; its container ports are what it listens on, if known.
        named: what port names mean.

    Returns:
        E.g. "port is 80 and the pod listens on 8080".
    """
    if not ports.entries:
        return "its list of ports is empty"
    unknown = [
        e.name
        for e in ports.entries
        if e.name and not any(named(e.name, p) is not None for p in e.protocols)
    ]
    if unknown and len(unknown) == len(ports.entries):
        return f"port {' and '.join(dict.fromkeys(unknown))} is a name that no container port has"
    asked = flow_ports(port, protocol)
    if any(_only_protocol_differs(e, port, protocol, named) for e in ports.entries):
        protocols = sorted({p for e in ports.entries for p in e.protocols})
        return f"protocol is {' or '.join(protocols)} and {asked} is asked for"
    if protocol.startswith("ICMP"):
        return f"it is for {ports.text} and {asked} is asked for"
    rule = _numbers(ports.entries, protocol, named) or ports.text.removeprefix("port ")
    listens = [number for number, p in destination.ports if p == protocol]
    if port in listens:
        return f"port is {rule} and the pod listens on {_listed(listens)}"
    return f"port is {rule} and {asked} is asked for"


def _only_protocol_differs(entry: PortEntry, port: int, protocol: str, named: NamedPorts) -> bool:
    return protocol not in entry.protocols and any(
        entry.matches(port, other, named) for other in entry.protocols
    )


def _numbers(entries: Iterable[PortEntry], protocol: str, named: NamedPorts) -> str:
    """The rule's ports of a protocol: "80 or 8000-8080"; a name with its number."""
    texts = []
    for entry in entries:
        if protocol not in entry.protocols:
            continue
        if entry.name:
            number = named(entry.name, protocol)
            texts.append(entry.name if number is None else f"{entry.name} ({number})")
        elif entry.low == entry.high:
            texts.append(str(entry.low))
        else:
            texts.append(f"{entry.low}-{entry.high}")
    return " or ".join(dict.fromkeys(texts))


def _listed(numbers: Iterable[int]) -> str:
    return " and ".join(str(number) for number in sorted(set(numbers)))
