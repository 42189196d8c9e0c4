"""Ports: which destination ports, protocols and ICMP types a rule item is about.

Belongs here: toPorts and icmps. Does not belong here: peers, and who gives a port its name.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.errors import PolicyError
from acns_chaos.policy.requests import Requests, read_requests

TRANSPORT = ("TCP", "UDP", "SCTP")
EXTENDED = ("VRRP", "IGMP")
ICMP_PROTOCOLS = {"IPv4": "ICMP", "IPv6": "ICMPv6"}
MAX_PORT = 65535
PROTOCOLS = frozenset({*TRANSPORT, *EXTENDED, *ICMP_PROTOCOLS.values()})
_ECHO_REQUEST = {"ICMP": 8, "ICMPv6": 128}

ICMP_TYPES: Mapping[str, Mapping[str, int]] = {
    "IPv4": {
        "EchoReply": 0,
        "DestinationUnreachable": 3,
        "Redirect": 5,
        "Echo": 8,
        "EchoRequest": 8,
        "RouterAdvertisement": 9,
        "RouterSelection": 10,
        "TimeExceeded": 11,
        "ParameterProblem": 12,
        "Timestamp": 13,
        "TimestampReply": 14,
        "Photuris": 40,
        "ExtendedEchoRequest": 42,
        "ExtendedEchoReply": 43,
    },
    "IPv6": {
        "DestinationUnreachable": 1,
        "PacketTooBig": 2,
        "TimeExceeded": 3,
        "ParameterProblem": 4,
        "EchoRequest": 128,
        "EchoReply": 129,
        "MulticastListenerQuery": 130,
        "MulticastListenerReport": 131,
        "MulticastListenerDone": 132,
        "RouterSolicitation": 133,
        "RouterAdvertisement": 134,
        "NeighborSolicitation": 135,
        "NeighborAdvertisement": 136,
        "RedirectMessage": 137,
        "RouterRenumbering": 138,
        "ICMPNodeInformationQuery": 139,
        "ICMPNodeInformationResponse": 140,
        "InverseNeighborDiscoverySolicitation": 141,
        "InverseNeighborDiscoveryAdvertisement": 142,
        "HomeAgentAddressDiscoveryRequest": 144,
        "HomeAgentAddressDiscoveryReply": 145,
        "MobilePrefixSolicitation": 146,
        "MobilePrefixAdvertisement": 147,
        "DuplicateAddressRequestCodeSuffix": 157,
        "DuplicateAddressConfirmationCodeSuffix": 158,
        "ExtendedEchoRequest": 160,
        "ExtendedEchoReply": 161,
    },
}

_SERVICE_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-zA-Z])[a-zA-Z0-9]+(-[a-zA-Z0-9]+)*")

NamedPorts = Callable[[str, str], int | None]
"""(name, protocol) to the number that pods give it, None when unknown or in conflict."""


@dataclass(frozen=True, slots=True)
class PortEntry:
    """One port, range or ICMP type.

    Attributes:
        protocols: that it is about.
        low: first port or the ICMP type.
        high: last port; 0 to 65535 is every port of the protocols.
        name: of a named port, else "".
        requests: its layer-7 part, None for a plain port.
    """

    protocols: frozenset[str]
    low: int
    high: int
    name: str = ""
    requests: Requests | None = None

    def matches(self, port: int, protocol: str, named: NamedPorts) -> bool:
        """Whether a flow's port (for ICMP: type) and protocol are meant."""
        if protocol not in self.protocols:
            return False
        if self.name:
            return named(self.name, protocol) == port
        return self.low <= port <= self.high

    @property
    def single(self) -> bool:
        """It names exactly one port; DNS rules only see such entries of their own port."""
        return bool(self.name) or self.low == self.high

    def __str__(self) -> str:
        protocols = "ANY" if self.protocols == frozenset(TRANSPORT) else min(self.protocols)
        if protocols in ICMP_PROTOCOLS.values():
            return protocols if self.high > self.low else f"{protocols} type {self.low}"
        if self.name:
            return f"port {self.name}/{protocols}"
        if (self.low, self.high) == (0, MAX_PORT):
            return f"every {protocols} port" if protocols != "ANY" else "every port"
        ports = str(self.low) if self.low == self.high else f"{self.low}-{self.high}"
        return f"port {ports}/{protocols}"


