"""Schemas as data, and what an API server does with them: find unknown fields, prune, validate.

The validator follows the order and the wording of the server's own (kube-openapi): alternatives
first, then missing fields, then each field. A schema describes structure only; nothing here
knows a kind.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from acns_chaos.lab.api.failures import Problem

_NAMES: list[tuple[type, str]] = [
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
]


@dataclass(frozen=True, slots=True)
class Field:
    """What one place in an object may hold.

    Attributes:
        type: "object", "array", "string", "integer", "boolean", "int-or-string", or "any" (kept
            as it is).
        fields: members of an object; others are unknown.
        values: what each value of a free map is (labels); excludes ``fields``.
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


def json_type(value: object) -> str:
    """The JSON name of a value's type: "null", "boolean", "integer", ..."""
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "null")


def _members(value: object, schema: Field) -> Iterator[tuple[str, object, Field]]:
    """The described parts of a value: (".name" or "[0]", part, its schema)."""
    if isinstance(value, dict):
        for key, member in value.items():
            described = schema.values or schema.fields.get(key)
            if described is not None:
                yield f".{key}", member, described
    elif isinstance(value, list) and schema.items is not None:
        for number, item in enumerate(value):
            yield f"[{number}]", item, schema.items


def unknown_fields(value: object, schema: Field, path: str = "") -> list[str]:
    """Paths of the members that the schema does not know, in the order of the document."""
    found: list[str] = []
    if isinstance(value, dict) and schema.type == "object" and schema.values is None:
        found = [f"{path}.{key}".lstrip(".") for key in value if key not in schema.fields]
    for step, part, described in _members(value, schema):
        found += unknown_fields(part, described, path + step)
    return found


def prune(value: Any, schema: Field) -> Any:
    """The value without unknown members and without null members, and with defaults put in.

    Items that are null stay (and then fail validation), as on a real server.
    """
    if isinstance(value, list) and schema.items is not None:
        return [prune(item, schema.items) for item in value]
    if not isinstance(value, dict) or schema.type != "object":
        return value
    kept = {
        step[1:]: prune(part, described)
        for step, part, described in _members(value, schema)
        if part is not None
    }
    for name, described in schema.fields.items():
        if described.default is not None and name not in kept:
            kept[name] = described.default
    return kept


def validate(value: object, schema: Field, path: str) -> list[Problem]:
    """Everything about a pruned value that the schema forbids.

    Args:
        value: any JSON value.
        schema: its schema.
        path: where the value stands ("spec"); "" for a whole object.

    Returns:
        the problems in the order in which a real server lists them; [] when there are none.
    """
    if schema.type == "any":
        return []
    if schema.type == "int-or-string":
        fits = json_type(value) in {"integer", "string"}
    else:
        fits = json_type(value) == schema.type
    if not fits:
        kind = json_type(value)
        return [
            _invalid(path, f'"{kind}"', f'{path} in body must be of type {schema.type}: "{kind}"')
        ]
    problems = [*_alternatives(value, schema, path), *_limits(value, schema, path)]
    if isinstance(value, dict):
        problems += [
            Problem(_join(path, name), "Required value")
            for name in schema.required
            if name not in value
        ]
    for step, part, described in _members(value, schema):
        problems += validate(part, described, (path + step).lstrip("."))
    return problems


def _join(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")


def _invalid(path: str, shown: str, why: str) -> Problem:
    return Problem(path, "Invalid value", f"{shown}: {why}")


def _alternatives(value: object, schema: Field, path: str) -> Iterator[Problem]:
    """The findings of oneOf and anyOf, each followed by why its first alternative failed."""
    if not isinstance(value, dict):
        return
    if schema.any_of and not any(name in value for name in schema.any_of):
        yield _invalid("<nil>", '""', f'"{path}" must validate at least one schema (anyOf)')
        yield Problem(_join(path, schema.any_of[0]), "Required value")
    fitting = sum(name in value for name in schema.one_of)
    if schema.one_of and fitting != 1:
        found = f"Found {fitting} valid alternatives" if fitting else "Found none valid"
        yield _invalid(
            "<nil>", '""', f'"{path}" must validate one and only one schema (oneOf). {found}'
        )
        if not fitting:
            yield Problem(_join(path, schema.one_of[0]), "Required value")


def _limits(value: object, schema: Field, path: str) -> Iterator[Problem]:
    """The findings about one string, integer or array by itself."""
    if isinstance(value, str):
        yield from _string_limits(value, schema, path)
    elif isinstance(value, int):
        if schema.minimum is not None and value < schema.minimum:
            why = f"{path} in body should be greater than or equal to {schema.minimum}"
            yield _invalid(path, str(value), why)
        if schema.maximum is not None and value > schema.maximum:
            why = f"{path} in body should be less than or equal to {schema.maximum}"
            yield _invalid(path, str(value), why)
    elif isinstance(value, list):
        if schema.min_items is not None and len(value) < schema.min_items:
            why = f"{path} in body should have at least {schema.min_items} items"
            yield _invalid(path, str(len(value)), why)
        if schema.max_items is not None and len(value) > schema.max_items:
            detail = f"{len(value)}: must have at most {schema.max_items} items"
            yield Problem(path, "Too many", detail)


def _string_limits(value: str, schema: Field, path: str) -> Iterator[Problem]:
    shown = quoted(value)
    if schema.max_length is not None and len(value) > schema.max_length:
        yield Problem(path, "Too long", f"may not be more than {schema.max_length} bytes")
    if schema.min_length is not None and len(value) < schema.min_length:
        why = f"{path} in body should be at least {schema.min_length} chars long"
        yield _invalid(path, shown, why)
    if schema.pattern and not _compiled(schema.pattern).search(value):
        yield _invalid(path, shown, f"{path} in body should match '{schema.pattern}'")
    if schema.format and not _FORMATS[schema.format](value):
        why = f"{path} in body must be of type {schema.format}: {shown}"
        yield _invalid(path, shown, why)
    if schema.enum and value not in schema.enum:
        supported = ", ".join(map(quoted, schema.enum))
        yield Problem(path, "Unsupported value", f"{shown}: supported values: {supported}")


def quoted(text: str) -> str:
    """Text in double quotes, as messages of the server show it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


_PATTERNS: dict[str, re.Pattern[str]] = {}


def _compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of the schema's dialect (RE2) for Python's ``search``."""
    if pattern not in _PATTERNS:
        # RE2 knows \PC (not a control or unassigned character) and its $ is the very end.
        ours = pattern.replace(r"\PC", r"[^\x00-\x1f\x7f-\x9f]")
        ours = re.sub(r"(?<!\\)\$(?=$|\))", r"\\Z", ours)
        _PATTERNS[pattern] = re.compile(ours)
    return _PATTERNS[pattern]


def _is_cidr(value: str) -> bool:
    """As Go's ParseCIDR: a prefix is needed, host bits are fine, leading zeros are not."""
    address, slash, length = value.partition("/")
    if not slash or not re.fullmatch(r"0|[1-9][0-9]{0,2}", length):
        return False
    try:
        ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return False
    return True


def _is_time(value: str) -> bool:
    if not re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value, re.ASCII
    ):
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", value))
    except ValueError:
        return False
    return True


_FORMATS: Mapping[str, Callable[[str], bool]] = {"cidr": _is_cidr, "date-time": _is_time}
