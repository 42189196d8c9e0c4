"""Rules 11 to 16: did the fault bite, do the claims hold, did anyone notice, is the record whole?

Each rule takes the facts and returns a judgement, or None when it has nothing against the run.
An answer that is missing or UNKNOWN is never counted for either side.
"""

from acns_chaos.evidence.answers import Run, State
from acns_chaos.evidence.facts import NETS, Facts, is_restart, names
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.readings import FAILED, NAMED, OPEN, UNKNOWN
from acns_chaos.evidence.telling import ROLES, inconclusive, policies, quoted, state_fact, told
from acns_chaos.evidence.values import mapping, mappings, text

__all__ = [
    "detectors",
    "explanations",
    "host",
    "hypothesis",
    "incomplete",
    "roles",
    "rollbacks_not_played",
    "seen_restored",
    "witnesses",
]

# The probes of ours that see what customers and workloads see, those that count what was dropped,
# and what tells a team without this run.
CLIENTS = ("read_storefront", "read_order", "read_egress", "read_connection")
COUNTERS = ("count_drops", "read_flows")
NOTICING = (*CLIENTS, *COUNTERS, "read_alert", "read_detectors", "read_readiness")
# What the guard always writes. A section without one of these was not finished by it.
SECTION_KEYS = ("schema", "version", "run", "target", "refused", "faults", "events", "host")
TARGET_KEYS = ("kind", "context", "server", "uid", "namespace", "cilium_version")
JOURNAL_KEYS = ("experiment", "steady_states", "run", "rollbacks")


def _silent(facts: Facts, role: str, named: tuple[str, ...]) -> Judgement | None:
    """Say which activity of a role is missing or could not tell."""
    for name in named:
        answers = facts.answers(name)
        if not answers:
            return inconclusive(facts, f"the {role} {quoted(name)} was never asked")
        for answer in answers:
            if answer.state == UNKNOWN:
                fact = f"the {role} {quoted(name)} could not tell: {answer.sentence.rstrip('.')}"
                return inconclusive(facts, fact)
    return None


