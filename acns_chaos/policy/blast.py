"""The blast radius of a change: which flows it opens and closes, among all that is known.

Belongs here: comparing what a set of policies lets through with what it lets through after some
objects changed. Does not belong here: the flows found, in words and held against a limit
(`radius`), who and what is known (`known`), judging a flow (`matrix`, `asked`), and what must
never be cut (`lockout`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from acns_chaos.policy.asked import ByName, Lookup, Names, Request, passes
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.known import Known, known_world
from acns_chaos.policy.matrix import Matrix
from acns_chaos.policy.model import EGRESS, INGRESS, Flow, ObjectRef
from acns_chaos.policy.radius import BlastRadius, Connections, Touched
from acns_chaos.policy.verdict import Engine
from acns_chaos.policy.views import View
from acns_chaos.policy.world import World

__all__ = ["BlastRadius", "Outlook", "Touched", "blast_radius", "outlook_of"]

Raw = Mapping[str, Any]


class Outlook:
    """What a set of policies lets through, among all that is known.

    Args:
        engine: the policies.
        known: who and what is asked.
    """

    def __init__(self, engine: Engine, known: Known) -> None:
        self.known = known
        self.matrix = Matrix(engine, known.endpoints, known.ports)
        kinds = Counter((e.labels, e.named_ports) for e in known.endpoints)
        # A pod does not talk to itself through policy; two replicas do.
        self._alone = frozenset(
            e
            for e in self.matrix.identities
            if e.kind != "pod" or kinds[e.labels, e.named_ports] == 1
        )
        self._pods = [e for e in self.matrix.identities if e.kind == "pod"]
        # A DNS server asks other servers, outside; its lookups of itself are no policy's matter.
        serving = {server.labels for server, _ in known.servers}
        self._clients = [pod for pod in self._pods if pod.labels not in serving]
        self._names = Names(engine, known.servers)
        self._answers: dict[Flow, bool] = {}

    def _lookups_of(self, pod: Endpoint, after: Names) -> Iterator[Lookup]:
        for server, port in self.known.servers:
            for protocol in ("UDP", "TCP"):
                if not after.same(pod, server, port, protocol):
                    for query in self.known.queries:
                        yield Lookup(pod, server, port, protocol, query)

    def _named_of(self, pod: Endpoint) -> Iterator[ByName]:
        for address in self.known.names:
            for port, protocol in self.known.name_ports:
                yield ByName(pod, address, port, protocol)

    def _requests(self, source: Endpoint, destination: Endpoint) -> Iterator[Request]:
        for port, protocol in self.known.request_ports:
            for method, path, host in self.known.requests:
                yield Request(source, destination, port, protocol, method, path, host)

    def after(self, changes: Mapping[ObjectRef, Raw | None]) -> Matrix:
        """The connections after objects were written or deleted.

        Args:
            changes: what each object becomes; None deletes it, if it is there.
        """
        matrix = self.matrix
        for ref, policy in changes.items():
            if policy is not None:
                matrix = matrix.with_policy(policy)
            elif ref in matrix.engine.rules or ref in matrix.engine.invalid:
                matrix = matrix.without_policy(ref)
        return matrix

    def change(self, changes: Mapping[ObjectRef, Raw | None]) -> BlastRadius:
        """What writing or deleting objects opens and closes; arguments as `after`.

        Connections without a pod, and of a pod with itself, are left out: nothing passes there.
        """
        after = self.after(changes)
        delta = self.matrix.delta(after)
        own = self._own(after.engine) if not delta.empty else (0, 0)
        opened, closed = self._asked(after.engine)
        connections = Connections(delta, own, self._alone)
        return BlastRadius(opened, closed, connections, self._subjects(after.engine))

    def _subjects(self, after: Engine) -> Iterator[Endpoint]:
        """The pods whose own rules differ, in either direction."""
        before = self.matrix.engine
        for pod in self._pods:
            if any(_differ(before.view(w, pod), after.view(w, pod)) for w in (EGRESS, INGRESS)):
                yield pod

    def _own(self, after: Engine) -> tuple[int, int]:
        """How many connections of a pod with itself would seem to open and close."""
        before = self.matrix.engine
        opened = closed = 0
        for pod in self._pods:
            if pod in self._alone and (
                before.view(EGRESS, pod) is not after.view(EGRESS, pod)
                or before.view(INGRESS, pod) is not after.view(INGRESS, pod)
            ):
                for port, protocol in self.known.ports:
                    was = before.allows(pod, pod, port, protocol)
                    now = after.allows(pod, pod, port, protocol)
                    opened, closed = opened + (now and not was), closed + (was and not now)
        return opened, closed

    def _asked(self, after: Engine) -> tuple[list[Flow], list[Flow]]:
        """Lookups, connections by name and requests that turn."""
        opened: list[Flow] = []
        closed: list[Flow] = []
        before = self.matrix.engine
        lookups = Names(after, self.known.servers, self._names)
        for flow in self._concerned(before, after, lookups):
            was = self._before(flow)
            now = passes(after, flow, lookups)
            if was is not now and (isinstance(flow, ByName) or _connects(before, after, flow)):
                (opened if now else closed).append(flow)
        return opened, closed

    def _before(self, flow: Flow) -> bool:
        known = self._answers.get(flow)
        if known is None:
            known = self._answers[flow] = passes(self.matrix.engine, flow, self._names)
        return known

    def _concerned(self, before: Engine, after: Engine, lookups: Names) -> Iterator[Flow]:
        """What is asked by or of somebody who judges otherwise now."""
        known = self.known
        if not known.queries and not known.names and not known.requests:
            return

        def moved(direction: str, subject: Endpoint) -> bool:
            return before.view(direction, subject) is not after.view(direction, subject)

        leaving = {pod for pod in self._pods if moved(EGRESS, pod)}
        served = any(moved(INGRESS, server) for server, _ in known.servers)
        for pod in self._clients:
            if served or pod in leaving:
                yield from chain(self._lookups_of(pod, lookups), self._named_of(pod))
        if known.requests:
            arriving = {pod for pod in self._pods if moved(INGRESS, pod)}
            for source in self.matrix.identities:
                for destination in self.matrix.identities:
                    if (source in leaving or destination in arriving) and source != destination:
                        yield from self._requests(source, destination)


def outlook_of(world: World) -> Outlook:
    """What the policies of a world let through, among all that is known of it."""
    endpoints = world.endpoints
    if world.settings.node_selector_labels:
        endpoints += world.hosts  # Otherwise no policy tells one node from another.
    known = known_world(world.policies, endpoints, world.services, world.cidr_groups)
    return Outlook(world.engine, known)


def blast_radius(world: World, changes: Mapping[ObjectRef, Raw | None]) -> BlastRadius:
    """What writing or deleting policies opens and closes in a world.

    Args:
        world: as it is.
        changes: what each object becomes; None deletes it, if it is there.

    Raises:
        PolicyError: an object is no policy.
    """
    written = [policy for policy in changes.values() if policy is not None]
    known = known_world(
        (*world.policies, *written), world.endpoints, world.services, world.cidr_groups
    )
    return Outlook(world.engine, known).change(changes)


def _differ(one: View, other: View) -> bool:
    """Whether two views judge by other rules; equal ones may have been gathered twice."""
    return one is not other and (one.rules, one.enforced) != (other.rules, other.enforced)


def _connects(before: Engine, after: Engine, flow: Flow) -> bool:
    """Whether the connection itself stands on both sides of the change."""
    ends = (flow.source, flow.destination, flow.port, flow.protocol)
    return before.allows(*ends) and after.allows(*ends)
