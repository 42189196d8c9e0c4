"""Conditions, container statuses and events, as the parts of a cluster write them about a pod.

Only shapes; who writes them when is in ``bare_pods``, ``kubelet`` and ``replicas``.
"""

import secrets

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import now
from acns_chaos.lab.api.store import Store


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    """One condition of a pod that begins now."""
    why = {key: text for key, text in (("reason", reason), ("message", message)) if text}
    return {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": now(),
        **why,
    }


def follow_on(before: list[Json], after: list[Json]) -> list[Json]:
    """Conditions that are new, with the moments of those whose status did not change."""
    since = {(one["type"], one["status"]): one["lastTransitionTime"] for one in before}
    return [
        {**one, "lastTransitionTime": since.get((one["type"], one["status"]), now())}
        for one in after
    ]


def container_status(container: Json, state: Json, *, ready: bool, started: bool) -> Json:
    """The status of one container that never restarted."""
    return {
        "name": container["name"],
        "ready": ready,
        "started": started,
        "restartCount": 0,
        "image": container["image"],
        "imageID": "",
        "state": state,
    }


def tell(store: Store, about: Json, reason: str, message: str, component: str) -> None:
    """Write an event about an object.

    Args:
        store: where it goes.
        about: the raw object.
        reason: one word, such as "Started".
        message: for people.
        component: who tells: "kubelet", "default-scheduler", a controller.
    """
    metadata, moment = about["metadata"], now()
    reference = {
        "apiVersion": about["apiVersion"],
        "kind": about["kind"],
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
    }
    host = str((about.get("spec") or {}).get("nodeName") or "") if component == "kubelet" else ""
    store.put(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{secrets.token_hex(8)}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": reference,
            "reason": reason,
            "message": message,
            "type": "Normal",
            "count": 1,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "source": {"component": component, **({"host": host} if host else {})},
            "reportingComponent": component,
            "reportingInstance": host,
        }
    )
