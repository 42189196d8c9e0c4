"""What turns above layer 4: lookups, connections by name, HTTP requests.

Belongs here: asking both engines about requests over connections that stand before and after. Does
not belong here: which requests are worth asking (`known`), and connections themselves
(`difference`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from acns_chaos.policy.actors import Actor, Comparison
from acns_chaos.policy.asked import ByName, Lookup, Names, Request, passes
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import Flow

__all__ = ["RequestGroup", "request_groups"]


@dataclass(frozen=True, slots=True)
class RequestGroup:
    """Requests that turn in the same way.

    Attributes:
        effect: "opened" or "closed".
        kind: "lookup" (a name is answered), "name" (a connection to a name, its lookup included) or
            "http".
        sources: who asks.
        destination: whom: a DNS server, a name, a workload; with the port.
        what: the names or requests.
    """

    effect: str
    kind: str
    sources: tuple[str, ...]
    destination: str
    what: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "effect": self.effect,
            "kind": self.kind,
            "sources": list(self.sources),
            "destination": self.destination,
            "what": list(self.what),
        }


Turn = tuple[str, str, str, str, str]
"""(effect, kind, source, destination with port, what)"""


def request_groups(comparison: Comparison) -> tuple[RequestGroup, ...]:
    """The requests that turn, by destination, with sources and names merged.

    Args:
        comparison: the two worlds.
    """
    what: dict[tuple[str, str, str, str], dict[str, None]] = {}
    for effect, kind, source, destination, asked in _turns(comparison):
        what.setdefault((effect, kind, destination, source), {})[asked] = None
    sources: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for (effect, kind, destination, source), asked_for in what.items():
        sources.setdefault((effect, kind, destination, tuple(asked_for)), []).append(source)
    return tuple(
        RequestGroup(effect, kind, tuple(sorted(set(names))), destination, asked_for)
        for (effect, kind, destination, asked_for), names in sorted(sources.items())
    )


def _turns(comparison: Comparison) -> Iterator[Turn]:
    known = comparison.known
    of_endpoint = {
        endpoint: actor for actor in comparison.actors for endpoint in (actor.before, actor.after)
    }
    names = (
        Names(comparison.before, known.servers),
        Names(comparison.after, known.servers),
    )
    servers = [(of_endpoint[e], port) for e, port in known.servers if e in of_endpoint]
    named = [actor for actor in comparison.actors if actor.only_asked]
    for source in comparison.actors:
        if source.before.kind != "pod":
            continue
        asks = [s for s in servers if comparison.may_differ(source, s[0])]
        for server, port in asks:
            for query in known.queries:
                ends = (source, server, port, "UDP")
                before, after = (Lookup(*end, query) for end in _ends(*ends))
                yield from _turn(comparison, names, (before, after), ends, query)
        for actor in named:
            if asks or comparison.may_differ(source, actor):
                for port, protocol in known.name_ports:
                    ends = (source, actor, port, protocol)
                    old, new = (ByName(*end) for end in _ends(*ends))
                    yield from _turn(comparison, names, (old, new), ends, actor.name)
    yield from _http(comparison, names)


def _http(comparison: Comparison, names: tuple[Names, Names]) -> Iterator[Turn]:
    known = comparison.known
    for source in comparison.actors if known.requests else ():
        for destination in comparison.actors:
            if source.only_asked or not comparison.may_differ(source, destination):
                continue
            for port, protocol in known.request_ports:
                ends = (source, destination, port, protocol)
                for asked in known.requests:
                    old, new = (Request(*end, *asked) for end in _ends(*ends))
                    yield from _turn(comparison, names, (old, new), ends, old.request)


Ends = tuple[Actor, Actor, int, str]
FlowEnds = tuple[Endpoint, Endpoint, int, str]


def _ends(source: Actor, destination: Actor, port: int, protocol: str) -> tuple[FlowEnds, FlowEnds]:
    return (
        (source.before, destination.before, port, protocol),
        (source.after, destination.after, port, protocol),
    )


_KINDS = {Lookup: "lookup", ByName: "name", Request: "http"}


def _turn(
    comparison: Comparison,
    names: tuple[Names, Names],
    flows: tuple[Flow, Flow],
    ends: Ends,
    what: str,
) -> Iterator[Turn]:
    """The turn of one request, if it turns over a connection that stands before and after."""
    source, destination, port, protocol = ends
    if source is destination and not source.replicated:
        return
    before, after = _ends(*ends)
    if not comparison.before.allows(*before) or not comparison.after.allows(*after):
        return
    passed = passes(comparison.before, flows[0], names[0])
    passes_now = passes(comparison.after, flows[1], names[1])
    if passed is not passes_now:
        effect = "opened" if passes_now else "closed"
        where = f"{destination.name}:{port}/{protocol}"
        yield effect, _KINDS[type(flows[0])], source.name, where, what
