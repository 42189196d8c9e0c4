"""The words a run's result is told in: the outcomes, their exit codes and a judgement.

Only values belong here. How an outcome is derived is in `rules`, what a journal holds in `facts`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Judgement", "Outcome"]


class Outcome(StrEnum):
    """A run's result; its code is what `acns-chaos outcome` exits with (2 is for usage errors)."""

    HELD = "HELD"
    DEVIATED = "DEVIATED"
    NOT_STARTED = "NOT_STARTED"
    NOT_INJECTED = "NOT_INJECTED"
    NOT_NOTICED = "NOT_NOTICED"
    NOT_RESTORED = "NOT_RESTORED"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def code(self) -> int:
        """The exit code."""
        return _CODES[self]


_CODES = {
    Outcome.HELD: 0,
    Outcome.DEVIATED: 3,
    Outcome.NOT_STARTED: 4,
    Outcome.NOT_INJECTED: 5,
    Outcome.NOT_NOTICED: 6,
    Outcome.NOT_RESTORED: 7,
    Outcome.INCONCLUSIVE: 8,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome with what a person on call needs.

    Attributes:
        outcome: the result.
        sentence: one sentence that names the target and the decisive fact.
        next: one sentence, what to do next.
        reasons: the facts behind it, most decisive first.
    """

    outcome: Outcome
    sentence: str
    next: str
    reasons: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the journal's `acns_chaos.outcome` object."""
        return {
            "name": self.outcome.value,
            "code": self.outcome.code,
            "sentence": self.sentence,
            "next": self.next,
            "reasons": list(self.reasons),
        }
