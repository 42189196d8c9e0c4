"""What a day's `plan.json` says of its results: which there must be, and how they are scored.

Belongs here: reading it, for whoever unites and scores. Does not belong here: the plan that a
person writes (`plan`), and what became of its mutants (`results`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, mappings, number, sequence, text, word
from acns_chaos.gameday.own import Own
from acns_chaos.gameday.results import (
    BOTH,
    CLOSES,
    CLUSTER,
    LAB,
    LONGEST_NAME,
    OPENS,
    UNKNOWN,
    Place,
    Result,
)
from acns_chaos.gameday.score import DIRECTIONS

__all__ = ["MAX_PLAN", "NOT_RUN", "PLAN", "Expected", "expected_of", "read_plan"]

PLAN = "plan.json"
# Of a plan, in bytes.
MAX_PLAN = 50_000_000
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
        own: the experiments that it names, as ones that were not run.
        selects: whether it asks for mutants at all.
        day: its id; "" where it does not say.
    """

    plan: str = ""
    judges: Mapping[str, frozenset[str]] = field(default_factory=dict)
    minimum: Mapping[str, float] = field(default_factory=dict)
    shards: frozenset[str] = frozenset()
    mutants: tuple[Result, ...] = ()
    own: tuple[Own, ...] = ()
    selects: bool = True
    day: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON that `expected_of` reads: the `plan.json` of united results."""
        kinds = {one.place.kind for one in self.mutants}
        day = {"day": self.day} if self.day else {}
        return {
            **day,
            "plan": {
                "name": self.plan,
                **({"mutants": {}} if self.selects else {}),
                "detectors": [
                    {"name": name, "for": sorted(ways)} for name, ways in self.judges.items()
                ],
                "minimum": dict(self.minimum),
            },
            "place": {"kind": LAB if kinds == {LAB} else CLUSTER},
            "shards": sorted(self.shards),
            "experiments": [{"name": one.name, "shard": one.shard} for one in self.own],
            "selection": [one.as_json() for one in self.mutants],
        }


def read_plan(file: Path) -> Expected:
    """What a day's `plan.json` says of its results.

    Raises:
        GameDayError: the file cannot be read, or holds no JSON.
    """
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
    stated_day = _name(document.get("day"))
    day = stated_day or text(folder)
    selected = [
        _not_run(one, day, where, position)
        for position, one in enumerate(mappings(document.get("selection")), 1)
    ]
    named = frozenset(_name(one) for one in sequence(document.get("shards"))) - {""}
    own = _own(document, where)
    return Expected(
        plan=word(plan.get("name")),
        judges=_judges(plan),
        minimum=minimum,
        shards=named | {one.shard for one in selected if one is not None},
        mutants=tuple(one for one in selected if one is not None),
        own=own,
        selects="mutants" in plan or not own,
        day=stated_day,
    )


def _own(document: Mapping[str, Any], place: Place) -> tuple[Own, ...]:
    """The experiments that a plan names, as ones that were not run."""
    found = []
    for one in mappings(document.get("experiments")):
        shard = word(one.get("shard")) or f"{place.uid}/{word(one.get('namespace'))}"
        if name := word(one.get("name")):
            found.append(Own(name, "", NOT_RUN, "", "", shard))
    return tuple(found)


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
