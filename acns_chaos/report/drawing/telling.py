"""The picture in words: one paragraph, and a table in the order of time."""

from acns_chaos.evidence.values import text
from acns_chaos.report.drawing.values import FaultBand, Noticing, Score
from acns_chaos.report.scales import seconds_text

__all__ = ["COLUMNS", "rows_of", "summary_of"]

COLUMNS = ("seconds", "what", "seen by", "±")
# Sentences and rows; the journal holds the rest.
MOST_FAULTS, MOST_ROWS = 4, 120
WORDS = {
    "submitted": "fault submitted",
    "accepted": "fault stored",
    "realised": "fault in force",
    "first-failed-request": "first failed request",
    "first-drop": "first dropped packet",
    "noticed": "noticed",
    "witness": "witnessed",
    "explanation": "explained",
    "restore-submitted": "restore submitted",
    "restored": "read back as it was",
    "restore-realised": "restore in force",
    "first-success": "first success again",
}


def summary_of(score: Score) -> str:
    """Tell a timeline in one paragraph.

    Args:
        score: as `score.score_of` reads it.
    """
    if score.is_empty or score.zero is None:
        return "There is nothing to draw: the journal holds no moments of this run."
    clock = (
        f"{score.zero:%H:%M:%S}.{score.zero.microsecond // 1000:03} UTC on {score.zero:%Y-%m-%d}"
    )
    if not score.faults:
        told = [f"Timeline of a run without a fault; seconds count from {clock}."]
    else:
        several = len(score.faults) > 1
        what = f"{len(score.faults)} faults" if several else "one fault"
        first = "the first was" if several else "it was"
        told = [f"Timeline of {what}; seconds count from {clock}, when {first} submitted."]
    for fault in score.faults[:MOST_FAULTS]:
        told.append(_fault(fault, f"{fault.name}: " if len(score.faults) > 1 else ""))
    if len(score.faults) > MOST_FAULTS:
        told.append(f"{len(score.faults) - MOST_FAULTS} more faults are in the table.")
    told += [_lane_sentence(name, results) for name, results in _lanes(score)]
    told += [f"Not observed: {one}." for one in score.missing[:3]]
    return text(" ".join(told), 3000)


def _fault(fault: FaultBand, prefix: str) -> str:
    stood = fault.stood
    lasted = (
        f"stood for {stood.lasted.phrase}"
        if stood.lasted.ms is not None
        else "is not shown to have ended"
    )
    told = [f"{prefix}the fault in {fault.policies} {lasted}."]
    for one in stood.notices:
        name = f'"{one.name}"' if one.role != "sampled" else one.name
        if one.after.ms is not None:
            verb = {"witness": "witnessed it", "explanation": "explained it"}.get(
                one.role, "noticed"
            )
            told.append(f"{name} {verb} after {one.after.phrase}.")
        else:
            told.append(f"{name}{' did not notice' if one.silent else ''}: {one.after.phrase}.")
    if stood.outage.ms is not None:
        told.append(f"Customers were cut off for {stood.outage.phrase}.")
    if stood.recovery.ms is not None:
        told.append(f"All was well {stood.recovery.phrase} after the restore was submitted.")
    sentence = " ".join(told)
    return sentence[0].upper() + sentence[1:] if not prefix else sentence


def _lanes(score: Score) -> list[tuple[str, str]]:
    return [(one.name, one.results) for one in score.lanes if one.results]


def _lane_sentence(name: str, results: str) -> str:
    return f"{name}: {results}."


def rows_of(score: Score) -> tuple[tuple[str, ...], ...]:
    """Return the table: one row for each moment, gap and silence; columns COLUMNS.

    Args:
        score: as `score.score_of` reads it.
    """
    several = len(score.faults) > 1
    rows: list[tuple[float, tuple[str, ...]]] = []
    for at, what, source, bound, detail, fault in score.moments:
        words = WORDS.get(what, what)
        shown = f"{words} ({fault})" if several and fault else words
        if not source or source == "runner":
            shown = f"{shown}: {detail}" if detail else shown
        rows.append((at, (_at(at), shown, source or "runner", _bound(bound))))
    known = {(one[1], one[2]) for _, one in rows}
    rows += [one for one in _noticed(score.noticings) if (one[1][1], one[1][2]) not in known]
    for lane in score.lanes:
        for gap in lane.gaps:
            rows.append((gap.since, (_at(gap.since), f"not seen: {gap.why}", lane.name, "–")))
        for run in lane.runs:
            told = f"{run.count} requests until {_at(run.until)}: {run.result}"
            if run.count == 1:
                told = f"1 request: {run.result}"
            rows.append((run.since, (_at(run.since), told, lane.name, "–")))
    rows.sort(key=lambda one: one[0])
    found = [one for _, one in rows[:MOST_ROWS]]
    if len(rows) > MOST_ROWS:
        found.append(("–", f"{len(rows) - MOST_ROWS} more are in the journal", "–", "–"))
    found += [
        ("–", f"{'did not notice' if one.silent else 'not known'}: {one.told}", one.name, "–")
        for one in score.noticings
        if not one.marks
    ]
    return tuple(found)


def _noticed(noticings: tuple[Noticing, ...]) -> list[tuple[float, tuple[str, ...]]]:
    """Rows for what the timeline did not time, as where there is none."""
    words = {"witness": "witnessed", "explanation": "explained"}
    return [
        (
            mark.at,
            (
                _at(mark.at),
                words.get(one.role, "noticed"),
                one.name.lower() if one.role == "sampled" else one.name,
                _bound(mark.bound * 1000 or None),
            ),
        )
        for one in noticings
        for mark in one.marks
    ]


def _at(at: float) -> str:
    return seconds_text(at, 0.001)


def _bound(bound: float | None) -> str:
    return "–" if bound is None else f"{bound / 1000:.3f}"
