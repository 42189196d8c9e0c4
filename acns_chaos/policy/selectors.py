"""Label selectors: parsing, matching, and the scoping Cilium adds to them.

Belongs here: raw label selectors in, yes or no for a set of labels out. Does not belong here:
which selectors a rule has, and what follows from a match.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from acns_chaos.policy.endpoints import CLUSTER_KEY, NAMESPACE_KEY, NAMESPACE_LABEL_PREFIX

ANY = "any"
K8S = "k8s"
RESERVED = "reserved"

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")

LabelIndex = Mapping[str, tuple[tuple[str, str], ...]]


def split_label(label: str) -> tuple[str, str, str]:
    """A label "source:key=value" in its three parts."""
    source, _, rest = label.partition(":")
    key, _, value = rest.partition("=")
    return source, key, value


@lru_cache(maxsize=65536)
def index_labels(labels: frozenset[str]) -> LabelIndex:
    """Labels by key: key to the (source, value) pairs it has."""
    index: dict[str, tuple[tuple[str, str], ...]] = {}
    for label in sorted(labels):
        source, key, value = split_label(label)
        index[key] = (*index.get(key, ()), (source, value))
    return index


def split_key(written: str, default: str = ANY) -> tuple[str, str]:
    """A written selector key as (source, key).

    Args:
        written: e.g. "app", "k8s:app", "reserved.host", "$host".
        default: the source of a key that names none.
    """
    if written.startswith("$"):
        return RESERVED, written[1:]
    source, colon, key = written.partition(":")
    if colon:
        return source or default, key
    if written.startswith("reserved."):
        return RESERVED, written.removeprefix("reserved.")
    return default, written


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label key."""

    source: str
    key: str
    operator: str
    values: frozenset[str] = frozenset()

    @property
    def negative(self) -> bool:
        """It holds where no label meets it."""
        return self.operator in {"NotIn", "DoesNotExist"}

    @property
    def any_value(self) -> bool:
        """It is about the key alone, not about its value."""
        return self.operator in {"Exists", "DoesNotExist"}

    def meets(self, source: str, value: str) -> bool:
        """Whether a label of the key, from this source, is what the condition looks for."""
        return self.source in {ANY, source} and (self.any_value or value in self.values)

    def matches(self, index: LabelIndex) -> bool:
        """Whether the labels meet the condition."""
        met = any(self.meets(source, value) for source, value in index.get(self.key, ()))
        return met is not self.negative

    def __str__(self) -> str:
        key = f"{self.source}:{self.key}" if self.source == RESERVED else self.key
        values = "|".join(sorted(self.values))
        match self.operator:
            case "In" if len(self.values) == 1:
                return f"{key}={values}" if values or self.source != RESERVED else key
            case "In":
                return f"{key} in {values}"
            case "NotIn":
                return f"{key} not in {values}"
            case "Exists":
                return key
            case _:
                return f"no {key}"


@lru_cache(maxsize=8192)
def _answers(
    requirements: tuple[Requirement, ...],  # noqa: ARG001 - the key of the cache
) -> dict[frozenset[str], bool]:
    """What equal conditions said so far: many rules of a cluster select the same."""
    return {}


@dataclass(frozen=True, slots=True, eq=False)
class Selector:
    """Conditions that must all hold. None at all: everything matches.

    Attributes:
        requirements: the conditions.
        text: for people, without the conditions that were added.
    """

    requirements: tuple[Requirement, ...]
    text: str = ""
    _seen: dict[frozenset[str], bool] | None = field(init=False, repr=False, default=None)

    def matches(self, labels: frozenset[str]) -> bool:
        """Whether an identity with these labels is selected."""
        seen = self._seen
        if seen is None:
            seen = _answers(self.requirements)
            object.__setattr__(self, "_seen", seen)
        known = seen.get(labels)
        if known is None:
            index = index_labels(labels)
            known = all(requirement.matches(index) for requirement in self.requirements)
            seen[labels] = known
        return known

    def names(self, source: str, key: str) -> bool:
        """Whether some condition is about this reserved label."""
        return any(r.source == source and r.key == key for r in self.requirements)


