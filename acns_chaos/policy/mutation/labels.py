"""Mistakes in label selectors: of the subject, whose policy then stops applying, and of peers.

The same slips are made in both, with opposite effects, so each is an operator of its own.
"""

from collections.abc import Callable, Iterator
from typing import Any

from acns_chaos.policy.endpoints import METADATA_NAME
from acns_chaos.policy.mutation.edits import DROP, Edit, Family, Raw, Surroundings
from acns_chaos.policy.mutation.sites import Site, misspelt, other_items, peers, subjects
from acns_chaos.policy.selectors import split_key

SUBJECT = Family("subject")
PEERS = Family("selectors")

_OPPOSITE = {"In": "NotIn", "NotIn": "In", "Exists": "DoesNotExist", "DoesNotExist": "Exists"}

Sites = Callable[[Raw], Iterator[Site]]
Slip = Callable[[Site, Surroundings], Iterator[Edit]]


def _renamed(labels: Raw, old: str, new: str) -> dict[str, Any]:
    """Labels with one key written otherwise, in the same order."""
    return {new if key == old else key: value for key, value in labels.items()}


def _key_misspelt(site: Site, _: Surroundings) -> Iterator[Edit]:
    labels = site.raw.get("matchLabels") or {}
    for key, _value in site.labels():
        path = (*site.path, "matchLabels")
        yield Edit((*path, key), ((path, _renamed(labels, key, misspelt(key))),))
    for path, expression in site.expressions():
        yield Edit((*path, "key"), (((*path, "key"), misspelt(expression["key"])),))


def _value_misspelt(site: Site, _: Surroundings) -> Iterator[Edit]:
    for key, value in site.labels():
        if value:
            path = (*site.path, "matchLabels", key)
            yield Edit(path, ((path, misspelt(value)),))
    for path, expression in site.expressions():
        for number, value in enumerate(expression.get("values") or ()):
            here = (*path, "values", number)
            yield Edit(here, ((here, misspelt(value)),))


def _condition_forgotten(site: Site, _: Surroundings) -> Iterator[Edit]:
    if site.conditions > 1:
        for key, _value in site.labels():
            path = (*site.path, "matchLabels", key)
            yield Edit(path, ((path, DROP),))
        for path, _expression in site.expressions():
            yield Edit(path, ((path, DROP),))


def _value_forgotten(site: Site, _: Surroundings) -> Iterator[Edit]:
    for path, expression in site.expressions():
        values = list(expression.get("values") or ())
        for number in range(len(values) if len(values) > 1 else 0):
            here = (*path, "values")
            yield Edit((*here, number), ((here, other_items(values, number)),))


def _emptied(site: Site, _: Surroundings) -> Iterator[Edit]:
    yield Edit(site.path, ((site.path, {}),))


def _mistaken(site: Site, around: Surroundings) -> Iterator[Edit]:
    for key, value in site.labels():
        other = around.another_value(site.namespace, split_key(key)[1], value)
        if other:
            path = (*site.path, "matchLabels", key)
            yield Edit(path, ((path, other),), variant=other)


def _inverted(site: Site, _: Surroundings) -> Iterator[Edit]:
    for path, expression in site.expressions():
        operator = _OPPOSITE.get(str(expression.get("operator")))
        if operator:
            yield Edit(path, (((*path, "operator"), operator),))


_BOTH: tuple[tuple[str, Slip, str, str], ...] = (
    (
        "key-misspelt",
        _key_misspelt,
        "A label key of the subject is misspelt, so the policy selects nobody and fails open.",
        "A label key of a peer is misspelt, so the rule selects nobody.",
    ),
    (
        "value-misspelt",
        _value_misspelt,
        "A label value of the subject is misspelt or out of date, so the policy selects nobody.",
        "A label value of a peer is misspelt (storefront for store-front): nobody is meant.",
    ),
    (
        "condition-forgotten",
        _condition_forgotten,
        "One of several conditions on the subject is forgotten: the policy is for more pods.",
        "One of several conditions on a peer is forgotten: more peers are meant than should be.",
    ),
    (
        "value-forgotten",
        _value_forgotten,
        "One of several values in an expression about the subject is forgotten.",
        "One of several values in an expression about a peer is forgotten.",
    ),
    (
        "widened",
        _emptied,
        "The subject's selector is emptied ({}), so the policy restricts every pod around.",
        "A peer's selector is emptied ({}): every pod of the namespace, or of all, is meant.",
    ),
    (
        "mistaken",
        _mistaken,
        "The policy was copied and the subject changed to the wrong workload.",
        "The rule was copied and the peer changed to the wrong workload.",
    ),
    (
        "expression-inverted",
        _inverted,
        "An expression about the subject says the opposite (NotIn for In).",
        "An expression about a peer says the opposite: NotIn admits all that lack the label.",
    ),
)


def _everywhere(sites: Sites, slip: Slip) -> Callable[[Raw, Surroundings], Iterator[Edit]]:
    def edits(policy: Raw, around: Surroundings) -> Iterator[Edit]:
        for site in sites(policy):
            yield from slip(site, around)

    return edits


for _name, _slip, _of_subject, _of_peer in _BOTH:
    SUBJECT.operator(f"subject-{_name}", _of_subject, native=True)(_everywhere(subjects, _slip))
    PEERS.operator(f"peer-{_name}", _of_peer, native=True)(_everywhere(peers, _slip))


@PEERS.operator(
    "peer-namespace-misspelt",
    "The namespace of a peer is misspelt, so nobody is meant.",
)
def _namespace_misspelt(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for site in peers(policy):
        for key, value in site.namespace_labels():
            path = (*site.path, "matchLabels", key)
            yield Edit(path, ((path, misspelt(value)),))


@PEERS.operator(
    "peer-namespace-forgotten",
    "The namespace of a peer is not written, so only pods of the policy's own namespace are meant.",
)
def _namespace_forgotten(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for site in peers(policy):
        for key, _value in site.namespace_labels():
            path = (*site.path, "matchLabels", key)
            yield Edit(path, ((path, DROP),))


@PEERS.operator(
    "peer-namespace-by-wrong-key",
    "The namespace of a peer is written with the namespace's own label, as in a NetworkPolicy; "
    "pods have no such label.",
)
def _namespace_by_wrong_key(policy: Raw, _: Surroundings) -> Iterator[Edit]:
    for site in peers(policy):
        labels = site.raw.get("matchLabels") or {}
        for key, _value in site.namespace_labels():
            path = (*site.path, "matchLabels")
            if METADATA_NAME not in labels:
                yield Edit((*path, key), ((path, _renamed(labels, key, METADATA_NAME)),))
