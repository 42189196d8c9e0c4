"""Restoring: exact, idempotent, never over somebody else's change."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.cluster.policies import content, content_hash
from acns_chaos.errors import (
    ApiError,
    Conflict,
    FaultRefused,
    FaultUncertain,
    RestoreFailed,
)
from acns_chaos.faults.ledger import outstanding
from acns_chaos.faults.restore import restore_all
from tests.tiers import examples
from tests.unit.fakes import STOREFRONT, FakeApi, run_on, storefront_policy
from tests.unit.test_inject import break_it, by_document


def is_original(api: FakeApi) -> bool:
    """Whether the policy is as it was, as raw JSON."""
    return content(api.objects[STOREFRONT]) == content(storefront_policy())


def test_the_original_comes_back_exactly() -> None:
    """Spec and annotations read back as they were, and the record says who and when."""
    api = FakeApi()
    run = run_on(api)
    debt = break_it(run)

    assert restore_all(run, timeout=0) == [debt]

    assert is_original(api)
    assert debt.restored is not None
    assert debt.restored["by"] == "method"
    assert debt.restored["sha256"] == content_hash(storefront_policy())
    assert not debt.open


def test_restoring_twice_writes_once() -> None:
    """The second call finds nothing to do and says so."""
    api = FakeApi()
    run = run_on(api)
    break_it(run)
    restore_all(run, timeout=0)
    writes = len(api.writes)

    assert restore_all(run, timeout=0) == []
    assert len(api.writes) == writes


def test_two_faults_on_one_policy_are_undone_newest_first() -> None:
    """The oldest original is what stands in the end."""
    api = FakeApi()
    run = run_on(api)
    break_it(run)
    document = deepcopy(api.objects[STOREFRONT])
    document["spec"]["ingress"] = [{"fromEntities": ["all"]}]
    break_it(run, change=by_document(document))

    assert len(restore_all(run, timeout=0)) == 2
    assert is_original(api)


def test_a_policy_deleted_meanwhile_is_created_again() -> None:
    """The original comes back even when the object is gone."""
    api = FakeApi()
    run = run_on(api)
    break_it(run)
    del api.objects[STOREFRONT]

    restore_all(run, timeout=0)

    assert is_original(api)
    assert api.writes[-1][0] == "POST"


def test_what_somebody_else_wrote_is_not_overwritten() -> None:
    """Neither fault nor original: the sentence says who wrote it, and nothing is written."""
    api = FakeApi()
    run = run_on(api)
    debt = break_it(run)
    api.edit(ingress=[{"fromEntities": ["all"]}])
    writes = len(api.writes)

    with pytest.raises(
        RestoreFailed, match=r"neither the fault nor the original .*\(flux wrote it"
    ):
        restore_all(run, timeout=0)

    assert len(api.writes) == writes
    assert debt.open
    assert debt.restored is not None
    assert "flux" in debt.restored["problem"]


def test_who_wrote_it_is_never_ourselves() -> None:
    """In the same second as our fault and the operator's status, the other writer is named."""
    api = FakeApi()
    run = run_on(api)
    break_it(run)
    api.edit(ingress=[{"fromEntities": ["all"]}])
    time = "2026-01-01T00:00:00Z"
    api.objects[STOREFRONT]["metadata"]["managedFields"] = [
        {"manager": "acns-chaos", "time": time},
        {"manager": "kubectl-edit", "time": time},
        {"manager": "cilium-operator-generic", "subresource": "status", "time": time},
    ]

    with pytest.raises(RestoreFailed, match=r"\(kubectl-edit wrote it at "):
        restore_all(run, timeout=0)


def test_force_overwrites_what_somebody_else_wrote() -> None:
    """The person decides."""
    api = FakeApi()
    run = run_on(api)
    break_it(run)
    api.edit(ingress=[{"fromEntities": ["all"]}])

    restore_all(run, force=True, timeout=0)

    assert is_original(api)


def test_a_policy_somebody_else_restored_is_done() -> None:
    """GitOps was faster: nothing is written, and the record says so."""
    api = FakeApi()
    run = run_on(api)
    debt = break_it(run)
    api.objects[STOREFRONT] = storefront_policy()
    writes = len(api.writes)

    restore_all(run, timeout=0)

    assert len(api.writes) == writes
    assert debt.restored is not None
    assert debt.restored["by"] == "others"


def test_a_conflict_is_read_again_and_retried() -> None:
    """A write that raced with a status-only update is done over, not given up."""
    api = FakeApi()
    run = run_on(api)
    break_it(run)

    def bump() -> None:
        api.version += 1
        api.objects[STOREFRONT]["metadata"]["resourceVersion"] = str(api.version)

    api.on_write.append(bump)

    restore_all(run, timeout=0)

    assert is_original(api)


def test_endless_conflicts_are_said_not_ignored() -> None:
    """After some rounds the restore stops and stays a debt."""
    api = FakeApi()
    run = run_on(api)
    debt = break_it(run)

    def always(path: str, body: Any, query: Any = None) -> dict[str, Any]:
        raise Conflict("the object has been modified", 409)

    api.put = always  # type: ignore[method-assign]
    with pytest.raises(RestoreFailed, match="changed by somebody else 5 times"):
        restore_all(run, timeout=0)
    assert debt.open


