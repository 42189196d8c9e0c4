"""What happens on the simulated wire, told once to everybody who counts or logs it.

Whoever makes a packet records it at the `Wire`; counters and flow logs listen there.
"""

from collections.abc import Callable
from dataclasses import dataclass

from acns_chaos.policy import Endpoint, Verdict

SYN_BYTES = 74


@dataclass(frozen=True, slots=True)
class Query:
    """One DNS question.

    Attributes:
        name: complete, without the trailing dot.
        qtype: "A" or "AAAA".
        rcode: of the answer: 0, 3 (no such name), 5 (refused by the proxy); None: no answer. The
            proxy may be set to refuse with 3: what it refused is told by the verdict's `l7`.
        addresses: how many the answer held.
        ips: those addresses.
        ttl: seconds for which the answer holds, 0 when it holds no address.
    """

    name: str
    qtype: str
    rcode: int | None = None
    addresses: int = 0
    ips: tuple[str, ...] = ()
    ttl: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """One packet that was judged, or one connection that came about.

    Attributes:
        at: seconds since 1970.
        source, destination: after service translation.
        port: destination port, after service translation.
        protocol: "TCP" or "UDP".
        verdict: of the policy.
        flags: TCP flags as Hubble writes them: "SYN", "ACK, PSH"; "" for UDP.
        size: bytes on the wire.
        query: set for DNS.
        count: how many equal packets.
        source_port: of the sender, 0 when nobody chose one.
        source_node, destination_node: names of the nodes that judge egress and ingress, "" for a
            side outside the cluster.
    """

    at: float
    source: Endpoint
    destination: Endpoint
    port: int
    protocol: str
    verdict: Verdict
    flags: str = "SYN"
    size: int = SYN_BYTES
    query: Query | None = None
    count: int = 1
    source_port: int = 0
    source_node: str = ""
    destination_node: str = ""


class Wire:
    """Tells its listeners of each event, in the order in which they came."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Tell this listener of every later event."""
        self._listeners.append(listener)

    def record(self, event: Event) -> None:
        """One packet was judged, or one connection came about."""
        for listener in self._listeners:
            listener(event)
