"""A policy's content is what a person wrote; `[]` and absent are different contents."""

from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.policies import content, content_hash, policy_ref
from acns_chaos.errors import PolicyError

POLICY: dict[str, Any] = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {
        "name": "a",
        "namespace": "pets",
        "uid": "1",
        "resourceVersion": "7",
        "generation": 3,
        "labels": {"team": "shop"},
        "annotations": {"note": "x"},
        "managedFields": [{"manager": "kubectl"}],
    },
    "spec": {"endpointSelector": {}, "ingress": [{"fromEndpoints": []}]},
    "status": {"conditions": []},
}


def test_content_is_spec_labels_and_annotations() -> None:
    """Status, uid, generation and managedFields belong to the server."""
    assert content(POLICY) == {
        "spec": {"endpointSelector": {}, "ingress": [{"fromEndpoints": []}]},
        "labels": {"team": "shop"},
        "annotations": {"note": "x"},
    }


def test_an_empty_list_and_an_absent_one_hash_differently() -> None:
    """`fromEndpoints: []` admits nobody; without it a rule with ports admits everybody."""
    other = deepcopy(POLICY)
    other["spec"]["ingress"] = [{}]
    assert content_hash(other) != content_hash(POLICY)


def test_what_the_server_owns_does_not_change_the_hash() -> None:
    """A restored object has a new resourceVersion and generation and is still equal."""
    other = deepcopy(POLICY)
    other["metadata"].update(resourceVersion="9", generation=5, uid="2", managedFields=[])
    other["status"] = {"conditions": [{"type": "Valid"}]}
    assert content_hash(other) == content_hash(POLICY)


def test_an_annotation_changes_the_hash() -> None:
    """The last-applied annotation is part of what must come back."""
    other = deepcopy(POLICY)
    other["metadata"]["annotations"]["note"] = "y"
    assert content_hash(other) != content_hash(POLICY)


def test_paths_follow_the_kind() -> None:
    """Namespaced and clusterwide policies live in different places."""
    namespaced = policy_ref("CiliumNetworkPolicy", "pets", "a")
    assert namespaced.path == "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/a"
    clusterwide = policy_ref("CiliumClusterwideNetworkPolicy", "pets", "a")
    assert clusterwide.path == "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies/a"
    assert str(clusterwide) == "a"


def test_an_unknown_kind_is_refused() -> None:
    """The sentence lists the kinds there are."""
    with pytest.raises(PolicyError, match="'Ingress' is not a policy kind: use one of Cilium"):
        policy_ref("Ingress", "pets", "a")
