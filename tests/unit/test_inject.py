"""Injecting: every refusal comes before the first write."""

from pathlib import Path
from typing import Any

import pytest

from acns_chaos.actions import inject_fault
from acns_chaos.cluster.policies import PolicyRef, content, policy_ref
from acns_chaos.errors import (
    ApiError,
    FaultRefused,
    FaultUncertain,
    PolicyError,
)
from acns_chaos.faults import inject as injecting
from acns_chaos.faults.change import Change, by_documents, by_operator, load_documents
from acns_chaos.faults.inject import inject
from acns_chaos.faults.ledger import Debt, NoLedger
from acns_chaos.faults.plan import Limits
from acns_chaos.faults.runcontext import RunContext, arm, disarm
from acns_chaos.faults.witness import Flip
from tests.unit.fakes import STOREFRONT, FakeApi, run_on, storefront_policy

REF = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")


def by_document(document: dict[str, Any]) -> Change:
    """One document."""
    return by_documents([document], "pets")


def break_it(
    run: RunContext,
    change: Change | None = None,
    limit: tuple[str, ...] = (),
    ref: PolicyRef = REF,
    **more: Any,
) -> Debt:
    """Inject the workshop's fault, or another into one object."""
    change = change or by_operator("ingress-from-nobody", ref)
    (debt,) = inject(run, change, Limits(limit, more.pop("max_flows", 0)), 0.0)
    return debt


def test_the_fault_is_stored_and_the_original_recorded() -> None:
    """What is stored is the operator's spec plus annotations that say who did it."""
    api = FakeApi()
    run = run_on(api)

    debt = break_it(run)

    stored = api.objects[STOREFRONT]
    assert stored["spec"]["ingress"] == [{"fromEndpoints": []}]
    assert stored["metadata"]["annotations"]["acns-chaos/run"] == "run-1"
    assert stored["metadata"]["annotations"]["team"] == "shop"
    assert content(debt.before or {}) == content(storefront_policy())
    assert debt.predicted["closed"] == ["world -> pets/store-front:8080/TCP"]
    assert [event["what"] for event in run.events] == ["submitted", "accepted"]
    assert run.ledger.all() == [debt]


def test_when_the_witness_was_through_is_kept_beside_when_its_attempt_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first fault's; a fault that was never seen has neither."""
    run = run_on(FakeApi())
    break_it(run)
    assert run.witnessed == ""
    flip = Flip("2026-11-23T10:00:00+00:00", "it was denied", denied=True)
    monkeypatch.setattr(injecting, "wait_for_flip", lambda *_, **__: flip)
    monkeypatch.setattr(injecting, "now", lambda: "2026-11-23T10:00:05+00:00")
    run = run_on(FakeApi())
    debt = break_it(run)
    assert (debt.realised, run.witnessed) == (flip.at, "2026-11-23T10:00:05+00:00")


def test_the_debt_is_recorded_before_the_write() -> None:
    """When the write happens, the ledger already holds the original."""
    api = FakeApi()
    run = run_on(api)
    seen: list[int] = []
    api.on_write.append(lambda: seen.append(len(run.ledger.all())))

    break_it(run)

    assert seen == [1]


def refused(api: FakeApi, run: RunContext, match: str, **more: Any) -> None:
    """Assert that injecting is refused with a sentence, and that nothing was written."""
    with pytest.raises(FaultRefused, match=match):
        break_it(run, **more)
    assert api.writes == []
    assert run.ledger.all() == []


def test_an_unknown_policy_is_answered_with_the_known_ones() -> None:
    """The sentence names what is there."""
    api = FakeApi()
    ref = PolicyRef("CiliumNetworkPolicy", "pets", "allow-storefront")
    refused(
        api,
        run_on(api),
        r"no CiliumNetworkPolicy 'allow-storefront' in namespace 'pets': "
        r"it has allow-store-front-traffic\. Nothing was changed",
        ref=ref,
    )


