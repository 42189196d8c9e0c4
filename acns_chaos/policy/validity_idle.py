"""The third layer: objects in force that do nothing, or not what they look like.

Belongs here: what concerns a whole object or a rule block (empty sections, default-deny, the
subject), and asking the others. Does not belong here: peers (`validity_idle_peers`), ports and
layer 7 (`validity_idle_ports`), rules that other rules make idle (`validity_idle_pairs`), and what
only the rest of the cluster can tell (`validity_world`).
Source of the facts: Cilium 1.19, the semantics of empty and absent fields, and captures of a real
cluster.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.policy.compile import SECTIONS, Rule, compile_policy, specs
from acns_chaos.policy.endpoints import NAMESPACE_KEY
from acns_chaos.policy.model import EGRESS, INGRESS, ObjectRef, Settings
from acns_chaos.policy.peer_fields import World
from acns_chaos.policy.quoting import clipped, shown
from acns_chaos.policy.selectors import K8S, parse, split_key
from acns_chaos.policy.validity_idle_pairs import pair_findings, unlearnt
from acns_chaos.policy.validity_idle_peers import (
    PEER_FIELDS,
    network_policy_findings,
    peer_findings,
    unseen_keys,
)
from acns_chaos.policy.validity_idle_ports import port_findings
from acns_chaos.policy.validity_neighbours import Neighbours
from acns_chaos.policy.validity_world import lookups_elsewhere, world_findings

Said = tuple[str, str]
"""(path, sentence)"""


def idle_findings(
    stored: Mapping[str, Any],
    raw: Mapping[str, Any],
    ref: ObjectRef,
    settings: Settings,
    world: Neighbours | None,
) -> Iterator[Said]:
    """What is idle in an object that is stored and imported, as (path, sentence).

    Args:
        stored: the object without nulls and unknown fields.
        raw: the object as written.
        ref: its reference.
        settings: of the agents.
        world: the rest of the cluster, None when not known.
    """
    yield from _object(stored, ref, settings)
    if ref.kind == "NetworkPolicy":
        yield from network_policy_findings(stored)
    else:
        yield from _nulls(raw)
    blocks = [] if ref.kind == "NetworkPolicy" else list(specs(stored))
    for path, spec in blocks:
        yield from _subject(spec, path, ref, settings)
        yield from _sections(spec, path)
        yield from _default_deny(spec, path, settings)
        for section in SECTIONS:
            items = spec.get(section) or ()
            for number, item in enumerate(items):
                where = f"{path}.{section}[{number}]"
                yield from peer_findings(item, where, section, settings, alone=len(items) == 1)
                yield from port_findings(item, where, section, spec, ref)
    rules = compiled(stored, settings, world)
    yield from pair_findings(stored, rules)
    elsewhere = lookups_elsewhere(rules, ref, settings, world) if world is not None else []
    if blocks:
        yield from unlearnt(stored, elsewhere)
    if world is not None:
        yield from world_findings(stored, ref, rules, settings, world)


def compiled(
    stored: Mapping[str, Any], settings: Settings, world: Neighbours | None
) -> tuple[Rule, ...]:
    """The rules of an object that is imported."""
    return compile_policy(stored, world.referred if world is not None else World(settings))


def _object(stored: Mapping[str, Any], ref: ObjectRef, settings: Settings) -> Iterator[Said]:
    if settings.enforcement == "never":
        yield (
            "spec",
            (
                "the agents enforce no policy at all (policy enforcement mode never), so nothing "
                "of it happens; set the mode to default."
            ),
        )
    if ref.kind == "CiliumClusterwideNetworkPolicy" and stored["metadata"].get("namespace"):
        yield (
            "metadata.namespace",
            (
                "a clusterwide policy has no namespace, so it applies to every namespace; take the "
                "field out, or make it a CiliumNetworkPolicy."
            ),
        )


def _nulls(raw: Mapping[str, Any]) -> Iterator[Said]:
    """Sections, peers and labels that are null: the API server drops them."""
    for path, spec in specs(raw):
        yield from _null_labels(spec.get("endpointSelector"), f"{path}.endpointSelector")
        for section, direction in SECTIONS.items():
            if section in spec and spec[section] is None:
                yield (
                    f"{path}.{section}",
                    (
                        f"null is dropped, as if there were no {section}: it neither opens nor "
                        f"closes {direction}; write [{{}}] to close it, or take the field out."
                    ),
                )
            for number, item in enumerate(spec.get(section) or ()):
                yield from _null_peers(item, f"{path}.{section}[{number}]", section)


def _null_peers(item: Mapping[str, Any], path: str, section: str) -> Iterator[Said]:
    for name in sorted(PEER_FIELDS & item.keys()):
        if item[name] is None and (item.get("toPorts") or item.get("icmps")):
            verb = "denied to" if section.endswith("Deny") else "open to"
            yield (
                f"{path}.{name}",
                (
                    f"null is dropped, as if no peer were named, so the ports are {verb} "
                    "everybody; name the peers, or take the rule out."
                ),
            )
    for name in ("fromEndpoints", "toEndpoints"):
        for number, selector in enumerate(item.get(name) or ()):
            yield from _null_labels(selector, f"{path}.{name}[{number}]")


def _null_labels(selector: Mapping[str, Any] | None, path: str) -> Iterator[Said]:
    for key, value in ((selector or {}).get("matchLabels") or {}).items():
        if value is None:
            yield (
                f"{path}.matchLabels",
                (
                    f"{shown(key)} is null, which is dropped, so that pods are selected whatever "
                    "that label says; give it a value, or use matchExpressions."
                ),
            )


def _sections(spec: Mapping[str, Any], path: str) -> Iterator[Said]:
    for section, direction in SECTIONS.items():
        if spec.get(section) != []:
            continue
        if section.endswith("Deny"):
            yield (
                f"{path}.{section}",
                (
                    "an empty list denies nothing, as if it were not there; name what it is to "
                    "deny, or take it out."
                ),
            )
        elif spec.get(f"{direction}Deny"):
            yield (
                f"{path}.{section}",
                (
                    f"an empty list allows nobody, and the denies beside it close {direction} by "
                    "their default-deny; name what is to be allowed, or take it out."
                ),
            )
        else:
            yield (
                f"{path}.{section}",
                (
                    f"an empty list does not close {direction}: it leaves {direction} open to "
                    f"everybody unless another policy restricts it; write {direction}: [{{}}] to "
                    "close it."
                ),
            )


def _default_deny(spec: Mapping[str, Any], path: str, settings: Settings) -> Iterator[Said]:
    switches = spec.get("enableDefaultDeny") or {}
    for direction in (INGRESS, EGRESS):
        here = f"{path}.enableDefaultDeny.{direction}"
        allows, denies = spec.get(direction), spec.get(f"{direction}Deny")
        switch = switches.get(direction)
        if switch is False and not settings.non_default_deny:
            yield (
                here,
                (
                    "the agents ignore it (enable-non-default-deny-policies is off), so the "
                    "default-deny is on; switch the option on, or take the setting out."
                ),
            )
        elif switch is not None and not allows and not denies:
            if switch:
                yield (
                    here,
                    (
                        f"it closes nothing, because it rides on rules and there is no rule for "
                        f"{direction}, which stays open; write {direction}: [{{}}] to close it."
                    ),
                )
            else:
                yield (
                    here,
                    (
                        f"it switches nothing off, because there is no rule for {direction}; take "
                        "it out."
                    ),
                )
        elif switch is False and allows:
            yield (
                here,
                (
                    f"without default-deny the allow rules of {direction} restrict nothing: what "
                    "they do not name passes too, unless another policy closes it, and layer-7 "
                    "rules only watch; take the setting out if they are to restrict."
                ),
            )
        if denies and not allows and (switch is not False or not settings.non_default_deny):
            yield (
                f"{path}.{direction}Deny",
                (
                    f"deny rules close all of {direction}, not only what they name, since no rule "
                    f"here allows the rest; set enableDefaultDeny.{direction} to false, or add "
                    "rules that allow the rest."
                ),
            )


def _subject(
    spec: Mapping[str, Any], path: str, ref: ObjectRef, settings: Settings
) -> Iterator[Said]:
    if spec.get("nodeSelector") is not None:
        if not settings.host_firewall:
            yield (
                f"{path}.nodeSelector",
                (
                    "the host firewall is off, so no policy for nodes is enforced; switch it on, "
                    "or select pods with endpointSelector."
                ),
            )
        return
    selector = spec["endpointSelector"]
    here = f"{path}.endpointSelector"
    yield from unseen_keys(parse(selector), here, "the policy is for no pod")
    if not ref.namespace:
        return
    for key, value in (selector.get("matchLabels") or {}).items():
        if split_key(key) == (K8S, NAMESPACE_KEY) and value != ref.namespace:
            yield (
                here,
                (
                    f"the namespace {shown(value)} is overwritten with the policy's own, so it is "
                    f"for pods of {ref.namespace}; put the policy into {value}, or make it "
                    "clusterwide."
                ),
            )
            return
    for one in parse(selector):
        written = (K8S, NAMESPACE_KEY, "In", frozenset({ref.namespace}))
        if one.key == NAMESPACE_KEY and (one.source, one.key, one.operator, one.values) != written:
            fits = (ref.namespace in one.values) is (one.operator == "In")
            if one.operator == "DoesNotExist" or (one.operator in {"In", "NotIn"} and not fits):
                yield (
                    here,
                    (
                        f"it is for pods of {ref.namespace} only, and {clipped(str(one))} "
                        "excludes those, so it selects nothing; put the policy into the "
                        "namespace of its pods."
                    ),
                )
                return
