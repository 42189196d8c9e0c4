"""Putting one object back, whatever was there, whatever the fault did, whoever was faster."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.cluster.policies import Policies, policy_ref
from acns_chaos.errors import ApiError, Conflict, Drifted, RestoreFailed
from acns_chaos.faults import undo
from acns_chaos.faults.ledger import CREATE, DELETE, MODIFY, Debt
from acns_chaos.faults.undo import PutBack, put_back
from tests.tiers import examples
from tests.unit.fakes import POLICIES, STOREFRONT, FakeApi, storefront_policy

REF = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(["a\r\nb", "漢🐾"])
SCALAR = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
JSON = st.recursive(
    SCALAR | st.sampled_from([[], {}, [{}], ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
MARKS = st.none() | st.dictionaries(TEXT, TEXT, max_size=3)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """An object whose creation was never answered is looked for once."""
    monkeypatch.setattr(undo, "LATE", 0.0)


def faulty() -> dict[str, Any]:
    """The storefront's policy, made wrong and marked."""
    found = storefront_policy()
    found["spec"]["ingress"] = [{"fromEndpoints": []}]
    found["metadata"]["annotations"]["acns-chaos/run"] = "run-1"
    return found


def debt(change: str = MODIFY, accepted: str = "then") -> Debt:
    """A debt of each kind."""
    return Debt(
        "f1",
        REF,
        "test",
        None if change == CREATE else storefront_policy(),
        fault=None if change == DELETE else faulty(),
        change=change,
        submitted="then",
        accepted=accepted,
    )


def paid(api: FakeApi, one: Debt, **more: Any) -> PutBack:
    """Put it back."""
    return put_back(Policies(api), one, "method", "run-1", **more)  # type: ignore[arg-type]


@examples(60, derandomize=True)
@given(spec=JSON, other=JSON, labels=MARKS, annotations=MARKS, forced=st.booleans())
def test_any_original_comes_back_byte_for_byte(
    spec: Any, other: Any, labels: Any, annotations: Any, forced: bool
) -> None:
    """Whatever a policy may hold: empty and absent, CRLF, null, large numbers."""
    api = FakeApi()
    original = storefront_policy()
    original["spec"] = spec
    for key, value in (("labels", labels), ("annotations", annotations)):
        original["metadata"].pop(key, None)
        if value is not None:
            original["metadata"][key] = value
    one = debt()
    one.before = deepcopy(original)
    one.fault = deepcopy(original)
    one.fault["spec"] = other
    one.fault["metadata"]["annotations"] = {**(annotations or {}), "acns-chaos/run": "run-1"}
    api.objects[STOREFRONT] = deepcopy(one.fault)
    paid(api, one, force=forced)
    stored = api.objects[STOREFRONT]
    assert json.dumps(stored["spec"]) == json.dumps(spec)
    for key in ("labels", "annotations"):
        # The server keeps no empty maps.
        assert (stored["metadata"].get(key) or {}) == (original["metadata"].get(key) or {})


@pytest.mark.parametrize("change", [MODIFY, DELETE, CREATE])
def test_each_kind_of_fault_is_undone_once(change: str) -> None:
    """The second time there is nothing to write, and it is not called somebody else's work."""
    api = FakeApi()
    if change == DELETE:
        del api.objects[STOREFRONT]
    else:
        api.objects[STOREFRONT] = faulty()
    one = debt(change)
    assert paid(api, one).by == "method"
    writes = len(api.writes)
    assert writes == 1
    again = paid(api, one)
    assert len(api.writes) == writes
    # Nothing says that it was us the first time; the ledger knows, and asks no second time.
    assert again.by == "others"
    assert (STOREFRONT in api.objects) is (change != CREATE)


