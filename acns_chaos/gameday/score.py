"""Scores: how many of the mistakes somebody would have noticed, and who.

Belongs here: counting results. Does not belong here: reading them (`results`, `merge`), what would
have noticed the rest (`suggest`), and words for people (`score_text`).

Two directions, never mixed: faults that close flows are judged by the detectors that the plan has
for availability, those that open some by those for security, those that do both by either, in
each. What nobody noticed survived, also where a detector had no data. What was not run, or was not
seen in force, is unknown: it is in no score, and listed.
"""

import math
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

__all__ = [
    "DIRECTIONS",
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
    "ways_of",
    "wilson",
]

DIRECTIONS: Mapping[str, tuple[str, ...]] = {AVAILABILITY: (CLOSES, BOTH), SECURITY: (OPENS, BOTH)}
"""Which mutants each direction is about."""

Judges = Mapping[str, frozenset[str]]
"""The name of a detector, to the directions that a plan has it for."""

# Of a normal distribution, 95 % lie within so many standard deviations.
_Z = 1.959963984540054
_ANY = frozenset(DIRECTIONS)


@dataclass(frozen=True, slots=True)
class Tally:
    """How mutants fared.

    Attributes:
        killed: somebody noticed.
        survived: nobody did.
        unknown: not run, or not seen in force; not in the score.
        signalled: of those that survived, how many made a counter or flows rise: the signal was
            there, and nothing was listening.
    """

    killed: int = 0
    survived: int = 0
    unknown: int = 0
    signalled: int = 0

    @property
    def judged(self) -> int:
        """How many the score is about."""
        return self.killed + self.survived

    @property
    def score(self) -> float | None:
        """The part that was noticed, 0 to 1; None where nothing was judged."""
        return self.killed / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval: what the score says of mistakes that were not among these."""
        return wilson(self.killed, self.judged)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        interval = self.interval
        return {
            "killed": self.killed,
            "survived": self.survived,
            "unknown": self.unknown,
            "signalled": self.signalled,
            "judged": self.judged,
            "score": None if self.score is None else round(self.score, 6),
            "interval": None if interval is None else [round(end, 6) for end in interval],
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """What a detector is worth.

    Attributes:
        name: of it.
        kind: "alert" or "claim".
        judges: which directions it counts in.
        asked: mutants of those directions that it could judge.
        kills: those that it noticed.
        alone: those that nobody would have noticed without it.
        first: those that it noticed before all others.
        unable: those that it could not judge, as it had been firing before.
        median_ms: how long it took, in the middle; None without a kill.
    """

    name: str
    kind: str
    judges: tuple[str, ...]
    asked: int
    kills: int
    alone: int
    first: int
    unable: int
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
            "unable": self.unable,
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
        unknown: the results of those that are not judged.
        results: all of them.
    """

    overall: Tally
    directions: Mapping[str, Tally]
    detectors: tuple[Standing, ...]
    policies: Mapping[str, Tally]
    families: Mapping[str, Tally]
    survivors: tuple[Result, ...]
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
            "unknown": [
                {"day": one.day, "shard": one.shard, "mutant": one.mutant, "why": one.why}
                for one in self.unknown
            ],
        }


