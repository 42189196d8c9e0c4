"""What the readers of YAML and of JSON share: bounds, and the words of their sentences."""

import math
import re

__all__ = [
    "LONGEST_INTEGER",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_DOCUMENTS",
    "MAX_TEXT",
    "MAX_VALUES",
    "TOO_MANY",
    "finite",
    "integer_or_float",
    "path_text",
    "short",
]

MAX_BYTES = 10_000_000
"""Of one file."""
MAX_DEPTH = 100
"""Objects and lists within each other, aliases followed."""
MAX_VALUES = 500_000
"""Of one file, aliases followed: twice what the largest honest file holds."""
MAX_TEXT = 2 * MAX_BYTES
"""Characters of one file, aliases followed."""
MAX_DOCUMENTS = 10_000
"""Of one file."""

TOO_MANY = f"more than {MAX_VALUES:,} values, aliases followed; split the file"

LONGEST_INTEGER = 20
"""Digits of a 64-bit integer; a longer number is a float to Kubernetes."""


def finite(text: str) -> float:
    """The number written.

    Raises:
        ValueError: it is beyond what a float holds.
    """
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{short(text)} is beyond every number")
    return number


def integer_or_float(text: str) -> int | float:
    """The integer written in decimal, as a float when no 64 bits hold it; errors as `finite`."""
    return int(text) if len(text) <= LONGEST_INTEGER else finite(text)


def path_text(keys: list[str | int]) -> str:
    """A path for people: spec.ingress[0].toPorts; the middle of a long one is left out."""
    shown = keys if len(keys) <= 20 else [*keys[:17], "…", *keys[-2:]]
    path = ""
    for key in shown:
        if isinstance(key, int):
            path += f"[{key}]"
        elif re.fullmatch(r"[\w$/<-]+|…", key):
            path += f".{short(key)}" if path else short(key)
        else:
            path += f"[{short(key)!r}]"
    return path


def short(text: str, length: int = 60) -> str:
    """Text from a file, fit for one sentence.

    Args:
        text: anything.
        length: characters to keep at most.
    """
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else "?" for c in line[: length + 1])
    return line if len(line) <= length else line[: length - 3] + "…"
