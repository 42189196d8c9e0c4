"""Drops a second, as steps: what Hubble told of, and what counters rose by."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from acns_chaos.evidence.values import mapping, mappings, number, text

__all__ = ["Rate", "Step", "counted", "dropped"]

At = Callable[[object], float | None]
# A burst has a rate only over some time, in seconds: what a relay held back is told all at once.
LEAST = 0.5
MOST_RUNS, MOST_PIECES = 60, 300
# What is left of sums that should be 0.
NOTHING = 1e-6
# The one counts a packet once, and at the node; the other twice, and at its pod.
METRICS = ("cilium_drop_count_total", "hubble_drop_total")


@dataclass(frozen=True, slots=True)
class Step:
    """So many a second, from when to when, in seconds."""

    since: float
    until: float
    rate: float


@dataclass(frozen=True, slots=True)
class Rate:
    """What was dropped.

    Attributes:
        name: by whom it was seen.
        steps: in order, without overlaps; nothing is dropped in between.
        total: how many in all, as the journal says.
        gaps: (since, until) in which it did not see everything.
    """

    name: str
    steps: tuple[Step, ...]
    total: int
    gaps: tuple[tuple[float, float], ...] = ()

    @property
    def peak(self) -> float:
        """The highest rate."""
        return max((one.rate for one in self.steps), default=0.0)


def dropped(sources: Iterable[Mapping[str, Any]], at: At) -> list[Rate]:
    """Return what Hubble told of: all flows of the namespace together."""
    found = []
    for source in sources:
        if source.get("name") != "hubble":
            continue
        pieces: list[Step] = []
        total = 0
        for row in mappings(source.get("drops"))[:MOST_RUNS]:
            total += _whole(row.get("samples"))
            for one in mappings(row.get("runs"))[:MOST_RUNS]:
                since, until = at(one.get("from")), at(one.get("to"))
                if since is not None and until is not None:
                    until = max(until, since + LEAST)
                    pieces.append(Step(since, until, _whole(one.get("count")) / (until - since)))
        found.append(Rate("Drops that Hubble told of", _summed(pieces), total, _gaps(source, at)))
    return found


def counted(sources: Iterable[Mapping[str, Any]], at: At) -> list[Rate]:
    """Return what the drop counters rose by: of the nodes where there are any, else of the pods."""
    found = []
    for source in sources:
        if source.get("name") != "prometheus":
            continue
        asked = _asked(source, at)
        for metric in METRICS:
            rows = [
                row
                for row in mappings(source.get("counters"))[:MOST_RUNS]
                if text(row.get("of")).startswith(metric)
            ]
            pieces = [piece for row in rows for piece in _rises(row, asked, at)]
            total = round(sum(one.rate * (one.until - one.since) for one in pieces))
            if pieces:
                name = f"Drops in {metric}"
                found.append(Rate(name, _summed(pieces), total, _gaps(source, at)))
                break
    return found


def _rises(row: Mapping[str, Any], asked: Sequence[float], at: At) -> Iterable[Step]:
    """Yield what one counter rose by between two answers; one that fell began again at 0."""
    before: tuple[float, float] | None = None
    for one in mappings(row.get("runs"))[:MOST_RUNS]:
        since, until = at(one.get("from")), at(one.get("to"))
        value = _value(one.get("result"))
        if since is None or until is None or value is None:
            before = None
            continue
        if before is None:
            # It was not there when it was asked before, so it was 0; unless nobody asked before.
            earlier = [moment for moment in asked if moment < since - 1e-3]
            hidden = _whole(row.get("runs_not_shown")) > 0
            before = (earlier[-1], 0.0) if earlier and not hidden else None
        if before is not None and value != before[1]:
            rise = value - before[1] if value > before[1] else value
            length = max(since - before[0], 1e-3)
            if rise > 0:
                yield Step(since - length, since, rise / length)
        before = (max(since, until), value)


def _asked(source: Mapping[str, Any], at: At) -> list[float]:
    runs = mappings(mapping(source.get("samples")).get("runs"))[:MOST_RUNS]
    found = [at(one.get(key)) for one in runs for key in ("from", "to")]
    return sorted(one for one in found if one is not None)


def _summed(pieces: Sequence[Step]) -> tuple[Step, ...]:
    """Add up what overlaps."""
    changes: dict[float, float] = {}
    for one in pieces[:MOST_PIECES]:
        changes[one.since] = changes.get(one.since, 0.0) + one.rate
        changes[one.until] = changes.get(one.until, 0.0) - one.rate
    edges = sorted(changes)
    found: list[Step] = []
    rate = 0.0
    for since, until in pairwise(edges):
        rate += changes[since]
        if rate > NOTHING:
            found.append(Step(since, until, rate))
    return tuple(found)


def _gaps(source: Mapping[str, Any], at: At) -> tuple[tuple[float, float], ...]:
    found = []
    for one in mappings(source.get("gaps"))[-12:]:
        since, until = at(one.get("from")), at(one.get("to"))
        if since is not None:
            found.append((since, float("inf") if until is None else until))
    return tuple(found)


def _whole(value: object) -> int:
    return max(0, int(number(value) or 0))


def _value(result: object) -> float | None:
    try:
        found = number(float(text(result, 40)))
    except ValueError:
        return None
    return found if found is not None and found >= 0 else None
