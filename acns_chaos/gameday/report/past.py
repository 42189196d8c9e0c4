"""A day among the days before it: how its scores went, what is noticed no more, what is unknown.

Only what can be compared is: the same plan in the same places. A day on which some of them were
missing is left out of the trend, and counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from acns_chaos.gameday.history import NO_DATE, History, Regression, Remembered, Trend, place_of
from acns_chaos.gameday.results import Result
from acns_chaos.gameday.score import DIRECTIONS, Tally
from acns_chaos.gameday.scoring import Day

__all__ = ["Past", "Point", "past_of"]

# Days of a trend, this one included.
MOST = 20


@dataclass(frozen=True, slots=True)
class Point:
    """The scores of one day in all of the places that the report is about.

    Attributes:
        day: its id.
        ended: when its last mutant ended; None where that is not known.
        directions: AVAILABILITY and SECURITY.
    """

    day: str
    ended: datetime | None
    directions: Mapping[str, Tally]


@dataclass(frozen=True, slots=True)
class Past:
    """What the history knows of a day.

    Attributes:
        points: the days up to this one, which is the last; the oldest first.
        regressions: what survived on this day and was noticed the last time it was judged before.
        known: place and mutant, to what is known of it.
        left_out: how many days are not in `points` because not all places had results.
        recorded: whether this day is in the history; else its regressions are not known.
    """

    points: tuple[Point, ...] = ()
    regressions: tuple[Regression, ...] = ()
    known: Mapping[tuple[str, str], Remembered] = field(default_factory=dict)
    left_out: int = 0
    recorded: bool = False

    def of(self, result: Result) -> Remembered | None:
        """What is known of a mutant; None where the history never saw it."""
        return self.known.get((place_of(result), result.mutant))

    def lost(self, result: Result) -> tuple[Regression, ...]:
        """The regressions that a mutant of this day is."""
        key = (place_of(result), result.mutant)
        return tuple(one for one in self.regressions if (one.place, one.mutant) == key)


def past_of(day: Day, history: Path | None) -> Past:
    """Ask the history about a day; nothing is added.

    Args:
        day: that is over.
        history: the file; None for none.

    Raises:
        GameDayError: the file cannot be used.
    """
    results, plan = day.merged.results, day.merged.expected.plan
    named = {one.day for one in results}
    ended = max((at for one in results if (at := one.ended_at)), default=None)
    own = Point(", ".join(sorted(named)), ended, day.scored.directions)
    if history is None or not history.exists() or not results:
        return Past((own,))
    store, places = History(history), {place_of(one) for one in results}
    trends = [o for o in store.trends(plan) if o.plan == plan and o.place in places]
    points, left_out = _points(trends, places, named, ended)
    lost = [one for name in sorted(named) for one in store.regressions(name, plan)]
    known = store.remembered(ended or datetime.now(UTC), plan)
    return Past(
        points=(*points, own)[-MOST:],
        regressions=tuple(o for o in lost if o.plan == plan and o.place in places),
        known={(o.place, o.mutant): o for o in known if o.plan == plan and o.place in places},
        left_out=left_out,
        recorded=any(one.day in named for one in trends),
    )


def _points(
    trends: Iterable[Trend], places: set[str], named: set[str], ended: datetime | None
) -> tuple[list[Point], int]:
    """The days before this one, and how many of them are not comparable."""
    days: dict[str, list[Trend]] = {}
    for one in trends:
        if one.day not in named:
            days.setdefault(one.day, []).append(one)
    found = [
        Point(
            name,
            last if (last := max(one.ended for one in group)) > NO_DATE else None,
            {way: _sum(one.directions[way] for one in group) for way in DIRECTIONS},
        )
        for name, group in days.items()
        if {one.place for one in group} == places
    ]
    before = [one for one in found if ended is None or (one.ended and one.ended <= ended)]
    before.sort(key=lambda one: (one.ended or datetime.min.replace(tzinfo=UTC), one.day))
    return before, len(days) - len(found)


def _sum(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for one in tallies:
        whole = replace(
            whole,
            killed=whole.killed + one.killed,
            survived=whole.survived + one.survived,
            undecided=whole.undecided + one.undecided,
            unknown=whole.unknown + one.unknown,
            signalled=whole.signalled + one.signalled,
        )
    return whole