def test_a_write_without_an_answer_is_fenced_off() -> None:
    """Nothing is stored yet, and the write may still be on its way: it must find a conflict."""
    api = FakeApi()
    late: list[Any] = []
    original = api.put

    def put(path: str, body: Any, query: Any = None) -> dict[str, Any]:
        if not (query or {}).get("dryRun") and not late:
            late.append(deepcopy(body))
            raise ApiError("no answer", 0)
        return original(path, body, query)

    api.put = put  # type: ignore[method-assign]
    run = run_on(api)
    with pytest.raises(FaultUncertain):
        break_it(run)

    (debt,) = restore_all(run, timeout=0)

    assert not debt.open
    assert is_original(api)
    with pytest.raises(Conflict):
        original(STOREFRONT, late[0])
    assert is_original(api)


def test_our_marks_left_by_somebody_who_applied_the_original_are_removed() -> None:
    """`kubectl apply` of the original keeps our annotations: recovered by others, marks gone."""
    api = FakeApi()
    run = run_on(api)
    debt = break_it(run)
    api.edit(**storefront_policy()["spec"])

    restore_all(run, timeout=0)

    assert is_original(api)
    assert debt.restored is not None
    assert debt.restored["by"] == "others"


def test_an_annotation_of_somebody_else_does_not_keep_the_fault_in_place() -> None:
    """The rules go back, the stranger's annotation stays, and it does not pass for equal."""
    api = FakeApi()
    run = run_on(api)
    break_it(run)
    api.objects[STOREFRONT]["metadata"]["annotations"]["reloader"] = "7"

    with pytest.raises(RestoreFailed, match="does not read back as it was"):
        restore_all(run, timeout=0)

    stored = api.objects[STOREFRONT]
    assert stored["spec"] == storefront_policy()["spec"]
    assert stored["metadata"]["annotations"] == {"team": "shop", "reloader": "7"}


@pytest.mark.parametrize(
    ("status", "retryable"), [(0, True), (429, True), (503, True), (403, False), (422, False)]
)
def test_which_failures_may_pass(status: int, retryable: bool) -> None:
    """Silence, overload and the server's own faults end; a refusal does not."""
    api = FakeApi()
    run = run_on(api)
    break_it(run)
    api.refuse[("PUT", STOREFRONT)] = ApiError("trouble", status)

    with pytest.raises(RestoreFailed) as failed:
        restore_all(run, timeout=0)

    assert failed.value.retryable is retryable


def test_a_behaviour_that_cannot_be_tried_is_no_failed_restore() -> None:
    """The content was read back; that nobody could look further is said beside it."""
    api = FakeApi()
    run = run_on(api)
    debt = break_it(run)
    debt.realised = "2026-01-01T00:00:00+00:00"
    api.refuse[("GET", "/api/v1/pods")] = ApiError("pods is forbidden", 403)

    restore_all(run, timeout=0)

    assert not debt.open
    assert debt.restored is not None
    assert debt.restored["behaviour"] == {
        "at": None,
        "sentence": "the behaviour could not be tried: pods is forbidden",
    }


def test_one_failure_does_not_stop_the_others() -> None:
    """An API error on one policy leaves the other restored, and is said."""
    api = FakeApi()
    run = run_on(api)
    debt = break_it(run)
    api.refuse[("GET", STOREFRONT)] = ApiError("no answer", 0)

    with pytest.raises(RestoreFailed, match="no answer"):
        restore_all(run, timeout=0)

    assert outstanding(run.ledger) == [debt]
    restore_all(run, timeout=0)
    assert is_original(api)


RULES = st.lists(
    st.sampled_from(
        [
            {},
            {"fromEndpoints": []},
            {"fromEndpoints": [{}]},
            {"fromEntities": ["world"]},
            {"fromEntities": ["cluster"], "toPorts": []},
        ]
    ),
    max_size=3,
)


@examples(100)
@given(
    ingress=RULES,
    labels=st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")),
    annotations=st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")),
    other=RULES,
)
def test_whatever_was_there_comes_back(
    ingress: list[Any], labels: Any, annotations: Any, other: list[Any]
) -> None:
    """For any original and any fault, restoring gives an equal spec, labels and annotations."""
    api = FakeApi()
    policy = api.objects[STOREFRONT]
    policy["spec"]["ingress"] = ingress
    policy["spec"]["egress"] = [{}]
    for key, value in (("labels", labels), ("annotations", annotations)):
        policy["metadata"].pop(key, None)
        if value is not None:
            policy["metadata"][key] = value
    before = content(policy)
    document = deepcopy(policy)
    document["spec"]["ingress"] = other
    run = run_on(api)
    try:
        break_it(run, change=by_document(document))
    except FaultRefused:
        assert api.writes == []
    restore_all(run, timeout=0)

    assert content(api.objects[STOREFRONT]) == before
