"""A plan against its JSON Schema, with sentences: what was found, in which line, what to write.

Belongs here: the part of JSON Schema that `plan_schema.json` uses, and where a value stands in the
text. Does not belong here: what a plan means, and what its values say of each other (`plan`).

The schema that is shipped is the one that is enforced, so there is no second list of keys.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

import yaml

from acns_chaos.cluster.documents_bounds import path_text, short
from acns_chaos.errors import DocumentError
from acns_chaos.policy.quoting import a, shown

__all__ = ["KEYWORDS", "Path", "Text", "breach", "schema"]

Path = tuple[str | int, ...]
"""Where a value stands: keys and numbers of items."""

KEYWORDS = frozenset(
    {"type", "const", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"}
    | {"required", "properties", "additionalProperties", "propertyNames", "maxProperties"}
    | {"items", "minItems", "maxItems", "uniqueItems", "oneOf", "anyOf"}
    | {"description", "title", "$schema", "$id"}
)
"""What the interpreter below knows; a test holds the schema to it."""

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
}
# Values of an enum in a sentence.
_SHOWN = 20


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of a plan."""
    text = files("acns_chaos.gameday").joinpath("plan_schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def breach(value: Any, wanted: Mapping[str, Any] | None = None) -> tuple[Path, str] | None:
    """The first thing in a document that its schema forbids.

    Args:
        value: the document as plain JSON.
        wanted: the schema, of the keywords in KEYWORDS; a plan's without it.

    Returns:
        Where, and what is wrong and to be done, without a full stop; None when nothing is.
    """
    return next(_breaches(value, schema() if wanted is None else wanted, ()), None)


def _breaches(value: Any, wanted: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    if "const" in wanted and (value != wanted["const"] or isinstance(value, bool)):
        yield path, f"is {shown(value)}; it must be {shown(wanted['const'])}"
    elif "enum" in wanted and value not in wanted["enum"]:
        yield path, _not_one_of(value, wanted["enum"])
    elif "type" in wanted and not _is(value, wanted["type"]):
        hint = _hint(value, wanted)
        yield path, f"is {shown(value)}; it must be {a(wanted['type'])}{hint}"
    elif "oneOf" in wanted and not all("required" in one for one in wanted["oneOf"]):
        yield from _breaches(value, _alternative(value, wanted["oneOf"]), path)
    elif isinstance(value, dict):
        yield from _of_object(value, wanted, path)
    elif isinstance(value, list):
        yield from _of_list(value, wanted, path)
    elif isinstance(value, str):
        yield from _of_text(value, wanted, path)
    elif isinstance(value, int | float):
        least, most = wanted.get("minimum", value), wanted.get("maximum", value)
        # Written so that what is no number at all is refused, too.
        if not least <= value <= most:
            end = f"at least {least}" if value < least else f"at most {most}"
            yield path, f"is {shown(value)}; it must be {end}"


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and not isinstance(value, bool)


def _not_one_of(value: Any, known: Sequence[Any]) -> str:
    near = get_close_matches(value, known, n=1) if isinstance(value, str) else []
    if near:
        return f"is {shown(value)}; did you mean {near[0]}"
    listed = ", ".join(str(one) for one in known[:_SHOWN])
    return f"is {shown(value)}; it must be one of {listed}"


def _hint(value: Any, wanted: Mapping[str, Any]) -> str:
    """What YAML read otherwise than it was meant."""
    if wanted["type"] == "string" and isinstance(value, bool | int | float):
        unit = " with its unit, such as 60s" if "(ms|s|m|h)" in wanted.get("pattern", "") else ""
        return unit or " (put it in quotes)"
    return ""


def _alternative(value: Any, choices: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The alternative that a value was probably meant as: one of its type, else the last."""
    for one in choices:
        if "const" in one and value == one["const"]:
            return one
    for one in choices:
        if "type" in one and _is(value, one["type"]):
            return one
        if "enum" in one and isinstance(value, str):
            return one
    return choices[-1]


def _of_object(
    value: Mapping[str, Any], wanted: Mapping[str, Any], path: Path
) -> Iterator[tuple[Path, str]]:
    known: Mapping[str, Any] = wanted.get("properties", {})
    more = wanted.get("additionalProperties", True)
    for key in value:
        if key not in known and more is False:
            near = get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}" if near else f"known are {', '.join(known)}"
            yield (*path, key), f"there is no key {short(key)!r}; {hint}"
        if "propertyNames" in wanted and not re.fullmatch(wanted["propertyNames"]["pattern"], key):
            yield (*path, key), f"{short(key)!r} cannot be a name here; correct it"
    for key in wanted.get("required", ()):
        if key not in value:
            yield path, f"the key {key} is missing; write it"
    if "anyOf" in wanted and not any(_has(value, one) for one in wanted["anyOf"]):
        yield path, f"write {_keys(wanted['anyOf'])}, or both"
    if "oneOf" in wanted and sum(_has(value, one) for one in wanted["oneOf"]) != 1:
        yield path, f"write either {_keys(wanted['oneOf'])}"
    if len(value) > wanted.get("maxProperties", len(value)):
        yield path, f"has more than {wanted['maxProperties']} members; write fewer"
    for key, one in value.items():
        if key in known:
            yield from _breaches(one, known[key], (*path, key))
        elif isinstance(more, Mapping):
            yield from _breaches(one, more, (*path, key))


def _has(value: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    return all(key in value for key in choice["required"])


def _keys(choices: Sequence[Mapping[str, Any]]) -> str:
    return " or ".join(key for one in choices for key in one["required"])


def _of_list(
    value: Sequence[Any], wanted: Mapping[str, Any], path: Path
) -> Iterator[tuple[Path, str]]:
    if len(value) < wanted.get("minItems", 0):
        yield path, "is empty; write an item, or leave the key out"
    if len(value) > wanted.get("maxItems", len(value)):
        yield path, f"has {len(value)} items; {wanted['maxItems']} are the most"
        return
    seen: set[str] = set()
    for number, one in enumerate(value):
        yield from _breaches(one, wanted.get("items", {}), (*path, number))
        same = json.dumps(one, sort_keys=True)
        if wanted.get("uniqueItems") and same in seen:
            yield (*path, number), f"{shown(one)} is there twice; keep one"
        seen.add(same)


def _of_text(value: str, wanted: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    if len(value) < wanted.get("minLength", 0):
        yield path, "is empty; write something"
    elif len(value) > wanted.get("maxLength", len(value)):
        yield path, f"has {len(value)} characters; {wanted['maxLength']} are the most"
    # The whole text: `$` alone would let a line end pass.
    elif "pattern" in wanted and not re.fullmatch(wanted["pattern"], value):
        what = str(wanted.get("description", "")).rstrip(".")
        yield path, f"is {shown(value)}; expected is {what[:1].lower()}{what[1:]}"


class Text:
    """The text of a plan, to say where in it something stands.

    Args:
        text: YAML that was read already, so that its bounds hold.
        name: of the file, for sentences.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        try:
            self._root: Any = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            # JSON may hold what YAML does not, such as a tab: its lines are not known then.
            self._root = None

    def line(self, path: Path) -> int:
        """The line, from 1, of a value, of its key, or of what it should be in."""
        node, line = self._root, 1
        for key in path:
            node, found = _member(node, key)
            if node is None:
                break
            line = found
        return line

    def refuse(self, path: Path, finding: str) -> NoReturn:
        """Raise a sentence about a value.

        Args:
            path: where it stands.
            finding: what is wrong and to be done, without a full stop.

        Raises:
            DocumentError: always.
        """
        at = f", at {path_text(list(path))}" if path else ""
        raise DocumentError(f"{self._name}, line {self.line(path)}{at}: {finding}.")


def _member(node: Any, key: str | int) -> tuple[Any, int]:
    """A member of a node and its line; (None, 0) where there is none."""
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        item = node.value[key]
        return item, item.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value == key:
                return value, name.start_mark.line + 1
    return None, 0
