"""The kinds of peer: identities by label, addresses, CIDR groups, names; and sets of them.

Belongs here: whether a peer selects an endpoint. Does not belong here: reading the fields of a
rule (`peer_fields`), ports, and what follows from a match.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from acns_chaos.policy import names
from acns_chaos.policy.addresses import CidrGroup, Network, group_labels, inside
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.selectors import RESERVED, Requirement, Selector, index_labels

if TYPE_CHECKING:
    from acns_chaos.policy.matrix_population import Population

_WORLD_LABELS = frozenset({"reserved:world=", "reserved:world-ipv4=", "reserved:world-ipv6="})
# The entity's selector, and the same as a label that a person writes.
_HOST_ALONE = (
    (Requirement(RESERVED, "host", "Exists"),),
    (Requirement(RESERVED, "host", "In", frozenset({""})),),
)


class Peer(Protocol):
    """One alternative among the peers of a rule item."""

    @property
    def text(self) -> str:
        """For people."""

    @property
    def wildcard(self) -> bool:
        """It selects everything and so names nobody."""

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether it selects the endpoint."""

    def among(self, population: "Population") -> int:
        """All whom it selects, as a bitset."""


@dataclass(frozen=True, slots=True)
class LabelPeer:
    """Identities by their labels: endpoint selectors, entities, nodes, services with a selector."""

    selectors: tuple[Selector, ...]
    text: str

    @property
    def wildcard(self) -> bool:
        """One of the selectors has no condition."""
        return any(not selector.requirements for selector in self.selectors)

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether one of the selectors does."""
        return any(selector.matches(endpoint.labels) for selector in self.selectors)

    def among(self, population: "Population") -> int:
        """All whom one of the selectors selects, as a bitset."""
        found = 0
        for selector in self.selectors:
            found |= population.meeting(selector.requirements)
        return found


@dataclass(frozen=True, slots=True)
class CidrPeer:
    """Outside addresses in a prefix, but not in its exceptions; never pods or nodes."""

    network: Network
    excepts: tuple[Network, ...]
    text: str
    ipv6: bool
    wildcard: bool = False

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether its address is in the prefix and in no exception."""
        if not is_outside(endpoint):
            return False
        if any(inside(hole, endpoint.ip) for hole in self.excepts):
            return False
        if self.network.prefixlen == 0:
            # The whole family is the world selector: it needs no known address, and without
            # IPv6 there is no world-ipv6.
            if self.network.version == 6:
                return self.ipv6 and inside(self.network, endpoint.ip)
            return not endpoint.ip or inside(self.network, endpoint.ip)
        return inside(self.network, endpoint.ip)

    def among(self, population: "Population") -> int:
        """The outside addresses in the prefix, as a bitset."""
        return population.outside_where(self.matches)


@dataclass(frozen=True, slots=True)
class GroupPeer:
    """What carries the labels of CIDR groups.

    A selector with only NotIn and DoesNotExist is met by everything without such labels too, so
    by pods, nodes and addresses in no group.
    """

    requirements: tuple[Requirement, ...]
    excepts: tuple[Network, ...]
    groups: tuple[CidrGroup, ...]
    text: str
    wildcard: bool = False

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether the labels of its groups, if any, meet the conditions."""
        labels: frozenset[str] = frozenset()
        if is_outside(endpoint):
            if any(inside(hole, endpoint.ip) for hole in self.excepts):
                return False
            labels = group_labels(self.groups, endpoint.ip)
        return self._met_by(labels)

    def among(self, population: "Population") -> int:
        """All whom it selects, as a bitset: whoever is not outside is in no group."""
        inside = population.inside if self._met_by(frozenset()) else 0
        return inside | population.outside_where(self.matches)

    def _met_by(self, labels: frozenset[str]) -> bool:
        index = index_labels(labels)
        return all(requirement.matches(index) for requirement in self.requirements)


@dataclass(frozen=True, slots=True)
class NamePeer:
    """Outside addresses that the DNS proxy saw in an answer for a matching name."""

    match: names.NameMatch
    wildcard: bool = False

    @property
    def text(self) -> str:
        """The name or pattern."""
        return str(self.match)

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether one of the names it was learned under matches."""
        return is_outside(endpoint) and any(self.match.matches(name) for name in endpoint.fqdns)

    def among(self, population: "Population") -> int:
        """The outside addresses with such a name, as a bitset."""
        return population.outside_where(self.matches)


def is_outside(endpoint: Endpoint) -> bool:
    """Whether address-based rules can concern it: it carries a world label."""
    return not _WORLD_LABELS.isdisjoint(endpoint.labels)


@dataclass(frozen=True, slots=True, eq=False)
class PeerSet:
    """The peers of one rule item, ORed.

    Attributes:
        members: the alternatives; none means nobody, unless `everyone`.
        everyone: the item has ports but names no peer.
        why_nobody: when it selects nobody, the reason for people.
    """

    members: tuple[Peer, ...] = ()
    everyone: bool = False
    why_nobody: str = ""
    _seen: dict[Endpoint, bool] = field(default_factory=dict, repr=False)

    def matches(self, endpoint: Endpoint) -> bool:
        """Whether some alternative selects the endpoint."""
        if self.everyone:
            return True
        known = self._seen.get(endpoint)
        if known is None:
            known = any(member.matches(endpoint) for member in self.members)
            self._seen[endpoint] = known
        return known

    def among(self, population: "Population") -> int:
        """All whom some alternative selects, as a bitset."""
        if self.everyone:
            return population.everyone
        found = 0
        for member in self.members:
            found |= member.among(population)
        return found

    @property
    def names_host(self) -> bool:
        """Whether one of the selectors is the local host and nothing besides."""
        return any(
            selector.requirements in _HOST_ALONE
            for member in self.members
            if isinstance(member, LabelPeer)
            for selector in member.selectors
        )

    @property
    def text(self) -> str:
        """For people, e.g. "world or app=web in namespace pets"."""
        if self.everyone:
            return "every peer"
        return " or ".join(member.text for member in self.members) or "nobody"
