"""One set of results out of many: the shards of a fleet, each mutant counted exactly once.

Belongs here: finding the parts, uniting them, and saying what is missing. Does not belong here:
lines (`results`), what a plan expects (`expected`), counting (`score`), and the experiments that a
plan names (`own`).

Which part comes first, how often it comes, and whether some were united before makes no difference.
A result that is there twice with the same content counts once. Where the contents differ a shard
ran twice: what ended first counts, and the other is named. What was to be run and has no result is
unknown, by its name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from acns_chaos.errors import GameDayError
from acns_chaos.gameday.expected import MAX_PLAN, NOT_RUN, PLAN, Expected, expected_of, read_plan
from acns_chaos.gameday.own import OWN, Experiments, Own, read_own, unite_own
from acns_chaos.gameday.results import Key, Result, read_every
from acns_chaos.gameday.score import require_one_kind

__all__ = [
    "DIFFERING",
    "MAX_PLAN",
    "NOT_RUN",
    "PLAN",
    "RESULTS",
    "Expected",
    "Merged",
    "Part",
    "expected_of",
    "of_day",
    "read_parts",
    "unite",
]

RESULTS = "results.jsonl"
DIFFERING = "differing.jsonl"
"""Beside united results: those that are not counted, so that they are known when united again."""
# Of the parts of one fleet.
MAX_PARTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """The results of one folder or file.

    Attributes:
        name: of it, for sentences.
        results: of mutants; of one perhaps several that differ.
        expected: what its plan says; None where there is no plan.
        notes: what a person should know about it, one sentence each.
        folder: where its experiments and journals are; None where that is not known.
        own: what became of the experiments that its plan names.
    """

    name: str
    results: tuple[Result, ...]
    expected: Expected | None = None
    notes: tuple[str, ...] = ()
    folder: Path | None = None
    own: tuple[Own, ...] = ()


@dataclass(frozen=True, slots=True)
class Merged:
    """United results.

    Attributes:
        results: one for each mutant of each shard, in the order of shards and positions; those that
            were selected and not run are among them, unknown.
        expected: what the plans say together.
        repeated: how many results were left out because they were there with the same content.
        differing: those that were left out because another one of the same mutant ended first.
        missing: shards that were expected and have no result.
        notes: of all parts, sorted.
        own: the experiments that the plans name.
    """

    results: tuple[Result, ...]
    expected: Expected = field(default_factory=Expected)
    repeated: int = 0
    differing: tuple[Result, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    own: Experiments = field(default_factory=Experiments)

    @property
    def not_run(self) -> tuple[Result, ...]:
        """Those that were selected and have no result of their own."""
        return tuple(one for one in self.results if one.why == NOT_RUN)

    @property
    def complete(self) -> bool:
        """Whether everything that was to be run has a result."""
        return not (self.missing or self.not_run or self.own.not_run)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON: `merged.json`."""
        return {
            "schema": 1,
            "days": sorted({one.day for one in self.results}),
            "plan": self.expected.plan,
            "shards": sorted({one.shard for one in self.results}),
            "results": len(self.results),
            "repeated": self.repeated,
            "differing": [_differing_json(one) for one in self.differing],
            "missing": list(self.missing),
            "not_run": [{"shard": one.shard, "mutant": one.mutant} for one in self.not_run],
            "experiments": len(self.own.counted),
            "differing_experiments": [one.as_json() for one in self.own.differing],
            "not_run_experiments": [
                {"shard": one.shard, "name": one.name} for one in self.own.not_run
            ],
            "notes": list(self.notes),
        }


def _differing_json(one: Result) -> dict[str, Any]:
    told = {"shard": one.shard, "mutant": one.mutant, "status": one.status, "ended": one.ended}
    return told | {"outcome": one.outcome, "restored": one.restored}


def of_day(parts: Iterable[Part], day: str) -> list[Part]:
    """Leave out the parts whose plan is of another day.

    Args:
        parts: whose plan may not say of which day it is; those stay.
        day: "" for any.
    """
    kept = ("", day)
    return [one for one in parts if not day or one.expected is None or one.expected.day in kept]


