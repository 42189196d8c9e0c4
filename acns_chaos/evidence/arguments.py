"""Arguments as an experiment gives them: checked before anything is asked or changed.

`${name}` without `env_var_type` arrives as text, and a misspelt word would turn a good answer into
"not as expected". What cannot be meant is said in one sentence.
"""

from collections.abc import Mapping
from typing import Any

from acns_chaos.errors import ArgumentError
from acns_chaos.evidence.values import number

__all__ = ["names", "numbers", "whole", "word"]


def numbers(given: Mapping[str, Any]) -> dict[str, float]:
    """Turn arguments into numbers; text that reads as a number is one.

    Args:
        given: name to value.

    Returns:
        Name to number.

    Raises:
        ArgumentError: one of them is no finite number; the sentence names it.
    """
    found: dict[str, float] = {}
    for name, value in given.items():
        read: float | None
        try:
            read = number(float(value) if isinstance(value, str) else value)
        except ValueError:
            read = None
        if read is None:
            raise ArgumentError(f"{name} must be a number, not {value!r}")
        found[name] = read
    return found


def whole(name: str, value: Any, least: int) -> int:
    """Return *value* if it is a whole number that is not below *least*.

    Raises:
        ArgumentError: it is another number, or none.
    """
    read = numbers({name: value})[name]
    if read < least or read != int(read):
        raise ArgumentError(f"{name} must be a whole number from {least} on, not {value!r}")
    return int(read)


def word(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """Return *value* if it is one of the allowed words.

    Raises:
        ArgumentError: it is none of them; the sentence lists them.
    """
    if value not in allowed:
        raise ArgumentError(f"{name} must be {' or '.join(allowed)}, not {value!r}")
    return str(value)


def names(name: str, value: Any) -> list[str]:
    """Return *value* if it is a list of names.

    Raises:
        ArgumentError: it is something else, such as one name without its list.
    """
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ArgumentError(f'{name} must be a list of names such as ["pets/store-front"]')
    return value
