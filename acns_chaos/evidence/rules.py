"""From facts to an outcome: an ordered table of rules, of which the first that applies decides.

Evidence alone counts. The host may say "completed" when a fault was never injected or never
undone, so HELD is what is left when nothing speaks against it, never what a flag says.
"""

from collections.abc import Callable, Mapping
from typing import Any

from acns_chaos.evidence import rules_run, rules_seen
from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.telling import ROLES, policies, quoted, where

__all__ = ["RULES", "derive"]

Rule = Callable[[Facts], Judgement | None]


RULES: tuple[Rule, ...] = (
    rules_run.not_ours,
    rules_run.not_put_back,
    rules_run.not_ready_again,
    rules_run.rollback_failed,
    rules_run.dry_run,
    rules_run.refused,
    rules_run.baseline,
    rules_run.not_injected,
    rules_run.cut_short,
    rules_seen.roles,
    rules_run.not_realised,
    rules_run.activity_failed,
    rules_seen.witnesses,
    rules_seen.hypothesis,
    rules_seen.rollbacks_not_played,
    rules_seen.detectors,
    rules_seen.explanations,
    rules_seen.seen_restored,
    rules_seen.host,
    rules_seen.incomplete,
)


def derive(journal: Mapping[str, Any] | Facts) -> Judgement:
    """Derive the outcome from a journal's evidence; never raises.

    Args:
        journal: as the host keeps it in memory or writes it, or its facts. Its signature and the
            outcome it stores are not looked at.

    Returns:
        The judgement of the first rule that applies, HELD when none does.
    """
    facts = journal if isinstance(journal, Facts) else Facts(journal)
    return next((told for rule in RULES if (told := rule(facts))), None) or _held(facts)


def _held(facts: Facts) -> Judgement:
    """Rule 17: nothing speaks against it."""
    place = where(facts)
    place += ": no cluster was touched" if facts.target.get("kind") == "lab" else ""
    if not facts.faults:
        fact = f"the hypothesis holds, no fault was injected, {place}"
        return Judgement(Outcome.HELD, f"{fact[0].upper()}{fact[1:]}.", "Nothing to do.", (fact,))
    sentence = f"The fault in {policies(facts)} bit, was noticed and was put back, {place}."
    reasons = [
        f"{role} {quoted(name)}: {answer.sentence}"
        for role, declared in ROLES.items()
        for name in facts.role(declared)
        for answer in facts.answers(name)
    ]
    reasons += [f"{f.policy}: restored and verified (by {f.restored_by})" for f in facts.faults]
    reasons += [f"{one.workload}: {one.pods} restarted, Ready again" for one in facts.restarts]
    reasons.append("the hypothesis was met before and after the method")
    return Judgement(Outcome.HELD, sentence, _next_after_held(facts), tuple(reasons))


def _next_after_held(facts: Facts) -> str:
    if facts.target.get("kind") == "lab":
        return (
            "Nothing to mend; to learn about your own cluster, name its context and run it again."
        )
    return "Nothing to mend; keep it on the schedule."
