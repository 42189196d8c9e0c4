"""Moments: what happened when, by whose clock, and how far off that may be."""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Self

from acns_chaos.evidence.values import moment

__all__ = ["NODE", "RUNNER", "STAMP", "Moment", "iso", "seconds"]

RUNNER, NODE = "runner", "node"
# What the runner stamps itself, just before or just after a request, is right to this: ms.
STAMP = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened.

    Attributes:
        what: "submitted", "first-drop", ...; see docs/timeline.md.
        at: seconds since 1970.
        clock: whose time `at` is: RUNNER or NODE.
        bound_ms: how far the true moment may be from `at`, in milliseconds.
        source: who saw it: "runner", "client", "hubble", ..., or the name of a probe.
        detail: one sentence.
    """

    what: str
    at: float
    clock: str
    bound_ms: float
    source: str
    detail: str

    def told_as(self, what: str, source: str = "") -> Self:
        """Return the same moment under another name, and of another source if one is given."""
        return replace(self, what=what, source=source or self.source)

    def as_json(self) -> dict[str, Any]:
        """Return the journal's form."""
        return {**asdict(self), "at": iso(self.at), "bound_ms": round(self.bound_ms, 1)}


def iso(at: float) -> str:
    """Write seconds since 1970 as UTC, ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def seconds(text: object) -> float | None:
    """Read ISO 8601 as seconds since 1970; None when it is no moment."""
    found = moment(text)
    return None if found is None else found.timestamp()
