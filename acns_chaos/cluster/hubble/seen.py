"""What Hubble saw, as plain values: flows, and what it says of the flows that it could not show.

One dropped packet makes two flows, a policy verdict and a drop, the drop a moment later; the newest
event of a node stays hidden until a further one comes (reference captures, "Relay and observing").
So the verdict is what is seen of a lone drop: a packet is counted once, by whichever of its two
flows came. A name refused by the DNS proxy is an "l7" flow without a reason, and has no twin.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "NOWHERE",
    "WORLDS",
    "Dropped",
    "Event",
    "Evidence",
    "Grade",
    "LostEvents",
    "NodeNotice",
    "Peer",
    "PolicyName",
    "SeenFlow",
    "count_dropped",
    "evidence_of",
]

DROPPED = "DROPPED"
CONNECTED, UNAVAILABLE, GONE, ERROR = "CONNECTED", "UNAVAILABLE", "GONE", "ERROR"
RESTARTED, WRAPPED, REFUSED = "RESTARTED", "WRAPPED", "REFUSED"
RECONNECTED, UNREADABLE = "RECONNECTED", "UNREADABLE"
# A dual-stack cluster tells two worlds apart.
WORLDS = ("reserved:world", "reserved:world-ipv4", "reserved:world-ipv6")


@dataclass(frozen=True, slots=True)
class PolicyName:
    """A policy that a flow names.

    Attributes:
        revision: of the node's policy repository, 0 when not told.
    """

    namespace: str
    name: str
    kind: str
    revision: int


@dataclass(frozen=True, slots=True)
class Peer:
    """One side of a flow.

    Attributes:
        namespace, pod: "" outside the cluster.
        workload: name of its Deployment, StatefulSet, ...; "" unknown.
        identity: Cilium's number, 0 unknown.
        labels: "source:key=value", sorted, as "reserved:world".
        ip: its address.
        names: DNS names known for the address.
    """

    namespace: str
    pod: str
    workload: str
    identity: int
    labels: tuple[str, ...]
    ip: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """Say who it is in one word: namespace/workload, namespace/pod, an entity, or an address.

        The workload stands for the pod, because a pod's name changes and is never what was meant.
        """
        if self.pod or self.workload:
            return f"{self.namespace}/{self.workload or self.pod}"
        if self.names:
            return self.names[0]
        reserved = [one[9:] for one in self.labels if one.startswith("reserved:")]
        return reserved[0] if reserved else self.ip or "unknown"

    @property
    def is_world(self) -> bool:
        """Whether it is outside the cluster, by its labels."""
        return any(one.removesuffix("=") in WORLDS for one in self.labels)


NOWHERE = Peer("", "", "", 0, (), "", ())


@dataclass(frozen=True, slots=True)
class SeenFlow:
    """One flow.

    Attributes:
        at: seconds since 1970, by the node's clock.
        node: as "cluster/node".
        verdict: Hubble's word: FORWARDED, DROPPED, AUDIT, REDIRECTED, ERROR, TRACED, ...
        reason: of a drop: POLICY_DENIED (nothing allowed it), POLICY_DENY (a deny rule matched),
            ...; "" when there is none, as for a name that the DNS proxy refused.
        kind: "drop", "policy-verdict", "trace", "l7" or "other".
        direction: "ingress", "egress" or ""; on forwarded traces it is not to be trusted.
        protocol: "TCP", "UDP", "SCTP", "ICMPv4", "ICMPv6", ...; "" unknown.
        port: of the destination, the pod's and not the Service's; 0 without one.
        source_port: likewise.
        flags: as "SYN" or "SYN, ACK".
        reply: None when not known, as for every drop.
        denied_by: only filled for a deny rule, and only in a policy verdict.
        allowed_by: policies that let it pass.
        dns_query: name that was asked for, with its last dot; "" for none.
        dns_rcode: of an answer, 3 for a name that does not exist; 0 also for a question.
        uuid: of the flow, "" when not told.
        received: seconds since 1970 by this machine's clock, 0 from a file.
    """

    at: float
    node: str
    verdict: str
    reason: str
    kind: str
    direction: str
    source: Peer
    destination: Peer
    protocol: str
    port: int
    source_port: int
    flags: str
    reply: bool | None
    denied_by: tuple[PolicyName, ...]
    allowed_by: tuple[PolicyName, ...]
    dns_query: str
    dns_rcode: int
    uuid: str
    received: float

    @property
    def denied(self) -> bool:
        """Whether policy dropped it: by reason, or as the DNS proxy refuses a name."""
        if self.verdict != DROPPED:
            return False
        return self.reason in ("POLICY_DENIED", "POLICY_DENY") or (
            self.kind == "l7" and not self.reason
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON, with the names of these attributes."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LostEvents:
    """Flows that Hubble could not keep or hand on.

    Attributes:
        source: "PERF_EVENT_RING_BUFFER", "OBSERVER_EVENTS_QUEUE", "HUBBLE_RING_BUFFER" or "".
        count: how many.
        node: whose, "" when not told.
        at: seconds since 1970, when it was told; 0 unknown.
    """

    source: str
    count: int
    node: str
    at: float


@dataclass(frozen=True, slots=True)
class NodeNotice:
    """What became of a node, or of the way to it, while flows were read.

    Attributes:
        node: its name, "" for the relay itself.
        state: CONNECTED, UNAVAILABLE, GONE or ERROR (the relay's words), and ours: RESTARTED (its
            agent began anew, so that earlier flows are gone), WRAPPED (its ring no longer holds
            the beginning of what was asked for), REFUSED (the relay does not take the filter),
            RECONNECTED (the relay was away, and is back).
        message: why, "" when not told.
        at: seconds since 1970, 0 unknown.
    """

    node: str
    state: str
    message: str
    at: float = 0.0


Event = SeenFlow | LostEvents | NodeNotice


@dataclass(frozen=True, slots=True)
class Evidence:
    """How far one can build on a stream of flows.

    Attributes:
        complete: nothing says that a flow is missing.
        lost: flows that were lost, as far as they were counted.
        unavailable: nodes that did not answer, or whose flows are not all there.
        reasons: why it is not complete, one phrase each.
    """

    complete: bool = True
    lost: int = 0
    unavailable: tuple[str, ...] = ()
    reasons: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return the journal's form."""
        return {
            "complete": self.complete,
            "lost": self.lost,
            "unavailable": list(self.unavailable),
            "reasons": list(self.reasons),
        }


