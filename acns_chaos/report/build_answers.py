"""The reviewer's questions, answered in sentences from a story's parts.

What was broken, for how long, who noticed and when, what would not have been noticed, and is
everything back? A figure without its error bound, or a yes without its evidence, is not said here.
"""

from collections.abc import Iterable, Iterator, Sequence

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.outcome import Outcome
from acns_chaos.evidence.readings import READY
from acns_chaos.evidence.telling import quoted
from acns_chaos.evidence.values import moment
from acns_chaos.report.model import Answers, Change, Notice, Reading, Stood, Verdict

__all__ = ["answers_of", "clock"]

VERBS = {"delete": "was deleted", "create": "was created", "modify": "was changed"}
# What the run's own sampling is, in words; it would not have told anybody without this run.
OWN = {
    "client": "This run's own client saw requests fail",
    "Hubble": "This run's own watch on Hubble saw the first drop",
    "Prometheus": "This run's own watch on Prometheus saw a drop counter rise",
}
MOST = 3


def answers_of(
    facts: Facts,
    changes: Sequence[Change],
    readings: Sequence[Reading],
    stood: Sequence[Stood],
    verdict: Verdict,
    back: bool | None,
) -> Answers:
    """Answer the reviewer's questions.

    Args:
        facts: the journal.
        changes: of its story, as are all that follow.
        readings: what the method's activities answered.
        stood: the faults' times.
        verdict: what was judged.
        back: whether everything is back.
    """
    if not changes:
        why = "no fault was injected" if facts.section else "the journal does not say"
        return Answers(
            (f"Nothing: {why}.",) if facts.section else ("Unknown: the journal does not say.",),
            (f"Not at all: {why}.",) if facts.section else ("Unknown: the journal does not say.",),
            (f"Nobody had anything to notice: {why}.",) if facts.section else ("Unknown.",),
            (f"Nothing is learnt about detection: {why}.",),
            tuple(_back(facts, verdict, back)),
        )
    return Answers(
        tuple(_broken(changes)),
        tuple(_lasted(facts, stood)),
        tuple(_noticed(stood)),
        tuple(_unnoticed(facts, changes, readings, stood)),
        tuple(_back(facts, verdict, back)),
    )


def _broken(changes: Sequence[Change]) -> Iterator[str]:
    """What was broken: once for each different change, however often it was made."""
    times: dict[tuple[str, str, str], list[Change]] = {}
    for one in changes:
        times.setdefault((one.policy, one.operator, one.change), []).append(one)
    for (policy, operator, change), made in times.items():
        often = f", {len(made)} times" if len(made) > 1 else ""
        kind = f"{made[0].kind} " if made[0].kind else ""
        verb = VERBS.get(change, "was changed")
        effect = [
            f"to close {_some(made[0].closed)}" if made[0].closed else "",
            f"to open {_some(made[0].opened)}" if made[0].opened else "",
        ]
        told = " and ".join(one for one in effect if one) or "to change no flow"
        seen = "" if any(one.realised_by for one in made) else " It was never seen to be in force."
        yield f"{kind}{policy} {verb} on purpose ({operator}){often}, predicted {told}.{seen}"


def _lasted(facts: Facts, stood: Sequence[Stood]) -> Iterator[str]:
    for one in stood:
        prefix = f"{one.fault}: " if len(stood) > 1 else ""
        if one.lasted.ms is not None:
            span = f"from {clock(one.since)} to {clock(one.until)} UTC"
            yield f"{prefix}The fault stood for {one.lasted.phrase}, {span}."
        else:
            end = moment(facts.journal.get("end")) or moment(facts.journal.get("start"))
            since = f", since {clock(one.since)} UTC" if one.since else ""
            looked = f" (the journal ends at {end:%H:%M:%S} UTC)" if end else ""
            yield f"{prefix}Unknown{since}: {one.lasted.why}{looked}."
        if one.outage.ms is not None:
            again = (
                f" All was well {one.recovery.phrase} after the restore was submitted."
                if one.recovery.ms is not None
                else ""
            )
            yield f"{prefix}Customers were cut off for {one.outage.phrase}.{again}"
        else:
            yield f"{prefix}{_outage(one)}"


def _outage(stood: Stood) -> str:
    """Say why there is no outage to tell: none was seen, nor its end, or nobody could look."""
    client = next((one for one in stood.notices if one.name == "client"), None)
    if client and client.silent:
        return "Customers were not cut off, as far as this run saw: no request was seen to fail."
    if client and client.after.ms is None:
        return f"Whether customers were cut off is not known: {_end(client.after.why)}"
    return f"How long customers were cut off is not known: {_end(stood.outage.why)}"


