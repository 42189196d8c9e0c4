"""One way to write a value: what digests are taken over, and what the host's file must look like.

Canonical JSON here is RFC 8785 but for numbers, which stand as Python writes them: keys sorted, no
space, ASCII. What is hashed as a link of the chain holds no floating-point number at all.
"""

import hashlib
import json
from datetime import date
from enum import Enum
from typing import Any

__all__ = ["as_written", "canonical", "digest", "plain"]


def plain(value: object) -> Any:
    """Return a value as it will be once written and read again: text keys, lists, no dates.

    Args:
        value: what the host holds in memory.

    Raises:
        TypeError, ValueError, RecursionError: it cannot be written as JSON.
    """
    return json.loads(json.dumps(value, default=_as_the_host_does))


def canonical(value: object) -> bytes:
    """Return the one spelling of a plain value; errors as `plain`."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def digest(value: object) -> str:
    """Return the SHA-256 of a plain value's canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def as_written(journal: object) -> str:
    """Return the text that `chaos run` writes for a plain journal.

    `chaostoolkit.commands.run` of 1.19 and of 1.21: two spaces, no final line break, no escapes
    but those that JSON asks for.
    """
    return json.dumps(journal, indent=2, ensure_ascii=False)


def _as_the_host_does(value: object) -> object:
    """Encode what JSON has no type for as `chaostoolkit.encoder` does: dates are ISO 8601."""
    if isinstance(value, date):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else str(value)
