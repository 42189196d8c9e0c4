"""A day's score as lines of text: for the terminal, and for whoever reads its log."""

from collections.abc import Iterable, Iterator, Sequence

from acns_chaos.evidence.values import text
from acns_chaos.gameday.results import Result
from acns_chaos.gameday.score import Tally, missed_in
from acns_chaos.gameday.scoring import Day

__all__ = ["day_lines", "share", "table"]

# Of one kind at most so many are listed; all are in score.json.
LISTED = 100


def day_lines(day: Day) -> list[str]:
    """The score, what each detector is worth, the survivors with suggestions, and the unknown.

    Args:
        day: that is over.
    """
    merged, scored = day.merged, day.scored
    overall = scored.overall
    days = sorted({one.day for one in merged.results})
    labels = sorted({one.place.label or one.place.kind for one in merged.results})
    shards = {one.shard for one in merged.results}
    where = f" in {labels[0]}" if len(labels) == 1 else f" in {len(labels)} places" * bool(labels)
    parts = f", {len(shards)} shards" if len(shards) > 1 else ""
    plan = f" of {text(merged.expected.plan)}" if merged.expected.plan else ""
    head = f"Day {', '.join(map(text, days)) or '-'}{plan}{where}{parts}"
    counts = f"{overall.killed} killed, {overall.survived} survived, {overall.unknown} unknown"
    return [
        f"{head}: {len(merged.results)} mutants, {counts}",
        "",
        *_directions(day),
        *_detectors(day),
        *_survivors(day),
        *_unknown(scored.unknown),
        *_united(day),
        *day.shortfalls,
    ]


def share(tally: Tally) -> str:
    """A score with its interval: "80 % (61 to 91 %)"; "-" where nothing was judged."""
    if tally.score is None or tally.interval is None:
        return "-"
    low, high = (f"{100 * end:.0f}" for end in tally.interval)
    return f"{100 * tally.score:.0f} % ({low} to {high} %)"


def table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Rows in columns.

    Args:
        rows: the first is the header.
        left: how many columns are not numbers.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _directions(day: Day) -> Iterator[str]:
    head = ("DIRECTION", "KILLED", "SURVIVED", "UNKNOWN", "SCORE (95 %)", "UNHEARD")
    rows = [head]
    for name, one in day.scored.directions.items():
        numbers = (str(one.killed), str(one.survived), str(one.unknown))
        rows.append((name, *numbers, share(one), str(one.signalled)))
    yield from table(rows)
    if unheard := day.scored.overall.signalled:
        told = "1 survivor" if unheard == 1 else f"{unheard} survivors"
        yield f"UNHEARD: of {told} the signal was there, and nothing was listening."
    yield ""


def _detectors(day: Day) -> Iterator[str]:
    if not day.scored.detectors:
        return
    head = ("DETECTOR", "KIND", "FOR", "ASKED", "KILLS", "ALONE", "FIRST", "MEDIAN")
    rows: list[tuple[str, ...]] = [head]
    for one in day.scored.detectors:
        middle = "-" if one.median_ms is None else f"{one.median_ms:.0f} ms"
        counts = (one.asked, one.kills, one.alone, one.first)
        ways = "+".join(one.judges)
        rows.append((text(one.name, 60), text(one.kind), ways, *map(str, counts), middle))
    yield from table(rows, left=3)
    for one in day.scored.detectors:
        if one.unable:
            yield f"{text(one.name)} could not judge {one.unable}: it was firing before the fault."
    yield ""


def _survivors(day: Day) -> Iterator[str]:
    judges = day.merged.expected.judges
    found = day.scored.survivors
    if found:
        partly = len(found) - day.scored.overall.survived
        told = f", {partly} of them in one of two directions" if partly else ""
        yield f"Not noticed ({len(found)}{told}):"
    for one in found[:LISTED]:
        yield f"  {text(one.mutant)}: {text(one.mistake) or one.effect}"
        yield f"    nobody noticed it ({' and '.join(missed_in(one, judges))})"
        made = day.suggestions.get(one.key, ())
        yield from (
            f"    for {each.direction}: {text(each.kind)} {text(each.name)}: {text(each.why, 600)}"
            for each in made
        )
        if not made:
            yield (
                "    nothing can be suggested: no counter rose that a rule could name, and its "
                "experiment is not there or asks no such flow"
            )
    yield from _more(len(found))


def _unknown(found: Sequence[Result]) -> Iterator[str]:
    if found:
        yield f"Unknown ({len(found)}), in no score:"
    reasons: dict[str, list[Result]] = {}
    for one in found:
        reasons.setdefault(text(one.why) or "no reason is given", []).append(one)
    for why, group in sorted(reasons.items(), key=lambda pair: -len(pair[1]))[:LISTED]:
        names = ", ".join(text(one.mutant) for one in group[:3])
        more = f" and {len(group) - 3} more" if len(group) > 3 else ""
        yield f"  {why}: {names}{more}"


def _united(day: Day) -> Iterator[str]:
    merged = day.merged
    for one in day.not_restored:
        yield f"NOT RESTORED: {text(one.mutant)} of {text(one.shard)}; see {text(one.journal)}."
    if merged.missing:
        yield f"Without any result ({len(merged.missing)}): {_few(merged.missing)}"
    if merged.repeated:
        yield f"{merged.repeated} results were there more than once, and counted once."
    for one in merged.differing[:LISTED]:
        yield (
            f"{text(one.mutant)} of {text(one.shard)} ran twice: the run that ended at "
            f"{text(one.ended) or 'an unknown time'} ({one.status}) is not counted."
        )
    yield from (text(note) for note in merged.notes[:LISTED])


def _few(names: Iterable[str]) -> str:
    listed = [text(one) for one in names]
    return ", ".join(listed[:10]) + (f" and {len(listed) - 10} more" if len(listed) > 10 else "")


def _more(count: int) -> Iterator[str]:
    if count > LISTED:
        yield f"  and {count - LISTED} more: see score.json"
