"""The detection matrix: a row a mutant, a column a detector, in each cell how soon it noticed.

Belongs here: what stands in which cell. A cell says in text what its colour says, so that it can be
read in black and white. Does not belong here: markup.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from acns_chaos.evidence.values import text
from acns_chaos.gameday.report.reading import Told
from acns_chaos.gameday.report.telling import DOES, brief, counted, place_label, short_id
from acns_chaos.gameday.results import BOTH, CLOSES, KILLED, OPENS, UNKNOWN, Detected, Result
from acns_chaos.gameday.score import Judges, directions_of, missed_in, status_of, ways_of

__all__ = ["ELSE", "NO", "NONE", "UNABLE", "Cell", "Group", "Matrix", "Row", "matrix_of"]

# Kinds of cells, besides "t1" to "t4": noticed, soonest first.
NO, UNABLE, ELSE, NONE = "no", "unable", "else", "none"
# What is shown of a day, survivors first.
MOST_ROWS, MOST_COLUMNS = 1_000, 40
# Round times, in milliseconds, between the steps of the scale.
LADDER = (100, 200, 500, *(s * 1000 for s in (1, 2, 3, 5, 8, 10, 15, 20, 30, 45, 60, 90)))
LADDER += tuple(60_000 * m for m in (2, 3, 5, 8, 10, 15, 20, 30, 60))
_ORDER = {CLOSES: 0, OPENS: 1, BOTH: 2}


@dataclass(frozen=True, slots=True)
class Cell:
    """What a detector made of a mutant: a kind, its words, and whether nobody was sooner."""

    kind: str
    text: str
    first: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A mutant: its id in the page, its name below its policy, whether it is missed, its cells.

    The name is in two parts, as it may be broken between them: the operator, and where.
    """

    id: str
    name: str
    where: str
    missed: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The mutants of one policy that turn flows the same way."""

    name: str
    counts: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole of it.

    Attributes:
        columns: names of detectors.
        groups: in the order of the day.
        legend: the steps of the scale: kind and words.
        notes: what is left out, one sentence each.
    """

    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    legend: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def matrix_of(told: Told, ids: dict[tuple[str, str, str], str]) -> Matrix:
    """Lay out the mutants that were seen in force.

    Args:
        told: the day.
        ids: of each mutant's drill-down in the page.
    """
    judges = told.day.merged.expected.judges
    judged = [one for one in told.day.scored.results if status_of(one, judges) != UNKNOWN]
    shown = sorted(judged, key=lambda one: not missed_in(one, judges))[:MOST_ROWS]
    kept = {one.key for one in shown}
    names = _columns(told)
    columns = names[:MOST_COLUMNS]
    steps = _steps(judged, judges)
    several = len({one.shard for one in judged}) > 1
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for one in judged:
        if one.key in kept:
            groups.setdefault((one.shard if several else "", one.policy, one.effect), []).append(
                one
            )
    # Policies in the order of the day; of each what closes before what opens.
    first: dict[tuple[str, str], int] = {}
    for shard, policy, _ in groups:
        first.setdefault((shard, policy), len(first))
    ordered = sorted(groups.items(), key=lambda pair: (first[pair[0][:2]], _ORDER[pair[0][2]]))
    notes = []
    if len(judged) > len(shown):
        notes.append(f"{len(judged) - len(shown):,} that were noticed are left out of this table.")
    if len(names) > MOST_COLUMNS:
        notes.append(f"{len(names) - MOST_COLUMNS} more detectors are left out of this table.")
    return Matrix(
        columns=tuple(text(name, 60) or "–" for name in columns),
        groups=tuple(_group(found, columns, steps, judges, ids, several) for _, found in ordered),
        legend=_legend(steps),
        notes=tuple(notes),
    )


def _columns(told: Told) -> list[str]:
    """Detectors as the plan has them, then others that results know."""
    planned = list(told.day.merged.expected.judges)
    asked = [one.name for one in told.day.scored.detectors]
    return list(dict.fromkeys([*(name for name in planned if name), *asked]))


def _steps(judged: Iterable[Result], judges: Judges) -> tuple[float, ...]:
    """Up to three round times that divide what was noticed into parts of about one size."""
    times = sorted(
        one.after_ms
        for result in judged
        for one in result.detectors
        if one.noticed and one.after_ms is not None and _counts(one, result, judges)
    )
    if not times:
        return ()
    quarters = (times[len(times) * part // 4] for part in (1, 2, 3))
    round_ = (next((one for one in LADDER if one >= time), LADDER[-1]) for time in quarters)
    return tuple(sorted(one for one in {*round_} if one < times[-1]))


def _counts(one: Detected, result: Result, judges: Judges) -> bool:
    return bool(ways_of(one, judges) & {*directions_of(result)})


def _legend(steps: Sequence[float]) -> tuple[tuple[str, str], ...]:
    words = [f"up to {brief(one).replace('.0 s', ' s')}" for one in steps]
    return tuple(
        (f"t{number}", told)
        for number, told in enumerate([*words, "longer" if words else "noticed"], 1)
    )


def _group(
    found: Sequence[Result],
    columns: Sequence[str],
    steps: Sequence[float],
    judges: Judges,
    ids: dict[tuple[str, str, str], str],
    several: bool,
) -> Group:
    one = found[0]
    place = f"{place_label(one)}, " if several else ""
    noticed = sum(status_of(each, judges) == KILLED for each in found)
    # Survivors first, then in the order of the day.
    ordered = sorted(found, key=lambda each: not missed_in(each, judges))
    return Group(
        f"{place}{text(one.policy, 200) or 'a policy without a name'}",
        f"{DOES[one.effect]}: {noticed} of {counted(len(found), 'mutant')} noticed",
        tuple(_row(each, columns, steps, judges, ids) for each in ordered),
    )


def _row(
    result: Result,
    columns: Sequence[str],
    steps: Sequence[float],
    judges: Judges,
    ids: dict[tuple[str, str, str], str],
) -> Row:
    own: dict[str, Detected] = {}
    for one in result.detectors:
        own.setdefault(one.name, one)
    cells = (
        _cell(own[name], result, steps, judges) if name in own else _silent(name, result, judges)
        for name in columns
    )
    missed = bool(missed_in(result, judges))
    name, at, where = short_id(result).partition("@")
    return Row(ids.get(result.key, ""), f"{name}{at}", where, missed, tuple(cells))


def _silent(name: str, result: Result, judges: Judges) -> Cell:
    """Of a detector without a word; who is for the other direction is not asked."""
    mine = judges.get(name, frozenset()) & {*directions_of(result)}
    return (
        Cell(ELSE, "not its direction")
        if judges.get(name) and not mine
        else Cell(NONE, "not asked")
    )


def _cell(one: Detected, result: Result, steps: Sequence[float], judges: Judges) -> Cell:
    if not _counts(one, result, judges):
        return Cell(ELSE, "not its direction")
    if one.noticed is None:
        return Cell(UNABLE, "can’t tell")
    if not one.noticed:
        return Cell(NO, "no")
    if one.after_ms is None:
        return Cell("t1", "yes", result.by == one.name)
    step = next((n for n, most in enumerate(steps, 1) if one.after_ms <= most), len(steps) + 1)
    return Cell(f"t{step}", brief(one.after_ms), result.by == one.name)
