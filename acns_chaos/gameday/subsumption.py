"""Mutants that tell nothing new: they turn the same flows as another one of the same policy.

Belongs here: which of them stands for the others. Does not belong here: which are run, and when
(`selection`).

Nobody can notice the one and miss the other, whatever watches flows: that somebody sees the object
itself change is no detector of a mistake, as the mistake is what was meant.
"""

import re
from collections.abc import Iterable

from acns_chaos.policy.mutants import Mutant

__all__ = ["in_rule", "part_of", "rank", "subsumed"]

# Where real mistakes are, first: in whom a policy and its rules select, not in numbers.
_FAMILIES = (
    "selectors",
    "subject",
    "peers",
    "entities",
    "cidr",
    "services",
    "fqdn",
    "dns",
    "empties",
    "direction",
    "deny",
    "ports",
    "protocol",
    "http",
    "object",
)
_RANKS = {family: number for number, family in enumerate(_FAMILIES)}

_RULE = re.compile(r"specs?(?:\[[0-9]+\])?\.(?:in|e)gress(?:Deny)?\[[0-9]+\]")
_SUBJECT = re.compile(r"specs?(?:\[[0-9]+\])?\.(?:endpointSelector|podSelector|nodeSelector)")
WHOLE = "the whole policy"


def rank(mutant: Mutant) -> int:
    """The place of a mutant's family in the order: selectors and labels before ports."""
    return _RANKS.get(mutant.family, len(_FAMILIES))


def part_of(mutant: Mutant) -> str:
    """The part of its policy that a mutant is a mistake in.

    Returns:
        A rule ("spec.ingress[0]"), the subject ("spec.endpointSelector"), or WHOLE for a section
        and for the object itself.
    """
    found = _RULE.match(mutant.place) or _SUBJECT.match(mutant.place)
    return found[0] if found else WHOLE


def in_rule(part: str) -> bool:
    """Whether a part is a rule."""
    return _RULE.fullmatch(part) is not None


def subsumed(mutants: Iterable[Mutant]) -> dict[str, str]:
    """The mutants for which another one stands.

    Args:
        mutants: classed, none of them equivalent or invalid, in the order of `mutants`.

    Returns:
        The id of each that is left out, to the id of the one that is kept: that of the first
        family, of these one in a rule, of these the first. It does not depend on a seed or on
        history: a mutant keeps its name from day to day.
    """
    kept: dict[tuple[object, ...], Mutant] = {}
    found: dict[str, str] = {}
    # Sorting is stable: among equals the given order stays.
    for mutant in sorted(mutants, key=lambda one: (rank(one), not in_rule(part_of(one)))):
        turned = mutant.radius.as_json()
        flows = (mutant.policy, tuple(turned["closed"]), tuple(turned["opened"]))
        first = kept.setdefault(flows, mutant)
        if first is not mutant:
            found[mutant.id] = first.id
    return found
