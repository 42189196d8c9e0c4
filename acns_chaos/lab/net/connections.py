"""TCP on the simulated wire: what a client gets, and when.

A denied packet vanishes: no reset, no ICMP. SYNs are repeated by the sender, data of an
established connection too, each repetition is judged anew and counted anew, and whichever comes
after the policy opened gets through. What a pod sends to itself never leaves it and meets no
policy. Names are resolved in `names.dns`; counting is in `metrics.counters`.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from acns_chaos.lab.net.agents.enforcement import Enforcement
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.events import SYN_BYTES, Event, Wire
from acns_chaos.lab.net.objects import Target
from acns_chaos.policy import Endpoint

# Seconds after the first SYN at which Linux sends the next (tcp_syn_retries = 6), and gives up.
SYN_SECONDS = (0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0)
SYN_GIVES_UP = 127.0
# The same for data: 200 ms doubled, up to two minutes between packets.
DATA_SECONDS = (0.0, 0.2, 0.6, 1.4, 3.0, 6.2, 12.6, 25.4, 51.0, 102.2, 204.6)
DATA_GIVES_UP = 324.6
DATA_BYTES = 240
ROUND_TRIP = 0.0005
# Linux: net.ipv4.ip_local_port_range.
_FIRST_PORT, _PORTS = 32768, 28232
_LOOPBACK = "127."


class Outcome(Enum):
    """How an attempt to connect ended."""

    OPEN = "open"
    REFUSED = "refused"
    TIMEOUT = "timeout"


class Ports:
    """Source ports, each connection its own."""

    def __init__(self) -> None:
        # Strides over the range, as neighbouring connections have distant ports.
        self._numbers = itertools.count(7, 1_009)

    def next(self) -> int:
        """A port of the ephemeral range."""
        return _FIRST_PORT + next(self._numbers) % _PORTS


class Connections:
    """Opens connections under whatever policy is in force while they try.

    Args:
        directory: who is at an address.
        enforcement: what policy says.
        wire: where packets are counted.
        clock: for retransmissions.

    Attributes:
        ports: source ports, also for those who send without a connection.
    """

    def __init__(
        self, directory: Directory, enforcement: Enforcement, wire: Wire, clock: Clock
    ) -> None:
        self._directory = directory
        self._enforcement = enforcement
        self._wire = wire
        self._clock = clock
        self.ports = Ports()
        # Source port of the newest connection from a sender to an address and port.
        self._open: dict[tuple[str, str, int], int] = {}

    async def connect(
        self, source: Endpoint, ip: str, port: int, *, timeout: float | None = None
    ) -> Outcome:
        """Open a connection.

        Args:
            source: who connects.
            ip: destination as the client wrote it; a service address is translated.
            port: destination as the client wrote it.
            timeout: seconds that the client waits; None leaves it to the operating system.

        Returns:
            OPEN, REFUSED (policy let it through, nobody listens) or TIMEOUT (silence).
        """
        # A connection keeps the backend that its first packet was given, and so its sender.
        source, target = self._ends(source, ip, port)
        if target.answer == "refused" and target.endpoint.kind != "pod":
            # A service without backends is answered before any policy looks.
            await self._clock.sleep(ROUND_TRIP)
            return Outcome.REFUSED
        if target.endpoint == source:
            await self._clock.sleep(ROUND_TRIP)
            return Outcome.REFUSED if target.answer == "refused" else Outcome.OPEN
        limit = SYN_GIVES_UP if timeout is None else min(timeout, SYN_GIVES_UP)
        source_port = self.ports.next()
        packet = _Packet(source, target, "SYN", source_port)
        if not await self._deliver(packet, SYN_SECONDS, limit):
            return Outcome.TIMEOUT
        if target.answer == "refused":
            return Outcome.REFUSED
        self._open[source.name, target.endpoint.ip, target.port] = source_port
        return Outcome.OPEN

    async def send(
        self, source: Endpoint, ip: str, port: int, *, timeout: float | None = None
    ) -> Outcome:
        """Send data on a connection that was established before.

        Args:
            source: who opened the connection.
            ip: address of the pod at its other end.
            port: there.
            timeout: seconds that the sender waits for an answer.

        Returns:
            OPEN when the data arrived, TIMEOUT when it did not.
        """
        source, target = self._ends(source, ip, port)
        limit = DATA_GIVES_UP if timeout is None else min(timeout, DATA_GIVES_UP)
        key = (source.name, target.endpoint.ip, target.port)
        packet = _Packet(source, target, "ACK, PSH", self._open.get(key) or self.ports.next())
        self._open[key] = packet.source_port
        arrived = await self._deliver(packet, DATA_SECONDS, limit)
        return Outcome.OPEN if arrived else Outcome.TIMEOUT

    def _ends(self, source: Endpoint, ip: str, port: int) -> tuple[Endpoint, Target]:
        """The sender and the receiver, after service translation."""
        if ip.startswith(_LOOPBACK) and source.kind == "pod":
            ip = source.ip
        arrived = self._directory.arrive(source, ip, port)
        if arrived is not None:
            return arrived
        viewpoint = self._directory.node_of(source)
        return source, self._directory.target(ip, port, viewpoint=viewpoint)

    async def _deliver(self, packet: "_Packet", schedule: Sequence[float], limit: float) -> bool:
        """Send a packet and its repetitions; True when somebody received one."""
        begun = self._clock.now()
        for at, following in zip(schedule, (*schedule[1:], limit), strict=True):
            if self._try(packet):
                await self._clock.sleep(ROUND_TRIP)
                return True
            wait = min(following, limit) - max(at, self._clock.now() - begun)
            await self._clock.sleep(max(0.0, wait))
            if following >= limit:
                break
        return False

    def _try(self, packet: "_Packet") -> bool:
        source, target = packet.source, packet.target
        verdict = self._enforcement.verdict(source, target.endpoint, target.port)
        allowed = verdict.verdict == "ALLOWED"
        here, there = self._enforcement.nodes(source, target.endpoint)
        event = Event(
            at=self._clock.now(),
            source=source,
            destination=verdict.destination,
            port=target.port,
            protocol="TCP",
            verdict=verdict,
            flags=packet.flags,
            size=SYN_BYTES if packet.flags == "SYN" else DATA_BYTES,
            source_port=packet.source_port,
            source_node=here,
            destination_node=there,
        )
        if not allowed or target.answer == "open":
            self._wire.record(event)
        if allowed and here and not there:
            self._directory.use(here, target.endpoint.ip)
        return allowed and target.answer != "silent"


@dataclass(frozen=True, slots=True)
class _Packet:
    """What is sent and repeated."""

    source: Endpoint
    target: Target
    flags: str
    source_port: int
