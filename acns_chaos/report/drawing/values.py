"""What is drawn, as values; every figure is the journal's.

Seconds count from the moment when the first fault was submitted, or from the beginning where there
was none.
"""

from dataclasses import dataclass, field
from datetime import datetime

from acns_chaos.report.drawing.rates import Rate
from acns_chaos.report.model import Stood

__all__ = [
    "BAD",
    "GOOD",
    "OTHER",
    "FaultBand",
    "Gap",
    "Lane",
    "Mark",
    "Noticing",
    "Run",
    "Score",
]

GOOD, BAD, OTHER = "good", "bad", "other"


@dataclass(frozen=True, slots=True)
class Run:
    """Requests with one result: from the first to the last, in seconds, and how many."""

    since: float
    until: float
    kind: str
    count: int
    result: str = ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which a source did not see everything, and why."""

    since: float
    until: float
    why: str


@dataclass(frozen=True, slots=True)
class Lane:
    """The requests of one client.

    Attributes:
        name: "Connections", "Pages", or the source's.
        results: how often which, in words: "139 connected, 139 silent", "12 with 200".
    """

    name: str
    about: str
    results: str
    runs: tuple[Run, ...]
    gaps: tuple[Gap, ...]
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """One noticing: when, seconds; its error bound, seconds; since when it counts."""

    at: float
    bound: float
    since: float


@dataclass(frozen=True, slots=True)
class Noticing:
    """What one detector, witness, explanation or source of the run's own saw, in all faults.

    Attributes:
        told: in words, as in the journal: "19 ms (± 22)", or why it did not notice.
        silent: whether it looked and saw nothing, in every fault.
    """

    name: str
    role: str
    marks: tuple[Mark, ...]
    told: str
    silent: bool = False


@dataclass(frozen=True, slots=True)
class FaultBand:
    """One fault: its id and policies, from when to when it stood, and what that meant.

    Attributes:
        until: None when it is not shown to have ended.
        outage, recovery: (since, until) in seconds, None when there is no figure.
    """

    name: str
    policies: str
    since: float
    until: float | None
    stood: Stood
    outage: tuple[float, float] | None = None
    recovery: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """All of it.

    Attributes:
        zero: the moment from which seconds count; None when nothing has a time.
        begin, end: what is drawn, in seconds.
        sampled: from when to when the run's own sampling went; None without a timeline.
        moments: (seconds, what, by whom, bound in ms, detail, fault).
    """

    zero: datetime | None
    begin: float = 0.0
    end: float = 0.0
    sampled: tuple[float, float] | None = None
    faults: tuple[FaultBand, ...] = ()
    lanes: tuple[Lane, ...] = ()
    rates: tuple[Rate, ...] = ()
    noticings: tuple[Noticing, ...] = ()
    moments: tuple[tuple[float, str, str, float | None, str, str], ...] = ()
    missing: tuple[str, ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return self.zero is None or not (
            self.faults or self.lanes or self.rates or self.noticings or self.moments
        )
