"""Counts of mutants, and the score with its interval that they come to.

Belongs here: arithmetic. Does not belong here: which mutant counts as what (`score`).
"""

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Tally", "wilson"]

# Of a normal distribution, 95 % lie within so many standard deviations.
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Tally:
    """How mutants fared.

    Attributes:
        killed: somebody noticed.
        survived: nobody did.
        undecided: in force, and whether somebody did cannot be told; in the score as not noticed.
        unknown: not run, or in a run that proves nothing; not in the score.
        signalled: of those that survived, how many made a counter or flows rise: the signal was
            there, and nothing was listening.
    """

    killed: int = 0
    survived: int = 0
    undecided: int = 0
    unknown: int = 0
    signalled: int = 0

    @property
    def judged(self) -> int:
        """How many the score is about."""
        return self.decided + self.undecided

    @property
    def decided(self) -> int:
        """Of how many it is known whether they were noticed."""
        return self.killed + self.survived

    @property
    def score(self) -> float | None:
        """The part that is known to have been noticed, 0 to 1; None of nothing."""
        return self.killed / self.judged if self.judged else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval: what the score says of mistakes that were not among these."""
        return wilson(self.killed, self.judged)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        interval = self.interval
        return {
            "killed": self.killed,
            "survived": self.survived,
            "undecided": self.undecided,
            "unknown": self.unknown,
            "signalled": self.signalled,
            "judged": self.judged,
            "score": None if self.score is None else round(self.score, 6),
            "interval": None if interval is None else [round(end, 6) for end in interval],
        }


def wilson(killed: int, judged: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a part of a whole; None of nothing.

    Args:
        killed: the part.
        judged: the whole.

    Returns:
        Its ends, 0 to 1. Unlike the usual one it is of use for few, and for none and all
        (Wilson, 1927).
    """
    if not judged:
        return None
    share, square = killed / judged, _Z * _Z
    middle = (share + square / (2 * judged)) / (1 + square / judged)
    half = (
        _Z
        * math.sqrt(share * (1 - share) / judged + square / (4 * judged * judged))
        / (1 + square / judged)
    )
    return max(0.0, middle - half), min(1.0, middle + half)
