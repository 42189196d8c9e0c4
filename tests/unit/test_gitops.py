"""Who else owns an object: as Flux, Argo CD and Helm mark what is theirs."""

from typing import Any

import pytest

from acns_chaos.cluster.gitops import owner_of


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({}, ""),
        ({"labels": {"app": "shop"}}, ""),
        (
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}},
            "Flux (label kustomize.toolkit.fluxcd.io/name=shop)",
        ),
        (
            {"labels": {"helm.toolkit.fluxcd.io/name": "shop"}},
            "Flux (label helm.toolkit.fluxcd.io/name=shop)",
        ),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "a:b"}},
            "Argo CD (annotation argocd.argoproj.io/tracking-id=a:b)",
        ),
        (
            {"managedFields": [{"manager": "argocd-controller"}]},
            "Argo CD (field manager argocd-controller)",
        ),
        ({"managedFields": [{"manager": "kubectl-edit"}]}, ""),
        # Helm installs, and looks again only when somebody upgrades.
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, ""),
        (
            {
                "labels": {"kustomize.toolkit.fluxcd.io/name": "shop"},
                "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"},
            },
            "",
        ),
    ],
)
def test_who_reconciles_it(metadata: dict[str, Any], owner: str) -> None:
    """By label, by annotation, by field manager; not when it is told to leave it alone."""
    assert owner_of({"metadata": metadata}) == owner


def test_what_does_not_exist_is_nobodys() -> None:
    """A policy that the fault creates."""
    assert owner_of(None) == ""
