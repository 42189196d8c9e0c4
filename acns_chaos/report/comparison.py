"""Predicted against observed: of the flows a fault was to turn, which were seen to turn.

- *recall*: predicted flows that were seen to happen, of those that somebody looked at. Somebody
  looked when a probe or the run's own witness tried the flow while the fault stood, or when Hubble
  saw it dropped. That Hubble saw no drop is no look: perhaps nobody tried.
- *precision*: of the different flows that Hubble saw dropped in the namespace while a fault stood,
  those that were predicted. What was dropped before the first fault, too, is noise: it is named
  apart and not counted.
- *grade* of Hubble's evidence: "complete", "partial" (events lost, a node away, samples summed up)
  or "none" (nobody asked it).

Without anything to divide by there is no figure, and `why` says so. What was not seen is not told.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.values import mapping, mappings, number, sequence, text
from acns_chaos.report.comparison_seen import (
    CLOSES,
    DROPPED,
    LONGEST,
    OPENS,
    UNLOOKED,
    SeenFlow,
    probed,
    witnessed,
)

__all__ = ["COMPLETE", "NONE", "PARTIAL", "Comparison", "comparison"]

COMPLETE, PARTIAL, NONE = "complete", "partial", "none"
NOT_PREDICTED = "not predicted"
# One end and the port are those of a predicted flow, and the other end has another name.
ALIKE = "closes one like it"
# Rows are written for so many flows of each kind; how many more there are is one row.
WRITTEN = 12


@dataclass(frozen=True, slots=True)
class Comparison:
    """Predicted against observed, of all faults of a run.

    Attributes:
        rows: (flow, predicted, observed, how): "closes", "opens", "closes one like it" (the same
            receiver and port, or sender and port towards the outside), "not by this name", "not
            predicted"; "dropped", "denied", "open", or "nobody looked".
        precision, recall: 0 to 1, None where `why` says why.
        grade: of Hubble's evidence.
        lost: events that Hubble says it lost.
        why: why figures are missing and the evidence is not complete; "" for neither.
        noise: flows that were dropped before the first fault, too, with their reason.
        predicted, looked, seen: how many flows were predicted, looked at, seen to happen.
    """

    rows: tuple[tuple[str, str, str, str], ...]
    precision: float | None
    recall: float | None
    grade: str
    lost: int
    why: str
    noise: tuple[str, ...] = ()
    predicted: int = 0
    looked: int = 0
    seen: int = 0


def comparison(facts: Facts) -> Comparison:
    """Compare; never raises.

    Args:
        facts: of a journal.
    """
    flows = _predicted(facts)
    sections = _sections(facts)
    dropped = _dropped(sections)
    for name, count in _closed(sections).items():
        if (flow := flows.get((CLOSES, name))) is not None:
            flow.told(DROPPED, f"Hubble: {_count(count)}")
    strangers = witnessed(facts, flows)
    probed(facts, flows)
    grade, lost, doubts = _grade(facts, sections)
    looked = [one for one in flows.values() if one.happened or one.contrary]
    seen = [one for one in looked if one.happened]
    fresh = {name: row for name, row in dropped.items() if row.predicted or not row.before}
    expected = [row for row in fresh.values() if row.predicted]
    noise = tuple(row.label for name, row in dropped.items() if name not in fresh)
    why = [*_whys(facts, looked, fresh, grade), *doubts]
    return Comparison(
        tuple(_rows(flows.values(), strangers, fresh.values())),
        len(expected) / len(fresh) if fresh else None,
        len(seen) / len(looked) if looked else None,
        grade,
        lost,
        " ".join(dict.fromkeys(why)),
        noise[:WRITTEN],
        len(flows),
        len(looked),
        len(seen),
    )


def _rows(
    flows: Iterable[SeenFlow],
    strangers: Iterable[tuple[str, str, str, str]],
    fresh: Iterable["_Drop"],
) -> Iterable[tuple[str, str, str, str]]:
    """Write what was looked at, then what was dropped besides, then how much nobody looked at."""
    every = list(flows)
    looked = [one for one in every if one.happened or one.contrary]
    others = [one for one in every if not (one.happened or one.contrary)]
    yield from (one.row() for one in looked[: 2 * WRITTEN])
    yield from strangers
    names = {one.text for one in looked}
    beside = [one for one in fresh if one.flow not in names]
    for drop in beside[:WRITTEN]:
        predicted = ALIKE if drop.predicted else NOT_PREDICTED
        yield (drop.label, predicted, DROPPED, f"Hubble: {_count(drop.count)}")
    shown = others[: max(0, WRITTEN - len(looked))]
    yield from (one.row() for one in shown)
    left = len(others) - len(shown) + max(0, len(looked) - 2 * WRITTEN)
    if left > 0:
        yield (f"{left} more predicted flows", "", UNLOOKED, "")
    if len(beside) > WRITTEN:
        yield (f"{len(beside) - WRITTEN} more flows", NOT_PREDICTED, DROPPED, "Hubble")


def _predicted(facts: Facts) -> dict[tuple[str, str], SeenFlow]:
    """Return each predicted flow once, whichever fault and object it is of."""
    found: dict[tuple[str, str], SeenFlow] = {}
    for fault in mappings(facts.section.get("faults")):
        told = mapping(fault.get("predicted"))
        for way, key in ((CLOSES, "closed"), (OPENS, "opened")):
            for one in sequence(told.get(key)):
                name = text(one, LONGEST)
                if name:
                    found.setdefault((way, name), SeenFlow(name, way))
    return found


def _sections(facts: Facts) -> list[Mapping[str, Any]]:
    """Return what the timeline holds of each fault's flows; older journals hold none."""
    faults = mappings(mapping(facts.section.get("timeline")).get("faults"))
    return [one for fault in faults if (one := mapping(fault.get("flows")))]


