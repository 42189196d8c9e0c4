"""From a file to plain values: YAML within bounds, includes merged. What they mean is in `checks`.

The bounds are counted from the parser's events, before anything is built: a hostile file costs no
more than an honest one.
"""

from pathlib import Path
from typing import Any

import yaml

from acns_chaos.lab.world.model import WorldError

HERE = Path(__file__).parent
MAX_BYTES = 8_000_000
_MAX_DEPTH = 60
_MAX_VALUES = 500_000
# libyaml where it is built in: ten times faster, and the lab has one second to be ready.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def read(path: Path) -> dict[str, Any]:
    """One world file with its includes merged in front of it.

    Args:
        path: of the file. What it names under `include` is looked for beside it, then among the
            lab's own files.

    Returns:
        The keys of all files: objects joined, where one of the including file stands in for an
        included one of the same kind and name; mappings merged; of all else the last.

    Raises:
        WorldError: a file is not there, not YAML, beyond the bounds, or includes itself.
    """
    return _read(path, ())


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    path = Path(path)
    if path.resolve() in seen:
        raise WorldError(f"{path} includes itself: remove it from `include`.")
    data = _load(path)
    if not isinstance(data, dict):
        raise WorldError(f"{path} is not a world: it must be a mapping with `objects`.")
    includes = data.pop("include", None) or []
    if not isinstance(includes, list) or not all(isinstance(one, str) for one in includes):
        raise WorldError(f"{path} is not a world: `include` is not a list of file names.")
    merged: dict[str, Any] = {}
    for name in includes:
        beside = path.parent / name
        part = beside if beside.is_file() else HERE / Path(name).name
        if not part.is_file():
            raise WorldError(
                f"{path} includes {name}, which cannot be read: there is no such file."
            )
        _merge(merged, _read(part, (*seen, path.resolve())))
    _merge(merged, data)
    return merged


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        there = into.get(key)
        if key == "objects" and isinstance(there, list) and isinstance(value, list):
            replaced = {_which(obj) for obj in value}
            into[key] = [obj for obj in there if _which(obj) not in replaced] + value
        elif key in ("outside", "images") and isinstance(there, dict) and isinstance(value, dict):
            into[key] = {**there, **value}
        else:
            into[key] = value


def _which(obj: object) -> object:
    """The kind, namespace and name of an object; something unlike all others when it has none."""
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    if not isinstance(obj, dict) or not isinstance(metadata, dict) or not metadata.get("name"):
        return object()
    return str(obj.get("kind")), str(metadata.get("namespace", "")), str(metadata["name"])


def _load(path: Path) -> object:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        why = " ".join(str(problem).split())
        raise WorldError(f"{path} cannot be read: {why}.") from problem
    if len(raw) > MAX_BYTES:
        raise WorldError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB: split it.")
    try:
        _bound(path, text)
        loaded: object = yaml.load(text, Loader=_LOADER)  # noqa: S506 - safe loader
    except yaml.YAMLError as problem:
        where = " ".join(str(problem).split())
        raise WorldError(f"{path} is not YAML: {where}.") from problem
    except (ValueError, OverflowError) as problem:  # a date or a number that is none
        why = " ".join(str(problem).split())[:200]
        raise WorldError(f"{path} is not YAML for worlds: {why}.") from problem
    return loaded


def _bound(path: Path, text: str) -> None:
    """Refuse what could grow, hide or call something.

    Raises:
        WorldError: too deep, too many values, an alias, a tag, a key twice, or two documents.
    """
    # Of each open mapping its keys so far; of each open list None. A mapping takes turns.
    stack: list[set[str] | None] = []
    wants_key: list[bool] = []
    values = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        mark: Any = event.start_mark
        line = mark.line + 1
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise WorldError(f"{path}, line {line}: a second document; a world is one.")
        elif isinstance(event, _CLOSING):
            stack.pop()
            wants_key.pop()
        elif isinstance(event, yaml.NodeEvent):
            values += 1
            _refuse_node(path, line, event)
            is_key = bool(stack) and stack[-1] is not None and wants_key[-1]
            if stack and stack[-1] is not None:
                wants_key[-1] = not wants_key[-1]
            if is_key:
                _note_key(path, line, event, stack[-1])
            if isinstance(event, _OPENING):
                stack.append(set() if isinstance(event, yaml.MappingStartEvent) else None)
                wants_key.append(True)
            if len(stack) > _MAX_DEPTH:
                raise WorldError(f"{path}, line {line}: nested deeper than {_MAX_DEPTH} levels.")
            if values > _MAX_VALUES:
                raise WorldError(f"{path} holds more than {_MAX_VALUES:,} values: split it.")


def _refuse_node(path: Path, line: int, event: Any) -> None:
    if isinstance(event, yaml.AliasEvent) or event.anchor:
        raise WorldError(f"{path}, line {line}: an anchor or alias; write the value out.")
    if event.tag is not None:
        raise WorldError(f"{path}, line {line}: the tag {str(event.tag)[:80]}; leave it out.")


def _note_key(path: Path, line: int, event: Any, keys: set[str] | None) -> None:
    if not isinstance(event, yaml.ScalarEvent):
        raise WorldError(f"{path}, line {line}: a key is no text.")
    if keys is None:
        return
    if event.value in keys:
        raise WorldError(f"{path}, line {line}: the key `{event.value[:80]}` is there twice.")
    if event.value == "<<" and event.implicit[0]:
        raise WorldError(f"{path}, line {line}: a merge key; write the values out.")
    keys.add(event.value)
