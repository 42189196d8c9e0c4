"""Sets of field paths: what an object has, what two objects differ in, and how to take parts away.

A set holds the paths that are members of it; a path is a tuple of steps in the notation of
fieldsV1 ("f:spec", 'k:{"type":"Valid"}', 'v:"x"'). The rules are those of Kubernetes' structured
merge. Not here: who owns a set (`managed`), and what is done with it (`apply`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from acns_chaos.lab.api.applying.fields_shape import GUESSED, Shape
from acns_chaos.lab.api.failures import Json

Path = tuple[str, ...]
Paths = set[Path]


@dataclass(slots=True)
class Difference:
    """The fields that only the second, both, or only the first of two objects have."""

    added: Paths = field(default_factory=set)
    modified: Paths = field(default_factory=set)
    removed: Paths = field(default_factory=set)


def _resolved(shape: Shape, *values: Any) -> str:
    """How a place merges, given what stands there."""
    how = shape.how
    if how == "guessed":
        how = "map" if any(isinstance(value, dict) for value in values) else "leaf"
    wanted = {"struct": dict, "map": dict, "keyed": list, "set": list}.get(how)
    if wanted is None or not any(isinstance(value, wanted) and value for value in values):
        return "leaf"
    return how


def same(one: Any, other: Any) -> bool:
    """Equality as JSON knows it: true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def children(value: Any, shape: Shape, how: str) -> Iterator[tuple[str, Any, Shape]]:
    """The parts of a value: (step, part, shape)."""
    if how in {"struct", "map"} and isinstance(value, dict):
        for name, part in value.items():
            yield f"f:{name}", part, shape.member(name)
    elif how == "keyed" and isinstance(value, list):
        for item in value:
            yield key_step(item, shape.keys), item, shape.values or GUESSED
    elif how == "set" and isinstance(value, list):
        for item in value:
            yield "v:" + _compact(item), item, GUESSED


def key_step(item: Any, keys: Iterable[str]) -> str:
    """The step to an item of a keyed list."""
    members = item if isinstance(item, dict) else {}
    return "k:" + _compact({key: members.get(key) for key in sorted(keys)})


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def field_set(value: Any, shape: Shape) -> Paths:
    """The fields that somebody who applies this value owns."""
    return set(_field_set(value, shape, ()))


def _field_set(value: Any, shape: Shape, path: Path) -> Iterator[Path]:
    how = _resolved(shape, value)
    if how == "leaf":
        # An empty list that merges item by item is nothing to own; an empty map is.
        if path and not (value == [] and shape.how in {"keyed", "set"}):
            yield path
        return
    for step, part, inner in children(value, shape, how):
        here = (*path, step)
        if how in {"keyed", "set"} or step[2:] not in shape.fields:
            yield here
        yield from _field_set(part, inner, here)


def difference(old: Any, new: Any, shape: Shape) -> Difference:
    """What a write changes.

    Args:
        old: the object before; `{}` for none.
        new: the object after.
        shape: of both.
    """
    found = Difference()
    _compare(old, new, shape, (), found)
    return found


_NOTHING: Any = object()


def _compare(old: Any, new: Any, shape: Shape, path: Path, found: Difference) -> None:
    if old is new:
        return
    how = _resolved(shape, old, new)
    if how == "leaf" and old is not _NOTHING and new is not _NOTHING:
        if not same(old, new):
            found.modified.add(path)
        return
    if path and old is _NOTHING:
        found.added.add(path)
    elif path and new is _NOTHING:
        found.removed.add(path)
    if how == "leaf":
        return
    before = {step: (part, inner) for step, part, inner in children(old, shape, how)}
    after = {step: (part, inner) for step, part, inner in children(new, shape, how)}
    for step in {**before, **after}:
        one, inner = before.get(step, (_NOTHING, GUESSED))
        other, inner = after.get(step, (_NOTHING, inner))
        _compare(one, other, inner, (*path, step), found)


