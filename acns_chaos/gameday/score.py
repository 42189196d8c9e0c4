"""Scores: how many of the mistakes somebody would have noticed, and who.

Belongs here: counting results. Does not belong here: reading them (`results`, `merge`), what counts
come to (`tally`), what would have noticed the rest (`suggest`), and words for people
(`score_text`).

Two directions, never mixed: faults that close flows are judged by the detectors that the plan has
for availability, those that open some by those for security, those that do both by either, in
each. What nobody noticed survived, also where a detector had no data. What was seen in force, and
nobody is known to have noticed, is undecided where that cannot be said, as a detector could not
tell: it counts as not noticed, as what is left out would make a score of nothing. What was not run,
or in a run that proves nothing (the fault was not seen in force, or somebody noticed and its
evidence is not whole), is unknown: it is in no score, and listed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.plan_values import AVAILABILITY, SECURITY
from acns_chaos.gameday.results import (
    BOTH,
    CLOSES,
    KILLED,
    OPENS,
    SURVIVED,
    UNKNOWN,
    Detected,
    Result,
)
from acns_chaos.gameday.tally import Tally, wilson

__all__ = [
    "DIRECTIONS",
    "UNDECIDED",
    "Judges",
    "Score",
    "Standing",
    "Tally",
    "directions_of",
    "missed_in",
    "require_one_kind",
    "score",
    "shortfalls",
    "status_in",
    "status_of",
    "undecided_in",
    "ways_of",
    "why_undecided",
    "wilson",
]

DIRECTIONS: Mapping[str, tuple[str, ...]] = {AVAILABILITY: (CLOSES, BOTH), SECURITY: (OPENS, BOTH)}
"""Which mutants each direction is about."""

Judges = Mapping[str, frozenset[str]]
"""The name of a detector, to the directions that a plan has it for."""

UNDECIDED = "undecided"
"""How a mutant fared that was in force, and of which nobody can tell whether it was noticed."""

_ANY = frozenset(DIRECTIONS)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a detector is worth.

    Attributes:
        name: of it.
        kind: "alert" or "claim".
        judges: which directions it counts in.
        asked: mutants of those directions of which it could tell.
        kills: those that it noticed.
        alone: those that nobody would have noticed without it.
        first: those that it noticed before all others.
        unable: why it could not tell of others, to how many; the most first.
        median_ms: how long it took, in the middle; None without a kill.
    """

    name: str
    kind: str
    judges: tuple[str, ...]
    asked: int
    kills: int
    alone: int
    first: int
    unable: Mapping[str, int]
    median_ms: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "for": list(self.judges),
            "asked": self.asked,
            "kills": self.kills,
            "alone": self.alone,
            "first": self.first,
            "unable": sum(self.unable.values()),
            "unable_why": dict(self.unable),
            "median_ms": self.median_ms,
        }


@dataclass(frozen=True, slots=True)
class Score:
    """What a day comes to.

    Attributes:
        overall: each mutant once: killed when noticed in any of its directions.
        directions: AVAILABILITY and SECURITY.
        detectors: what each is worth, most kills first.
        policies: of each policy, as `overall`.
        families: of each family of mistakes, as `overall`.
        survivors: the results of those that nobody noticed in some direction; those with a signal
            first, as they are the cheapest to mend.
        undecided: the results of those of which nobody can tell in some direction, and that
            survived in none.
        unknown: the results of those that were not run, or in a run that proves nothing.
        results: all of them.
    """

    overall: Tally
    directions: Mapping[str, Tally]
    detectors: tuple[Standing, ...]
    policies: Mapping[str, Tally]
    families: Mapping[str, Tally]
    survivors: tuple[Result, ...]
    undecided: tuple[Result, ...]
    unknown: tuple[Result, ...]
    results: tuple[Result, ...] = field(repr=False)

    def as_json(self, judges: Judges | None = None) -> dict[str, Any]:
        """Plain JSON: `score.json`, but for what `suggest` adds to the survivors."""
        places = {(one.place.kind, one.place.label, one.place.uid) for one in self.results}
        return {
            "schema": 1,
            "days": sorted({one.day for one in self.results}),
            "places": [
                {"kind": kind, "label": label, "uid": uid} for kind, label, uid in sorted(places)
            ],
            "mutants": len(self.results),
            "overall": self.overall.as_json(),
            "directions": {name: one.as_json() for name, one in self.directions.items()},
            "detectors": [one.as_json() for one in self.detectors],
            "policies": {name: one.as_json() for name, one in self.policies.items()},
            "families": {name: one.as_json() for name, one in self.families.items()},
            "survivors": [
                {
                    "day": one.day,
                    "shard": one.shard,
                    "mutant": one.mutant,
                    "class": one.effect,
                    "missed": list(missed_in(one, judges)),
                    "mistake": one.mistake,
                    "signals": [signal.name for signal in one.signals if signal.rose],
                    "experiment": one.experiment,
                    "journal": one.journal,
                }
                for one in self.survivors
            ],
            "undecided": [
                {
                    "day": one.day,
                    "shard": one.shard,
                    "mutant": one.mutant,
                    "in": list(undecided_in(one, judges)),
                    "why": why_undecided(one, judges),
                }
                for one in self.undecided
            ],
            "unknown": [
                {"day": one.day, "shard": one.shard, "mutant": one.mutant, "why": one.why}
                for one in self.unknown
            ],
        }


