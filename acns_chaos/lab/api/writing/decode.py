"""From the value of a body to an object of a kind: compare with the path, find unknowns.

What a server refuses before it looks at the rules of the kind is here; the rules themselves are
in ``writes``.
"""

import json
from collections.abc import Sequence
from typing import Any

from acns_chaos.lab.api.failures import Failure, Json, bad_request
from acns_chaos.lab.api.kinds.builtin import not_base64
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.policy.schema import Field, joined, json_type, unknown_fields
from acns_chaos.policy.schema_native import METADATA

_GO_TYPES = {"string": "string", "integer": "int32", "boolean": "bool", "array": "[]string"}


def decode(
    resource: Resource, value: Any, validation: str, complaints: Sequence[str] = ()
) -> tuple[Json, list[str]]:
    """An object of the resource's kind, and what to warn about.

    Args:
        resource: the kind that the path names.
        value: the parsed body.
        validation: "Strict", "Warn" or "Ignore".
        complaints: what strict decoding has found in the text of the body.

    Returns:
        the object with kind, apiVersion and metadata present and unknown fields still in it; the
        warnings, one for each unknown field.

    Raises:
        Failure: 400, the object is of another version or kind, has a member of the wrong type, or
            has an unknown field under Strict.
    """
    if not isinstance(value, dict):
        raise bad_request(f"json: cannot unmarshal {json_type(value)} into an object")
    obj = dict(value)
    for key in ("apiVersion", "kind"):
        if obj.get(key) is not None and not isinstance(obj[key], str):
            raise bad_request(
                "couldn't get version/kind; json parse error: json: cannot unmarshal "
                f"{_shown_type(obj[key])} into Go struct field .{key} of type string"
            )
        if obj.get(key) is None:
            obj.pop(key, None)
    if resource.custom and not obj.get("kind"):
        raise bad_request(f"Object 'Kind' is missing in '{json.dumps(value)}'")
    obj.setdefault("kind", resource.kind)
    obj.setdefault("apiVersion", resource.api_version)
    obj["metadata"] = obj.get("metadata") or {}
    if obj["apiVersion"] != resource.api_version:
        raise bad_request(
            f"the API version in the data ({obj['apiVersion']}) does not match the expected API "
            f"version ({resource.api_version})"
        )
    if not resource.custom and obj["kind"] != resource.kind:
        raise _cannot_handle(resource, f"no conversion from {obj['kind']}", obj["kind"])
    if why := _wrong_type(obj["metadata"], METADATA, "metadata", "ObjectMeta"):
        raise _cannot_handle(resource, why)
    unknown = list(unknown_fields(obj["metadata"], METADATA, ("metadata",)))
    if resource.schema is not None:
        unknown = [*unknown_fields({**obj, "metadata": {}}, resource.schema), *unknown]
        if not resource.custom and (why := _wrong_built_in(resource, obj)):
            raise _cannot_handle(resource, why)
    warnings = [
        *complaints,
        *(f"unknown field {quoted(joined(path))}" for path in unknown),
    ]
    if warnings and validation == "Strict":
        raise _cannot_handle(resource, "strict decoding error: " + ", ".join(warnings))
    return obj, warnings if validation == "Warn" else []


def _cannot_handle(resource: Resource, why: str, kind: str = "") -> Failure:
    return bad_request(
        f'{kind or resource.kind} in version "{resource.version}" cannot be handled as a '
        f"{resource.kind}: {why}"
    )


def _wrong_built_in(resource: Resource, obj: Json) -> str:
    """Why a built-in kind's decoder gives up, "" when it does not."""
    assert resource.schema is not None
    for name, schema in resource.schema.fields.items():
        if name in obj and name != "metadata":
            nested = bool(schema.fields)
            struct = resource.kind + (name.capitalize() if nested else "")
            if why := _wrong_type(obj[name], schema, name, struct):
                return why
    return not_base64(obj)


def _shown_type(value: Any) -> str:
    """The type of a value as Go names it."""
    found = json_type(value)
    return {"integer": "number", "boolean": "bool"}.get(found, found)


def _wrong_type(value: Any, schema: Field, path: str, struct: str) -> str:
    """What Go's decoder says about the first value of the wrong type, "" when there is none."""
    found = json_type(value)
    if found == "null" or schema.type == "any":
        return ""
    wanted = {"int-or-string": (("integer", "string"))}.get(schema.type, (schema.type,))
    if found not in wanted:
        shown = _shown_type(value)
        into = _GO_TYPES.get(schema.type, "map[string]string" if schema.values else struct)
        return f"json: cannot unmarshal {shown} into Go struct field {struct}.{path} of type {into}"
    if isinstance(value, dict):
        for key, member in value.items():
            described = schema.values or schema.fields.get(key)
            place = path if schema.values else f"{path}.{key}"
            if described and (why := _wrong_type(member, described, place, struct)):
                return why
    if isinstance(value, list) and schema.items:
        for item in value:
            if why := _wrong_type(item, schema.items, path, struct):
                return why
    return ""
