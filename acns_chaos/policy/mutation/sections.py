"""Mistakes in what is restricted at all: sections, empty rules, default-deny, deny rules."""

from collections.abc import Iterator
from typing import Any

from acns_chaos.policy.compile import SECTIONS
from acns_chaos.policy.model import EGRESS, INGRESS
from acns_chaos.policy.mutation.edits import DROP, Edit, Family, Path, Raw, Surroundings
from acns_chaos.policy.mutation.sites import (
    PEER_KINDS,
    Item,
    blocks,
    is_native,
    members,
    other_items,
    rule_items,
)

EMPTIES = Family("empties")
DIRECTION = Family("direction")
DENY = Family("deny")

# Where a cloud's virtual machines ask for their identity.
_METADATA_SERVICE = "169.254.169.254/32"


@EMPTIES.operator(
    "ingress-from-nobody",
    "The ingress rules are replaced by one that allows nobody (fromEndpoints: []), taken for one "
    "that allows everybody.",
)
def _ingress_from_nobody(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, _block in blocks(policy):
        here = (*path, "ingress")
        yield Edit(here, ((here, [{"fromEndpoints": []}]),))


@EMPTIES.operator(
    "egress-to-nobody",
    "The egress rules are replaced by one that allows nobody (toEndpoints: []), taken for one that "
    "allows everybody.",
)
def _egress_to_nobody(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, _block in blocks(policy):
        here = (*path, "egress")
        yield Edit(here, ((here, [{"toEndpoints": []}]),))


def _without(policy: Raw, direction: str) -> Iterator[Edit]:
    for path, block in blocks(policy):
        # Deny rules too: alone they would keep the default-deny, and the direction closed.
        sections = [s for s in (direction, f"{direction}Deny") if block.get(s)]
        yield Edit((*path, direction), _taken_away(path, block, sections))


def _taken_away(path: Path, block: Raw, sections: list[str]) -> tuple[tuple[Path, Any], ...]:
    """Steps without some sections; an object with none at all would not be stored."""
    left = [section for section in SECTIONS if section in block and section not in sections]
    return tuple(((*path, section), DROP if left else []) for section in sections)


@DIRECTION.operator(
    "ingress-removed",
    "All ingress rules are taken away, so that ingress is no longer restricted (fails open).",
)
def _ingress_removed(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    yield from _without(policy, INGRESS)


@DIRECTION.operator(
    "egress-removed",
    "All egress rules are taken away, so that egress is no longer restricted (fails open).",
)
def _egress_removed(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    yield from _without(policy, EGRESS)


@EMPTIES.operator(
    "section-emptied",
    "A section is emptied (ingress: []) in the belief that this denies all; it restricts nothing.",
    native=True,
)
def _section_emptied(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, block in blocks(policy):
        for section in SECTIONS:
            if block.get(section):
                yield Edit((*path, section), (((*path, section), []),))


@EMPTIES.operator(
    "rule-emptied",
    "A rule is emptied ({}): it allows everybody in a NetworkPolicy, and nobody in Cilium's kinds.",
    native=True,
)
def _rule_emptied(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        yield Edit(item.path, ((item.path, {}),))


@EMPTIES.operator(
    "empty-rule-added",
    "An empty rule ({}) is added to allow everybody, as in a NetworkPolicy; alone it denies all.",
    native=True,
)
def _empty_rule(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, block in blocks(policy):
        for section in (INGRESS, EGRESS):
            rules = members(block, section)
            if {} not in rules:
                yield Edit((*path, section), (((*path, section), [*rules, {}]),))


@EMPTIES.operator(
    "default-deny-without-rule",
    "The rules of a direction are replaced by the default-deny switch alone, which restricts "
    "nothing without a rule.",
)
def _switch_alone(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, block in blocks(policy):
        for direction in (INGRESS, EGRESS):
            if block.get(direction):
                switches = {**(block.get("enableDefaultDeny") or {}), direction: True}
                steps: tuple[tuple[Path, Any], ...] = (
                    ((*path, direction), []),
                    ((*path, "enableDefaultDeny"), switches),
                )
                yield Edit((*path, direction), steps)


@DIRECTION.operator(
    "default-deny-off",
    "The default-deny of a direction is switched off, to try the policy out, and stays off.",
)
def _default_deny_off(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, block in blocks(policy):
        switches = block.get("enableDefaultDeny") or {}
        for direction in (INGRESS, EGRESS):
            if block.get(direction) or block.get(f"{direction}Deny"):
                here = (*path, "enableDefaultDeny")
                off = {**switches, direction: False}
                yield Edit((*here, direction), ((here, off),))


@DIRECTION.operator(
    "rule-removed",
    "A rule is removed; when it is the last of its section, the direction is no longer restricted.",
    native=True,
)
def _rule_removed(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        yield Edit(item.path, ((item.path, DROP),))


def _turned(item: Item) -> dict[str, Any]:
    """A rule item for the other direction: each from… field as to…, and the other way round."""
    way = "to" if item.way == "from" else "from"
    renamed = {f"{item.way}{kind}": f"{way}{kind}" for kind in PEER_KINDS}
    renamed[item.way] = way
    return {renamed.get(key, key): value for key, value in item.raw.items()}


@DIRECTION.operator(
    "rule-in-other-direction",
    "A rule is written under ingress instead of egress, or the other way round.",
    native=True,
)
def _other_direction(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        if "toFQDNs" in item.raw or "toServices" in item.raw:
            continue  # Ingress has no such fields.
        other = EGRESS if item.direction == INGRESS else INGRESS
        section = f"{other}Deny" if item.deny else other
        block = next(block for path, block in blocks(policy) if path == item.block)
        there = (*item.block, section)
        steps = ((item.path, DROP), (there, [*members(block, section), _turned(item)]))
        yield Edit(item.path, steps)


@DENY.operator(
    "deny-world-ingress",
    "A deny rule for everything outside the cluster is added, which beats every allow rule.",
)
def _deny_world_ingress(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    denied = {"fromEntities": ["world"]}
    for path, block in blocks(policy):
        rules = members(block, "ingressDeny")
        if denied not in rules:
            here = (*path, "ingressDeny")
            yield Edit(here, ((here, [*rules, denied]),))


@DENY.operator(
    "metadata-service-denied",
    "A deny rule for the cloud's metadata service is added; where no egress rule stood, it closes "
    "all other egress too.",
)
def _deny_metadata(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    denied = {"toCIDR": [_METADATA_SERVICE]}
    for path, block in blocks(policy):
        rules = members(block, "egressDeny")
        if denied not in rules:
            here = (*path, "egressDeny")
            yield Edit(here, ((here, [*rules, denied]),))


@DENY.operator(
    "deny-forgotten",
    "The deny rules of a direction are not written, so what an allow rule covers is open.",
)
def _deny_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for path, block in blocks(policy):
        for section in ("ingressDeny", "egressDeny"):
            if block.get(section):
                yield Edit((*path, section), _taken_away(path, block, [section]))


def _moved(policy: Raw, item: Item, section: str, rule: Raw) -> Edit:
    block = next(block for path, block in blocks(policy) if path == item.block)
    here = (*item.block, item.section)
    rest = other_items(members(block, item.section), item.number)
    there = (*item.block, section)
    return Edit(item.path, ((here, rest), (there, [*members(block, section), dict(rule)])))


@DENY.operator(
    "allow-as-deny",
    "An allow rule is written under the deny section, where it beats every allow rule.",
)
def _allow_as_deny(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        if item.native or item.deny or "toFQDNs" in item.raw:
            continue  # A deny section has no such field.
        rule = {key: value for key, value in item.raw.items() if key != "authentication"}
        if rule.get("toPorts"):
            # Nor has it layer 7.
            rule["toPorts"] = [
                {key: value for key, value in port_rule.items() if key == "ports"}
                for port_rule in rule["toPorts"]
            ]
        yield _moved(policy, item, f"{item.section}Deny", rule)


@DENY.operator(
    "deny-as-allow",
    "A deny rule is written under the allow section.",
)
def _deny_as_allow(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for item in rule_items(policy):
        if item.deny and not is_native(policy):
            yield _moved(policy, item, item.direction, item.raw)
