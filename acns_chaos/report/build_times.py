"""The times of each fault: how long it stood, who noticed after how long, outage and recovery.

From the timeline's section where a control took one, else from readings. Figures are the
journal's own; only differences between its stamps are computed here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from acns_chaos.evidence.facts import Facts, reference
from acns_chaos.evidence.readings import UNKNOWN
from acns_chaos.evidence.telling import ROLES
from acns_chaos.evidence.values import mapping, mappings, moment, number, sequence, text
from acns_chaos.report.model import Notice, Span, Stood

__all__ = ["stood_of"]

SAMPLED = {"client": "client", "hubble": "Hubble", "prometheus": "Prometheus"}
RANKS = ("detector", "witness", "sampled", "explanation")
NO_TIMELINE = "the run took no timeline"
CLOSES_NOTHING = "the fault closes no flow, so these are other drops"


def stood_of(facts: Facts) -> tuple[Stood, ...]:
    """Return the times of each fault of a journal, in the journal's order."""
    timeline = {
        text(one.get("fault")): one
        for one in mappings(mapping(facts.section.get("timeline")).get("faults"))
    }
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in mappings(facts.section.get("faults")):
        groups.setdefault(text(one.get("id")).partition(".")[0], []).append(one)
    timed = {name: _timed_notices(timeline.get(name), parts) for name, parts in groups.items()}
    known = {notice.name for notices in timed.values() for notice in notices}
    found: list[Stood] = []
    for name, parts in groups.items():
        notices = timed[name]
        if not found:
            # A reading that the timeline did not time belongs to all faults: told once.
            notices = [*notices, *_read_notices(facts, known, _first(parts, "submitted"))]
        found.append(_stood(name, parts, mapping(timeline.get(name)), notices))
    return tuple(found)


def _stood(
    name: str,
    parts: Sequence[Mapping[str, Any]],
    timed: Mapping[str, Any],
    notices: Iterable[Notice],
) -> Stood:
    restored = [mapping(one.get("restored")) for one in parts]
    verified = [moment(one.get("verified")) for one in restored]
    end = max((at for at in verified if at), default=None) if all(verified) else None
    since = _first(parts, "submitted")
    return Stood(
        name,
        tuple(reference(one.get("policy")) or "a policy without a name" for one in parts),
        text(parts[0].get("operator")),
        since.isoformat(timespec="microseconds") if since else "",
        end.isoformat(timespec="microseconds") if end else "",
        _lasted(parts, restored, since, end),
        tuple(sorted(notices, key=_rank)),
        _span(timed.get("outage")),
        _span(timed.get("time_to_recover")),
    )


def _lasted(
    parts: Sequence[Mapping[str, Any]],
    restored: Sequence[Mapping[str, Any]],
    since: datetime | None,
    end: datetime | None,
) -> Span:
    """From submitted to read back; the bound is what the two writes took."""
    if since is None:
        return Span(None, why="the journal does not say when it was submitted")
    if end is None:
        return Span(None, why="it is not shown to have ended")
    accepted, asked = _last(parts, "accepted"), _first(restored, "submitted")
    bound = None
    if accepted and asked:
        bound = max(0.0, _ms(since, accepted)) + max(0.0, _ms(asked, end))
    return Span(_ms(since, end), bound)


def _timed_notices(
    timed: Mapping[str, Any] | None, parts: Sequence[Mapping[str, Any]]
) -> list[Notice]:
    """Return who noticed by the timeline, and of its own sources also who did not."""
    if timed is None:
        return []
    closes = any(sequence(mapping(one.get("predicted")).get("closed")) for one in parts)
    found = []
    for name, time in mapping(timed.get("time_to_detect")).items():
        span, role = _span(time), "sampled" if name in SAMPLED else "detector"
        if name == "prometheus" and span.ms is not None and not closes:
            # What it counts has no direction: with nothing closed these are somebody else's drops.
            span = Span(None, why=f"a drop counter rose after {span.phrase}; {CLOSES_NOTHING}")
        silent = span.ms is None and not span.why.startswith("not observed")
        found.append(Notice(SAMPLED.get(name, text(name)), role, span, silent))
    moments = mappings(timed.get("moments"))
    begun = next((one for one in moments if one.get("what") == "submitted"), None)
    since = moment(mapping(begun).get("at")) or _first(parts, "submitted")
    slack = number(mapping(begun).get("bound_ms")) or 0.0
    seen = set()
    for one in moments:
        role, name, at = text(one.get("what")), text(one.get("source")), moment(one.get("at"))
        if role in ("witness", "explanation") and name not in seen and at and since:
            seen.add(name)
            bound = number(one.get("bound_ms"))
            total = None if bound is None else bound + slack
            found.append(Notice(name, role, Span(_ms(since, at), total)))
    return found


def _read_notices(facts: Facts, known: Iterable[str], since: datetime | None) -> list[Notice]:
    """Return the declared activities that the timeline did not time, by what they read."""
    return [
        _read(facts, role, name, since)
        for role, key in ROLES.items()
        for name in facts.role(key)
        if name not in known
    ]


def _read(facts: Facts, role: str, name: str, since: datetime | None) -> Notice:
    answers = facts.answers(name)
    runs = [run for run in facts.runs if run.name == name]
    for run, answer in zip(runs, answers, strict=True):
        if answer.met is True:
            at = moment(mapping(run.output).get("at"))
            if at is None or since is None:
                return Notice(name, role, Span(None, why="it saw it; when is not recorded"))
            return Notice(name, role, Span(_ms(since, at)))
    told = next((one for one in answers if one.state == UNKNOWN), None)
    if told:
        return Notice(name, role, Span(None, why=f"it could not tell: {told.sentence}"))
    if answers:
        return Notice(name, role, Span(None, why=answers[0].sentence), silent=True)
    return Notice(name, role, Span(None, why="it was never asked"))


def _rank(notice: Notice) -> tuple[int, bool, float]:
    after = notice.after.ms
    rank = RANKS.index(notice.role) if notice.role in RANKS else len(RANKS)
    return (rank, after is None, after or 0.0)


def _span(time: object) -> Span:
    told = mapping(time)
    ms = number(told.get("ms"))
    if ms is None:
        return Span(None, why=text(told.get("why")) or NO_TIMELINE)
    return Span(ms, number(told.get("bound_ms")))


def _first(parts: Iterable[Mapping[str, Any]], key: str) -> datetime | None:
    return min((at for one in parts if (at := moment(one.get(key)))), default=None)


def _last(parts: Iterable[Mapping[str, Any]], key: str) -> datetime | None:
    return max((at for one in parts if (at := moment(one.get(key)))), default=None)


def _ms(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds() * 1000
