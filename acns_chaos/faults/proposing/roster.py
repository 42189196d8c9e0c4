"""Who is there to ask and be asked, and what the policies say of it. Nothing is asked here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.inventory import Inventory
from acns_chaos.faults.proposing.asks import (
    CLOSED,
    CUSTOMER,
    HTTPS,
    NAME,
    OPEN,
    STRANGER,
    WORLD,
    Ask,
    host_of,
)
from acns_chaos.policy import Endpoint, Engine
from acns_chaos.policy.asked import Names, Server
from acns_chaos.policy.model import DENIED, EGRESS, INGRESS
from acns_chaos.policy.mutation.sites import rule_items
from acns_chaos.policy.owners import owner_name

__all__ = ["Roster"]

# Owners that give a pod's successor the same name; a bare pod's own name belongs in no file.
_OWNERS = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"})
# Stand for the address of an outside name, which nobody knows before it is looked up: ranges for
# benchmarks and for examples, far apart. A policy that tells them apart goes by networks.
_SOMEWHERE = ("198.18.0.1", "192.0.2.1", "203.0.113.1")
# Of a stranger: `faults.probers` makes it so. The labels of its namespace are the engine's matter.
_SPEC = {"serviceAccountName": "default"}
# Outside names that a workload is asked for besides those of its own namespace's policies.
FOREIGN = 3


@dataclass(frozen=True, slots=True)
class _Backends:
    """Whom a Service's port leads to, and on which port of theirs."""

    pods: tuple[Endpoint, ...]
    port: int