@dataclass(frozen=True, slots=True)
class PortSet:
    """The ports of one rule item, ORed.

    Attributes:
        entries: the alternatives; with `all` False and no entries, nothing is meant.
        all: the item has no restriction: every protocol, ICMP too.
    """

    entries: tuple[PortEntry, ...] = ()
    all: bool = False

    def matches(self, port: int, protocol: str, named: NamedPorts) -> bool:
        """Whether a flow's port and protocol are meant."""
        return self.all or any(e.matches(port, protocol, named) for e in self.entries)

    def matching(self, port: int, protocol: str, named: NamedPorts) -> list[PortEntry]:
        """The entries that mean a flow's port and protocol."""
        return [e for e in self.entries if e.matches(port, protocol, named)]

    @property
    def text(self) -> str:
        """For people, e.g. "port 80/TCP or port 443/TCP"."""
        if self.all:
            return "every port"
        return " or ".join(dict.fromkeys(str(e) for e in self.entries)) or "no port"


def is_service_name(text: str) -> bool:
    """Whether a port is written as a name ("http"), not as a number."""
    return _SERVICE_NAME.fullmatch(text) is not None


def parse_number(text: str) -> int | None:
    """A port number as the agent reads it, or None. Names are not numbers, "0x50" is a name."""
    if not re.fullmatch(r"[0-9]+", text):
        return None
    # A leading 0 means octal to the agent; "08" is no number.
    if len(text) > 1 and text.startswith("0"):
        if not re.fullmatch(r"[0-7]+", text):
            return None
        number = int(text, 8)
    else:
        number = int(text[:6])  # Python refuses to read thousands of digits.
    return number if number <= MAX_PORT else None


def port_entry(raw: Mapping[str, Any], requests: Requests | None) -> PortEntry:
    """One item of `ports` of a valid toPorts item."""
    protocol = str(raw.get("protocol") or "ANY").upper()
    protocols = frozenset(TRANSPORT if protocol == "ANY" else (protocol,))
    text = str(raw.get("port") or "0")
    number = parse_number(text)
    if number is None:
        return PortEntry(protocols, -1, -1, text.lower(), requests)
    last = raw.get("endPort") or 0
    if number == 0 and last == 0:
        return PortEntry(protocols, 0, MAX_PORT, "", requests)
    return PortEntry(protocols, number, max(number, last), "", requests)


def icmp_type(raw: Mapping[str, Any]) -> int | None:
    """The type number of an item of `fields`, None when it is no type of its family."""
    written = raw.get("type")
    if isinstance(written, int):
        return written if 0 <= written <= 255 else None
    text = str(written)
    if text.isdecimal():
        return int(text) if len(text) < 100 and int(text) <= 255 else None
    return ICMP_TYPES.get(raw.get("family") or "IPv4", {}).get(text)


def _icmp_entry(raw: Mapping[str, Any]) -> PortEntry:
    number = icmp_type(raw)
    protocols = frozenset({ICMP_PROTOCOLS[raw.get("family") or "IPv4"]})
    # The type stands in the port field of the policy map, where 0 is the wildcard.
    return PortEntry(protocols, number or 0, number or MAX_PORT)


def rule_ports(item: Mapping[str, Any], *, deny: bool = False) -> PortSet:
    """The ports of one rule item of a valid CiliumNetworkPolicy or its clusterwide form.

    Args:
        item: the raw item.
        deny: it is a deny item: it knows no layer 7, the API server prunes it.
    """
    if not item.get("toPorts") and not item.get("icmps"):
        return PortSet(all=True)
    entries: list[PortEntry] = []
    for port_rule in item.get("toPorts") or ():
        requests = None if deny else read_requests(port_rule)
        entries += [port_entry(raw, requests) for raw in port_rule.get("ports") or ()]
    for icmp_rule in item.get("icmps") or ():
        entries += [_icmp_entry(raw) for raw in icmp_rule.get("fields") or ()]
    return PortSet(tuple(entries))


def any_requests(entries: Iterable[PortEntry]) -> bool:
    """Whether some entry goes to a proxy."""
    return any(entry.requests is not None for entry in entries)


def port_number(port: int | None, protocol: str, icmp_type: int | None = None) -> int:
    """The number that rules compare: the port, or for ICMP the type.

    Args:
        port: destination port; None for ICMP.
        protocol: of the flow.
        icmp_type: for ICMP; an echo request when None.

    Raises:
        PolicyError: the protocol is not known, or the port is none.
    """
    if protocol not in PROTOCOLS:
        known = ", ".join(sorted(PROTOCOLS))
        raise PolicyError(f"Protocol {protocol!r} of a flow is not known; use one of {known}.")
    if protocol in _ECHO_REQUEST:
        return _ECHO_REQUEST[protocol] if icmp_type is None else icmp_type
    if port is None or not 0 <= port <= MAX_PORT:
        raise PolicyError(
            f"A {protocol} flow to port {port} cannot be judged; give a port from 0 to {MAX_PORT}."
        )
    return port
