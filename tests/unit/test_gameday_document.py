"""The experiment of a mutant: what it asks, in which order, and what it needs besides itself."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chaoslib.experiment import ensure_experiment_is_valid

from acns_chaos.cli.check import findings
from acns_chaos.errors import GameDayError
from acns_chaos.faults.proposing.documents import claim_document
from acns_chaos.faults.proposing.outline import Proposal
from acns_chaos.gameday.document import MUTANT, NOTICED, QUIET, experiment_of, file_name
from acns_chaos.gameday.plan_values import Detector
from tests.unit.test_init import found

CLAIM = {"title": "c", "method": [], "configuration": {"x": "${evidence_timeout}"}}
ALERT = Detector("Drops", "alert", ("availability",), labels={"team": "pets"})


@pytest.fixture
def claim(tmp_path: Path) -> Detector:
    """A claim that the lab plays."""
    file = tmp_path / "door.json"
    file.write_text(json.dumps(CLAIM))
    return Detector("door", "claim", ("security",), claim=file, every=0.1, lasts=1.0)


def proposal(operator: str) -> Proposal:
    """One that closes ("ingress-from-nobody") or opens ("ingress-removed")."""
    (one,) = found(operator).experiments
    return one


def prepared(one: Proposal, *detectors: Detector, **plan: Any) -> Any:
    """What a plan of these detectors would be."""
    told = {"name": "pets", "cluster": "lab", "world": "pets", "rules_file": None}
    told |= {"per_run": 60.0, "max_flows": 0, "detectors": detectors}
    told |= {"namespaces": ("shop",), "document": {}, **plan}
    return SimpleNamespace(
        plan=SimpleNamespace(**told),
        sight=SimpleNamespace(proposals={one.mutant.id: one}, opened={}, dropped={}),
        deadlines={detector.name: 3.3 for detector in detectors},
        here=SimpleNamespace(pace=SimpleNamespace(scrape=1.0)),
    )


def names(document: dict[str, Any]) -> list[str]:
    """What the method does, in order."""
    return [one["provider"]["func"] for one in document["method"]]


def controls(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The controls in order, each with its arguments."""
    return {one["name"]: one["provider"].get("arguments", {}) for one in document["controls"]}


def test_what_closes_is_seen_by_a_client_and_by_hubble_and_judged_by_its_detectors(
    claim: Detector,
) -> None:
    """Silence first, then the fault; the counter that could have been listened to comes last."""
    one = proposal("ingress-from-nobody")
    document = experiment_of(prepared(one, ALERT, claim), one.mutant, 7)
    assert names(document) == [
        "read_detectors",
        "inject_fault",
        "read_connection",
        "read_flows",
        "read_detectors",
        "count_drops",
        "restore_policies",
    ]
    (block,) = document["extensions"]
    assert block["detectors"] == [NOTICED]
    assert len(block["witnesses"]) == 2
    quiet, noticed = (
        one["provider"]["arguments"] for one in (document["method"][n] for n in (0, 4))
    )
    asked = [
        {"name": "Drops", "kind": "alert", "for": ["availability"], "deadline": 3.3}
        | {"labels": {"team": "pets"}}
    ]
    assert noticed == {"detectors": asked}
    assert quiet == {"detectors": asked, "expect": "SILENT", "deadline": 15.0}
    assert document["method"][0]["name"] == QUIET
    # Nobody plays a claim that does not judge it.
    assert list(controls(document)) == ["guard", "lab"]


def test_what_opens_has_one_client_hubble_and_a_claim_that_comes_with_it(claim: Detector) -> None:
    """The claim is copied as it is, and its controls end before the lab does."""
    one = proposal("ingress-removed")
    document = experiment_of(prepared(one, ALERT, claim), one.mutant, 7, schedule="/day/schedule")
    flows = next(one for one in document["method"] if one["provider"]["func"] == "read_flows")
    arguments = flows["provider"]["arguments"]
    # With no policy left at ingress, Hubble tells what arrives as what was sent.
    assert (arguments["verdict"], arguments["direction"]) == ("FORWARDED", "egress")
    assert arguments["destination"] == "shop/api"
    assert names(document).count("read_connection") == 1
    assert "count_drops" not in names(document)
    assert list(controls(document)) == ["guard", "schedule", "lab"]
    assert controls(document)["schedule"] == {
        "claims": [{"name": "door", "every": 0.1, "document": CLAIM}],
        "folder": "/day/schedule",
    }


def test_a_claim_that_a_cron_job_runs_is_not_played(claim: Detector) -> None:
    """Its Jobs are looked at."""
    one = proposal("ingress-removed")
    cluster = replace(claim, cronjob="ops/claims")
    document = experiment_of(prepared(one, cluster, cluster="aks"), one.mutant, 1)
    assert list(controls(document)) == ["guard", "lab"]
    assert document["method"][0]["provider"]["arguments"]["detectors"][0]["cronjob"] == "ops/claims"


