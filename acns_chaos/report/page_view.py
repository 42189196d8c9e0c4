"""What the page shows of a story: its parts as the template wants them, bounded, without markup.

What is left out for size is counted and said. The drawing, the difference and the comparison are
made here, and only here, from the story's facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from acns_chaos.evidence.values import moment
from acns_chaos.report.build_answers import clock
from acns_chaos.report.model import Change, Permission, Span, Story
from acns_chaos.report.summary import line_of

if TYPE_CHECKING:
    from acns_chaos.report.difference import Difference
    from acns_chaos.report.drawing import Drawing

__all__ = ["MOST", "TONES", "View", "view_of"]

# How good news an outcome is: words of the style sheet, each with a sign of its own.
TONES = {"HELD": "good", "DEVIATED": "bad", "NOT_NOTICED": "bad", "NOT_RESTORED": "bad"}
BACK_TONES = {True: "good", False: "bad", None: "warn"}
# What of a long list one page shows.
MOST = 250
FEW = 6


@dataclass(frozen=True, slots=True)
class ChangeView:
    """One different change; `often` is how many times it was made, `flows` its long lists."""

    policy: str
    often: int
    facts: tuple[tuple[str, str], ...]
    flows: tuple[tuple[str, tuple[str, ...]], ...]
    difference: "Difference | None"


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """Predicted against observed, in words."""

    figures: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]
    more: str


@dataclass(frozen=True, slots=True)
class View:
    """A story as the template wants it.

    Attributes:
        id: of its anchor in a page of several runs.
        page: the style sheet's name of its place, for the printed page's margin.
        brief: whether the page leaves out what the whole page of the run shows.
    """

    story: Story
    id: str
    page: str
    brief: bool
    tone: str
    back_tone: str
    back: str
    started: str
    file: str
    faults: str
    stood: str
    first: str
    figures: tuple[tuple[str, str, str, str], ...]
    drawing: "Drawing | None"
    drawing_head: tuple[str, ...]
    changes: tuple[ChangeView, ...]
    comparison: ComparisonView | None
    nothing: str
    nothing_restored: str
    where: tuple[tuple[str, str], ...]
    permissions: tuple[tuple[str, ...], ...]
    evidence: tuple[tuple[str, str], ...]
    events: tuple[tuple[str, ...], ...]
    more_events: str


def view_of(story: Story, number: int, page: str, brief: bool = False) -> View:
    """Prepare a story for the page.

    Args:
        story: which.
        number: of the run in the page.
        page: the style sheet's name of its place.
        brief: leave out the drawing, the comparison and the long lists.
    """
    line, whole = line_of(story), not brief
    drawing, head = _drawn(story) if whole else (None, ())
    return View(
        story=story,
        id=f"run{number}",
        page=page,
        brief=brief,
        tone=TONES.get(story.verdict.outcome, "warn"),
        back_tone=BACK_TONES[story.is_back],
        back=line.back,
        started=_date(story.started),
        file=_file(story),
        faults=str(len(story.stood)) if story.stood else "none",
        stood=line.stood,
        first=f"{line.first}, after {line.after}" if line.after[:1].isdigit() else line.first,
        figures=_figures(story) if whole else (),
        drawing=drawing,
        drawing_head=head,
        changes=_changes(story.changes, whole),
        comparison=_compared(story) if whole and story.changes and not story.partial else None,
        nothing=_nothing(story, "Nothing: the journal records no fault."),
        nothing_restored=_nothing(story, "There was nothing to restore."),
        where=_where(story),
        permissions=_permissions(story.permissions or ()) if whole else (),
        evidence=_evidence(story),
        events=_events(story) if whole else (),
        more_events=_more(len(story.events), "events"),
    )


def _figures(story: Story) -> tuple[tuple[str, str, str, str], ...]:
    """The few figures that people ask for first: of the fault that stood longest."""
    if not story.stood:
        return ()
    longest = max(story.stood, key=lambda one: one.lasted.ms or 0.0)
    of = f"fault {longest.fault}, the longest of {len(story.stood)}" if len(story.stood) > 1 else ""
    if longest.lasted.ms is None:
        found = [("The fault stood for", "not known", "", longest.lasted.why)]
    else:
        found = [("The fault stood for", *_figure(longest.lasted), of)]
    line = line_of(story)
    if line.after[:1].isdigit():
        value, bound = _apart(line.after)
        found.append(("First detector after", value, bound, line.first))
    else:
        told = "none" if line.first.startswith("nobody") else "not known"
        found.append(("First detector", told, "", line.first))
    if longest.outage.ms is not None:
        found.append(("Customers cut off for", *_figure(longest.outage), ""))
    else:
        client = next((one for one in longest.notices if one.name == "client"), None)
        known = "not seen" if client and client.silent else "not known"
        found.append(("Customers cut off", known, "", longest.outage.why))
    if longest.recovery.ms is not None:
        found.append(("Well again after", *_figure(longest.recovery), "from the restore"))
    return tuple(found)


def _figure(span: Span) -> tuple[str, str]:
    return _apart(span.phrase)


def _apart(phrase: str) -> tuple[str, str]:
    """Return a time and its bound apart: "2.17 s", "± 0.02"."""
    value, _, bound = phrase.partition(" (")
    return value, bound.rstrip(")")


def _date(started: str) -> str:
    found = moment(started)
    return f"{found:%Y-%m-%d %H:%M:%S} UTC" if found else "at an unknown time"


def _nothing(story: Story, sentence: str) -> str:
    """Say *sentence*, unless the journal lacks the section that could tell."""
    if story.partial:
        return f"Unknown: {story.partial}."
    return sentence if story.facts.section else "Unknown: the journal has no acns_chaos section."


def _changes(changes: Sequence[Change], whole: bool) -> tuple[ChangeView, ...]:
    groups: dict[tuple[str, str, str], list[Change]] = {}
    for one in changes:
        groups.setdefault((one.policy, one.operator, one.change), []).append(one)
    return tuple(_change(made, whole) for made in list(groups.values())[:MOST])


def _change(made: Sequence[Change], whole: bool) -> ChangeView:
    first = made[0]
    how = {"delete": "the whole policy was deleted", "create": "the policy was created"}
    seen = next((one.realised_by for one in made if one.realised_by), "")
    facts = (
        ("kind", first.kind),
        ("fault", first.operator),
        ("what it did", how.get(first.change, "its rules were changed")),
        ("predicted to close", _flows(first.closed)),
        ("predicted to open", _flows(first.opened)),
        ("seen in force by", seen or "nobody: it was never seen to be in force"),
    )
    long = (("close", first.closed), ("open", first.opened))
    return ChangeView(
        policy=first.policy,
        often=len(made),
        facts=facts,
        # A few stand among the facts.
        flows=tuple(one for one in long if whole and len(one[1]) > FEW),
        difference=_differs(first) if whole else None,
    )


def _differs(change: Change) -> "Difference":
    from acns_chaos.report.difference import difference

    return difference(change.fault)


def _flows(flows: Sequence[str]) -> str:
    if not flows:
        return "nothing"
    more = f" and {len(flows) - FEW} more" if len(flows) > FEW else ""
    return ", ".join(flows[:FEW]) + more


def _drawn(story: Story) -> "tuple[Drawing, tuple[str, ...]]":
    from acns_chaos.report.drawing import COLUMNS, timeline

    return timeline(story.facts), COLUMNS


def _compared(story: Story) -> ComparisonView:
    from acns_chaos.report.comparison import comparison

    found = comparison(story.facts)

    def share(value: float | None) -> str:
        return "not known" if value is None else f"{value:.0%}"

    looked = f"{found.seen} of {found.looked} that somebody looked at; {found.predicted} predicted"
    figures = (
        ("recall", f"{share(found.recall)} ({looked})" if found.looked else share(None)),
        ("precision", share(found.precision)),
        ("Hubble's evidence", f"{found.grade}, {found.lost} events lost"),
        *((("why", found.why),) if found.why else ()),
        *((("noise, not counted", _flows(found.noise)),) if found.noise else ()),
    )
    return ComparisonView(figures, tuple(found.rows[:MOST]), _more(len(found.rows), "flows"))


def _where(story: Story) -> tuple[tuple[str, str], ...]:
    place = story.place
    return (
        ("place", f"{place.label}: {place.words}"),
        ("context", place.context),
        ("server", place.server),
        ("UID of kube-system", place.uid),
        ("namespace", place.namespace),
        ("run", story.run),
        *story.versions,
    )


def _permissions(permissions: Sequence[Permission]) -> tuple[tuple[str, ...], ...]:
    """Return a row for each resource in a namespace, with its verbs."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for one in permissions:
        resource = f"{one.resource} {one.name}" if one.name else one.resource
        grouped.setdefault((resource, one.namespace, one.tier), []).append(one.verb)
    rows = [
        (resource or "–", ", ".join(dict.fromkeys(verbs)), namespace or "all", tier or "–")
        for (resource, namespace, tier), verbs in grouped.items()
    ]
    return tuple(rows[:MOST])


def _evidence(story: Story) -> tuple[tuple[str, str], ...]:
    found = story.evidence
    intact = "yes: signed at its end and unchanged since"
    return (
        ("intact", f"no: {found.problem}" if found.problem else intact),
        ("chain head", found.head),
        ("signature", f"sha256:{found.digest}" if found.digest else ""),
        ("names and addresses", "replaced by pseudonyms" if found.redacted else "as they are"),
        *((("read from", _file(story)),) if story.source else ()),
    )


def _file(story: Story) -> str:
    """Return the name of the journal's file without its folder, which may name a person."""
    return PurePath(story.source).name


def _events(story: Story) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (one.what or "–", f"{one.ms:.0f}", clock(one.at), one.detail or "–")
        for one in story.events[:MOST]
    )


def _more(count: int, what: str) -> str:
    return f"{count - MOST} more {what} are in the journal." if count > MOST else ""
