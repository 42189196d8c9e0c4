"""The agent's sanitizer: what keeps a stored object from being imported.

Belongs here: the checks of a whole rule, its selectors and peers. Does not belong here: ports and
layer 7 (`validity_ports`), and what the API server refuses before any agent sees it
(`validity_schema`). For a NetworkPolicy the API server makes these very checks itself.
Source of the facts: Cilium 1.19, rule validation, as tabled in the semantics.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.policy import names
from acns_chaos.policy.addresses import inside, parse_prefix, parse_prefix_or_address
from acns_chaos.policy.compile import SECTIONS, specs
from acns_chaos.policy.model import EGRESS, INGRESS, ObjectRef, Settings
from acns_chaos.policy.peer_fields import ENTITIES
from acns_chaos.policy.quoting import clipped, shown
from acns_chaos.policy.selectors import OPERATORS, split_key
from acns_chaos.policy.validity_ports import network_policy_ports, port_findings

_KEY_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_KEY_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")

_PEER_FIELDS = ("Endpoints", "CIDR", "CIDRSet", "Entities", "Nodes", "Groups")
_ONLY_EGRESS = ("toServices", "toFQDNs")


Findings = Iterator[tuple[str, str]]


def agent_findings(obj: Mapping[str, Any], ref: ObjectRef, settings: Settings) -> Findings:
    """Why the agents would not import an object, as (path, finding).

    Args:
        obj: a raw policy object whose shape is right.
        ref: its reference.
        settings: of the agents.
    """
    return _network_policy(obj) if ref.kind == "NetworkPolicy" else _cilium(obj, ref, settings)


def _cilium(obj: Mapping[str, Any], ref: ObjectRef, settings: Settings) -> Findings:
    blocks = list(specs(obj))
    if not blocks:
        yield clipped(str(ref)), "the object must have spec or specs"
    for path, spec in blocks:
        yield from _subject(spec, path, ref)
        if not any(spec.get(section) for section in SECTIONS):
            yield path, f"a rule must have at least one of {', '.join(SECTIONS)} that is not empty"
        host = spec.get("nodeSelector") is not None
        for section, direction in SECTIONS.items():
            deny = section.endswith("Deny")
            for number, item in enumerate(spec.get(section) or ()):
                here = f"{path}.{section}[{number}]"
                yield from _peers(item, here, direction, settings, deny=deny)
                yield from port_findings(item, here, direction, settings, deny=deny, host=host)


def _subject(spec: Mapping[str, Any], path: str, ref: ObjectRef) -> Findings:
    endpoints, nodes = spec.get("endpointSelector"), spec.get("nodeSelector")
    if endpoints is None and nodes is None:
        yield path, "a rule must have one of endpointSelector and nodeSelector"
    if endpoints is not None and nodes is not None:
        yield path, "a rule cannot have both endpointSelector and nodeSelector"
    if nodes is not None and ref.namespace:
        yield path, "a rule of a CiliumNetworkPolicy cannot have a nodeSelector"
    for name in ("endpointSelector", "nodeSelector"):
        if spec.get(name) is not None:
            yield from selector_findings(spec[name], f"{path}.{name}")


def selector_findings(selector: Mapping[str, Any], path: str) -> Findings:
    """What is malformed in a label selector, as (path, finding)."""
    for key, value in (selector.get("matchLabels") or {}).items():
        yield from _key(key, f"{path}.matchLabels")
        if value is not None and not _VALUE.fullmatch(value):
            yield f"{path}.matchLabels", f"{shown(value)} is not a label value"
    for number, item in enumerate(selector.get("matchExpressions") or ()):
        here = f"{path}.matchExpressions[{number}]"
        operator, values = item.get("operator"), item.get("values") or ()
        yield from _key(item.get("key") or "", here)
        if operator not in OPERATORS:
            yield (
                here,
                f"operator {shown(operator)} is not known; use one of {', '.join(OPERATORS)}",
            )
        elif operator in {"In", "NotIn"} and not values:
            yield here, f"operator {operator} needs values"
        elif operator in {"Exists", "DoesNotExist"} and values:
            yield here, f"operator {operator} takes no values"
        for value in values:
            if not _VALUE.fullmatch(value):
                yield here, f"{shown(value)} is not a label value"


def _key(written: str, path: str) -> Findings:
    _, key = split_key(written)
    prefix, slash, name = key.rpartition("/")
    good_prefix = not slash or (len(prefix) <= 253 and _KEY_PREFIX.fullmatch(prefix))
    if not good_prefix or not _KEY_NAME.fullmatch(name):
        yield path, f"{shown(written)} is not a label key"


def _peers(
    item: Mapping[str, Any], path: str, direction: str, settings: Settings, *, deny: bool
) -> Findings:
    way = "from" if direction == INGRESS else "to"
    kinds = [f"{way}{kind}" for kind in _PEER_FIELDS]
    if direction == EGRESS:
        # A deny item has no toFQDNs: the API server prunes the field.
        kinds += _ONLY_EGRESS if not deny else _ONLY_EGRESS[:1]
    used = [kind for kind in kinds if item.get(kind)]
    if len(used) > 1:
        yield path, f"combining {used[0]} and {used[1]} is not supported; make two rules of it"
    for name in (f"{way}Endpoints", f"{way}Nodes"):
        for number, selector in enumerate(item.get(name) or ()):
            yield from selector_findings(selector, f"{path}.{name}[{number}]")
    if item.get(f"{way}Nodes") and not settings.node_selector_labels:
        yield path, f"{way}Nodes needs the agent option enable-node-selector-labels"
    for entity in item.get(f"{way}Entities") or ():
        if entity not in ENTITIES:
            yield path, f"unsupported entity {shown(entity)}; use one of {', '.join(ENTITIES)}"
    for cidr in item.get(f"{way}CIDR") or ():
        if parse_prefix_or_address(cidr) is None:
            yield path, f"{shown(cidr)} is neither an address nor a prefix"
    for number, raw in enumerate(item.get(f"{way}CIDRSet") or ()):
        yield from _cidr_set(raw, f"{path}.{way}CIDRSet[{number}]")
    if direction == EGRESS:
        yield from _egress_peers(item, path, deny=deny)


def _egress_peers(item: Mapping[str, Any], path: str, *, deny: bool) -> Findings:
    for number, raw in enumerate(item.get("toServices") or ()):
        # The schema checks this one before any agent sees it.
        selector = (raw.get("k8sServiceSelector") or {}).get("selector") or {}
        yield from selector_findings(selector, f"{path}.toServices[{number}]")
    if deny:
        return
    for number, raw in enumerate(item.get("toFQDNs") or ()):
        finding = names.problem(raw)
        if finding:
            yield f"{path}.toFQDNs[{number}]", finding


def _cidr_set(raw: Mapping[str, Any], path: str) -> Findings:
    sources = [name for name in ("cidr", "cidrGroupRef") if raw.get(name)]
    if raw.get("cidrGroupSelector") is not None:
        sources.append("cidrGroupSelector")
        yield from selector_findings(raw["cidrGroupSelector"], f"{path}.cidrGroupSelector")
    if len(sources) != 1:
        number = "more than one" if sources else "none"
        yield path, f"{number} of cidr, cidrGroupRef and cidrGroupSelector is set; set exactly one"
        return
    yield from _prefix_with_holes(raw, path)


def _prefix_with_holes(raw: Mapping[str, Any], path: str) -> Findings:
    """A prefix and its `except` list. Only where a hole begins is checked, not where it ends."""
    cidr = raw.get("cidr")
    outer = parse_prefix(cidr) if cidr else None
    if cidr and outer is None:
        yield path, f"unable to parse the prefix {shown(cidr)}"
        return
    for written in raw.get("except") or ():
        hole = parse_prefix(written)
        if hole is None:
            yield path, f"unable to parse the except prefix {shown(written)}"
        elif outer is not None and not inside(outer, written.partition("/")[0]):
            yield path, f"prefix {cidr} does not contain the except prefix {written}"


def _network_policy(obj: Mapping[str, Any]) -> Findings:
    spec = obj.get("spec") or {}
    yield from selector_findings(spec.get("podSelector") or {}, "spec.podSelector")
    for direction, field in ((INGRESS, "from"), (EGRESS, "to")):
        for number, rule in enumerate(spec.get(direction) or ()):
            path = f"spec.{direction}[{number}]"
            for index, peer in enumerate(rule.get(field) or ()):
                here = f"{path}.{field}[{index}]"
                for name in ("podSelector", "namespaceSelector"):
                    yield from selector_findings(peer.get(name) or {}, f"{here}.{name}")
                block = peer.get("ipBlock")
                if block is not None and not block.get("cidr"):
                    yield here, "ipBlock needs a cidr"
                elif block is not None:
                    yield from _prefix_with_holes(block, here)
            yield from network_policy_ports(rule, path)
