"""Roles that cannot carry a statement: each of these once passed for HELD."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.evidence.outcome import Outcome
from acns_chaos.evidence.rules import derive
from tests.unit.evidence_journals import ALERT, CLIENT, DROPS, SHOP, held, run_of

Journal = dict[str, Any]


def extension(journal: Journal) -> dict[str, Any]:
    """Return our extension block."""
    (found,) = [one for one in journal["experiment"]["extensions"] if one["name"] == "acns-chaos"]
    assert isinstance(found, dict)
    return found


def provider(journal: Journal, name: str, **change: Any) -> None:
    """Change the provider of an activity, as declared and as played."""
    for one in (*journal["experiment"]["method"], run_of(journal, name)["activity"]):
        if one["name"] == name:
            one["provider"] = {**one["provider"], **change}


def same_activity(journal: Journal) -> None:
    """One activity is witness and detector."""
    extension(journal)["detectors"] = [CLIENT]


def two_clients(journal: Journal) -> None:
    """Two clients, and nobody counted a drop."""
    provider(journal, DROPS, func="read_storefront")
    run_of(journal, DROPS)["output"] = run_of(journal, CLIENT)["output"]


def foreign_witness(journal: Journal) -> None:
    """Somebody else's function returns what looks like a reading."""
    provider(journal, CLIENT, module="json", func="loads")


def recorded_as_witness(journal: Journal) -> None:
    """Comparing policies is no witness of traffic."""
    provider(journal, CLIENT, func="policies_are_as_recorded")


def foreign_detector(journal: Journal) -> None:
    """A constant notices everything."""
    provider(journal, ALERT, module="json", func="loads")


def explanation_as_detector(journal: Journal) -> None:
    """Our own engine is nobody who would have told the team."""
    provider(journal, ALERT, func="explain_denial")


def bounds_that_always_hold(journal: Journal) -> None:
    """At least none, at most a billion."""
    run_of(journal, DROPS)["output"]["expected"] = {"at_least": 0, "at_most": 1_000_000_000}


def window_before_the_fault(journal: Journal) -> None:
    """Drops of the minute before the fault are not the fault's."""
    run_of(journal, DROPS)["output"]["evidence"] = {"seconds": 60}


def flows_of_anything(journal: Journal) -> None:
    """Forwarded packets are no drops, and noise is none by policy."""
    provider(journal, DROPS, func="read_flows", arguments={"verdict": "FORWARDED"})


def flows_of_noise(journal: Journal) -> None:
    """A pod that starts drops packets, too."""
    provider(journal, DROPS, func="read_flows", arguments={"reason": "any"})


def two_faults(journal: Journal) -> None:
    """Nobody can tell which of two was noticed."""
    again(journal)
    journal["acns_chaos"]["faults"][1]["operator"] = "deny-world-ingress"


def again(journal: Journal) -> None:
    """The same fault a second time, as by a policy that flaps."""
    journal["acns_chaos"]["faults"].append(dict(journal["acns_chaos"]["faults"][0], id="f2"))


def one_name_twice(journal: Journal) -> None:
    """Two activities of one name: which of them answered?"""
    for probe in journal["experiment"]["steady-state-hypothesis"]["probes"]:
        if probe["name"] == SHOP:
            probe["name"] = CLIENT
    for state in ("before", "after"):
        for run in journal["steady_states"][state]["probes"]:
            if run["activity"]["name"] == SHOP:
                run["activity"]["name"] = CLIENT


def only_the_guard_restored(journal: Journal) -> None:
    """After everything else was asked, nobody looked at the repaired system."""
    journal["acns_chaos"]["faults"][0]["restored"]["by"] = "guard"


def nobody_saw_it_work_again(journal: Journal) -> None:
    """The content is back; another policy may still deny the flow."""
    journal["acns_chaos"]["faults"][0]["restored"]["behaviour"]["at"] = None


@pytest.mark.parametrize(
    "change",
    [
        same_activity,
        two_clients,
        foreign_witness,
        recorded_as_witness,
        foreign_detector,
        explanation_as_detector,
        bounds_that_always_hold,
        window_before_the_fault,
        flows_of_anything,
        flows_of_noise,
        two_faults,
        one_name_twice,
        only_the_guard_restored,
        nobody_saw_it_work_again,
    ],
    ids=lambda change: change.__name__,
)
def test_evidence_that_proves_nothing_is_inconclusive(change: Callable[[Journal], None]) -> None:
    """The journal was HELD before the one change."""
    journal = deepcopy(held())
    assert derive(journal).outcome is Outcome.HELD
    change(journal)
    assert derive(journal).outcome is Outcome.INCONCLUSIVE


def test_one_fault_made_twice_is_one_fault() -> None:
    """A policy that flaps is noticed or not, whichever of its turns did it."""
    journal = deepcopy(held())
    again(journal)
    assert derive(journal).outcome is Outcome.HELD


@pytest.mark.parametrize(
    ("name", "func"),
    [
        (DROPS, "read_flows"),
        (ALERT, "read_flows"),
        (ALERT, "read_alert"),
        (ALERT, "read_readiness"),
    ],
)
def test_what_may_be_witness_and_detector(name: str, func: str) -> None:
    """Hubble's drops are a witness; an alert or a pod that is not Ready tells a team."""
    journal = deepcopy(held())
    provider(journal, name, func=func)
    assert derive(journal).outcome is Outcome.HELD


def test_roles_without_a_fault_are_not_injected() -> None:
    """Witnesses are declared, and nothing was injected that they could have seen."""
    journal = deepcopy(held())
    journal["acns_chaos"]["faults"] = []
    for one in (*journal["experiment"]["method"], *(run["activity"] for run in journal["run"])):
        if one["provider"].get("func") == "inject_fault":
            one["provider"] = {**one["provider"], "module": "json", "func": "loads"}
    assert derive(journal).outcome is Outcome.NOT_INJECTED


def test_a_reading_of_ours_that_was_not_met_is_a_deviation_whatever_its_tolerance_says() -> None:
    """A tolerance that is always true does not make a contrary reading a met one."""
    journal = deepcopy(held())
    probe = journal["steady_states"]["after"]["probes"][0]
    probe["output"] = dict(probe["output"], reading="DENIED", met=False, expected="OPEN")
    assert derive(journal).outcome is Outcome.DEVIATED


def test_a_fault_that_opens_something_is_witnessed_by_clients() -> None:
    """A policy that fails open makes no drops: two clients that got through are enough."""
    journal = deepcopy(held())
    for name in (CLIENT, DROPS):
        provider(journal, name, func="read_connection")
        output = run_of(journal, name)["output"]
        output.update(reading="OPEN", met=True, expected="OPEN")
    assert derive(journal).outcome is Outcome.HELD
