"""An explanation as lines for a terminal.

Belongs here: layout and nothing else; every fact stands in the explanation's data.
"""

from collections.abc import Iterator

from acns_chaos.policy.explanation import Candidate, Explanation, Walk
from acns_chaos.policy.model import NOT_APPLICABLE

__all__ = ["explanation_text"]

# Rules that miss are shown up to here; those that match always are.
_MOST_MISSES = 12


def explanation_text(explanation: Explanation) -> str:
    """The walk for a person, ending with the outcome.

    Args:
        explanation: what to show.
    """
    verdict = explanation.verdict
    request = f", {explanation.request}" if explanation.request else ""
    lines = [f"{verdict.source.name} -> {verdict.destination.name} on {verdict.traffic}{request}"]
    for number, walk in enumerate((explanation.egress, explanation.ingress), 1):
        lines += ["", *_walk(number, walk)]
    if explanation.notes:
        lines.append("")
        lines += [f"Note: {note}" for note in explanation.notes]
    return "\n".join([*lines, "", f"{explanation.sentence}."])


def _walk(number: int, walk: Walk) -> Iterator[str]:
    verdict = "not judged" if walk.verdict == NOT_APPLICABLE else walk.verdict
    reason = f" ({walk.drop_reason})" if walk.drop_reason else ""
    yield f"{number}. {walk.direction.capitalize()} of {walk.subject.name}: {verdict}{reason}"
    if walk.selecting:
        yield f"   selected by {_listed(walk.selecting)}"
        if walk.enforcing:
            yield f"   default deny is on, by {_listed(walk.enforcing)}"
        elif walk.default_deny:
            yield "   default deny is on, by the agents' settings or the init identity"
        else:
            yield "   default deny is off: only deny rules count"
    elif walk.default_deny:
        yield "   default deny is on, and no policy selects it"
    misses = 0
    for candidate in walk.candidates:
        misses += not candidate.matches
        if candidate.matches or misses <= _MOST_MISSES:
            yield f"   {_mark(candidate)} {candidate.rule}"
            yield f"        {'denies' if candidate.deny else 'allows'} {_about(walk, candidate)}"
            yield f"        {candidate.why}"
    if misses > _MOST_MISSES:
        yield f"   … and {misses - _MOST_MISSES} more rules that do not match"
    yield f"   {walk.conclusion}"


def _mark(candidate: Candidate) -> str:
    if not candidate.matches:
        return "miss"
    return "DENY" if candidate.deny else " hit"


def _about(walk: Walk, candidate: Candidate) -> str:
    way = "from" if walk.direction == "ingress" else "to"
    proxy = f", through the {candidate.proxy} proxy" if candidate.proxy else ""
    return f"{way} {candidate.peers} on {candidate.ports}{proxy}"


def _listed(objects: tuple[object, ...]) -> str:
    return ", ".join(str(one) for one in objects)
