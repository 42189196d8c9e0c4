"""A day's score as lines of text: for the terminal, and for whoever reads its log."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from acns_chaos.evidence.values import text
from acns_chaos.gameday.results import Result
from acns_chaos.gameday.score import (
    Tally,
    directions_of,
    missed_in,
    undecided_in,
    why_undecided,
)
from acns_chaos.gameday.scoring import Day

__all__ = ["day_lines", "share", "table"]

# Of one kind at most so many are listed; all are in score.json.
LISTED = 100
# Of a detector so many reasons.
FEW = 3


def day_lines(day: Day) -> list[str]:
    """The score, what each detector is worth, the survivors with suggestions, what is not known.

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
    counts = ", ".join(
        f"{count} {name}"
        for name, count in (
            ("killed", overall.killed),
            ("survived", overall.survived),
            ("undecided", overall.undecided),
            ("unknown", overall.unknown),
        )
    )
    return [
        f"{head}: {len(merged.results)} mutants, {counts}",
        "",
        *_directions(day),
        *_detectors(day),
        *_survivors(day),
        *_undecided(day),
        *_unknown(scored.unknown),
        *_own(day),
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
    head = ("DIRECTION", "KILLED", "SURVIVED", "UNDECIDED", "UNKNOWN", "SCORE (95 %)", "UNHEARD")
    rows: list[tuple[str, ...]] = [head]
    for name, one in day.scored.directions.items():
        numbers = (one.killed, one.survived, one.undecided, one.unknown)
        rows.append((name, *map(str, numbers), share(one), str(one.signalled)))
    yield from table(rows)
    overall, every = day.scored.overall, len(day.scored.results)
    if undecided := len(day.scored.undecided):
        yield (
            f"UNDECIDED: of {undecided} of {every} mutants nobody can tell whether they were "
            "noticed; in the score they were not."
        )
    if overall.unknown:
        yield (
            f"UNKNOWN: {overall.unknown} of {every} mutants were not run, or in a run that "
            "proves nothing; they are in no score."
        )
    if ours := sum(one.others is False for one in day.scored.results):
        told = "1 mutant was" if ours == 1 else f"{ours} mutants were"
        yield (
            f"KNOCKED: {told} noticed by alerts alone, and nobody but the run itself is known to "
            "have used the flow by then: they notice once it is used."
        )
    if unheard := overall.signalled:
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
            yield f"{text(one.name)} could not tell of {_reasons(one.unable)}"
    yield ""


def _reasons(found: Mapping[str, int]) -> str:
    """How often, and why: a detector has few reasons, unless they name moments."""
    told = [f"{text(why, 200)} ({count})" for why, count in found.items()]
    more = f"; and {len(told) - FEW} more reasons" if len(told) > FEW else ""
    if len(told) == 1:
        told = [text(why, 200) for why in found]
    return f"{sum(found.values())}: {'; '.join(told[:FEW])}{more}."


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


def _undecided(day: Day) -> Iterator[str]:
    judges, found = day.merged.expected.judges, day.scored.undecided
    if found:
        yield f"Undecided ({len(found)}), in the score as not noticed:"
    told = []
    for one in found:
        ways = undecided_in(one, judges)
        where = f" ({' and '.join(ways)})" if len(ways) < len(directions_of(one)) else ""
        told.append((one, f"{text(why_undecided(one, judges))}{where}"))
    yield from _by_reason(told)


def _unknown(found: Sequence[Result]) -> Iterator[str]:
    if found:
        yield f"Unknown ({len(found)}), in no score:"
    yield from _by_reason((one, text(one.why)) for one in found)


def _by_reason(found: Iterable[tuple[Result, str]]) -> Iterator[str]:
    reasons: dict[str, list[Result]] = {}
    for one, why in found:
        reasons.setdefault(why or "no reason is given", []).append(one)
    for why, group in sorted(reasons.items(), key=lambda pair: -len(pair[1]))[:LISTED]:
        names = ", ".join(text(one.mutant) for one in group[:3])
        more = f" and {len(group) - 3} more" if len(group) > 3 else ""
        yield f"  {why}: {names}{more}"


def _own(day: Day) -> Iterator[str]:
    own = day.merged.own
    every = (*own.counted, *own.not_run)
    several = len({one.shard for one in every}) > 1
    for one in every[:LISTED]:
        where = f" of {text(one.shard)}" if several else ""
        told = ": ".join(text(part) for part in (one.outcome, one.sentence) if part)
        yield f"Experiment {text(one.name)}{where}: {told or 'nothing is known of it'}"
    for one in own.differing[:LISTED]:
        yield (
            f"Experiment {text(one.name)} of {text(one.shard)} ran twice: the run that ended at "
            f"{text(one.ended) or 'an unknown time'} ({text(one.outcome) or '-'}) is not counted."
        )


def _united(day: Day) -> Iterator[str]:
    merged = day.merged
    for one in day.not_restored:
        yield f"NOT RESTORED: {text(one.mutant)} of {text(one.shard)}; see {text(one.journal)}."
    for each in merged.own.left:
        yield f"NOT RESTORED: {text(each.name)} of {text(each.shard)}; see {text(each.journal)}."
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
