"""The patch formats: JSON merge patch, JSON patch, and the choice among them.

Pure functions from an object and a patch to a new object. Not here: server-side apply (`apply`),
and how a strategic merge patch works (`patches_strategic`).
"""

import re
from typing import Any

from acns_chaos.lab.api.failures import Failure, Json, bad_request, unprocessable
from acns_chaos.lab.api.kinds.objects import clone
from acns_chaos.lab.api.writing.patches_strategic import strategic_merge

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_MOST_OPERATIONS = 10_000
_NUMBER = re.compile("0|[1-9][0-9]{0,8}")


def apply_patch(obj: Json, patch: Any, content_type: str) -> Json:
    """Apply a patch.

    Args:
        obj: the stored object; it is not changed.
        patch: the parsed body.
        content_type: one of the first three constants of this module.

    Returns:
        the patched object.

    Raises:
        Failure: 400 for a body of the wrong shape, 413 for too many operations, 422 for a JSON
            patch that does not fit the object.
    """
    if content_type == JSON_PATCH:
        return _json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: json: cannot unmarshal into an object")
    if content_type == STRATEGIC_PATCH:
        return strategic_merge(obj, patch)
    return merge(obj, patch)


def merge(target: Any, patch: Json) -> Json:
    """RFC 7386: null removes, objects merge, everything else replaces."""
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge(merged.get(key), value)
        else:
            merged[key] = clone(value)
    return merged


def _json_patch(obj: Json, operations: Any) -> Json:
    if not isinstance(operations, list) or not all(isinstance(op, dict) for op in operations):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type "
            "jsonpatch.Patch"
        )
    if len(operations) > _MOST_OPERATIONS:
        message = (
            f"The allowed maximum operations in a JSON patch is {_MOST_OPERATIONS}, got "
            f"{len(operations)}"
        )
        raise Failure(413, "RequestEntityTooLarge", message)
    document = {"": clone(obj)}
    for operation in operations:
        try:
            _apply_operation(document, operation)
        except (KeyError, IndexError, ValueError, TypeError, AttributeError):
            raise unprocessable() from None
    patched = document.get("")
    if not isinstance(patched, dict):
        raise unprocessable()
    return patched


def _apply_operation(document: Json, operation: Json) -> None:
    """One operation of RFC 6902; any lookup error means that it does not fit the object."""
    what, path = operation["op"], _pointer(operation["path"])
    if what == "test":
        if _look_up(document, path) != operation["value"]:
            raise ValueError(path)
    elif what == "remove":
        _remove(document, path)
    elif what == "add":
        _add(document, path, clone(operation["value"]))
    elif what == "replace":
        _look_up(document, path)
        _put(document, path, clone(operation["value"]))
    elif what == "copy":
        _add(document, path, clone(_look_up(document, _pointer(operation["from"]))))
    elif what == "move":
        source = _pointer(operation["from"])
        value = _look_up(document, source)
        _remove(document, source)
        _add(document, path, value)
    else:
        raise ValueError(what)


def _pointer(text: str) -> list[str]:
    """A JSON pointer as keys into the document, which stands under the key ""."""
    first, *rest = text.split("/")
    if first:
        raise ValueError(text)
    return ["", *(part.replace("~1", "/").replace("~0", "~") for part in rest)]


def _look_up(place: Any, path: list[str]) -> Any:
    for part in path:
        place = place[_index(place, part)]
    return place


def _index(place: Any, part: str) -> str | int:
    """A key of an object, or the number of an item that exists."""
    if isinstance(place, list):
        if not (_NUMBER.fullmatch(part) and int(part) < len(place)):
            raise IndexError(part)
        return int(part)
    return part


def _remove(document: Json, path: list[str]) -> None:
    place = _look_up(document, path[:-1])
    del place[_index(place, path[-1])]


def _put(document: Json, path: list[str], value: Any) -> None:
    place = _look_up(document, path[:-1])
    place[_index(place, path[-1])] = value


def _add(document: Json, path: list[str], value: Any) -> None:
    place, last = _look_up(document, path[:-1]), path[-1]
    if not isinstance(place, list):
        place[last] = value
    elif last == "-":
        place.append(value)
    elif _NUMBER.fullmatch(last) and int(last) <= len(place):
        place.insert(int(last), value)
    else:
        raise IndexError(last)
