"""The roles that every cluster has, and the roles that are made of others.

The default roles are those of Kubernetes 1.33, cut down to the resources that the lab serves.
Roles of controllers and nodes are left out: nothing here would hold them.
"""

import asyncio
from collections.abc import Sequence

from acns_chaos.lab.api.access.rbac import GROUP
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import clone
from acns_chaos.lab.api.store import Entry, Store

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")
_AGGREGATE = f"{GROUP}/aggregate-to-"
_HEALTH = ("/healthz", "/livez", "/readyz", "/version", "/version/")
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_HEALTH)
_WORKLOADS = ("daemonsets", "deployments", "replicasets", "statefulsets")
_OTHERS = {
    "autoscaling": ["horizontalpodautoscalers"],
    "batch": ["cronjobs", "jobs"],
    "policy": ["poddisruptionbudgets"],
    "networking.k8s.io": ["ingresses", "networkpolicies"],
}
_SCALES = ("deployments/scale", "replicasets/scale", "statefulsets/scale")


def _rule(groups: str, resources: Sequence[str], verbs: Sequence[str]) -> Json:
    return {"apiGroups": [groups], "resources": list(resources), "verbs": list(verbs)}


def _urls(urls: Sequence[str]) -> Json:
    return {"nonResourceURLs": list(urls), "verbs": ["get"]}


def _view() -> list[Json]:
    statuses = [f"{plural}/status" for plural in _WORKLOADS]
    mine = "configmaps endpoints persistentvolumeclaims pods replicationcontrollers serviceaccounts"
    services = ["services", "services/status"]
    about = "bindings events limitranges namespaces/status pods/log pods/status resourcequotas"
    return [
        _rule("", [*mine.split(), *services], _READ),
        _rule("", about.split(), _READ),
        _rule("", ["namespaces"], _READ),
        _rule("discovery.k8s.io", ["endpointslices"], _READ),
        _rule("apps", ["controllerrevisions", *_WORKLOADS, *statuses, *_SCALES], _READ),
        *(_rule(group, plurals, _READ) for group, plurals in _OTHERS.items()),
    ]


def _edit() -> list[Json]:
    into = ("pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "services/proxy")
    mine = ("configmaps", "events", "secrets", "serviceaccounts")
    return [
        _rule("", [*into[:4], "secrets", into[4]], _READ),
        _rule("", ["serviceaccounts"], ["impersonate"]),
        _rule("", ["pods", *into[:4]], _WRITE),
        _rule("", ["pods/eviction"], ["create"]),
        _rule("", mine, _WRITE),
        _rule("", ["serviceaccounts/token"], ["create"]),
        _rule("", ["services", "services/proxy"], _WRITE),
        _rule("apps", [*_WORKLOADS, *_SCALES], _WRITE),
        *(_rule(group, plurals, _WRITE) for group, plurals in _OTHERS.items()),
        _rule("coordination.k8s.io", ["leases"], [*_WRITE, *_READ]),
    ]


def _admin() -> list[Json]:
    return [
        _rule("authorization.k8s.io", ["localsubjectaccessreviews"], ["create"]),
        _rule(GROUP, ["rolebindings", "roles"], [*_WRITE, *_READ]),
    ]


def _basic() -> list[Json]:
    reviews = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")
    return [
        _rule("authorization.k8s.io", reviews, ["create"]),
        _rule("authentication.k8s.io", ["selfsubjectreviews"], ["create"]),
    ]


def _everything() -> list[Json]:
    return [_rule("*", ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}]


def _role(name: str, rules: list[Json], made_of: str = "", part_of: str = "") -> Json:
    role: Json = {"apiVersion": f"{GROUP}/v1", "kind": "ClusterRole", "metadata": _metadata(name)}
    if part_of:
        role["metadata"]["labels"][_AGGREGATE + part_of] = "true"
    if made_of:
        selector = {"matchLabels": {_AGGREGATE + made_of: "true"}}
        role["aggregationRule"] = {"clusterRoleSelectors": [selector]}
    return {**role, "rules": rules}


def _binding(role: str, *groups: str) -> Json:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(role),
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": name} for name in groups],
    }


def _metadata(name: str) -> Json:
    return {
        "name": name,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
    }


def default_objects() -> list[Json]:
    """The ClusterRoles and ClusterRoleBindings of a new cluster."""
    known, unknown = "system:authenticated", "system:unauthenticated"
    return [
        _role("cluster-admin", _everything()),
        _role("system:aggregate-to-view", _view(), part_of="view"),
        _role("system:aggregate-to-edit", _edit(), part_of="edit"),
        _role("system:aggregate-to-admin", _admin(), part_of="admin"),
        _role("view", [], made_of="view", part_of="edit"),
        _role("edit", [], made_of="edit", part_of="admin"),
        _role("admin", [], made_of="admin"),
        _role("system:basic-user", _basic()),
        _role("system:discovery", [_urls(_DISCOVERY)]),
        _role("system:public-info-viewer", [_urls(_HEALTH)]),
        _binding("cluster-admin", "system:masters"),
        _binding("system:basic-user", known),
        _binding("system:discovery", known),
        _binding("system:public-info-viewer", known, unknown),
    ]


class Aggregation:
    """Keeps the rules of ClusterRoles that are made of others."""

    def __init__(self, store: Store) -> None:
        """Follow a store; its ClusterRoles must be written on a running event loop from here on."""
        self._store = store
        self._due = False
        store.follow(self._on_write)

    def _on_write(self, entry: Entry) -> None:
        if entry.kind == "ClusterRole" and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self.settle)

    def settle(self) -> None:
        """Write every role that differs from what it is made of, until none does."""
        self._due = True  # our own writes need no second look
        roles = self._store.list("ClusterRole")
        changed = True
        while changed:
            changed = False
            for role in roles:
                if not role.get("aggregationRule"):
                    continue
                rules = _united(role, roles)
                if rules != (role.get("rules") or []):
                    role["rules"] = rules
                    self._store.put(role)
                    changed = True
        self._due = False


def _united(role: Json, roles: Sequence[Json]) -> list[Json]:
    """The rules of all other roles that an aggregation rule selects, each once."""
    united: list[Json] = []
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or []:
        for other in roles:
            labels = other["metadata"].get("labels") or {}
            if other["metadata"]["name"] != role["metadata"]["name"] and _selects(selector, labels):
                united += [rule for rule in other.get("rules") or [] if rule not in united]
    return clone(united)


def _selects(selector: Json, labels: Json) -> bool:
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression.get("key", ""), expression.get("values") or []
        present = key in labels
        meets = {
            "In": present and labels.get(key) in values,
            "NotIn": not present or labels[key] not in values,
            "Exists": present,
            "DoesNotExist": not present,
        }
        if not meets.get(expression.get("operator", ""), False):
            return False
    return True
