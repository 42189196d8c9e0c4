"""Kubernetes objects as the network reads them: what a store offers, and views of pods.

Only reading of single objects; how they relate to each other is in `directory`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from acns_chaos.policy import Endpoint


class Change(Protocol):
    """One write to the store."""

    @property
    def type(self) -> str:
        """ADDED, MODIFIED or DELETED."""

    @property
    def kind(self) -> str:
        """Kubernetes kind."""

    @property
    def object(self) -> dict[str, Any]:
        """The object as it is after the write (before it, when deleted)."""


class Objects(Protocol):
    """The part of the store that the network uses."""

    def list(self, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
        """Copies of the objects of a kind."""

    def on_change(self, callback: Callable[[Any], None]) -> None:
        """Call back synchronously after each write."""

    def put(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Write an object of the world; returns it as it is stored."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A running pod.

    Attributes:
        namespace, name, ip: of the pod.
        endpoint: what policy sees.
        listening: (port, protocol) of every container port.
        raw: the Kubernetes object.
        node: name of the node it runs on.
    """

    namespace: str
    name: str
    ip: str
    endpoint: Endpoint
    listening: frozenset[tuple[int, str]]
    raw: Mapping[str, Any]
    node: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as itself and as the others see it.

    Attributes:
        name: of the node.
        ip: its internal address.
        host: what policy sees on the node itself.
        remote: what policy sees on every other node.
    """

    name: str
    ip: str
    host: Endpoint
    remote: Endpoint

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self | None:
        """The view of a raw Node, None without an internal address."""
        ip = internal_address(raw)
        if not ip:
            return None
        labels = raw["metadata"].get("labels") or {}
        host, remote = (
            Endpoint.entity(entity, node_labels=labels, ip=ip) for entity in ("host", "remote-node")
        )
        return cls(raw["metadata"]["name"], ip, host, remote)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a packet to some address and port ends up.

    Attributes:
        endpoint: the peer whose identity policy judges.
        port: destination port after service translation.
        answer: "open", "refused" (nothing listens, or a service without backends) or "silent".
    """

    endpoint: Endpoint
    port: int
    answer: str


def running_pod(raw: dict[str, Any], namespace: Mapping[str, Any] | None, node: str = "") -> Pod:
    """The view of a raw Pod in a raw Namespace, which may be missing, on a node."""
    metadata = raw["metadata"]
    listening = frozenset(
        (int(port["containerPort"]), str(port.get("protocol") or "TCP"))
        for container in raw["spec"].get("containers", ())
        for port in container.get("ports") or ()
    )
    return Pod(
        namespace=metadata["namespace"],
        name=metadata["name"],
        ip=raw["status"].get("podIP", ""),
        endpoint=Endpoint.from_pod(raw, namespace or {"metadata": {"name": metadata["namespace"]}}),
        listening=listening,
        raw=raw,
        node=node,
    )


def internal_address(node: Mapping[str, Any]) -> str:
    """The address of a raw Node inside the cluster, "" for none."""
    addresses = node.get("status", {}).get("addresses", ())
    return next((str(one["address"]) for one in addresses if one["type"] == "InternalIP"), "")


def service_addresses(service: Mapping[str, Any]) -> list[str]:
    """The cluster and load balancer addresses of a raw Service."""
    spec = service.get("spec", {})
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    found = [spec.get("clusterIP"), *(entry.get("ip") for entry in ingress)]
    return [ip for ip in found if ip and ip != "None"]


def port_number(pod: Pod, wanted: int | str) -> int:
    """A targetPort as a number, 0 for a name that the pod does not have."""
    if isinstance(wanted, int) or wanted.isdigit():
        return int(wanted)
    for name, number, _ in pod.endpoint.named_ports:
        if name == wanted.lower():
            return number
    return 0
