"""Hubble relay: found, reached through the API server, asked with mutual TLS; errors with a cause.

Flows are asked for by `since`, again and again, and never followed: a relay holds back what is
followed for a second or more (reference captures, "Relay and observing").
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from acns_chaos.cluster.hubble.errors import CAUSES, HubbleError
from acns_chaos.cluster.hubble.following import INTERVAL, follow
from acns_chaos.cluster.hubble.line import Line
from acns_chaos.cluster.hubble.query import Query
from acns_chaos.cluster.hubble.seen import Event, NodeNotice, SeenFlow
from acns_chaos.cluster.kube import Api

__all__ = ["CAUSES", "HubbleError", "Relay", "RelayStatus", "open_relay"]


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """What the relay says of itself and its nodes.

    Attributes:
        version: as it words it.
        nodes_connected: how many.
        nodes_unavailable: their names; the relay names ten at most.
        flows: that all nodes hold now.
        seen: flows since they started.
        uptime: seconds, of the longest running node.
    """

    version: str
    nodes_connected: int
    nodes_unavailable: tuple[str, ...]
    flows: int
    seen: int
    uptime: float


class Relay:
    """An open connection; a context manager that closes it.

    Args:
        line: the way to it.
        clock: seconds since 1970.
    """

    def __init__(self, line: Line, clock: Callable[[], float] = time.time) -> None:
        self._line = line
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every stream and the way to the relay; nothing is left running."""
        self._line.close()

    def status(self) -> RelayStatus:
        """Ask how it is.

        Raises:
            HubbleError: it does not answer.
        """
        found = self._line.status()
        names = tuple(found.unavailable_nodes)
        unnamed = found.num_unavailable_nodes.value - len(names)
        return RelayStatus(
            found.version,
            found.num_connected_nodes.value,
            names + (("others",) if unnamed > 0 else ()),
            found.num_flows,
            found.seen_flows,
            found.uptime_ns / 1e9,
        )

    def flows(self, query: Query, deadline: float) -> Iterator[Event]:
        """Read what the nodes hold now, oldest first, and end.

        Args:
            query: which flows.
            deadline: seconds for the whole answer.

        Yields:
            Flows, and notices about what is missing. When it is asked for a time that a node no
            longer remembers, that is a notice, too (WRAPPED, RESTARTED).

        Raises:
            HubbleError: the relay does not answer, or not to its end; "bad-filter": it cannot use
                the question.
        """
        last: deque[Event] | None = deque(maxlen=query.number) if query.number else None
        ahead: float | None = None
        for event in self._line.ask(query, deadline):
            if not isinstance(event, SeenFlow):
                if ahead is None and isinstance(event, NodeNotice) and event.at:
                    # A relay begins with its own time.
                    ahead = event.at - self._clock()
                yield event
            elif query.matches(event):
                if last is None:
                    yield event
                else:
                    last.append(event)
        yield from last or ()
        if query.since is not None:
            yield from self._line.gaps(query.since, self._clock() + (ahead or 0.0))

    def follow(
        self, query: Query, stop: threading.Event, interval: float = INTERVAL
    ) -> Iterator[Event]:
        """Read what comes until told to stop, by asking ten times a second.

        Args:
            query: which flows; those since `since`, or from now on.
            stop: set it, and the iterator ends within one question.
            interval: seconds between two questions.

        Yields:
            Each flow once, and notices about what is missing; a relay that is away is a notice
            (state ERROR, node ""), and RECONNECTED when it is back and was asked for the meantime.

        Raises:
            HubbleError: "bad-filter" only.
        """
        return follow(self._line, query, stop, self._clock, interval)


def open_relay(api: Api, environ: Mapping[str, str], timeout: float = 5.0) -> Relay:
    """Find Hubble relay, and connect to it.

    Args:
        api: the cluster.
        environ: ACNS_CHAOS_HUBBLE_RELAY=host:port is dialled directly, with the same certificates.
        timeout: seconds for each answer.

    Raises:
        HubbleError: it is not there, not reachable, or does not trust us; see its `cause`.
    """
    line = Line(api, environ, timeout)
    try:
        line.status()
    except BaseException:
        line.close()
        raise
    return Relay(line)
