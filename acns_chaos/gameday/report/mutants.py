"""What the page tells of one mutant when somebody digs: policy, timeline, readings, files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from acns_chaos.evidence.values import moment, text
from acns_chaos.gameday.report.reading import Told
from acns_chaos.gameday.report.telling import (
    brief,
    flows,
    late,
    repeat,
    short_id,
    status_told,
    took,
    ways_told,
)
from acns_chaos.gameday.results import Detected, Result
from acns_chaos.gameday.score import Judges, directions_of, ways_of
from acns_chaos.report.build import changes_of, readings_of
from acns_chaos.report.difference import difference
from acns_chaos.report.drawing import timeline

if TYPE_CHECKING:
    from markupsafe import Markup

    from acns_chaos.evidence.facts import Facts
    from acns_chaos.report.difference import Difference
    from acns_chaos.report.model import Reading

__all__ = ["MutantView", "mutant_view"]

# Of one mutant: objects whose difference is shown, readings, detectors.
MOST_CHANGES, MOST_READINGS, MOST_DETECTORS = 3, 40, 40
GONE = "Its journal {name} is not beside the results: journals stay with the shard that ran it."
NEVER = "It has no journal: nothing was run."


@dataclass(frozen=True, slots=True)
class MutantView:
    """A mutant as the template wants it.

    Attributes:
        id: of its fold in the page.
        tone: how it fared, "good", "bad" or "warn".
        status: the same in words.
        repeat: the command that plays it again; "" where there is none.
        detectors: each one's word: name, whether it noticed, after how long, deadline, why.
        changes: policy, and how it differed while the fault stood.
        svg: its timeline; "" for none.
        missing: why there is no journal to tell from, "" where there is.
    """

    id: str
    name: str
    tone: str
    status: str
    facts: tuple[tuple[str, str], ...]
    repeat: str
    detectors: tuple[tuple[str, ...], ...]
    signals: tuple[tuple[str, ...], ...]
    changes: "tuple[tuple[str, Difference], ...]"
    svg: "Markup | str"
    readings: "tuple[Reading, ...]"
    missing: str


def mutant_view(told: Told, result: Result, number_id: str) -> MutantView:
    """Prepare one mutant.

    Args:
        told: its day.
        result: what became of it.
        number_id: the id of its fold.
    """
    journal = told.journal(result)
    judges = told.day.merged.expected.judges
    tone, status = status_told(result, told)
    missing = ""
    if journal is None:
        name = text(result.journal, 200)
        missing = GONE.format(name=name) if name else NEVER
    return MutantView(
        id=number_id,
        name=f"{text(result.policy, 200)}: {short_id(result)}"
        if result.policy
        else short_id(result),
        tone=tone,
        status=status,
        facts=_facts(told, result, journal),
        repeat=repeat(result),
        detectors=tuple(_detector(o, result, judges) for o in result.detectors[:MOST_DETECTORS]),
        signals=tuple(
            (
                text(one.name, 200) or "–",
                "rose" if one.rose else "did not rise",
                "–" if one.by is None else f"{one.by:g}",
            )
            for one in result.signals[:MOST_DETECTORS]
        ),
        changes=_changes(journal) if journal else (),
        svg=timeline(journal, compact=True).svg if journal else "",
        readings=readings_of(journal)[:MOST_READINGS] if journal else (),
        missing=missing,
    )


def _facts(told: Told, one: Result, journal: "Facts | None") -> tuple[tuple[str, str], ...]:
    effect = told.effect(one, journal)
    facts = (
        ("mistake", one.mistake),
        ("what it does", ways_told(one)),
        ("predicted to close", flows(effect.closed)),
        ("predicted to open", flows(effect.opened)),
        ("operator", f"{one.operator or 'unknown'} ({one.family or 'no family'}) at {one.where}"),
        ("why", one.why),
        ("before", late(one, told)),
        ("outcome of the run", _outcome(one)),
        ("journal", one.journal),
    )
    optional = ("why", "before")
    known = one.key in told.effects or journal is not None
    return tuple(
        (name, value if known or not name.startswith("predicted") else "not known")
        for name, value in facts
        if value or name not in optional
    )


def _outcome(one: Result) -> str:
    if not one.outcome:
        return ""
    lasted = f", {one.seconds:.1f} s" if one.seconds is not None else ""
    back = {True: "", False: ", NOT put back", None: ", put back: not known"}[one.restored]
    at = moment(one.started)
    begun = f", begun {at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
    return f"{one.outcome}{begun}{lasted}{back}"


def _detector(one: Detected, result: Result, judges: Judges) -> tuple[str, ...]:
    if not ways_of(one, judges) & {*directions_of(result)}:
        said = "not its direction"
    else:
        said = {True: "yes", False: "no", None: "can’t tell"}[one.noticed]
    after = took(one.after_ms, one.bound_ms) if one.noticed else "–"
    return text(one.name, 100) or "–", said, after, brief(one.deadline_ms), one.why or "–"


def _changes(journal: "Facts") -> "tuple[tuple[str, Difference], ...]":
    found: Sequence[tuple[str, Difference]] = [
        (one.policy, difference(one.fault)) for one in changes_of(journal)[:MOST_CHANGES]
    ]
    return tuple(found)
