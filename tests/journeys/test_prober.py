"""Prober pods: whatever becomes of the run, none is left, and none is made without permission."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Lab
from tests.journeys.hosts import own
from tests.journeys.labs import start_lab
from tests.journeys.minimal import (
    broken,
    experiment,
    inject,
    nothing_is_left,
    read,
    records,
    restore,
    watchdogs,
)
from tests.journeys.rbac import Accounts
from tests.lab.misbehaving import orders_for

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    # Connections of clients that this process opened are closed when they are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PODS = "/api/v1/namespaces/pets/pods"
ASKED = "product-service is kept from rabbitmq"


def asking(**arguments: Any) -> dict[str, Any]:
    """A question from a workload whose image has no nc."""
    given = {"workload": "product-service", "service": "rabbitmq", "port": 5672, "prober": True}
    return read(ASKED, "read_connection", **given, evidence_timeout=10, **arguments)


def pausing(activity: dict[str, Any], seconds: float = 20) -> dict[str, Any]:
    """An activity after which the run waits."""
    return {**activity, "pauses": {"after": seconds}}


def probers(lab: Lab) -> list[str]:
    """Pods of ours."""
    names = [str(one["metadata"]["name"]) for one in lab.api.get(PODS)["items"]]
    return [name for name in names if name.startswith("acns-chaos-prober-")]


def answer(done: Any) -> dict[str, Any]:
    """What the question came to."""
    (found,) = [one["output"] for one in done.journal["run"] if one["activity"]["name"] == ASKED]
    assert isinstance(found, dict)
    return found


def test_it_asks_in_place_of_the_workload_and_goes_with_the_run(own_chaos: Chaos, lab: Lab) -> None:
    """A denial with both witnesses from a distroless image; the journal tells of the pod."""
    before = lab.policies()
    done = own_chaos.run(experiment(asking()))
    told = answer(done)
    assert (told["reading"], told["met"]) == ("DENIED", True), told["sentence"]
    assert told["evidence"]["asked_by"] == "prober"
    (prober,) = done.section["probers"]
    assert prober["policy"]["name"] == told["evidence"]["pod"]
    assert (prober["restored"]["by"], prober["restored"]["problem"]) == ("guard", "")
    assert done.section["faults"] == []
    assert probers(lab) == []
    nothing_is_left(lab, before)


def test_beside_a_fault_it_changes_neither_its_number_nor_its_outcome(
    own_chaos: Chaos, lab: Lab
) -> None:
    """Probers are no faults."""
    done = own_chaos.run(experiment(asking(), inject(timeout=10), restore()))
    assert [one["id"] for one in done.section["faults"]] == ["f1"]
    assert {one["restored"]["by"] for one in done.section["faults"]} == {"method"}
    assert probers(lab) == []


def test_killed_the_watchdog_restores_first_and_removes_it_then(own_chaos: Chaos, lab: Lab) -> None:
    """The policy is back within two seconds; no outage waits for a pod to end."""
    before = lab.policies()
    started = own_chaos.start(experiment(asking(), pausing(inject())))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    assert len(probers(lab)) == 1
    started[0].kill()
    assert wait_until(lambda: not broken(lab), 2, interval=0.01)
    assert wait_until(lambda: not probers(lab), 10)
    own_chaos.finish(started)
    nothing_is_left(lab, before)


def test_with_the_watchdog_killed_too_the_janitor_removes_it(own_chaos: Chaos, lab: Lab) -> None:
    """From its record alone, once it is due."""
    started = own_chaos.start(experiment(pausing(asking()), fault_deadline=2))
    assert wait_until(lambda: probers(lab), 60, interval=0.01)
    for pid in watchdogs(lab.home):
        os.kill(pid, signal.SIGKILL)
    started[0].kill()
    own_chaos.finish(started)
    assert len(records(lab)) == 1

    def expired() -> str:
        command = [str(own().acns_chaos), "restore", "--expired"]
        done = subprocess.run(
            command, capture_output=True, text=True, env=own_chaos.environ, check=False
        )
        return done.stdout + done.stderr if not probers(lab) else ""

    said = wait_until(expired, 20)
    assert said
    assert "Prober pod pets/acns-chaos-prober-" in said
    assert records(lab) == []


def test_the_watchdog_removes_it_at_its_deadline_and_it_is_made_anew(
    own_chaos: Chaos, lab: Lab
) -> None:
    """A long run asks again, and its deadline is no fault's."""
    again = {**asking(), "name": "again"}
    done = own_chaos.run(experiment(pausing(asking(), 4), again, fault_deadline=2))
    told = [one["output"]["evidence"]["pod"] for one in done.section and done.journal["run"]]  # type: ignore[index]
    assert told[0] != told[1]
    assert [one["restored"]["problem"] for one in done.section["probers"]] == ["", ""]
    assert not [one for one in done.section["events"] if one["what"] == "watchdog-deadline"]
    assert probers(lab) == []


def test_one_that_cannot_be_removed_is_no_pass(own_chaos: Chaos, lab: Lab) -> None:
    """The record stands, the outcome says what is left."""
    orders_for(lab.home).inject("403", verbs=["delete"], resource="pods")
    done = own_chaos.run(experiment(asking()), ACNS_CHAOS_API_TIMEOUT="2")
    assert (done.code, done.outcome) == (1, "NOT_RESTORED"), done.output
    assert "acns-chaos-prober-" in done.section["outcome"]["sentence"]
    assert len(probers(lab)) == 1


# ---------------------------------------------------------------------- permissions


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """A cluster on which deploy/ was applied."""
    home = tmp_path_factory.mktemp("lab")
    process, ready = start_lab(home, "--git-version", "v1.33.5")
    api, _ = kubeconfig_api("", ready["kubeconfig"])
    found = Accounts(Lab(ready, home, api), tmp_path_factory.mktemp("accounts"))
    try:
        found.apply_all()
        yield found
    finally:
        api.close()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0
        assert process.stdout is not None
        process.stdout.close()


def test_without_its_role_none_is_made_and_with_it_nothing_else_is_needed(
    accounts: Accounts,
) -> None:
    """The shipped experiment role does not create pods; the role of its own is enough."""
    refused = answer(accounts.chaos(experiment(asking())))
    assert (refused["reading"], refused["met"]) == ("UNKNOWN", None)
    assert "may not get pods in namespace pets, create pods" in refused["sentence"]
    assert "deploy/rbac/prober.yaml" in refused["sentence"]
    assert accounts.records() == []

    accounts.bind("acns-chaos", "Role", "acns-chaos-prober", "pets")
    with accounts.heard() as asked:
        done = accounts.chaos(experiment(asking()))
    told = answer(done)
    assert (told["reading"], told["evidence"]["asked_by"]) == ("DENIED", "prober")
    verbs = {one["verb"] for one in asked if one["resource"] == "pods" and one["name"]}
    assert verbs >= {"get", "delete"}
    assert probers(accounts.lab) == []
    assert accounts.records() == []


def test_the_namespace_may_exclude_probers(accounts: Accounts) -> None:
    """Its ConfigMap names the kinds that may be changed, and Pod is not among them."""
    name = "acns-chaos-allowed"
    body = {"data": {"kinds": "CiliumNetworkPolicy"}}
    accounts.kubectl("patch", "configmap", name, "-n", "pets", "-p", json.dumps(body))
    told = answer(accounts.chaos(experiment(asking())))
    accounts.kubectl("patch", "configmap", name, "-n", "pets", "-p", '{"data": {"kinds": null}}')
    assert told["reading"] == "UNKNOWN"
    assert "allows CiliumNetworkPolicy only, not Pod" in told["sentence"]
