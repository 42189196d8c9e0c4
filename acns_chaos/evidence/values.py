"""Reading values nobody vouches for: each function takes anything and never raises.

A journal may come from a crashed run, another extension or another person. What these functions
return is safe to compare and to print; what it means is for `facts` to say.
"""

from collections.abc import Mapping
from typing import Any

from acns_chaos.cluster.moments import moment

__all__ = ["mapping", "mappings", "moment", "number", "sequence", "text", "word"]

LONGEST = 400
# Beyond it a float is not the next one any more: nobody counted so far, and sums may overflow.
_MOST = 2.0**53


def mapping(value: object) -> Mapping[str, Any]:
    """Return `value` when it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> tuple[Any, ...]:
    """Return the items of a list, else nothing."""
    return tuple(value) if isinstance(value, list | tuple) else ()


def mappings(value: object) -> tuple[Mapping[str, Any], ...]:
    """Return a list's items as objects; an item that is none becomes an empty object."""
    return tuple(mapping(item) for item in sequence(value))


def number(value: object) -> float | None:
    """Return a number that can be counted with, else None. A bool is not a number here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Also False for NaN.
    return float(value) if abs(value) <= _MOST else None


def text(value: object, longest: int = LONGEST) -> str:
    """Return `value` as one printable line of at most `longest` characters; "" for None.

    Line breaks, terminal escapes, bidirectional marks and lone surrogates become spaces, so the
    line can neither move a cursor nor break a table.
    """
    if value is None:
        return ""
    try:
        raw = value if isinstance(value, str) else str(value)
    except (ValueError, RecursionError):  # an integer too long to print, an endless nest
        return "(not printable)"
    raw = raw[: 4 * longest]
    if not raw.isprintable():
        raw = "".join(c if c.isprintable() else " " for c in raw)
    line = " ".join(raw.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def word(value: object) -> str:
    """Return a text as one printable line, "" for anything that is no text."""
    return text(value) if isinstance(value, str) else ""
