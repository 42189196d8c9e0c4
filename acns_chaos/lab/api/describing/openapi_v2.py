"""OpenAPI version 2: one document for everything, as JSON and as the protobuf of old clients.

kubectl before 1.24 reads nothing but the protobuf form, for validation, `explain` and to see
whether the server knows dry runs. Its field numbers are those of the public gnostic definition
(OpenAPIv2.proto); only the messages that this document needs are defined here.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from acns_chaos.lab.api.describing.openapi import definitions_of, paths_of
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.resources import RESOURCES

# Message to field: number and type; a type in brackets is repeated.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Document": {
        "swagger": (1, "string"),
        "info": (2, "Info"),
        "paths": (8, "Paths"),
        "definitions": (9, "Definitions"),
    },
    "Info": {"title": (1, "string"), "version": (2, "string")},
    "Paths": {"path": (2, "[NamedPathItem]")},
    "NamedPathItem": {"name": (1, "string"), "value": (2, "PathItem")},
    "PathItem": {
        "get": (2, "Operation"),
        "put": (3, "Operation"),
        "post": (4, "Operation"),
        "delete": (5, "Operation"),
        "patch": (8, "Operation"),
    },
    "Operation": {
        "parameters": (8, "[ParametersItem]"),
        "responses": (9, "Responses"),
        "vendor_extension": (13, "[NamedAny]"),
    },
    "ParametersItem": {"parameter": (1, "Parameter")},
    "Parameter": {"non_body_parameter": (2, "NonBodyParameter")},
    "NonBodyParameter": {"query_parameter_sub_schema": (3, "QueryParameterSubSchema")},
    "QueryParameterSubSchema": {
        "in": (2, "string"),
        "name": (4, "string"),
        "type": (6, "string"),
    },
    "Responses": {"response_code": (1, "[NamedResponseValue]")},
    "NamedResponseValue": {"name": (1, "string"), "value": (2, "ResponseValue")},
    "ResponseValue": {"response": (1, "Response")},
    "Response": {"description": (1, "string")},
    "Definitions": {"additional_properties": (1, "[NamedSchema]")},
    "NamedSchema": {"name": (1, "string"), "value": (2, "Schema")},
    "Schema": {
        "_ref": (1, "string"),
        "format": (2, "string"),
        "description": (4, "string"),
        "maximum": (7, "double"),
        "minimum": (9, "double"),
        "max_length": (11, "int64"),
        "min_length": (12, "int64"),
        "pattern": (13, "string"),
        "max_items": (14, "int64"),
        "min_items": (15, "int64"),
        "required": (19, "[string]"),
        "enum": (20, "[Any]"),
        "additional_properties": (21, "AdditionalPropertiesItem"),
        "type": (22, "TypeItem"),
        "items": (23, "ItemsItem"),
        "properties": (25, "Properties"),
        "vendor_extension": (31, "[NamedAny]"),
    },
    "AdditionalPropertiesItem": {"schema": (1, "Schema")},
    "TypeItem": {"value": (1, "[string]")},
    "ItemsItem": {"schema": (1, "[Schema]")},
    "Properties": {"additional_properties": (1, "[NamedSchema]")},
    "NamedAny": {"name": (1, "string"), "value": (2, "Any")},
    "Any": {"yaml": (2, "string")},
}
_PLAIN = {
    "$ref": "_ref",
    "format": "format",
    "description": "description",
    "maximum": "maximum",
    "minimum": "minimum",
    "maxLength": "max_length",
    "minLength": "min_length",
    "pattern": "pattern",
    "maxItems": "max_items",
    "minItems": "min_items",
    "required": "required",
}


@cache
def document(git_version: str) -> bytes:
    """/openapi/v2 as JSON.

    Args:
        git_version: what the document says that it describes.
    """
    return json.dumps(_document(git_version)).encode()


@cache
def protobuf(git_version: str) -> bytes:
    """/openapi/v2 as a serialised ``openapi.v2.Document``.

    Args:
        git_version: what the document says that it describes.
    """
    found = _document(git_version)
    message = {
        "swagger": found["swagger"],
        "info": found["info"],
        "paths": {
            "path": [
                {"name": path, "value": {verb: _operation(one) for verb, one in item.items()}}
                for path, item in found["paths"].items()
            ]
        },
        "definitions": {"additional_properties": _named(found["definitions"])},
    }
    document_class = _document_class()
    return bytes(document_class(**message).SerializeToString())


def _document(git_version: str) -> Json:
    paths: Json = {}
    definitions: Json = {}
    for resource in RESOURCES:
        paths |= paths_of(resource, _parameter)
        definitions |= definitions_of(resource, "#/definitions/")
    return {
        "swagger": "2.0",
        "info": {"title": "acns-chaos lab", "version": git_version},
        "paths": paths,
        "definitions": {name: _without_alternatives(one) for name, one in definitions.items()},
    }


def _parameter(name: str) -> Json:
    return {"name": name, "in": "query", "type": "string"}


def _without_alternatives(schema: Json) -> Json:
    """The schema as version 2 can say it: a real server drops the alternatives as well."""
    found = {key: value for key, value in schema.items() if key not in {"oneOf", "anyOf"}}
    if "properties" in found:
        found["properties"] = {
            name: _without_alternatives(one) for name, one in found["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _without_alternatives(found[key])
    return found


def _named(schemas: Json) -> list[Json]:
    return [{"name": name, "value": _schema(one)} for name, one in schemas.items()]


def _schema(schema: Json) -> Json:
    """The members of a ``Schema`` message."""
    found: Json = {_PLAIN[key]: value for key, value in schema.items() if key in _PLAIN}
    if "type" in schema:
        found["type"] = {"value": [schema["type"]]}
    if "enum" in schema:
        found["enum"] = [{"yaml": json.dumps(one)} for one in schema["enum"]]
    if "items" in schema:
        found["items"] = {"schema": [_schema(schema["items"])]}
    if "additionalProperties" in schema:
        found["additional_properties"] = {"schema": _schema(schema["additionalProperties"])}
    if "properties" in schema:
        found["properties"] = {"additional_properties": _named(schema["properties"])}
    return {**found, **_extensions(schema)}


def _operation(operation: Json) -> Json:
    parameters = [
        {"parameter": {"non_body_parameter": {"query_parameter_sub_schema": one}}}
        for one in operation["parameters"]
    ]
    codes = [
        {"name": code, "value": {"response": one}} for code, one in operation["responses"].items()
    ]
    found = {"parameters": parameters, "responses": {"response_code": codes}}
    return {**found, **_extensions(operation)}


def _extensions(found: Json) -> Json:
    """The members beginning with x-, whose values travel as YAML text, of which JSON is a part."""
    listed = [
        {"name": key, "value": {"yaml": json.dumps(value)}}
        for key, value in found.items()
        if key.startswith("x-")
    ]
    return {"vendor_extension": listed} if listed else {}


def _document_class() -> Any:
    """The message class of a whole document, made from ``_MESSAGES``."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="acns-chaos-openapi-v2.proto", package="openapi.v2", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, label in _fields(fields):
            entry = message.field.add(name=field, number=number)
            entry.label = getattr(entry, label)
            if kind in _MESSAGES:
                entry.type, entry.type_name = entry.TYPE_MESSAGE, f".openapi.v2.{kind}"
            else:
                entry.type = getattr(entry, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("openapi.v2.Document"))


def _fields(fields: dict[str, tuple[int, str]]) -> Iterator[tuple[str, int, str, str]]:
    """Name, number, type and label of each field of a message."""
    for field, (number, kind) in fields.items():
        label = "LABEL_REPEATED" if kind.startswith("[") else "LABEL_OPTIONAL"
        yield field, number, kind.strip("[]"), label
