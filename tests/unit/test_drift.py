"""Words about an object that somebody else changed."""

from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.policies import policy_ref
from acns_chaos.faults.drift import drifted, last_writer, three_way
from acns_chaos.faults.ledger import Debt
from tests.unit.fakes import storefront_policy

REF = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")


def managed(*entries: tuple[str, str, str]) -> dict[str, Any]:
    """An object with these (manager, time, subresource)."""
    fields = [{"manager": m, "time": t, "subresource": s} for m, t, s in entries]
    return {"metadata": {"managedFields": fields}}


@pytest.mark.parametrize(
    ("policy", "but", "told"),
    [
        ({"metadata": {}}, "", ("somebody else", "")),
        (managed(("a", "1", ""), ("b", "2", "")), "", ("b", "2")),
        (managed(("b", "2", ""), ("a", "1", "")), "", ("b", "2")),
        # Seconds are coarse: of two in one, the one that is told last.
        (managed(("a", "2", ""), ("b", "2", "")), "", ("b", "2")),
        # The operator writes the status after every change.
        (managed(("a", "1", ""), ("cilium-operator", "9", "status")), "", ("a", "1")),
        (managed(("flux", "2", ""), ("acns-chaos", "2", "")), "acns-chaos", ("flux", "2")),
        (managed(("acns-chaos", "2", ""), ("flux", "2", "")), "acns-chaos", ("flux", "2")),
        (managed(("flux", "1", ""), ("acns-chaos", "2", "")), "acns-chaos", ("acns-chaos", "2")),
        (managed(("acns-chaos-watchdog", "1", "")), "acns-chaos", ("acns-chaos-watchdog", "1")),
    ],
)
def test_who_wrote_last(policy: dict[str, Any], but: str, told: tuple[str, str]) -> None:
    """By managedFields; a status is nobody's edit."""
    assert last_writer(policy, but) == told


@pytest.mark.parametrize(
    ("owned", "told"),
    [
        ({"f:spec": {"f:ingress": {}}}, "kubectl-patch"),
        # Whoever put a whole part there put all of it there.
        ({"f:spec": {}}, "kubectl-patch"),
        # Of what nobody here changed, or does not own, the name's order is all there is.
        ({"f:spec": {"f:egress": {}}}, "the-world"),
        ({"f:metadata": {"f:labels": {"f:team": {}}}}, "the-world"),
    ],
)
def test_of_several_in_one_second_it_is_who_owns_the_difference(
    owned: dict[str, Any], told: str
) -> None:
    """Times are whole seconds, and managedFields stand in the order of the names."""
    live = deepcopy(storefront_policy())
    live["spec"]["ingress"] = [{"fromEntities": ["cluster"]}]
    live["metadata"]["managedFields"] = [
        {"manager": "acns-chaos", "time": "5", "fieldsV1": {"f:metadata": {"f:annotations": {}}}},
        {"manager": "kubectl-patch", "time": "5", "fieldsV1": owned},
        {"manager": "the-world", "time": "5", "fieldsV1": {"f:spec": {"f:endpointSelector": {}}}},
    ]
    assert last_writer(live, "acns-chaos", debt().fault) == (told, "5")
    assert f"({told} wrote it at 5)" in drifted(debt(), live)


def debt() -> Debt:
    """The storefront's, made wrong."""
    fault = storefront_policy()
    fault["spec"]["ingress"] = [{"fromEndpoints": []}]
    return Debt("f1", REF, "ingress-from-nobody", storefront_policy(), fault=fault)


def test_all_three_are_shown() -> None:
    """What the fault changed and what somebody changed since, each against the original."""
    live = deepcopy(storefront_policy())
    live["spec"]["ingress"] = [{"fromEntities": ["all"]}]
    shown = three_way(debt(), live).splitlines()
    assert shown.count("--- original") == 2
    assert "+++ fault" in shown
    assert "+++ live" in shown
    assert "+  - fromEndpoints: []" in shown
    assert "+    - all" in shown


def test_an_object_that_is_gone_is_shown_as_such() -> None:
    """Nothing stands against the original."""
    assert "+(no such object)" in three_way(debt(), None)
    assert "neither the fault nor the original" in drifted(debt(), managed(("me", "1", "")))
