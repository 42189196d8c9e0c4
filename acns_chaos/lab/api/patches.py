"""The patch formats: JSON merge patch, JSON patch, and strategic merge in its simple form.

Pure functions from an object and a patch to a new object. Not here: server-side apply, and lists
that a strategic merge would merge item by item; both are refused by name.
"""

from typing import Any

from acns_chaos.lab.api.failures import Json, bad_request, not_modelled, unprocessable
from acns_chaos.lab.api.objects import clone

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_MERGED_LISTS = frozenset(
    {
        "conditions",
        "containers",
        "env",
        "ephemeralContainers",
        "finalizers",
        "hostAliases",
        "imagePullSecrets",
        "initContainers",
        "ownerReferences",
        "secrets",
        "volumeMounts",
        "volumes",
    }
)


def apply_patch(obj: Json, patch: Any, content_type: str) -> Json:
    """Apply a patch.

    Args:
        obj: the stored object; it is not changed.
        patch: the parsed body.
        content_type: one of the first three constants of this module.

    Returns:
        the patched object.

    Raises:
        Failure: 400 for a body of the wrong shape, 422 for a JSON patch that does not fit the
            object, 501 for a strategic merge of a keyed list.
    """
    if content_type == JSON_PATCH:
        return _json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: json: cannot unmarshal into an object")
    if content_type == STRATEGIC_PATCH:
        _refuse_merged_lists(patch)
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


def _refuse_merged_lists(patch: Json, path: str = "") -> None:
    for key, value in patch.items():
        place = f"{path}.{key}".lstrip(".")
        if key.startswith("$"):
            raise not_modelled(f"the directive {place} of a strategic merge patch")
        if isinstance(value, list) and key in _MERGED_LISTS:
            raise not_modelled(f"a strategic merge patch of the list {place}")
        if isinstance(value, dict):
            _refuse_merged_lists(value, place)


def _json_patch(obj: Json, operations: Any) -> Json:
    if not isinstance(operations, list) or not all(isinstance(op, dict) for op in operations):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type "
            "jsonpatch.Patch"
        )
    document = {"": clone(obj)}
    for operation in operations:
        try:
            _apply_operation(document, operation)
        except (KeyError, IndexError, ValueError, TypeError):
            raise unprocessable() from None
    patched = document[""]
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
        if not (part.isdigit() and int(part) < len(place)):
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
    elif last.isdigit() and int(last) <= len(place):
        place.insert(int(last), value)
    else:
        raise IndexError(last)
