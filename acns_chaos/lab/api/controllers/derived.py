"""Objects that controllers make from others, kept in step: of services (`endpoints`), of pods.

They follow the store: a pod, service or namespace that changes is answered on the next turn of
the event loop. What a Cilium endpoint looks like was recorded from Cilium 1.19.4; its
``status.policy`` is empty there, as it is by default, so nothing here says what is enforced.
"""

import asyncio
import hashlib
from collections.abc import Iterator

from acns_chaos.lab.api.controllers.endpoints import endpoint_slice, endpoints, selects
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.reading.printing import at
from acns_chaos.lab.api.store import Change, Store
from acns_chaos.policy import Endpoint

_SOURCES = frozenset({"Pod", "Service", "Namespace", "Node"})
_DERIVED = ("Endpoints", "EndpointSlice", "CiliumEndpoint")
_FIRST_IDENTITY, _LAST_IDENTITY = 256, 65535
_LAST_ENDPOINT = 4000
_SET_BY_STORE = ("uid", "creationTimestamp", "resourceVersion", "generation", "managedFields")


class Derived:
    """Keeps the derived objects of a store up to date."""

    def __init__(self, store: Store) -> None:
        """Make them now, and again after each change of what they follow from.

        Args:
            store: holds the world. Later changes must be written on a running event loop.
        """
        self._store = store
        self._identities = _Numbers(_FIRST_IDENTITY, _LAST_IDENTITY)
        self._endpoints = _Numbers(1, _LAST_ENDPOINT)
        self._due = False
        self._settle()
        store.on_change(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.kind in _SOURCES and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        self._due = False
        wanted = {_key(obj): obj for obj in self._wanted()}
        present = {_key(obj): obj for kind in _DERIVED for obj in self._store.list(kind)}
        for key, obj in present.items():
            if key not in wanted and _is_ours(obj):
                self._store.delete(*key)
                self._forget(obj)
        for key, obj in wanted.items():
            old = present.get(key)
            if old is None or (_is_ours(old) and _without_set(old) != obj):
                self._store.put(obj)

    def _forget(self, gone: Json) -> None:
        """Let another pod of the same name have an endpoint of its own."""
        if gone["kind"] == "CiliumEndpoint":
            self._endpoints.forget(gone["status"].get("id"))

    def _wanted(self) -> Iterator[Json]:
        namespaces = {
            one["metadata"]["name"]: one
            for one in self._store.list("Namespace")
            if not one["metadata"].get("deletionTimestamp")
        }
        pods = [
            pod
            for pod in self._store.list("Pod")
            if pod["metadata"]["namespace"] in namespaces
            # Its address is there, and Cilium knows it, before its first container starts.
            and at(pod, "status", "phase") in ("Pending", "Running")
            and at(pod, "status", "podIP")
        ]
        zones = {
            node["metadata"]["name"]: at(node, "metadata", "labels", "topology.kubernetes.io/zone")
            for node in self._store.list("Node")
        }
        for service in self._store.list("Service"):
            if service["spec"].get("selector") and service["metadata"]["namespace"] in namespaces:
                chosen = [pod for pod in pods if selects(service, pod)]
                yield endpoints(service, chosen)
                yield endpoint_slice(service, chosen, zones)
        for pod in pods:
            if not pod["spec"].get("hostNetwork"):
                yield self._cilium_endpoint(pod, namespaces[pod["metadata"]["namespace"]])

    def _cilium_endpoint(self, pod: Json, namespace: Json) -> Json:
        metadata = pod["metadata"]
        name = f"{metadata['namespace']}/{metadata['name']}"
        container = hashlib.sha256(metadata["uid"].encode()).hexdigest()
        seen = Endpoint.from_pod(pod, namespace)
        labels = sorted(label.removesuffix("=") for label in seen.labels)
        ports = [
            {"name": name, "port": port, "protocol": protocol}
            for name, port, protocol in seen.named_ports
        ]
        status = {
            "encryption": {},
            "external-identifiers": {
                "cni-attachment-id": f"{container}:eth0",
                "container-id": container,
                "k8s-namespace": metadata["namespace"],
                "k8s-pod-name": metadata["name"],
                "pod-name": name,
            },
            "id": self._endpoints.of(f"{pod['spec'].get('nodeName', '')} {name}"),
            "identity": {"id": self._identities.of("\n".join(labels)), "labels": labels},
            **({"named-ports": ports} if ports else {}),
            "networking": {
                "addressing": [{"ipv4": pod["status"]["podIP"]}],
                "node": pod["status"].get("hostIP", ""),
            },
            "service-account": pod["spec"].get("serviceAccountName") or "default",
            "state": "ready",
        }
        owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"]}
        return {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumEndpoint",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "labels": dict(metadata.get("labels") or {}),
                "ownerReferences": [{**owner, "uid": metadata["uid"]}],
            },
            "status": status,
        }


class _Numbers:
    """Numbers for texts: the same text always has the same one, two texts never share one."""

    def __init__(self, first: int, last: int) -> None:
        self._first, self._size = first, last - first + 1
        self._given: dict[str, int] = {}
        self._taken: set[int] = set()

    def of(self, text: str) -> int:
        """The number of a text, made from the text alone unless another had it before."""
        if text not in self._given:
            digest = hashlib.sha256(text.encode()).digest()
            number = int.from_bytes(digest[:4], "big") % self._size
            while number in self._taken:
                number = (number + 1) % self._size
            self._taken.add(number)
            self._given[text] = self._first + number
        return self._given[text]

    def forget(self, number: int | None) -> None:
        """Give whatever has a number another one when it is asked for again."""
        self._given = {text: given for text, given in self._given.items() if given != number}


def _key(obj: Json) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]


def _is_ours(obj: Json) -> bool:
    """Whether an object was made here; one that the world lists is left as it is."""
    metadata = obj["metadata"]
    managed = "endpoints.kubernetes.io/managed-by" in (metadata.get("labels") or {})
    return managed or bool(metadata.get("ownerReferences"))


def _without_set(obj: Json) -> Json:
    metadata = {key: one for key, one in obj["metadata"].items() if key not in _SET_BY_STORE}
    return {**obj, "metadata": metadata}
