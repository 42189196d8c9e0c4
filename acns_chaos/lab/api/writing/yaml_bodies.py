"""YAML bodies, read as Kubernetes reads them: one document, made of JSON's values.

Dates stay text, keys become text, yes and no are booleans (YAML 1.1). Not here: JSON and protobuf
(`bodies`).
"""

import math
import re
from typing import Any

import yaml

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.schema import quoted

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 200
# Aliases followed. While one body is read nobody else is answered: this takes about a second.
_MOST_VALUES = 50_000

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_WORDS = {
    **dict.fromkeys(
        ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True
    ),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False
    ),
}
_INTEGER = re.compile(r"[-+]?(0x[0-9a-fA-F_]+|0o[0-7_]+|0b[01_]+|0[0-7_]*|[1-9][0-9_]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TAKEN_FOR_TEXT = re.compile(r"[yYnN]|0o[0-7]+|[-+]?[0-9]+(\.[0-9]*)?[eE][0-9]+", re.ASCII)


class YamlError(ValueError):
    """The text cannot be read; the message says why."""


def parse_yaml(body: bytes) -> tuple[Any, list[str]]:
    """The first document of a text.

    Returns:
        its value, and what strict decoding complains of: keys that are there twice.

    Raises:
        YamlError: it is not YAML, or not JSON's values.
    """
    try:
        text = body.decode("utf-8")
        _require_small(text)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark is not None else ""
        why = error.problem or error.context or "unexpected end"
        if "single document" in str(error.context):
            why = "only one document is read"
        raise YamlError(f"error converting YAML to JSON: yaml: {line}{why}") from None
    except (yaml.YAMLError, UnicodeError):
        why = "yaml: control characters are not allowed"
        raise YamlError(f"error converting YAML to JSON: {why}") from None
    if node is None:
        return None, []
    reader = _Reader()
    value = reader.value(node, 0)
    if not reader.twice:
        return value, []
    return value, ["yaml: unmarshal errors:\n" + "\n".join(reader.twice)]


def _require_small(text: str) -> None:
    """Refuse deep nesting and many values: libyaml's composer recurses in C and dies of the one."""
    depth = values = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            continue
        values += 1
        depth += isinstance(event, yaml.CollectionStartEvent)
        if depth > _DEEPEST or values > _MOST_VALUES:
            raise YamlError("error converting YAML to JSON: yaml: exceeded max depth")


class _Reader:
    """Turns nodes into values."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        self._values = 0

    def value(self, node: Any, depth: int) -> Any:
        """The JSON value of a node."""
        self._values += 1
        if depth > _DEEPEST or self._values > _MOST_VALUES:
            raise YamlError("error converting YAML to JSON: yaml: exceeded max depth")
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        return self._mapping(node, depth)

    def _mapping(self, node: Any, depth: int) -> Json:
        found: Json = {}
        inherited: Json = {}
        for key_node, part in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                value = self.value(part, depth + 1)
                for one in value if isinstance(value, list) else [value]:
                    if not isinstance(one, dict):
                        raise YamlError(
                            "yaml: map merge requires map or sequence of maps as the value"
                        )
                    inherited = {**one, **inherited}
                continue
            key = self._key(key_node)
            if key in found:
                line = key_node.start_mark.line + 1
                self.twice.append(f"  line {line}: key {quoted(key)} already set in map")
            found[key] = self.value(part, depth + 1)
        return {**inherited, **found}

    def _key(self, node: Any) -> str:
        key = _scalar(node) if isinstance(node, yaml.ScalarNode) else node
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, str | int | float):
            return str(key)
        raise YamlError("error converting YAML to JSON: unsupported map key")


def _scalar(node: Any) -> Any:
    text: str = node.value
    # Quoted or a block; libyaml says "" for plain, the Python reader None. PyYAML takes some
    # scalars for texts that are none to Kubernetes; whatever else it calls a text is one.
    if node.style or (node.tag.endswith(":str") and not _TAKEN_FOR_TEXT.fullmatch(text)):
        return text
    if text in _NULL:
        return None
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise YamlError("json: unsupported value: +Inf")
        return number
    if _INFINITE.fullmatch(text):
        raise YamlError(f"json: unsupported value: {text}")
    return text


def _integer(text: str) -> int | float:
    digits = text.replace("_", "")
    sign, digits = (-1 if digits[0] == "-" else 1), digits.lstrip("+-")
    if len(digits) > 80:
        raise YamlError("json: unsupported value: a number of so many digits")
    prefixes = {"0x": 16, "0o": 8, "0b": 2}
    base = prefixes.get(digits[:2]) or (8 if digits[0] == "0" else 10)
    digits = digits[2:] if digits[:2] in prefixes else digits
    if not digits:
        raise YamlError(f"error converting YAML to JSON: yaml: {text} is no number")
    number = sign * int(digits, base)
    return number if -(2**63) <= number < 2**64 else float(number)
