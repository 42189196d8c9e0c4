"""From a journal to its story: what was asked, changed, seen, restored, and what was not observed.

Nothing here raises, whatever the journal holds, and nothing judges: outcomes are `evidence`'s.
Times are in `build_times`, gaps in `build_gaps`, the reviewer's answers in `build_answers`.
"""

from collections.abc import Mapping
from typing import Any

from acns_chaos.evidence.answers import State
from acns_chaos.evidence.facts import Facts, reference
from acns_chaos.evidence.journal import judge
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.signature import verify
from acns_chaos.evidence.telling import ROLES
from acns_chaos.evidence.values import mapping, mappings, moment, sequence, text, word
from acns_chaos.report.build_answers import answers_of
from acns_chaos.report.build_gaps import gaps_of
from acns_chaos.report.build_times import stood_of
from acns_chaos.report.model import (
    Asked,
    Change,
    Event,
    Evidence,
    Pass,
    Permission,
    Place,
    Reading,
    Restore,
    Story,
    Verdict,
)

__all__ = ["changes_of", "place_of", "readings_of", "story"]

LAB = "LAB (simulated)"
UNKNOWN_PLACE = "target unknown"


def story(journal: object, source: str = "") -> Story:
    """Tell a journal; never raises.

    Args:
        journal: as `load_journal` returns it, or anything else.
        source: where it was read from, for the reader.

    Returns:
        Its story. Of what is no journal it says that nothing is known.
    """
    facts = Facts(journal)
    problem = verify(facts.journal)
    verdict = _verdict(judge(facts, problem), problem)
    stood = stood_of(facts)
    changes, readings = changes_of(facts), readings_of(facts)
    back = _is_back(facts, verdict)
    return Story(
        place=place_of(facts),
        title=text(facts.experiment.get("title"), 200) or "An experiment without a title",
        run=text(facts.section.get("run")),
        started=text(facts.journal.get("start")),
        verdict=verdict,
        is_back=back,
        answers=answers_of(facts, changes, readings, stood, verdict, back),
        asked=_asked(facts),
        changes=changes,
        readings=readings,
        restores=_restores(facts),
        stood=stood,
        events=_events(facts),
        lost_events=len(mappings(facts.section.get("events"))) - len(_timed(facts)),
        permissions=_permissions(facts),
        versions=_versions(facts),
        not_observed=gaps_of(facts, problem),
        evidence=_evidence(facts, problem),
        facts=facts,
        source=text(source),
    )


def place_of(facts: Facts) -> Place:
    """Say where a journal's run was."""
    target, kind, context = (
        facts.target,
        facts.target.get("kind"),
        word(facts.target.get("context")),
    )
    known = tuple(text(target.get(key)) for key in ("context", "server", "uid", "namespace"))
    if kind == "lab":
        return Place("lab", LAB, "the lab: no cluster was touched", *known)
    if kind == "cluster" and context:
        return Place("cluster", f"cluster {context}", "a cluster", *known)
    return Place("unknown", UNKNOWN_PLACE, "unknown: the journal does not say", *known)


def _verdict(judged: Judgement, problem: str) -> Verdict:
    return Verdict(
        judged.outcome.value,
        judged.outcome.code,
        judged.sentence,
        judged.next,
        judged.reasons,
        not problem,
        problem,
    )


def _is_back(facts: Facts, verdict: Verdict) -> bool | None:
    """Whether everything is shown to be as before; None when the journal cannot tell."""
    if not verdict.trusted:
        return None
    if facts.debts or verdict.outcome == Outcome.NOT_RESTORED:
        return False
    after = facts.state("after")
    # What a run changed may be back and the system not; without a change it is not ours to say.
    return True if not facts.faults or after is None else after.met


def _asked(facts: Facts) -> Asked:
    passes = [_pass("before the method", facts.state("before"))]
    passes += [
        _pass(f"during the method ({number})", state)
        for number, state in enumerate(facts.during(), 1)
    ]
    passes.append(_pass("after the method", facts.state("after")))
    return Asked(
        text(facts.hypothesis.get("title")), facts.claims, tuple(passes) if facts.claims else ()
    )


