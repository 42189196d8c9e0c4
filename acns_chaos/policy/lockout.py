"""The self-lockout guard: what a fault may never cut, whatever the experiment's limit says.

Belongs here: the flows by which a cluster is watched and mended, and whether a change cuts one.
Does not belong here: the limit of an experiment (`blast`), and refusing (`faults`).

Never cut are DNS for kube-system, the API server for whoever runs the cluster or restores, Hubble
relay, and Prometheus. A workload that loses its own way there is an ordinary fault: only the
clients that watch and mend count, and the servers themselves.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.policy.asked import Lookup, Names, passes
from acns_chaos.policy.endpoints import SERVICE_ACCOUNT_KEY, Endpoint
from acns_chaos.policy.known import is_dns_server
from acns_chaos.policy.model import Flow
from acns_chaos.policy.verdict import Engine
from acns_chaos.policy.workloads import flow_text, labels_of

__all__ = ["Lockout", "lockouts", "vital_flows"]

DNS = "DNS for kube-system"
API_SERVER = "the API server"
RESTORE = "our own way to restore"
RELAY = "Hubble relay"
PROMETHEUS = "Prometheus"

# The labels that name a workload, and what they say there.
_NAMING = (
    "k8s-app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app",
    "rsName",
    "dsName",
    "component",
    SERVICE_ACCOUNT_KEY,
)
_RELAYS = frozenset({"hubble-relay"})
_MONITORS = frozenset(
    {
        "prometheus",
        "kube-prometheus-stack",
        "prometheus-operator",
        "alertmanager",
        "kube-state-metrics",
        "ama-metrics",
        "ama-metrics-node",
        "ama-metrics-ksm",
        "ama-metrics-operator-targets",
    }
)
_RUNNERS = frozenset({"acns-chaos"})
_SYSTEM = "kube-system"
_MONITORING = frozenset({"monitoring", "prometheus"})

_DNS_PORTS = ((53, "UDP"), (53, "TCP"))
_HTTPS = ((443, "TCP"),)
_API_PORTS = (*_HTTPS, (6443, "TCP"))
_RELAY_PORTS = ((4245, "TCP"), (4222, "TCP"))
_PROMETHEUS_PORTS = ((9090, "TCP"),)
_HUBBLE_PORT = (4244, "TCP")
# A name that every cluster serves.
_NAME = "kubernetes.default.svc.cluster.local"

_WORLD = Endpoint.entity("world")
_NODES = (Endpoint.entity("remote-node"), Endpoint.entity("host"))
# On a managed cluster the API server is outside.
_API_SERVERS = (Endpoint.entity("kube-apiserver"), Endpoint.entity("kube-apiserver-external"))


@dataclass(frozen=True, slots=True)
class Lockout:
    """Something a change would cut that must never be cut.

    Attributes:
        what: e.g. "DNS for kube-system".
        flow: one of the flows that would no longer pass.
    """

    what: str
    flow: Flow

    def sentence(self) -> str:
        """For the person whose fault is refused."""
        return (
            f"The fault would cut {self.what} ({flow_text(self.flow)}): such a fault is never "
            "injected, as nobody could watch it or take it back. Narrow the fault."
        )


def lockouts(
    before: Engine,
    after: Engine,
    endpoints: Iterable[Endpoint],
    services: Iterable[Mapping[str, Any]] = (),
) -> list[Lockout]:
    """What a change cuts that must never be cut, one for each kind of thing.

    Args:
        before: the policies as they are.
        after: the policies after the change.
        endpoints: every pod, and any node or API server that is known.
        services: raw Service objects: default/kubernetes tells the API server's port.
    """
    found: dict[str, Lockout] = {}
    was, now = Names(before), Names(after)
    for what, flow in vital_flows(endpoints, services):
        if what not in found and passes(before, flow, was) and not passes(after, flow, now):
            found[what] = Lockout(what, flow)
    return list(found.values())


def vital_flows(
    endpoints: Iterable[Endpoint], services: Iterable[Mapping[str, Any]] = ()
) -> Iterator[tuple[str, Flow]]:
    """The flows that must keep passing if they pass now, each with what it is for.

    Args:
        endpoints: every pod, and any node or API server that is known.
        services: raw Service objects: default/kubernetes tells the API server's port; without it
            both usual ones count.
    """
    groups = _Groups(endpoints)
    ports = tuple(_api_ports(services)) or _API_PORTS
    yield from _dns(groups)
    for client in groups.runners:
        yield from ((RESTORE, flow) for flow in _flows([client], groups.api_servers, ports))
    staff = (*groups.system, *groups.monitors)
    yield from ((API_SERVER, flow) for flow in _flows(staff, groups.api_servers, ports))
    yield from _watched(RELAY, groups.relays, _RELAY_PORTS, groups)
    yield from ((RELAY, flow) for flow in _flows(groups.relays, groups.nodes, (_HUBBLE_PORT,)))
    yield from _watched(PROMETHEUS, groups.monitors, _PROMETHEUS_PORTS, groups)
    yield from ((PROMETHEUS, flow) for flow in _flows(groups.monitors, (_WORLD,), _HTTPS))


def _api_ports(services: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for service in services:
        metadata = service.get("metadata") or {}
        if (metadata.get("namespace"), metadata.get("name")) == ("default", "kubernetes"):
            for port in (service.get("spec") or {}).get("ports") or ():
                target = port.get("targetPort", port.get("port"))
                if isinstance(target, int):
                    yield target, "TCP"


def _dns(groups: "_Groups") -> Iterator[tuple[str, Flow]]:
    clients = (*groups.system, *groups.nodes)
    for flow in _flows(clients, groups.servers, _DNS_PORTS, own_ports=True):
        yield DNS, flow
        if flow.source.kind == "pod":
            yield (
                DNS,
                Lookup(flow.source, flow.destination, flow.port, flow.protocol, _NAME),
            )
    yield from ((DNS, flow) for flow in _flows(groups.servers, (_WORLD,), _DNS_PORTS))
    lookups = (*groups.monitors, *groups.relays)
    for flow in _flows(lookups, groups.servers, _DNS_PORTS):
        yield (RELAY if flow.source in groups.relays else PROMETHEUS), flow


def _watched(
    what: str, pods: tuple[Endpoint, ...], ports: tuple[tuple[int, str], ...], groups: "_Groups"
) -> Iterator[tuple[str, Flow]]:
    """Who may ask a relay or a Prometheus: nodes (port-forwarding), the outside, each other."""
    clients = (*groups.nodes, _WORLD, *groups.monitors)
    yield from ((what, flow) for flow in _flows(clients, pods, ports, own_ports=True))


def _flows(
    sources: Iterable[Endpoint],
    destinations: Iterable[Endpoint],
    ports: Iterable[tuple[int, str]],
    *,
    own_ports: bool = False,
) -> Iterator[Flow]:
    destinations = tuple(destinations)
    for source in sources:
        for destination in destinations:
            if source != destination:
                asked = {*ports, *(destination.ports if own_ports else ())}
                for number, protocol in sorted(asked):
                    yield Flow(source, destination, number, protocol)


class _Groups:
    """The endpoints by what they are for; pods with equal labels are one."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        each = {(e.kind, e.labels, e.ip if e.kind != "pod" else ""): e for e in endpoints}
        pods = [e for e in each.values() if e.kind == "pod"]
        others = [e for e in each.values() if e.kind != "pod"]
        self.servers = tuple(e for e in pods if is_dns_server(e) and e.namespace == _SYSTEM)
        self.relays = tuple(e for e in pods if _named(e) & _RELAYS)
        self.monitors = tuple(
            e for e in pods if e.namespace in _MONITORING or _named(e) & _MONITORS
        )
        self.runners = tuple(e for e in pods if _named(e) & _RUNNERS)
        self.system = tuple(e for e in pods if e.namespace == _SYSTEM)
        known = tuple(e for e in others if "reserved:kube-apiserver=" in e.labels)
        self.api_servers = (*_API_SERVERS, *known)
        nodes = ("reserved:remote-node=", "reserved:host=")
        self.nodes = (*_NODES, *(e for e in others if not e.labels.isdisjoint(nodes)))


def _named(endpoint: Endpoint) -> frozenset[str]:
    labels = labels_of(endpoint)
    return frozenset(labels[key] for key in _NAMING if labels.get(key))
