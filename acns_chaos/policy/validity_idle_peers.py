"""Peers that select nobody, everybody, or not whom they look like.

Belongs here: what a rule item says about peers by itself. Does not belong here: ports, other
rules, and what exists in the cluster.
Source of the facts: Cilium 1.19, peers and selectors as tabled in the semantics.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import collapse_addresses, ip_network
from typing import Any

from acns_chaos.policy.addresses import Network, parse_address, parse_prefix_or_address
from acns_chaos.policy.endpoints import NAMESPACE_LABEL_PREFIX, is_security_relevant
from acns_chaos.policy.model import EGRESS, INGRESS, Settings
from acns_chaos.policy.quoting import clipped
from acns_chaos.policy.selectors import ANY, K8S, RESERVED, Requirement, parse, parse_native

Said = tuple[str, str]

PEER_FIELDS = frozenset(
    f"{way}{kind}"
    for way in ("from", "to")
    for kind in ("Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "FQDNs", "Services")
)
_SOURCES = frozenset({ANY, K8S, RESERVED, "cidr", "cidrgroup", "fqdn", "node"})
_RESERVED = frozenset(
    {
        "health",
        "host",
        "ingress",
        "init",
        "kube-apiserver",
        "remote-node",
        "unknown",
        "unmanaged",
        "world",
        "world-ipv4",
        "world-ipv6",
    }
)
_IN_CLUSTER = re.compile(r"(^|\.)(svc|cluster\.local)\.?$")


def peer_findings(
    item: Mapping[str, Any], path: str, section: str, settings: Settings, *, alone: bool
) -> Iterator[Said]:
    """What is idle or odd about the peers of a rule item, as (path, sentence).

    Args:
        item: the stored item.
        path: where it stands.
        section: "ingress", "egress", "ingressDeny" or "egressDeny".
        settings: of the agents.
        alone: it is the only item of its section.
    """
    deny = section.endswith("Deny")
    way = "from" if section.startswith(INGRESS) else "to"
    ports = bool(item.get("toPorts") or item.get("icmps"))
    fields = [name for name in item if name.startswith(way) and name != "toPorts"]
    if not fields and not ports:
        yield from _empty_item(path, deny=deny, alone=alone)
    for name in fields:
        if item[name] == []:
            yield f"{path}.{name}", _empty_list(name, ports=ports, deny=deny)
    if item.get(f"{way}Groups"):
        yield (
            f"{path}.{way}Groups",
            (
                "an object with cloud groups is a template: none of its rules is enforced, only "
                "those of the object that the operator derives from it; look at that one."
            ),
        )
    for kind in ("Endpoints", "Nodes"):
        for number, selector in enumerate(item.get(f"{way}{kind}") or ()):
            if kind == "Endpoints":
                verb = "denies" if deny else "allows"
                here = f"{path}.{way}Endpoints[{number}]"
                yield from unseen_keys(parse(selector), here, f"it {verb} nobody")
    yield from _entities(item, path, section, ports=ports)
    yield from _cidrs(item, path, way, settings)
    if way == "to":
        yield from _services(item, path, deny=deny, ports=ports)
        yield from _names(item, path)
    if (item.get("authentication") or {}).get("mode") in {"required", "test-always-fail"}:
        yield (
            f"{path}.authentication",
            (
                "packets drop until both sides have authenticated each other, and without mesh "
                "authentication they never do; switch it on, or take the field out."
            ),
        )


def _empty_item(path: str, *, deny: bool, alone: bool) -> Iterator[Said]:
    if deny:
        yield (
            path,
            (
                "an empty deny rule denies nothing, it only switches the default-deny on; name "
                "what it is to deny (fromEntities: [all] is everybody), or take it out."
            ),
        )
    elif not alone:
        yield (
            path,
            (
                "an empty rule allows nobody, so beside other rules it adds nothing; take it "
                "out, or name whom it is to allow."
            ),
        )


def _empty_list(name: str, *, ports: bool, deny: bool) -> str:
    verb = "denies" if deny else "allows"
    if name in {"toFQDNs", "toServices", "fromGroups", "toGroups", "fromRequires", "toRequires"}:
        if ports:
            to = "denied to" if deny else "open to"
            return f"an empty list here counts as none, so the ports are {to} everybody; fill it."
        return f"an empty list here counts as none, so the rule {verb} nobody; fill it."
    closing = "" if deny else " and only keeps the default-deny on"
    return (
        f"an empty list selects nobody, so the rule {verb} nothing{closing}; name peers, or take "
        "the field out to mean everybody."
    )


def unseen_keys(conditions: Iterable[Requirement], path: str, effect: str) -> Iterator[Said]:
    """Conditions on labels that policy never sees on a pod, as (path, sentence).

    Args:
        conditions: of a label selector on endpoints.
        path: where it stands.
        effect: what follows when the condition cannot be met.
    """
    for one in conditions:
        why, said = _unseen(one), clipped(str(one))
        if why and one.operator in {"In", "Exists"}:
            yield path, f"{why}, so {said} is never met and {effect}; select by another label."
        elif why:
            yield path, f"{why}, so {said} always holds and restricts nothing; take it out."


def _unseen(one: Requirement) -> str:
    if one.source == RESERVED:
        return "" if one.key in _RESERVED else f"there is no reserved label {clipped(one.key)}"
    if one.source not in _SOURCES:
        return f"no label comes from the source {clipped(one.source)}"
    if one.source not in {ANY, K8S} or one.key.startswith(NAMESPACE_LABEL_PREFIX):
        return ""
    return "" if is_security_relevant(one.key) else f"the agents hide the label {clipped(one.key)}"


def _entities(item: Mapping[str, Any], path: str, section: str, *, ports: bool) -> Iterator[Said]:
    way = "from" if section.startswith(INGRESS) else "to"
    entities = item.get(f"{way}Entities") or ()
    for number, entity in enumerate(entities):
        here = f"{path}.{way}Entities[{number}]"
        if entity == "none":
            yield here, "nobody ever is none; name another entity, or take it out."
        elif entity in {"all", "host"} and section == "ingressDeny":
            yield (
                here,
                (
                    "it denies the node itself too, so the kubelet's probes fail; deny world and "
                    "cluster pods instead if the pods are to stay ready."
                ),
            )
    peers = any(name.startswith(way) and name != "toPorts" for name in item)
    if section == "ingressDeny" and ports and not peers:
        yield (
            path,
            (
                "a deny rule without peers denies its ports to everybody, the node and its probes "
                "included; name the peers."
            ),
        )


def _cidrs(item: Mapping[str, Any], path: str, way: str, settings: Settings) -> Iterator[Said]:
    for number, written in enumerate(item.get(f"{way}CIDR") or ()):
        yield from _prefix(written, f"{path}.{way}CIDR[{number}]", settings)
    for number, one in enumerate(item.get(f"{way}CIDRSet") or ()):
        here = f"{path}.{way}CIDRSet[{number}]"
        if one.get("cidr"):
            yield from _prefix(one["cidr"], f"{here}.cidr", settings)
            outer = parse_prefix_or_address(one["cidr"])
            holes = [parse_prefix_or_address(hole) for hole in one.get("except") or ()]
            if outer is not None and _covered(outer, [h for h in holes if h is not None]):
                yield (
                    f"{here}.except",
                    (f"the exceptions cover all of {outer}, so nobody is left; narrow them."),
                )
        groups = one.get("cidrGroupSelector")
        if groups is not None and not any(r.operator in {"In", "Exists"} for r in parse(groups)):
            yield (
                f"{here}.cidrGroupSelector",
                (
                    "without a label that must be there it also selects pods, nodes and every "
                    "address in no group; add one."
                ),
            )


def _prefix(written: str, path: str, settings: Settings) -> Iterator[Said]:
    network = parse_prefix_or_address(written)
    if network is None:
        return
    if network.version == 6 and not settings.ipv6:
        yield (
            path,
            (
                f"the cluster has no IPv6, so {network} selects nobody; write the IPv4 prefix, or "
                "the entity world."
            ),
        )
    address = parse_address(written.partition("/")[0])
    if address is not None and address != network.network_address:
        yield path, f"the host bits are ignored: it means all of {network}; write it so."


def _covered(outer: Network, holes: list[Network]) -> bool:
    same = [hole for hole in holes if hole.version == outer.version]
    return any(
        outer.subnet_of(ip_network(merged))  # type: ignore[arg-type]
        for merged in collapse_addresses(same)  # type: ignore[type-var]
    )


def _services(item: Mapping[str, Any], path: str, *, deny: bool, ports: bool) -> Iterator[Said]:
    services = item.get("toServices") or ()
    if services and deny:
        effect = "denies its ports to everybody" if ports else "denies nobody"
        yield (
            f"{path}.toServices",
            (
                f"deny rules never resolve services, so this one {effect}; name the pods with "
                "toEndpoints."
            ),
        )
        return
    for number, one in enumerate(services):
        named = one.get("k8sService") or {}
        if (named.get("serviceName"), named.get("namespace") or "default") == (
            "kubernetes",
            "default",
        ):
            yield (
                f"{path}.toServices[{number}]",
                (
                    "the API server is no pod and usually runs on a node, which addresses never "
                    "select; use toEntities: [kube-apiserver]."
                ),
            )


def _names(item: Mapping[str, Any], path: str) -> Iterator[Said]:
    for number, one in enumerate(item.get("toFQDNs") or ()):
        here = f"{path}.toFQDNs[{number}]"
        name = one.get("matchName") or one.get("matchPattern") or ""
        if parse_address(name.rstrip(".")) is not None:
            yield (
                here,
                f"{clipped(name)} is an address, and names are learnt from lookups; use toCIDR.",
            )
        elif _IN_CLUSTER.search(name.lower()):
            yield (
                here,
                (
                    f"{clipped(name)} is a name of the cluster, and toFQDNs never selects pods; "
                    "use toEndpoints or toServices."
                ),
            )
        elif one.get("matchName") and "." not in name.rstrip("."):
            yield (
                here,
                (
                    f"{clipped(name)} has no domain, and lookups ask for full names, so it never "
                    "matches; write the full name, or toEndpoints for a service of the cluster."
                ),
            )


def network_policy_findings(obj: Mapping[str, Any]) -> Iterator[Said]:
    """Where Cilium reads a NetworkPolicy otherwise than it is written, as (path, sentence)."""
    spec = obj.get("spec") or {}
    types = spec.get("policyTypes")
    yield from unseen_keys(
        parse_native(spec.get("podSelector")), "spec.podSelector", "the policy is for no pod"
    )
    for direction, field in ((INGRESS, "from"), (EGRESS, "to")):
        rules = spec.get(direction) or ()
        if rules and types and direction.capitalize() not in types:
            yield (
                f"spec.{direction}",
                (
                    f"the rules apply although policyTypes does not list {direction.capitalize()}; "
                    "list it, or take the rules out."
                ),
            )
        for number, rule in enumerate(rules):
            for index, peer in enumerate(rule.get(field) or ()):
                here = f"spec.{direction}[{number}].{field}[{index}]"
                yield from unseen_keys(
                    parse_native(peer.get("podSelector")), f"{here}.podSelector", "it allows nobody"
                )
                if direction == INGRESS and peer.get("ipBlock"):
                    yield (
                        f"{here}.ipBlock",
                        (
                            "Cilium also lets every pod of the policy's own namespace in by it; "
                            "use a CiliumNetworkPolicy with fromCIDR if that is too much."
                        ),
                    )
