"""Connections that turned, merged into what a person reads as one.

Belongs here: which connections turned, port by port, and the groups of them. Does not belong here:
who is compared (`actors`), and requests above layer 4 (`difference_requests`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from acns_chaos.policy.actors import Actor, Comparison
from acns_chaos.policy.model import INGRESS
from acns_chaos.policy.portline import (
    Openings,
    Spans,
    as_ranges,
    common,
    first_port,
    minus,
    points,
    spans_text,
    union,
)

__all__ = ["CLOSED", "OPENED", "FlowGroup", "Turned", "grouped", "turned"]

OPENED, CLOSED = "opened", "closed"

_MANY_PORTS = 1000


@dataclass(frozen=True, slots=True)
class FlowGroup:
    """Flows that turn in the same way, for the same sources and ports.

    Attributes:
        effect: "opened" (denied before, allowed after) or "closed".
        sources: who may now, or may no longer, connect; workloads, entities, addresses.
        destinations: to whom.
        spans: on which ports, see `portline`.
        everybody: the destination's own side now admits everybody, or (closed) nobody at all,
            where it did not before.
        besides: opened: who could connect before already; closed: who still can.
        held_back: opened: whom only its own egress still holds back.
        why: the reason on the denying side, for the first of the flows.
    """

    effect: str
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    spans: Spans
    everybody: bool = False
    besides: tuple[str, ...] = ()
    held_back: tuple[str, ...] = ()
    why: str = ""

    @property
    def ports(self) -> str:
        """The ports for people."""
        return spans_text(self.spans)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "sources": list(self.sources),
            "destinations": list(self.destinations),
            "ports": self.ports,
            "ranges": [
                {"protocol": protocol, "from": first, "to": last}
                for protocol, first, last in as_ranges(self.spans)
            ],
            "everybody": self.everybody,
            "besides": list(self.besides),
            "heldBack": list(self.held_back),
            "why": self.why,
        }


Turned = Mapping[Actor, Mapping[Actor, Spans]]
"""Destination to source to the ports that turned."""


def turned(comparison: Comparison, was: Openings, now: Openings) -> tuple[Turned, Turned]:
    """The connections that no longer pass, and those that newly do.

    Args:
        comparison: the two worlds.
        was: connections before.
        now: connections after.
    """
    closed: dict[Actor, dict[Actor, Spans]] = {}
    opened: dict[Actor, dict[Actor, Spans]] = {}
    for source in comparison.actors:
        for destination in comparison.actors:
            if source.only_asked or (source is destination and not source.replicated):
                continue
            if not comparison.may_differ(source, destination):
                continue
            before = was.between(source.before, destination.before)
            after = now.between(source.after, destination.after)
            if before == after:
                continue
            for found, spans in ((closed, minus(before, after)), (opened, minus(after, before))):
                if spans:
                    found.setdefault(destination, {})[source] = spans
    return closed, opened


@dataclass(frozen=True, slots=True)
class _Reach:
    """How far a turn at one destination goes; see FlowGroup."""

    everybody: bool = False
    besides: frozenset[Actor] = frozenset()
    held_back: frozenset[Actor] = frozenset()


def grouped(
    effect: str, flows: Turned, comparison: Comparison, was: Openings, now: Openings
) -> list[FlowGroup]:
    """The groups of the connections that turned.

    Args:
        effect: "opened" or "closed".
        flows: from `turned`.
        comparison: the two worlds.
        was: connections before.
        now: connections after.
    """
    judge = _Judge(effect, comparison, was, now)
    destinations: dict[tuple[Any, ...], list[Actor]] = {}
    for destination, by_source in flows.items():
        for sources, spans, reach in judge.pieces(destination, by_source):
            # "Everybody" is said of one destination.
            alone = destination if reach.everybody else None
            destinations.setdefault((sources, spans, reach, alone), []).append(destination)
    groups = [
        FlowGroup(
            effect,
            comparison.names(sources),
            comparison.names(asked),
            spans,
            reach.everybody,
            comparison.names(reach.besides),
            comparison.names(reach.held_back),
            judge.why(sources, asked, spans),
        )
        for (sources, spans, reach, _), asked in destinations.items()
    ]
    return sorted(groups, key=_interest)


def _interest(group: FlowGroup) -> tuple[bool, tuple[str, ...], int, tuple[str, ...]]:
    """Flows on few ports first: that is what a workload is reached on."""
    size = sum(high - low + 1 for low, high in group.spans)
    return size > _MANY_PORTS, group.destinations, size, group.sources


@dataclass(frozen=True)
class _Judge:
    effect: str
    comparison: Comparison
    was: Openings
    now: Openings

    def pieces(
        self, destination: Actor, by_source: Mapping[Actor, Spans]
    ) -> Iterator[tuple[frozenset[Actor], Spans, _Reach]]:
        """The turns at one destination, cut into ports that turned for the same sources."""
        cut: dict[frozenset[Actor], list[tuple[int, int]]] = {}
        for piece in _cut(by_source.values()):
            sources = frozenset(s for s, spans in by_source.items() if common(spans, (piece,)))
            if sources:
                cut.setdefault(sources, []).append(piece)
        for sources, parts in cut.items():
            spans = union(parts)
            reach = self._reach(destination, sources, spans)
            if not reach.everybody:
                yield sources, spans, reach
                continue
            # The ports that somebody speaks of stand alone: they are why the workload is there.
            named = common(spans, points(self.comparison.ports_of(destination)))
            told: dict[_Reach, list[tuple[int, int]]] = {}
            alone: list[Spans] = [(part,) for part in named]
            for some in (*alone, minus(spans, named)):
                if some:
                    told.setdefault(self._reach(destination, sources, some), []).extend(some)
            for exact, several in told.items():
                apart = common(union(several), named)
                for part in (apart, minus(union(several), apart)):
                    if part:
                        yield sources, part, exact

    def _reach(self, destination: Actor, sources: frozenset[Actor], spans: Spans) -> _Reach:
        others = [a for a in self.comparison.actors if a is not destination and not a.only_asked]
        if len(others) < 2 or len(sources) < 2:
            return _Reach()
        if self.effect == CLOSED:
            still = frozenset(
                a for a in others if common(self.now.between(a.after, destination.after), spans)
            )
            # The local node is let in whatever a policy says: no exception worth naming.
            left = frozenset(a for a in still if not a.is_host)
            return _Reach(everybody=not left)
        admitted = [
            common(self.now.side(INGRESS, destination.after, a.after), spans) == spans
            for a in others
        ]
        before = [
            common(self.was.side(INGRESS, destination.before, a.before), spans) == spans
            for a in others
        ]
        if not all(admitted) or all(before):
            return _Reach()
        rest = [a for a in others if a not in sources and not a.is_host]
        besides = frozenset(
            a
            for a in rest
            if common(self.was.between(a.before, destination.before), spans) == spans
        )
        return _Reach(True, besides, frozenset(rest) - besides)

    def why(self, sources: Iterable[Actor], asked: Iterable[Actor], spans: Spans) -> str:
        """The verdict on the side that denies, for the first of the flows."""
        source = min(sources, key=lambda actor: actor.rank)
        destination = min(asked, key=lambda actor: actor.rank)
        wanted = (*self.comparison.ports_of(destination), *self.comparison.ports)
        port, protocol = first_port(spans, wanted)
        before = self.effect == OPENED
        engine = self.comparison.before if before else self.comparison.after
        ends = (source.before, destination.before) if before else (source.after, destination.after)
        return engine.verdict(*ends, port, protocol, icmp_type=port).sentence()


def _cut(several: Iterable[Spans]) -> list[tuple[int, int]]:
    """The parts of the line between all ends of these spans."""
    ends = {end for spans in several for low, high in spans for end in (low, high + 1)}
    return [(low, high - 1) for low, high in pairwise(sorted(ends))]
