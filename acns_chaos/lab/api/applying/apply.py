"""Server-side apply: merge a configuration into the live object, take away what is applied no more.

Pure: from the live object and a configuration to a new object and its managedFields. The steps are
those of Kubernetes' structured merge. Not here: fetching, validating and storing (`writes`).
"""

import json
from dataclasses import dataclass
from typing import Any

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.applying.fields import (
    Path,
    Paths,
    difference,
    field_set,
    merged,
    shown,
    with_parents,
    without,
)
from acns_chaos.lab.api.applying.fields_shape import shape_of
from acns_chaos.lab.api.applying.managed import (
    Manager,
    Managers,
    Owned,
    blank,
    counted,
    read_stored,
    strip,
    written,
)
from acns_chaos.lab.api.failures import Failure, Json
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.lab.api.kinds.schema import quoted

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_KUBECTL = "kubectl"
_BEFORE = "before-first-apply"

Conflicts = list[tuple[Manager, Path]]


@dataclass(frozen=True, slots=True)
class Applying:
    """One apply.

    Attributes:
        manager: the fieldManager.
        force: take fields that others own.
        subresource: "status", or "" for the main resource.
        time: RFC 3339.
    """

    manager: str
    force: bool
    subresource: str
    time: str


class _Conflicting(Exception):
    def __init__(self, conflicts: Conflicts) -> None:
        super().__init__()
        self.conflicts = conflicts


def applied(resource: Resource, live: Json | None, config: Json, applying: Applying) -> Json:
    """The object after an apply.

    Args:
        resource: the kind.
        live: the stored object; None when it is to be created.
        config: the configuration, checked against the kind, with its name.
        applying: who applies, and how.

    Returns:
        the new object with its managedFields; not validated.

    Raises:
        Failure: 409, others own fields that would change.
    """
    managers = read_stored(live)
    base = {key: value for key, value in (live or {}).items() if key != "metadata"}
    base["metadata"] = dict((live or {}).get("metadata", {}))
    base["metadata"].pop("managedFields", None)
    if live is not None and not managers:
        owner = Manager(_BEFORE, "Update", resource.api_version)
        paths = strip(difference(blank(resource, None), base, shape_of(resource)).added)
        managers[owner] = Owned(paths, resource.api_version, applying.time)
    try:
        new, owners = _merge(resource, base, config, managers, applying)
    except _Conflicting as found:
        left = _not_from_last_applied(resource, base, found.conflicts, applying)
        if left:
            raise _conflict(left) from None
        forced = Applying(applying.manager, True, applying.subresource, applying.time)
        new, owners = _merge(resource, base, config, managers, forced)
    _follow_client_side(applying, config, new)
    new["metadata"]["managedFields"] = written(owners)
    return new


def _merge(
    resource: Resource, live: Json, config: Json, managers: Managers, applying: Applying
) -> tuple[Json, Managers]:
    """The merged object and its owners."""
    shape = shape_of(resource)
    me = Manager(applying.manager, "Apply", "", applying.subresource)
    last = managers.get(me)
    mine = field_set(config, shape)
    owners = {
        who: Owned(set(what.paths), what.version, what.time) for who, what in managers.items()
    }
    owners[me] = Owned(mine, resource.api_version, last.time if last else applying.time)
    new = merged(live, config, shape)
    if last is not None:
        new = _pruned(resource, new, owners, last.paths)
    found = difference(blank(resource, live), blank(resource, new), shape)
    changed = counted(resource, applying.subresource, found.added | found.modified)
    conflicts = [
        (who, path) for who, what in owners.items() for path in what.paths & changed if who != me
    ]
    if conflicts and not applying.force:
        raise _Conflicting(conflicts)
    for who, what in owners.items():
        if who != me:
            what.paths = what.paths - changed - found.removed
    owners[me].paths = counted(resource, applying.subresource, strip(mine))
    before = last.paths if last else set()
    if strip(changed | found.removed) or before != owners[me].paths:
        owners[me].time = applying.time
    return new, owners


