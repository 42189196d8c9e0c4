"""OpenAPI version 3: one document for each group and version, and the schemas in it.

Everything follows from ``resources`` and its schemas. A kind whose spec only the world writes has
no schema there, so its spec and status are described as open objects. What the fields mean is in
``openapi_text``. The older form of the same is in ``openapi_v2``.
"""

import json
from collections.abc import Callable
from functools import cache

from acns_chaos.lab.api.describing.discovery import open_api
from acns_chaos.lab.api.describing.openapi_text import describe
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds import pod_template
from acns_chaos.lab.api.kinds.resources import Resource, group_versions, of_group_version
from acns_chaos.policy.schema_native import METADATA

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_OPEN: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_PARAMETERS = {
    "create": ("dryRun", "fieldManager", "fieldValidation"),
    "update": ("dryRun", "fieldManager", "fieldValidation"),
    "patch": ("dryRun", "fieldManager", "fieldValidation", "force"),
    "delete": ("dryRun", "gracePeriodSeconds", "propagationPolicy"),
    "list": ("fieldSelector", "labelSelector", "limit", "continue", "resourceVersion", "watch"),
    "get": (),
}
_METHODS = {"create": "post", "update": "put", "patch": "patch", "delete": "delete"}


def index() -> Json:
    """/openapi/v3: where the document of each group and version is."""
    names = [
        f"apis/{group}/{version}" if group else "api/v1" for group, version in group_versions()
    ]
    return {"paths": {name: {"serverRelativeURL": f"/openapi/v3/{name}"} for name in names}}


@cache
def document(group: str, version: str) -> bytes:
    """/openapi/v3/…: the paths and schemas of a group and version, as JSON."""
    paths: Json = {}
    schemas: Json = {}
    for resource in of_group_version(group, version):
        paths |= paths_of(resource, _parameter)
        schemas |= definitions_of(resource, "#/components/schemas/")
    info = {"title": "acns-chaos lab", "version": version}
    found = {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
    return json.dumps(found).encode()


def _parameter(name: str) -> Json:
    return {"name": name, "in": "query", "schema": {"type": "string"}}


def paths_of(resource: Resource, parameter: Callable[[str], Json]) -> Json:
    """The paths of a kind with the verbs that the lab serves.

    Args:
        resource: the kind.
        parameter: makes the description of a query parameter from its name.
    """
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else "/api/v1"
    where = "/namespaces/{namespace}" if resource.namespaced else ""
    collection: Json = {}
    one: Json = {}
    for verb, names in _PARAMETERS.items():
        if verb not in resource.verbs:
            continue
        operation = {
            "parameters": [parameter(name) for name in names],
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": _METHODS.get(verb, verb),
            "x-kubernetes-group-version-kind": _kind_of(resource),
        }
        place = collection if verb in {"create", "list"} else one
        place[_METHODS.get(verb, "get")] = operation
    path = f"{root}{where}/{resource.plural}"
    return {place: found for place, found in ((path, collection), (path + "/{name}", one)) if found}


def _kind_of(resource: Resource) -> Json:
    return {"group": resource.group, "kind": resource.kind, "version": resource.version}


def definitions_of(resource: Resource, prefix: str) -> Json:
    """The schemas of a kind and of the metadata that it refers to, by name.

    Args:
        resource: the kind.
        prefix: where the document keeps its schemas ("#/components/schemas/").
    """
    if resource.schema is None:
        members = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
        found: Json = {"type": "object", "properties": members}
        found["properties"] |= {"spec": dict(_OPEN), "status": dict(_OPEN)}
    else:
        found = open_api(resource.schema)
        _tell_keys(found, "")
    found["properties"]["metadata"] = {"$ref": prefix + META}
    found["x-kubernetes-group-version-kind"] = [_kind_of(resource)]
    describe(resource.kind, found)
    metadata = open_api(METADATA)
    describe("ObjectMeta", metadata)
    return {definition_name(resource): found, META: metadata}


def _tell_keys(schema: Json, path: str) -> None:
    """Say of the lists in a pod's template by what they merge: clients make patches from it.

    Args:
        schema: of a part of an object; it is changed.
        path: where in the object the part is; lists add nothing to it.
    """
    for name, member in schema.get("properties", {}).items():
        place = f"{path}.{name}"
        items = member.get("items", {})
        keys = pod_template.LISTS_BY_KEY.get(name) if pod_template.inside(place) else None
        if keys and items.get("type") == "object":
            member["x-kubernetes-list-map-keys"] = list(keys)
            member["x-kubernetes-list-type"] = "map"
            member["x-kubernetes-patch-merge-key"] = keys[0]
            # A volume's source is one of many: the ones that a patch does not name go.
            keep = "merge,retainKeys" if name == "volumes" else "merge"
            member["x-kubernetes-patch-strategy"] = keep
        _tell_keys(member, place)
        _tell_keys(items, place)


def definition_name(resource: Resource) -> str:
    """The name of a kind's schema: "io.cilium.v2.CiliumNetworkPolicy", "io.k8s.api.core.v1.Pod"."""
    group = resource.group
    if group == "apiextensions.k8s.io":
        package = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions"
    elif resource.custom:
        package = ".".join(reversed(group.split(".")))
    else:
        package = f"io.k8s.api.{group.partition('.')[0] or 'core'}"
    return f"{package}.{resource.version}.{resource.kind}"
