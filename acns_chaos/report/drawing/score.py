"""From a journal to what is drawn: phases, lanes of requests, rates of drops, who noticed when."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.timeline.results import is_bad, is_good
from acns_chaos.evidence.values import mapping, mappings, moment, number, text, word
from acns_chaos.report.build_times import stood_of
from acns_chaos.report.drawing.rates import counted, dropped
from acns_chaos.report.drawing.values import (
    BAD,
    GOOD,
    OTHER,
    FaultBand,
    Gap,
    Lane,
    Mark,
    Noticing,
    Run,
    Score,
)
from acns_chaos.report.model import Span, Stood

__all__ = ["score_of", "told_of"]

# Of anything, so much is drawn; a hostile journal may hold millions.
MOST_FAULTS, MOST_RUNS, MOST_ROWS, MOST_MOMENTS, MOST_GAPS = 12, 60, 12, 400, 12
NAMES = {"client-connect": "Connections", "client-http": "Pages"}


def score_of(facts: Facts) -> Score:
    """Read a journal; never raises.

    Args:
        facts: of it.
    """
    section = mapping(facts.section.get("timeline"))
    events = mappings(facts.section.get("events"))[:MOST_MOMENTS]
    stood = stood_of(facts)
    zero = _zero(stood, section, events)
    missing = tuple(
        f"{text(one.get('source'), 80)}, because {text(one.get('why'), 160)}"
        for one in mappings(section.get("not_observed"))[:MOST_ROWS]
    )
    if zero is None:
        return Score(None, missing=missing)

    def at(value: object) -> float | None:
        found = moment(value)
        return None if found is None else (found - zero).total_seconds()

    timed = {text(one.get("fault")): one for one in mappings(section.get("faults"))}
    pairs = [(one, mapping(timed.get(one.fault))) for one in stood[:MOST_FAULTS]]
    faults = tuple(band for one, told in pairs if (band := _band(one, told, at)) is not None)
    moments = _moments(section, events, at)
    since, until = at(section.get("from")), at(section.get("to"))
    sampled = (since, until) if since is not None and until is not None else None
    sources = mappings(section.get("sources"))[:MOST_ROWS]
    lanes = tuple(_lane(one, at) for one in sources if text(one.get("name")).startswith("client"))
    rates = tuple(one for one in (*dropped(sources, at), *counted(sources, at)) if one.steps)
    noticings = _noticings(faults)
    begin, end = _shown(sampled, faults, noticings, moments)
    return Score(zero, begin, end, sampled, faults, lanes, rates, noticings, moments, missing)


def _zero(
    stood: Sequence[Stood], section: Mapping[str, Any], events: Sequence[Mapping[str, Any]]
) -> datetime | None:
    submitted = [at for one in stood if (at := moment(one.since)) is not None]
    if submitted:
        return min(submitted)
    begun = moment(section.get("from"))
    times = [begun] if begun else [at for one in events if (at := moment(one.get("at")))]
    return min(times) if times else None


def _band(stood: Stood, told: Mapping[str, Any], at: Any) -> FaultBand | None:
    since = at(stood.since)
    if since is None:
        return None
    moments = mappings(told.get("moments"))[:MOST_MOMENTS]
    failed = _first(moments, "first-failed-request", at)
    asked = _first(moments, "restore-submitted", at)
    return FaultBand(
        stood.fault,
        ", ".join(stood.policies[:3]),
        since,
        at(stood.until),
        stood,
        _stretch(failed, stood.outage),
        _stretch(asked, stood.recovery),
    )


def _stretch(since: float | None, span: Span) -> tuple[float, float] | None:
    if since is None or span.ms is None:
        return None
    ends = (since, since + span.ms / 1000)
    return min(ends), max(ends)


def _first(moments: Iterable[Mapping[str, Any]], what: str, at: Any) -> float | None:
    found = (at(one.get("at")) for one in moments if one.get("what") == what)
    return next((one for one in found if one is not None), None)


def _moments(
    section: Mapping[str, Any], events: Sequence[Mapping[str, Any]], at: Any
) -> tuple[tuple[float, str, str, float | None, str, str], ...]:
    """Return the timeline's moments; without any, the run's own events."""
    faults = mappings(section.get("faults"))[:MOST_FAULTS]
    given = [
        (one, text(fault.get("fault"), 20))
        for fault in faults
        for one in mappings(fault.get("moments"))[:MOST_MOMENTS]
    ]
    rows = given or [({**one, "source": "runner"}, "") for one in events]
    found = [
        (
            when,
            text(one.get("what"), 40),
            text(one.get("source"), 120),
            number(one.get("bound_ms")),
            text(one.get("detail"), 160),
            fault,
        )
        for one, fault in rows
        if (when := at(one.get("at"))) is not None
    ]
    return tuple(sorted(found, key=lambda one: one[0])[:MOST_MOMENTS])


def _lane(source: Mapping[str, Any], at: Any) -> Lane:
    samples = mapping(source.get("samples"))
    runs = []
    for one in mappings(samples.get("runs"))[:MOST_RUNS]:
        since, until = at(one.get("from")), at(one.get("to"))
        if since is not None and until is not None:
            count = int(number(one.get("count")) or 0)
            result = word(one.get("result"))
            runs.append(Run(since, max(since, until), _kind(result), count, text(result, 20)))
    counted = [
        (text(name, 20), int(count))
        for name, count in list(mapping(samples.get("results")).items())[:MOST_ROWS]
        if number(count) is not None
    ]
    counted.sort(key=lambda one: _kind(one[0]) != GOOD)
    results = [f"{count} {'with ' if name.isdigit() else ''}{name}" for name, count in counted[:4]]
    name = text(source.get("name"), 40)
    return Lane(
        NAMES.get(name, name),
        text(source.get("about"), 120),
        ", ".join(results),
        tuple(runs),
        gaps_of(source, at),
        int(number(samples.get("runs_not_shown")) or 0),
    )


def gaps_of(source: Mapping[str, Any], at: Any) -> tuple[Gap, ...]:
    """Return when a source did not see everything; one that still goes on has no end."""
    found = []
    for one in mappings(source.get("gaps"))[-MOST_GAPS:]:
        since, until = at(one.get("from")), at(one.get("to"))
        if since is not None:
            found.append(Gap(since, float("inf") if until is None else until, text(one.get("why"))))
    return tuple(found)


def _kind(result: str) -> str:
    if is_good(result):
        return GOOD
    return BAD if is_bad(result) else OTHER


def _noticings(faults: Sequence[FaultBand]) -> tuple[Noticing, ...]:
    """Join what each said of every fault: a row for each name, detectors first."""
    rows: dict[tuple[str, str], list[tuple[FaultBand, Any]]] = {}
    for fault in faults:
        for notice in fault.stood.notices:
            rows.setdefault((notice.role, notice.name), []).append((fault, notice))
    found = []
    for (role, name), given in rows.items():
        marks = tuple(
            Mark(
                fault.since + notice.after.ms / 1000,
                (notice.after.bound_ms or 0.0) / 1000,
                fault.since,
            )
            for fault, notice in given
            if notice.after.ms is not None
        )
        told = told_of([notice.after for _, notice in given])
        found.append(
            Noticing(name, role, marks, told, not marks and any(one.silent for _, one in given))
        )
    return tuple(found)


def told_of(spans: Sequence[Span]) -> str:
    """Say one figure, or the least and the greatest of several."""
    known = sorted((one for one in spans if one.ms is not None), key=lambda one: one.ms or 0.0)
    if not known:
        return spans[0].phrase if spans else ""
    if len(known) == 1 and len(spans) == 1:
        return known[0].phrase
    ends = [Span(one.ms).phrase for one in (known[0], known[-1])]
    often = (
        f"{len(known)} of {len(spans)} times" if len(known) < len(spans) else f"{len(spans)} times"
    )
    return f"{ends[0]} to {ends[1]}, {often}" if len(known) > 1 else f"{ends[0]}, {often}"


def _shown(
    sampled: tuple[float, float] | None,
    faults: Sequence[FaultBand],
    noticings: Sequence[Noticing],
    moments: Sequence[tuple[float, str, str, float | None, str, str]],
) -> tuple[float, float]:
    """Choose the stretch to draw: all that happened, and no more quiet before and after than that.

    A run that waits for minutes and breaks something for seconds would be an empty picture.
    """
    times = [0.0, *(one[0] for one in moments), *(m.at for one in noticings for m in one.marks)]
    for fault in faults:
        times += [fault.since, *((fault.until,) if fault.until is not None else ())]
        times += [*(fault.outage or ()), *(fault.recovery or ())]
    first, last = min(times), max(times)
    if sampled is None:
        room = max(0.05 * (last - first), 0.05)
        return first - room, last + room
    room = max(0.6 * (last - first), 1.0) if faults else float("inf")
    begin = min(first, max(sampled[0], first - room))
    end = max(last, min(sampled[1], last + room))
    return begin, end if end > begin else begin + 1.0
