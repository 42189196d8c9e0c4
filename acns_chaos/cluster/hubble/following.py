"""Flows as they come, by asking for them ten times a second; each once, and what is missing told.

Each question asks for a little more than the last one answered, because a node logs a flow some
time after it has stamped it; what was had already is known by its uuid. A node or a relay that was
away is asked for the meantime when it is back. What cannot be had that way is a notice: an agent
that began anew, a ring that was overwritten between two questions.

A node's newest event stays hidden until a further one comes (see `seen`). Nothing asked from here
can make one come without disturbing what is watched: a lone drop is seen by its policy verdict, and
a lone refused name only when its client asks again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from acns_chaos.cluster.hubble.errors import HubbleError
from acns_chaos.cluster.hubble.query import Query
from acns_chaos.cluster.hubble.seen import (
    CONNECTED,
    ERROR,
    RECONNECTED,
    RESTARTED,
    WRAPPED,
    Event,
    LostEvents,
    NodeNotice,
    SeenFlow,
)

__all__ = ["INTERVAL", "follow"]

# Seconds between the beginnings of two questions, where nobody says otherwise.
INTERVAL = 0.1
# Seconds that each question reaches back behind the one before: an agent was seen to log an event
# up to 0.15 s late. One question of so many reaches further, for a node whose clock is behind.
OVERLAP = 0.3
REACH, _REACH_EVERY = 2.0, 10
# Seconds behind that, for which it is known what was had.
_KNOWN = 1.0
# Seconds between two looks at the nodes, and for one answer.
_LOOK = 1.0
# Of the time between two looks, the part that one may take.
_SHARE = 0.05
_DEADLINE = 5.0
# Of uuids; at more, the oldest is forgotten, and a flow might come twice.
_MOST = 200_000


class Asked(Protocol):
    """What is asked: a line to a relay."""

    def responses(self, query: Query, deadline: float) -> Iterator[Any]:
        """Ask for flows."""
        ...

    def events(self, response: Any) -> Iterator[Event]:
        """Turn a message into events."""
        ...

    def nodes(self) -> list[Any]:
        """Ask for the nodes."""
        ...

    def gaps(self, since: float, now: float) -> list[NodeNotice]:
        """Say which nodes no longer hold all since a moment."""
        ...


def follow(
    line: Asked,
    query: Query,
    stop: threading.Event,
    clock: Callable[[], float],
    interval: float = INTERVAL,
) -> Iterator[Event]:
    """Ask until told to stop; see `Relay.follow`."""
    reader = _Reader(line, query, clock)
    nodes = _Nodes(line, clock)
    if query.since is not None:
        yield from _told(lambda: line.gaps(query.since or 0.0, clock()))
    while not stop.is_set():
        began = time.monotonic()
        yield from reader.ask()
        if not reader.away:
            nodes.asked()
            yield from nodes.look()
        took = time.monotonic() - began
        # A question that takes long leaves the relay, and this machine, as long in peace.
        stop.wait(max(interval - took, min(took, 1.0)))


def _told(ask: Callable[[], list[NodeNotice]]) -> list[NodeNotice]:
    """Ask about nodes; a relay that does not answer is told by the next question for flows."""
    try:
        return ask()
    except HubbleError:
        return []


class _Reader:
    """Asks for flows, and leaves out what was had.

    Attributes:
        away: the relay did not answer the last question.
    """

    def __init__(self, line: Asked, query: Query, clock: Callable[[], float]) -> None:
        self._line = line
        self._query = query
        self._clock = clock
        self._begin = query.since
        self._since = clock() if query.since is None else query.since
        self._had: OrderedDict[str, float] = OrderedDict()
        self._states: dict[str, str] = {}
        self._missed: dict[str, float] = {}
        self._catching_up: frozenset[str] = frozenset()
        # The beginning of the last question, without what was asked to catch up; and since when
        # it is known what was had.
        self._usual = self._since
        self._horizon = 0.0
        self._questions = 0
        self.away = False

    def ask(self) -> Iterator[Event]:
        """Ask once."""
        query = replace(self._query, since=self._since, number=0)
        relay_now = 0.0
        try:
            for response in self._line.responses(query, _DEADLINE):
                if not relay_now:
                    # The relay's clock: ours may differ from the nodes'.
                    told = response.WhichOneof("response_types") == "node_status"
                    relay_now = _seconds(response.time) if told else self._clock()
                    if self._begin is None:
                        self._begin = min(relay_now, self._since)
                yield from self._new(response)
        except HubbleError as error:
            if error.cause == "bad-filter":
                raise
            if not self.away:
                yield NodeNotice("", ERROR, str(error), self._clock())
            self.away = True
            return
        if self.away:
            self.away = False
            yield NodeNotice("", RECONNECTED, "", self._clock())
        self._move_on(relay_now or self._clock())

    def _move_on(self, now: float) -> None:
        """Choose what the next question reaches back to."""
        self._questions += 1
        usual = now - (OVERLAP if self._questions % _REACH_EVERY else REACH)
        self._horizon = now - REACH - _KNOWN
        back = frozenset(
            node for node in self._missed if self._states.get(node) in (CONNECTED, None)
        )
        self._since = min([usual, *(self._missed.pop(node) for node in back)])
        self._catching_up, self._usual = back, usual
        while self._had and (
            next(iter(self._had.values())) < self._horizon or len(self._had) > _MOST
        ):
            self._had.popitem(last=False)

    def _new(self, response: Any) -> Iterator[Event]:
        kind = response.WhichOneof("response_types")
        if kind == "flow" and response.flow.uuid in self._had:
            return
        for event in self._line.events(response):
            if isinstance(event, SeenFlow):
                if self._is_new(event) and self._query.matches(event):
                    yield event
            elif isinstance(event, LostEvents):
                if self._note(f"lost {event.node} {event.source} {event.count} {event.at}", event):
                    yield event
            elif self._states.get(event.node) != event.state:
                self._states[event.node] = event.state
                if event.state != CONNECTED:
                    self._missed.setdefault(event.node, self._usual)
                yield event

    def _is_new(self, flow: SeenFlow) -> bool:
        # A flow without a uuid is told from others by all that is known of it.
        key = flow.uuid or f"{flow.at!r} {flow.node} {flow.source!r} {flow.destination!r}"
        if not self._note(key, flow):
            return False
        if flow.at < self._horizon and self._catching_up:
            # Uuids of that time are forgotten: only nodes that were away have anything new.
            return flow.node in self._catching_up or flow.node.rpartition("/")[2] in {
                node.rpartition("/")[2] for node in self._catching_up
            }
        return flow.at >= (self._begin or 0.0)

    def _note(self, key: str, event: SeenFlow | LostEvents) -> bool:
        new = key not in self._had
        if new:
            self._had[key] = event.at
        return new


@dataclass(slots=True)
class _Known:
    """What a node said of itself: when its agent began, how many flows it has seen; and when."""

    began: float
    seen: int
    at: float


class _Nodes:
    """Looks at the nodes now and then: which began anew, whose ring was overwritten unread."""

    def __init__(self, line: Asked, clock: Callable[[], float]) -> None:
        self._line = line
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._next = 0.0
        self._last_asked = 0.0
        self._longest = 0.0

    def asked(self) -> None:
        """Take note that flows were asked for."""
        now = time.monotonic()
        if self._last_asked:
            self._longest = max(self._longest, now - self._last_asked)
        self._last_asked = now

    def look(self) -> Iterator[NodeNotice]:
        """Look, if it is time to."""
        began = time.monotonic()
        if began < self._next:
            return
        yield from _told(lambda: list(self._compare()))
        took = time.monotonic() - began
        # A relay asks every node for this.
        self._next = began + max(_LOOK, took / _SHARE)

    def _compare(self) -> Iterator[NodeNotice]:
        nodes, now, gap = self._line.nodes(), self._clock(), self._longest
        self._longest = 0.0
        for node in nodes:
            if not node.max_flows:
                continue
            fresh = _Known(now - node.uptime_ns / 1e9, node.seen_flows, now)
            known = self._known.get(node.name)
            self._known[node.name] = fresh
            if known is None:
                continue
            if fresh.began > known.began + 1.0:
                yield NodeNotice(node.name, RESTARTED, "while it was watched", now)
            elif (fresh.seen - known.seen) / max(now - known.at, 0.001) * gap > node.max_flows:
                text = f"more than its ring of {node.max_flows} flows came between two questions"
                yield NodeNotice(node.name, WRAPPED, text, now)


def _seconds(moment: Any) -> float:
    return float(moment.seconds + moment.nanos * 1e-9)
