"""The flagship against a lab that misbehaves: the outcome is honest, and the policy is put back."""

from typing import Any

import pytest

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Lab
from tests.lab.misbehaving import Orders, orders_for
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

FLAGSHIP = "experiments/storefront-ingress.json"
NAME = "pets/allow-store-front-traffic"
POLICY: dict[str, Any] = {"resource": "cnp", "name": "allow-store-front-traffic"}


@pytest.fixture
def orders(lab: Lab) -> Orders:
    """The way to let the test's lab misbehave."""
    return orders_for(lab.home)


@pytest.mark.parametrize("flavour", loop(["argocd", "flux"]))
def test_gitops_that_reverts_during_the_fault(
    own_chaos: Chaos, lab: Lab, orders: Orders, flavour: str, flagship: dict[str, Any]
) -> None:
    """Somebody else put the policy back while the run was looking: restored by others, no pass."""
    flagship["method"][0]["provider"]["arguments"]["gitops"] = "observe"
    number = orders.inject("gitops", policy=NAME, after=1.5, flavour=flavour)
    owned = lab.policies()

    done = own_chaos.run(flagship)

    assert orders.struck(number) == 1
    assert lab.policies() == owned
    assert done.section["faults"][0]["restored"]["by"] == "others"
    # Which evidence was cut short depends on how fast the machine is.
    assert done.outcome in ("INCONCLUSIVE", "NOT_INJECTED", "NOT_NOTICED")
    assert done.code == 1


def test_a_restore_that_is_answered_503_once(own_chaos: Chaos, lab: Lab, orders: Orders) -> None:
    """The method's restore fails, the rollback puts the policy back, and the run is no pass."""
    before = lab.policies()
    # Rehearsals apart, the first PUT is the fault and the second its restore.
    number = orders.inject("503", verbs=["update"], dry_run=False, nth=2, count=1, **POLICY)

    done = own_chaos.run(FLAGSHIP)

    assert orders.struck(number) == 1
    assert lab.policies() == before
    assert done.section["faults"][0]["restored"]["by"] == "rollback"
    assert done.outcome == "INCONCLUSIVE"
    assert '"put the policy back" failed' in done.section["outcome"]["sentence"]
    assert done.code == 1


@pytest.mark.parametrize(
    "selection",
    loop(
        [
            {"verbs": ["update"], "dry_run": False, **POLICY},
            {"verbs": ["list"], "resource": "cnp"},
            {"verbs": ["update"], "dry_run": True, "user_agent": "acns-chaos-watchdog", **POLICY},
            {"verbs": ["update"], "dry_run": False, "nth": 2, **POLICY},
            {"verbs": ["create"], "resource": "configmaps"},
            {"resource": "leases", "user_agent": "acns-chaos-watchdog"},
        ]
    ),
    ids=["fault", "read", "rehearsal", "restore", "record", "lease"],
)
def test_too_many_requests(
    own_chaos: Chaos, lab: Lab, orders: Orders, selection: dict[str, Any]
) -> None:
    """A server that is busy for a second is asked again: the run is HELD all the same."""
    before = lab.policies()
    number = orders.inject("429", retry_after=1, count=1, **selection)

    done = own_chaos.run(FLAGSHIP)

    assert orders.struck(number) == 1
    assert lab.policies() == before
    assert (done.code, done.outcome) == (0, "HELD"), done.output
    assert done.section["faults"][0]["restored"]["by"] == "method"


def test_a_prometheus_that_scrapes_no_more(own_chaos: Chaos, lab: Lab, orders: Orders) -> None:
    """Without the second witness nothing is believed: no fault is injected, and it says why."""
    before = lab.policies()
    orders.inject("stale-metrics")

    done = own_chaos.run(FLAGSHIP, ACNS_CHAOS_EVIDENCE_TIMEOUT="2")

    assert lab.policies() == before
    assert done.outcome == "NOT_STARTED"
    assert "no policy drop was counted" in done.section["outcome"]["sentence"]
    assert done.code == 1


def test_a_prometheus_that_fails_during_the_fault(
    own_chaos: Chaos, lab: Lab, orders: Orders, flagship: dict[str, Any]
) -> None:
    """A detector that could not look has not noticed: restored, and no pass."""
    before = lab.policies()
    hypothesis = flagship["steady-state-hypothesis"]
    hypothesis["probes"] = [
        one
        for one in hypothesis["probes"]
        if one["name"] in ("customers reach the shop", "policies are as recorded")
    ]
    number = orders.inject("500", server="prometheus", nth=4)

    done = own_chaos.run(flagship, ACNS_CHAOS_EVIDENCE_TIMEOUT="2")

    assert orders.struck(number) >= 1
    assert lab.policies() == before
    assert done.outcome not in ("HELD", "NOT_RESTORED")
    assert done.code == 1


def test_a_fault_that_is_written_late(own_chaos: Chaos, lab: Lab, orders: Orders) -> None:
    """A fault whose write was never answered is fenced off: it comes too late and is refused."""
    before = lab.policies()
    number = orders.inject("late-write", verbs=["update"], seconds=4.0, count=1, **POLICY)

    done = own_chaos.run(FLAGSHIP)

    assert done.outcome == "INCONCLUSIVE"
    assert "FaultUncertain" in done.section["outcome"]["sentence"]
    path = f"/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/{POLICY['name']}"
    late = f"PUT {path} was done 4 s late and answered 409, unheard"
    assert wait_until(lambda: late in orders.about(number)["notes"], 10)
    assert lab.policies() == before
    assert done.code == 1


def test_a_person_who_edits_meanwhile(own_chaos: Chaos, lab: Lab, orders: Orders) -> None:
    """What a person wrote during the fault is not overwritten; the outcome says who it was."""
    before = lab.policies()
    number = orders.inject("person", policy=NAME, after=0.5)

    done = own_chaos.run(FLAGSHIP)

    assert orders.struck(number) == 1
    assert done.outcome == "NOT_RESTORED"
    assert "kubectl-edit wrote it" in done.section["outcome"]["sentence"]
    after = lab.policies()
    assert after[NAME]["spec"]["description"] == "edited by hand"
    assert {**after, NAME: None} == {**before, NAME: None}
    assert done.code == 1