def _noticed(stood: Sequence[Stood]) -> Iterator[str]:
    detected = False
    for one in stood:
        prefix = f"{one.fault}: " if len(stood) > 1 else ""
        for notice in one.notices:
            after = notice.after
            if after.ms is None and after.why != "it saw it; when is not recorded":
                continue
            when = f"after {after.phrase}" if after.ms is not None else "(when is not recorded)"
            detected = detected or notice.role == "detector"
            yield f"{prefix}{_subject(notice)} {when}."
    if not detected:
        yield "No detector noticed: nothing that would have told the team without this run."


def _subject(notice: Notice) -> str:
    if notice.role == "sampled":
        return OWN.get(notice.name, f"This run's own {notice.name} noticed")
    verb = {"detector": "noticed", "witness": "confirmed it", "explanation": "named the cause"}
    return f"The {notice.role} {quoted(notice.name)} {verb.get(notice.role, 'noticed')}"


def _unnoticed(
    facts: Facts,
    changes: Sequence[Change],
    readings: Sequence[Reading],
    stood: Sequence[Stood],
) -> Iterator[str]:
    detectors = [n for one in stood for n in one.notices if n.role == "detector"]
    if not facts.role("detectors"):
        yield "All of it: the experiment declares no detector, so nobody was asked to notice."
    for one in detectors:
        if one.silent:
            yield f"The detector {quoted(one.name)} stayed silent: {_end(one.after.why)}"
        elif one.after.ms is None and not one.after.why.startswith("it saw it"):
            yield f"Whether {quoted(one.name)} would have noticed: {_end(one.after.why)}"
    if detectors and all(one.after.ms is not None for one in detectors):
        yield "Every declared detector noticed."
    for ready in readings:
        if not ready.role and ready.state == READY:
            yield f"Kubernetes' own readiness saw nothing: {_end(ready.sentence)}"
    opened = tuple(dict.fromkeys(flow for one in changes for flow in one.opened))
    if opened:
        yield f"What it opened makes no drops, so no count of drops can tell: {_some(opened)}."
    yield from _unwatched(facts)


def _unwatched(facts: Facts) -> Iterator[str]:
    """The claims that nobody asked while the fault stood."""
    if not facts.claims:
        yield "The experiment claims nothing that anybody could watch."
    elif not facts.during():
        count, names = _claims(facts), _some([quoted(one) for one in facts.claims], 10)
        yield (
            f"Whether the {count} of the hypothesis would have told is not known: asked "
            f"before and after only ({names})."
        )


def _back(facts: Facts, verdict: Verdict, back: bool | None) -> Iterator[str]:
    debts = [
        _end(one.debt if one.debt.startswith(one.policy) else f"{one.policy}: {one.debt}")
        for one in facts.debts
    ]
    if not verdict.trusted:
        yield f"Unknown: the journal cannot be trusted, as {_end(verdict.problem)}"
        yield from debts
    elif debts or verdict.outcome == Outcome.NOT_RESTORED:
        yield "No: not everything is shown to be as it was."
        yield from debts or [verdict.sentence]
        yield verdict.next
    elif not facts.faults:
        yield "Yes: this run changed no policy."
    else:
        yield from _restored(facts, back)


def _restored(facts: Facts, back: bool | None) -> Iterator[str]:
    """Every policy reads back; say whether the system does, too."""
    equal = "every policy reads back equal to its original, by hash"
    after = facts.state("after")
    if after is not None and back is not True:
        word = "is not met" if after.met is False else "could not be told"
        why = f" ({quoted(after.probe)}: {after.why.rstrip('.')})" if after.why else ""
        known = "Unknown" if back is None else "No"
        yield f"{known}: {equal}, but the hypothesis after the method {word}{why}."
        return
    unseen = dict.fromkeys(one.policy for one in facts.faults if not one.seen_restored)
    if unseen:
        yield f"Yes, in content: {equal}. Its flows were not seen to work again: {_some(unseen)}."
    else:
        yield f"Yes: {equal}."
        yield "Their flows were seen to be as before."
    if not facts.claims or after is None:
        yield "The hypothesis was not asked after the method."
    elif len(facts.claims) > 1:
        yield f"All {_claims(facts)} of the hypothesis are met again."
    else:
        yield "The claim of the hypothesis is met again."


def clock(at: str) -> str:
    """Return the time of day of ISO 8601 text with milliseconds, "an unknown time" for none."""
    found = moment(at)
    return found.strftime("%H:%M:%S.%f")[:-3] if found else "an unknown time"


def _claims(facts: Facts) -> str:
    return "1 claim" if len(facts.claims) == 1 else f"{len(facts.claims)} claims"


def _some(flows: Iterable[str], most: int = MOST) -> str:
    every = tuple(flows)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _end(sentence: str) -> str:
    return f"{sentence.rstrip('.')}."