def directions_of(result: Result) -> tuple[str, ...]:
    """The directions that a mutant is judged in."""
    return tuple(name for name, effects in DIRECTIONS.items() if result.effect in effects)


def status_in(result: Result, direction: str, judges: Judges | None = None) -> str:
    """How a mutant fared in one direction.

    Args:
        result: of it.
        direction: AVAILABILITY or SECURITY.
        judges: what the plan has each detector for, where the result's line does not say.

    Returns:
        KILLED, SURVIVED, UNDECIDED or UNKNOWN; "" when the direction is not about it.
    """
    if direction not in directions_of(result):
        return ""
    words = [one.noticed for one in result.detectors if direction in ways_of(one, judges)]
    if result.status == UNKNOWN:
        # Noticed in a run that proves nothing, it may have been killed, and did not survive.
        return UNDECIDED if result.bit and True not in words else UNKNOWN
    if result.status == KILLED and True in words:
        return KILLED
    return UNDECIDED if None in words else SURVIVED


def status_of(result: Result, judges: Judges | None = None) -> str:
    """How a mutant fared: KILLED when it was noticed in any of its directions."""
    told = {status_in(result, direction, judges) for direction in directions_of(result)}
    return next((one for one in (KILLED, SURVIVED, UNDECIDED) if one in told), UNKNOWN)


def missed_in(result: Result, judges: Judges | None = None) -> tuple[str, ...]:
    """The directions in which nobody noticed a mutant."""
    every = directions_of(result)
    return tuple(one for one in every if status_in(result, one, judges) == SURVIVED)


def undecided_in(result: Result, judges: Judges | None = None) -> tuple[str, ...]:
    """The directions in which nobody can tell whether a mutant was noticed."""
    every = directions_of(result)
    return tuple(one for one in every if status_in(result, one, judges) == UNDECIDED)


def why_undecided(result: Result, judges: Judges | None = None) -> str:
    """Why nobody can tell whether a mutant was noticed, where `undecided_in` names a direction."""
    ways = {*undecided_in(result, judges)}
    mute = [o for o in result.detectors if o.noticed is None and ways_of(o, judges) & ways]
    told = "; ".join(f"{one.name}: {one.why or 'no reason is given'}" for one in mute)
    return result.why if result.status == UNKNOWN else told


def score(results: Iterable[Result], judges: Judges | None = None) -> Score:
    """Count the results of one day.

    Args:
        results: each mutant of each shard once.
        judges: what the plan has each detector for, where a result's line does not say; a detector
            of which neither says it counts in both directions.

    Raises:
        GameDayError: some are of the lab and some of a cluster, or a mutant is there twice.
    """
    found = sorted(results, key=lambda one: (one.shard, one.position, one.mutant, one.day))
    require_one_kind(found)
    _require_once(found)
    left = [one for one in found if missed_in(one, judges)]
    unclear = (one for one in found if undecided_in(one, judges) and not missed_in(one, judges))
    return Score(
        overall=_tally((one, status_of(one, judges)) for one in found),
        directions={
            way: _tally((one, status_in(one, way, judges)) for one in found) for way in DIRECTIONS
        },
        detectors=_standings(found, judges),
        policies=_grouped(found, judges, lambda one: one.policy),
        families=_grouped(found, judges, lambda one: one.family),
        survivors=tuple(sorted(left, key=lambda one: not _signalled(one))),
        undecided=tuple(unclear),
        unknown=tuple(one for one in found if status_of(one, judges) == UNKNOWN),
        results=tuple(found),
    )


