"""Rules 1 to 10: was the run ours, undone, real, let in, begun, done as asked?

Each rule takes the facts and returns a judgement, or None when it has nothing against the run.
The host exits 0 in most of these cases (reference chaos-toolkit.md §0.3).
"""

from acns_chaos.evidence.facts import Facts, dry_mode, is_inject, is_restore, names
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.telling import inconclusive, quoted, state_fact, told
from acns_chaos.evidence.values import text, word

__all__ = [
    "SCHEMA",
    "activity_failed",
    "baseline",
    "cut_short",
    "dry_run",
    "not_injected",
    "not_ours",
    "not_put_back",
    "not_ready_again",
    "not_realised",
    "refused",
    "rollback_failed",
]

# 2 since events are a chain; of 1 nothing is missing that a rule needs.
SCHEMA = 2


def not_ours(facts: Facts) -> Judgement | None:
    """Rule 1: no section of ours, or one that cannot be read."""
    schema, advice = facts.section.get("schema"), "Run the experiment with the guard control."
    debts = ", ".join(fault.policy for fault in facts.debts)
    if debts:
        advice = f"Look at {debts} first: this journal does not show that it was put back."
    if not facts.section:
        return inconclusive(facts, "the journal has no acns_chaos section", advice)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        return inconclusive(facts, "the acns_chaos section does not say its schema", advice)
    if schema > SCHEMA:
        fact = f"the journal's schema is {schema} and this version reads up to {SCHEMA}"
        return inconclusive(facts, fact, "Judge it with the version of acns-chaos that wrote it.")
    # A run that was refused may never have learnt its target; the refusal is the better fact.
    named = facts.target.get("kind") in ("lab", "cluster") and word(facts.target.get("context"))
    if not named and facts.section.get("refused") is None:
        return inconclusive(facts, "the journal does not say what it ran against", advice)
    return None


def not_put_back(facts: Facts) -> Judgement | None:
    """Rule 2: a fault is a debt until its restore was verified."""
    if not facts.debts:
        return None
    first = facts.debts[0]
    fact = f"{first.policy} may still be broken: {first.debt.rstrip('.')}"
    advice = (
        f"Put {first.policy} back now: the original is in this journal under acns_chaos.faults."
    )
    if first.is_pod:
        # Faults come first: every policy is back.
        namespace, _, name = first.policy.rpartition("/")
        fact = f"the prober pod {first.policy} may still be there: {first.debt.rstrip('.')}"
        advice = (
            f"Delete it (kubectl delete pod -n {namespace} {name}); it ends by itself soon after "
            "the run's deadline, and no policy is left changed."
        )
    reasons = tuple(f"{fault.policy}: {fault.debt}" for fault in facts.debts)
    return told(facts, Outcome.NOT_RESTORED, fact, advice, reasons)


def not_ready_again(facts: Facts) -> Judgement | None:
    """Rule 2b: a run that restarted pods answers for it until they are Ready again."""
    for restart in facts.restarts:
        if restart.ready:
            continue
        problem = restart.problem.rstrip(".") or "nothing says that it was looked at"
        if not restart.known:
            fact = f"whether {restart.workload} is Ready after its restart is not known: {problem}"
            return inconclusive(facts, fact, "Look at its pods, then run it again.")
        fact = f"{restart.workload} is not Ready again after its restart: {problem}"
        namespace, _, name = restart.workload.rpartition("/")
        advice = (
            f"Every policy is back, so something else keeps its pods from starting: see what "
            f"kubectl describe pods -n {namespace} says of {name}'s."
        )
        return told(facts, Outcome.NOT_RESTORED, fact, advice)
    return None


def rollback_failed(facts: Facts) -> Judgement | None:
    """Rule 3: the host exits 0 when a rollback fails.

    A run that was refused changed nothing; its rollbacks, played unarmed, are refused as well.
    """
    if facts.section.get("refused") is not None and not facts.faults and not facts.runs:
        return None
    for run in facts.rollbacks:
        if run.status != "succeeded":
            fact = f"the rollback {quoted(run.name)} {_without_it(run.answer.sentence)}"
            if is_restore(run.activity):
                # Rule 2 saw every fault verified: what this one did not do, the guard did.
                fact = f"{fact.rstrip('.')}; no policy is left changed"
                return inconclusive(facts, fact, "Find out what stopped it, then run it again.")
            advice = "Check every policy of the experiment by hand, then mend the rollback."
            return told(facts, Outcome.NOT_RESTORED, fact.rstrip("."), advice)
    return None


