"""As much of JSON Schema as our own schemas use, so that no package is needed to test them."""

from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
KNOWN = {"$schema", "$defs", "$ref", "title", "description", "type", "const", "enum", "anyOf"}
KNOWN |= {"properties", "required", "additionalProperties", "propertyNames", "items", "minimum"}


def faults_of(given: Any, schema: dict[str, Any], root: dict[str, Any], at: str = "") -> list[str]:
    """Say where a value is not as a schema says.

    Args:
        given: the value.
        schema: what it is to be; a keyword that is not known here is an error of the test's.
        root: of the whole schema, for `$ref`.
        at: where the value stands.
    """
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return faults_of(given, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, at)
    found = []
    if "anyOf" in schema and all(faults_of(given, one, root, at) for one in schema["anyOf"]):
        found.append(f"{at} is none of what it may be")
    if "type" in schema and not _is(given, schema["type"]):
        return [f"{at} is {given!r}, no {schema['type']}"]
    if "const" in schema and given != schema["const"]:
        found.append(f"{at} is {given!r}, not {schema['const']!r}")
    if "enum" in schema and given not in schema["enum"]:
        found.append(f"{at} is {given!r}, none of {schema['enum']}")
    if "minimum" in schema and given < schema["minimum"]:
        found.append(f"{at} is {given!r}, less than {schema['minimum']}")
    if isinstance(given, dict):
        found += _object(given, schema, root, at)
    if isinstance(given, list) and "items" in schema:
        for index, one in enumerate(given):
            found += faults_of(one, schema["items"], root, f"{at}[{index}]")
    return found


def _object(given: dict, schema: dict[str, Any], root: dict[str, Any], at: str) -> list[str]:
    found = [f"{at} lacks {key}" for key in schema.get("required", ()) if key not in given]
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, value in given.items():
        found += faults_of(key, schema.get("propertyNames", {}), root, f"{at}'s key {key}")
        if key in known:
            found += faults_of(value, known[key], root, f"{at}.{key}".lstrip("."))
        elif others is False:
            found.append(f"{at} has {key}")
        elif isinstance(others, dict):
            found += faults_of(value, others, root, f"{at}.{key}".lstrip("."))
    return found


def _is(given: Any, types: str | list[str]) -> bool:
    named = [types] if isinstance(types, str) else types
    # A bool is an int to Python only.
    if isinstance(given, bool):
        return "boolean" in named
    return any(isinstance(given, TYPES[name]) for name in named)
