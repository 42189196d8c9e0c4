"""Where a sealed journal was changed: short digests of its parts, beside the one of the whole.

They only say where. Whether is said by the digest of the whole, so how a journal is divided may
change from version to version: a check follows the division that the seal holds.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.evidence.canonical import canonical

__all__ = ["differing", "parts_of"]

# Down to so many levels, of what is longer than so many bytes, in lists of so many items at most.
DEEPEST, LONG, MANY = 4, 800, 64


def parts_of(value: object) -> dict[str, str]:
    """Return a short digest for each part of a plain value, by its path: "run[2].output"."""
    return dict(_parts(value, "", 0))


def differing(value: object, stored: Mapping[str, Any]) -> list[str]:
    """Return the paths of what is not as its part says, has none, or is gone.

    Args:
        value: plain.
        stored: as `parts_of` returned it, of what the value once was.
    """
    left = dict(stored)

    def visit(value: object, path: str) -> Iterator[str]:
        if path in left:
            if left.pop(path) != _short(value):
                yield path
        elif any(key.startswith(path) and key[len(path) : len(path) + 1] in ".[" for key in left):
            for name, inner in _inside(value, path):
                yield from visit(inner, name)
        else:
            yield path

    found = [path for key, inner in _inside(value, "") for path in visit(inner, key)]
    return found + list(left)


def _parts(value: object, path: str, depth: int) -> Iterator[tuple[str, str]]:
    divides = isinstance(value, dict) or (isinstance(value, list) and len(value) <= MANY)
    if value and divides and depth < DEEPEST and (not depth or len(canonical(value)) > LONG):
        for name, inner in _inside(value, path):
            yield from _parts(inner, name, depth + 1)
    else:
        yield path, _short(value)


def _inside(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what is in an object or a list, by its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (f"{path}.{key}" if path else key), inner
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield f"{path}[{place}]", inner


def _short(value: object) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:12]
