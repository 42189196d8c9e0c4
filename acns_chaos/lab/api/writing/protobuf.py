"""Bodies in Kubernetes' protobuf form, read with a table of the public field numbers.

kubectl's typed commands (`create configmap`, `auth can-i`) send them since 1.32. The wire format
needs less code here than the messages would need as generated classes, and nothing is imported.
Only reading: every client that sends protobuf also takes JSON. Kinds that are not in the table are
refused by name.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from acns_chaos.lab.api.failures import Json, bad_request, not_modelled
from acns_chaos.lab.api.writing.protobuf_messages import KINDS, MESSAGES

PROTOBUF = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\x00"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Broken(ValueError):
    """The bytes are no message."""


def to_json(body: bytes) -> Json:
    """The object in a body.

    Raises:
        Failure: 400, it is none; 501, the lab does not know the kind or one of its fields.
    """
    if not body.startswith(_MAGIC):
        raise bad_request(
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
        )
    try:
        envelope = _message(body[len(_MAGIC) :], "Unknown")
        about = envelope.get("typeMeta") or {}
        kind, version = about.get("kind", ""), about.get("apiVersion", "")
        if kind not in KINDS:
            raise not_modelled(f"the protobuf form of {kind or 'an object without a kind'}")
        raw = base64.b64decode(envelope.get("raw", ""))
        return {"kind": kind, "apiVersion": version, **_message(raw, kind)}
    except _Broken as error:
        raise bad_request(f"unable to decode the protobuf message: {error}") from None


def _message(data: bytes, name: str, depth: int = 0) -> Json:
    """The members of a message."""
    if depth > 30:
        raise _Broken("it is nested too deeply")
    fields = MESSAGES[name]
    found: Json = {}
    for number, value in _fields(data):
        described = fields.get(number)
        if described is None:
            raise not_modelled(f"field {number} of the protobuf form of {name}")
        member, kind = described
        if kind.startswith("["):
            found.setdefault(member, []).append(_value(value, kind[1:], depth))
        elif kind.startswith("{"):
            key, part = _entry(value, kind[1:], depth)
            found.setdefault(member, {})[key] = part
        else:
            found[member] = _value(value, kind, depth)
    # Go writes empty text for what is not set.
    return {key: part for key, part in found.items() if part not in ("", None)}


def _entry(value: int | bytes, kind: str, depth: int) -> tuple[str, Any]:
    """A member of a map."""
    parts: dict[int, int | bytes] = dict(_fields(_bytes(value)))
    key = _value(parts.get(1, b""), "string", depth)
    return key, _value(parts.get(2, b""), kind, depth)


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise _Broken("a number stands where bytes are due")
    return value


def _value(value: int | bytes, kind: str, depth: int) -> Any:
    if kind in {"int", "bool"}:
        if not isinstance(value, int):
            raise _Broken("bytes stand where a number is due")
        if kind == "bool":
            return bool(value)
        return value - 2**64 if value >= 2**63 else value
    data = _bytes(value)
    if kind == "string":
        try:
            return data.decode()
        except UnicodeError:
            raise _Broken("a text is not UTF-8") from None
    if kind == "bytes":
        return base64.b64encode(data).decode()
    if kind in {"Time", "MicroTime"}:
        return _time(_message(data, "Time", depth + 1), micro=kind == "MicroTime")
    return _message(data, kind, depth + 1)


def _time(parts: Json, *, micro: bool) -> str | None:
    if not parts:
        return None
    try:
        moment = _EPOCH + timedelta(
            seconds=parts.get("seconds", 0), microseconds=parts.get("nanos", 0) // 1000
        )
    except OverflowError:
        raise _Broken("a time is out of range") from None
    if moment.year < 1000:
        return None  # Go's zero time
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field, in their order."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            size, position = _varint(data, position)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            raise _Broken(f"wire type {wire} is not in use")
        if position + size > len(data):
            raise _Broken("unexpected EOF")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        if position >= len(data):
            raise _Broken("unexpected EOF")
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 63:
            raise _Broken("integer overflow")
