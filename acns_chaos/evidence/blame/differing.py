"""Two versions of an object in a few words: which places differ."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.evidence.values import text

__all__ = ["differences"]

_MOST = 4
_LONGEST = 60
_NONE = object()


def differences(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    """Name the places that differ.

    Args:
        before: as it was; None when there was none.
        after: as it is; None when there is none.

    Returns:
        For people: 'spec.ingress[0].fromEndpoints is new ([])'; "" when they are equal.
    """
    if before is None or after is None:
        if before is after:
            return ""
        return "it did not exist before" if before is None else "it is gone"
    found = [one for one in _places("", before, after) if not one.startswith("annotations")]
    more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return ", ".join(found[:_MOST]) + more


def _places(path: str, before: Any, after: Any) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            inner = f"{path}.{key}" if path else str(key)
            yield from _places(inner, before.get(key, _NONE), after.get(key, _NONE))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (was, now) in enumerate(zip(before, after, strict=True)):
            yield from _places(f"{path}[{number}]", was, now)
    elif before is _NONE:
        yield f"{path} is new ({_shown(after)})"
    elif after is _NONE:
        yield f"{path} is gone (it was {_shown(before)})"
    elif before != after:
        yield f"{path} is {_shown(after)} (it was {_shown(before)})"


def _shown(value: Any) -> str:
    return text(json.dumps(value, ensure_ascii=False, default=str), _LONGEST)
