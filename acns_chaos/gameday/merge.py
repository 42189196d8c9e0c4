"""One set of results out of many: the shards of a fleet, each mutant counted exactly once.

Belongs here: finding the parts, uniting them, and saying what is missing. Does not belong here:
lines (`results`) and counting (`score`).

Which part comes first, how often it comes, and whether some were united before makes no difference.
A result that is there twice with the same content counts once. Where the contents differ a shard
ran twice: what ended first counts, and the other is named. What was to be run and has no result is
unknown, by its name.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, mappings, number, sequence, text, word
from acns_chaos.gameday.results import (
    BOTH,
    CLOSES,
    CLUSTER,
    LAB,
    LONGEST_NAME,
    OPENS,
    UNKNOWN,
    Key,
    Place,
    Result,
    read_results,
)
from acns_chaos.gameday.score import DIRECTIONS, require_one_kind

__all__ = ["NOT_RUN", "Expected", "Merged", "Part", "expected_of", "read_parts", "unite"]

RESULTS, PLAN = "results.jsonl", "plan.json"
# Of a plan, in bytes; of the parts of one fleet.
MAX_PLAN, MAX_PARTS = 50_000_000, 1_000_000
NOT_RUN = "it was selected and not run"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a day's `plan.json` says of its results.

    Attributes:
        plan: its name.
        judges: the name of each detector, to the directions it is for.
        minimum: a direction, to the least score.
        shards: that must have results.
        mutants: all that were selected, as results that were not run.
    """

    plan: str = ""
    judges: Mapping[str, frozenset[str]] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)
    shards: frozenset[str] = frozenset()
    mutants: tuple[Result, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain JSON that `expected_of` reads: the `plan.json` of united results."""
        kinds = {one.place.kind for one in self.mutants}
        return {
            "plan": {
                "name": self.plan,
                "detectors": [
                    {"name": name, "for": sorted(ways)} for name, ways in self.judges.items()
                ],
                "minimum": dict(self.minimum),
            },
            "place": {"kind": LAB if kinds == {LAB} else CLUSTER},
            "shards": sorted(self.shards),
            "selection": [one.as_json() for one in self.mutants],
        }


@dataclass(frozen=True, slots=True)
class Part:
    """The results of one folder or file.

    Attributes:
        name: of it, for sentences.
        results: each mutant once.
        expected: what its plan says; None where there is no plan.
        notes: what a person should know about it, one sentence each.
        folder: where its experiments and journals are; None where that is not known.
    """

    name: str
    results: tuple[Result, ...]
    expected: Expected | None = None
    notes: tuple[str, ...] = ()
    folder: Path | None = None


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
    """

    results: tuple[Result, ...]
    expected: Expected = field(default_factory=Expected)
    repeated: int = 0
    differing: tuple[Result, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def not_run(self) -> tuple[Result, ...]:
        """Those that were selected and have no result of their own."""
        return tuple(one for one in self.results if one.why == NOT_RUN)

    @property
    def complete(self) -> bool:
        """Whether everything that was to be run has a result."""
        return not self.missing and not self.not_run

    def as_json(self) -> dict[str, Any]:
        """Plain JSON: `merged.json`."""
        return {
            "schema": 1,
            "days": sorted({one.day for one in self.results}),
            "plan": self.expected.plan,
            "shards": sorted({one.shard for one in self.results}),
            "results": len(self.results),
            "repeated": self.repeated,
            "differing": [
                {"shard": one.shard, "mutant": one.mutant, "status": one.status, "ended": one.ended}
                for one in self.differing
            ],
            "missing": list(self.missing),
            "not_run": [{"shard": one.shard, "mutant": one.mutant} for one in self.not_run],
            "notes": list(self.notes),
        }


def unite(parts: Iterable[Part], shards: Iterable[str] = (), day: str = "") -> Merged:
    """Unite parts.

    Args:
        parts: in any order, some perhaps several times.
        shards: that must have results, besides those that the plans name.
        day: only results of this day; "" for the one that all are of.

    Raises:
        GameDayError: they are of several days, of the lab and of clusters, or of plans that differ.
    """
    listed = list(parts)
    every = [one for part in listed for one in part.results if day in ("", one.day)]
    # What was united before may hold some that were not run: a wish, not a result.
    found = [one for one in every if one.why != NOT_RUN]
    plans = [part.expected for part in listed if part.expected is not None]
    expected = _agreed(plans, [one for one in every if one.why == NOT_RUN], day)
    _require_one_day(found)
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
    )


def _order(one: Result) -> tuple[bool, float, str]:
    """What ended first comes first; the text decides between those that ended at one moment."""
    ended = one.ended_at
    # What does not say when it ended comes last, also what was never run.
    return ended is None, ended.timestamp() if ended else 0.0, one.line()


def _place_in(one: Result) -> tuple[str, int, str]:
    return one.shard, one.position, one.mutant


def _require_one_day(found: Sequence[Result]) -> None:
    days = sorted({one.day for one in found})
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
    found = sorted(one for one in place.rglob(RESULTS) if one.is_file())
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
    expected = _read_plan(plan) if file.name == RESULTS and plan.is_file() else None
    if not file.exists():
        return Part(str(file.parent), (), expected, folder=file.parent)
    results, notes = read_results(file)
    return Part(str(file), tuple(results), expected, tuple(notes), file.parent)


def _read_plan(file: Path) -> Expected:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_PLAN + 1)
        if len(data) > MAX_PLAN:
            raise GameDayError(f"{file} has more than {MAX_PLAN // 1_000_000} MB: it is no plan.")
        value = json.loads(data)
    except OSError as error:
        raise GameDayError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError):
        raise GameDayError(f"{file} is no JSON: the plan of a game day was expected.") from None
    return expected_of(mapping(value), file.parent.name)


