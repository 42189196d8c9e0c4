"""Strategic merge patches: lists with merge keys, and the directives in a patch.

Pure. The table says which lists of the served kinds merge, and by what; every other list is
replaced. Not here: the other patch formats (`patches`).
"""

from typing import Any

from acns_chaos.lab.api.failures import Failure, Json, bad_request
from acns_chaos.lab.api.kinds.objects import clone

# By the name of the list, which tells them apart in every kind that the lab serves. "" means a
# list of scalars that is a set.
_MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "finalizers": "",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "secrets": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_DIRECTIVE = "$patch"
_RETAIN = "$retainKeys"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_KEPT = ("merge", "replace", "delete")


def strategic_merge(target: Any, patch: Json) -> Json:
    """The object with a strategic merge patch applied.

    Args:
        target: the object, or what stands where the patch belongs; it is not changed.
        patch: the patch.

    Raises:
        Failure: 400 or 500, as a server refuses a patch that is malformed.
    """
    old: Json = clone(target) if isinstance(target, dict) else {}
    directive = patch.get(_DIRECTIVE, "merge")
    if directive not in _KEPT:
        raise Failure(500, "", f"Unknown patch type found: {directive} in map")
    if directive == "delete":
        return {}
    if directive == "replace":
        return {key: clone(value) for key, value in patch.items() if key != _DIRECTIVE}
    if _RETAIN in patch:
        keep = patch[_RETAIN]
        if not _texts(keep) or not {key for key in patch if key[:1] != "$"} <= set(keep):
            raise bad_request("invalid patch format of retainKeys")
        old = {key: value for key, value in old.items() if key in keep}
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            _delete_from(old, key.removeprefix(_DELETE_FROM), value)
        elif key.startswith("$"):
            continue
        elif value is None:
            old.pop(key, None)
        elif isinstance(value, dict):
            old[key] = strategic_merge(old.get(key), value)
        elif isinstance(value, list) and _merge_key(key, value) is not None:
            old[key] = _merged_list(key, old.get(key), value)
        else:
            old[key] = clone(value)
    for key, value in patch.items():
        if key.startswith(_ORDER):
            _set_order(old, key.removeprefix(_ORDER), value)
    return old


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _merge_key(name: str, items: list[Any]) -> str | None:
    """The member that tells items apart, "" for a set of scalars, None when the list is atomic."""
    if name == "ports":
        # Of a Service by port, of a container by containerPort.
        container = any(isinstance(item, dict) and "containerPort" in item for item in items)
        return "containerPort" if container else "port"
    return _MERGE_KEYS.get(name)


def _delete_from(old: Json, name: str, values: Any) -> None:
    if not isinstance(values, list) or any(isinstance(one, dict | list) for one in values):
        raise bad_request("invalid patch format of primitive list")
    if isinstance(old.get(name), list):
        old[name] = [item for item in old[name] if item not in values]


def _merged_list(name: str, old: Any, items: list[Any]) -> list[Any]:
    result: list[Any] = clone(old) if isinstance(old, list) else []
    key = _merge_key(name, items)
    if not key:
        return result + [clone(item) for item in items if item not in result]
    if any(isinstance(item, dict) and item.get(_DIRECTIVE) == "replace" for item in items):
        return [
            {member: clone(part) for member, part in item.items() if member != _DIRECTIVE}
            for item in items
            if isinstance(item, dict) and key in item
        ]
    for item in items:
        if not isinstance(item, dict) or key not in item:
            raise Failure(
                500, "", f"map: {_shown(item)} does not contain declared merge key: {key}"
            )
        place = next(
            (
                number
                for number, one in enumerate(result)
                if isinstance(one, dict) and one.get(key) == item[key]
            ),
            None,
        )
        if item.get(_DIRECTIVE) == "delete":
            result = [one for number, one in enumerate(result) if number != place]
        elif place is None:
            result.append(strategic_merge({}, item))
        else:
            result[place] = strategic_merge(result[place], item)
    return result


def _shown(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    return "map[" + " ".join(f"{key}:{value}" for key, value in item.items()) + "]"


def _set_order(old: Json, name: str, order: Any) -> None:
    """Put the items in the order that the patch names; others keep their place after those."""
    if not isinstance(order, list):
        raise bad_request("invalid patch format of setElementOrder list")
    if not isinstance(old.get(name), list):
        return
    key = _merge_key(name, old[name])

    def place(item: Any) -> int:
        mine = item.get(key) if key and isinstance(item, dict) else item
        for number, one in enumerate(order):
            if (one.get(key) if key and isinstance(one, dict) else one) == mine:
                return number
        return len(order)

    old[name] = sorted(old[name], key=place)
