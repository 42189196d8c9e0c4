"""Pods of a workload that its controller makes anew: which they are, deleting one, who is Ready.

Deleted, as `kubectl delete pod` does it, and not evicted: an eviction is refused for as long as a
PodDisruptionBudget has nothing to spare, which for one replica is always, and a node that fails
asks no budget either. `kubectl rollout restart` changes the workload's template, which a GitOps
controller would undo.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import is_ready, workload_of
from acns_chaos.cluster.policies import POD, PolicyRef
from acns_chaos.cluster.prober import is_prober
from acns_chaos.errors import NotFound

__all__ = ["delete_pod", "ref_of", "replicas_of", "why_kept", "why_not_ready"]

# Controllers that make another pod whenever one is deleted.
_MAKES_ANEW = ("ReplicaSet", "StatefulSet", "DaemonSet")
_OVER = ("Succeeded", "Failed")

Raw = Mapping[str, Any]


def replicas_of(api: Api, namespace: str, workload: str) -> list[dict[str, Any]]:
    """List the pods of a workload that are there for good, whether they run or not.

    Args:
        api: the cluster.
        namespace: where.
        workload: the Deployment's, StatefulSet's or DaemonSet's name.

    Returns:
        Raw pods, neither over nor on their way out, sorted by name; none of our own.

    Raises:
        ApiError: the list cannot be read.
    """
    items = api.get(f"/api/v1/namespaces/{namespace}/pods").get("items", [])
    found = [
        pod
        for pod in items
        if workload_of(pod) == workload
        and not is_prober(pod)
        and not pod["metadata"].get("deletionTimestamp")
        and (pod.get("status") or {}).get("phase") not in _OVER
    ]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def why_kept(pod: Raw) -> str:
    """Say why a pod must not be deleted, "" when its controller would make another."""
    owners = [one for one in pod["metadata"].get("ownerReferences") or () if one.get("controller")]
    if not owners:
        return "no controller owns it, so nobody would make it anew"
    kind = str(owners[0].get("kind"))
    if kind not in _MAKES_ANEW:
        return f"a {kind} owns it, which does not simply make another"
    return ""


def ref_of(pod: Raw) -> PolicyRef:
    """Name a raw pod."""
    return PolicyRef(POD, str(pod["metadata"]["namespace"]), str(pod["metadata"]["name"]))


def delete_pod(api: Api, pod: Raw) -> None:
    """Delete exactly this pod, with the grace that it asks for; one that is gone is fine.

    Raises:
        ApiError: it may not be deleted, or another pod has its name now (409).
    """
    metadata = pod["metadata"]
    body = {"kind": "DeleteOptions", "apiVersion": "v1"}
    try:
        api.delete(ref_of(pod).path, {**body, "preconditions": {"uid": metadata["uid"]}})
    except NotFound:
        return


def why_not_ready(pods: Iterable[Raw]) -> str:
    """Say what the first pod that is not Ready waits for, "" when none tells."""
    for pod in pods:
        if is_ready(pod):
            continue
        name, status = pod["metadata"]["name"], pod.get("status") or {}
        for one in status.get("initContainerStatuses") or ():
            if "terminated" not in (one.get("state") or {}):
                return f"{name} waits for its init container {one.get('name')}"
        for one in status.get("containerStatuses") or ():
            waiting = (one.get("state") or {}).get("waiting") or {}
            if waiting:
                return f"{name}: {one.get('name')} waits ({waiting.get('reason', 'no reason')})"
        for one in status.get("conditions") or ():
            if one.get("status") == "False" and one.get("message"):
                return f"{name}: {one['message']}"
        return f"{name} is {status.get('phase', 'in no phase')}"
    return ""
