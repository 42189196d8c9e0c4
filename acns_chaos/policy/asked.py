"""What can be asked of a cluster besides a connection: lookups, names, HTTP requests.

Belongs here: how each is judged by an engine. Does not belong here: which ones are worth asking
(`known`), and comparing answers (`blast`).

A connection by name stands for all that a client does: it looks the name up at a DNS server, and
the address it gets is known under that name only when the DNS proxy saw the answer. What other
pods of the node looked up before is not counted, so this is what holds once caches have expired.
Source of the facts: Cilium 1.19, toFQDNs and DNS rules, as tabled in the semantics.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import ALLOWED, DENIED, EGRESS, Flow
from acns_chaos.policy.verdict import Engine

Server = tuple[Endpoint, int]
"""A DNS server and its port."""


@dataclass(frozen=True, slots=True)
class Lookup(Flow):
    """A DNS query.

    Attributes:
        query: the name asked for.
    """

    query: str = ""

    @property
    def request(self) -> str:
        """For people."""
        return f"asks for {self.query}"

    def __str__(self) -> str:
        return f"{Flow.__str__(self)} {self.request}"


@dataclass(frozen=True, slots=True)
class Request(Flow):
    """An HTTP request.

    Attributes:
        method, path, host: of the request.
    """

    method: str = "GET"
    path: str = "/"
    host: str = ""

    @property
    def request(self) -> str:
        """For people."""
        return f"{self.method} {self.host}{self.path}"

    def __str__(self) -> str:
        return f"{Flow.__str__(self)} {self.request}"


@dataclass(frozen=True, slots=True)
class ByName(Flow):
    """A connection to a name: the destination is an address that carries it."""


class Names:
    """What name lookups give under one set of policies; each is judged once.

    Args:
        engine: who judges.
        servers: where names are looked up; without any, every lookup is taken to be answered
            under the proxy's eyes.
        before: the same for the policies before a change: what the change leaves alone is taken
            from there.
    """

    def __init__(
        self, engine: Engine, servers: Sequence[Server] = (), before: "Names | None" = None
    ) -> None:
        self.engine = engine
        self.servers = tuple(servers)
        self._before = before
        self._ways: dict[tuple[Endpoint, Endpoint, int, str], object] = {}
        self._answers: dict[Lookup, tuple[bool, bool]] = {}

    def same(self, source: Endpoint, server: Endpoint, port: int, protocol: str) -> bool:
        """Whether a pod's lookups at a server are judged as they were before the change."""
        if self._before is None:
            return False
        ends = (source, server, port, protocol)
        return bool(self._before.way(*ends) == self.way(*ends))

    def way(self, source: Endpoint, server: Endpoint, port: int, protocol: str) -> object:
        """All that lookups of this kind are judged by: equal ways, equal answers."""
        ends = (source, server, port, protocol)
        if ends not in self._ways:
            engine = self.engine
            seen = engine.identities.as_peer(server)
            named = engine.identities.named_ports(EGRESS, source, server)
            view = engine.view(EGRESS, source)
            matches = view.matching(seen, port, protocol, named, deny=False)
            entries = [entry for _, entries in matches for entry in entries]
            self._ways[ends] = (engine.allows(*ends), view.enforced, bool(matches), entries)
        return self._ways[ends]

    def answered(self, lookup: Lookup) -> tuple[bool, bool]:
        """Whether a lookup is answered, and whether the proxy sees the answer."""
        ends = (lookup.source, lookup.destination, lookup.port, lookup.protocol)
        if self._before is not None and self.same(*ends):
            return self._before.answered(lookup)
        known = self._answers.get(lookup)
        if known is None:
            verdict = self.engine.verdict(*ends, dns_query=lookup.query)
            answered = verdict.verdict == ALLOWED and verdict.l7 != DENIED
            known = self._answers[lookup] = answered, answered and verdict.egress.redirected
        return known

    def resolves(self, source: Endpoint, name: str) -> tuple[bool, bool]:
        """Whether a pod gets an address for a name, and whether the proxy knows that it does."""
        if not self.servers:
            return True, True
        tried = [
            self.answered(Lookup(source, server, port, "UDP", name))
            for server, port in self.servers
        ]
        return any(answered for answered, _ in tried), any(seen for _, seen in tried)


@lru_cache(maxsize=65536)
def _unlearned(address: Endpoint) -> Endpoint:
    return replace(address, fqdns=())


def passes(engine: Engine, flow: Flow, lookups: Names | None = None) -> bool:
    """Whether a flow, and what is asked over it, gets through.

    Args:
        engine: who judges.
        flow: a plain Flow, or one of this module.
        lookups: of the same engine, for names.
    """
    ends = (flow.source, flow.destination, flow.port, flow.protocol)
    if isinstance(flow, Lookup):
        return (lookups or Names(engine)).answered(flow)[0]
    if isinstance(flow, Request):
        request = {"method": flow.method, "path": flow.path, "host": flow.host}
        return engine.allows(*ends) and engine.verdict(*ends, http=request).l7 != DENIED
    if isinstance(flow, ByName):
        (name,) = flow.destination.fqdns
        answered, learned = (lookups or Names(engine)).resolves(flow.source, name)
        address = flow.destination if learned else _unlearned(flow.destination)
        return answered and engine.allows(flow.source, address, flow.port, flow.protocol)
    return engine.allows(*ends)