def wilson(killed: int, judged: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a part of a whole; None of nothing.

    Args:
        killed: the part.
        judged: the whole.

    Returns:
        Its ends, 0 to 1. Unlike the usual one it is of use for few, and for none and all
        (Wilson, 1927).
    """
    if not judged:
        return None
    share, square = killed / judged, _Z * _Z
    middle = (share + square / (2 * judged)) / (1 + square / judged)
    half = (
        _Z
        * math.sqrt(share * (1 - share) / judged + square / (4 * judged * judged))
        / (1 + square / judged)
    )
    return max(0.0, middle - half), min(1.0, middle + half)


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
        KILLED, SURVIVED or UNKNOWN; "" when the direction is not about it.
    """
    if direction not in directions_of(result):
        return ""
    if result.status != KILLED:
        return result.status
    noticed = any(one.noticed and direction in ways_of(one, judges) for one in result.detectors)
    return KILLED if noticed else SURVIVED


def status_of(result: Result, judges: Judges | None = None) -> str:
    """How a mutant fared: KILLED when it was noticed in any of its directions."""
    told = {status_in(result, direction, judges) for direction in directions_of(result)}
    return next((one for one in (KILLED, SURVIVED) if one in told), UNKNOWN)


def missed_in(result: Result, judges: Judges | None = None) -> tuple[str, ...]:
    """The directions in which nobody noticed a mutant."""
    every = directions_of(result)
    return tuple(one for one in every if status_in(result, one, judges) == SURVIVED)


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
    return Score(
        overall=_tally((one, status_of(one, judges)) for one in found),
        directions={
            way: _tally((one, status_in(one, way, judges)) for one in found) for way in DIRECTIONS
        },
        detectors=_standings(found, judges),
        policies=_grouped(found, judges, lambda one: one.policy),
        families=_grouped(found, judges, lambda one: one.family),
        survivors=tuple(sorted(left, key=lambda one: not _signalled(one))),
        unknown=tuple(one for one in found if one.status == UNKNOWN),
        results=tuple(found),
    )


def shortfalls(scored: Score, minimum: Mapping[str, float]) -> list[str]:
    """Why a day is not good enough, one sentence each; none when it is.

    Args:
        scored: the day.
        minimum: a direction, to the least score; one without it always passes. A direction of which
            no mutant was judged reaches none, and a day of which none was does not pass: no data
            is no pass.
    """
    found: list[str] = []
    if not scored.overall.judged:
        unknown = scored.overall.unknown
        found.append(
            f"No mutant was judged: {f'all {unknown} are unknown' if unknown else 'none was run'}."
        )
    for direction, least in minimum.items():
        tally = scored.directions[direction]
        if tally.score is None:
            found.append(
                f"The score for {direction} must be {least:.1%}, and no mutant of that direction "
                "was judged."
            )
        elif tally.score < least - 1e-9:
            found.append(
                f"The score for {direction} is {tally.score:.1%}, and must be {least:.1%}: "
                f"{tally.survived} of {tally.judged} survived."
            )
    return found


def ways_of(one: Detected, judges: Judges | None) -> frozenset[str]:
    """The directions that a detector counts in; arguments as for `status_in`."""
    return frozenset(one.judges) or (judges or {}).get(one.name) or _ANY


def _signalled(result: Result) -> bool:
    return any(signal.rose for signal in result.signals)


def _tally(told: Iterable[tuple[Result, str]]) -> Tally:
    counts = dict.fromkeys((KILLED, SURVIVED, UNKNOWN, ""), 0)
    signalled = 0
    for result, status in told:
        counts[status] += 1
        signalled += status == SURVIVED and _signalled(result)
    return Tally(counts[KILLED], counts[SURVIVED], counts[UNKNOWN], signalled)


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
    asked = kills = alone = first = unable = 0
    ways: frozenset[str] = frozenset()
    for result in found:
        own = next((one for one in result.detectors if one.name == name), None)
        if own is None:
            continue
        ways |= ways_of(own, judges)
        if result.status == UNKNOWN or not ways_of(own, judges) & {*directions_of(result)}:
            continue
        asked += own.noticed is not None
        unable += own.noticed is None
        if not own.noticed or result.status != KILLED:
            continue
        kills += 1
        alone += not _noticed_by_others(result, name, judges)
        first += result.by == name
        if own.after_ms is not None:
            times.append(own.after_ms)
    ordered = tuple(way for way in DIRECTIONS if way in ways)
    middle = round(median(times), 1) if times else None
    return Standing(name, kind, ordered, asked, kills, alone, first, unable, middle)


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
