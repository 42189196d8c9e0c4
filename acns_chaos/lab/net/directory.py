"""Who is where: addresses to pods, services to their backends, names to addresses.

Reads the store and the world; decides nothing. Policy is in `enforcement`, time in `connections`.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from acns_chaos.lab.net.objects import (
    Change,
    Objects,
    Pod,
    Target,
    is_ready,
    port_number,
    running_pod,
    service_addresses,
)
from acns_chaos.lab.world import Outside, World
from acns_chaos.policy import Endpoint

# Learnt addresses stay known this long: tofqdns-min-ttl on AKS, in seconds.
LEARNT_SECONDS = 3600.0
_WATCHED = frozenset({"Pod", "Service", "Namespace", "Node"})
_BASE_OF_UNKNOWN_IMAGE = "scratch"


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
        self._now = now
        self._turn = itertools.count()
        self._learnt: dict[str, dict[str, float]] = {}
        self._outside = {ip: host for host in world.outside.values() for ip in host.addresses}
        self._fresh = False
        self._pods: dict[tuple[str, str], Pod] = {}
        self._by_ip: dict[str, Pod] = {}
        self._nodes: dict[str, Endpoint] = {}
        self._services: dict[tuple[str, str], dict[str, Any]] = {}
        self._service_ips: dict[str, dict[str, Any]] = {}
        self.namespace_labels: dict[str, dict[str, str]] = {}
        self._node_name = "lab"
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
        self._nodes = {}
        for node in self._store.list("Node"):
            self._node_name = node["metadata"]["name"]
            labels = node["metadata"].get("labels") or {}
            for address in node.get("status", {}).get("addresses", ()):
                if address["type"] == "InternalIP":
                    ip = address["address"]
                    self._nodes[ip] = Endpoint.entity("host", node_labels=labels, ip=ip)
        self._pods = {}
        for raw in self._store.list("Pod"):
            if raw.get("status", {}).get("phase") == "Running":
                pod = running_pod(raw, namespaces.get(raw["metadata"]["namespace"]))
                self._pods[pod.namespace, pod.name] = pod
        self._by_ip = {
            pod.ip: pod for pod in self._pods.values() if not pod.raw["spec"].get("hostNetwork")
        }
        self._services = {}
        self._service_ips = {}
        for service in self._store.list("Service"):
            metadata = service["metadata"]
            self._services[metadata["namespace"], metadata["name"]] = service
            for ip in service_addresses(service):
                self._service_ips[ip] = service

    # ------------------------------------------------------------------ looking up

    def pod(self, namespace: str, name: str) -> Pod | None:
        """The running pod of that name."""
        self._refresh()
        return self._pods.get((namespace, name))

    def pods(self) -> Iterable[Pod]:
        """Every running pod."""
        self._refresh()
        return self._pods.values()

    def node(self) -> str:
        """Name of the node."""
        self._refresh()
        return self._node_name

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

    def backend(self, namespace: str, service: str) -> Pod | None:
        """One ready pod behind the named service, None when there is none."""
        found = self.service(namespace, service)
        pods = self.backends(found) if found else []
        return pods[0] if pods else None

    def endpoint(self, ip: str) -> Endpoint:
        """What policy sees behind an address: a pod, a node, or the outside with its names."""
        self._refresh()
        pod = self._by_ip.get(ip)
        if pod is not None:
            return pod.endpoint
        return self._nodes.get(ip) or Endpoint.outside(ip, fqdns=self._names(ip))

    def target(self, ip: str, port: int, protocol: str = "TCP") -> Target:
        """Where a packet ends up; services are translated before policy looks at it.

        Args:
            ip: IPv4 address as the sender wrote it.
            port: as the sender wrote it.
            protocol: TCP or UDP.
        """
        self._refresh()
        service = self._service_ips.get(ip)
        if service is not None:
            for entry in service["spec"].get("ports", ()):
                if entry["port"] == port and entry.get("protocol", "TCP") == protocol:
                    return self._through(service, entry, ip)
            # No service on that port: the address itself belongs to nobody.
            return Target(Endpoint.outside(ip), port, "silent")
        pod = self._by_ip.get(ip)
        if pod is not None:
            answer = "open" if (port, protocol) in pod.listening else "refused"
            return Target(pod.endpoint, port, answer)
        host = self._outside.get(ip)
        answer = "open" if host is not None and port in host.ports else "silent"
        return Target(self.endpoint(ip), port, answer)

    def _through(self, service: Mapping[str, Any], entry: Mapping[str, Any], ip: str) -> Target:
        pods = self.backends(service)
        if not pods:
            return Target(Endpoint.outside(ip), int(entry["port"]), "refused")
        pod = pods[next(self._turn) % len(pods)]
        wanted = entry.get("targetPort", entry["port"])
        number = port_number(pod, wanted)
        protocol = entry.get("protocol", "TCP")
        answer = "open" if (number, protocol) in pod.listening else "refused"
        return Target(pod.endpoint, number, answer)

    # ------------------------------------------------------------------ names

    def addresses(self, name: str) -> tuple[str, ...] | None:
        """What the cluster's DNS server holds for a complete name.

        Args:
            name: with or without the trailing dot.

        Returns:
            IPv4 addresses, None when the name does not exist.
        """
        self._refresh()
        name = name.rstrip(".").lower()
        labels = name.split(".")
        if len(labels) == 5 and labels[2:] == ["svc", "cluster", "local"]:
            service = self._services.get((labels[1], labels[0]))
            if service is None:
                return None
            ip = service["spec"].get("clusterIP")
            if ip in (None, "", "None"):
                return tuple(pod.ip for pod in self.backends(service))
            return (ip,)
        host = self._world.outside.get(name)
        return host.addresses if host else None

    def search_list(self, namespace: str) -> list[str]:
        """The search domains in a pod's resolver configuration."""
        cluster = [f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
        return [*cluster, *self._world.node_search]

    def nameserver(self) -> str:
        """The cluster's DNS address."""
        service = self.service("kube-system", "kube-dns")
        return service["spec"]["clusterIP"] if service else "10.0.0.10"

    def learn(self, name: str, addresses: Iterable[str]) -> None:
        """Remember that the node's DNS proxy saw these addresses in an answer for a name."""
        for ip in addresses:
            self._learnt.setdefault(ip, {})[name.rstrip(".")] = self._now() + LEARNT_SECONDS

    def outside_host(self, ip: str) -> Outside | None:
        """The host outside at an address, None when the world knows of none."""
        return self._outside.get(ip)

    def _names(self, ip: str) -> tuple[str, ...]:
        now = self._now()
        return tuple(sorted(n for n, end in self._learnt.get(ip, {}).items() if end > now))

    # ------------------------------------------------------------------ containers

    def base_of(self, pod: Pod, container: str) -> str | None:
        """Which tools a container holds, None when the pod has no such container.

        Args:
            pod: a running pod.
            container: its name, "" for the first.
        """
        containers = pod.raw["spec"]["containers"]
        for candidate in containers:
            if container in ("", candidate["name"]):
                image = candidate["image"].split("@")[0]
                repository = image.rsplit(":", 1)[0] if ":" in image.rsplit("/", 1)[-1] else image
                for known, base in self._world.images.items():
                    if repository == known or repository.endswith(f"/{known}"):
                        return base
                return _BASE_OF_UNKNOWN_IMAGE
        return None