def _against(facts: Facts, named: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the first activity whose reading was not what was expected, and its sentence."""
    pairs = ((name, answer) for name in named for answer in facts.answers(name))
    return next(
        ((name, answer.sentence.rstrip(".")) for name, answer in pairs if answer.met is False), None
    )


def witnesses(facts: Facts) -> Judgement | None:
    """Rule 11: two witnesses before a statement that the fault bit."""
    if not facts.faults:
        return None
    named = facts.role("witnesses")
    if len(named) < 2:
        fact = f"the experiment declares {len(named)} of the two witnesses that a fault needs"
        return inconclusive(facts, fact, "Declare two witnesses in the experiment's extensions.")
    if unfit := _unfit_witnesses(facts, named):
        return inconclusive(facts, unfit, "Let a client and a drop counter be the witnesses.")
    if silent := _silent(facts, "witness", named):
        return silent
    if against := _against(facts, named):
        fact = f"the fault had no effect, says the witness {quoted(against[0])}: {against[1]}"
        advice = "Check that the policy selects the workload and that the fault changes its flows."
        return told(facts, Outcome.NOT_INJECTED, fact, advice)
    return None


def _unfit_witnesses(facts: Facts, named: tuple[str, ...]) -> str:
    """Say why the declared witnesses prove nothing, "" when they can.

    A client that met silence and a counter that moved: each alone has innocent explanations. Only
    a fault that opens something is seen by clients alone, as it makes no drops.
    """
    played = [run for run in facts.runs if run.name in named]
    if strange := next((run.name for run in played if run.probe not in (*CLIENTS, *COUNTERS)), ""):
        return f"the witness {quoted(strange)} asks neither a client nor for drops"
    if failing := next((run.name for run in played if run.answer.state == FAILED), ""):
        return f"the witness {quoted(failing)} saw a failure, which has causes besides policies"
    clients = [run for run in played if run.probe in CLIENTS]
    opened = clients and all(run.answer.state == OPEN for run in clients)
    if not clients or (not opened and not any(map(_of_policy_drops, played))):
        return "the witnesses are not a client and a drop counter"
    return ""


def _of_policy_drops(run: Run) -> bool:
    """Whether a probe counts what policy dropped; flows can be asked for in other ways, too."""
    asked = mapping(mapping(run.activity.get("provider")).get("arguments"))
    dropped = asked.get("verdict", "DROPPED") == "DROPPED"
    policy = str(asked.get("reason", "policy")).lower().startswith("policy")
    return run.probe in COUNTERS and (run.probe != "read_flows" or (dropped and policy))


def roles(facts: Facts) -> Judgement | None:
    """Roles that cannot carry a statement: shared, ambiguous, without a fault, or with several."""
    declared = {key: facts.role(key) for key in ROLES.values()}
    if not facts.faults:
        if any(declared.values()) and facts.method:
            fact = "roles are declared for a fault, and this run injected none"
            return told(facts, Outcome.NOT_INJECTED, fact, "Add an inject_fault to the method.")
        return None
    if facts.different > 1:
        fact = (
            f"the run injected {facts.different} different faults: which was noticed cannot be told"
        )
        return inconclusive(facts, fact, "Inject one fault a run.")
    if shared := set(declared["witnesses"]) & set(declared["detectors"]):
        fact = f"{quoted(min(shared))} is a witness and a detector: it cannot be both"
        return inconclusive(facts, fact, "Let something else than the witnesses notice.")
    everyone = names([*facts.method, *mappings(facts.hypothesis.get("probes"))])
    twice = next((name for name in everyone if everyone.count(name) > 1), "")
    if twice:
        fact = f"two activities are called {quoted(twice)}: which of them answered cannot be told"
        return inconclusive(facts, fact, "Give every activity a name of its own.")
    return None


def seen_restored(facts: Facts) -> Judgement | None:
    """A restore that only the last net made, or whose effect nobody saw, is no steady state."""
    for fault in facts.faults:
        if fault.restored_by in NETS:
            by = fault.restored_by
            fact = f"{fault.policy} was put back by the {by} alone, which is the last net"
            return inconclusive(facts, fact, "Restore in the method or in the rollbacks.")
        if fault.restored_by == "others" and not facts.observes:
            who = fault.restorer or "somebody else"
            fact = f"{who} put {fault.policy} back, not this run, so not only the fault was seen"
            advice = "Find out why; if that is what is to recover, set gitops to observe."
            return inconclusive(facts, fact, advice)
        if fault.created_again:
            fact = f"somebody deleted {fault.policy} during the run, so not only the fault was seen"
            return inconclusive(facts, fact, "Find out who, then run it again.")
        if not fault.seen_restored:
            fact = f"{fault.policy} reads back as it was, but its flows were not seen to work again"
            return inconclusive(facts, fact, "Look for another policy that changed meanwhile.")
    return None


def hypothesis(facts: Facts) -> Judgement | None:
    """Rule 12: the claims, before and after; with an empty method one pass is the question."""
    if not facts.claims:
        fact = "the experiment declares no hypothesis, so nothing was claimed"
        return inconclusive(facts, fact, "Give the experiment a hypothesis, then run it again.")
    before, after = facts.state("before"), facts.state("after")
    if not facts.method:
        claim = after or before
        if claim is None:
            return inconclusive(facts, "the hypothesis was not played")
        return _deviation(facts, claim, "")
    if before is None or after is None:
        phase = "before" if before is None else "after"
        return inconclusive(facts, f"the hypothesis was not played {phase} the method")
    for state in facts.during():
        if wrong := _deviation(facts, state, " during the method"):
            return wrong
    if before.met is not True:
        return inconclusive(facts, state_fact("before", before))
    return _deviation(facts, after, " after the method")


def _deviation(facts: Facts, state: State, when: str) -> Judgement | None:
    if state.met is True:
        return None
    what = f"{quoted(state.probe)}: {state.why.rstrip('.')}"
    if state.met is None:
        return inconclusive(
            facts, f"whether the hypothesis holds{when} could not be told by {what}"
        )
    advice = "Treat it as a finding: see what it breaks for customers, and mend it or the claim."
    return told(facts, Outcome.DEVIATED, f"the hypothesis does not hold{when}, says {what}", advice)


def rollbacks_not_played(facts: Facts) -> Judgement | None:
    """Rule 13: strategy never, or a signal that skips rollbacks."""
    played = {run.name for run in facts.rollbacks}
    for name in names(facts.experiment.get("rollbacks")):
        if name not in played:
            advice = 'Set runtime.rollbacks.strategy to "always" in the experiment.'
            return inconclusive(facts, f"the rollback {quoted(name)} was not played", advice)
    return None


def detectors(facts: Facts) -> Judgement | None:
    """Rule 14: what would have told the team without us."""
    if not facts.faults:
        return None
    named = facts.role("detectors")
    strange = next((r.name for r in facts.runs if r.name in named and r.probe not in NOTICING), "")
    if strange:
        fact = (
            f"the detector {quoted(strange)} is none: it asks no client, count, alert or readiness"
        )
        return inconclusive(facts, fact, "Declare a detector that watches the system.")
    if not named:
        fact = "the experiment declares no detector, so nobody was asked to notice"
        return inconclusive(facts, fact, "Declare a detector in the experiment's extensions.")
    if silent := _silent(facts, "detector", named):
        return silent
    if against := _against(facts, named):
        fact = f"{policies(facts)} was broken and {quoted(against[0])} stayed silent: {against[1]}"
        advice = "Add or mend the alert that should have noticed this, then run it again."
        return told(facts, Outcome.NOT_NOTICED, fact, advice)
    return None


def explanations(facts: Facts) -> Judgement | None:
    """Rule 15: an explanation must name a policy that this run changed."""
    named = facts.role("explanations")
    if not facts.faults or not named:
        return None
    if silent := _silent(facts, "explanation", named):
        return silent
    changed = {fault.policy for fault in facts.faults}
    for name in named:
        for answer in facts.answers(name):
            named_it = answer.state == NAMED and answer.met is True
            if not named_it or not changed.intersection(answer.culprits):
                blamed = ", ".join(text(c, 80) for c in answer.culprits[:3]) or "nobody"
                fact = f"{quoted(name)} blames {blamed}, and this run changed {policies(facts)}"
                return inconclusive(facts, fact)
    return None


def host(facts: Facts) -> Judgement | None:
    """Rule 16: the host's own word, where it is worse than the evidence."""
    status, deviated = text(facts.host.get("status")), facts.host.get("deviated")
    if deviated is True:
        advice = "Read the run's log: the journal's hypothesis does not show what deviated."
        return told(facts, Outcome.DEVIATED, "the host says that the system deviated", advice)
    if status != "completed" or deviated is not False:
        fact = f"the host says {status or 'nothing'} about how the run ended"
        return inconclusive(facts, fact)
    return None


def incomplete(facts: Facts) -> Judgement | None:
    """Rule 16b: the record has gaps, so it is not what a guard that finished writes."""
    wanted = (
        (facts.section, SECTION_KEYS, "acns_chaos"),
        (facts.target, TARGET_KEYS, "acns_chaos.target"),
        (facts.journal, JOURNAL_KEYS, "the journal"),
    )
    for place, keys, name in wanted:
        for key in keys:
            if key not in place:
                return inconclusive(facts, f"{name} lacks {key}")
    for key in ("faults", "events"):
        if not isinstance(facts.section.get(key), list | tuple):
            return inconclusive(facts, f"acns_chaos.{key} is not a list")
    restarts = [run for run in facts.runs if is_restart(run.activity)]
    if len(restarts) > len(facts.restarts):
        fact = f"{quoted(restarts[0].name)} restarted pods, and acns_chaos.restarts lacks it"
        return inconclusive(facts, fact)
    for fault in facts.faults:
        if fault.gaps:
            fact = f"the record of the fault in {fault.policy} lacks {fault.gaps[0]}"
            return inconclusive(facts, fact)
    return None
