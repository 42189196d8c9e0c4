"""Which mutants a day runs, and in which order.

Belongs here: choosing among classed mutants. Does not belong here: making them (`policy.mutants`),
which of them can be witnessed (`sight`), and how long one takes (`estimate`). Pure: the same
arguments give the same list.

Out go those that nobody could notice, those that cannot be injected or witnessed, and those for
which another one stands. The rest is run in rounds: in each round every part of every policy gives
one mutant, rules before subjects and whole policies, policies by turns. Within a part closing and
opening ones take turns, and of each what has waited longest comes first, then the family where
real mistakes are. A seed decides what is left open.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, zip_longest

from acns_chaos.gameday.subsumption import in_rule, part_of, rank, subsumed
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.mutants import EQUIVALENT, INVALID, OPENS, Mutant

__all__ = ["LeftOut", "Selection", "select"]

NEVER = datetime.min.replace(tzinfo=UTC)

REASONS = (
    "equivalent",
    "invalid",
    "not injectable",
    "beyond the limits",
    "not witnessed",
    "subsumed",
    "no room",
)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A mutant that is not run.

    Attributes:
        mutant: its id.
        reason: one of REASONS.
        why: more of it: a sentence, or the id of the mutant that stands for it; "" for nothing.
    """

    mutant: str
    reason: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is run, in order, and what is not.

    Attributes:
        chosen: the mutants.
        left: all others.
        uncovered: the rules of which no mutant is run, each to the reason.
        seed: that decided what was left open.
    """

    chosen: tuple[Mutant, ...]
    left: tuple[LeftOut, ...] = ()
    uncovered: Mapping[tuple[ObjectRef, str], str] = field(default_factory=dict)
    seed: int = 0

    def counts(self) -> dict[str, int]:
        """How many are left out for each reason."""
        counted = Counter(one.reason for one in self.left)
        return {reason: counted[reason] for reason in REASONS if counted[reason]}


def select(
    mutants: Sequence[Mutant],
    *,
    unseen: Mapping[str, str],
    beyond: Callable[[Mutant], str] = lambda _: "",
    rules: Iterable[tuple[ObjectRef, str]] = (),
    most: int = 0,
    budget: float = 0.0,
    seconds: Callable[[Mutant], float] = lambda _: 0.0,
    waited: Mapping[str, datetime] | None = None,
    seed: int = 0,
) -> Selection:
    """Choose.

    Args:
        mutants: all that the plan means, classed.
        unseen: id of each that cannot be witnessed, to the reason.
        beyond: why a mutant reaches further than the plan allows, "" when it does not.
        rules: every rule of the policies: the object, and a place such as "spec.ingress[0]".
        most: how many at most; 0 is no limit.
        budget: seconds that all of them may take; 0 is no limit.
        seconds: that a mutant takes at most.
        waited: id of each mutant that was judged before, to when it last was, with a time zone.
        seed: decides between those that are equal otherwise.
    """
    known = waited or {}
    left = [LeftOut(*one) for one in _unfit(mutants, unseen, beyond)]
    out = {one.mutant for one in left}
    fit = [mutant for mutant in mutants if mutant.id not in out]
    doubles = subsumed(fit)
    left += [LeftOut(one, "subsumed", doubles[one]) for one in doubles]
    fit = [mutant for mutant in fit if mutant.id not in doubles]
    ordered = list(_in_rounds(fit, known, seed))
    room = _room(ordered, most, budget, seconds)
    chosen = tuple(ordered[:room])
    left += [LeftOut(mutant.id, "no room") for mutant in ordered[room:]]
    return Selection(chosen, tuple(left), _uncovered(chosen, ordered, mutants, rules), seed)


def _unfit(
    mutants: Iterable[Mutant], unseen: Mapping[str, str], beyond: Callable[[Mutant], str]
) -> Iterator[tuple[str, str, str]]:
    for mutant in mutants:
        if mutant.effect == EQUIVALENT:
            yield mutant.id, "equivalent", ""
        elif mutant.effect == INVALID:
            yield mutant.id, "invalid", next(iter(mutant.problems), "")
        elif not mutant.injectable:
            yield mutant.id, "not injectable", "it does more than rewrite one object"
        elif why := beyond(mutant):
            yield mutant.id, "beyond the limits", why
        elif mutant.id in unseen:
            yield mutant.id, "not witnessed", unseen[mutant.id]


def _in_rounds(
    fit: Iterable[Mutant], waited: Mapping[str, datetime], seed: int
) -> Iterator[Mutant]:
    # Sorted first: the order of what was given decides nothing.
    queue = sorted(fit, key=lambda mutant: mutant.id)
    chance = random.Random(seed)  # noqa: S311 - repeatable, no secret
    chance.shuffle(queue)
    lots = {mutant.id: number for number, mutant in enumerate(queue)}

    def urgency(mutant: Mutant) -> tuple[datetime, int, int]:
        return waited.get(mutant.id, NEVER), rank(mutant), lots[mutant.id]

    parts: dict[tuple[ObjectRef, str], list[Mutant]] = {}
    for mutant in queue:
        parts.setdefault((mutant.policy, part_of(mutant)), []).append(mutant)
    policies: dict[ObjectRef, list[tuple[tuple[object, ...], list[Mutant]]]] = {}
    for (policy, part), members in parts.items():
        # A part has waited since any mistake in it was last made.
        last = max(waited.get(mutant.id, NEVER) for mutant in members)
        turns = _by_turns(sorted(members, key=urgency))
        order = (not in_rule(part), last, lots[turns[0].id])
        policies.setdefault(policy, []).append((order, turns))
    columns = [
        (min(order for order, _ in found), [turns for _, turns in sorted(found, key=_first)])
        for found in policies.values()
    ]
    columns.sort(key=_first)
    for number in range(max((len(one) for one in parts.values()), default=0)):
        for kind in (True, False):
            rows = (_round(found, number, rules=kind) for _, found in columns)
            mixed: Iterable[Mutant | None] = chain.from_iterable(zip_longest(*rows))
            yield from (mutant for mutant in mixed if mutant is not None)


def _first(pair: tuple[tuple[object, ...], object]) -> tuple[object, ...]:
    return pair[0]


def _round(parts: Iterable[list[Mutant]], number: int, *, rules: bool) -> list[Mutant]:
    """What one policy gives in a round: one mutant of each of its parts."""
    return [
        members[number]
        for members in parts
        if len(members) > number and in_rule(part_of(members[number])) is rules
    ]


def _by_turns(members: Iterable[Mutant]) -> list[Mutant]:
    """Closing and opening ones by turns, the more urgent kind first; both have detectors."""
    listed = list(members)
    first = listed[0].effect == OPENS
    kinds = [[m for m in listed if (m.effect == OPENS) is kind] for kind in (first, not first)]
    return [one for pair in zip_longest(*kinds) for one in pair if one is not None]


def _room(
    ordered: Sequence[Mutant], most: int, budget: float, seconds: Callable[[Mutant], float]
) -> int:
    """How many of them there is room for: it ends with the first that does not fit."""
    taken = 0.0
    for number, mutant in enumerate(ordered):
        taken += seconds(mutant) if budget else 0.0
        if (most and number >= most) or taken > budget > 0:
            return number
    return len(ordered)


def _uncovered(
    chosen: Iterable[Mutant],
    fit: Iterable[Mutant],
    mutants: Iterable[Mutant],
    rules: Iterable[tuple[ObjectRef, str]],
) -> dict[tuple[ObjectRef, str], str]:
    covered, possible, meant = (
        {(mutant.policy, part_of(mutant)) for mutant in group} for group in (chosen, fit, mutants)
    )
    return {
        rule: (
            "there is no room for it"
            if rule in possible
            else "no mistake in it is one of its own that could be noticed and witnessed"
            if rule in meant
            else "the plan means no mistake in it"
        )
        for rule in rules
        if rule not in covered
    }
