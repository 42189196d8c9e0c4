"""What a run asked, saw and did not see: hypothesis, readings, timeline, and the honest gaps."""

from acns_chaos.evidence.answers import State
from acns_chaos.evidence.facts import Facts, dry_mode
from acns_chaos.evidence.readings import UNKNOWN
from acns_chaos.evidence.signature import verify
from acns_chaos.evidence.telling import ROLES
from acns_chaos.evidence.values import mapping, mappings, moment
from acns_chaos.report.text import plain, table

__all__ = ["asked", "gaps", "readings", "timeline"]

# Events that a fault should leave on the timeline, and what their absence means.
MILESTONES = {
    "first-failed-request": "when the first request failed",
    "drop-counted": "when the first packet was dropped",
    "noticed": "when a detector noticed",
    "explained": "when the cause was named",
    "first-success": "when the first request succeeded again",
}


def asked(facts: Facts) -> list[str]:
    """Return the hypothesis, its claims, and how each pass went."""
    if not facts.claims:
        return ["Nothing: the experiment declares no hypothesis.", ""]
    lines = [f"{plain(facts.hypothesis.get('title'))}:", ""]
    lines += [*(f"- {plain(name)}" for name in facts.claims), ""]
    during = facts.during()
    passes: list[tuple[str, State | None]] = [("before the method", facts.state("before"))]
    passes += [(f"during the method ({i})", state) for i, state in enumerate(during, 1)]
    passes.append(("after the method", facts.state("after")))
    return lines + table(("pass", "result", "decided by"), [_pass(*one) for one in passes])


def _pass(name: str, state: State | None) -> tuple[str, str, str]:
    if state is None:
        return (name, "not played", "–")
    result = {True: "met", False: "**not met**", None: "**could not be told**"}[state.met]
    return (name, result, f"{plain(state.probe)}: {plain(state.why)}" if state.why else "–")


def readings(facts: Facts) -> list[str]:
    """Return what each activity of the method answered, with the role it was declared in."""
    roles = {name: role for role, key in ROLES.items() for name in facts.role(key)}
    rows = []
    for run in facts.runs:
        told = mapping(run.output)
        answer = run.answer
        ours = "reading" in told or run.name in roles or run.status != "succeeded"
        met = {True: "yes", False: "no", None: "–"}[answer.met]
        sentence = answer.sentence if ours else told.get("sentence")
        rows.append(
            (
                roles.get(run.name, "–"),
                plain(run.name),
                answer.state if ours else "–",
                met if ours else "–",
                plain(sentence),
                plain(told.get("at")),
            )
        )
    if not rows:
        return ["Nothing: no activity of the method was played.", ""]
    return table(("role", "activity", "reading", "as expected", "what was seen", "at"), rows)


def timeline(facts: Facts) -> list[str]:
    """Return the events by time, with milliseconds since the first."""
    events = mappings(facts.section.get("events"))
    timed = [(at, event) for event in events if (at := moment(event.get("at"))) is not None]
    timed.sort(key=lambda pair: pair[0])
    rows = [
        (
            f"{(at - timed[0][0]).total_seconds() * 1000:.0f}",
            plain(event.get("at")),
            plain(event.get("what")),
            plain(event.get("detail")),
        )
        for at, event in timed
    ]
    lost = len(events) - len(timed)
    lines = table(("ms", "at", "event", "detail"), rows) if rows else []
    if lost:
        lines += [f"{lost} event(s) without a usable time are left out.", ""]
    return lines or ["The journal holds no events.", ""]


def gaps(facts: Facts) -> list[str]:
    """Return what this run did not observe, as sentences; there is always something."""
    lines = []
    if problem := verify(facts.journal):
        lines.append(f"Whether the journal is as the run wrote it: {plain(problem)}.")
    if mode := dry_mode(facts.experiment.get("dry")):
        lines.append(f"What a dry run ({plain(mode)}) skips.")
    if facts.target.get("kind") == "lab":
        lines.append("A real cluster: this ran in the lab, which imitates one.")
    lines += [*_silences(facts), *_passes(facts)]
    if facts.faults:
        seen = {
            event.get("what")
            for event in mappings(facts.section.get("events"))
            if isinstance(event.get("what"), str)
        }
        lines += [
            f"{what[0].upper()}{what[1:]}." for key, what in MILESTONES.items() if key not in seen
        ]
    if not _asked_hubble(facts):
        lines.append(
            "Hubble's flows: none were read, so which packets were dropped is known from "
            "clients and counters only."
        )
    lines.append("Traffic that no probe asked about, and other namespaces and clusters.")
    return lines


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
                lines.append(f"By the {role} {plain(name)}: it was never asked.")
            lines += [
                f"By the {role} {plain(name)}: {plain(answer.sentence.rstrip('.'))}."
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
