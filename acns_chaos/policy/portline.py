"""Every port of every protocol on one line: exactly which of them one endpoint may reach.

Belongs here: sets of ports as spans, and which span two endpoints may use by one engine. Does not
belong here: comparing engines (`difference`).

A number on the line is a port and its protocol at once, so that union, difference and overlap of
what rules allow are plain arithmetic, and nothing is sampled.
"""

from collections.abc import Iterable, Sequence

from acns_chaos.policy.compile import Rule
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import EGRESS, INGRESS
from acns_chaos.policy.ports import EXTENDED, ICMP_PROTOCOLS, MAX_PORT, TRANSPORT, NamedPorts
from acns_chaos.policy.verdict import Engine

__all__ = [
    "EVERYTHING",
    "Openings",
    "Spans",
    "common",
    "first_port",
    "minus",
    "points",
    "spans_text",
    "union",
]

PROTOCOLS = (*TRANSPORT, *ICMP_PROTOCOLS.values(), *EXTENDED)
_SIZE = MAX_PORT + 1
_START = {protocol: number * _SIZE for number, protocol in enumerate(PROTOCOLS)}

Spans = tuple[tuple[int, int], ...]
"""Parts of the line, first and last number each; sorted, apart from each other."""

EVERYTHING: Spans = ((0, len(PROTOCOLS) * _SIZE - 1),)

# What a line of text can hold.
_MOST = 8


def union(parts: Iterable[tuple[int, int]]) -> Spans:
    """The parts of the line that lie in any of these."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(parts):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def points(ports: Iterable[tuple[int, str]]) -> Spans:
    """Single ports, each (number, protocol); two in a row stay two."""
    numbers = {_START[protocol] + number for number, protocol in ports if protocol in _START}
    return tuple((number, number) for number in sorted(numbers))


def minus(spans: Spans, taken: Spans) -> Spans:
    """What is left of spans without others."""
    left: list[tuple[int, int]] = []
    for low, high in spans:
        start = low
        for other_low, other_high in taken:
            if other_high < start or other_low > high:
                continue
            if other_low > start:
                left.append((start, other_low - 1))
            start = other_high + 1
        if start <= high:
            left.append((start, high))
    return tuple(left)


def common(one: Spans, other: Spans) -> Spans:
    """What lies in both."""
    if one == EVERYTHING:
        return other
    if other == EVERYTHING:
        return one
    return minus(one, minus(EVERYTHING, other))


class Openings:
    """What endpoints may send to each other, by one engine.

    Args:
        engine: who judges.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._sides: dict[tuple[str, Endpoint, Endpoint], Spans] = {}
        self._of_rules: dict[tuple[bool, tuple[int, ...]], Spans] = {}
        # Holds the rules that keys name by identity.
        self._kept: list[Rule] = []

    def between(self, source: Endpoint, destination: Endpoint) -> Spans:
        """The ports on which one endpoint may connect to another, both sides judged.

        Args:
            source: who opens connections.
            destination: who is asked.
        """
        return common(
            self.side(EGRESS, source, destination), self.side(INGRESS, destination, source)
        )

    def side(self, direction: str, subject: Endpoint, peer: Endpoint) -> Spans:
        """The ports that one side lets pass.

        Args:
            direction: "ingress" or "egress".
            subject: whose side it is.
            peer: the other side.
        """
        key = (direction, subject, peer)
        known = self._sides.get(key)
        if known is None:
            known = self._sides[key] = self._judged(direction, subject, peer)
        return known

    def _judged(self, direction: str, subject: Endpoint, peer: Endpoint) -> Spans:
        view = self._engine.view(direction, subject)
        if view.fixed is not None:
            return EVERYTHING
        rules = view.about(self._engine.identities.as_peer(peer))
        free = not view.enforced or self._engine.admits_unasked(direction, peer)
        if any(entry.name for rule in rules for entry in rule.ports.entries):
            named = self._engine.identities.named_ports(direction, subject, peer)
            return _allowed(rules, free=free, named=named)
        key = (free, tuple(map(id, rules)))
        known = self._of_rules.get(key)
        if known is None:
            self._kept.extend(rules)
            known = self._of_rules[key] = _allowed(rules, free=free, named=lambda *_: None)
        return known


def _allowed(rules: Sequence[Rule], *, free: bool, named: NamedPorts) -> Spans:
    """What rules that are about a peer let it do."""
    denied = union(part for rule in rules if rule.deny for part in _parts(rule, named))
    if free:
        return minus(EVERYTHING, denied)
    allowed = union(part for rule in rules if not rule.deny for part in _parts(rule, named))
    return minus(allowed, denied)


def _parts(rule: Rule, named: NamedPorts) -> Iterable[tuple[int, int]]:
    if rule.ports.all:
        return EVERYTHING
    found = []
    for entry in rule.ports.entries:
        for protocol in entry.protocols:
            start = _START[protocol]
            if entry.name:
                number = named(entry.name, protocol)
                if number is not None:
                    found.append((start + number, start + number))
            else:
                found.append((start + entry.low, start + entry.high))
    return found


def first_port(spans: Spans, wanted: Iterable[tuple[int, str]] = ()) -> tuple[int, str]:
    """A port of spans, as (number, protocol).

    Args:
        spans: not empty.
        wanted: ports to prefer where they lie in the spans.
    """
    for number, protocol in wanted:
        point = _START[protocol] + number
        if any(low <= point <= high for low, high in spans):
            return number, protocol
    low, high = spans[0]
    protocol = PROTOCOLS[low // _SIZE]
    # Port 0 is nobody's.
    return (low % _SIZE or min(1, high - low)), protocol


def as_ranges(spans: Spans) -> list[tuple[str, int, int]]:
    """The spans as (protocol, first port, last port)."""
    found = []
    for low, high in spans:
        for number in range(low // _SIZE, high // _SIZE + 1):
            start = number * _SIZE
            first, last = max(low - start, 0), min(high - start, MAX_PORT)
            found.append((PROTOCOLS[number], first, last))
    return found


def spans_text(spans: Spans) -> str:
    """Spans for people: "3000/TCP, 53/UDP" or "every port and protocol but 3000/TCP"."""
    if spans == EVERYTHING:
        return "every port and protocol"
    without = minus(EVERYTHING, spans)
    covered = sum(high - low + 1 for low, high in spans)
    if covered * 2 > EVERYTHING[0][1] and len(without) <= _MOST:
        return f"every port and protocol but {_ranges_text(without)}"
    return _ranges_text(spans)


def _ranges_text(spans: Spans) -> str:
    texts = [_range_text(*one) for one in as_ranges(spans)]
    more = f" and {len(texts) - _MOST} more" if len(texts) > _MOST else ""
    return ", ".join(texts[:_MOST]) + more


def _range_text(protocol: str, first: int, last: int) -> str:
    icmp = protocol in ICMP_PROTOCOLS.values()
    if protocol in EXTENDED or (first <= 1 and last == MAX_PORT):
        return protocol if icmp or protocol in EXTENDED else f"every {protocol} port"
    numbers = str(first) if first == last else f"{first}-{last}"
    return f"{protocol} type {numbers}" if icmp else f"{numbers}/{protocol}"
