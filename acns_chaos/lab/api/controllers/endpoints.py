"""What the endpoints controllers make of a service: its Endpoints and its EndpointSlice.

Pure; when they are made again is in ``derived``.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.reading.printing import members

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def selects(service: Json, pod: Json) -> bool:
    """Whether a pod is behind a service with a selector, ready or not."""
    labels = pod["metadata"].get("labels") or {}
    if service["metadata"]["namespace"] != pod["metadata"]["namespace"]:
        return False
    return all(labels.get(key) == value for key, value in service["spec"]["selector"].items())


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a service sends traffic to a raw Pod."""
    conditions = members(pod, "status", "conditions")
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def _ports(service: Json, pods: Iterable[Json]) -> list[Json]:
    """The ports behind a service, with names of container ports resolved in the first pod."""
    named = {
        port["name"]: port["containerPort"]
        for pod in list(pods)[:1]
        for container in members(pod, "spec", "containers")
        for port in members(container, "ports")
        if port.get("name")
    }
    found = []
    for port in service["spec"].get("ports") or ():
        target = port.get("targetPort") or port["port"]
        number = target if isinstance(target, int) else named.get(target)
        if number is not None:
            name, protocol = port.get("name", ""), port.get("protocol", "TCP")
            found.append({"name": name, "port": number, "protocol": protocol})
    return found


def _target(pod: Json) -> Json:
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }


def _owner(service: Json) -> Json:
    metadata = service["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def endpoints(service: Json, pods: list[Json]) -> Json:
    """The Endpoints of a service.

    Args:
        service: a raw Service with a selector.
        pods: the running pods that it selects.
    """
    metadata = service["metadata"]
    ready, waiting = (
        [
            {
                "ip": pod["status"]["podIP"],
                "nodeName": pod["spec"].get("nodeName", ""),
                "targetRef": _target(pod),
            }
            for pod in pods
            if is_ready(pod) is wanted
        ]
        for wanted in (True, False)
    )
    ports = [{key: value for key, value in port.items() if value} for port in _ports(service, pods)]
    subset = {
        **({"addresses": ready} if ready else {}),
        **({"notReadyAddresses": waiting} if waiting else {}),
        **({"ports": ports} if ports else {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {
                **(metadata.get("labels") or {}),
                "endpoints.kubernetes.io/managed-by": "endpoint-controller",
            },
        },
        **({"subsets": [subset]} if pods else {}),
    }


def endpoint_slice(service: Json, pods: list[Json], zones: dict[str, str | None]) -> Json:
    """The EndpointSlice of a service.

    Args:
        service: a raw Service with a selector.
        pods: the running pods that it selects.
        zones: node name to zone.
    """
    metadata = service["metadata"]
    digest = hashlib.sha256(metadata["uid"].encode()).digest()
    suffix = "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:5])
    listed = []
    for pod in pods:
        node, ready = pod["spec"].get("nodeName", ""), is_ready(pod)
        leaving = bool(pod["metadata"].get("deletionTimestamp"))
        zone = zones.get(node)
        conditions = {"ready": ready, "serving": ready, "terminating": leaving}
        listed.append(
            {
                "addresses": [pod["status"]["podIP"]],
                "conditions": conditions,
                "nodeName": node,
                "targetRef": _target(pod),
                **({"zone": zone} if zone else {}),
            }
        )
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": {
                **(metadata.get("labels") or {}),
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                "kubernetes.io/service-name": metadata["name"],
            },
            "ownerReferences": [_owner(service)],
        },
        "addressType": "IPv4",
        "endpoints": listed,
        "ports": _ports(service, pods),
    }
