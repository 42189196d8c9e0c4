"""One run in one line, and the faults that nobody would have noticed without it."""

from collections.abc import Sequence
from dataclasses import dataclass

from acns_chaos.evidence.outcome import Outcome
from acns_chaos.report.model import Notice, Stood, Story

__all__ = ["Line", "line_of", "survivors"]

# A fault that never was in force, or of which nothing is known, cannot have been missed.
NOTHING_TO_NOTICE = frozenset({Outcome.NOT_STARTED, Outcome.NOT_INJECTED})
SAW = "it saw it"


@dataclass(frozen=True, slots=True)
class Line:
    """One run.

    Attributes:
        stood: how long its fault stood; of several, the longest.
        first: the detector that noticed first, or why there is none.
        after: how long after the fault was submitted, "" where nobody noticed.
        back: "yes", "no", "unknown", or "nothing was changed".
    """

    stood: str
    first: str
    after: str
    back: str


def line_of(story: Story) -> Line:
    """Return a run in one line."""
    if not story.changes:
        told = "unknown" if story.partial or not story.verdict.trusted else "no fault"
        return Line(told, told if told == "unknown" else "nothing to notice", "", _back(story))
    notices = [one for stood in story.stood for one in stood.notices if one.role == "detector"]
    timed = [one for one in notices if one.after.ms is not None]
    if timed:
        first = min(timed, key=lambda one: one.after.ms or 0.0)
        return Line(_stood(story.stood), first.name, first.after.phrase, _back(story))
    if any(one.after.why.startswith(SAW) for one in notices):
        name = next(one.name for one in notices if one.after.why.startswith(SAW))
        return Line(_stood(story.stood), name, "when is not recorded", _back(story))
    if story.partial:
        return Line(_stood(story.stood), "unknown", "", _back(story))
    if not notices:
        return Line(_stood(story.stood), "nobody: no detector is declared", "", _back(story))
    silent = all(one.silent for one in notices)
    told = "nobody" if silent else "nobody that could tell"
    return Line(_stood(story.stood), told, "", _back(story))


def survivors(story: Story) -> tuple[str, ...]:
    """Return a sentence for each fault that no detector noticed, and each detector that was silent.

    Our own witnesses and our own sampling do not count: without this run they would not have been
    there to tell.
    """
    if story.partial or story.verdict.outcome in NOTHING_TO_NOTICE:
        return ()
    if not any(one.realised_by for one in story.changes):
        return ()
    told = []
    # A reading that nothing timed belongs to all faults and stands with the first.
    every = [one for stood in story.stood for one in stood.notices if one.role == "detector"]
    groups: dict[tuple[tuple[str, ...], str], list[Notice]] = {}
    for stood in story.stood:
        own = [one for one in stood.notices if one.role == "detector"]
        groups.setdefault((stood.policies, stood.operator), []).extend(own)
    for (policies, operator), own in groups.items():
        named = f"{', '.join(policies)} ({operator})" if operator else ", ".join(policies)
        told += _missed(named, own or every)
    return tuple(dict.fromkeys(told))


def _missed(named: str, notices: Sequence[Notice]) -> list[str]:
    noticed = [one for one in notices if one.after.ms is not None or one.after.why.startswith(SAW)]
    silent = list(dict.fromkeys(one.name for one in notices if one.silent and one not in noticed))
    quiet = ", ".join(f'"{name}"' for name in silent)
    if noticed:
        heard = {one.name for one in noticed}
        missed = ", ".join(f'"{name}"' for name in silent if name not in heard)
        return [f"{named}: {missed} stayed silent, another detector noticed."] if missed else []
    if not notices:
        return [f"{named}: no detector is declared, so nobody was asked to notice."]
    if quiet:
        return [f"{named}: nobody noticed; {quiet} stayed silent."]
    return [f"{named}: no detector could tell."]


def _stood(stood: Sequence[Stood]) -> str:
    known = [one.lasted for one in stood if one.lasted.ms is not None]
    if len(known) < len(stood) or not known:
        return "unknown"
    longest = max(known, key=lambda one: one.ms or 0.0).phrase
    return longest if len(known) == 1 else f"{longest}, the longest of {len(known)} faults"


def _back(story: Story) -> str:
    if story.is_back and not story.changes:
        return "nothing was changed"
    return {True: "yes", False: "no", None: "unknown"}[story.is_back]
