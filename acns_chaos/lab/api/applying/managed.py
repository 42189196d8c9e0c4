"""metadata.managedFields: which manager owns which field, and how a plain write changes that.

Belongs here: reading and writing the entries, and what create, update and patch do to them. Not
here: server-side apply (`apply`), sets of fields (`fields`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from acns_chaos.lab.api.applying.fields import Paths, difference, from_fields, to_fields
from acns_chaos.lab.api.applying.fields_shape import shape_of
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.resources import BY_KIND, Resource

# Nobody owns what the server sets by itself.
_SYSTEM = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "creationTimestamp",
            "deletionGracePeriodSeconds",
            "deletionTimestamp",
            "generation",
            "managedFields",
            "name",
            "namespace",
            "resourceVersion",
            "selfLink",
            "uid",
        )
    }
)


@dataclass(frozen=True, slots=True)
class Manager:
    """Who owns fields.

    Attributes:
        name: the fieldManager.
        operation: "Apply" or "Update".
        version: the apiVersion of an Update; "" for Apply, whose version does not tell it apart.
        subresource: "status", or "" for the main resource.
    """

    name: str
    operation: str
    version: str = ""
    subresource: str = ""


@dataclass(slots=True)
class Owned:
    """What a manager owns.

    Attributes:
        paths: the fields.
        version: the apiVersion that it wrote last.
        time: RFC 3339, when it last took a field.
    """

    paths: Paths
    version: str
    time: str = ""


Managers = dict[Manager, Owned]


@dataclass(frozen=True, slots=True)
class Writing:
    """One write, as managedFields will tell it.

    Attributes:
        manager: the fieldManager.
        subresource: "status", or "" for the main resource.
        time: RFC 3339.
        given: the managedFields that the client sent; they replace the stored ones when they can
            be read, and `[{}]` forgets every manager.
    """

    manager: str
    subresource: str
    time: str
    given: Any = field(default=None)


def read(entries: Any) -> Managers:
    """The managers of managedFields.

    Raises:
        ValueError: an entry cannot be read.
    """
    managers: Managers = {}
    if not isinstance(entries, list):
        raise ValueError("managedFields is no list")  # noqa: TRY004 - one error for all of it
    for entry in entries:
        if not isinstance(entry, dict):
            raise ValueError("an entry is no object")  # noqa: TRY004
        texts = [entry.get(key) or "" for key in ("manager", "operation", "apiVersion")]
        texts += [entry.get(key) or "" for key in ("subresource", "time")]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a member of an entry is no text")
        name, operation, version, subresource, time = texts
        if (
            operation not in {"Apply", "Update"}
            or entry.get("fieldsType", "FieldsV1") != "FieldsV1"
        ):
            raise ValueError(operation)
        key = Manager(name, operation, "" if operation == "Apply" else version, subresource)
        managers[key] = Owned(from_fields(entry.get("fieldsV1") or {}), version, time)
    return managers


def read_stored(obj: Json | None) -> Managers:
    """The managers of a stored object; none of one that is not there."""
    return read((obj or {}).get("metadata", {}).get("managedFields") or [])


def written(managers: Managers) -> list[Json]:
    """The managers as managedFields, in the order of a real server; those that own nothing go."""
    entries = [
        {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": owned.version,
            **({"time": owned.time} if owned.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields(owned.paths),
            **({"subresource": manager.subresource} if manager.subresource else {}),
        }
        for manager, owned in managers.items()
        if owned.paths
    ]
    return sorted(
        entries,
        key=lambda entry: (
            entry["operation"],
            entry.get("time", ""),
            entry["manager"],
            entry["apiVersion"],
            entry.get("subresource", ""),
        ),
    )


def same_owners(one: Any, other: Any) -> bool:
    """Whether two managedFields say the same; times do not count."""

    def timeless(entries: Any) -> list[Json]:
        found = [{**entry, "time": ""} for entry in entries or []]
        return sorted(found, key=lambda entry: (entry["manager"], entry["operation"], str(entry)))

    return timeless(one) == timeless(other)


def strip(paths: Paths) -> Paths:
    """The fields that somebody can own."""
    return {path for path in paths if path not in _SYSTEM}


def counted(resource: Resource, subresource: str, paths: Iterable[tuple[str, ...]]) -> Paths:
    """The fields of a write that are its own.

    The main resource writes no status where that is a subresource, and a status nothing else.
    """
    if subresource == "status":
        return {path for path in paths if path[0] == "f:status"}
    if resource.status:
        return {path for path in paths if path[0] != "f:status"}
    return set(paths)


def blank(resource: Resource, obj: Json | None) -> Json:
    """The object as a real server's types hold it.

    Built-in kinds always have their structs, a custom kind has nothing at first.
    """
    found = dict(obj or {})
    if not resource.custom:
        for name, shape in shape_of(resource).fields.items():
            if shape.how == "struct":
                found.setdefault(name, {})
    return found


def updated(resource: Resource, old: Json | None, new: Json, writing: Writing) -> list[Json]:
    """The managedFields after a create, update or patch.

    Args:
        resource: the kind.
        old: the stored object; None on create.
        new: the object that will be stored.
        writing: who writes, and when.
    """
    managers = _base(old, writing)
    before, after = blank(resource, old), blank(resource, new)
    found = difference(before, after, shape_of(resource))
    added = counted(resource, writing.subresource, strip(found.added | found.modified))
    removed = counted(resource, writing.subresource, found.removed)
    for owned in managers.values():
        owned.paths = owned.paths - added - removed
    mine = Manager(writing.manager, "Update", new["apiVersion"], writing.subresource)
    if added:
        kept = managers[mine].paths if mine in managers else set()
        managers[mine] = Owned(kept | added, new["apiVersion"], writing.time)
    return written(managers)


def _base(old: Json | None, writing: Writing) -> Managers:
    """The managers before a write: what the client sent, when that can be read."""
    given = None if writing.subresource else writing.given
    if given == [{}]:
        return {}
    if given:
        try:
            return read(given)
        except ValueError:
            pass  # As a real server: what cannot be read was not sent.
    return read_stored(old)


def managed_fields(
    old: Json | None, new: Json, *, manager: str, subresource: str, time: str
) -> list[Json]:
    """The managedFields after a write of the cluster itself.

    Args:
        old: the stored object; None on create.
        new: the object that will be stored.
        manager: who writes.
        subresource: "status", or "" for the main resource.
        time: RFC 3339, put on the writer's entry when it owns something new.
    """
    writing = Writing(manager, subresource, time)
    return updated(BY_KIND[new["kind"]], old, new, writing)