def merged(live: Any, config: Any, shape: Shape) -> Any:
    """The live value with everything that the config names; parts that it does not name stay."""
    how = _resolved(shape, live, config)
    if how == "leaf":
        return config
    if how in {"struct", "map"}:
        if not isinstance(config, dict):
            return config
        result = dict(live) if isinstance(live, dict) else {}
        for name, part in config.items():
            result[name] = (
                merged(result[name], part, shape.member(name)) if name in result else part
            )
        return result
    wanted = {step: part for step, part, _ in children(config, shape, how)}
    parts: list[Any] = []
    for step, part, inner in children(live, shape, how):
        parts.append(merged(part, wanted.pop(step), inner) if step in wanted else part)
    return [*parts, *wanted.values()]


def without(value: Any, paths: Paths, shape: Shape) -> Any:
    """The value without the fields of a set; what becomes empty by that goes too.

    Args:
        value: an object.
        paths: what to take away.
        shape: of the object.
    """
    kept = _without(value, to_fields(paths), shape)
    return {} if kept is None else kept


def _without(value: Any, fields: Mapping[str, Any], shape: Shape) -> Any:
    how = _resolved(shape, value)
    if how == "leaf":
        # A whole is never taken apart, and a scalar has no parts.
        return value if not isinstance(value, dict | list) else None
    kept_map: Json = {}
    kept_list: list[Any] = []
    for step, part, inner in children(value, shape, how):
        below = fields.get(step)
        if below is not None:
            if not below or "." in below:
                continue
            part = _without(part, below, inner)  # noqa: PLW2901
            if part is None:
                continue
        if how in {"keyed", "set"}:
            kept_list.append(part)
        else:
            kept_map[step[2:]] = part
    return kept_map or kept_list or None


def with_parents(paths: Paths, shape: Shape) -> Paths:
    """The set and, of each member, the structs that it stands in: they live by their members."""
    found = set(paths)
    for path in paths:
        place = shape
        for depth, step in enumerate(path[:-1], 1):
            known = step.startswith("f:") and step[2:] in place.fields
            place = place.member(step[2:]) if step.startswith("f:") else place.values or GUESSED
            if known:
                found.add(path[:depth])
    return found


def to_fields(paths: Paths) -> Json:
    """A set as fieldsV1."""
    fields: Json = {}
    for path in sorted(paths, key=lambda path: (len(path), path)):
        place = fields
        for depth, step in enumerate(path, 1):
            if step not in place:
                place[step] = {}
            elif depth < len(path) and not place[step]:
                place[step] = {".": {}}  # a member by itself, and parts of it to follow
            place = place[step]
    return _ordered(fields)


def _ordered(fields: Json) -> Json:
    return {key: _ordered(fields[key]) for key in sorted(fields)}


def from_fields(fields: Any) -> Paths:
    """A set from fieldsV1.

    Raises:
        ValueError: it is not fieldsV1.
    """
    if not isinstance(fields, dict):
        raise ValueError("fieldsV1 is no object")  # noqa: TRY004 - one error for all of it
    return set(_from_fields(fields, ()))


def _from_fields(fields: Json, path: Path) -> Iterator[Path]:
    for step, below in fields.items():
        if step == ".":
            yield path
            continue
        if step[:2] not in {"f:", "k:", "v:", "i:"} or not isinstance(below, dict):
            raise ValueError(step)
        if step[:2] in {"k:", "v:"}:
            value = json.loads(step[2:])
            step = step[:2] + _compact(value)  # noqa: PLW2901
        if not below:
            yield (*path, step)
        yield from _from_fields(below, (*path, step))


def shown(path: Path) -> str:
    """A path as messages of the server show it: `.spec.ingress`, `.x[type="Valid"]`."""
    return "".join(map(_shown_step, path))


def _shown_step(step: str) -> str:
    if step.startswith("k:"):
        keys = json.loads(step[2:])
        return "[" + ",".join(f"{key}={_compact(value)}" for key, value in keys.items()) + "]"
    if step.startswith("i:"):
        return f"[{step[2:]}]"
    return f"[={step[2:]}]" if step.startswith("v:") else f".{step[2:]}"
