"""Hubble on one node: its ring, its counters, its failures, and who waits for its next event.

What is written comes from `recorder`, what is read is chosen in `selection`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from acns_chaos.lab.hubble.ring import FLOW, LOST, OTHER, Entry, Ring
from acns_chaos.wire import flow_pb2

NANOSECONDS = 1_000_000_000
_NAMESPACES_LAST = 3600 * NANOSECONDS
_RATE_OVER = 60 * NANOSECONDS


@dataclass(frozen=True, slots=True)
class Counters:
    """What an agent says of itself.

    Attributes:
        flows: entries in the ring.
        capacity: how many it can hold.
        seen: flows since the start.
        uptime: nanoseconds since the start.
        rate: flows per second over the last minute.
    """

    flows: int
    capacity: int
    seen: int
    uptime: int
    rate: float


class Agent:
    """One node's Hubble.

    Args:
        name: of the node.
        capacity: of its ring.
        now: nanoseconds since 1970.

    Attributes:
        starts: how often it has started; a reader that sees it change has lost its stream.
        up: whether the relay can reach it.
    """

    def __init__(self, name: str, capacity: int, now: Callable[[], int]) -> None:
        self.name = name
        self.ring = Ring(capacity)
        self.starts = 0
        self.up = True
        self._now = now
        self._seen = 0
        self._started = now()
        self._last = 0
        self._namespaces: dict[str, int] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._lose_every = 0
        self._lose_next = 0
        self._lost: list[int] = []

    # ------------------------------------------------------------------ writing

    def write(self, flow: flow_pb2.Flow, at: int) -> None:
        """Log a flow.

        Args:
            flow: complete but for its time, which is set here.
            at: nanoseconds since 1970; moved on where it would not be later than the last one.
        """
        at = self._stamp(at)
        self._seen += 1
        if self._loses():
            self._lost.append(at)
            return
        if self._lost:
            self._report_loss(at)
            at = self._stamp(at)
        flow.time.FromNanoseconds(at)
        for side in (flow.source, flow.destination):
            if side.namespace:
                self._namespaces[side.namespace] = at
        self.ring.write(Entry(at, FLOW, flow.SerializeToString()))
        self._wake()

    def write_other(self, at: int) -> None:
        """Log an event that is no flow, as when an endpoint takes a new policy."""
        self.ring.write(Entry(self._stamp(at), OTHER))
        self._wake()

    def _stamp(self, at: int) -> int:
        self._last = max(at, self._last + 1)
        return self._last

    def _loses(self) -> bool:
        if self._lose_next:
            self._lose_next -= 1
            return True
        return self._lose_every > 0 and self._seen % self._lose_every == 0

    def _report_loss(self, at: int) -> None:
        lost = lost_event(len(self._lost), self._lost[0], self._lost[-1])
        self._lost = []
        self.ring.write(Entry(at, LOST, lost.SerializeToString()))

    # ------------------------------------------------------------------ reading

    def counters(self) -> Counters:
        """What it would tell about itself."""
        now = self._now()
        since, flows = now - _RATE_OVER, 0
        for position in range(self.ring.end - 1, self.ring.oldest - 1, -1):
            entry = self.ring.read(position)
            if entry.at < since:
                break
            flows += entry.kind == FLOW
        return Counters(
            flows=len(self.ring),
            capacity=self.ring.capacity,
            seen=self._seen,
            uptime=now - self._started,
            rate=flows * NANOSECONDS / _RATE_OVER,
        )

    def namespaces(self) -> set[str]:
        """Those seen in flows of the last hour."""
        since = self._now() - _NAMESPACES_LAST
        return {name for name, at in self._namespaces.items() if at >= since}

    async def changed(self) -> None:
        """Wait until something was written, or the agent stopped or started."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    # ------------------------------------------------------------------ failing on request

    def lose(self, *, every_nth: int = 0, next_n: int = 0) -> None:
        """Lose flows from now on.

        Args:
            every_nth: one of so many; 0 stops that.
            next_n: all of the next so many.
        """
        self._lose_every, self._lose_next = every_nth, next_n

    def set_up(self, up: bool) -> None:
        """Stop or start answering; streams that read from it end."""
        if up != self.up:
            self.up = up
            self.starts += 1
            self._wake()

    def restart(self) -> None:
        """Start afresh: the ring and the counters are lost, streams that read from it end."""
        self.ring = Ring(self.ring.capacity)
        self._seen = 0
        self._started = self._now()
        self._namespaces = {}
        self._lost = []
        self.starts += 1
        self._wake()


def lost_event(count: int, first: int, last: int) -> flow_pb2.LostEvent:
    """What a reader is told instead of flows that it cannot have.

    Args:
        count: of the flows.
        first: when the first of them came, in nanoseconds since 1970.
        last: when the last of them came.
    """
    lost = flow_pb2.LostEvent(source=flow_pb2.HUBBLE_RING_BUFFER, num_events_lost=count)
    lost.first.FromNanoseconds(first)
    lost.last.FromNanoseconds(last)
    return lost
