"""Readings of flows: what Hubble saw, and UNKNOWN wherever something unseen could change that.

Flows are stamped by the nodes, moments of a run by this machine: the difference of the clocks is
learnt from the relay, which says its own time first.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from acns_chaos.cluster.hubble import (
    Dropped,
    Evidence,
    Grade,
    HubbleError,
    NodeNotice,
    Query,
    Relay,
    SeenFlow,
    open_relay,
)
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.evidence.counters import Bounds
from acns_chaos.evidence.readings import COUNTED, NOT_READY, READY, UNKNOWN, Reading, reading

__all__ = ["POLICY", "read_flow_count", "read_relay", "sentence_of"]

# A reason of ours: whatever policy dropped, also what its proxy refused without a reason.
POLICY = "policy"
# What the relay's own state tells, as opposed to what we may or cannot see of it.
_DOWN = ("relay-absent", "relay-down")
_SHOWN = 3
# Of so many connections at most it is told when each was first seen.
_CONNECTIONS = 20
# A difference of clocks that matters, in seconds; less is the way of the answer.
_SKEW = 0.25

Open = Callable[[Api, Mapping[str, str], float], Relay]


@dataclass(slots=True)
class _Count:
    """What one question found.

    Attributes:
        since: by the nodes' clocks, seconds since 1970.
        skew: how far the relay's clock is ahead of ours, seconds; None when it was not told.
        connections: when each was first seen, by who opened it and to where; packets that are sent
            again have the same ports.
    """

    since: float
    skew: float | None = None
    count: int = 0
    dropped: Dropped = field(default_factory=Dropped)
    grade: Grade = field(default_factory=Grade)
    first: list[SeenFlow] = field(default_factory=list)
    policies: dict[str, None] = field(default_factory=dict)
    connections: dict[tuple[str, int, str, int], float] = field(default_factory=dict)

    def add(self, flow: SeenFlow, policy_only: bool) -> None:
        """Take note of a flow; a dropped packet counts once though it is two flows."""
        for named in flow.denied_by:
            self.policies[f"{named.namespace}/{named.name}".lstrip("/")] = None
        if policy_only and not flow.denied:
            return
        if flow.verdict == "DROPPED" and not self.dropped.add(flow):
            return
        self.count += 1
        if len(self.connections) < _CONNECTIONS:
            ends = (flow.source.ip, flow.source_port, flow.destination.ip, flow.port)
            self.connections.setdefault(ends, flow.at)
        if len(self.first) < _SHOWN:
            self.first.append(flow)


def read_flow_count(
    api: Api,
    environ: Mapping[str, str],
    query: Query,
    policy_only: bool,
    what: str,
    start: str,
    window: float,
    bounds: Bounds,
    deadline: float,
    opened: Open = open_relay,
) -> Reading:
    """Count flows since a moment, until the count is as expected or *deadline* has passed.

    Args:
        api: the cluster.
        environ: may name the relay's address.
        query: which flows.
        policy_only: of dropped ones only what policy, or its proxy, denied.
        what: a few words for people.
        start: ISO 8601 moment to count from; "" counts over a window that slides.
        window: its length in seconds.
        bounds: the expected count.
        deadline: seconds; 0 asks once.
        opened: opens the relay.

    Returns:
        COUNTED, or UNKNOWN when Hubble cannot be asked, or when flows that are missing could turn
        the answer round.
    """
    found: list[_Count] = []

    def expected() -> bool:
        skew = (found[0].skew or 0.0) if found else 0.0
        begin = datetime.fromisoformat(start).timestamp() if start else time.time() - window
        found[:] = [_ask(relay, query, policy_only, begin + skew)]
        told = found[0].skew
        if told is not None and abs(told - skew) > _SKEW:
            found[:] = [_ask(relay, query, policy_only, begin + told)]
        return bounds.hold(found[0].count) and (_sure(found[0].count, bounds) or _complete(found))

    try:
        with opened(api, environ, 5.0) as relay:
            wait_until(expected, deadline, interval=0.1)
    except HubbleError as error:
        text, evidence = str(error), {"query": asdict(query), "cause": error.cause}
        return reading(UNKNOWN, what, text, None, bounds.as_json(), evidence, count=None)
    one = found[0]
    grade = one.grade.evidence()
    evidence = _evidence(one, query, grade)
    told = f"{one.count} flow{_s(one.count)}"
    if query.verdict == "DROPPED":
        told = f"{one.count} dropped packet{_s(one.count)}{_by_reason(one)}"
    if not grade.complete and not _sure(one.count, bounds):
        text = f"{told} seen, and more could be missing: {'; '.join(grade.reasons)[:400]}"
        return reading(UNKNOWN, what, text, None, bounds.as_json(), evidence, count=one.count)
    first = f", the first {sentence_of(one.first[0])}" if one.first else ""
    text = f"{told} seen by Hubble{first}"
    met = bounds.hold(one.count)
    return reading(COUNTED, what, text, met, bounds.as_json(), evidence, count=one.count)


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _complete(found: list[_Count]) -> bool:
    return found[0].grade.evidence().complete


def _sure(count: int, bounds: Bounds) -> bool:
    """Whether more flows could not turn the answer round."""
    if bounds.at_most is not None:
        return count > bounds.at_most
    return count >= bounds.at_least


def _ask(relay: Relay, query: Query, policy_only: bool, since: float) -> _Count:
    one = _Count(since)
    for event in relay.flows(replace(query, since=since), 10.0):
        if isinstance(event, SeenFlow):
            one.add(event, policy_only)
            continue
        one.grade.add(event)
        if one.skew is None and isinstance(event, NodeNotice) and event.at:
            one.skew = event.at - time.time()
    return one


def _by_reason(one: _Count) -> str:
    """Say how many of which reason: " (3 POLICY_DENIED)"."""
    counted = one.dropped.reasons
    shown = ", ".join(f"{n} {reason or 'refused by the proxy'}" for reason, n in counted.items())
    return f" ({shown})" if shown else ""


def _evidence(one: _Count, query: Query, grade: Evidence) -> dict[str, Any]:
    asked = {key: value for key, value in asdict(query).items() if value}
    return {
        "query": asked,
        "seconds": round(time.time() + (one.skew or 0.0) - one.since, 3),
        "clock_ahead_seconds": None if one.skew is None else round(one.skew, 3),
        "reasons": dict(one.dropped.reasons),
        "first": _iso(one.first[0].at) if one.first else None,
        "flows": [sentence_of(flow) for flow in one.first],
        # By this machine's clock, as the run's own attempts are.
        "connections": [_iso(at - (one.skew or 0.0)) for at in sorted(one.connections.values())],
        "policies": list(one.policies),
        "hubble": grade.as_json(),
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def sentence_of(flow: SeenFlow) -> str:
    """Say what a flow was: "world to pets/store-front:8080 TCP, ingress, POLICY_DENIED"."""
    port = f":{flow.port}" if flow.port else ""
    words = [f"{flow.source.name} to {flow.destination.name}{port} {flow.protocol}".strip()]
    if flow.dns_query:
        words.append(f"asking for {flow.dns_query.rstrip('.')}")
    words += [flow.direction, flow.reason or flow.verdict]
    return ", ".join(word for word in words if word)


def read_relay(api: Api, environ: Mapping[str, str], opened: Open = open_relay) -> Reading:
    """Ask whether Hubble relay answers for every node.

    Returns:
        READY, NOT_READY (it is not there, or nodes are missing), or UNKNOWN.
    """
    what = "Hubble relay"
    try:
        with opened(api, environ, 5.0) as relay:
            status = relay.status()
    except HubbleError as error:
        down = error.cause in _DOWN
        state, met = (NOT_READY, False) if down else (UNKNOWN, None)
        return reading(state, what, str(error), met, READY, {"cause": error.cause})
    evidence = asdict(status) | {"nodes_unavailable": list(status.nodes_unavailable)}
    if status.nodes_unavailable or not status.nodes_connected:
        missing = ", ".join(status.nodes_unavailable) or "any node"
        text = f"the relay answers and does not reach {missing}"
        return reading(NOT_READY, what, text, False, READY, evidence)
    text = f"{status.version} answers for {status.nodes_connected} node{_s(status.nodes_connected)}"
    return reading(READY, what, text, True, READY, evidence)
