"""The patterns and formats of schemas: whether a text has the form that is asked for.

Belongs here: telling it in time that grows with the text's length only. Does not belong here:
which field asks for which form. Schemas are written for Go's engine, which never backtracks; the
patterns that Python's would take for ever over are recognised and checked by hand.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from string import ascii_letters, digits

PORT = (
    "^(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[0-9]{1,4})"
    "|([a-zA-Z0-9]-?)*[a-zA-Z](-?[a-zA-Z0-9])*$"
)
DNS_NAME = "^([-a-zA-Z0-9_]+[.]?)+$"
DNS_PATTERN = "^([-a-zA-Z0-9_*]+[.]?)+$"
SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
LABEL_VALUE = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
PRINTABLE = r"^\PC*$"

_LONGEST_PREFIX = 64
_LONGEST_TIME = 64


def _is_port(text: str) -> bool:
    """The port pattern is anchored on one side each: a digit in front, or a name at the end."""
    if text[:1] and text[0] in digits:
        return True
    tail = text[len(text.rstrip(ascii_letters + digits + "-")) :].rpartition("--")[2]
    return not tail.endswith("-") and any(sign in ascii_letters for sign in tail)


_BY_HAND: Mapping[str, Callable[[str], object]] = {
    PORT: _is_port,
    DNS_NAME: re.compile(r"[-a-zA-Z0-9_]+(?:[.][-a-zA-Z0-9_]+)*[.]?").fullmatch,
    DNS_PATTERN: re.compile(r"[-a-zA-Z0-9_*]+(?:[.][-a-zA-Z0-9_*]+)*[.]?").fullmatch,
    # RE2's \PC: no control and no unassigned character.
    PRINTABLE: re.compile(r"[^\x00-\x1f\x7f-\x9f]*").fullmatch,
}
_COMPILED: dict[str, re.Pattern[str]] = {}


def matches(pattern: str, text: str) -> bool:
    """Whether a text has the form of a schema's pattern.

    Args:
        pattern: as it stands in a schema, in Go's syntax; it comes from our schemas, never from a
            document.
        text: any text.
    """
    by_hand = _BY_HAND.get(pattern)
    if by_hand is not None:
        return bool(by_hand(text))
    if pattern not in _COMPILED:
        # Go's $ is the very end, Python's may stand before a last line feed.
        _COMPILED[pattern] = re.compile(re.sub(r"(?<!\\)\$(?=$|\))", r"\\Z", pattern))
    return _COMPILED[pattern].search(text) is not None


def has_format(name: str, text: str) -> bool:
    """Whether a text has one of the formats "cidr" and "date-time"."""
    return _FORMATS[name](text)


def _is_cidr(text: str) -> bool:
    """As Go's ParseCIDR: a prefix is needed, host bits are fine, zones are not."""
    address, slash, length = text.partition("/")
    if not slash or len(text) > _LONGEST_PREFIX or "%" in address:
        return False
    if not re.fullmatch(r"0|[1-9][0-9]{0,2}", length):
        return False
    try:
        ipaddress.ip_network(f"{address}/{length}", strict=False)
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    if len(text) > _LONGEST_TIME or not re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text, re.ASCII
    ):
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", text))
    except ValueError:
        return False
    return True


_FORMATS: Mapping[str, Callable[[str], bool]] = {"cidr": _is_cidr, "date-time": _is_time}
