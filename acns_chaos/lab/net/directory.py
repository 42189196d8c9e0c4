"""Who is where: addresses to pods and nodes, services to their backends.

Reads the store and the world; decides nothing. Names are in `zone`, policy in `enforcement`, time
in `connections`.
What an address is depends on who looks: a node is the host to itself and a remote node to the
others, and each node's DNS proxy has learned names of its own. `viewpoint` is the name of the node
that looks; "" is the first, which in a world of one node is the only one.

Not modelled: node ports; addresses of nodes answer only for pods in the host network.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from acns_chaos.lab.api.controllers.endpoints import is_ready
from acns_chaos.lab.net.names.learned import Learned
from acns_chaos.lab.net.objects import (
    Change,
    Node,
    Objects,
    Pod,
    Target,
    port_number,
    running_pod,
    service_addresses,
)
from acns_chaos.lab.world import Outside, World
from acns_chaos.policy import Endpoint

_WATCHED = frozenset({"Pod", "Service", "Namespace", "Node"})


class Directory:
    """The addresses of a cluster and its surroundings, kept up to date from the store.

    Args:
        store: where objects live.
        world: the names outside.
        now: seconds since 1970, for how long learnt names last.
    """

    def __init__(self, store: Objects, world: World, now: Callable[[], float]) -> None:
        self._store = store
        self._world = world
        self._turn = itertools.count()
        self._arrivals = itertools.count()
        self._learned = Learned(now, world.min_ttl)
        self._outside = {ip: host for host in world.outside.values() for ip in host.addresses}
        self._fresh = False
        self._pods: dict[tuple[str, str], Pod] = {}
        # Those with an address whose containers have not started.
        self._starting: dict[tuple[str, str], Pod] = {}
        self._by_ip: dict[str, Pod] = {}
        # The same nodes by name and by address.
        self._nodes: dict[str, Node] = {}
        self._node_ips: dict[str, Node] = {}
        self._node_ports: frozenset[tuple[str, int, str]] = frozenset()
        self._services: dict[tuple[str, str], dict[str, Any]] = {}
        self._service_ips: dict[str, dict[str, Any]] = {}
        self.namespace_labels: dict[str, dict[str, str]] = {}
        store.on_change(self._changed)

    def _changed(self, change: Change) -> None:
        if change.kind in _WATCHED:
            self._fresh = False

    def _refresh(self) -> None:
        if self._fresh:
            return
        self._fresh = True
        namespaces = {ns["metadata"]["name"]: ns for ns in self._store.list("Namespace")}
        self.namespace_labels = {
            name: dict(ns["metadata"].get("labels") or {}) for name, ns in namespaces.items()
        }
        nodes = [node for node in map(Node.of, self._store.list("Node")) if node is not None]
        self._nodes = {node.name: node for node in nodes}
        self._node_ips = {node.ip: node for node in nodes}
        self._refresh_pods(namespaces)
        self._services = {}
        self._service_ips = {}
        for service in self._store.list("Service"):
            metadata = service["metadata"]
            self._services[metadata["namespace"], metadata["name"]] = service
            for ip in service_addresses(service):
                self._service_ips[ip] = service

    def _refresh_pods(self, namespaces: Mapping[str, Mapping[str, Any]]) -> None:
        first = next(iter(self._nodes), "lab")
        self._pods, self._starting = {}, {}
        for raw in self._store.list("Pod"):
            phase = raw.get("status", {}).get("phase") or ""
            if phase not in ("Pending", "Running"):
                continue
            starting = bool(raw.get("status", {}).get("podIP")) and not _runs(raw, phase)
            if phase == "Running" or starting:
                node = raw["spec"].get("nodeName")
                namespace = namespaces.get(raw["metadata"]["namespace"])
                pod = running_pod(raw, namespace, node if node in self._nodes else first)
                if starting:
                    # Policies know it, and nothing in it listens yet.
                    pod = replace(pod, listening=frozenset())
                (self._starting if starting else self._pods)[pod.namespace, pod.name] = pod
        known = [*self._pods.values(), *self._starting.values()]
        own = [pod for pod in known if not pod.raw["spec"].get("hostNetwork")]
        self._by_ip = {pod.ip: pod for pod in own}
        self._node_ports = frozenset(
            (pod.ip, *port)
            for pod in self._pods.values()
            if pod.raw["spec"].get("hostNetwork")
            for port in pod.listening
        )

    # ------------------------------------------------------------------ looking up

    def pod(self, namespace: str, name: str) -> Pod | None:
        """The running pod of that name."""
        self._refresh()
        return self._pods.get((namespace, name))

    def starting(self, namespace: str, name: str) -> Pod | None:
        """The pod of that name that has an address, and whose init containers are at work."""
        self._refresh()
        return self._starting.get((namespace, name))

    def pods(self) -> Iterable[Pod]:
        """Every running pod."""
        self._refresh()
        return self._pods.values()

    def node(self) -> str:
        """Name of the first node."""
        return self.nodes()[0]

    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes, at least one."""
        self._refresh()
        return tuple(self._nodes) or ("lab",)

    def node_of(self, endpoint: Endpoint) -> str:
        """The node that an endpoint is on, "" for one outside the cluster."""
        self._refresh()
        if endpoint.kind == "pod":
            namespace, _, name = endpoint.name.partition("/")
            pod = self._pods.get((namespace, name)) or self._starting.get((namespace, name))
            return pod.node if pod else self.node()
        node = self._node_ips.get(endpoint.ip)
        return node.name if node else ""

    def service(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The raw Service of that name."""
        self._refresh()
        return self._services.get((namespace, name))

    def services(self) -> list[dict[str, Any]]:
        """Every raw Service."""
        self._refresh()
        return list(self._services.values())

    def backends(self, service: Mapping[str, Any]) -> list[Pod]:
        """The ready pods that a service selects; none for one without a selector."""
        self._refresh()
        selector = service.get("spec", {}).get("selector")
        if not selector:
            return []
        return [
            pod
            for pod in self._pods.values()
            if pod.namespace == service["metadata"]["namespace"]
            and is_ready(pod.raw)
            and selector.items() <= (pod.raw["metadata"].get("labels") or {}).items()
        ]

    def backend(self, namespace: str, service: str, turn: int = 0) -> Pod | None:
        """One ready pod behind the named service, those of later turns in order, or None."""
        found = self.service(namespace, service)
        pods = self.backends(found) if found else []
        return pods[turn % len(pods)] if pods else None

    def endpoint(self, ip: str, viewpoint: str = "") -> Endpoint:
        """What policy sees behind an address: a pod, a node, or the outside with its names.

        Args:
            ip: IPv4 address.
            viewpoint: name of the node that looks.
        """
        self._refresh()
        pod = self._by_ip.get(ip)
        if pod is not None:
            return pod.endpoint
        viewpoint = viewpoint or self.node()
        node = self._node_ips.get(ip)
        if node is not None:
            return node.host if node.name == viewpoint else node.remote
        return Endpoint.outside(ip, fqdns=self._learned.names(viewpoint, ip))

    def seen_from(self, endpoint: Endpoint, viewpoint: str) -> Endpoint:
        """An endpoint as a node sees it at this moment; pods are the same everywhere."""
        if endpoint.kind == "pod" or not endpoint.ip:
            return endpoint
        node = self._node_ips.get(endpoint.ip)
        if node is not None and node.name == viewpoint and endpoint.name != "remote-node":
            # A pod in the host network keeps its name on its own node.
            return endpoint
        return self.endpoint(endpoint.ip, viewpoint)

    def target(self, ip: str, port: int, protocol: str = "TCP", *, viewpoint: str = "") -> Target:
        """Where a packet ends up; services are translated before policy looks at it.

        Args:
            ip: IPv4 address as the sender wrote it.
            port: as the sender wrote it.
            protocol: TCP or UDP.
            viewpoint: name of the sender's node.
        """
        self._refresh()
        service = self._service_ips.get(ip)
        if service is not None:
            entry = _service_port(service, port, protocol)
            if entry is not None:
                return self._through(service, entry, ip, viewpoint)
            # No service on that port: the address itself belongs to nobody.
            return Target(Endpoint.outside(ip), port, "silent")
        pod = self._by_ip.get(ip)
        if pod is not None:
            return Target(pod.endpoint, port, _answer(pod, port, protocol))
        host = self._outside.get(ip)
        there = (host is not None and port in host.ports) or (
            (ip, port, protocol) in self._node_ports
        )
        return Target(self.endpoint(ip, viewpoint), port, "open" if there else "silent")

    def arrive(self, client: Endpoint, ip: str, port: int) -> tuple[Endpoint, Target] | None:
        """Where a packet from outside to a service's address ends up, and who it is from.

        Args:
            client: who sends it.
            ip: of a load balancer, or of any service.
            port: there.

        Returns:
            The sender and the receiver as the receiver's node sees them; None when the client is
            not outside, when the address is no service's, or when nobody stands behind it.
        """
        self._refresh()
        service = self._service_ips.get(ip)
        entry = _service_port(service, port, "TCP") if service else None
        if service is None or entry is None or client.kind != "outside":
            return None
        pods = self.backends(service)
        if not pods:
            return None
        pod = pods[next(self._turn) % len(pods)]
        return self.arriving(client, service, pod), _to_pod(pod, entry)

    def arriving(
        self, client: Endpoint, service: Mapping[str, Any], pod: Pod, *, by_turns: bool = True
    ) -> Endpoint:
        """Who a connection from outside comes from, as the backend's node sees it.

        With externalTrafficPolicy Cluster any node may receive it. One that passes it on to another
        carries the client's identity in the tunnel or, with native routing, puts its own address in
        place of the client's.

        Args:
            client: outside the cluster.
            service: the raw Service.
            pod: the backend.
            by_turns: the nodes receive in turn; otherwise the first does.
        """
        self._refresh()
        local = service["spec"].get("externalTrafficPolicy") == "Local"
        if local or self._world.routing != "native" or len(self._nodes) < 2:
            return client
        nodes = list(self._nodes.values())
        receiving = nodes[next(self._arrivals) % len(nodes) if by_turns else 0]
        return client if receiving.name == pod.node else receiving.remote

    def _through(
        self, service: Mapping[str, Any], entry: Mapping[str, Any], ip: str, viewpoint: str
    ) -> Target:
        pods = self.backends(service)
        if service["spec"].get("internalTrafficPolicy") == "Local":
            pods = [pod for pod in pods if pod.node == (viewpoint or self.node())]
        if not pods:
            return Target(Endpoint.outside(ip), int(entry["port"]), "refused")
        return _to_pod(pods[next(self._turn) % len(pods)], entry)

    # ------------------------------------------------------------------ the outside

    def learn(self, node: str, name: str, addresses: Iterable[str], ttl: float) -> None:
        """Remember that a node's DNS proxy saw these addresses in an answer for a name."""
        self._learned.learn(node, name, addresses, ttl)

    def use(self, node: str, ip: str) -> None:
        """Note that a packet from a node to an outside address passed."""
        self._learned.use(node, ip)

    def outside_host(self, ip: str) -> Outside | None:
        """The host outside at an address, None when the world knows of none."""
        return self._outside.get(ip)


def _runs(pod: Mapping[str, Any], phase: str) -> bool:
    """Whether a container of a raw Pod runs; one without statuses goes by its phase."""
    states = [one.get("state") or {} for one in pod["status"].get("containerStatuses") or ()]
    return phase == "Running" and (not states or any("waiting" not in one for one in states))


def _service_port(service: Mapping[str, Any], port: int, protocol: str) -> Mapping[str, Any] | None:
    """The entry of a raw Service for a port, None when it has none."""
    for entry in service["spec"].get("ports", ()):
        if entry["port"] == port and entry.get("protocol", "TCP") == protocol:
            return dict(entry)
    return None


def _to_pod(pod: Pod, entry: Mapping[str, Any]) -> Target:
    """The end of the way through an entry of a service."""
    number = port_number(pod, entry.get("targetPort", entry["port"]))
    return Target(pod.endpoint, number, _answer(pod, number, entry.get("protocol", "TCP")))


def _answer(pod: Pod, port: int, protocol: str) -> str:
    return "open" if (port, protocol) in pod.listening else "refused"