def _without_it(sentence: str) -> str:
    """Turn "it failed: …" into "failed: …", to follow a name."""
    return sentence.removeprefix("it ")


def dry_run(facts: Facts) -> Judgement | None:
    """Rule 4: a dry run marks what it skips as succeeded."""
    mode = dry_mode(facts.experiment.get("dry"))
    if mode in ("", "pause"):
        return None
    return inconclusive(facts, f"this was a dry run ({mode})", "Run it without --dry.")


def refused(facts: Facts) -> Judgement | None:
    """Rule 5: the guard did not let the run begin."""
    refused = facts.section.get("refused")
    if refused is None:
        return None
    fact = f"the run was refused: {text(refused).rstrip('.') or 'no reason is given'}"
    # Without a target not even the place where nothing happened is known.
    known = facts.injects and facts.target.get("kind") in ("lab", "cluster")
    outcome = Outcome.NOT_INJECTED if known else Outcome.INCONCLUSIVE
    return told(facts, outcome, fact, "Do what the refusal asks for, then run it again.")


def baseline(facts: Facts) -> Judgement | None:
    """Rule 6: the first hypothesis failed, which the host calls completed, with exit code 0.

    An empty method is a claim, not an experiment: there the hypothesis itself is the question.
    """
    before = facts.state("before")
    if not facts.method or not facts.claims or before is None or before.declared_met:
        return None
    undone = "" if facts.faults else ", so no fault was injected"
    advice = "Bring the system to its steady state, or correct the hypothesis, then run it again."
    return told(facts, Outcome.NOT_STARTED, state_fact("before", before) + undone, advice)


def not_injected(facts: Facts) -> Judgement | None:
    """Rule 7: the method was to inject a fault and did not; the host goes on and exits 0."""
    if not facts.injects:
        return None
    played = [run for run in facts.runs if is_inject(run.activity)]
    advice = "Do what the error says, then run it again; nothing was learnt about detection."
    for run in played:
        if run.signalled:
            return inconclusive(facts, f"a signal ended {quoted(run.name)}")
        if run.status == "failed" and facts.faults:
            fact = f"the fault was submitted, and then failed: {run.failure}".rstrip(".")
            return inconclusive(facts, fact, advice)
        if run.status == "failed":
            fact = f"no fault was injected: {run.failure.rstrip('.') or 'no reason is given'}"
            return told(facts, Outcome.NOT_INJECTED, fact, advice)
    if facts.injected >= facts.injects:
        return None
    if any(not run.status for run in played) or facts.host.get("status") != "completed":
        stop = next((r for r in facts.runs if r.status != "succeeded"), None)
        cause = f" after {quoted(stop.name)}: {stop.answer.sentence.rstrip('.')}" if stop else ""
        return inconclusive(facts, f"the run was cut short before the fault was injected{cause}")
    fact = "the method was to inject a fault and the run recorded none"
    return told(facts, Outcome.NOT_INJECTED, fact, advice)


def cut_short(facts: Facts) -> Judgement | None:
    """Rule 8: interrupted or aborted, by the host's word or by an activity without an end."""
    status = facts.host.get("status")
    if status in ("interrupted", "aborted"):
        # The guard interrupts after a failure, so the failure is the better fact.
        failed = next((run for run in facts.runs if run.status == "failed"), None)
        cause = f": {quoted(failed.name)} {_without_it(failed.answer.sentence)}" if failed else ""
        return inconclusive(facts, f"the run was {status}{cause.rstrip('.')}")
    for run in facts.runs:
        if not run.status:
            return inconclusive(facts, f"{quoted(run.name)} did not come to an end")
    return None


def not_realised(facts: Facts) -> Judgement | None:
    """Rule 9: stored by the API server is not enforced by the agents."""
    for fault in facts.faults:
        if fault.realised is None:
            fact = f"the fault in {fault.policy} was stored and never seen to be enforced"
            advice = "Check that the Cilium agents run, then try again with a longer timeout."
            return told(facts, Outcome.NOT_INJECTED, fact, advice)
    return None


def activity_failed(facts: Facts) -> Judgement | None:
    """Rule 10: an activity of the method failed or was never played; the host exits 0."""
    for run in facts.runs:
        if run.status == "failed":
            return inconclusive(facts, f"{quoted(run.name)} failed: {run.failure.rstrip('.')}")
    played = {run.name for run in facts.runs}
    for name in names(facts.experiment.get("method")):
        if name not in played:
            return inconclusive(facts, f"{quoted(name)} of the method was never played")
    return None
