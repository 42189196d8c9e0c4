"""How a judgement is worded: the target by name, the decisive fact, what to do next.

Sentences are for a person on call: one line, no jargon of ours beyond the design's vocabulary.
"""

from acns_chaos.evidence.answers import State
from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.outcome import Judgement, Outcome
from acns_chaos.evidence.values import word

__all__ = ["AGAIN", "ROLES", "inconclusive", "policies", "quoted", "state_fact", "told", "where"]

# What one activity of a role is called, and the key it is declared under.
ROLES = {"witness": "witnesses", "detector": "detectors", "explanation": "explanations"}
AGAIN = "Find out why, then run the experiment again: this run proves nothing."


def where(facts: Facts) -> str:
    """Name the target as a phrase: "in the lab", "in cluster aks-prod"."""
    kind, context = facts.target.get("kind"), word(facts.target.get("context"))
    if kind == "lab":
        return "in the lab"
    return f"in cluster {context}" if kind == "cluster" and context else "at an unknown target"


def told(
    facts: Facts, outcome: Outcome, fact: str, advice: str, reasons: tuple[str, ...] = ()
) -> Judgement:
    """Build a judgement whose sentence names the target first, then the decisive fact."""
    place = where(facts)
    return Judgement(outcome, f"{place[0].upper()}{place[1:]}: {fact}.", advice, reasons or (fact,))


def inconclusive(
    facts: Facts, fact: str, advice: str = AGAIN, reasons: tuple[str, ...] = ()
) -> Judgement:
    """Build a judgement that says what is missing for any other."""
    return told(facts, Outcome.INCONCLUSIVE, fact, advice, reasons)


def quoted(name: str) -> str:
    """Quote an activity's name."""
    return f'"{name}"' if name else "an activity without a name"


def policies(facts: Facts) -> str:
    """Name the policies this run changed."""
    return ", ".join(dict.fromkeys(fault.policy for fault in facts.faults))


def state_fact(phase: str, state: State) -> str:
    """Say of a pass that was not met whether the contrary was seen or nothing could be told."""
    doubt = "could not be told" if state.met is None else "was not met"
    probe = f" ({quoted(state.probe)}: {state.why.rstrip('.')})"
    return f"the hypothesis {phase} the method {doubt}{probe}"
