"""Roles and bindings as kinds: their schemas, what the server fills in, what it refuses.

Not here: what rules mean (``rbac``), and who may write them (``rbac_escalation``).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from acns_chaos.lab.api.failures import Json, Problem
from acns_chaos.policy.schema import STRING, STRING_MAP, STRINGS, Field
from acns_chaos.policy.schema_native import kind_schema

_GROUP = "rbac.authorization.k8s.io"
_RULES = Field(
    "array",
    items=Field(
        fields={
            "apiGroups": STRINGS,
            "nonResourceURLs": STRINGS,
            "resourceNames": STRINGS,
            "resources": STRINGS,
            "verbs": STRINGS,
        }
    ),
)
_SELECTOR = Field(
    fields={
        "matchExpressions": Field(
            "array", items=Field(fields={"key": STRING, "operator": STRING, "values": STRINGS})
        ),
        "matchLabels": STRING_MAP,
    }
)
ROLE = kind_schema(rules=_RULES)
CLUSTER_ROLE = kind_schema(
    aggregationRule=Field(fields={"clusterRoleSelectors": Field("array", items=_SELECTOR)}),
    rules=_RULES,
)
BINDING = kind_schema(
    roleRef=Field(fields={"apiGroup": STRING, "kind": STRING, "name": STRING}),
    subjects=Field(
        "array",
        items=Field(
            fields={"apiGroup": STRING, "kind": STRING, "name": STRING, "namespace": STRING}
        ),
    ),
)


def _fill_binding(obj: Json) -> None:
    reference = obj.setdefault("roleRef", {})
    reference["apiGroup"] = reference.get("apiGroup") or _GROUP
    for subject in obj.get("subjects", []):
        if subject.get("kind") in {"User", "Group"}:
            subject["apiGroup"] = subject.get("apiGroup") or _GROUP


FILL: Mapping[str, Callable[[Json], None]] = {
    "RoleBinding": _fill_binding,
    "ClusterRoleBinding": _fill_binding,
}
"""What a server puts into an object of a kind before it validates it."""


def _check_role(obj: Json) -> list[Problem]:
    return [
        problem
        for number, rule in enumerate(obj.get("rules", []))
        for problem in _check_rule(rule, f"rules[{number}]", namespaced=obj["kind"] == "Role")
    ]


def _check_rule(rule: Json, path: str, *, namespaced: bool) -> Iterator[Problem]:
    if not rule.get("verbs"):
        yield Problem(f"{path}.verbs", "Required value", "verbs must contain at least one value")
    if urls := rule.get("nonResourceURLs"):
        place, shown = f"{path}.nonResourceURLs", json.dumps(urls)
        if namespaced:
            why = "namespaced rules cannot apply to non-resource URLs"
            yield Problem(place, "Invalid value", f"{shown}: {why}")
        if any(rule.get(key) for key in ("apiGroups", "resources", "resourceNames")):
            why = "rules cannot apply to both regular resources and non-resource URLs"
            yield Problem(place, "Invalid value", f"{shown}: {why}")
        return
    if not rule.get("apiGroups"):
        why = "resource rules must supply at least one api group"
        yield Problem(f"{path}.apiGroups", "Required value", why)
    if not rule.get("resources"):
        why = "resource rules must supply at least one resource"
        yield Problem(f"{path}.resources", "Required value", why)


def _unsupported(path: str, value: str, *supported: str) -> Problem:
    listed = ", ".join(json.dumps(one) for one in supported)
    detail = f"{json.dumps(value)}: supported values: {listed}"
    return Problem(path, "Unsupported value", detail)


def _check_binding(obj: Json) -> list[Problem]:
    reference = obj.get("roleRef") or {}
    problems = []
    namespaced = obj["kind"] == "RoleBinding"
    if (group := reference.get("apiGroup", "")) != _GROUP:
        problems.append(_unsupported("roleRef.apiGroup", group, _GROUP))
    kinds = ("Role", "ClusterRole") if namespaced else ("ClusterRole",)
    if reference.get("kind", "") not in kinds:
        problems.append(_unsupported("roleRef.kind", reference.get("kind", ""), *kinds))
    if not reference.get("name"):
        problems.append(Problem("roleRef.name", "Required value"))
    else:
        problems += check_name("roleRef.name", reference["name"])
    for number, subject in enumerate(obj.get("subjects", [])):
        problems += _check_subject(subject, f"subjects[{number}]", namespaced=namespaced)
    return problems


def _check_subject(subject: Json, path: str, *, namespaced: bool) -> Iterator[Problem]:
    group = subject.get("apiGroup", "")
    if not subject.get("name"):
        yield Problem(f"{path}.name", "Required value")
    match subject.get("kind", ""):
        case "ServiceAccount":
            if group:
                yield _unsupported(f"{path}.apiGroup", group, "")
            if not namespaced and not subject.get("namespace"):
                yield Problem(f"{path}.namespace", "Required value")
        case "User" | "Group":
            if group != _GROUP:
                yield _unsupported(f"{path}.apiGroup", group, _GROUP)
        case kind:
            yield _unsupported(f"{path}.kind", kind, "ServiceAccount", "User", "Group")


CHECK: Mapping[str, Callable[[Json], list[Problem]]] = {
    "Role": _check_role,
    "ClusterRole": _check_role,
    "RoleBinding": _check_binding,
    "ClusterRoleBinding": _check_binding,
}
"""Rules of a kind beyond its schema."""


def check_name(path: str, name: str) -> list[Problem]:
    """What is wrong with the name of a role or a binding, which is any segment of a path.

    Args:
        path: the field that holds it.
        name: not empty.
    """
    why = ""
    if name in {".", ".."}:
        why = f"may not be '{name}'"
    else:
        found = next((character for character in "/%" if character in name), "")
        why = f"may not contain '{found}'" if found else ""
    return [Problem(path, "Invalid value", f"{json.dumps(name)}: {why}")] if why else []


def check_change(old: Json, new: Json) -> list[Problem]:
    """What an update of a binding may not change: the role it refers to."""
    before: Any = old.get("roleRef")
    if before == new.get("roleRef"):
        return []
    shown = json.dumps(new.get("roleRef"), separators=(",", ":"))
    return [Problem("roleRef", "Invalid value", f"{shown}: cannot change roleRef")]