def test_an_unknown_namespace_is_named() -> None:
    """A namespace that does not exist is told apart from a missing policy."""
    api = FakeApi()
    ref = PolicyRef("CiliumNetworkPolicy", "pest", "allow-store-front-traffic")
    refused(api, run_on(api), "Namespace 'pest' does not exist", ref=ref)


def test_a_fault_that_changes_nothing_is_refused() -> None:
    """The same spec again is no fault."""
    api = FakeApi()
    refused(
        api, run_on(api), "there is no fault to inject", change=by_document(storefront_policy())
    )


def test_a_fault_that_turns_no_verdict_is_refused() -> None:
    """A policy that reads differently and means the same would prove nothing."""
    api = FakeApi()
    document = storefront_policy()
    document["spec"]["ingress"].append({})
    refused(api, run_on(api), "turns no verdict", change=by_document(document))


def test_a_fault_that_agents_would_ignore_is_refused() -> None:
    """An invalid policy leaves the old one enforced: the fault would never bite."""
    api = FakeApi()
    document = storefront_policy()
    document["spec"]["ingress"][0]["toPorts"][0]["ports"][0]["port"] = "70000"
    refused(api, run_on(api), "would ignore the faulty", change=by_document(document))


def test_a_fault_beyond_the_limit_is_refused() -> None:
    """The predicted effect is held against the experiment's limit before anything is written."""
    api = FakeApi()
    refused(
        api,
        run_on(api),
        "would also touch pets/store-front; the limit is pets/other",
        limit=("pets/other",),
    )


@pytest.mark.parametrize("step", ["fault", "restore"])
def test_what_the_server_would_refuse_is_refused(step: str) -> None:
    """Fault and restore are rehearsed on the server."""
    api = FakeApi()
    if step == "fault":
        api.refuse[("DRY", STOREFRONT)] = ApiError("admission webhook denied it", 400)
        refused(api, run_on(api), "would refuse the fault: admission webhook denied it")
        return
    rehearsed: list[Any] = []
    original = api.put

    def put(path: str, body: Any, query: Any = None) -> dict[str, Any]:
        rehearsed.append(body)
        # The fault is asked about twice: what would be stored, and by the watchdog.
        if len(rehearsed) == 3:
            raise ApiError("admission webhook denied it", 400)
        return original(path, body, query)

    api.put = put  # type: ignore[method-assign]
    refused(api, run_on(api), "would refuse the restore: admission webhook denied it")


def test_a_write_the_server_refuses_leaves_no_debt() -> None:
    """A definite no means that nothing was stored."""
    api = FakeApi()
    api.refuse[("PUT", STOREFRONT)] = ApiError("forbidden", 403)
    refused(api, run_on(api), "refused the fault on pets/allow-store-front-traffic: forbidden")


def test_a_write_without_an_answer_keeps_the_debt() -> None:
    """Whether it was stored is not known, so it must be restored."""
    api = FakeApi()
    api.refuse[("PUT", STOREFRONT)] = ApiError("no answer", 0)
    run = run_on(api)
    with pytest.raises(FaultUncertain, match="is not known"):
        break_it(run)
    assert len(run.ledger.all()) == 1


def test_a_server_that_stores_something_else_is_found_out() -> None:
    """A mutating webhook's edit is taken back at once."""
    api = FakeApi()
    original = api.put
    edited: list[int] = []

    def put(path: str, body: Any, query: Any = None) -> dict[str, Any]:
        stored = original(path, body, query)
        if not query.get("dryRun") and not edited:
            edited.append(1)
            api.objects[path]["spec"]["ingress"] = [{}]
            return dict(api.objects[path])
        return stored

    api.put = put  # type: ignore[method-assign]
    run = run_on(api)
    with pytest.raises(FaultUncertain, match="stored something else"):
        break_it(run)
    assert content(api.objects[STOREFRONT]) == content(storefront_policy())


