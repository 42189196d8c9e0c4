"""Addresses outside the cluster: prefixes, exceptions, CIDR groups.

Belongs here: prefix arithmetic and CiliumCIDRGroup objects. Does not belong here: which rules
use them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Self

from acns_chaos.policy.schema_native import CIDR_GROUP
from acns_chaos.policy.shape import require_shape

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

GROUP_SOURCE = "cidrgroup"
GROUP_NAME_KEY = "io.cilium.policy.cidrgroupname/"

_LONGEST = 64  # characters; what is longer is no address, and must not fill a cache
_PREFIX = re.compile(r"[^/%]+/(0|[1-9][0-9]{0,2})")


def parse_address(text: str) -> Address | None:
    """An address, or None when the text is none."""
    return _parse_address(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=65536)
def _parse_address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def parse_prefix(text: str) -> Network | None:
    """A prefix in the notation address/length with the host bits masked off, or None.

    A netmask ("10.0.0.0/255.0.0.0") is no prefix to Cilium.
    """
    return _parse_prefix(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=65536)
def _parse_prefix(text: str) -> Network | None:
    if not _PREFIX.fullmatch(text):
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def parse_prefix_or_address(text: str) -> Network | None:
    """A prefix, or an address as the prefix that holds only it; None when it is neither."""
    if "/" in text:
        return parse_prefix(text)
    address = parse_address(text)
    return None if address is None or "%" in text else ip_network(address)


@lru_cache(maxsize=65536)
def inside(network: Network, ip: str) -> bool:
    """Whether an address, as text, lies in a network; an unknown one does not."""
    address = parse_address(ip) if ip else None
    return address is not None and address.version == network.version and address in network


@dataclass(frozen=True, slots=True)
class CidrGroup:
    """A CiliumCIDRGroup.

    Attributes:
        name: its name.
        labels: what policy sees of it on the addresses it holds, each "cidrgroup:key=value".
        networks: its externalCIDRs.
    """

    name: str
    labels: frozenset[str]
    networks: tuple[Network, ...]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """The group from its raw object; unusable prefixes are left out, as the agent does.

        Args:
            raw: a CiliumCIDRGroup.

        Raises:
            PolicyError: it cannot be read.
        """
        require_shape(raw, CIDR_GROUP, "CiliumCIDRGroup")
        metadata = raw.get("metadata") or {}
        name = str(metadata.get("name", ""))
        labels = {f"{GROUP_SOURCE}:{GROUP_NAME_KEY}{name}="}
        labels |= {f"{GROUP_SOURCE}:{k}={v}" for k, v in (metadata.get("labels") or {}).items()}
        written = (raw.get("spec") or {}).get("externalCIDRs") or ()
        networks = (parse_prefix_or_address(str(prefix)) for prefix in written)
        return cls(name, frozenset(labels), tuple(n for n in networks if n is not None))

    def holds(self, ip: str) -> bool:
        """Whether an address belongs to the group."""
        return any(inside(network, ip) for network in self.networks)


def group_labels(groups: Iterable[CidrGroup], ip: str) -> frozenset[str]:
    """The labels an outside address has from its CIDR groups."""
    return frozenset[str]().union(*(g.labels for g in groups if g.holds(ip)))