def shortfalls(scored: Score, minimum: Mapping[str, float], *, selects: bool = True) -> list[str]:
    """Why a day is not good enough, one sentence each; none when it is.

    Args:
        scored: the day.
        minimum: a direction, to the least score; one without it always passes. A direction of which
            no mutant was judged reaches none, and a day of which none was does not pass: no data
            is no pass.
        selects: whether mutants were to be run; a day of a plan's own experiments needs none.
    """
    found: list[str] = []
    if not scored.overall.decided and (selects or scored.results):
        found.append(f"No mutant was judged: {_undecided(scored.overall) or 'none was run'}.")
    for direction, least in minimum.items():
        tally = scored.directions[direction]
        if tally.score is None or not tally.decided:
            why = f": {_undecided(tally)}" if tally.undecided else ""
            found.append(
                f"The score for {direction} must be {least:.1%}, and no mutant of that direction "
                f"was judged{why}."
            )
        elif tally.score < least - 1e-9:
            found.append(
                f"The score for {direction} is {tally.score:.1%}, and must be {least:.1%}: "
                f"{tally.survived} of {tally.judged} survived"
                + (f", and {tally.undecided} are undecided." if tally.undecided else ".")
            )
    return found


def _undecided(tally: Tally) -> str:
    """Of how many nothing is known; "" for none."""
    every = {UNDECIDED: tally.undecided, UNKNOWN: tally.unknown}
    told = [f"{count} are {name}" for name, count in every.items() if count]
    return f"all {told[0]}" if len(told) == 1 else " and ".join(told)


def ways_of(one: Detected, judges: Judges | None) -> frozenset[str]:
    """The directions that a detector counts in; arguments as for `status_in`."""
    return frozenset(one.judges) or (judges or {}).get(one.name) or _ANY


def _signalled(result: Result) -> bool:
    return any(signal.rose for signal in result.signals)


def _tally(told: Iterable[tuple[Result, str]]) -> Tally:
    counts = dict.fromkeys((KILLED, SURVIVED, UNDECIDED, UNKNOWN, ""), 0)
    signalled = 0
    for result, status in told:
        counts[status] += 1
        signalled += status == SURVIVED and _signalled(result)
    return Tally(counts[KILLED], counts[SURVIVED], counts[UNDECIDED], counts[UNKNOWN], signalled)


def _grouped(
    found: Iterable[Result], judges: Judges | None, name_of: Callable[[Result], str]
) -> dict[str, Tally]:
    groups: dict[str, list[tuple[Result, str]]] = {}
    for one in found:
        groups.setdefault(name_of(one), []).append((one, status_of(one, judges)))
    return {name: _tally(groups[name]) for name in sorted(groups)}


def _standings(found: Sequence[Result], judges: Judges | None) -> tuple[Standing, ...]:
    names = {one.name: one for result in found for one in result.detectors}
    made = [_standing(name, names[name].kind, found, judges) for name in names]
    return tuple(sorted(made, key=lambda one: (-one.kills, one.name)))


def _standing(name: str, kind: str, found: Sequence[Result], judges: Judges | None) -> Standing:
    times: list[float] = []
    asked = kills = alone = first = 0
    unable: Counter[str] = Counter()
    ways: frozenset[str] = frozenset()
    for result in found:
        own = next((one for one in result.detectors if one.name == name), None)
        if own is None:
            continue
        ways |= ways_of(own, judges)
        if not ways_of(own, judges) & {*directions_of(result)}:
            continue
        if status_of(result, judges) == UNKNOWN:
            continue
        asked += own.noticed is not None
        if own.noticed is None:
            unable[own.why or "no reason is given"] += 1
        if not own.noticed or result.status != KILLED:
            continue
        kills += 1
        alone += not _noticed_by_others(result, name, judges)
        first += result.by == name
        if own.after_ms is not None:
            times.append(own.after_ms)
    ordered = tuple(way for way in DIRECTIONS if way in ways)
    middle = round(median(times), 1) if times else None
    whys = dict(sorted(unable.items(), key=lambda pair: (-pair[1], pair[0])))
    return Standing(name, kind, ordered, asked, kills, alone, first, whys, middle)


def _noticed_by_others(result: Result, name: str, judges: Judges | None) -> bool:
    ways = {*directions_of(result)}
    return any(
        one.noticed and one.name != name and ways_of(one, judges) & ways for one in result.detectors
    )


def require_one_kind(found: Iterable[Result]) -> None:
    """Refuse results of the lab among those of clusters.

    Raises:
        GameDayError: there are both.
    """
    kinds = {one.place.kind: one for one in found}
    if len(kinds) > 1:
        lab, real = kinds["lab"], kinds["cluster"]
        raise GameDayError(
            f"The results of day {real.day} are of a cluster and those of day {lab.day} of the "
            "lab: what was simulated and what was real is never one score. Score them apart."
        )


def _require_once(found: Sequence[Result]) -> None:
    seen: dict[tuple[str, str], Result] = {}
    for one in found:
        other = seen.setdefault((one.shard, one.mutant), one)
        if other is not one:
            days = f"of day {one.day}" if one.day == other.day else f"of {other.day} and {one.day}"
            raise GameDayError(
                f"The mutant {one.mutant} of shard {one.shard} is there twice, {days}: unite the "
                "results of one day with `acns-chaos gameday merge` first."
            )