def test_a_conflict_that_changed_no_content_is_read_again() -> None:
    """The operator wrote the status in between: the fault is stored all the same."""
    api = FakeApi()
    run = run_on(api)

    def bump() -> None:
        api.version += 1
        api.objects[STOREFRONT]["metadata"]["resourceVersion"] = str(api.version)

    api.on_write.append(bump)

    break_it(run)

    assert api.objects[STOREFRONT]["spec"]["ingress"] == [{"fromEndpoints": []}]
    assert len(run.ledger.all()) == 1


def test_a_policy_changed_while_the_fault_was_prepared_is_left_alone() -> None:
    """Somebody else's rule is never overwritten by a fault planned on the old one."""
    api = FakeApi()
    run = run_on(api)
    api.on_write.append(lambda: api.edit(ingress=[{"fromEntities": ["all"]}]))

    with pytest.raises(FaultRefused, match="changed by somebody else while the fault"):
        break_it(run)

    assert api.objects[STOREFRONT]["spec"]["ingress"] == [{"fromEntities": ["all"]}]
    assert run.ledger.all() == []


@pytest.mark.parametrize("kind", ["lab", "cluster"])
def test_nothing_is_written_by_a_run_that_could_not_put_it_back(kind: str) -> None:
    """A run for which the guard made no ledger ready, as it saw no fault, changes nothing."""
    api = FakeApi()
    run = run_on(api, kind=kind)
    run.ledger = NoLedger()
    with pytest.raises(FaultRefused, match="the guard made nothing ready that would put"):
        break_it(run)
    assert api.writes == []


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"kind": "NetworkPolicy"}, "document is for kind 'NetworkPolicy'"),
        ({"metadata": {"name": "other"}}, "document is for name 'other'"),
        ({"metadata": {"namespace": "shop"}}, "document is for namespace 'shop'"),
    ],
)
def test_a_document_for_something_else_is_refused(change: dict[str, Any], match: str) -> None:
    """A document must be the live policy's own, made wrong."""
    api = FakeApi()
    arm(run_on(api))
    try:
        with pytest.raises(FaultRefused, match=match):
            inject_fault(REF.name, document={**storefront_policy(), **change})
    finally:
        disarm()
    assert api.writes == []


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "is not YAML"),
        ("", "holds no policy: it is empty"),
        ("a: 1\n---\nb: 2\n", "holds something else than policies"),
        ("a: 1\n", "holds something else than policies"),
        ("- 1\n", "holds something else than policies"),
    ],
)
def test_a_malformed_policy_file_is_one_sentence(tmp_path: Path, text: str, match: str) -> None:
    """Every broken file is told apart and named."""
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(PolicyError, match=match):
        load_documents(str(file))


def test_a_missing_policy_file_is_one_sentence(tmp_path: Path) -> None:
    """The path is in the sentence."""
    with pytest.raises(PolicyError, match="cannot be read: No such file"):
        load_documents(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({}, "it got none"),
        ({"operator": "ingress-from-nobody", "timeout": "soon"}, "timeout must be a number"),
        ({"operator": "ingress-from-nobody", "limit": "pets/x"}, "limit must be a list of names"),
        ({"operator": "ingress-from-nobody", "kind": "Ingress"}, "not a policy kind"),
        ({"operator": "ingress-from-nobody", "namespace": "../x"}, "no Kubernetes name"),
        ({"operator": "ingress-from-nobody", "policy_file": "x"}, "operator and policy_file"),
        ({"operator": "ingress-form-nobody"}, "ingress-form-nobody"),
        ({"policy_file": "/none.yaml"}, r"cannot be read.* Nothing was changed"),
    ],
)
def test_the_action_wants_exactly_one_source(given: dict[str, Any], match: str) -> None:
    """Operator, file or document: one of them, a known one, and arguments that can be meant."""
    api = FakeApi()
    arm(run_on(api))
    try:
        with pytest.raises(FaultRefused, match=match):
            inject_fault("allow-store-front-traffic", **given)
    finally:
        disarm()
    assert api.writes == []