def unite(parts: Iterable[Part], shards: Iterable[str] = (), day: str = "") -> Merged:
    """Unite parts.

    Args:
        parts: in any order, some perhaps several times.
        shards: that must have results, besides those that the plans name.
        day: only results of this day; "" for the one that all are of.

    Raises:
        GameDayError: they are of several days, of the lab and of clusters, or of plans that differ.
    """
    listed = of_day(parts, day)
    every = [one for part in listed for one in part.results if day in ("", one.day)]
    own = [one for part in listed for one in part.own if not (day and one.day) or one.day == day]
    # What was united before may hold some that were not run: a wish, not a result.
    found = [one for one in every if one.why != NOT_RUN]
    plans = [part.expected for part in listed if part.expected is not None]
    _require_one_day({one.day for one in found} | {one.day for one in own if one.day})
    expected = _agreed(plans, [one for one in every if one.why == NOT_RUN], day)
    require_one_kind((*found, *expected.mutants))
    first: dict[Key, Result] = {}
    others: dict[Key, set[Result]] = {}
    for one in found:
        others.setdefault(one.key, set()).add(one)
    for key, group in others.items():
        first[key] = min(group, key=_order)
    present = {one.shard for one in first.values()}
    wanted = {*shards, *expected.shards}
    days = {one.day for one in first.values()}
    not_run = [
        one for one in expected.mutants if one.key not in first and (not days or one.day in days)
    ]
    return Merged(
        results=tuple(sorted((*first.values(), *not_run), key=_place_in)),
        expected=replace(expected, shards=frozenset(wanted)),
        repeated=len(found) - sum(len(group) for group in others.values()),
        differing=tuple(
            sorted(
                (one for key, group in others.items() for one in group if one != first[key]),
                key=_order,
            )
        ),
        missing=tuple(sorted(wanted - present)),
        notes=tuple(sorted({note for part in listed for note in part.notes})),
        own=unite_own(own, expected.own),
    )


def _order(one: Result) -> tuple[bool, float, str]:
    """What ended first comes first; the text decides between those that ended at one moment."""
    ended = one.ended_at
    # What does not say when it ended comes last, also what was never run.
    return ended is None, ended.timestamp() if ended else 0.0, one.line()


def _place_in(one: Result) -> tuple[str, int, str]:
    return one.shard, one.position, one.mutant


def _require_one_day(found: Iterable[str]) -> None:
    days = sorted(found)
    if len(days) > 1:
        listed = ", ".join(days[:5]) + (", …" if len(days) > 5 else "")
        raise GameDayError(f"The results are of {len(days)} days, {listed}: name one with --day.")


def _agreed(plans: Sequence[Expected], wanted: Iterable[Result], day: str) -> Expected:
    """What plans say together, with more that was selected: one plan, each shard its selection."""
    one = min(plans, key=lambda each: each.plan, default=Expected())
    for other in plans:
        if (other.plan, other.judges, other.minimum) != (one.plan, one.judges, one.minimum):
            raise GameDayError(
                f"The shards were run with different plans, {one.plan or 'one without a name'} and "
                f"{other.plan or 'one without a name'}, or two versions of one: score them apart."
            )
    named = (*(each for plan in plans for each in plan.mutants if day in ("", each.day)), *wanted)
    mutants: dict[Key, Result] = {}
    for each in named:
        # Smallest, so that the order in which the parts came decides nothing.
        mutants[each.key] = min(mutants.get(each.key, each), each, key=_order)
    return replace(
        one,
        shards=frozenset(shard for plan in plans for shard in plan.shards),
        mutants=tuple(mutants[key] for key in sorted(mutants)),
        own=tuple(sorted({each for plan in plans for each in plan.own}, key=lambda o: o.key)),
        day=min((plan.day for plan in plans if plan.day), default=""),
    )


# ---------------------------------------------------------------------- files


def read_parts(places: Iterable[Path]) -> list[Part]:
    """Read parts.

    Args:
        places: the folder of a day, a folder with such folders in it at any depth (as artefacts are
            collected), or a file *.jsonl.

    Raises:
        GameDayError: one does not exist, holds no results, or cannot be read.
    """
    return [_read(file) for place in places for file in _files(place)]


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise GameDayError(f"{place} does not exist: name the folder of a game day.")
    named = (one for one in place.rglob("*.jsonl") if one.name in (RESULTS, OWN) and one.is_file())
    # A day that ended with its own experiments has no results, and is one all the same.
    found = sorted({one.with_name(RESULTS) for one in named})
    if not found and (place / PLAN).is_file():
        # A day that was stopped before its first result: all of it is unknown.
        return [place / RESULTS]
    if not found:
        raise GameDayError(f"{place} holds no {RESULTS}: name the folder of a game day.")
    if len(found) > MAX_PARTS:
        raise GameDayError(f"{place} holds more than {MAX_PARTS:,} files {RESULTS}.")
    return found


def _read(file: Path) -> Part:
    plan = file.with_name(PLAN)
    expected = read_plan(plan) if file.name == RESULTS and plan.is_file() else None
    folder = file.parent
    results, notes = read_every(file) if file.exists() else ([], [])
    own: list[Own] = []
    if file.name == RESULTS:
        own, doubts = read_own(folder / OWN, expected.own if expected else ())
        more, others = read_every(folder / DIFFERING) if (folder / DIFFERING).exists() else ([], [])
        results, notes = results + more, notes + doubts + others
    name = str(file if file.exists() else folder)
    return Part(name, tuple(results), expected, tuple(notes), folder, tuple(own))
