"""The cluster's nodes as Hubble knows them: an agent each, addresses, labels, load balancers.

Reads the store; logs nothing itself.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from acns_chaos.lab.hubble.agent import Agent
from acns_chaos.lab.hubble.identities import CLUSTER
from acns_chaos.lab.net.objects import Change, Objects, internal_address

_WATCHED = frozenset({"Node", "Service"})
_PORT = 4244
_NAMELESS = "lab"


class Nodes:
    """Agents by the name of their node.

    Args:
        store: Node and Service objects.
        capacity: of each agent's ring.
        now: nanoseconds since 1970.

    Attributes:
        labels: of each node, "key=value", sorted.
    """

    def __init__(self, store: Objects, capacity: int, now: Callable[[], int]) -> None:
        self._store = store
        self._capacity = capacity
        self._now = now
        self._agents: dict[str, Agent] = {}
        self._addresses: dict[str, str] = {}
        self._fronts: list[Mapping[str, Any]] = []
        self._found: dict[tuple[str, int, tuple[str, ...]], tuple[str, int, str] | None] = {}
        self._fresh = False
        self.labels: dict[str, list[str]] = {}
        store.on_change(self._changed)
        self._refresh()

    def agents(self) -> list[Agent]:
        """Every agent, by name."""
        self._refresh()
        return [self._agents[name] for name in sorted(self._agents)]

    def agent(self, name: str) -> Agent:
        """The agent of a node; one that no object describes is met with its first flow."""
        self._refresh()
        if name not in self._agents:
            self._agents[name] = Agent(name, self._capacity, self._now)
        return self._agents[name]

    def find(self, name: str) -> Agent | None:
        """The agent of a node that exists."""
        self._refresh()
        return self._agents.get(name)

    def or_first(self, name: str) -> str:
        """The name, or for an empty one that of the first node."""
        self._refresh()
        return name or next(iter(sorted(self._addresses)), _NAMELESS)

    def address(self, name: str) -> str:
        """Where a relay reaches a node's Hubble."""
        self._refresh()
        return f"{self._addresses.get(name, '')}:{_PORT}"

    def load_balancer(
        self, namespace: str, port: int, labels: Iterable[str]
    ) -> tuple[str, int, str] | None:
        """The outside address under which a pod's port is reached.

        Args:
            namespace: of the pod.
            port: of its container.
            labels: of its identity, as Hubble writes them.

        Returns:
            Address, port, and namespace and name of the service with a slash; None without one.
        """
        self._refresh()
        key = (namespace, port, tuple(labels))
        if key not in self._found:
            self._found[key] = self._look(namespace, port, set(key[2]))
        return self._found[key]

    def _look(self, namespace: str, port: int, labels: set[str]) -> tuple[str, int, str] | None:
        for service in self._fronts:
            metadata, spec = service["metadata"], service["spec"]
            selector = {f"k8s:{k}={v}" for k, v in (spec.get("selector") or {}).items()}
            if metadata["namespace"] != namespace or not selector or not selector <= labels:
                continue
            for entry in spec.get("ports", ()):
                if entry.get("targetPort", entry["port"]) in (port, str(port)):
                    ip = service["status"]["loadBalancer"]["ingress"][0].get("ip", "")
                    return ip, int(entry["port"]), f"{namespace}/{metadata['name']}"
        return None

    def _changed(self, change: Change) -> None:
        if change.kind in _WATCHED:
            self._fresh = False

    def _refresh(self) -> None:
        if self._fresh:
            return
        self._fresh = True
        nodes = {node["metadata"]["name"]: node for node in self._store.list("Node")}
        self.labels.clear()
        self._addresses = {}
        for name, node in nodes.items():
            labels = node["metadata"].get("labels") or {}
            self.labels[name] = sorted(f"{key}={value}" for key, value in labels.items())
            self._addresses[name] = internal_address(node)
            if name not in self._agents:
                self._agents[name] = Agent(name, self._capacity, self._now)
        self._found = {}
        self._fronts = [
            service
            for service in self._store.list("Service")
            if (service.get("status") or {}).get("loadBalancer", {}).get("ingress")
        ]


def server_name(node: str) -> str:
    """The name in a node's Hubble certificate."""
    return f"{node.replace('.', '-')}.{CLUSTER}.hubble-grpc.cilium.io"
