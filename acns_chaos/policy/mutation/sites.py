"""The places in a policy object where mistakes are made: rule items, selectors, labels, ports.

Belongs here: walking raw objects of the three kinds. Does not belong here: changing them. Objects
are taken as agents import them; what is absent, null or empty is simply no place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.policy.compile import SECTIONS
from acns_chaos.policy.endpoints import NAMESPACE_KEY
from acns_chaos.policy.model import EGRESS, INGRESS
from acns_chaos.policy.mutation.edits import Path, Raw
from acns_chaos.policy.selectors import split_key

PEER_KINDS = ("Endpoints", "Entities", "CIDR", "CIDRSet", "Nodes", "FQDNs", "Services")


def is_native(policy: Raw) -> bool:
    """Whether it is Kubernetes' own NetworkPolicy."""
    return policy.get("kind") == "NetworkPolicy"


def blocks(policy: Raw) -> Iterator[tuple[Path, Raw]]:
    """Each rule block of an object: `spec` and every item of `specs`."""
    if policy.get("spec"):
        yield ("spec",), policy["spec"]
    for number, spec in enumerate(policy.get("specs") or ()):
        yield ("specs", number), spec


@dataclass(frozen=True, slots=True)
class Item:
    """One rule item.

    Attributes:
        raw: the item.
        block: path of its rule block.
        section: "ingress", "egress", "ingressDeny" or "egressDeny".
        number: its index there.
        native: it stands in a NetworkPolicy.
        namespace: of the policy.
    """

    raw: Raw
    block: Path
    section: str
    number: int
    native: bool
    namespace: str

    @property
    def path(self) -> Path:
        """Where it stands."""
        return (*self.block, self.section, self.number)

    @property
    def deny(self) -> bool:
        """It denies."""
        return self.section.endswith("Deny")

    @property
    def direction(self) -> str:
        """Which one its section is about: "ingress" or "egress"."""
        return SECTIONS[self.section]

    @property
    def way(self) -> str:
        """How its peer fields begin."""
        return "from" if self.direction == INGRESS else "to"

    def peer_fields(self, *, empty: bool = False) -> list[str]:
        """The peer fields it has.

        Args:
            empty: those with an empty list, instead of those that name somebody.
        """
        names = [self.way] if self.native else [f"{self.way}{kind}" for kind in PEER_KINDS]
        if empty:
            return [name for name in names if self.raw.get(name) == []]
        return [name for name in names if self.raw.get(name)]

    @property
    def ports_field(self) -> str:
        """What its list of ports is called."""
        return "ports" if self.native else "toPorts"

    def port_rules(self) -> Iterator[tuple[Path, Raw]]:
        """Each toPorts item; of a NetworkPolicy, the rule itself when it has ports."""
        if self.native:
            if self.raw.get("ports"):
                yield self.path, self.raw
            return
        for number, port_rule in enumerate(self.raw.get("toPorts") or ()):
            yield (*self.path, "toPorts", number), port_rule

    def ports(self) -> Iterator[tuple[Path, Raw]]:
        """Each port entry."""
        for path, port_rule in self.port_rules():
            for number, port in enumerate(port_rule.get("ports") or ()):
                yield (*path, "ports", number), port


def rule_items(policy: Raw) -> Iterator[Item]:
    """Every rule item of an object."""
    native = is_native(policy)
    metadata = policy.get("metadata") or {}
    clusterwide = policy.get("kind") == "CiliumClusterwideNetworkPolicy"
    namespace = "" if clusterwide else str(metadata.get("namespace") or "default")
    for path, block in blocks(policy):
        for section in (INGRESS, EGRESS) if native else SECTIONS:
            for number, raw in enumerate(block.get(section) or ()):
                yield Item(raw, path, section, number, native, namespace)


