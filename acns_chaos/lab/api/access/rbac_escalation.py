"""Who may write roles and bindings: nobody grants what it does not hold.

Exceptions are members of system:masters and holders of the verbs escalate (of a role) and bind
(of the role that a binding refers to).
"""

from collections.abc import Iterable, Iterator
from itertools import product

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.access.attributes import Attributes, User, refused
from acns_chaos.lab.api.access.rbac import GROUP, SUPERUSERS, Rbac, covers_path
from acns_chaos.lab.api.failures import Json

_EVERYTHING = (
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
)
_PLURALS = {
    "Role": "roles",
    "ClusterRole": "clusterroles",
    "RoleBinding": "rolebindings",
    "ClusterRoleBinding": "clusterrolebindings",
}
_SHOWN = {
    "apiGroups": "APIGroups",
    "resources": "Resources",
    "nonResourceURLs": "NonResourceURLs",
    "resourceNames": "ResourceNames",
    "verbs": "Verbs",
}


def require_no_escalation(rbac: Rbac, user: User, old: Json | None, new: Json) -> None:
    """Hold an object that is about to be stored against what its writer holds.

    Args:
        rbac: the authoriser.
        user: the writer.
        old: the stored object; None on create.
        new: of any kind; only roles and bindings are looked at.

    Raises:
        Failure: 403, it grants what the writer does not hold; 404, a binding's role is not there.
    """
    kind = new["kind"]
    if kind not in _PLURALS or SUPERUSERS in user.groups:
        return
    keys = ("rules", "aggregationRule") if kind.endswith("Role") else ("roleRef", "subjects")
    if old and all(old.get(key) == new.get(key) for key in keys):
        return
    namespace = new["metadata"].get("namespace", "")
    name = new["metadata"].get("name", "")
    wish = Attributes(user, "", "", GROUP, _PLURALS[kind], "", namespace, name)
    if kind.endswith("Role"):
        _require_of_role(rbac, wish, new)
    else:
        _require_of_binding(rbac, wish, new["roleRef"])


def _require_of_role(rbac: Rbac, wish: Attributes, role: Json) -> None:
    if _may(rbac, wish, "escalate", wish.resource, wish.name):
        return
    rules = list(role.get("rules") or [])
    if role.get("aggregationRule"):
        rules += _EVERYTHING
    _confirm(rbac, wish, rules)


def _require_of_binding(rbac: Rbac, wish: Attributes, reference: Json) -> None:
    kind, name = reference.get("kind", ""), reference.get("name", "")
    if kind not in {"Role", "ClusterRole"} or not name:
        return  # validation says so
    plural = _PLURALS[kind]
    if _may(rbac, wish, "bind", plural, name):
        return
    rules = rbac.rules_of(reference, wish.namespace)
    if rules is None:
        raise failures.not_found(plural, GROUP, name)
    _confirm(rbac, wish, rules)


def _may(rbac: Rbac, wish: Attributes, verb: str, plural: str, name: str) -> bool:
    asked = Attributes(wish.user, verb, "", GROUP, plural, "", wish.namespace, name)
    return rbac.decide(asked).allowed


def _confirm(rbac: Rbac, wish: Attributes, rules: Iterable[Json]) -> None:
    held = rbac.held(wish.user, wish.namespace)
    missing = [
        part
        for rule in rules
        for part in _parts(rule)
        if not any(_covers(own, part) for own in held.rules)
    ]
    if not missing:
        return
    listed = "\n".join(sorted({_compact(rule) for rule in _joined(missing)}))
    groups = " ".join(f'"{group}"' for group in wish.user.groups)
    why = (
        f'user "{wish.user.name}" (groups=[{groups}]) is attempting to grant RBAC permissions '
        f"not currently held:\n{listed}"
    )
    if held.errors:
        why += f"; resolution errors: [{', '.join(held.errors)}]"
    raise refused(GROUP, wish.resource, wish.name, why)


def _parts(rule: Json) -> Iterator[Json]:
    """A rule as rules of one group, one resource, one name and one verb each."""
    verbs = rule.get("verbs") or []
    for verb, url in product(verbs, rule.get("nonResourceURLs") or []):
        yield {"nonResourceURLs": [url], "verbs": [verb]}
    names = rule.get("resourceNames") or [None]
    groups, resources = rule.get("apiGroups") or [], rule.get("resources") or []
    for group, resource, name, verb in product(groups, resources, names, verbs):
        part = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        yield part if name is None else {**part, "resourceNames": [name]}


def _covers(own: Json, part: Json) -> bool:
    """Whether a rule that is held includes a part of one that is granted."""

    def has(key: str, *wanted: str) -> bool:
        return any(one in (own.get(key) or ()) for one in ("*", *wanted))

    if not has("verbs", *part["verbs"]):
        return False
    if urls := part.get("nonResourceURLs"):
        return any(covers_path(held, urls[0]) for held in own.get("nonResourceURLs") or ())
    resource = part["resources"][0]
    spellings = [resource]
    if "/" in resource:
        spellings.append("*/" + resource.partition("/")[2])
    names = own.get("resourceNames")
    return (
        has("apiGroups", *part["apiGroups"])
        and has("resources", *spellings)
        and (not names or (part.get("resourceNames") or [None])[0] in names)
    )


def _joined(parts: Iterable[Json]) -> Iterator[Json]:
    """Parts that differ in their verb only, as one rule."""
    found: dict[str, Json] = {}
    for part in parts:
        key = str({name: value for name, value in part.items() if name != "verbs"})
        if key not in found or "nonResourceURLs" in part:
            found[key + (part["verbs"][0] if "nonResourceURLs" in part else "")] = dict(part)
        else:
            found[key]["verbs"] = found[key]["verbs"] + part["verbs"]
    yield from found.values()


def _compact(rule: Json) -> str:
    """A rule as messages show it."""
    shown = []
    for key, title in _SHOWN.items():
        if rule.get(key):
            listed = " ".join(f'"{value}"' for value in rule[key])
            shown.append(f"{title}:[{listed}]")
    return "{" + ", ".join(shown) + "}"