def _closed(sections: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Return how often each predicted connection was dropped, in all faults."""
    found: Counter[str] = Counter()
    for section in sections:
        for one in mappings(section.get("closed")):
            found[text(one.get("flow"), LONGEST)] += max(0, int(number(one.get("dropped")) or 0))
    return +found


@dataclass(slots=True)
class _Drop:
    """One flow that Hubble saw dropped while a fault stood."""

    label: str
    flow: str = ""
    count: int = 0
    before: int = 0
    predicted: bool = False


def _dropped(sections: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], _Drop]:
    """Return the dropped flows, each once: at either end, for whatever reason, in any fault."""
    found: dict[tuple[str, ...], _Drop] = {}
    for section in sections:
        for row in mappings(section.get("dropped")):
            ends = [text(row.get(key), 80) for key in ("source", "destination", "port", "protocol")]
            flow = f"{ends[0]} -> {ends[1]}:{ends[2]}/{ends[3]}"
            label = f"{flow} {text(row.get('reason'), 40)}".rstrip()
            drop = found.setdefault(tuple(ends), _Drop(label, flow))
            drop.flow = text(row.get("flow"), LONGEST) or drop.flow
            drop.count += int(number(row.get("count")) or 0)
            drop.before = max(drop.before, int(number(row.get("before")) or 0))
            drop.predicted = drop.predicted or row.get("predicted") is True
    return found


def _grade(facts: Facts, sections: Iterable[Mapping[str, Any]]) -> tuple[str, int, list[str]]:
    """Grade what Hubble told: the grade, how many events it lost, and why it is not complete."""
    timeline = mapping(facts.section.get("timeline"))
    sources = [one for one in mappings(timeline.get("sources")) if one.get("name") == "hubble"]
    absent = [
        text(one.get("why"), LONGEST)
        for one in mappings(timeline.get("not_observed"))
        if one.get("source") in ("hubble", "all")
    ]
    lost = int(sum(number(one.get("lost")) or 0 for one in sources))
    doubts = [f"Hubble lost {lost} events." if lost else ""]
    doubts += [
        f"Hubble did not see all of it: {text(one.get('unseen'), LONGEST)}."
        for one in sections
        if text(one.get("unseen"))
    ]
    doubts += [f"{_count(one.get('left_out'))} are left out." for one in sections if _left(one)]
    asked = bool(sources) and not absent
    for run in facts.runs:
        told = mapping(mapping(mapping(run.output).get("evidence")).get("hubble"))
        if not told or not isinstance(told.get("complete"), bool):
            continue
        asked = True
        if told["complete"] is False:
            lost += 0 if sources else int(number(told.get("lost")) or 0)
            reasons = ", ".join(text(one, 80) for one in sequence(told.get("reasons"))[:3])
            doubts.append(f'Hubble was not complete for "{text(run.name, 80)}": {reasons}.')
    if not asked:
        return NONE, lost, [f"Hubble was not observed: {one}." for one in absent]
    doubts = [one for one in doubts if one]
    return (PARTIAL if doubts else COMPLETE), lost, doubts


def _left(section: Mapping[str, Any]) -> bool:
    return (number(section.get("left_out")) or 0) > 0


def _whys(
    facts: Facts, looked: Iterable[SeenFlow], fresh: Iterable[Any], grade: str
) -> Iterable[str]:
    """Say why there is no figure."""
    if not facts.faults:
        yield "No fault was injected, so there is nothing to compare."
        return
    predicted = _predicted(facts)
    if not predicted:
        yield "No recall: no flow was predicted to turn."
    elif not list(looked):
        yield "No recall: nobody looked at a predicted flow while a fault stood."
    if not list(fresh):
        why = "Hubble saw no flow dropped that was not dropped before, too"
        if grade == NONE:
            why = "Hubble was not asked"
        elif not _sections(facts):
            why = "the journal does not hold which drops were of which fault"
        yield f"No precision: {why}."


def _count(count: object) -> str:
    found = int(number(count) or 0)
    return f"{found} flow{'' if found == 1 else 's'} dropped"