@dataclass(frozen=True, slots=True)
class Site:
    """A label selector and whose pods it is about.

    Attributes:
        path: where it stands.
        raw: the selector.
        namespace: of the pods it selects, as far as it says; "" for any.
    """

    path: Path
    raw: Raw
    namespace: str

    def labels(self) -> Iterator[tuple[str, str]]:
        """Its matchLabels, those for the namespace left out."""
        for key, value in (self.raw.get("matchLabels") or {}).items():
            if not is_namespace(key):
                yield key, value

    def namespace_labels(self) -> Iterator[tuple[str, str]]:
        """Its matchLabels for the namespace."""
        for key, value in (self.raw.get("matchLabels") or {}).items():
            if is_namespace(key):
                yield key, value

    def expressions(self) -> Iterator[tuple[Path, Raw]]:
        """Its matchExpressions."""
        for number, expression in enumerate(self.raw.get("matchExpressions") or ()):
            yield (*self.path, "matchExpressions", number), expression

    @property
    def conditions(self) -> int:
        """How many conditions it has."""
        both = (self.raw.get("matchLabels") or {}, self.raw.get("matchExpressions") or ())
        return sum(len(conditions) for conditions in both)


def is_namespace(key: str) -> bool:
    """Whether a selector key is about the pods' namespace."""
    return split_key(key)[1] == NAMESPACE_KEY


def subjects(policy: Raw) -> Iterator[Site]:
    """The selectors of the pods that the policy is for."""
    name = "podSelector" if is_native(policy) else "endpointSelector"
    clusterwide = policy.get("kind") == "CiliumClusterwideNetworkPolicy"
    namespace = "" if clusterwide else str(policy["metadata"].get("namespace") or "default")
    for path, block in blocks(policy):
        if block.get(name) is not None:
            yield Site((*path, name), block[name], namespace)


def peers(policy: Raw) -> Iterator[Site]:
    """The selectors of pods among the peers."""
    for item in rule_items(policy):
        for field in item.peer_fields():
            for number, raw in enumerate(item.raw[field]):
                path = (*item.path, field, number)
                if item.native:
                    if raw.get("podSelector") is not None:
                        there = "" if raw.get("namespaceSelector") else item.namespace
                        yield Site((*path, "podSelector"), raw["podSelector"], there)
                elif field.endswith("Endpoints"):
                    yield Site(path, raw, _namespace_meant(raw, item.namespace))


def _namespace_meant(selector: Raw, own: str) -> str:
    for key, value in (selector.get("matchLabels") or {}).items():
        if is_namespace(key):
            return str(value)
    return own


def cidrs(policy: Raw) -> Iterator[tuple[Path, str, Raw]]:
    """Every written prefix: its path, the prefix, and the set it stands in ({} for none)."""
    for item in rule_items(policy):
        for field in item.peer_fields():
            for number, raw in enumerate(item.raw[field]):
                path = (*item.path, field, number)
                if isinstance(raw, str):
                    if field.endswith("CIDR"):
                        yield path, raw, {}
                elif item.native and raw.get("ipBlock"):
                    yield (
                        (*path, "ipBlock", "cidr"),
                        raw["ipBlock"].get("cidr") or "",
                        raw["ipBlock"],
                    )
                elif field.endswith("CIDRSet") and raw.get("cidr"):
                    yield (*path, "cidr"), raw["cidr"], raw


def names(policy: Raw) -> Iterator[tuple[Path, Raw, bool]]:
    """Every item of toFQDNs and of DNS rules: its path, the item, and whether it is of a DNS rule.

    A NetworkPolicy has none.
    """
    for item in rule_items(policy):
        if item.native:
            continue
        for number, raw in enumerate(item.raw.get("toFQDNs") or ()):
            yield (*item.path, "toFQDNs", number), raw, False
        for path, port_rule in item.port_rules():
            for number, raw in enumerate((port_rule.get("rules") or {}).get("dns") or ()):
                yield (*path, "rules", "dns", number), raw, True


def misspelt(word: str) -> str:
    """A word with a slip of the pen: a lost dash, or two letters swapped, or one more.

    What comes out is a label value, a name or a port name wherever the word is one.
    """
    start, dash, rest = word.partition("-")
    if dash and start and rest:
        return start + rest
    for index in range(len(word) - 2, -1, -1):
        one, two = word[index], word[index + 1]
        if one != two and one.isalnum() and two.isalnum():
            return word[:index] + two + one + word[index + 2 :]
    return word + (word[-1:] if word[-1:].isalnum() else "x")


def other_items(values: list[Any], number: int) -> list[Any]:
    """A list without one of its items."""
    return [*values[:number], *values[number + 1 :]]


def members(raw: Mapping[str, Any], name: str) -> list[Any]:
    """A list field, [] when it is absent or null."""
    return list(raw.get(name) or ())