def parse(selector: Mapping[str, Any] | None, default_source: str = ANY) -> tuple[Requirement, ...]:
    """The conditions of a raw label selector.

    Args:
        selector: {"matchLabels": {...}, "matchExpressions": [...]}, or None.
        default_source: the label source of keys that name none.
    """
    return _conditions(selector or {}, lambda key: split_key(key, default_source))


def parse_native(selector: Mapping[str, Any] | None) -> tuple[Requirement, ...]:
    """The conditions of a raw label selector of a NetworkPolicy.

    Its keys are those of Kubernetes labels, as written: none says another source.

    Args:
        selector: {"matchLabels": {...}, "matchExpressions": [...]}, or None.
    """
    return _conditions(selector or {}, lambda key: (K8S, key))


def _conditions(
    selector: Mapping[str, Any], read: Callable[[str], tuple[str, str]]
) -> tuple[Requirement, ...]:
    conditions = [
        Requirement(*read(key), "In", frozenset({value}))
        for key, value in (selector.get("matchLabels") or {}).items()
        if value is not None  # The API server drops nulls.
    ]
    conditions += [
        Requirement(*read(item["key"]), item["operator"], frozenset(item.get("values") or ()))
        for item in selector.get("matchExpressions") or ()
    ]
    return tuple(conditions)


def describe(requirements: Iterable[Requirement]) -> str:
    """Conditions for a person, e.g. "app=web, no tier"."""
    return ", ".join(str(r) for r in requirements)


def everything(text: str = "everything") -> Selector:
    """The selector that matches all."""
    return Selector((), text)


def subject_selector(raw: Mapping[str, Any], namespace: str) -> Selector:
    """Which endpoints an endpointSelector selects.

    Args:
        raw: the endpointSelector.
        namespace: of the policy; "" for a clusterwide one, which is not limited.
    """
    own = requirements = parse(raw)
    if namespace:
        # A foreign namespace under this very key is overwritten; written in any other way it
        # stays as a second condition.
        labels = {
            key: value
            for key, value in (raw.get("matchLabels") or {}).items()
            if split_key(key) != (K8S, NAMESPACE_KEY)
        }
        forced = Requirement(K8S, NAMESPACE_KEY, "In", frozenset({namespace}))
        requirements = (*parse({**raw, "matchLabels": labels}), forced)
    return Selector(requirements, describe(own))


def peer_selector(
    raw: Mapping[str, Any], namespace: str, *, cluster: str | None, any_namespace: bool = False
) -> Selector:
    """Which identities an item of fromEndpoints or toEndpoints selects.

    Args:
        raw: the item.
        namespace: of the policy; "" for a clusterwide one.
        cluster: name of the local cluster peers are limited to, None: not limited.
        any_namespace: the rule's subject is the init identity, so a clusterwide policy adds no
            condition on the namespace.
    """
    own = parse(raw)
    text = describe(own)
    if any(r.source == RESERVED for r in own):
        return Selector(own, text)
    added: list[Requirement] = []
    if not _has_key(own, NAMESPACE_KEY):
        if not namespace:
            if not any_namespace:
                added.append(Requirement(K8S, NAMESPACE_KEY, "Exists"))
            where = "any namespace"
        elif any(r.key.startswith(NAMESPACE_LABEL_PREFIX) and r.source in {ANY, K8S} for r in own):
            where = ""
        else:
            added.append(Requirement(K8S, NAMESPACE_KEY, "In", frozenset({namespace})))
            where = f"namespace {namespace}"
        text = f"{text or 'every pod'} in {where}" if where else text
    if cluster is not None and not _has_key(own, CLUSTER_KEY):
        added.append(Requirement(K8S, CLUSTER_KEY, "In", frozenset({cluster})))
    return Selector((*own, *added), text)


def node_selector_peer(raw: Mapping[str, Any], *, cluster: str | None) -> Selector:
    """Which identities an item of fromNodes or toNodes selects: remote nodes with these labels."""
    own = parse(raw)
    added = [Requirement(RESERVED, "remote-node", "Exists")]
    if cluster is not None and not _has_key(own, CLUSTER_KEY):
        added.append(Requirement(K8S, CLUSTER_KEY, "In", frozenset({cluster})))
    return Selector((*own, *added), f"nodes {describe(own)}".strip())


def _has_key(requirements: Iterable[Requirement], key: str) -> bool:
    return any(r.key == key and r.source in {ANY, K8S} for r in requirements)
