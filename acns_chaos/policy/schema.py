"""Schemas as data, and what an API server does with them: find unknown fields, prune, check.

Belongs here: the structure of objects, whatever their kind. Does not belong here: the schema of a
kind (`schema_cilium`, `schema_native`), and how a breach is worded: `validity_schema` does it for
people, the lab the way an API server does.
The order of the breaches is that of the server's own validator (kube-openapi): alternatives
first, then limits, then missing fields, then each field. Recursion goes as deep as a schema, never
as deep as a document.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acns_chaos.policy.schema_patterns import has_format, matches

Path = tuple[str | int, ...]
"""Where a value stands: names of members and numbers of items."""

_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


# Compared by identity: generating comparisons of so many attributes costs start-up time.
@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What one place in an object may hold.

    Attributes:
        type: "object", "array", "string", "integer", "boolean", "int-or-string", or "any" (kept
            as it is).
        fields: members of an object; others are unknown.
        values: what each value of a free map is (labels); excludes `fields`.
        items: what each item of an array is.
        enum, pattern, format, max_length, min_length: limits of a string.
        minimum, maximum: limits of an integer.
        min_items, max_items: limits of an array.
        required: members that must be there.
        one_of, any_of: members of which exactly one, or at least one, must be there.
        default: put in when the member is missing; None means no default.
    """

    type: str = "object"
    fields: Mapping[str, "Field"] = field(default_factory=dict)
    values: "Field | None" = None
    items: "Field | None" = None
    enum: Sequence[str] = ()
    pattern: str = ""
    format: str = ""
    max_length: int | None = None
    min_length: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    required: Sequence[str] = ()
    one_of: Sequence[str] = ()
    any_of: Sequence[str] = ()
    default: Any = None


STRING = Field("string")
INTEGER = Field("integer")
BOOLEAN = Field("boolean")
ANY = Field("any")
STRINGS = Field("array", items=STRING)
STRING_MAP = Field(values=STRING)


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that a schema forbids.

    Attributes:
        path: where; of a missing member, where it would stand.
        rule: the name of the limit that is broken: "type", "any_of", "one_of", "required",
            "minimum", "maximum", "min_items", "max_items", "max_length", "min_length", "pattern",
            "format", "enum", or "key" (a map has a key that is no text).
        value: what was found there; for "one_of" the number of alternatives that are there.
        limit: what the schema wants, in the form of the attribute of `Field`.
    """

    path: Path
    rule: str
    value: Any
    limit: Any


def json_type(value: object) -> str:
    """The JSON name of a value's type: "null", "boolean", "integer", ...

    What JSON cannot hold (a date that a YAML reader made) has the name of its Python type.
    """
    if value is None:
        return "null"
    return next((name for kind, name in _TYPES if isinstance(value, kind)), type(value).__name__)


def joined(path: Path) -> str:
    """A path as API servers write it: "spec.ingress[0].fromEntities[0]"."""
    return "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).removeprefix(".")


def _members(value: object, schema: Field) -> Iterator[tuple[str | int, Any, Field]]:
    """The described parts of a value: (name or number, part, its schema)."""
    if isinstance(value, dict):
        for key, member in value.items():
            described = schema.values or schema.fields.get(key)
            if described is not None and isinstance(key, str):
                yield key, member, described
    elif isinstance(value, list) and schema.items is not None:
        for number, item in enumerate(value):
            yield number, item, schema.items


def unknown_fields(value: object, schema: Field, path: Path = ()) -> Iterator[Path]:
    """Where the members stand that the schema does not know, in the order of the document.

    A name that is no text is given as its text.
    """
    if isinstance(value, dict) and schema.type == "object" and schema.values is None:
        for key in value:
            if key not in schema.fields:
                yield (*path, key if isinstance(key, str) else json_type(key))
    for step, part, described in _members(value, schema):
        yield from unknown_fields(part, described, (*path, step))


def prune(value: Any, schema: Field) -> Any:
    """The value without unknown members and without null members, and with defaults put in.

    Items that are null stay (and then fail the check), as on a real server.
    """
    if isinstance(value, list) and schema.items is not None:
        return [prune(item, schema.items) for item in value]
    if not isinstance(value, dict) or schema.type != "object":
        return value
    kept: dict[Any, Any] = {
        step: prune(part, described)
        for step, part, described in _members(value, schema)
        if part is not None
    }
    if schema.values is not None:
        # For the check to find.
        kept |= {key: part for key, part in value.items() if not isinstance(key, str)}
    for name, described in schema.fields.items():
        if described.default is not None and name not in kept:
            kept[name] = described.default
    return kept


def breaches(value: object, schema: Field, path: Path = ()) -> Iterator[Breach]:
    """Everything about a pruned value that the schema forbids.

    Args:
        value: any JSON value.
        schema: its schema.
        path: where the value stands; () for a whole object.

    Yields:
        the breaches in the order in which a real server lists them.
    """
    if schema.type == "any":
        return
    found = json_type(value)
    fits = (
        found in ("integer", "string") if schema.type == "int-or-string" else found == schema.type
    )
    if not fits:
        yield Breach(path, "type", value, schema.type)
        return
    if isinstance(value, dict):
        yield from _object(value, schema, path)
    elif isinstance(value, str):
        yield from _string(value, schema, path)
    elif isinstance(value, list):
        yield from _range(value, len(value), schema.min_items, schema.max_items, path, "items")
    elif isinstance(value, int):
        yield from _range(value, value, schema.minimum, schema.maximum, path, "imum")
    for step, part, described in _members(value, schema):
        yield from breaches(part, described, (*path, step))


def _object(value: Mapping[Any, Any], schema: Field, path: Path) -> Iterator[Breach]:
    if schema.any_of and not any(name in value for name in schema.any_of):
        yield Breach(path, "any_of", value, schema.any_of)
    fitting = sum(name in value for name in schema.one_of)
    if schema.one_of and fitting != 1:
        yield Breach(path, "one_of", fitting, schema.one_of)
    for name in schema.required:
        if name not in value:
            yield Breach((*path, name), "required", None, True)
    if schema.values is not None:
        for key in value:
            if not isinstance(key, str):
                yield Breach(path, "key", key, "string")


def _range(
    value: Any, number: int, low: int | None, high: int | None, path: Path, what: str
) -> Iterator[Breach]:
    lowest, highest = ("minimum", "maximum") if what == "imum" else (f"min_{what}", f"max_{what}")
    if low is not None and number < low:
        yield Breach(path, lowest, value, low)
    if high is not None and number > high:
        yield Breach(path, highest, value, high)


def _string(value: str, schema: Field, path: Path) -> Iterator[Breach]:
    if schema.max_length is not None and len(value) > schema.max_length:
        yield Breach(path, "max_length", value, schema.max_length)
    if schema.min_length is not None and len(value) < schema.min_length:
        yield Breach(path, "min_length", value, schema.min_length)
    if schema.pattern and not matches(schema.pattern, value):
        yield Breach(path, "pattern", value, schema.pattern)
    if schema.format and not has_format(schema.format, value):
        yield Breach(path, "format", value, schema.format)
    if schema.enum and value not in schema.enum:
        yield Breach(path, "enum", value, schema.enum)
