"""What a subject's rules say about all peers and all asked ports at once.

Belongs here: adding up the rules' bitsets to what is denied. Does not belong here: what a rule's
parts match (`peers`, `ports`), and pairing the two sides (`matrix`).
"""

from collections.abc import Iterable, Sequence

from acns_chaos.policy.compile import Rule
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.identities import Identities
from acns_chaos.policy.matrix_population import Population
from acns_chaos.policy.model import EGRESS

Said = tuple[tuple[int, int], ...]
"""What one rule matches: (place of a port, bitset of peers)."""

Masks = tuple[tuple[int, int], ...]
"""By port: the peers that a deny rule refuses, and those that pass; nothing admits the rest."""


class Sayings:
    """What rules match, each worked out once.

    Args:
        population: the identities as peers.
        endpoints: the same, one endpoint each, in the same order.
        ports: what is asked: (number, protocol).
        identities: how the cluster sees them, for the meaning of port names.
    """

    def __init__(
        self,
        population: Population,
        endpoints: Sequence[Endpoint],
        ports: Sequence[tuple[int, str]],
        identities: Identities,
    ) -> None:
        self._population = population
        self._endpoints = endpoints
        self._ports = ports
        self._identities = identities
        self._plain: dict[Rule, Said] = {}
        self._named: dict[Rule, tuple[frozenset[str], dict[object, Said]]] = {}
        self._entries: dict[object, tuple[int, ...]] = {}
        self._namers: dict[frozenset[str], list[tuple[Endpoint, int]]] = {}

    def without(self, rules: Iterable[Rule]) -> "Sayings":
        """The same for another set of rules, which has lost these."""
        other = Sayings(self._population, self._endpoints, self._ports, self._identities)
        other._plain, other._named = dict(self._plain), dict(self._named)
        other._entries, other._namers = self._entries, self._namers
        for rule in rules:
            other._plain.pop(rule, None)
            other._named.pop(rule, None)
        return other

    def of(self, rule: Rule, subject: Endpoint) -> Said:
        """What a rule matches, for this subject."""
        said = self._plain.get(rule)
        if said is not None:
            return said
        names, known = self._named.get(rule) or (_names(rule), {})
        if not names:
            said = self._plain[rule] = self._without_names(rule)
            return said
        self._named[rule] = names, known
        own = tuple(port for port in subject.named_ports if port[0] in names)
        said = known.get(own)
        if said is None:
            said = known[own] = tuple(self._with_names(rule, subject, names))
        return said

    def _without_names(self, rule: Rule) -> Said:
        peers = rule.peers.among(self._population)
        if not peers:
            return ()
        if rule.ports.all:
            return tuple((place, peers) for place in range(len(self._ports)))
        places: set[int] = set()
        for entry in rule.ports.entries:
            key = (entry.protocols, entry.low, entry.high)
            meant = self._entries.get(key)
            if meant is None:
                meant = self._entries[key] = tuple(
                    place
                    for place, (number, protocol) in enumerate(self._ports)
                    if entry.matches(number, protocol, _nameless)
                )
            places.update(meant)
        return tuple((place, peers) for place in places)

    def _with_names(
        self, rule: Rule, subject: Endpoint, names: frozenset[str]
    ) -> Iterable[tuple[int, int]]:
        peers = rule.peers.among(self._population)
        for peer, alike in self._alike(names) if rule.direction == EGRESS else [(subject, peers)]:
            concerned = peers & alike
            if not concerned:
                continue
            meaning = self._identities.named_ports(rule.direction, subject, peer)
            for place, (number, protocol) in enumerate(self._ports):
                if rule.ports.matches(number, protocol, meaning):
                    yield place, concerned

    def _alike(self, names: frozenset[str]) -> list[tuple[Endpoint, int]]:
        """The peers, grouped by the ports to which they give these names."""
        groups = self._namers.get(names)
        if groups is None:
            places: dict[object, list[int]] = {}
            for place, endpoint in enumerate(self._endpoints):
                own = tuple(port for port in endpoint.named_ports if port[0] in names)
                places.setdefault(own, []).append(place)
            groups = self._namers[names] = [
                (self._endpoints[members[0]], self._population.bits(members))
                for members in places.values()
            ]
        return groups


def _names(rule: Rule) -> frozenset[str]:
    return frozenset(entry.name for entry in rule.ports.entries if entry.name)


def _nameless(name: str, protocol: str) -> int | None:  # noqa: ARG001 - a shape of ports.NamedPorts
    return None


def add_up(said: Iterable[tuple[bool, Said]], ports: int, unasked: int) -> Masks:
    """What a subject's rules come to.

    A deny rule beats every allow rule; what neither matches passes only where nobody asks.

    Args:
        said: of each rule: whether it denies, and what it matches.
        ports: how many are asked.
        unasked: who passes where no rule matches: everyone, where nothing is enforced.
    """
    denied, passing = [0] * ports, [unasked] * ports
    for deny, matched in said:
        target = denied if deny else passing
        for place, peers in matched:
            target[place] |= peers
    return tuple(
        (refused, admitted & ~refused if refused else admitted)
        for refused, admitted in zip(denied, passing, strict=True)
    )
