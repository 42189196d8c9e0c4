"""Flows that can be asked from here, by names alone, and what the policies say of each.

A workload asks a Service, a workload asks an outside name that some policy names, customers ask
the Service with a load balancer. Nothing is asked here: this is what could be, and what the engine
expects of it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.inventory import Inventory
from acns_chaos.policy import Endpoint, Engine
from acns_chaos.policy.asked import ByName, Names, Server
from acns_chaos.policy.model import DENIED, EGRESS, INGRESS
from acns_chaos.policy.mutation.sites import rule_items
from acns_chaos.policy.owners import owner_name

__all__ = [
    "CLOSED",
    "CONNECT",
    "CUSTOMER",
    "HTTPS",
    "NAME",
    "OPEN",
    "WORLD",
    "Ask",
    "Roster",
    "host_of",
]

# Who asks, and how: a Service's address, an outside name, the shop's address from outside.
CONNECT, NAME, CUSTOMER = "connect", "name", "customer"
WORLD = "world"
# What is expected of an ask; "" where its pods differ, or a lookup is in the way.
OPEN, CLOSED = "OPEN", "DENIED"
# Owners that give a pod's successor the same name; a bare pod's own name belongs in no file.
_OWNERS = frozenset({"ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"})
# Stands for the address of an outside name: a range for benchmarks, which no cluster routes.
_SOMEWHERE = "198.18.0.1"
HTTPS = 443
_HOST = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+")


@dataclass(frozen=True, slots=True, order=True)
class Ask:
    """A flow that can be asked.

    Attributes:
        source: "namespace/workload", or WORLD.
        target: "namespace/service", or an outside name.
        port: of the Service, or of whoever has the name.
        way: CONNECT, NAME or CUSTOMER.
    """

    source: str
    target: str
    port: int
    way: str = CONNECT

    @property
    def places(self) -> frozenset[str]:
        """The namespaces at its ends."""
        ends = (self.source, self.target)
        return frozenset(end.partition("/")[0] for end in ends if "/" in end)

    @property
    def home(self) -> str:
        """The namespace of whoever asks; of the shop, where customers do."""
        end = self.target if self.source == WORLD else self.source
        return end.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.source} -> {self.target}:{self.port}"


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
        self._owner = {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": (
                f"{pod['metadata']['namespace']}/{owner_name(pod)}"
            )
            for pod in pods
            if _is_owned(pod)
        }
        self.workloads: dict[str, tuple[Endpoint, ...]] = {}
        for pod in inventory.pods:
            if owner := self._owner.get(pod.name):
                self.workloads[owner] = (*self.workloads.get(owner, ()), pod)
        self._backends: dict[tuple[str, int], _Backends] = {}
        self.outward: dict[str, int] = {}
        """The Services with a load balancer, "namespace/name", to the port of their address."""
        for service in inventory.services:
            self._take(service)

    def _take(self, service: Mapping[str, Any]) -> None:
        metadata, spec = service["metadata"], service.get("spec") or {}
        selector = spec.get("selector") or {}
        if not selector or spec.get("clusterIP") in (None, "", "None"):
            return
        wanted = {f"k8s:{key}={value}" for key, value in selector.items()}
        namespace, name = str(metadata["namespace"]), f"{metadata['namespace']}/{metadata['name']}"
        pods = tuple(
            pod
            for pod in self.inventory.pods
            if pod.namespace == namespace and wanted <= pod.labels
        )
        for port in spec.get("ports") or ():
            number = _target(port, pods)
            if pods and number and port.get("protocol", "TCP") == "TCP":
                self._backends[name, int(port["port"])] = _Backends(pods, number)
        first = int((spec.get("ports") or [{}])[0].get("port", 0))
        if spec.get("type") == "LoadBalancer" and (name, first) in self._backends:
            self.outward[name] = first

    def asks(self, places: Iterable[str]) -> list[Ask]:
        """Every flow that workloads of some namespaces, or customers of theirs, can ask; sorted.

        Nobody else's pods are asked to run anything.
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
        return sorted([*found, *self._names(wanted)])

    def _names(self, wanted: set[str]) -> Iterable[Ask]:
        """Outside names that a policy writes in full, asked by the workloads of its namespace."""
        written: set[tuple[str, str]] = set()
        for policy in self.inventory.policies:
            place = str(policy["metadata"].get("namespace") or "")
            for item in rule_items(policy):
                for name in item.raw.get("toFQDNs") or ():
                    if place in wanted and (host := host_of(str(name.get("matchName") or ""))):
                        written.add((place, host))
        for place, name in written:
            for source, pods in self.workloads.items():
                if pods[0].namespace == place:
                    yield Ask(source, name, HTTPS, NAME)

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
        known = Endpoint.outside(_SOMEWHERE, fqdns=(ask.target,))
        unknown = Endpoint.outside(_SOMEWHERE)
        said = set()
        for source in self.senders(ask):
            flow = ByName(source, known, ask.port, "TCP")
            answered, learned = lookups.resolves(flow.source, ask.target)
            if not answered:
                # The lookup fails first, and why it does cannot be told from inside.
                return ""
            said.add(engine.allows(source, known if learned else unknown, ask.port, "TCP"))
        return (OPEN if said.pop() else CLOSED) if len(said) == 1 else ""

    def senders(self, ask: Ask) -> tuple[Endpoint, ...]:
        """The endpoints that may be the ones who ask."""
        return (Endpoint.entity(WORLD),) if ask.source == WORLD else self.workloads[ask.source]

    def ends(self, ask: Ask) -> tuple[Endpoint, ...]:
        """Both ends, as far as they are pods."""
        asked = () if ask.way == NAME else self._backends[ask.target, ask.port].pods
        return tuple(end for end in (*self.senders(ask), *asked) if end.kind == "pod")

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
        owners = {self._owner.get(pod.name, "") for pod in backends.pods}
        owner = owners.pop() if len(owners) == 1 else ""
        return (INGRESS, owner) if owner else ("", "")

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


def host_of(name: str) -> str:
    """A DNS name as it is asked for, "" for one that no host has: a client looks up anything."""
    host = name.rstrip(".").lower()
    return host if _HOST.fullmatch(host) else ""


def _is_owned(pod: Mapping[str, Any]) -> bool:
    owners = pod["metadata"].get("ownerReferences") or ()
    return any(owner.get("kind") in _OWNERS for owner in owners)


def _target(port: Mapping[str, Any], pods: Iterable[Endpoint]) -> int:
    """The number of the pods' port that a Service's port means; 0 when they do not agree."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, int):
        return target
    numbers = {
        number for pod in pods for name, number, _ in pod.named_ports if name == str(target).lower()
    }
    return numbers.pop() if len(numbers) == 1 else 0