# What makes evidence incomplete for good, and what a later word can mend.
_FOR_GOOD = (RESTARTED, WRAPPED, REFUSED, UNREADABLE)
_UNTIL_BACK = (UNAVAILABLE, GONE, ERROR)


def evidence_of(notices: Iterable[Event]) -> Evidence:
    """Grade a stream by what came in it beside flows, in that order.

    Args:
        notices: of the stream; flows among them do not matter. A node, or the relay, that was away
            and is back makes nothing incomplete, as `Relay.follow` asks for what it missed.
    """
    grade = Grade()
    for notice in notices:
        grade.add(notice)
    return grade.evidence()


class Grade:
    """The same, notice by notice; it needs no more memory than there are nodes."""

    def __init__(self) -> None:
        self._lost = 0
        self._away: dict[str, NodeNotice] = {}
        self._spoiled: dict[tuple[str, str], NodeNotice] = {}

    def add(self, event: Event) -> None:
        """Take note of one event of a stream."""
        if isinstance(event, LostEvents):
            # A loss that was not counted is one.
            self._lost += max(1, event.count)
        elif isinstance(event, NodeNotice):
            for node in event.node.split(", "):
                if event.state in _FOR_GOOD:
                    self._spoiled.setdefault((node, event.state), event)
                elif event.state in _UNTIL_BACK:
                    self._away[node] = event
                elif event.state in (CONNECTED, RECONNECTED):
                    self._away.pop(node, None)

    def evidence(self) -> Evidence:
        """Return what all that comes to."""
        reasons = [f"{self._lost} flows were lost"] if self._lost else []
        missing = [
            *((node, notice) for (node, _), notice in self._spoiled.items()),
            *self._away.items(),
        ]
        for node, notice in missing[:_MOST_REASONS]:
            whose = f"node {node}" if node else "the relay"
            why = f": {notice.message[:200]}" if notice.message else ""
            reasons.append(f"{whose} {_SAID[notice.state]}{why}")
        if len(missing) > _MOST_REASONS:
            reasons.append(f"{len(missing) - _MOST_REASONS} more of the kind")
        nodes = tuple(sorted({node for node, _ in missing if node}))
        return Evidence(not reasons, self._lost, nodes, tuple(reasons))


_MOST_REASONS = 10
_SAID = {
    UNAVAILABLE: "does not answer",
    GONE: "is gone",
    ERROR: "reports an error",
    RESTARTED: "began anew, so its earlier flows are gone",
    WRAPPED: "no longer holds all that was asked for",
    REFUSED: "does not take the filter",
    UNREADABLE: "sent something unreadable",
}


class Dropped:
    """Counts dropped packets once, though each makes two flows; in bounded memory.

    Attributes:
        reasons: packets by reason, "" for what the proxy refused (a DNS name, an HTTP request).
    """

    _MOST = 10_000

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self._seen: OrderedDict[tuple[object, ...], dict[str, int]] = OrderedDict()

    def add(self, flow: SeenFlow) -> bool:
        """Take note of a flow; returns whether it is the first of a packet that was dropped."""
        if flow.verdict != DROPPED:
            return False
        if flow.kind not in ("drop", "policy-verdict"):
            self.reasons[flow.reason] += 1
            return True
        source, destination = flow.source, flow.destination
        key = (
            *(flow.node, source.ip, flow.source_port, destination.ip, flow.port),
            *(flow.protocol, flow.reason),
        )
        counts = self._seen.pop(key, None) or {"drop": 0, "policy-verdict": 0}
        before = max(counts.values())
        counts[flow.kind] += 1
        self._seen[key] = counts
        if len(self._seen) > self._MOST:
            # The two flows of a packet come within a moment of each other.
            self._seen.popitem(last=False)
        if max(counts.values()) == before:
            return False
        self.reasons[flow.reason] += 1
        return True


def count_dropped(flows: Iterable[SeenFlow]) -> Counter[str]:
    """Count dropped packets by reason, each once; "" is what the proxy refused.

    Args:
        flows: any; those that were not dropped do not count.
    """
    dropped = Dropped()
    for flow in flows:
        dropped.add(flow)
    return dropped.reasons
