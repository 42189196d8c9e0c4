"""YAML as plain JSON values, event by event.

Belongs here: building values from a YAML parser's events within the bounds. Does not belong here:
files, and JSON (`documents`).

Nothing is composed first: nesting, the expansion of aliases and the number of values are counted
while they are read, so a hostile text costs no more than an honest one.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from acns_chaos.cluster.documents_bounds import (
    LONGEST_INTEGER,
    MAX_DEPTH,
    MAX_DOCUMENTS,
    MAX_TEXT,
    MAX_VALUES,
    TOO_MANY,
    finite,
    path_text,
    short,
)
from acns_chaos.errors import DocumentError

__all__ = ["YamlReader"]

# libyaml where it is built in: ten times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS = "tag:yaml.org,2002:"
_NULL = frozenset(["", "~", "null", "Null", "NULL"])
_TRUE = frozenset(["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"])
_FALSE = frozenset(["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"])
_INTEGER = re.compile(
    r"[-+]?(0x[0-9a-fA-F][0-9a-fA-F_]*|0o?[0-7][0-7_]*|0b[01][01_]*|0|[1-9][0-9_]*)"
)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MERGE = "<<"


@dataclass(slots=True)
class _Part:
    """A finished value and what it costs where an alias repeats it."""

    value: Any
    values: int = 1
    text: int = 0
    height: int = 0


@dataclass(slots=True)
class _Open:
    """An object or a list that is being read."""

    value: Any
    anchor: str | None
    line: int
    values: int = 1
    text: int = 0
    height: int = 1
    # Of an object: the key whose value comes next, and whether there is one.
    key: str = ""
    waits: bool = False
    merging: bool = False
    merged: list[dict[str, Any]] = field(default_factory=list)


_TOO_LONG = f"more than {MAX_TEXT // 1_000_000} MB of text, aliases followed"


class YamlReader:
    """Builds the values of one text from YAML's events."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._number = 0
        self._stack: list[_Open] = []
        self._anchors: dict[str, _Part | None] = {}
        self._values = 0
        self._characters = 0
        self._root: list[Any] = []

    def documents(self) -> Iterator[tuple[int, Any]]:
        """Yield (number from 1, value) of each document that is not empty."""
        line = 0
        try:
            events: Iterator[Any] = yaml.parse(self._text, Loader=_LOADER)
            for event in events:
                line = event.start_mark.line
                if isinstance(event, yaml.DocumentStartEvent):
                    self._start()
                elif isinstance(event, yaml.DocumentEndEvent):
                    if self._root and self._root[0] is not None:
                        yield self._number, self._root[0]
                else:
                    self._take(event, line)
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark
            line = mark.line if mark is not None else line
            why = error.problem or error.context or "it ends too early"
            raise self._refused(f"is not YAML ({short(why)})", line) from error
        except (yaml.YAMLError, UnicodeError) as error:
            reason = getattr(error, "reason", None) or "it holds a character that YAML forbids"
            raise self._refused(f"is not YAML ({short(str(reason))})", line) from error

    def _start(self) -> None:
        self._number += 1
        if self._number > MAX_DOCUMENTS:
            raise DocumentError(f"{self._name}: more than {MAX_DOCUMENTS:,} documents; split it.")
        self._anchors = {}
        self._root = []

    def _take(self, event: Any, line: int) -> None:
        if isinstance(event, yaml.ScalarEvent):
            if self._wants_key():
                self._key(event, line)
            else:
                value = self._scalar(event, line)
                self._add(_Part(value, 1, len(event.value)), event.anchor, line)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor or "", line)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event, line)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close(line)

    def _wants_key(self) -> bool:
        if not self._stack:
            return False
        top = self._stack[-1]
        return isinstance(top.value, dict) and not top.waits

    def _key(self, event: Any, line: int) -> None:
        top = self._stack[-1]
        merge = event.implicit[0] and event.value == _MERGE
        key = event.value if merge else self._scalar(event, line)
        if not isinstance(key, str):
            raise self._refused(
                f"the key {short(event.value)!r} is read as {json.dumps(key)}, not as a text; "
                "put it in quotes",
                line,
            )
        if key in top.value or (merge and top.merged):
            raise self._refused(f"the key {short(key)} is there twice; keep one", line)
        top.key, top.waits, top.merging = key, True, merge
        top.text += len(key)
        self._count(0, len(key), line)
        if event.anchor:
            self._anchors[event.anchor] = _Part(key, 1, len(key))

    def _alias(self, anchor: str, line: int) -> None:
        if anchor not in self._anchors:
            raise self._refused(f"the alias *{short(anchor)} has no anchor before it", line)
        part = self._anchors[anchor]
        if part is None:
            raise self._refused(
                f"the anchor &{short(anchor)} holds itself, so it would never end", line
            )
        if not self._wants_key():
            self._add(part, None, line)
        elif isinstance(part.value, str) and part.value not in self._stack[-1].value:
            top = self._stack[-1]
            top.key, top.waits, top.merging = part.value, True, False
            self._count(0, part.text, line)
        else:
            raise self._refused(f"the alias *{short(anchor)} cannot be a key here", line)

    def _open(self, event: Any, line: int) -> None:
        if self._wants_key():
            raise self._refused("a key is an object or a list; keys are texts", line)
        mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", _TAGS + ("map" if mapping else "seq")):
            raise self._refused(f"the tag {short(event.tag)} is not for Kubernetes", line)
        if len(self._stack) >= MAX_DEPTH:
            raise self._refused(f"nested deeper than {MAX_DEPTH} levels", line)
        self._count(1, 0, line)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._stack.append(_Open({} if mapping else [], event.anchor, line))

    def _close(self, line: int) -> None:
        done = self._stack.pop()
        if done.merged:
            # Own keys win over merged ones, earlier merges over later ones.
            own = done.value
            done.value = {}
            for other in reversed(done.merged):
                done.value.update(other)
            done.value.update(own)
        part = _Part(done.value, done.values, done.text, done.height)
        self._place(part, done.anchor, line)

    def _add(self, part: _Part, anchor: str | None, line: int) -> None:
        self._count(part.values, part.text, line)
        if len(self._stack) + part.height > MAX_DEPTH:
            raise self._refused(f"nested deeper than {MAX_DEPTH} levels, aliases followed", line)
        self._place(part, anchor, line)

    def _place(self, part: _Part, anchor: str | None, line: int) -> None:
        """Put a finished value where it belongs; its cost is counted already."""
        if anchor:
            self._anchors[anchor] = part
        if not self._stack:
            self._root = [part.value]
            return
        top = self._stack[-1]
        top.values += part.values
        top.text += part.text
        top.height = max(top.height, part.height + 1)
        if isinstance(top.value, list):
            top.value.append(part.value)
        elif top.merging:
            several = part.value if isinstance(part.value, list) else [part.value]
            if not several or not all(isinstance(one, dict) for one in several):
                raise self._refused("the merge key << takes objects only", line)
            top.merged.extend(several)
            top.waits = False
        else:
            top.value[top.key] = part.value
            top.waits = False

    def _count(self, values: int, text: int, line: int) -> None:
        self._values += values
        self._characters += text
        if self._values > MAX_VALUES:
            raise self._refused(TOO_MANY, line)
        if self._characters > MAX_TEXT:
            raise self._refused(_TOO_LONG, line)

    def _scalar(self, event: Any, line: int) -> Any:
        text, tag = event.value, event.tag
        if tag is None or tag == "!":
            if not event.implicit[0] or tag == "!":
                return text
            return self._plain(text, line)
        if tag == _TAGS + "str":
            return text
        value = self._plain(text, line)
        wanted: dict[str, type | tuple[type, ...]] = {
            "int": int, "float": (int, float), "bool": bool, "null": type(None),
        }  # fmt: skip
        kind = wanted.get(tag.removeprefix(_TAGS)) if tag.startswith(_TAGS) else None
        if kind is None or not isinstance(value, kind):
            raise self._refused(f"the tag {short(tag)} is not for {short(text)!r}", line)
        return value

    def _plain(self, text: str, line: int) -> Any:
        if text in _NULL:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        if text[0] not in "-+.0123456789":
            return text
        if _INTEGER.fullmatch(text) and len(text) <= LONGEST_INTEGER:
            return _integer(text)
        if _FLOAT.fullmatch(text):
            try:
                return finite(text)
            except ValueError as error:
                raise self._refused(str(error), line) from error
        if _NOT_FINITE.fullmatch(text):
            raise self._refused(f"{text} is no number in JSON; put it in quotes", line)
        return text

    def _refused(self, finding: str, line: int) -> DocumentError:
        path = path_text(
            [
                one.key if isinstance(one.value, dict) else len(one.value)
                for one in self._stack
                if isinstance(one.value, list) or one.waits
            ]
        )
        document = f", document {self._number}" if self._number > 1 else ""
        at = f", at {path}" if path else ""
        if "{{" in self._text:
            finding += "; it looks like a template: render it first"
        return DocumentError(f"{self._name}{document}, line {line + 1}{at}: {finding}.")


def _integer(text: str) -> int:
    """The number that the agent's own parser reads; a leading 0 means octal to it."""
    digits = text.replace("_", "")
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    if digits.startswith(("0x", "0o", "0b")):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)
