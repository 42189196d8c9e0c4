"""What a client may ask the server about itself: groups, resources, version, definitions.

All of it follows from the table in ``resources``. The schemas of the kinds are in ``openapi``.
"""

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import now
from acns_chaos.lab.api.kinds.resources import (
    RESOURCES,
    Resource,
    group_versions,
    of_group_version,
)
from acns_chaos.lab.api.reading.columns import printer_columns
from acns_chaos.policy.schema import Field

_CONNECT: Json = {"verbs": ["create", "get"]}


# The order in which a real server lists the groups, which is that of `kubectl get all`; groups
# that are not listed here come last.
_ORDER = (
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "apiextensions.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
)


def core_versions(server: str) -> Json:
    """/api."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_names() -> list[str]:
    """The groups besides the core one, in the order of a real server."""
    names = dict.fromkeys(name for name, _ in group_versions() if name)
    return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


def group_object(name: str) -> Json:
    """/apis/GROUP."""
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name)}


def _group(name: str) -> Json:
    versions = [version for found, version in group_versions() if found == name]
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def groups() -> Json:
    """/apis."""
    listed = [_group(name) for name in group_names()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": listed}


def resources(group_name: str, version: str) -> Json:
    """/api/v1 and /apis/GROUP/VERSION."""
    listed: list[Json] = []
    for resource in of_group_version(group_name, version):
        common = {"singularName": "", "namespaced": resource.namespaced, "kind": resource.kind}
        entry = {
            "name": resource.plural,
            **common,
            "singularName": resource.singular,
            "verbs": sorted(resource.verbs),
        }
        for key, values in (("shortNames", resource.short), ("categories", resource.categories)):
            if values:
                entry[key] = list(values)
        listed.append(entry)
        if resource.status and "update" in resource.verbs:
            verbs = ["get", "patch", "update"]
            listed.append({"name": f"{resource.plural}/status", **common, "verbs": verbs})
        if resource.kind == "Pod":
            listed += [
                {"name": "pods/exec", **common, "kind": "PodExecOptions"} | _CONNECT,
                {"name": "pods/log", **common, "verbs": ["get"]},
                {"name": "pods/portforward", **common, "kind": "PodPortForwardOptions"} | _CONNECT,
            ]
        if resource.kind == "ServiceAccount":
            token = {"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"}
            entry = {**common, **token, "verbs": ["create"]}
            listed.append({"name": "serviceaccounts/token", **entry})
    listed.sort(key=lambda entry: str(entry["name"]))
    name = f"{group_name}/{version}" if group_name else version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": name,
        "resources": listed,
    }


def version(git_version: str) -> Json:
    """/version.

    Args:
        git_version: "v1.33.5+acns-chaos-lab": major and minor are read from it.
    """
    major, minor, *_ = [*git_version.removeprefix("v").split("."), "", ""]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def minor_version(git_version: str) -> int:
    """The 33 of "v1.33.5+acns-chaos-lab"; 0 when it has none."""
    minor = str(version(git_version)["minor"]).rstrip("+")
    return int(minor) if minor.isdecimal() else 0


def aggregated(*, core: bool) -> Json:
    """All groups with all their resources in one document, as newer clients ask for it.

    Args:
        core: of /api; otherwise of /apis.
    """
    names = [""] if core else group_names()
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [_aggregated_group(name) for name in names],
    }


def _aggregated_group(name: str) -> Json:
    versions = [
        {
            "version": version,
            "freshness": "Current",
            "resources": _aggregated_resources(name, version),
        }
        for found, version in group_versions()
        if found == name
    ]
    return {"metadata": {"name": name} if name else {}, "versions": versions}


def _aggregated_resources(group: str, version: str) -> list[Json]:
    """The entries of ``resources``, with the subresources below the resource that they are of."""
    found: dict[str, Json] = {}
    for entry in resources(group, version)["resources"]:
        plural, _, subresource = entry["name"].partition("/")
        # Parts that belong to another group, such as an eviction, say so themselves.
        kind = {
            "group": entry.get("group", group),
            "version": entry.get("version", version),
            "kind": entry["kind"],
        }
        if subresource:
            part = {"subresource": subresource, "responseKind": kind, "verbs": entry["verbs"]}
            found[plural].setdefault("subresources", []).append(part)
            continue
        found[plural] = {
            "resource": plural,
            "responseKind": kind,
            "scope": "Namespaced" if entry["namespaced"] else "Cluster",
            "singularResource": entry["singularName"],
            **{key: entry[key] for key in ("verbs", "shortNames", "categories") if key in entry},
        }
    return list(found.values())


def custom_resource_definitions() -> list[Json]:
    """The definitions of the custom kinds, as objects for the store."""
    return [_definition(resource) for resource in RESOURCES if resource.custom]


def _definition(resource: Resource) -> Json:
    names = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular,
        "shortNames": list(resource.short),
        "categories": list(resource.categories),
    }
    schema = (
        open_api(resource.schema)
        if resource.schema
        else {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    )
    served = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": list(printer_columns(resource.kind)),
        **({"subresources": {"status": {}}} if resource.status else {}),
    }
    conditions = [
        {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": now()}
        for kind, reason in (
            ("NamesAccepted", "NoConflicts"),
            ("Established", "InitialNamesAccepted"),
        )
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": resource.qualified},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [served],
            "conversion": {"strategy": "None"},
        },
        "status": {
            "acceptedNames": names,
            "conditions": conditions,
            "storedVersions": [resource.version],
        },
    }


def open_api(schema: Field) -> Json:
    """A schema in the form of a CustomResourceDefinition."""
    if schema.type == "any":
        # A quantity is written as text or as a number.
        either = [{"type": "string"}, {"type": "number"}]
        return {"oneOf": either} if schema.format == "quantity" else {"type": "object"}
    if schema.type == "int-or-string":
        return {"x-kubernetes-int-or-string": True, "pattern": schema.pattern}
    found: Json = {"type": schema.type}
    if schema.fields:
        found["properties"] = {name: open_api(field) for name, field in schema.fields.items()}
    if schema.values:
        found["additionalProperties"] = open_api(schema.values)
    if schema.items:
        found["items"] = open_api(schema.items)
    limits = {
        "enum": list(schema.enum),
        "pattern": schema.pattern,
        "format": schema.format,
        "maxLength": schema.max_length,
        "minLength": schema.min_length,
        "minimum": schema.minimum,
        "maximum": schema.maximum,
        "minItems": schema.min_items,
        "maxItems": schema.max_items,
        "required": list(schema.required),
        "default": schema.default,
        "oneOf": [{"required": [name]} for name in schema.one_of],
        "anyOf": [{"required": [name]} for name in schema.any_of],
    }
    return {**found, **{key: value for key, value in limits.items() if value not in (None, "", [])}}
