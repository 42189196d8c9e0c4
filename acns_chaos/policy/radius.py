"""A blast radius: flows that a change opens and closes, as values and in words.

Belongs here: counting and grouping them, and holding them against a limit. Does not belong here:
finding them (`blast`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.matrix_delta import MatrixDelta
from acns_chaos.policy.model import Flow
from acns_chaos.policy.workloads import flow_request, flow_text, workload_of

# Shown in a sentence.
_PREVIEW = 4


@dataclass(frozen=True, slots=True)
class Touched:
    """What a change means for one workload; each list sorted, each line once.

    Attributes:
        opened: "from world on 8080/TCP" or "to pets/rabbitmq on 5672/TCP": denied before.
        closed: the same for what was allowed before.
    """

    opened: tuple[str, ...]
    closed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections that turn, made into flows only when somebody asks for them.

    Attributes:
        delta: between two matrices.
        own: how many of its flows are of a pod with itself: (opened, closed).
        alone: the identities that are one endpoint only.
    """

    delta: MatrixDelta
    own: tuple[int, int] = (0, 0)
    alone: frozenset[Endpoint] = frozenset()

    def counts(self) -> tuple[int, int]:
        """How many open and how many close."""
        return self.delta.opened_count - self.own[0], self.delta.closed_count - self.own[1]

    def real(self, flows: Iterable[Flow]) -> tuple[Flow, ...]:
        """Those that are not of a pod with itself."""
        if not any(self.own):
            return tuple(flows)
        return tuple(
            flow
            for flow in flows
            if flow.source != flow.destination or flow.source not in self.alone
        )


class BlastRadius:
    """The flows whose verdict a change turns.

    Besides connections (plain `Flow`s) these are lookups, connections by name and HTTP requests,
    see `asked`. A lookup or request counts only where its connection stands before and after.

    Args:
        opened: flows that were denied before and are allowed after.
        closed: flows that were allowed before and are denied after.
        connections: more of both.
        subjects: whose own rules differ after the change; None when that is not known.
    """

    def __init__(
        self,
        opened: Iterable[Flow] = (),
        closed: Iterable[Flow] = (),
        connections: Connections | None = None,
        subjects: Iterable[Endpoint] | None = None,
    ) -> None:
        self._opened, self._closed = tuple(opened), tuple(closed)
        # Looked through once, when somebody asks who is affected.
        self._subjects = subjects
        self._connections = connections
        more = connections.counts() if connections else (0, 0)
        self.opened_count = len(self._opened) + more[0]
        """How many flows open; counting them is cheaper than making them."""
        self.closed_count = len(self._closed) + more[1]
        """How many flows close."""

    @cached_property
    def opened(self) -> tuple[Flow, ...]:
        """Denied before, allowed after."""
        turned = self._connections
        return (*(turned.real(turned.delta.opened) if turned else ()), *self._opened)

    @cached_property
    def closed(self) -> tuple[Flow, ...]:
        """Allowed before, denied after."""
        turned = self._connections
        return (*(turned.real(turned.delta.closed) if turned else ()), *self._closed)

    @property
    def empty(self) -> bool:
        """No verdict differs."""
        return not self.size

    @property
    def size(self) -> int:
        """How many flows turn."""
        return self.opened_count + self.closed_count

    @cached_property
    def workloads(self) -> frozenset[str]:
        """The workloads ("namespace/name") that can newly, or no longer, talk or be talked to."""
        ends = {end for flow in (*self.opened, *self.closed) for end in _ends(flow)}
        return frozenset(workload_of(end) for end in ends if end.kind == "pod")

    @cached_property
    def affected(self) -> frozenset[str]:
        """The workloads that answer for the change: what a limit is held against.

        Those whose own rules turn a flow, and those that lose a connection. Not those that are
        merely within somebody's reach now, or no longer: cluster DNS is not touched when a shop may
        not ask it any more. Without knowing whose rules differ, both ends of every flow.
        """
        if self._subjects is None:
            return self.workloads
        losing = {flow.source for flow in self.closed if flow.source.kind == "pod"}
        ends = {end for flow in (*self.opened, *self.closed) for end in _ends(flow)}
        own = ends.intersection(self._subjects)
        return frozenset(workload_of(end) for end in own | losing)

    def by_workload(self) -> dict[str, Touched]:
        """The flows grouped by the workloads they begin or end at, in alphabetical order."""
        found: dict[str, tuple[set[str], set[str]]] = {}
        for index, flows in enumerate((self.opened, self.closed)):
            for flow in flows:
                what = f"on {flow.port}/{flow.protocol}{flow_request(flow)}"
                source, destination = map(workload_of, _ends(flow))
                if flow.source.kind == "pod":
                    lines = found.setdefault(source, (set(), set()))
                    lines[index].add(f"to {destination} {what}")
                if flow.destination.kind == "pod":
                    lines = found.setdefault(destination, (set(), set()))
                    lines[index].add(f"from {source} {what}")
        return {
            name: Touched(tuple(sorted(opened)), tuple(sorted(closed)))
            for name, (opened, closed) in sorted(found.items())
        }

    def as_json(self) -> dict[str, list[str]]:
        """The flows as text, by workload instead of by pod, sorted, each once."""
        return {
            "closed": sorted({flow_text(flow) for flow in self.closed}),
            "opened": sorted({flow_text(flow) for flow in self.opened}),
        }

    def sentence(self) -> str:
        """The effect in one line."""
        parts: list[str] = []
        for word, flows in (("closed", self.closed), ("opened", self.opened)):
            # First those that somebody would miss or use: something listens there.
            texts = list(dict.fromkeys(flow_text(f) for f in sorted(flows, key=_interest)))
            if texts:
                more = f" and {len(texts) - _PREVIEW} more" if len(texts) > _PREVIEW else ""
                parts.append(f"{word} {', '.join(texts[:_PREVIEW])}{more}")
        return "; ".join(parts) or "changes no verdict"

    def beyond(self, limit: Iterable[str], max_flows: int = 0) -> str:
        """Why it reaches further than a limit, one sentence; "" when it does not.

        Args:
            limit: workloads ("namespace/name") that may be `affected`; empty means any.
            max_flows: how many flows may turn, counted by workload as in `as_json`; 0 means any
                number.
        """
        allowed = set(limit)
        outside = sorted(self.affected - allowed) if allowed else []
        if outside:
            return (
                f"The fault would also touch {', '.join(outside)}; the limit is "
                f"{', '.join(sorted(allowed))}. Narrow the fault or raise the limit."
            )
        turned = sum(map(len, self.as_json().values())) if max_flows else 0
        if turned > max_flows:
            return (
                f"The fault would turn {turned} flows, and the limit is {max_flows} "
                f"({self.sentence()}). Narrow the fault or raise the limit."
            )
        return ""


def _interest(flow: Flow) -> tuple[bool, bool, str]:
    listens = (flow.port, flow.protocol) in flow.destination.ports
    entity = "entity" in {flow.source.kind, flow.destination.kind}
    outside = "world" in {flow.source.name, flow.destination.name}
    return not listens, entity and not outside, flow_text(flow)


def _ends(flow: Flow) -> tuple[Endpoint, Endpoint]:
    return flow.source, flow.destination
