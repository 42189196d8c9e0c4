"""Readings: what a probe answers, as plain JSON, with "could not tell" as an answer of its own."""

from datetime import UTC, datetime
from typing import Any

__all__ = [
    "CONNECTED",
    "COUNTED",
    "DENIED",
    "DIFFERENT",
    "EQUAL",
    "FAILED",
    "FIRING",
    "NAMED",
    "NOT_READY",
    "OPEN",
    "READY",
    "SERVED",
    "SILENT",
    "STATES",
    "UNKNOWN",
    "UNNAMED",
    "Reading",
    "reading",
]

OPEN = "OPEN"
DENIED = "DENIED"
UNKNOWN = "UNKNOWN"
COUNTED = "COUNTED"
EQUAL = "EQUAL"
DIFFERENT = "DIFFERENT"
NAMED = "NAMED"
UNNAMED = "UNNAMED"
READY = "READY"
NOT_READY = "NOT_READY"
FAILED = "FAILED"
FIRING = "FIRING"
SILENT = "SILENT"

# Every word a reading may carry, and those that an experiment may expect of a connection.
STATES = frozenset(
    {
        *(OPEN, DENIED, COUNTED, EQUAL, DIFFERENT, NAMED, UNNAMED, READY, NOT_READY),
        *(FAILED, FIRING, SILENT, UNKNOWN),
    }
)
CONNECTED = (OPEN, DENIED)
# Of a page also that it is not served, whatever the cause: read only where it is asked for.
SERVED = (*CONNECTED, FAILED)

# Plain JSON; the host writes it into the journal as it is.
Reading = dict[str, Any]


def reading(
    state: str,
    what: str,
    sentence: str,
    met: bool | None,
    expected: Any,
    evidence: dict[str, Any],
    **more: Any,
) -> Reading:
    """Build a reading.

    Args:
        state: one of the words of this module.
        what: what was asked, a few words.
        sentence: what came of it, for people.
        met: whether it is as expected; forced to None for UNKNOWN, which meets nothing.
        expected: what the experiment expects, as plain JSON.
        evidence: what the statement rests on, as plain JSON.
        more: `count`, `culprits`, `seconds`.

    Returns:
        Plain JSON.
    """
    return {
        "reading": state,
        "met": None if state == UNKNOWN else met,
        "expected": expected,
        "what": what,
        "sentence": sentence,
        "at": datetime.now(UTC).isoformat(),
        "evidence": evidence,
        **more,
    }
