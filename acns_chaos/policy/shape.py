"""The shape of an object: whether a client with typed structures could decode it.

Belongs here: types, by the schema of a kind. Does not belong here: the limits of the schema
(`validity_schema`), and what the decoded values mean (`validity_agent`). Fields nobody knows are
passed over: the API server prunes them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from acns_chaos.errors import PolicyError
from acns_chaos.policy.quoting import a, place, shown
from acns_chaos.policy.schema import Field, Path, json_type

MAX_SIZE = 1_572_864
"""Bytes; what the store behind an API server takes in one request (etcd's default)."""

_NOT_OURS = frozenset({"metadata", "status", "labels", "l7", "authentication", "log"})
# What the typed structures hold: no field of a policy is wider.
_WIDEST = 2**31


def is_too_large(value: object) -> bool:
    """Whether a value would be too large to be stored, however it is put together.

    Counts what surely takes a byte each. Texts that occur several times count each time, and a
    structure that contains itself is endless, so a value that passes is a tree of bounded size.
    """
    left = MAX_SIZE
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            left -= len(one)
        elif isinstance(one, Mapping):
            left -= len(one)
            if left < 0:
                return True
            left -= sum(len(key) for key in one if isinstance(key, str))
            waiting.extend(one.values())
        elif isinstance(one, list):
            left -= len(one)
            if left < 0:
                return True
            waiting.extend(one)
        if left < 0:
            return True
    return False


def shape_problems(obj: Mapping[str, Any], schema: Field, *, native: bool) -> Iterator[str]:
    """What cannot be decoded, one sentence each.

    Args:
        obj: an object that is not too large.
        schema: of its kind.
        native: it is of a built-in kind, see `wrong_types`.
    """
    for path, finding in wrong_types(obj, schema, native=native):
        yield f"{path} {finding}."


def require_shape(obj: object, schema: Field, what: str) -> None:
    """Refuse an object whose known fields have other types than their schema says.

    Args:
        obj: any JSON value.
        schema: of what it should be.
        what: what it is called in the sentence: "CiliumCIDRGroup", "Pod".

    Raises:
        PolicyError: it is no object, it is too large, or a field has the wrong type.
    """
    if not isinstance(obj, Mapping):
        raise PolicyError(f"A {what} is {a(json_type(obj))}, not an object; give the whole object.")
    if is_too_large(obj):
        raise PolicyError(
            f"The {what} {_name(obj)} is larger than 1.5 MiB, which no API server stores; "
            "give it without what does not belong in it."
        )
    for path, finding in wrong_types(obj, schema, native=True, everything=True):
        raise PolicyError(f"In the {what} {_name(obj)} the field {path} {finding}.")


def _name(obj: Mapping[str, Any]) -> str:
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else obj.get("name")
    return shown(name) if isinstance(name, str) else "without a name"


def wrong_types(
    value: Mapping[str, Any],
    schema: Field,
    path: Path = (),
    *,
    native: bool,
    everything: bool = False,
) -> Iterator[tuple[str, str]]:
    """The known fields of an object that have another type than their schema says.

    Args:
        value: the object.
        schema: its schema.
        path: where it stands.
        native: the object is of a built-in kind: a null in a map of texts is not dropped then, it
            becomes an empty text, which nobody means.
        everything: look also into the members that do not matter to verdicts.

    Yields:
        (path, finding) in the order of the document.
    """
    for key, member in value.items():
        described = schema.fields.get(key)
        if described is not None and (everything or key not in _NOT_OURS):
            yield from _wrong(member, described, (*path, key), native, everything)


def _wrong(
    value: object, schema: Field, path: Path, native: bool, everything: bool
) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    match schema.type:
        case "object" if not isinstance(value, Mapping):
            yield place(path), "is not an object"
        case "object" if schema.values is not None:
            yield from _map(value, schema.values, path, native=native)
        case "object":
            assert isinstance(value, Mapping)
            yield from wrong_types(value, schema, path, native=native, everything=everything)
        case "array":
            yield from _list(value, schema.items or Field("any"), path, native, everything)
        case _:
            finding = _leaf(value, schema.type)
            if finding:
                yield place(path), finding


def _map(values: Any, schema: Field, path: Path, *, native: bool) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if value is None and not native and isinstance(key, str):
            continue
        if not isinstance(key, str):
            yield place(path), f"has the key {shown(key)}, which is not a text; put it in quotes"
        else:
            finding = _leaf(value, schema.type)
            if finding:
                yield f"{place(path)}[{shown(key)}]", finding


def _list(
    value: object, schema: Field, path: Path, native: bool, everything: bool
) -> Iterator[tuple[str, str]]:
    if schema.type == "string":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            yield place(path), "is not a list of texts"
        return
    if not isinstance(value, list):
        yield place(path), "is not a list"
        return
    for number, item in enumerate(value):
        if item is None and schema.type == "object":
            yield place((*path, number)), "is not an object"
        else:
            yield from _wrong(item, schema, (*path, number), native, everything)


def _leaf(value: object, wanted: str) -> str:
    """What is wrong with a text, a number or a switch; "" when nothing is."""
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < _WIDEST
    match wanted:
        case "string" if not isinstance(value, str):
            quotes = "; put it in quotes" if isinstance(value, int | float) else ""
            return f"is not a text{quotes}"
        case "boolean" if not isinstance(value, bool):
            return "is neither true nor false"
        case "integer" if not whole:
            return "is not a whole number of the usual size"
        case "int-or-string" if not whole and not isinstance(value, str):
            return "is neither a number nor a name"
    return ""