def _pass(name: str, state: State | None) -> Pass:
    if state is None:
        return Pass(name, "not played")
    words = {True: "met", False: "not met", None: "could not be told"}
    return Pass(name, words[state.met], state.probe if state.why else "", state.why)


def changes_of(facts: Facts) -> tuple[Change, ...]:
    """Say what a run's faults changed; never raises."""
    return tuple(_change(one) for one in mappings(facts.section.get("faults")))


def _change(fault: Mapping[str, Any]) -> Change:
    predicted = mapping(fault.get("predicted"))
    return Change(
        text(fault.get("id")),
        reference(fault.get("policy")) or "a policy without a name",
        text(mapping(fault.get("policy")).get("kind")),
        text(fault.get("operator")),
        text(fault.get("change")) or "modify",
        tuple(text(flow, 120) for flow in sequence(predicted.get("closed"))),
        tuple(text(flow, 120) for flow in sequence(predicted.get("opened"))),
        text(fault.get("realised_by")) if moment(fault.get("realised")) else "",
        fault,
    )


def readings_of(facts: Facts) -> tuple[Reading, ...]:
    """What each activity of the method answered, with the role it was declared in."""
    roles = {name: role for role, key in ROLES.items() for name in facts.role(key)}
    found = []
    for run in facts.runs:
        told = mapping(run.output)
        answer, role = run.answer, roles.get(run.name, "")
        ours = "reading" in told or bool(role) or run.status != "succeeded"
        found.append(
            Reading(
                role,
                run.name,
                answer.state if ours else "",
                answer.met if ours else None,
                answer.sentence if ours else text(told.get("sentence")),
                text(told.get("at")),
            )
        )
    return tuple(found)


def _restores(facts: Facts) -> tuple[Restore, ...]:
    found = []
    for raw, fault in zip(mappings(facts.section.get("faults")), facts.faults, strict=True):
        restored = mapping(raw.get("restored"))
        difference = restored.get("difference")
        found.append(
            Restore(
                fault.policy,
                fault.restored_by,
                fault.restorer,
                text(restored.get("when")),
                fault.created_again,
                text(restored.get("submitted")),
                text(restored.get("verified")),
                fault.debt,
                text(mapping(restored.get("behaviour")).get("sentence")),
                _lines(difference) if isinstance(difference, str) else (),
            )
        )
    return tuple(found)


def _lines(difference: str) -> tuple[str, ...]:
    """Keep each line's sign and indentation, and what of the rest is printable."""
    lines = []
    for line in difference.splitlines():
        content = line[1:].lstrip(" ")
        lines.append(line[: len(line) - len(content)] + text(content, 200))
    return tuple(lines)


def _timed(facts: Facts) -> list[tuple[Any, Mapping[str, Any]]]:
    events = mappings(facts.section.get("events"))
    timed = [(at, event) for event in events if (at := moment(event.get("at"))) is not None]
    return sorted(timed, key=lambda pair: pair[0])


def _events(facts: Facts) -> tuple[Event, ...]:
    """The events by time, with milliseconds since the first."""
    timed = _timed(facts)
    return tuple(
        Event(
            (at - timed[0][0]).total_seconds() * 1000,
            text(event.get("at")),
            text(event.get("what")),
            text(event.get("detail")),
        )
        for at, event in timed
    )


def _permissions(facts: Facts) -> tuple[Permission, ...] | None:
    recorded = facts.section.get("permissions")
    if not isinstance(recorded, list | tuple):
        return None
    keys = ("tier", "verb", "resource", "namespace", "name")
    return tuple(Permission(*(text(one.get(key)) for key in keys)) for one in mappings(recorded))


def _versions(facts: Facts) -> tuple[tuple[str, str], ...]:
    host = facts.host.get("lib") or facts.journal.get("chaoslib-version")
    return (
        ("acns-chaos", text(facts.section.get("version"))),
        ("Chaos Toolkit library", text(host)),
        ("Cilium", text(facts.target.get("cilium_version"))),
        ("Kubernetes", text(facts.target.get("kubernetes_version"))),
    )


def _evidence(facts: Facts, problem: str) -> Evidence:
    signature = mapping(facts.section.get("signature"))
    return Evidence(
        word(mapping(facts.section.get("chain")).get("head")),
        word(signature.get("digest")),
        problem,
        bool(facts.section.get("redacted")),
    )
