"""The check of an applied configuration against the fields of its kind, in a real server's words.

A real server answers a field that the kind does not declare, or a value of the wrong type, with
500 and the sentence below. Not here: what the schema forbids beyond types (`schema`).
"""

import json
from collections.abc import Iterator
from typing import Any

from acns_chaos.lab.api.applying.fields import Path, children, shown
from acns_chaos.lab.api.applying.fields_shape import GUESSED, Shape, shape_of
from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.policy.schema import Field, json_type
from acns_chaos.policy.schema_native import METADATA


def require_typed(resource: Resource, config: Json) -> None:
    """Refuse a configuration with undeclared fields or values of the wrong type.

    Args:
        resource: the kind; one without a schema is not checked beyond its metadata.
        config: the configuration.

    Raises:
        Failure: 500, with everything that does not fit.
    """
    metadata = config.get("metadata")
    problems = list(_check(metadata, METADATA, ("f:metadata",)))
    if resource.schema is not None:
        rest = {key: value for key, value in config.items() if key != "metadata"}
        problems += _check(rest, resource.schema, ())
    if not problems:
        problems += _twice(config, shape_of(resource), ())
    if problems:
        name = metadata.get("name", "") if isinstance(metadata, dict) else ""
        namespace = metadata.get("namespace", "") if isinstance(metadata, dict) else ""
        which = f"{namespace}/{name}; {resource.group}/{resource.version}, Kind={resource.kind}"
        listed = problems[0] if len(problems) == 1 else "\n  ".join(["errors:", *problems])
        message = f"failed to create typed patch object ({which}): {listed}"
        raise Failure(500, "", message)


def _check(value: Any, schema: Field, path: Path) -> Iterator[str]:
    found = json_type(value)
    if found == "null" or schema.type == "any":
        return
    numeric = found in {"integer", "number"}
    if schema.type == "object" and found != "object":
        yield f"{shown(path)}: expected map, got &{{{_go(value)}}}"
    elif schema.type == "array" and found != "array":
        yield f"{shown(path)}: expected list, got &{{{_go(value)}}}"
    elif schema.type == "string" and found != "string":
        yield f"{shown(path)}: expected string, got &value.valueUnstructured{{Value:{_go(value)}}}"
    elif schema.type == "integer" and not numeric:
        yield f"{shown(path)}: expected numeric (int or float), got {_GO.get(found, found)}"
    elif schema.type == "boolean" and found != "boolean":
        yield f"{shown(path)}: expected boolean, got {_GO.get(found, found)}"
    elif found == "object":
        for key, part in value.items():
            place = (*path, f"f:{key}")
            described = schema.values or schema.fields.get(key)
            if described is None:
                yield f"{shown(place)}: field not declared in schema"
            else:
                yield from _check(part, described, place)
    elif found == "array" and schema.items is not None:
        for number, item in enumerate(value):
            yield from _check(item, schema.items, (*path, f"i:{number}"))


_GO = {
    "integer": "int64",
    "number": "float64",
    "boolean": "bool",
    "array": "[]interface {}",
    "object": "map[string]interface {}",
}


def _go(value: Any) -> str:
    """A value roughly as Go prints it."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{_go(part)}" for key, part in value.items()) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(_go, value)) + "]"
    return json.dumps(value)


def _twice(value: Any, shape: Shape, path: Path) -> Iterator[str]:
    """Items of keyed lists and sets that are there twice, or that have no key."""
    seen: set[str] = set()
    how = shape.how
    for step, part, inner in children(value, shape, how if how != "guessed" else "map"):
        if how == "keyed":
            missing = [key for key in shape.keys if not isinstance(part, dict) or key not in part]
            if missing:
                yield (
                    f"{shown(path)}: element 0: associative list with keys has an element that "
                    f'omits key field "{missing[0]}" (and doesn\'t have default value)'
                )
                continue
        if how in {"keyed", "set"} and step in seen:
            yield f"{shown(path)}: duplicate entries for key {shown((step,))}"
        seen.add(step)
        if inner is not GUESSED:
            yield from _twice(part, inner, (*path, step))