@pytest.mark.parametrize("operator", ["ingress-from-nobody", "ingress-removed"])
def test_every_experiment_passes_check_and_the_host(operator: str, claim: Detector) -> None:
    """As do those that people write."""
    one = proposal(operator)
    document = experiment_of(prepared(one, ALERT, claim), one.mutant, 7)
    ensure_experiment_is_valid(document)
    assert findings(document) == []


def test_the_limits_and_the_lab_of_the_plan_are_its_own(tmp_path: Path) -> None:
    """Absolute, so that it is run from anywhere; a world's name stays one."""
    one = proposal("ingress-from-nobody")
    rules = tmp_path / "rules.yaml"
    there = prepared(
        *(one, ALERT), world=str(tmp_path / "w.yaml"), rules_file=rules, max_flows=9, per_run=30.0
    )
    document = experiment_of(there, one.mutant, 7)
    assert controls(document)["lab"] == {"world": str(tmp_path / "w.yaml"), "rules": str(rules)}
    assert document["method"][1]["provider"]["arguments"]["max_flows"] == 9
    assert document["configuration"]["fault_deadline"] == 30.0
    assert controls(experiment_of(prepared(one), one.mutant, 7))["lab"] == {"world": "pets"}


def test_the_experiment_says_whose_it_is() -> None:
    """So that its journal can be judged without the plan."""
    one = proposal("ingress-removed")
    (block,) = experiment_of(prepared(one), one.mutant, 7)["extensions"]
    told = block[MUTANT]
    assert (told["id"], told["class"], told["position"]) == (one.mutant.id, "opens", 7)
    assert told["policy"]["name"] == one.mutant.policy.name
    assert json.loads(json.dumps(told)) == told


def test_without_a_detector_nothing_waits_for_silence() -> None:
    """Nobody is asked, which is a finding."""
    one = proposal("ingress-removed")
    document = experiment_of(prepared(one, ALERT), one.mutant, 7)
    assert names(document)[0] == "inject_fault"
    noticed = next(one for one in document["method"] if one["name"] == NOTICED)
    assert noticed["provider"]["arguments"] == {"detectors": []}


def test_alerts_of_the_plan_s_other_namespaces_are_told_apart() -> None:
    """Those that the mutant reaches may be its own; so may all, where there is only one."""
    one = proposal("ingress-removed")
    reached = {workload.partition("/")[0] for workload in one.mutant.radius.workloads} - {"shop"}
    assert reached == {"far"}
    beside = {"document": {"target": {"beside": ["far", "ledger"]}}}
    several = {"namespaces": ("shop", "far", "checkout"), **beside}
    security = replace(ALERT, directions=("security",))
    document = experiment_of(prepared(one, security, **several), one.mutant, 7)
    asked = [
        each["provider"]["arguments"]
        for each in document["method"]
        if each["provider"]["func"] == "read_detectors"
    ]
    assert len(asked) == 2
    for each in asked:
        assert (each["touched"], each["elsewhere"]) == (["far"], ["checkout", "ledger"])
    assert findings(document) == []
    alone = experiment_of(prepared(one, security), one.mutant, 7)
    assert "elsewhere" not in json.dumps(alone)


def test_a_mutant_that_cannot_be_witnessed_has_no_experiment() -> None:
    """It could only end INCONCLUSIVE."""
    one, other = proposal("ingress-removed"), proposal("ingress-from-nobody")
    with pytest.raises(GameDayError, match="cannot be witnessed"):
        experiment_of(prepared(one), other.mutant, 1)


def test_names_of_files_are_safe_and_bounded() -> None:
    """Whatever the place in the policy is called."""
    mutant = proposal("ingress-removed").mutant
    odd: Any = replace(mutant, place="../../é[x]/" + "y" * 500)
    name = file_name(7, odd)
    assert name.startswith("007-api-ingress-removed-x-y")
    assert name.endswith(".json")
    assert len(name) <= 110
    assert "/" not in name
    assert file_name(7, mutant) != file_name(8, mutant)


def test_what_a_suggestion_needs_is_written_down(tmp_path: Path) -> None:
    """What the mutant opens and can be asked, and where the plan's own claims make drops."""
    file = tmp_path / "door.json"
    one = proposal("ingress-removed")
    ask = one.turned[0]
    file.write_text(json.dumps(claim_document(ask, "DENIED", in_use=False)))
    door = Detector("door", "claim", ("security",), claim=file, every=0.1, lasts=1.0)
    given = prepared(one, door)
    given.sight.opened = {one.mutant.id: (ask,)}
    given.sight.dropped = {ask: ("ingress", "shop/api")}
    (block,) = experiment_of(given, one.mutant, 1)["extensions"]
    assert block[MUTANT]["asked"] == [
        {"source": ask.source, "target": ask.target, "port": ask.port, "way": "connect"}
    ]
    assert block[MUTANT]["knocked"] == ["shop/api ingress"]
    assert len(block[MUTANT]["opened"]) == min(3, one.mutant.radius.opened_count)
