"""TCP on the simulated wire: what a client gets, and when.

A denied packet vanishes: no reset, no ICMP. SYNs are repeated by the sender, data of an
established connection too, each repetition is judged anew and counted anew, and whichever comes
after the policy opened gets through. Names are resolved in `dns`; counting is in `metrics`.
"""

from collections.abc import Sequence
from enum import Enum

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.enforcement import Enforcement
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


class Outcome(Enum):
    """How an attempt to connect ended."""

    OPEN = "open"
    REFUSED = "refused"
    TIMEOUT = "timeout"


class Connections:
    """Opens connections under whatever policy is in force while they try.

    Args:
        directory: who is at an address.
        enforcement: what policy says.
        wire: where packets are counted.
        clock: for retransmissions.
    """

    def __init__(
        self, directory: Directory, enforcement: Enforcement, wire: Wire, clock: Clock
    ) -> None:
        self._directory = directory
        self._enforcement = enforcement
        self._wire = wire
        self._clock = clock

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
        # A connection keeps the backend that its first packet was given.
        target = self._directory.target(ip, port)
        if target.answer == "refused" and target.endpoint.kind != "pod":
            # A service without backends is answered before any policy looks.
            await self._clock.sleep(ROUND_TRIP)
            return Outcome.REFUSED
        limit = SYN_GIVES_UP if timeout is None else min(timeout, SYN_GIVES_UP)
        if await self._deliver(source, target, "SYN", SYN_SECONDS, limit):
            return Outcome.REFUSED if target.answer == "refused" else Outcome.OPEN
        return Outcome.TIMEOUT

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
        target = self._directory.target(ip, port)
        limit = DATA_GIVES_UP if timeout is None else min(timeout, DATA_GIVES_UP)
        arrived = await self._deliver(source, target, "ACK, PSH", DATA_SECONDS, limit)
        return Outcome.OPEN if arrived else Outcome.TIMEOUT

    async def _deliver(
        self, source: Endpoint, target: Target, flags: str, schedule: Sequence[float], limit: float
    ) -> bool:
        """Send a packet and its repetitions; True when somebody received one."""
        begun = self._clock.now()
        for at, following in zip(schedule, (*schedule[1:], limit), strict=True):
            if self._try(source, target, flags):
                await self._clock.sleep(ROUND_TRIP)
                return True
            wait = min(following, limit) - max(at, self._clock.now() - begun)
            await self._clock.sleep(max(0.0, wait))
            if following >= limit:
                break
        return False

    def _try(self, source: Endpoint, target: Target, flags: str) -> bool:
        verdict = self._enforcement.verdict(source, target.endpoint, target.port)
        allowed = verdict.verdict == "ALLOWED"
        event = Event(
            at=self._clock.now(),
            source=source,
            destination=target.endpoint,
            port=target.port,
            protocol="TCP",
            verdict=verdict,
            flags=flags,
            size=SYN_BYTES if flags == "SYN" else DATA_BYTES,
        )
        if not allowed or target.answer == "open":
            self._wire.record(event)
        return allowed and target.answer != "silent"
