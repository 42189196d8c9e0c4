"""Rules that other rules make idle: duplicates, denies over allows, names nobody looks up.

Belongs here: comparing the rules of one object, or of several that meet. Does not belong here:
what a rule means by itself.
Covering is judged by the text of the rules, so what is said holds in every cluster; a rule that is
covered only by several others together is not found.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from acns_chaos.policy.compile import SECTIONS, Rule, specs
from acns_chaos.policy.names import NameMatch
from acns_chaos.policy.peers import CidrPeer, LabelPeer, NamePeer, Peer, PeerSet
from acns_chaos.policy.ports import PortEntry, PortSet
from acns_chaos.policy.quoting import clipped
from acns_chaos.policy.requests import DNS, HTTP
from acns_chaos.policy.selectors import RESERVED, Selector
from acns_chaos.policy.validity_idle_ports import dns_matches

Said = tuple[str, str]

_MOST_COMPARED = 200
_WORLD = frozenset({"world", "world-ipv4", "world-ipv6"})


def pair_findings(stored: Mapping[str, Any], rules: tuple[Rule, ...]) -> Iterator[Said]:
    """Which rules of one object are idle because of others of it, as (path, sentence).

    Args:
        stored: the object.
        rules: its rules; a large object is compared only in part.
    """
    yield from _duplicates(stored)
    few = rules[:_MOST_COMPARED]
    yield from shadowed(few, few, same_object=True)
    yield from _unfiltered(few)


def _duplicates(stored: Mapping[str, Any]) -> Iterator[Said]:
    if stored.get("kind") == "NetworkPolicy":
        spec = stored.get("spec") or {}
        lists = [(f"spec.{d}", spec.get(d) or ()) for d in ("ingress", "egress")]
    else:
        lists = [
            (f"{path}.{section}", spec.get(section) or ())
            for path, spec in specs(stored)
            for section in SECTIONS
        ]
    for path, items in lists:
        for number, item in enumerate(items[:_MOST_COMPARED]):
            first = items.index(item)
            if first < number and item:
                yield (
                    f"{path}[{number}]",
                    (f"it says the same as {path}[{first}]; take one of them out, or correct it."),
                )


def shadowed(
    allows: Iterable[Rule], denies: Iterable[Rule], *, same_object: bool
) -> Iterator[Said]:
    """Allow rules that a deny rule overrides entirely, as (path, sentence).

    Args:
        allows: rules of one object.
        denies: rules of the same object or of others.
        same_object: the sentence need not name the object of the deny.
    """
    denies = [rule for rule in denies if rule.deny and _says_something(rule)]
    for allow in allows:
        if allow.deny or not _says_something(allow):
            continue
        for deny in denies:
            if (
                deny.direction == allow.direction
                and deny.host is allow.host
                and _narrower(allow.subject, deny.subject)
                and _peers_covered(allow.peers, deny.peers)
                and _ports_covered(allow.ports, deny.ports)
            ):
                by = deny.ref.path if same_object else str(deny.ref)
                yield (
                    allow.ref.path,
                    (
                        f"{by} denies all that it allows, and a deny always wins, so it allows "
                        "nothing; take one of the two out, or narrow the deny."
                    ),
                )
                break


def _unfiltered(rules: tuple[Rule, ...]) -> Iterator[Said]:
    """Layer-7 rules beside a plain rule for the same peers and ports."""
    plain = [
        rule
        for rule in rules
        if not rule.deny and _says_something(rule) and not _proxied(rule.ports)
    ]
    for rule in rules:
        kinds = {entry.requests.kind for entry in rule.ports.entries if entry.requests}
        if rule.deny or not kinds or not kinds <= {HTTP, DNS}:
            continue
        for other in plain:
            if (
                other.direction == rule.direction
                and other.host is rule.host
                and other.subject.requirements == rule.subject.requirements
                # A rule for all ports opens no names: the DNS proxy asks the port's own rules.
                and (kinds == {HTTP} or not other.ports.all)
                and _peers_covered(rule.peers, other.peers)
                and _ports_covered(rule.ports, other.ports, exactly=kinds != {HTTP})
            ):
                yield (
                    rule.ref.path,
                    (
                        f"{other.ref.path} allows the same peers these ports without layer-7 "
                        "rules, so every request passes; narrow that rule, or take the layer-7 "
                        "rules out."
                    ),
                )
                break


def unlearnt(stored: Mapping[str, Any], elsewhere: Iterable[NameMatch]) -> Iterator[Said]:
    """Names of toFQDNs that no DNS rule lets the agents learn, as (path, sentence).

    Args:
        stored: an object of Cilium's kinds.
        elsewhere: the names that DNS rules of other objects let its pods look up.
    """
    admitted = [match for _, spec in specs(stored) for match in dns_matches(spec)]
    admitted += elsewhere
    for path, spec in specs(stored):
        for number, item in enumerate(spec.get("egress") or ()):
            here = f"{path}.egress[{number}].toFQDNs"
            yield from _unlearnt(item.get("toFQDNs") or (), here, admitted)


def _unlearnt(
    items: Sequence[Mapping[str, Any]], path: str, admitted: list[NameMatch]
) -> Iterator[Said]:
    if items and not admitted:
        yield (
            path,
            (
                "addresses are learnt from lookups that a DNS rule sends through the proxy, and "
                "there is none, so the names stay unknown and the connections drop; add a rule "
                "for port 53 of kube-dns with rules.dns."
            ),
        )
        return
    for number, one in enumerate(items):
        name = one.get("matchName") or ""
        if name and not any(match.matches(name) for match in admitted):
            yield (
                f"{path}[{number}]",
                (
                    f"no DNS rule lets {clipped(name)} be looked up, so its addresses are never "
                    "learnt; add it to rules.dns."
                ),
            )


def _says_something(rule: Rule) -> bool:
    peers = rule.peers.everyone or bool(rule.peers.members)
    return peers and (rule.ports.all or bool(rule.ports.entries))


def _proxied(ports: PortSet) -> bool:
    return any(entry.requests is not None for entry in ports.entries)


def _narrower(one: Selector, other: Selector) -> bool:
    """Whether all that one selector selects is surely selected by the other."""
    return set(other.requirements) <= set(one.requirements)


def _peers_covered(peers: PeerSet, wider: PeerSet) -> bool:
    if wider.everyone:
        return True
    if peers.everyone:
        return any(member.wildcard for member in wider.members)
    return all(any(_covers(w, p) for w in wider.members) for p in peers.members)


def _covers(wide: Peer, peer: Peer) -> bool:
    if wide == peer or wide.wildcard:
        return True
    if isinstance(wide, LabelPeer):
        if isinstance(peer, LabelPeer):
            return all(any(_narrower(p, w) for w in wide.selectors) for p in peer.selectors)
        reserved = {
            s.requirements[0].key
            for s in wide.selectors
            if len(s.requirements) == 1 and s.requirements[0].source == RESERVED
        }
        return isinstance(peer, CidrPeer | NamePeer) and reserved >= _WORLD
    if isinstance(wide, CidrPeer) and isinstance(peer, CidrPeer):
        return (
            wide.network.version == peer.network.version
            and peer.network.subnet_of(wide.network)  # type: ignore[arg-type]
            and set(wide.excepts) <= set(peer.excepts)
        )
    return False


def _ports_covered(ports: PortSet, wider: PortSet, *, exactly: bool = False) -> bool:
    if wider.all:
        return True
    if ports.all:
        return False
    return all(
        any(_entry_covers(w, p, exactly=exactly) for w in wider.entries) for p in ports.entries
    )


def _entry_covers(wide: PortEntry, entry: PortEntry, *, exactly: bool) -> bool:
    if not entry.protocols <= wide.protocols or wide.name != entry.name:
        return False
    if exactly:
        return (wide.low, wide.high) == (entry.low, entry.high)
    return wide.low <= entry.low and entry.high <= wide.high
