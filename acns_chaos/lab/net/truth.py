"""What really happened, kept while somebody wants it: the ground truth that tests measure against.

It is told by the parts that make it happen, not by the logs and counters that a client may read:
each packet as it is judged, each policy as it comes into force on a node, each answer of the shop
as it is sent. One thing is late by up to 10 ms: packets that the kernel discards at the shop's own
socket are counted at that pace (see `listener`).
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from acns_chaos.lab.net.agents.agent import GROUPS, Key
from acns_chaos.lab.net.agents.enforcement import Enforcement
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.events import Event, Wire

_MOST = 50_000


class Truth:
    """A numbered list of what happened, oldest first; off until it is begun.

    Only the newest are kept: a reader that asks often enough by number misses none, and sees by
    the numbers if it did.

    Args:
        wire: tells of packets.
        enforcement: tells of policies and agents.
        clock: for what carries no time of its own.

    Attributes:
        on: whether anything is kept now.
    """

    __middleware_version__ = 1

    def __init__(self, wire: Wire, enforcement: Enforcement, clock: Clock) -> None:
        self.on = False
        self._enforcement = enforcement
        self._clock = clock
        self._number = 0
        self._kept: deque[dict[str, Any]] = deque(maxlen=_MOST)
        self._in_force: dict[str, dict[Key, int]] = {}
        self._down: dict[str, bool] = {}
        wire.listen(self._packet)
        enforcement.on_applied(self._applied)

    def begin(self) -> None:
        """Keep what happens from now on, and nothing from before; numbers go on."""
        self.on = True
        self._kept.clear()
        nodes = self._enforcement.revisions()
        self._in_force = {node: _numbers(self._enforcement.imported(node)) for node in nodes}
        self._down = {node: self._enforcement.is_down(node) for node in nodes}

    def end(self) -> None:
        """Keep no more, and forget what was kept."""
        self.on = False
        self._kept.clear()

    def as_json(self, after: int = 0) -> list[dict[str, Any]]:
        """What happened after the event of a number.

        Each has `n` (its number), `at` (seconds since 1970) and `what`: "drop" and "forwarded"
        (a packet), "enforced" and "removed" (a policy on a node), "agent" (it stopped or started),
        "answered" (the shop, to a request over real HTTP).
        """
        return [one for one in self._kept if one["n"] > after]

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Stand before the shop's pages, and note what they answer."""
        response = await handler(request)
        if self.on:
            self._keep("answered", method=request.method, path=request.path, code=response.status)
        return response

    def _keep(self, what: str, at: float | None = None, **more: Any) -> None:
        self._number += 1
        moment = self._clock.now() if at is None else at
        self._kept.append({"n": self._number, "at": moment, "what": what, **more})

    def _packet(self, event: Event) -> None:
        if not self.on:
            return
        verdict = event.verdict
        allowed = verdict.verdict == "ALLOWED"
        outward = verdict.egress.verdict == "DENIED"
        self._keep(
            "forwarded" if allowed and verdict.l7 != "DENIED" else "drop",
            event.at,
            source=event.source.name,
            destination=event.destination.name,
            port=event.port,
            protocol=event.protocol,
            flags=event.flags,
            source_port=event.source_port,
            direction="" if allowed else "egress" if outward else "ingress",
            reason=verdict.drop_reason or "",
            node=(event.source_node if outward else event.destination_node) or event.source_node,
            count=event.count,
            query=event.query.name if event.query else "",
        )

    def _applied(self) -> None:
        if not self.on:
            return
        for node, revision in self._enforcement.revisions().items():
            down = self._enforcement.is_down(node)
            if down != self._down.get(node, False):
                self._down[node] = down
                self._keep("agent", node=node, down=down)
            held = self._enforcement.imported(node)
            before, now = self._in_force.get(node, {}), _numbers(held)
            self._in_force[node] = now
            for key in [key for key in before if key not in now]:
                self._keep("removed", node=node, revision=revision, policy=_name(key))
            for key in [key for key, number in now.items() if before.get(key) != number]:
                generation = held[key][1]["metadata"].get("generation", 0)
                self._keep(
                    "enforced",
                    node=node,
                    revision=revision,
                    policy=_name(key),
                    generation=generation,
                )


def _numbers(held: Mapping[Key, tuple[int, Mapping[str, Any]]]) -> dict[Key, int]:
    return {key: number for key, (number, _) in held.items() if key[0] != GROUPS}


def _name(key: Key) -> dict[str, str]:
    kind, namespace, name = key
    return {"kind": kind, "namespace": namespace, "name": name}
