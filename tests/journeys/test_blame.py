"""Who is to blame, asked of a lab: by the command, and by the probe in a real run."""

import json
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.policies import Policies, policy_ref
from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Lab
from tests.lab.misbehaving import orders_for

pytestmark = [pytest.mark.slow, pytest.mark.journey]
FRONT = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
NAME = "pets/allow-store-front-traffic"
SHOP = ("--to", "pets/store-front")


def ask(lab: Lab, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the command; its exit code and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "acns_chaos.cli", "blame", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={
            **os.environ,
            "ACNS_CHAOS_LAB_HOME": str(lab.home),
            "ACNS_CHAOS_CLUSTER": "lab",
        },
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return done.returncode, found


def ask_until(lab: Lab, word: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Ask until the paragraph has a word; customers of the lab keep the drops coming."""
    said: list[tuple[int, dict[str, Any]]] = []

    def there() -> bool:
        said[:] = [ask(lab, *SHOP, *arguments)]
        return word in said[0][1]["paragraph"]

    wait_until(there, 30, 0.2)
    assert word in said[0][1]["paragraph"], said[0][1]["paragraph"]
    return said[0]


def break_it(lab: Lab, manager: str = "kubectl-edit") -> dict[str, Any]:
    """Edit the shop's policy as a person does; returns it as it was."""
    policies = Policies(lab.api, manager)
    before = policies.get(FRONT)
    broken = deepcopy(before)
    broken["spec"]["ingress"][0].pop("fromEntities")
    broken["spec"]["ingress"][0]["fromEndpoints"] = []
    policies.replace(broken)
    return before


def test_a_persons_edit_is_named_and_its_command_mends_it(lab: Lab) -> None:
    """Who, when, which rule, and a line to paste that puts the policy back exactly."""
    before = lab.policies()
    break_it(lab)
    code, found = ask_until(lab, "Without that change the flow passes")
    assert (code, found["state"]) == (0, "NAMED")
    assert found["culprits"] == [NAME]
    assert "was changed by kubectl-edit" in found["paragraph"]
    if not shutil.which("kubectl"):
        return
    environ = {**os.environ, "KUBECONFIG": lab.ready["kubeconfig"]}
    subprocess.run(
        found["command"], shell=True, check=True, env=environ, capture_output=True
    )  # our own words, in a test
    assert lab.policies()[NAME]["spec"] == before[NAME]["spec"]


def test_a_relay_that_is_down_is_unknown_and_not_no_drops(lab: Lab) -> None:
    """Exit code 3, and the reason."""
    break_it(lab)
    orders_for(lab.home).inject("relay-down")
    code, found = ask(lab, *SHOP)
    assert (code, found["state"]) == (3, "UNKNOWN")
    assert "elay" in found["paragraph"]
    assert not found["evidence"]["complete"]


def test_a_node_that_does_not_follow_is_suspected_once_the_policy_is_right(lab: Lab) -> None:
    """The policy was put back, and drops go on: no live policy explains them."""
    before = break_it(lab)
    ask_until(lab, "Hubble saw")
    orders_for(lab.home).inject("slow-enforcement", seconds=25)
    policies = Policies(lab.api)
    live = policies.get(FRONT)
    live["spec"] = before["spec"]
    policies.replace(live)
    code, found = ask_until(lab, "has not realised what is live", "--since", "1s")
    assert (code, found["state"], found["command"]) == (1, "UNNAMED", "")


def explained(journal: dict[str, Any]) -> dict[str, Any]:
    """The reading of the explanation."""
    (found,) = (
        run["output"] for run in journal["run"]
        if run["activity"]["provider"]["func"] == "explain_drops"
    )  # fmt: skip
    assert isinstance(found, dict)
    return found


def test_in_a_run_hubble_names_the_culprit(own_chaos: Chaos, short: dict[str, Any]) -> None:
    """Drops, the policy that selects the shop, the fault of this very run, and how to end it."""
    done = own_chaos.run(short)
    assert done.outcome == "HELD", done.output
    assert done.journal is not None
    found = explained(done.journal)
    assert found["reading"] == "NAMED"
    assert found["culprits"] == [NAME]
    assert found["evidence"]["drops"][0]["reason"] == "POLICY_DENIED"
    run = done.section["run"]
    assert found["evidence"]["command"] == f"acns-chaos restore --run {run} -n pets"


def test_in_a_run_without_a_relay_nobody_is_named(
    own_chaos: Chaos, lab: Lab, short: dict[str, Any]
) -> None:
    """The reading is UNKNOWN with the reason, and the run proves nothing."""
    orders_for(lab.home).inject("relay-down")
    for one in short["method"]:
        if one["provider"]["func"] == "explain_drops":
            one["provider"]["arguments"]["deadline"] = 1
    done = own_chaos.run(short)
    assert done.journal is not None
    assert explained(done.journal)["reading"] == "UNKNOWN"
    assert done.outcome == "INCONCLUSIVE"


def test_beside_a_run_its_record_tells_who_did_it(
    own_chaos: Chaos, lab: Lab, short: dict[str, Any]
) -> None:
    """Somebody on call, in another shell, learns that it was on purpose and how to end it."""
    experiment = deepcopy(short)
    waiting = deepcopy(experiment["method"][2])
    waiting["name"] = "wait for more drops than there will be"
    waiting["provider"]["arguments"] |= {"at_least": 1e9, "deadline": 8}
    experiment["method"].insert(1, waiting)
    started = own_chaos.start(experiment)
    code, found = ask_until(lab, "on purpose")
    own_chaos.finish(started)
    assert code == 0
    assert found["command"].startswith("acns-chaos restore --run ")
    assert "(ingress-from-nobody)" in found["paragraph"]
    assert found["notes"] == []