def expected_of(document: Mapping[str, Any], folder: str = "") -> Expected:
    """What the object in a `plan.json` says of the results; of what it lacks, nothing.

    Args:
        document: the object; nothing in it is trusted.
        folder: name of the day's folder: the day, where the object does not say.
    """
    plan, place = mapping(document.get("plan")) or document, mapping(document.get("place"))
    least = mapping(plan.get("minimum"))
    minimum = {way: value for way in DIRECTIONS if (value := number(least.get(way))) is not None}
    stated = place.get("kind") or mapping(plan.get("target")).get("cluster") or plan.get("cluster")
    where = _place(place, LAB if stated == LAB else CLUSTER)
    day = _name(document.get("day")) or text(folder)
    selected = [
        _not_run(one, day, where, position)
        for position, one in enumerate(mappings(document.get("selection")), 1)
    ]
    named = frozenset(_name(one) for one in sequence(document.get("shards"))) - {""}
    return Expected(
        plan=word(plan.get("name")),
        judges=_judges(plan),
        minimum=minimum,
        shards=named | {one.shard for one in selected if one is not None},
        mutants=tuple(one for one in selected if one is not None),
    )


def _judges(plan: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for one in mappings(plan.get("detectors")):
        claim = PurePosixPath(word(one.get("claim"))).stem
        said = one.get("for")
        ways = frozenset(word(way) for way in ([said] if isinstance(said, str) else sequence(said)))
        found[word(one.get("alert")) or claim or word(one.get("name"))] = ways & {*DIRECTIONS}
    return found


def _name(value: object) -> str:
    """A text that results are told apart by, whole as in their lines; "" for anything else."""
    fit = isinstance(value, str) and value.isprintable() and len(value) <= LONGEST_NAME
    return str(value) if fit else ""


def _place(found: Mapping[str, Any], usual: str) -> Place:
    kind = found.get("kind")
    return Place(
        str(kind) if kind in (LAB, CLUSTER) else usual,
        *(word(found.get(key)) for key in ("label", "context", "uid", "namespace")),
    )


def _not_run(one: Mapping[str, Any], day: str, place: Place, position: int) -> Result | None:
    """A selected mutant as a result that says it was not run; None for what names none."""
    mutant, policy = _name(one.get("mutant")) or _name(one.get("id")), one.get("policy")
    day = _name(one.get("day")) or day
    if own := mapping(one.get("place")):
        # As united results have it: each shard is somewhere else.
        place = _place(own, place.kind)
    named = mapping(policy)
    owner = f"{word(named.get('namespace'))}/{word(named.get('name'))}" if named else word(policy)
    namespace = word(one.get("namespace")) or owner.rpartition("/")[0]
    effect = one.get("class")
    if not mutant or not day:
        return None
    return Result(
        day=day,
        shard=_name(one.get("shard")) or f"{place.uid}/{namespace}",
        mutant=mutant,
        effect=str(effect) if effect in (CLOSES, OPENS, BOTH) else BOTH,
        status=UNKNOWN,
        place=replace(place, namespace=namespace),
        position=int(number(one.get("position")) or position),
        policy=owner,
        kind=word(one.get("kind")) or word(named.get("kind")),
        operator=word(one.get("operator")),
        family=word(one.get("family")),
        where=word(one.get("where")) or word(one.get("place")),
        mistake=word(one.get("mistake")),
        experiment=word(one.get("experiment")),
        why=NOT_RUN,
    )