class Roster:
    """Who is there to ask and be asked, in a cluster at one moment.

    Args:
        inventory: pods, policies and Services.
        pods: the same pods raw, for the names of their owners.
        servers: the DNS servers among the pods, with their port.
    """

    def __init__(
        self, inventory: Inventory, pods: Iterable[Mapping[str, Any]], servers: Iterable[Server]
    ) -> None:
        self.inventory = inventory
        self._servers = tuple(servers)
        pods = tuple(pods)
        self._owner = {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": (
                f"{pod['metadata']['namespace']}/{owner_name(pod)}"
            )
            for pod in pods
            if _is_owned(pod)
        }
        self._away = {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in pods
            if _is_unready(pod)
        }
        self.workloads: dict[str, tuple[Endpoint, ...]] = {}
        for pod in inventory.pods:
            if owner := self._owner.get(pod.name):
                self.workloads[owner] = (*self.workloads.get(owner, ()), pod)
        self._backends: dict[tuple[str, int], _Backends] = {}
        self.outward: dict[str, int] = {}
        """The Services with a load balancer, "namespace/name", to the port of their address."""
        self._strangers: dict[str, Endpoint] = {}
        for service in inventory.services:
            self._take(service)

    def _take(self, service: Mapping[str, Any]) -> None:
        metadata, spec = service["metadata"], service.get("spec") or {}
        selector = spec.get("selector") or {}
        if not selector or spec.get("clusterIP") in (None, "", "None"):
            return
        wanted = {f"k8s:{key}={value}" for key, value in selector.items()}
        namespace, name = str(metadata["namespace"]), f"{metadata['namespace']}/{metadata['name']}"
        # A Service without a ready pod refuses everybody, whatever the policies say.
        pods = tuple(
            pod
            for pod in self.inventory.pods
            if pod.namespace == namespace and wanted <= pod.labels and pod.name not in self._away
        )
        for port in spec.get("ports") or ():
            number = _target(port, pods)
            if pods and number and port.get("protocol", "TCP") == "TCP":
                self._backends[name, int(port["port"])] = _Backends(pods, number)
        first = int((spec.get("ports") or [{}])[0].get("port", 0))
        if spec.get("type") == "LoadBalancer" and (name, first) in self._backends:
            self.outward[name] = first

    def asks(self, places: Iterable[str]) -> list[Ask]:
        """Every flow that workloads of some namespaces, strangers in them, or customers can ask.

        Nobody else's pods are asked to run anything. Sorted.
        """
        wanted = set(places)
        found = [
            Ask(source, target, port)
            for (target, port), backends in self._backends.items()
            for source, pods in self.workloads.items()
            if source.partition("/")[0] in wanted
            # A pod does not talk to itself through policy.
            and not {pod.name for pod in pods} & {pod.name for pod in backends.pods}
        ]
        found += [
            Ask(WORLD, name, port, CUSTOMER)
            for name, port in self.outward.items()
            if name.partition("/")[0] in wanted
        ]
        found += [
            Ask(f"{place}/", target, port, STRANGER)
            for target, port in self._backends
            if (place := target.partition("/")[0]) in wanted
        ]
        return sorted([*found, *self._names(wanted)])

    def _names(self, wanted: set[str]) -> Iterable[Ask]:
        """Outside names that a policy writes in full, asked by the workloads of its namespace.

        The others are asked for a few of them as well: what must be closed to somebody has to be
        open to somebody else, or nobody could tell that it is closed by policy.
        """
        written: dict[str, set[str]] = {}
        for policy in self.inventory.policies:
            place = str(policy["metadata"].get("namespace") or "")
            for item in rule_items(policy):
                for name in item.raw.get("toFQDNs") or ():
                    if place in wanted and (host := host_of(str(name.get("matchName") or ""))):
                        written.setdefault(place, set()).add(host)
        every = sorted({host for hosts in written.values() for host in hosts})
        for source in self.workloads:
            place = source.partition("/")[0]
            own = written.get(place, set())
            foreign = [host for host in every if host not in own][:FOREIGN]
            for host in (*own, *foreign) if place in wanted else ():
                yield Ask(source, host, HTTPS, NAME)

    def state(self, engine: Engine, ask: Ask) -> str:
        """What policies say of an ask: OPEN, CLOSED, or "" where they say neither of all pods."""
        if ask.way == NAME:
            return self._state_of_name(engine, ask)
        backends = self._backends[ask.target, ask.port]
        said = {
            engine.allows(source, pod, backends.port, "TCP")
            for source in self.senders(ask)
            for pod in backends.pods
        }
        return (OPEN if said.pop() else CLOSED) if len(said) == 1 else ""

    def _state_of_name(self, engine: Engine, ask: Ask) -> str:
        lookups = Names(engine, self._servers)
        said = set()
        for source in self.senders(ask):
            answered, learned = lookups.resolves(source, ask.target)
            if not answered:
                # The lookup fails first, and why it does cannot be told from inside.
                return ""
            names = (ask.target,) if learned else ()
            for address in _SOMEWHERE:
                there = Endpoint.outside(address, fqdns=names)
                said.add(engine.allows(source, there, ask.port, "TCP"))
        return (OPEN if said.pop() else CLOSED) if len(said) == 1 else ""

    def lingers(self, engine: Engine, ask: Ask) -> bool:
        """Whether a flow to a name stays open where policies close it: its lookup passes unlearned.

        Agents keep what they learned before, and whoever asks has just asked.
        """
        if ask.way != NAME:
            return False
        lookups, before = Names(engine, self._servers), Names(self.inventory.engine, self._servers)
        return any(
            lookups.resolves(source, ask.target) == (True, False)
            and before.resolves(source, ask.target) == (True, True)
            for source in self.senders(ask)
        )

    def senders(self, ask: Ask) -> tuple[Endpoint, ...]:
        """The endpoints that may be the ones who ask."""
        if ask.way == STRANGER:
            return (self._stranger(ask.home),)
        return (Endpoint.entity(WORLD),) if ask.source == WORLD else self.workloads[ask.source]

    def _stranger(self, place: str) -> Endpoint:
        """A pod without labels, as a run makes it."""
        if place not in self._strangers:
            pod = {"metadata": {"name": "a stranger", "namespace": place}, "spec": _SPEC}
            self._strangers[place] = Endpoint.from_pod(pod)
        return self._strangers[place]

    def receivers(self, ask: Ask) -> tuple[Endpoint, ...]:
        """The pods that are asked; none of an outside name."""
        return () if ask.way == NAME else self._backends[ask.target, ask.port].pods

    def ends(self, ask: Ask) -> tuple[Endpoint, ...]:
        """Both ends, as far as they are pods."""
        asked = (*self.senders(ask), *self.receivers(ask))
        return tuple(end for end in asked if end.kind == "pod")

    def dropped_at(self, engine: Engine, ask: Ask) -> tuple[str, str]:
        """Where a closed flow is dropped.

        Returns:
            "egress" or "ingress", and the "namespace/workload" whose pods count it; ("", "") when
            its pods have no owner to go by, or several.
        """
        if ask.way == NAME:
            return EGRESS, ask.source
        backends = self._backends[ask.target, ask.port]
        source = self.senders(ask)[0]
        verdict = engine.verdict(source, backends.pods[0], backends.port, "TCP")
        if verdict.egress.verdict == DENIED:
            return EGRESS, ask.source
        owner = self.arrives_at(ask)[0]
        return (INGRESS, owner) if owner else ("", "")

    def arrives_at(self, ask: Ask) -> tuple[str, int]:
        """Where a flow arrives when it is let through.

        Returns:
            "namespace/workload", or the outside name, and the port there; ("", 0) when the pods
            have no owner to go by, or several.
        """
        if ask.way == NAME:
            return ask.target, ask.port
        backends = self._backends[ask.target, ask.port]
        owners = {self._owner.get(pod.name, "") for pod in backends.pods}
        owner = owners.pop() if len(owners) == 1 else ""
        return (owner, backends.port) if owner else ("", 0)

    def counted(self, engine: Engine, ask: Ask) -> bool:
        """Whether `read_connection` finds the drops of a closed flow.

        It looks at the source's pods, and at those whose names begin with the Service's.
        """
        way, owner = self.dropped_at(engine, ask)
        return way == EGRESS or (way == INGRESS and f"{owner}-".startswith(f"{ask.target}-"))

    def ruled(self, ask: Ask) -> bool:
        """Whether some rule is what lets an open flow pass, not the lack of any policy."""
        if ask.way == NAME:
            return True
        backends = self._backends[ask.target, ask.port]
        source = self.senders(ask)[0]
        verdict = self.inventory.engine.verdict(source, backends.pods[0], backends.port, "TCP")
        return bool(verdict.egress.rules or verdict.ingress.rules)

    def asked_by(self, source: str, destination: str, port: int) -> list[Ask]:
        """The asks that a seen flow may have been.

        Args:
            source: "namespace/workload", or WORLD.
            destination: "namespace/workload".
            port: of the destination's pod.
        """
        return [
            Ask(source, target, number)
            for (target, number), backends in self._backends.items()
            if backends.port == port
            and any(self._owner.get(pod.name) == destination for pod in backends.pods)
        ]


def _is_owned(pod: Mapping[str, Any]) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner.get("kind") in _OWNERS for owner in owners)


def _is_unready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") != "True" for one in conditions)


def _target(port: Mapping[str, Any], pods: Iterable[Endpoint]) -> int:
    """The number of the pods' port that a Service's port means; 0 when they do not agree."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, int):
        return target
    numbers = {
        number for pod in pods for name, number, _ in pod.named_ports if name == str(target).lower()
    }
    return numbers.pop() if len(numbers) == 1 else 0