def test_what_the_server_owns_is_never_written() -> None:
    """Neither uid nor managedFields nor status of the original come back."""
    api = FakeApi()
    one = debt(DELETE)
    assert one.before is not None
    one.before["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    one.before["status"] = {"conditions": []}
    del api.objects[STOREFRONT]
    paid(api, one)
    stored = api.objects[STOREFRONT]
    assert stored["metadata"]["uid"] != one.before["metadata"]["uid"]
    assert "managedFields" not in stored["metadata"]
    assert "status" not in stored


def test_a_created_object_that_somebody_filled_is_not_deleted() -> None:
    """It is not what the fault wrote; force takes it away."""
    api = FakeApi()
    api.edit(ingress=[{"fromEntities": ["all"]}])
    with pytest.raises(Drifted, match=r"neither the fault nor the original .*\(flux wrote it"):
        paid(api, debt(CREATE))
    assert STOREFRONT in api.objects
    paid(api, debt(CREATE), force=True)
    assert STOREFRONT not in api.objects


def test_a_deleted_object_that_somebody_created_anew_is_not_overwritten() -> None:
    """Equal rules are a recovery by others; other rules are theirs."""
    api = FakeApi()
    done = paid(api, debt(DELETE))
    assert done.by == "others"
    assert api.writes == []
    api.edit(ingress=[])
    with pytest.raises(Drifted) as drifted:
        paid(api, debt(DELETE))
    assert "+++ live" in drifted.value.difference


def test_who_found_it_restored_learns_by_whom() -> None:
    """The object as found says who wrote it, before our own write takes the marks away."""
    api = FakeApi()
    api.objects[STOREFRONT] = faulty()
    api.edit(**storefront_policy()["spec"])
    done = paid(api, debt())
    assert done.by == "others"
    assert done.found is not None
    assert done.found["metadata"]["managedFields"][0]["manager"] == "flux"
    assert "acns-chaos/run" not in api.objects[STOREFRONT]["metadata"]["annotations"]


def test_a_race_for_the_creation_is_read_again() -> None:
    """Somebody created the original between our look and our write."""
    api = FakeApi()
    del api.objects[STOREFRONT]
    original = api.post

    def post(path: str, body: Any, query: Any = None) -> dict[str, Any]:
        api.post = original  # type: ignore[method-assign]
        api.objects[STOREFRONT] = storefront_policy()
        raise Conflict("already exists", 409)

    api.post = post  # type: ignore[method-assign]
    assert paid(api, debt(DELETE)).by == "others"


def test_a_record_without_an_original_is_for_a_person() -> None:
    """There is nothing that could be written."""
    api = FakeApi()
    one = debt()
    one.before = None
    with pytest.raises(RestoreFailed, match="holds no original"):
        paid(api, one)


def test_a_server_that_stores_something_else_is_not_believed() -> None:
    """What was written must read back as it was."""
    api = FakeApi()
    api.objects[STOREFRONT] = faulty()
    store = api._store

    def changed(method: str, path: str, body: Any) -> dict[str, Any]:
        body = deepcopy(body)
        body["spec"]["egress"] = []
        return store(method, path, body)

    api._store = changed  # type: ignore[method-assign]
    with pytest.raises(RestoreFailed, match="does not read back as it was"):
        paid(api, debt())


def test_a_creation_that_was_never_answered_is_deleted_when_it_comes_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No version can fence it off, so it is watched for."""
    monkeypatch.setattr(undo, "LATE", 1.0)
    api = FakeApi()
    del api.objects[STOREFRONT]
    reads: list[str] = []
    original = api.get

    def get(path: str, query: Any = None) -> dict[str, Any]:
        reads.append(path)
        if len([one for one in reads if one == STOREFRONT]) == 3:
            api.objects[STOREFRONT] = faulty()
        return original(path, query)

    api.get = get  # type: ignore[method-assign]
    assert paid(api, debt(CREATE, accepted="")).stored is None
    assert [one for one in api.objects if one.startswith(POLICIES)] == []


def test_an_api_error_is_the_callers() -> None:
    """Nothing is guessed about an object that cannot be read."""
    api = FakeApi()
    api.refuse[("GET", STOREFRONT)] = ApiError("no answer", 0)
    with pytest.raises(ApiError, match="no answer"):
        paid(api, debt())


def test_a_fence_that_nobody_ended_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever wrote it died between its two writes."""
    monkeypatch.setattr(undo, "FENCING", 0.0)
    api = FakeApi()
    api.objects[STOREFRONT] = faulty()
    reads = api.get

    def fenced(path: str, query: Any = None) -> dict[str, Any]:
        if api.writes:
            live = api.objects[STOREFRONT]
            live["metadata"]["annotations"]["acns-chaos/fence"] = "run-1"
            live["metadata"]["resourceVersion"] = "99"
            api.get = reads  # type: ignore[method-assign]
        return reads(path, query)

    api.get = fenced  # type: ignore[method-assign]
    paid(api, debt())
    stored = api.objects[STOREFRONT]
    assert stored["metadata"]["annotations"] == storefront_policy()["metadata"]["annotations"]
