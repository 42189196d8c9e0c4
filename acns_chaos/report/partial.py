"""The story of a journal that was cut off: what its whole values show, and no word about the rest.

What a whole journal's silence means ("no fault", "no detector noticed", "not played") means nothing
where the file ends early, so every such sentence is taken back here.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from acns_chaos.evidence.facts import Fault
from acns_chaos.evidence.telling import inconclusive
from acns_chaos.evidence.values import mapping, sequence
from acns_chaos.report.build_answers import clock
from acns_chaos.report.model import Answers, Asked, Span, Stood, Story, Verdict

__all__ = ["CUT", "partial", "standing"]

CUT = "the journal is cut off: the host stopped while it wrote"
UNTOLD = "Unknown: the journal is cut off before it tells."
NOBODY = "No detector noticed"

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")


def partial(story: Story) -> Story:
    """Return a story that claims only what a journal without its end can show.

    Args:
        story: as `build.story` tells what was salvaged.

    Returns:
        The same run: INCONCLUSIVE, with the faults that may still stand named first.
    """
    judged = inconclusive(story.facts, CUT, standing(story))
    verdict = Verdict(
        judged.outcome.value,
        judged.outcome.code,
        judged.sentence,
        judged.next,
        (CUT, *(f"{one.policy}: {one.debt}" for one in story.facts.debts)),
        trusted=False,
        problem=CUT,
    )
    return replace(
        story,
        verdict=verdict,
        is_back=None,
        answers=_answers(story),
        asked=_asked(story.asked),
        stood=tuple(_stood(one) for one in story.stood),
        not_observed=(
            "Everything after the place where the file ends: the host stopped while it wrote.",
            "Whether the journal is as the run wrote it: its signature is missing.",
            "Traffic that no probe asked about, and other namespaces and clusters.",
        ),
        evidence=replace(story.evidence, problem=CUT),
        partial=CUT,
    )


def standing(story: Story) -> str:
    """Say what may still be broken after the run of a journal that was cut off, and what to do."""
    debts = story.facts.debts
    if not debts:
        held = (
            "shows that the faults it holds were put back, and there may be others"
            if story.changes
            else "names no fault, and there may have been one"
        )
        return (
            f"The file {held}: check by hand that every policy of the experiment is as it should "
            "be."
        )
    names = ", ".join(dict.fromkeys(_named(one) for one in debts))
    said = _said_restored(story, debts)
    if story.place.kind == "lab":
        return f"{names} may have been left as the fault made it{said}; no cluster was touched."
    return (
        f"{names} may still stand{said}: run `{_restore(story)}` against that cluster, then check "
        "by hand that every policy of the experiment is as it should be."
    )


def _restore(story: Story) -> str:
    """Return the command that puts back what the run left, or that lists what any run left."""
    # Somebody will paste it into a shell.
    run = f"--run {story.run}" if _WORD.fullmatch(story.run) else "--list"
    namespace = story.place.namespace
    return f"acns-chaos restore {run}" + (f" -n {namespace}" if _WORD.fullmatch(namespace) else "")


def _named(fault: Fault) -> str:
    return f"{fault.policy} ({fault.operator})" if fault.operator else fault.policy


def _said_restored(story: Story, debts: Iterable[Fault]) -> str:
    """Say which of them an activity says it restored, which is no proof."""
    activities = (*story.facts.runs, *story.facts.rollbacks)
    told = {
        name
        for one in activities
        for name in sequence(mapping(one.output).get("restored"))
        if isinstance(name, str)
    }
    said = [one for one in dict.fromkeys(fault.policy for fault in debts) if one in told]
    return f" (the run says that it restored {', '.join(said)}; no hash shows it)" if said else ""


def _answers(story: Story) -> Answers:
    told = story.answers
    broken = told.broken if story.changes else (UNTOLD,)
    noticed = tuple(one for one in told.noticed if not one.startswith(NOBODY))
    return Answers(
        broken=(*broken, "Whether anything else was changed is not known.")
        if story.changes
        else broken,
        lasted=tuple(f"{_prefix(story, one)}{_lasted(one)}" for one in story.stood) or (UNTOLD,),
        noticed=(*noticed, "Whether anybody else noticed is not known.")
        if story.changes and noticed
        else (UNTOLD,),
        unnoticed=(UNTOLD,),
        back=(f"Unknown: {CUT}.", standing(story)),
    )


def _prefix(story: Story, stood: Stood) -> str:
    return f"{stood.fault}: " if len(story.stood) > 1 else ""


def _lasted(stood: Stood) -> str:
    if stood.lasted.ms is None:
        since = f", since {clock(stood.since)} UTC" if stood.since else ""
        return f"Unknown{since}: the journal is cut off before it tells of the end."
    return f"The fault stood from {clock(stood.since)} to {clock(stood.until)} UTC."


def _asked(asked: Asked) -> Asked:
    return replace(asked, passes=tuple(one for one in asked.passes if one.result != "not played"))


def _stood(stood: Stood) -> Stood:
    return replace(
        stood,
        lasted=_span(stood.lasted),
        notices=tuple(one for one in stood.notices if one.after.ms is not None),
        outage=_span(stood.outage),
        recovery=_span(stood.recovery),
    )


def _span(span: Span) -> Span:
    return span if span.ms is not None else Span(None, why="the journal is cut off")
