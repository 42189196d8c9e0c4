"""Dropped flows as a person counts them: who, to whom, on what, why; each packet once.

Hubble tells a dropped packet twice (a policy verdict, and a drop), a refused name once. Belongs
here: putting flows together. Does not belong here: which policy is behind them (`walks`).
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from acns_chaos.cluster.hubble import Peer, PolicyName, SeenFlow
from acns_chaos.evidence.values import text

__all__ = ["NOISE", "POLICY", "PROXY", "Drops", "clock", "grouped"]

# By policy, by the proxy that policy sent it to, or by something else.
POLICY, PROXY, NOISE = "policy", "proxy", "noise"
LONGEST = 120
_BY_POLICY = ("POLICY_DENIED", "POLICY_DENY")


@dataclass(frozen=True, slots=True)
class Drops:
    """Packets or requests that were dropped alike.

    Attributes:
        by: POLICY, PROXY or NOISE.
        reason: Hubble's word; "" for what the proxy refused.
        direction: "ingress", "egress" or "".
        source, destination: as the newest of these flows had them; all are of one identity.
        addresses: how many addresses the sources had.
        protocol: "TCP", ...; "" unknown.
        port: of the destination; 0 without one.
        query: the name that was asked for, "" for none.
        count: how many.
        first, last: seconds since 1970, by the nodes' clocks.
        nodes: which saw them.
        named: policies that the flows themselves name.
    """

    by: str
    reason: str
    direction: str
    source: Peer
    destination: Peer
    addresses: int
    protocol: str
    port: int
    query: str
    count: int
    first: float
    last: float
    nodes: tuple[str, ...]
    named: tuple[PolicyName, ...]

    @property
    def sentence(self) -> str:
        """What was seen, for people."""
        ends = f"from {self.sender} to {called(self.destination)}"
        when = f"first at {datetime.fromtimestamp(self.first, UTC):%Y-%m-%d} {clock(self.first)}"
        if self.count > 1:
            when += f", last at {clock(self.last)}"
        if self.query:
            name = self.query.rstrip(".")
            many = f"{self.count} lookup{_s(self.count)} of {name}"
            return f"The DNS proxy refused {many} {ends}, {when}."
        if self.by == PROXY:
            many = f"{self.count} request{_s(self.count)}"
            return f"The layer-7 proxy refused {many} {ends} on {self.traffic}, {when}."
        at = f" at {self.direction}" if self.direction else ""
        many = f"{self.count} packet{_s(self.count)}"
        return f"Hubble saw {many} {ends} on {self.traffic} dropped{at} ({self.reason}), {when}."

    @property
    def sender(self) -> str:
        """Who sent it, for people."""
        if self.addresses > 1 and not self.source.pod and not self.source.workload:
            return f"{text(self.source.name, LONGEST)} ({self.addresses} addresses)"
        return called(self.source)

    @property
    def traffic(self) -> str:
        """The port for people: "8080/TCP"."""
        return f"{self.port}/{self.protocol}" if self.port else self.protocol or "some protocol"

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "by": self.by,
            "reason": self.reason,
            "direction": self.direction,
            "source": self.sender,
            "destination": called(self.destination),
            "traffic": self.traffic,
            "query": self.query,
            "count": self.count,
            "first": _iso(self.first),
            "last": _iso(self.last),
            "nodes": list(self.nodes),
            "named_by_hubble": [f"{one.namespace}/{one.name}" for one in self.named],
        }


def grouped(flows: Iterable[SeenFlow]) -> list[Drops]:
    """Put dropped flows together.

    Args:
        flows: any; those that were not dropped do not count.

    Returns:
        First what policy dropped, then what its proxy refused, then the rest; most frequent first.
    """
    together: dict[tuple[Any, ...], list[SeenFlow]] = {}
    for flow in flows:
        if flow.verdict != "DROPPED":
            continue
        # Policy knows identities, not addresses.
        ends = (_identity(flow.source), _identity(flow.destination))
        key = (_by(flow), flow.reason, flow.direction, *ends, flow.protocol, flow.port)
        together.setdefault((*key, flow.dns_query.lower()), []).append(flow)
    found = [_drops(several) for several in together.values()]
    order = (POLICY, PROXY, NOISE)
    return sorted(found, key=lambda one: (order.index(one.by), -one.count, one.first))


def _by(flow: SeenFlow) -> str:
    if flow.reason in _BY_POLICY:
        return POLICY
    return PROXY if flow.denied else NOISE


def _drops(several: list[SeenFlow]) -> Drops:
    newest = max(several, key=lambda flow: flow.at)
    # Each packet is in one of the two kinds at least, and at most once in each.
    kinds = Counter(flow.kind for flow in several)
    named = dict.fromkeys(name for flow in several for name in flow.denied_by)
    return Drops(
        _by(newest),
        text(newest.reason, LONGEST),
        newest.direction,
        newest.source,
        newest.destination,
        len({flow.source.ip for flow in several}),
        text(newest.protocol, LONGEST),
        newest.port,
        text(newest.dns_query, LONGEST),
        max(kinds.values()),
        min(flow.at for flow in several),
        newest.at,
        tuple(sorted({text(flow.node, LONGEST) for flow in several if flow.node})),
        tuple(named),
    )


def _identity(peer: Peer) -> tuple[str, int]:
    # Without a number, as in a file that was thinned out, the address tells outsiders apart.
    outside = not (peer.identity or peer.pod or peer.workload)
    return (called(peer) if outside else peer.name), peer.identity


def called(peer: Peer) -> str:
    """Name a side: its workload, or what it is outside the cluster, with its address."""
    # A file may say anything, also what moves a terminal's cursor.
    if peer.pod or peer.workload or not peer.ip or peer.name == peer.ip:
        return text(peer.name, LONGEST)
    return text(f"{peer.name} ({peer.ip})", LONGEST)


def clock(at: float) -> str:
    """A moment for people: "21:22:53.928 UTC"."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}"[:12] + " UTC"


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
