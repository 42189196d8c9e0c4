"""Planning: several objects, their order, and what is refused before anything is written."""

from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.policies import policy_ref
from acns_chaos.errors import ApiError, FaultRefused, FaultUncertain, RestoreFailed
from acns_chaos.faults.change import by_documents, by_operator
from acns_chaos.faults.inject import inject
from acns_chaos.faults.ledger import CREATE, DELETE, MODIFY
from acns_chaos.faults.plan import Limits, plan
from acns_chaos.faults.restore import restore_all
from tests.unit.fakes import POLICIES, STOREFRONT, FakeApi, run_on, storefront_policy

REF = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")


def document(name: str, ingress: list[Any]) -> dict[str, Any]:
    """A policy for the storefront's pods."""
    found = storefront_policy()
    found["metadata"] = {"name": name, "namespace": "pets"}
    found["spec"]["ingress"] = ingress
    return found


def several(count: int) -> list[dict[str, Any]]:
    """The storefront's policy made wrong, and more that are created."""
    denied: list[Any] = [{"fromEndpoints": []}]
    names = [REF.name, *(f"new-{number}" for number in range(1, count))]
    return [document(name, denied) for name in names]


def test_what_is_created_comes_before_what_is_deleted() -> None:
    """A policy that moves leaves no gap."""
    items, _ = plan(run_on(FakeApi()), by_operator("namespace-forgotten", REF), Limits())
    assert [one.change for one in items] == [CREATE, DELETE]


def test_what_gitops_reconciles_is_refused_unless_it_is_observed() -> None:
    """Before anything is written; the sentence names who and by what mark."""
    api = FakeApi()
    labels = {"kustomize.toolkit.fluxcd.io/name": "shop"}
    api.objects[STOREFRONT]["metadata"]["labels"] = labels
    change = by_operator("ingress-from-nobody", REF)
    with pytest.raises(FaultRefused, match=r"is reconciled by Flux .*set gitops to observe"):
        plan(run_on(api), change, Limits())
    items, _ = plan(run_on(api), change, Limits(gitops="observe"))
    assert [one.change for one in items] == [MODIFY]


def test_several_objects_go_in_order_and_come_back_in_reverse() -> None:
    """The last one written is the first one restored, also beyond nine."""
    api = FakeApi()
    run = run_on(api)
    debts = inject(run, by_documents(several(12), "pets", create=True), Limits(), 0.0)
    assert [debt.id for debt in debts] == [f"f1.{number}" for number in range(1, 13)]
    written = [path for _, path, _ in api.writes]
    api.writes.clear()
    assert restore_all(run, timeout=0) == debts[::-1]
    assert [path for _, path, _ in api.writes] == written[::-1]
    assert [path for path in api.objects if path.startswith(POLICIES)] == [STOREFRONT]


def test_the_third_of_three_is_refused_and_the_first_two_go_back() -> None:
    """Half a fault is none; the run says that something had been changed."""
    api = FakeApi()
    run = run_on(api)
    api.refuse[("POST", f"{POLICIES}/new-2")] = ApiError("quota exceeded", 403)
    with pytest.raises(FaultUncertain, match="already changed were put back"):
        inject(run, by_documents(several(3), "pets", create=True), Limits(), 0.0)
    assert [path for path in api.objects if path.startswith(POLICIES)] == [STOREFRONT]
    assert api.objects[STOREFRONT]["spec"] == storefront_policy()["spec"]
    assert all(not debt.open for debt in run.ledger.all())


def test_one_of_several_that_somebody_edited_does_not_keep_the_others() -> None:
    """The others come back; the edited one is shown, and stays."""
    api = FakeApi()
    run = run_on(api)
    inject(run, by_documents(several(3), "pets", create=True), Limits(), 0.0)
    edited = deepcopy(api.objects[f"{POLICIES}/new-1"])
    edited["spec"]["ingress"] = [{"fromEntities": ["all"]}]
    api._store("EDIT", f"{POLICIES}/new-1", edited)
    with pytest.raises(RestoreFailed, match="new-1 is neither the fault nor the original"):
        restore_all(run, timeout=0)
    left = sorted(path for path in api.objects if path.startswith(POLICIES))
    assert left == [STOREFRONT, f"{POLICIES}/new-1"]
    assert api.objects[STOREFRONT]["spec"] == storefront_policy()["spec"]
    (debt,) = [one for one in run.ledger.all() if one.open]
    assert debt.restored is not None
    assert "+++ live" in debt.restored["difference"]
