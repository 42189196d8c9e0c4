"""Pods and what owns them, from raw Kubernetes objects.

Belongs here: which workload a pod is of, and the pods that a manifest would make. Does not belong
here: what policy sees of a pod (`endpoints`), and workloads known by labels alone (`workloads`).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

APP_LABELS = ("app.kubernetes.io/name", "app", "k8s-app")
"""Labels that name what a pod is part of, the most deliberate first."""

_TEMPLATES = frozenset(
    ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"]
)
# A CronJob's Job ends in the minute it was meant for.
_OF_CRON_JOB = re.compile(r"-[0-9]{8,}$")

Raw = Mapping[str, Any]


def owner_name(pod: Raw) -> str:
    """The name of a pod's workload: its owner's, else that of its app label, else its own.

    Args:
        pod: a raw Pod.
    """
    metadata = pod.get("metadata") or {}
    labels = metadata.get("labels") or {}
    for owner in metadata.get("ownerReferences") or ():
        name, kind = str(owner.get("name") or ""), owner.get("kind")
        if not name or kind == "Node":
            continue
        template = str(labels.get("pod-template-hash") or "")
        if kind == "ReplicaSet" and template and name.endswith(f"-{template}"):
            return name.removesuffix(f"-{template}")
        return _OF_CRON_JOB.sub("", name) if kind == "Job" else name
    named = next((str(labels[key]) for key in APP_LABELS if labels.get(key)), "")
    return named or str(metadata.get("name") or "")


def template_pods(objects: Iterable[Raw]) -> list[dict[str, Any]]:
    """The pods that manifests would make: one for each Deployment, StatefulSet and the like.

    Args:
        objects: raw objects of any kind; what an owner made is its owner's pod.
    """
    found = []
    for obj in objects:
        metadata, spec = obj.get("metadata") or {}, obj.get("spec") or {}
        if obj.get("kind") == "CronJob":
            spec = (spec.get("jobTemplate") or {}).get("spec") or {}
        elif obj.get("kind") not in _TEMPLATES or metadata.get("ownerReferences"):
            continue
        template = spec.get("template") or {}
        own = template.get("metadata") or {}
        found.append(
            {
                "kind": "Pod",
                "metadata": {
                    "name": metadata.get("name"),
                    "namespace": metadata.get("namespace") or "default",
                    "labels": own.get("labels") or {},
                    "ownerReferences": [{"kind": obj["kind"], "name": metadata.get("name")}],
                },
                "spec": template.get("spec") or {},
            }
        )
    return found