def _pruned(resource: Resource, new: Json, owners: Managers, last: Paths) -> Json:
    """The merged object without what the manager applied last time and nobody owns now."""
    shape = shape_of(resource)
    owned = with_parents(set().union(*(what.paths for what in owners.values())), shape)
    dropped = with_parents(last, shape)
    everything = with_parents(field_set(new, shape), shape)
    left = with_parents(field_set(without(new, dropped, shape), shape), shape)
    kept = without(new, everything - (left | owned), shape)
    # What nobody owned stays.
    gone = everything - with_parents(field_set(kept, shape), shape)
    pruned: Json = without(new, gone & dropped, shape)
    return pruned


def _not_from_last_applied(
    resource: Resource, live: Json, conflicts: Conflicts, applying: Applying
) -> Conflicts:
    """The conflicts that stand: kubectl may take what its client-side apply wrote before."""
    if applying.manager != _KUBECTL:
        return conflicts
    text = (live["metadata"].get("annotations") or {}).get(_LAST_APPLIED)
    try:
        before = json.loads(text) if text else None
    except ValueError:
        return conflicts
    if not isinstance(before, dict) or before.get("apiVersion") != resource.api_version:
        return conflicts
    shape = shape_of(resource)
    found = difference(before, live, shape)
    allowed = field_set(before, shape) - found.added - found.modified - found.removed
    return [(who, path) for who, path in conflicts if path not in allowed]


def _follow_client_side(applying: Applying, config: Json, new: Json) -> None:
    """Keep the annotation of client-side apply in step when kubectl itself applies."""
    annotations = new["metadata"].get("annotations") or {}
    if applying.manager != _KUBECTL or _LAST_APPLIED not in annotations:
        return
    metadata = dict(config["metadata"])
    metadata["annotations"] = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key != _LAST_APPLIED
    }
    if not metadata["annotations"]:
        del metadata["annotations"]
    text = json.dumps({**config, "metadata": metadata}, separators=(",", ":"), sort_keys=True)
    new["metadata"]["annotations"] = {**annotations, _LAST_APPLIED: text + "\n"}


def _conflict(conflicts: Conflicts) -> Failure:
    """409 with a cause for each field."""
    ordered = sorted(conflicts, key=lambda one: (_named(one[0]), _place(one[1])))
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {_named(who)}",
            "field": shown(path),
        }
        for who, path in ordered
    ]
    if len(ordered) == 1:
        who, path = ordered[0]
        message = f"Apply failed with 1 conflict: conflict with {_named(who)}: {shown(path)}"
    else:
        lines = []
        for name in dict.fromkeys(_named(who) for who, _ in ordered):
            lines.append(f"conflicts with {name}:")
            lines += [f"- {shown(path)}" for who, path in ordered if _named(who) == name]
        message = f"Apply failed with {len(ordered)} conflicts: " + "\n".join(lines)
    return Failure(409, "Conflict", message, {"causes": causes})


def _place(path: Path) -> list[tuple[bool, str]]:
    """Fields of one level before those below it, as the server lists them."""
    return [(depth < len(path), step) for depth, step in enumerate(path, 1)]


def _named(manager: Manager) -> str:
    name = quoted(manager.name)
    if manager.subresource:
        name += f" with subresource {quoted(manager.subresource)}"
    return f"{name} using {manager.version}" if manager.operation == "Update" else name


def check_config(resource: Resource, config: Any) -> None:
    """Refuse a configuration that is no object of the kind.

    Raises:
        Failure: 400.
    """
    group, _, version = str(config.get("apiVersion") or "").rpartition("/")
    if (config.get("apiVersion"), config.get("kind")) != (resource.api_version, resource.kind):
        kind = config.get("kind") or ""
        raise failures.bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise failures.bad_request("metadata.managedFields must be nil")
