"""What a change makes of live policies: by documents and by operators."""

from typing import Any

import pytest

from acns_chaos.cluster.policies import PolicyRef, policy_ref
from acns_chaos.errors import PolicyError
from acns_chaos.faults.change import by_documents, by_operator
from acns_chaos.policy.operators import Surroundings
from tests.unit.fakes import storefront_policy

REF = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
AROUND = Surroundings((), (), ())


def document(name: str = REF.name, **more: Any) -> dict[str, Any]:
    """A faulty policy as a file holds it."""
    spec = {"endpointSelector": {}, "ingress": [{"fromEndpoints": []}]}
    return {"kind": REF.kind, "metadata": {"name": name}, "spec": spec, **more}


def live(ref: PolicyRef) -> dict[str, Any] | None:
    """The storefront's policy, and no other."""
    return storefront_policy() if ref == REF else None


def test_a_document_replaces_the_rules_and_nothing_else() -> None:
    """Labels and annotations are the live ones."""
    after = by_documents([document()], "pets").apply(live, AROUND)[REF]
    assert after is not None
    assert after["spec"] == document()["spec"]
    assert after["metadata"] == storefront_policy()["metadata"]


def test_a_document_with_specs_takes_the_place_of_a_spec() -> None:
    """Both at once would be another policy."""
    given = document(specs=[document()["spec"]])
    del given["spec"]
    after = by_documents([given], "pets").apply(live, AROUND)[REF]
    assert after is not None
    assert "spec" not in after
    assert len(after["specs"]) == 1


def test_what_does_not_exist_is_created_only_when_that_is_meant() -> None:
    """A misspelt name is no wish for a new policy."""
    new = document("new", metadata={"name": "new", "labels": {"a": "b"}, "uid": "x"})
    with pytest.raises(PolicyError, match="set `create` to have the fault create it"):
        by_documents([new], "pets").apply(live, AROUND)
    (after,) = by_documents([new], "pets", create=True).apply(live, AROUND).values()
    assert after is not None
    assert after["apiVersion"] == "cilium.io/v2"
    assert after["metadata"] == {"name": "new", "namespace": "pets", "labels": {"a": "b"}}


@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        ([document(), document()], "Two documents are for pets/allow-store-front-traffic"),
        ([{"kind": "Pod", "metadata": {"name": "a"}}], "A document holds no policy"),
        ([{"kind": "Pod", "metadata": {"name": "a"}, "spec": {}}], "'Pod' is not a policy kind"),
        ([document("No Name")], "is no Kubernetes name"),
        ([document(metadata=[])], "A document holds no policy"),
    ],
)
def test_what_no_policy_is_made_of(documents: list[Any], sentence: str) -> None:
    """Refused in one sentence, before anything is asked."""
    with pytest.raises(PolicyError, match=sentence):
        by_documents(documents, "pets")


def test_another_version_is_refused() -> None:
    """Its fields mean something else."""
    change = by_documents([document(apiVersion="cilium.io/v3")], "pets")
    with pytest.raises(PolicyError, match=r"apiVersion is 'cilium.io/v3', the live policy's"):
        change.apply(live, AROUND)


def test_an_operator_may_delete_or_move() -> None:
    """None is an object that is deleted; a moved one is a deleted and a new one."""
    deleted = by_operator("object-deleted", REF).apply(live, AROUND)
    assert deleted == {REF: None}
    moved = by_operator("namespace-forgotten", REF).apply(live, AROUND)
    assert moved[REF] is None
    (there,) = [ref for ref in moved if ref != REF]
    assert there.namespace == "default"


def test_an_operator_on_nothing_is_said() -> None:
    """There is nothing to make wrong."""
    ref = policy_ref(REF.kind, "pets", "other")
    with pytest.raises(PolicyError, match="There is no CiliumNetworkPolicy pets/other"):
        by_operator("object-deleted", ref).apply(live, AROUND)
