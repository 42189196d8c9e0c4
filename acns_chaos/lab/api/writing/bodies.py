"""From the bytes of a body to a JSON value, whatever they are written in: JSON, YAML, protobuf.

Belongs here: encodings, duplicate members, sizes that no object has. Not here: what the value
means (`decode`), the tables of protobuf (`protobuf`).
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from acns_chaos.lab.api.failures import Json, bad_request, not_modelled
from acns_chaos.lab.api.kinds.schema import quoted
from acns_chaos.lab.api.writing.protobuf import PROTOBUF, to_json
from acns_chaos.lab.api.writing.yaml_bodies import YamlError, parse_yaml
from acns_chaos.policy.schema import joined

JSON = "application/json"
YAML = "application/yaml"
BODIES = (JSON, YAML, PROTOBUF)
"""The types of a body that a real server reads."""

_DEEPEST = 200  # levels; a real server goes to 10,000, no object of the lab past 30


class _Members(dict[str, Any]):
    """An object in which members stood twice; the last ones are kept.

    Attributes:
        twice: their names.
    """

    twice: list[str]


@dataclass(frozen=True, slots=True)
class Body:
    """A body that was read.

    Attributes:
        value: the JSON value.
        complaints: what strict decoding says about its text: the duplicate members.
    """

    value: Any
    complaints: list[str]


def parse(body: bytes, content_type: str = JSON) -> Body:
    """Read a body.

    Args:
        body: the bytes.
        content_type: one of BODIES.

    Raises:
        Failure: 400 when it cannot be read, 501 when it is nested too deeply, or of a kind whose
            protobuf form the lab does not know.
    """
    if content_type == PROTOBUF:
        return Body(to_json(body), [])
    if content_type == YAML:
        try:
            value, complaints = parse_yaml(body)
        except YamlError as error:
            raise bad_request(f"error decoding YAML: {error}") from None
        return Body(value, complaints)
    value = _parse_json(body)
    _require_shallow(value)
    return Body(value, _duplicates(value))


def _parse_json(body: bytes) -> Any:
    # As Go reads it: bytes that are no UTF-8 become U+FFFD, and so do halves of surrogate pairs.
    text = body.decode(errors="replace")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_members,
            parse_constant=_no_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        raise bad_request("the body of the request is not JSON: exceeded max depth") from None
    except ValueError as error:
        raise bad_request(f"the body of the request is not JSON: {error}") from None
    return _without_halves(value) if "\\u" in text else value


def _members(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    members = _Members(found)
    names = [name for name, _ in pairs]
    members.twice = [name for name in found if names.count(name) > 1]
    return members


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"cannot unmarshal number {text[:40]} into Go value of type float64")
    return number


def _int(text: str) -> int | float:
    """Numbers beyond 64 bits are floats to a server."""
    if len(text) < 19:
        return int(text)
    if len(text) > 400:
        return _float(text)
    number = int(text)
    return number if -(2**63) <= number < 2**63 else _float(text)


_HALF = re.compile("[\ud800-\udfff]")


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    if isinstance(value, dict):
        clean = {_without_halves(key): _without_halves(part) for key, part in value.items()}
        if isinstance(value, _Members):
            members = _Members(clean)
            members.twice = value.twice
            return members
        return clean
    return value


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            part
            for one in level
            if isinstance(one, dict | list)
            for part in (one.values() if isinstance(one, dict) else one)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise not_modelled(f"a body that is nested more than {_DEEPEST} levels deep")


def _duplicates(value: Any) -> list[str]:
    """Where members stand twice, each as a server warns of it: `duplicate field "data.a"`."""
    found: list[str] = []

    def walk(part: Any, path: tuple[str | int, ...]) -> None:
        if isinstance(part, dict):
            if isinstance(part, _Members):
                found.extend(f"duplicate field {quoted(joined((*path, x)))}" for x in part.twice)
            for key, inner in part.items():
                walk(inner, (*path, key))
        elif isinstance(part, list):
            for number, inner in enumerate(part):
                walk(inner, (*path, number))

    walk(value, ())
    return found
