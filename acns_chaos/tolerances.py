"""How a probe's answer is judged. None of these ever raises.

A tolerance that raises crashes the run after the method: no rollbacks, no journal
(reference chaos-toolkit.md §0.5). Whatever is not a reading of ours is therefore simply not met.
"""

from typing import Any

__all__ = ["is_denied", "is_met", "is_open"]


def is_met(value: dict = {}) -> bool:
    """The probe saw what it was told to expect; "could not tell" does not count."""
    return _get(value, "met") is True


def is_open(value: dict = {}) -> bool:
    """The connection works."""
    return bool(_get(value, "reading") == "OPEN")


def is_denied(value: dict = {}) -> bool:
    """The connection is denied, by the client's and a drop counter's word."""
    return bool(_get(value, "reading") == "DENIED")


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
