"""A pod of our own that asks in place of a workload whose image has no `wget` and no `nc`.

It has the workload's labels, namespace, service account and node, so that policies see the same
identity in the same place, and nothing else of it: it is never Ready (a readiness gate that nobody
sets), so no Service sends it anything; it has no label by which a controller would adopt it, no
token, no root, and an end of its own. No ephemeral container: those cannot be removed.
Belongs here: the pod itself. Does not belong here: its record, and who removes it
(`faults.probers`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.policies import POD, PolicyRef
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError

__all__ = ["CONTAINER", "image_of", "is_prober", "prober_pod", "wait_until_running", "why_none"]

IMAGE_VARIABLE = "ACNS_CHAOS_PROBER_IMAGE"
# The shop's own init container uses it, so its nodes have it; it holds wget, nc and nslookup.
IMAGE = "busybox:1.37.0"
CONTAINER = "prober"
MARK = "acns-chaos/prober"
GATE = "acns-chaos/never"
NOBODY = 65534
# Labels by which a controller tells its own pods; none of them is a part of Cilium's identity.
_CONTROLLERS = ("pod-template-hash", "controller-revision-hash", "pod-template-generation")
_OF_CONTROLLERS = ("statefulset.kubernetes.io/", "apps.kubernetes.io/", "batch.kubernetes.io/")
_OF_JOBS = ("job-name", "controller-uid")

Raw = Mapping[str, Any]


def image_of(environ: Mapping[str, str]) -> str:
    """Return the image of probers: ACNS_CHAOS_PROBER_IMAGE, else busybox's."""
    return environ.get(IMAGE_VARIABLE, "").strip() or IMAGE


def is_prober(pod: Raw) -> bool:
    """Whether a raw Pod is one of ours, of any run."""
    return MARK in ((pod.get("metadata") or {}).get("annotations") or {})


def why_none(pod: Raw, services: Iterable[Raw]) -> str:
    """Say why a workload can have no prober beside it, "" when it can.

    Args:
        pod: a raw pod of the workload.
        services: the raw Services of its namespace.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    if spec.get("hostNetwork"):
        return "it runs in the host network, where policies see the node and no pod"
    owners = [one for one in metadata.get("ownerReferences") or () if one.get("controller")]
    kind = str(owners[0].get("kind")) if owners else ""
    labels = metadata.get("labels") or {}
    if kind not in ("", "StatefulSet", "Job") and not (
        kind == "ReplicaSet" and "pod-template-hash" in labels
    ):
        return f"a {kind} would take a pod with its labels for its own"
    kept = _labels(labels)
    for service in services:
        selector = service["spec"].get("selector") or {}
        if not service["spec"].get("publishNotReadyAddresses") or not selector:
            continue
        if selector.items() <= kept.items():
            name = service["metadata"]["name"]
            return f"Service {name} publishes pods that are not ready, and would send it traffic"
    return ""


def prober_pod(
    pod: Raw, name: str, run: str, owner: str, seconds: int, image: str, restore: str
) -> dict[str, Any]:
    """Return the prober that stands beside a pod of a workload.

    Args:
        pod: the raw pod whose identity it takes; `why_none` has nothing against it.
        name: of the prober.
        run: id of the run.
        owner: who runs it: "user@host process 4711".
        seconds: after which its node ends it, whatever becomes of us.
        image: with `wget`, `nc` and `sleep`.
        restore: the command that removes it.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    return {
        "apiVersion": "v1",
        "kind": POD,
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            # An annotation of ours, and no label: a label would be a part of the identity.
            "labels": _labels(metadata.get("labels") or {}),
            "annotations": {
                MARK: f"asks in place of {metadata['name']}; the run that made it removes it",
                "acns-chaos/run": run,
                "acns-chaos/owner": owner,
                "acns-chaos/restore": restore,
            },
        },
        "spec": {
            "containers": [_container(image, seconds)],
            "readinessGates": [{"conditionType": GATE}],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": seconds,
            # `sleep` as a first process does not listen to SIGTERM.
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # The account's name is a part of the identity; its token is not mounted.
            "serviceAccountName": spec.get("serviceAccountName") or "default",
            "nodeSelector": {"kubernetes.io/hostname": spec["nodeName"]},
            "tolerations": list(spec.get("tolerations") or ()),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": NOBODY,
                "runAsGroup": NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }


def _container(image: str, seconds: int) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": image,
        "command": ["sleep", str(seconds)],
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "100m", "memory": "32Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in labels.items()
        if key not in (*_CONTROLLERS, *_OF_JOBS) and not key.startswith(_OF_CONTROLLERS)
    }


def wait_until_running(api: Api, ref: PolicyRef, timeout: float) -> None:
    """Wait until a prober's container runs and Cilium has given it an address.

    Args:
        api: the cluster.
        ref: the prober.
        timeout: seconds; an image may have to be pulled.

    Raises:
        ApiError: it does not run in time, and why; or it cannot be read.
    """
    last: list[dict[str, Any]] = []

    def over() -> bool:
        last[:] = [api.get(ref.path).get("status") or {}]
        return last[0].get("phase") not in (None, "Pending")

    wait_until(over, timeout, interval=0.1)
    status = last[0]
    if status.get("phase") != "Running" or not status.get("podIP"):
        raise ApiError(f"prober pod {ref} does not run within {timeout:g} s: {_why(status)}")


def _why(status: Raw) -> str:
    """The most telling sentence of a pod's status."""
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating"):
            return f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": ")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message") or condition.get("reason"))
    return str(status.get("message") or status.get("reason") or f"it is {status.get('phase')}")
