"""What a run did not observe, as sentences: honest gaps, of which there are always some."""

from acns_chaos.evidence.facts import Facts, dry_mode
from acns_chaos.evidence.readings import UNKNOWN
from acns_chaos.evidence.telling import ROLES
from acns_chaos.evidence.values import mapping, mappings, sequence, text

__all__ = ["gaps_of"]

# Events that a fault should leave on the timeline, and what their absence means.
MILESTONES = {
    "first-failed-request": "When the first request failed.",
    "drop-counted": "When the first packet was dropped.",
    "noticed": "When a detector noticed.",
    "explained": "When the cause was named.",
    "first-success": "When the first request succeeded again.",
}


def gaps_of(facts: Facts, problem: str) -> tuple[str, ...]:
    """Return what this run did not observe; never empty.

    Args:
        facts: the journal.
        problem: why it is not to be trusted, "" when it is.
    """
    lines = []
    if problem:
        lines.append(f"Whether the journal is as the run wrote it: {problem}.")
    if mode := dry_mode(facts.experiment.get("dry")):
        lines.append(f"What a dry run ({mode}) skips.")
    if facts.target.get("kind") == "lab":
        lines.append("A real cluster: this ran in the lab, which imitates one.")
    lines += [*_silences(facts), *_passes(facts), *_sources(facts)]
    if facts.faults:
        events = mappings(facts.section.get("events"))
        seen = {text(event.get("what")) for event in events}
        lines += [sentence for key, sentence in MILESTONES.items() if key not in seen]
    if not _asked_hubble(facts):
        lines.append(
            "Hubble's flows: none were read, so which packets were dropped is known from "
            "clients and counters only."
        )
    lines.append("Traffic that no probe asked about, and other namespaces and clusters.")
    return tuple(lines)


def _silences(facts: Facts) -> list[str]:
    """Say which roles nobody played, were never asked, or could not tell."""
    lines = []
    for role, key in ROLES.items():
        named = facts.role(key)
        if facts.faults and not named:
            lines.append(f"By any {role}: the experiment declares none.")
        for name in named:
            answers = facts.answers(name)
            if not answers:
                lines.append(f"By the {role} {name}: it was never asked.")
            lines += [
                f"By the {role} {name}: {answer.sentence.rstrip('.')}."
                for answer in answers
                if answer.state == UNKNOWN
            ]
    return lines


def _passes(facts: Facts) -> list[str]:
    if not facts.method:
        return []
    lines = [
        f"The hypothesis {phase} the method."
        for phase in ("before", "after")
        if facts.claims and facts.state(phase) is None
    ]
    played = [phase for phase in ("before", "after") if facts.state(phase) is not None]
    if facts.claims and len(played) == 2 and not facts.during():
        lines.append("The hypothesis while the method ran: it was played before and after only.")
    return lines


def _sources(facts: Facts) -> list[str]:
    """Say which sources of the timeline saw nothing, and what the others lost."""
    timeline = mapping(facts.section.get("timeline"))
    lines = [
        f"By the timeline's source {text(one.get('source'))}: {text(one.get('why')).rstrip('.')}."
        for one in mappings(timeline.get("not_observed"))
    ]
    return lines + [f"Lost by {text(one).rstrip('.')}." for one in sequence(timeline.get("lost"))]


def _asked_hubble(facts: Facts) -> bool:
    """Whether anybody read flows: the timeline, or an activity, by its function or its evidence."""
    sampled = mappings(mapping(facts.section.get("timeline")).get("sources"))
    if any(one.get("name") == "hubble" and one.get("about") for one in sampled):
        return True
    for run in facts.runs:
        func = mapping(run.activity.get("provider")).get("func")
        evidence = mapping(mapping(run.output).get("evidence"))
        if (isinstance(func, str) and "flow" in func) or evidence.get("flows"):
            return True
    return False
