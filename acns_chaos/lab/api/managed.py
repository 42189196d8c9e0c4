"""metadata.managedFields: which manager wrote which field last.

Fields are recorded down to the leaves of objects; a list is one leaf. Server-side apply is not
modelled, so every entry has the operation Update.
"""

from collections.abc import Iterator

from acns_chaos.lab.api.failures import Json

Path = tuple[str, ...]

_SYSTEM = frozenset(
    {
        "creationTimestamp",
        "deletionTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    }
)


def _leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict) and value:
        for key, member in value.items():
            yield from _leaves(member, (*path, key))
    else:
        yield path, value


def _owned(obj: Json) -> dict[Path, object]:
    """The leaves that somebody can own."""
    return {
        path: value
        for path, value in _leaves(obj)
        if path[0] not in {"apiVersion", "kind"}
        and not (path[0] == "metadata" and (len(path) < 2 or path[1] in _SYSTEM))
    }


def _to_fields(paths: set[Path]) -> Json:
    fields: Json = {}
    for path in sorted(paths):
        place = fields
        for part in path:
            place = place.setdefault(f"f:{part}", {})
    return fields


def _from_fields(fields: Json, path: Path = ()) -> Iterator[Path]:
    if not fields and path:
        yield path
    for key, member in fields.items():
        yield from _from_fields(member, (*path, key.removeprefix("f:")))


def managed_fields(
    old: Json | None, new: Json, *, manager: str, subresource: str, time: str
) -> list[Json]:
    """The managedFields after a write.

    Args:
        old: the stored object; None on create.
        new: the object that will be stored.
        manager: who writes.
        subresource: "status", or "" for the main resource.
        time: RFC 3339, put on the writer's entry when it owns something new.

    Returns:
        the entries, those that own nothing left out.
    """
    before = _owned(old) if old else {}
    after = _owned(new)
    changed = {path for path, value in after.items() if before.get(path, ...) != value}
    mine = {
        "manager": manager,
        "operation": "Update",
        "apiVersion": new["apiVersion"],
        **({"subresource": subresource} if subresource else {}),
    }
    entries = (old or {}).get("metadata", {}).get("managedFields", [])
    kept: list[Json] = []
    owned: set[Path] = set()
    last_time = time
    for entry in entries:
        paths = set(_from_fields(entry.get("fieldsV1", {}))) & set(after)
        if all(entry.get(key) == mine.get(key) for key in ("manager", "operation", "subresource")):
            owned, last_time = paths, entry["time"]
        elif remaining := paths - changed:
            kept.append({**entry, "fieldsV1": _to_fields(remaining)})
    if owned | changed:
        grown = bool(changed - owned) or any(path in before for path in changed)
        entry_time = time if grown else last_time
        fields = _to_fields(owned | changed)
        kept.append({**mine, "time": entry_time, "fieldsType": "FieldsV1", "fieldsV1": fields})
    return kept
