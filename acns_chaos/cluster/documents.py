"""YAML and JSON text as plain JSON values, safely: whatever it is, the answer comes soon.

Belongs here: the text of one file in, its documents out, or one sentence with the file and the
path inside the document. Does not belong here: where files come from and what is an object
(`sources`), and what an object means (`policy`).

What Kubernetes could not take is refused instead of guessed: duplicate keys, keys that are no
texts, tags, numbers that JSON does not have. As there, a date is a text.
"""

import json
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.documents_bounds import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_VALUES,
    TOO_MANY,
    finite,
    integer_or_float,
    path_text,
)
from acns_chaos.cluster.documents_yaml import YamlReader
from acns_chaos.errors import DocumentError

__all__ = ["Document", "parse"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    Attributes:
        value: plain JSON: dict, list, str, int, float, bool or None.
        origin: where it stands, for sentences: "policies.yaml, document 2".
    """

    value: Any
    origin: str


def parse(data: bytes, name: str, *, as_json: bool = False) -> list[Document]:
    """Read the documents of one file.

    Args:
        data: the file's content.
        name: of the file, for sentences.
        as_json: it must be one JSON document; else it is YAML, of which JSON is a part.

    Returns:
        Its documents, without empty ones, in order.

    Raises:
        DocumentError: it is too large, no text, not well formed, or beyond a bound.
    """
    if len(data) > MAX_BYTES:
        raise DocumentError(
            f"{name} has more than {MAX_BYTES // 1_000_000} MB: split it, or name only what is "
            "about policies."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"{name} is not text: byte {error.start} is not UTF-8; write it as UTF-8."
        ) from error
    # Python's reader of JSON has no bounds; what may be beyond them is read event by event.
    parts = 1 + sum(text.count(sign) for sign in ",[{")
    if as_json or (text.lstrip()[:1] in ("{", "[") and parts <= MAX_VALUES):
        try:
            if parts <= MAX_VALUES:
                return [Document(_json(text, name), name)]
        except _NotJson:
            if as_json:
                raise
    found = list(YamlReader(text, name).documents())
    if len(found) == 1:
        return [Document(found[0][1], name)]
    return [Document(value, f"{name}, document {number}") for number, value in found]


class _NotJson(DocumentError):
    """It is not JSON, but may be YAML."""


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys as written, twice if they are."""


def _json(text: str, name: str) -> Any:
    doubled = False

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal doubled
        built = dict(pairs)
        doubled = doubled or len(built) < len(pairs)
        return built

    try:
        value = json.loads(
            text,
            object_pairs_hook=build,
            parse_constant=_no_number,
            parse_int=integer_or_float,
            parse_float=finite,
        )
    except RecursionError as error:
        raise DocumentError(f"{name}: nested deeper than {MAX_DEPTH} levels.") from error
    except json.JSONDecodeError as error:
        raise _NotJson(f"{name}, line {error.lineno}: is not JSON ({error.msg}).") from error
    except ValueError as error:
        raise _NotJson(f"{name}: is not JSON ({error}).") from error
    _bounded(value, name)
    if "\\ud" in text.lower():
        _encodable(value, name)
    if doubled:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
        raise DocumentError(f"{name}, at {_doubled_key(pairs)}: the key is there twice; keep one.")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


def _encodable(value: Any, name: str) -> None:
    """Refuse half of a surrogate pair, which is no character and cannot be written anywhere."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DocumentError(f"{name}: a text holds half of a surrogate pair (\\ud…).") from error


Place = tuple[Any, ...]
"""A path, innermost key first: (key, (key, ()))."""


def _bounded(value: Any, name: str) -> None:
    """Refuse a value that is too deep or has too many parts."""
    waiting: list[tuple[Any, int, Place]] = [(value, 0, ())]
    count = 0
    while waiting:
        one, depth, place = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            raise DocumentError(f"{name}: {TOO_MANY}.")
        if isinstance(one, dict | list):
            if depth >= MAX_DEPTH:
                raise DocumentError(
                    f"{name}, at {path_text(_unlinked(place))}: nested deeper than {MAX_DEPTH} "
                    "levels."
                )
            parts = one.items() if isinstance(one, dict) else enumerate(one)
            waiting.extend((part, depth + 1, (key, place)) for key, part in parts)


def _doubled_key(pairs: Any) -> str:
    waiting: list[tuple[Any, Place]] = [(pairs, ())]
    while waiting:
        one, place = waiting.pop()
        if isinstance(one, _Pairs):
            seen: set[str] = set()
            for key, part in one:
                if key in seen:
                    return path_text(_unlinked((key, place)))
                seen.add(key)
                waiting.append((part, (key, place)))
        elif isinstance(one, list):
            waiting.extend((part, (number, place)) for number, part in enumerate(one))
    return "the top"


def _unlinked(place: Place) -> list[str | int]:
    keys: list[str | int] = []
    while place:
        keys.append(place[0])
        place = place[1]
    return keys[::-1]
