"""Hubble, followed: what was dropped in the namespace, and what Hubble says it could not show."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping

from acns_chaos.cluster.hubble import (
    Event,
    LostEvents,
    NodeNotice,
    Query,
    Relay,
    SeenFlow,
    open_relay,
)
from acns_chaos.cluster.kube import Api
from acns_chaos.errors import ApiError
from acns_chaos.evidence.timeline.flows import Dropped, dropped
from acns_chaos.evidence.timeline.runs import Series
from acns_chaos.evidence.timeline.sampling import SUMMED, Source

__all__ = ["Flows"]

# Seconds between two attempts to reach a relay that is not there.
AGAIN = 3.0
# Drops further apart are two bursts.
BURST = 2.0
# Different senders, receivers and reasons that are told apart.
DIFFERENT = 300
SEES = frozenset({"CONNECTED", "RECONNECTED"})
# The node is there, and some of what it saw a moment ago is not.
MISSED = frozenset({"RESTARTED", "WRAPPED"})
# How far back that may reach, in seconds: a question reaches back as far, and nodes are looked at
# about as often.
REACH = 3.0
OTHERS = Dropped(frozenset(), frozenset(), 0, "", "", "all others")


class Flows(Source):
    """The relay, polled.

    Args:
        api: the cluster.
        environ: may name the relay's address.
        namespace: whose flows.
        every: seconds between two questions.
    """

    def __init__(
        self, api: Api, environ: Mapping[str, str], namespace: str, every: float = 0.1
    ) -> None:
        super().__init__("hubble")
        self.every = every
        self.lost: Counter[str] = Counter()
        # The least time between a node's stamp and the arrival here: what its clock may be off by.
        self.least_delay: float | None = None
        self._api, self._environ, self._namespace = api, environ, namespace
        self._drops: dict[Dropped, Series] = {}
        self._away: dict[str, str] = {}

    def watch(self, stop: threading.Event) -> None:
        """Follow; come back when the relay was away."""
        # Opening the relay takes a while; what was dropped meanwhile is asked for, too.
        since = self.began or time.time()
        while not stop.is_set():
            try:
                with open_relay(self._api, self._environ) as relay:
                    self.about = f"drops in {self._namespace}, as Hubble relay tells them"
                    for event in self._events(relay, stop, since):
                        self._take(event)
            except ApiError as error:
                self.blind(str(error).rstrip("."))
            stop.wait(AGAIN)
            since = time.time()

    def drops(self) -> list[tuple[Dropped, Series]]:
        """Return what was dropped, each with its bursts."""
        with self._lock:
            return list(self._drops.items())

    def unseen(self, since: float, until: float) -> str:
        """Say why it did not see the whole of a stretch of time, "" when it did."""
        summed = any(series.summed(since, until) for _, series in self.drops())
        return SUMMED if summed else super().unseen(since, until)

    def mark(self, at: float) -> None:
        """A fault or its restore was submitted at this moment."""
        for _, series in self.drops():
            series.mark(at)

    def _events(self, relay: Relay, stop: threading.Event, since: float) -> Iterator[Event]:
        query = Query(verdict="DROPPED", namespace=self._namespace, since=since)
        return relay.follow(query, stop, self.every)

    def _take(self, event: Event) -> None:
        match event:
            case SeenFlow():
                self._drop(event)
            case LostEvents(source=source, count=count, node=node):
                self.lost[f"{source or 'unknown'} at {node or 'the relay'}"] += count
                self.missed(f"{count} flows were lost at {node or 'the relay'}", REACH)
            case NodeNotice(node=node, state=state, message=message) if state in MISSED:
                told = f": {message}" if message else ""
                self.missed(f"flows of node {node} are gone, it has {state.lower()}{told}", REACH)
            case NodeNotice(node=node, state=state, message=message):
                if state in SEES:
                    self._away.pop(node, None)
                else:
                    told = f": {message}" if message else ""
                    who = f"node {node}" if node else "the relay"
                    self._away[node] = f"{who} is {state.lower()}{told}"
                if self._away:
                    self.blind("; ".join(self._away.values()))
                else:
                    self.saw()

    def _drop(self, flow: SeenFlow) -> None:
        if not flow.denied:
            return
        delay = flow.received - flow.at
        self.least_delay = delay if self.least_delay is None else min(delay, self.least_delay)
        key = dropped(flow)
        with self._lock:
            if key not in self._drops and len(self._drops) >= DIFFERENT:
                key = OTHERS
            if key not in self._drops:
                self._drops[key] = Series(key.label, gap=BURST, most=200)
            series = self._drops[key]
        # In the order of arrival: by the runner's clock, as faults are, whatever the node's says.
        series.add(flow.received, "drop", flow.at)
