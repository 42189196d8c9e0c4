"""Would a suggested detector have noticed? The mutant is run again with it, in the lab.

Belongs here: putting suggestions in place, running again, taking them away, and what came of it.
Does not belong here: how a lab takes rules and how a mutant is run; `Lab` is given.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from acns_chaos.cluster.documents import parse
from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, mappings
from acns_chaos.gameday.plan_values import ALERT
from acns_chaos.gameday.results import LAB, UNKNOWN, Result
from acns_chaos.gameday.suggest import Suggestion, rules_text

__all__ = ["Lab", "Verified", "verify"]

NOT_RESTORED = "NOT_RESTORED"
STOPPED = "not tried, as an earlier run was not restored"


class Lab(Protocol):
    """What runs mutants again."""

    def install_rules(self, text: str) -> None:
        """Put rules in the place of those that the lab's Prometheus evaluates.

        Args:
            text: of a file of rules; "" is none.

        Raises:
            AcnsChaosError: they are refused; those before stay.
        """

    def run_again(self, result: Result, suggestions: Sequence[Suggestion]) -> Result:
        """Run a mutant once more; waits until every rule is evaluated and silent.

        Args:
            result: of the first time.
            suggestions: further detectors, besides the plan's.

        Returns:
            The result, in whose `detectors` each suggestion is, by its name.
        """


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of one suggestion.

    Attributes:
        mutant: its id.
        suggestion: the detector.
        caught: whether it noticed; None when that cannot be told.
        after_ms: after how long; None when it did not.
        bound_ms: how far that may be off.
        why: why not, or why it cannot be told.
    """

    mutant: str
    suggestion: Suggestion
    caught: bool | None
    after_ms: float | None = None
    bound_ms: float | None = None
    why: str = ""

    def __str__(self) -> str:
        what = f"{self.suggestion.kind} {self.suggestion.name}"
        why = f": {self.why}" if self.why else ""
        if self.caught is None:
            return f"Whether the {what} would have caught it cannot be told{why}"
        if not self.caught:
            return f"The {what} would not have caught it{why}"
        after = "" if self.after_ms is None else f" after {self.after_ms:.0f} ms"
        return f"The {what} would have caught it{after}"

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, without the detector."""
        return {
            "mutant": self.mutant,
            "kind": self.suggestion.kind,
            "name": self.suggestion.name,
            "caught": self.caught,
            "after_ms": self.after_ms,
            "bound_ms": self.bound_ms,
            "why": self.why,
        }


def verify(
    survivors: Sequence[tuple[Result, Sequence[Suggestion]]], lab: Lab, rules: str = ""
) -> list[Verified]:
    """Run survivors again, each once, with what was suggested for it.

    All suggested rules are in place together, beside the plan's own. Those are put back at the end,
    whatever happens. A run that is not restored ends it: nothing else is run.

    Args:
        survivors: each with its suggestions; those without any are passed over.
        lab: runs them.
        rules: the text of the plan's own rules; "" for none.

    Returns:
        One for each suggestion, in the order given.

    Raises:
        GameDayError: a survivor is not of the lab.
        AcnsChaosError: the lab does not take the rules.
    """
    wanted = [(result, made) for result, made in survivors if made]
    for result, _ in wanted:
        if result.place.kind != LAB:
            raise GameDayError(
                f"{result.mutant} survived in a cluster: suggestions are verified in the lab only, "
                "as nobody's Prometheus is given rules."
            )
    every = [one for _, made in wanted for one in made]
    found: list[Verified] = []
    if not wanted:
        return found
    with _in_place(lab, every, rules):
        stopped = False
        for result, made in wanted:
            if stopped:
                found += [Verified(result.mutant, one, None, why=STOPPED) for one in made]
                continue
            again = lab.run_again(result, made)
            stopped = again.outcome == NOT_RESTORED or again.restored is False
            found += [_told(again, result.mutant, one) for one in made]
    return found


@contextmanager
def _in_place(lab: Lab, suggestions: Sequence[Suggestion], rules: str) -> Iterator[None]:
    if not any(one.kind == ALERT for one in suggestions):
        yield
        return
    lab.install_rules(rules_text(suggestions, _groups(rules)))
    try:
        yield
    finally:
        lab.install_rules(rules)


def _groups(rules: str) -> Sequence[Mapping[str, Any]]:
    documents = parse(rules.encode(), "the plan's rules")
    return [group for one in documents for group in mappings(mapping(one.value).get("groups"))]


def _told(again: Result, mutant: str, suggestion: Suggestion) -> Verified:
    if again.status == UNKNOWN:
        return Verified(mutant, suggestion, None, why=again.why or "the run says nothing")
    own = next((one for one in again.detectors if one.name == suggestion.name), None)
    if own is None or own.noticed is None:
        why = own.why if own else "it was not asked"
        return Verified(mutant, suggestion, None, why=why)
    if not own.noticed:
        return Verified(mutant, suggestion, False, why=own.why)
    return Verified(mutant, suggestion, True, own.after_ms, own.bound_ms)
