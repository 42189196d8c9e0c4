"""Layer 7: which requests a proxied port admits.

Belongs here: HTTP, DNS and TLS server-name rules, and matching one request. Does not belong
here: which rules take part in a request's judgement (`verdict`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from acns_chaos.policy.names import NameMatch
from acns_chaos.policy.regexes import go_regex

HTTP = "http"
DNS = "dns"
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Requests:
    """The layer-7 part of one toPorts item.

    Attributes:
        kind: "http", "dns", or "other": a proxy that this engine does not judge requests of
            (Kafka, custom parsers, listeners).
        http: HTTP items, ORed.
        dns: DNS items, ORed.
        server_names: admitted TLS server names; empty admits all.
    """

    kind: str
    http: tuple[Mapping[str, Any], ...] = ()
    dns: tuple[NameMatch, ...] = ()
    server_names: tuple[str, ...] = ()

    def allows_query(self, name: str) -> bool:
        """Whether a DNS query for the name passes."""
        return any(item.matches(name) for item in self.dns)

    def allows_http(self, request: Mapping[str, Any]) -> bool:
        """Whether an HTTP request passes.

        Args:
            request: {"method", "path", "host", "headers"}; host is also the TLS server name.
        """
        if self.server_names and not _server_name(self.server_names, str(request.get("host", ""))):
            return False
        return not self.http or any(_http_item(item, request) for item in self.http)


def read_requests(item: Mapping[str, Any]) -> Requests | None:
    """The layer-7 part of a raw toPorts item, or None when it is a plain port rule.

    `rules: {}` and empty lists in it filter nothing.
    """
    rules = item.get("rules") or {}
    server_names = tuple(item.get("serverNames") or ())
    if rules.get("dns"):
        matches = tuple(NameMatch.of(raw, dns_rule=True) for raw in rules["dns"])
        return Requests(DNS, dns=matches)
    if rules.get("http"):
        return Requests(HTTP, http=tuple(rules["http"]), server_names=server_names)
    if rules.get("kafka") or rules.get("l7proto") or item.get("listener"):
        return Requests(OTHER)
    if server_names or item.get("terminatingTLS") or item.get("originatingTLS"):
        return Requests(HTTP, server_names=server_names)
    return None


def _full_match(pattern: str, value: str) -> bool:
    regex = go_regex(pattern)
    return regex is not None and regex.fullmatch(value) is not None


def _http_item(item: Mapping[str, Any], request: Mapping[str, Any]) -> bool:
    for name in ("path", "method", "host"):
        pattern = item.get(name)
        if pattern and not _full_match(pattern, str(request.get(name) or "")):
            return False
    headers = {str(k).lower(): str(v) for k, v in (request.get("headers") or {}).items()}
    return all(_header(line, headers) for line in item.get("headers") or ()) and all(
        _header_match(match, headers) for match in item.get("headerMatches") or ()
    )


def _header(line: str, headers: Mapping[str, str]) -> bool:
    """A condition "Name" or "Name: value": presence, or the exact value."""
    name, _, value = line.strip().partition(" ")
    name = name.rstrip(":")
    found = headers.get(name.lower())
    return found is not None and (not value.strip() or found == value.strip())


def _header_match(match: Mapping[str, Any], headers: Mapping[str, str]) -> bool:
    if match.get("mismatch"):
        return True  # A mismatch is logged or mended, the request passes.
    found = headers.get(str(match.get("name", "")).lower())
    value = match.get("value")
    return found is not None and (not value or found == value)


def _server_name(patterns: Sequence[str], name: str) -> bool:
    return any(_server_name_regex(pattern).fullmatch(name.lower()) for pattern in patterns)


@lru_cache(maxsize=1024)
def _server_name_regex(pattern: str) -> re.Pattern[str]:
    label = "[-a-z0-9_]+"
    regex = re.escape(pattern.lower())
    if pattern.startswith("**."):
        regex = rf"({label}\.)+" + re.escape(pattern.lower()[3:])
    elif pattern.startswith("*."):
        regex = rf"{label}\." + re.escape(pattern.lower()[2:])
    return re.compile(regex)
