"""What is certain of a journal that was cut off while the host wrote it.

A value counts when it is whole. Of those that are not, only the few are entered whose parts say
something on their own: the activities that were played, the target, the faults one by one. The host
writes our section last, so a journal without it still tells of faults: each activity that made one
returned its record.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.evidence.facts import SECTION, is_inject, reference
from acns_chaos.evidence.values import mapping, mappings, text

__all__ = ["salvaged"]

# Objects and lists that may be read in part, by the keys that lead there; 0 is any item.
PARTS: frozenset[tuple[str | int, ...]] = frozenset(
    {
        (),
        ("run",),
        ("rollbacks",),
        (SECTION,),
        (SECTION, "target"),
        (SECTION, "faults"),
        (SECTION, "faults", 0),
        (SECTION, "probers"),
        (SECTION, "probers", 0),
        (SECTION, "events"),
    }
)

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def salvaged(written: str) -> dict[str, Any] | None:
    """Return what of a journal is certain, None when it holds no run.

    Args:
        written: the text of the file, a JSON object without its end.

    Returns:
        A journal: its section lacks the signature, and may lack anything else.
    """
    journal, _ = _part(written, _skip(written, 0), ())
    if not isinstance(journal, dict) or not isinstance(journal.get("experiment"), dict):
        return None
    if not {"run", "status"} & journal.keys():
        return None
    section = journal.get(SECTION)
    kept = dict(section) if isinstance(section, dict) else {}
    faults = {text(fault.get("id")): fault for fault in _returned(journal)}
    for fault in mappings(kept.get("faults")):
        # The last of them may be a part: what its activity returned tells the rest.
        name = text(fault.get("id"))
        faults[name] = {**faults.get(name, {}), **fault}
    known = [fault for fault in faults.values() if reference(fault.get("policy"))]
    if known:
        kept["faults"] = known
    if kept:
        journal[SECTION] = kept
    return journal


def _returned(journal: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the record of each fault that an activity returned."""
    for run in mappings(journal.get("run")):
        output = mapping(run.get("output"))
        if not is_inject(mapping(run.get("activity"))):
            continue
        for fault in mappings(output.get("objects")) or (output,):
            yield dict(fault)


def _part(
    written: str, position: int, path: tuple[str | int, ...]
) -> tuple[dict[str, Any] | list[Any] | None, int]:
    """Read the whole members of an object or list that begins at a position.

    Returns:
        What was read, None when nothing begins there; and where it ended, -1 for at a member that
        is not whole.
    """
    opening = written[position : position + 1]
    if opening not in ("{", "["):
        return None, -1
    members: dict[str, Any] = {}
    values: list[Any] = []
    position = _skip(written, position + 1)
    while True:
        key: str | int = 0
        if opening == "{":
            name, position = _whole(written, position)
            if not isinstance(name, str) or written[position : position + 1] != ":":
                return members, -1
            key, position = name, _skip(written, position + 1)
        start = position
        value, position = _whole(written, start)
        if position < 0 and (*path, key) in PARTS:
            value, position = _part(written, start, (*path, key))
            if value:
                _put(key, value, members, values)
            return (members if opening == "{" else values), -1
        if position < 0:
            return (members if opening == "{" else values), -1
        _put(key, value, members, values)
        if written[position : position + 1] != ",":
            return (members if opening == "{" else values), position
        position = _skip(written, position + 1)


def _put(key: str | int, value: object, members: dict[str, Any], values: list[Any]) -> None:
    if isinstance(key, str):
        members[key] = value
    else:
        values.append(value)


def _whole(written: str, position: int) -> tuple[Any, int]:
    """Read a value; -1 for its end when it is not whole.

    A value is whole when something follows that ends it: "12" may have been going to be "123".
    """
    try:
        value, end = _DECODER.raw_decode(written, position)
    except (ValueError, RecursionError):
        return None, -1
    end = _skip(written, end)
    return (value, end) if end < len(written) and written[end] in ",:]}" else (None, -1)


def _skip(written: str, position: int) -> int:
    found = _SPACE.match(written, position)
    return found.end() if found else position
