"""Who else owns an object: Flux, Argo CD or Helm, as its labels, annotations and fields tell.

A controller that reconciles an object undoes a fault within its interval, and may undo a restore.
Source: the labels and annotations that Flux (kustomize- and helm-controller), Argo CD and Helm
document, and their field managers.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["owner_of"]

_LABELS = {
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "argocd.argoproj.io/instance": "Argo CD",
}
_ANNOTATIONS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/checksum": "Flux",
}
_MANAGERS = {
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
}
# Flux's own switch: such an object is left alone.
_LEFT_ALONE = ("kustomize.toolkit.fluxcd.io/reconcile", "disabled")


def owner_of(policy: Mapping[str, Any] | None) -> str:
    """Say which GitOps controller reconciles an object.

    Args:
        policy: raw, as read; None for one that does not exist.

    Returns:
        For people: "Flux (label kustomize.toolkit.fluxcd.io/name=shop)"; "" when none does.
    """
    metadata = (policy or {}).get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if _LEFT_ALONE[1] in (annotations.get(_LEFT_ALONE[0]), labels.get(_LEFT_ALONE[0])):
        return ""
    for what, known, there in (
        ("label", _LABELS, labels),
        ("annotation", _ANNOTATIONS, annotations),
    ):
        for key, owner in known.items():
            if key in there:
                return f"{owner} ({what} {key}={there[key]})"
    for entry in metadata.get("managedFields") or []:
        manager = str(entry.get("manager"))
        if manager in _MANAGERS:
            return f"{_MANAGERS[manager]} (field manager {manager})"
    return ""
