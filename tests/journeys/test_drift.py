"""Somebody else writes, too: who recovered it is said, and nobody's edit is overwritten."""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.minimal import (
    KEY,
    NAME,
    broken,
    experiment,
    inject,
    nothing_is_left,
    read,
    records,
    restore,
)
from tests.lab.misbehaving import orders_for
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]


def kubectl(lab: Lab, *arguments: str, given: str = "") -> str:
    """What the real kubectl prints."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not on PATH")
    done = subprocess.run(
        ["kubectl", *arguments],
        input=given,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "KUBECONFIG": lab.ready["kubeconfig"]},
    )
    return done.stdout


def command(chaos: Chaos, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `acns-chaos`."""
    return subprocess.run(
        [str(chaos.host.acns_chaos), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=chaos.environ,
    )


def until_repaired(seconds: float = 15) -> dict[str, Any]:
    """A probe that waits until the shop answers again."""
    return read("the shop is back", "read_storefront", timeout=1, deadline=seconds)


def the_fault(done: Done) -> dict[str, Any]:
    """The one fault of a run."""
    (found,) = done.section["faults"]
    return dict(found)


def test_somebody_applies_the_original(own_chaos: Chaos, lab: Lab) -> None:
    """The run says who and when, takes its marks away, and does not take the credit."""
    original = kubectl(lab, "get", "cnp", NAME, "-n", "pets", "-o", "json")
    kubectl(lab, "apply", "-f", "-", given=_bare(original))
    before = lab.policies()
    started = own_chaos.start(experiment(inject(timeout=10), until_repaired(), restore()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    # A merge by kubectl leaves our marks on the object.
    kubectl(lab, "apply", "-f", "-", given=_bare(original))
    done = own_chaos.finish(started)
    restored = the_fault(done)["restored"]
    assert (restored["by"], restored["who"]) == ("others", "kubectl-client-side-apply")
    assert restored["when"]
    assert restored["verified"]
    assert done.outcome != "HELD"
    nothing_is_left(lab, before)
    told = command(own_chaos, "report", str(done.file)).stdout
    assert "others (kubectl-client-side-apply at " in told


def _bare(policy: str) -> str:
    """What a person keeps in git."""
    found = json.loads(policy)
    metadata = {key: found["metadata"].get(key) for key in ("name", "namespace")}
    kept = {key: found[key] for key in ("apiVersion", "kind", "spec")}
    return json.dumps({**kept, "metadata": metadata})


@pytest.mark.parametrize("flavour", loop(["flux", "argocd"]))
def test_what_gitops_reconciles_is_refused_before_anything_is_written(
    own_chaos: Chaos, lab: Lab, flavour: str
) -> None:
    """By default: it would undo the fault and fight the restore."""
    number = orders_for(lab.home).inject("gitops", policy=KEY, after=0.5, flavour=flavour)
    before = lab.policies()
    done = own_chaos.run(experiment(inject()))
    assert done.outcome == "NOT_INJECTED"
    assert done.section["faults"] == []
    assert "is reconciled by" in done.section["outcome"]["sentence"]
    assert orders_for(lab.home).struck(number) == 0
    nothing_is_left(lab, before)


def test_gitops_may_be_what_recovers(own_chaos: Chaos, lab: Lab, flagship: dict[str, Any]) -> None:
    """With `observe` its repair is the recovery the experiment asks about: it can hold."""
    orders_for(lab.home).inject("gitops", policy=KEY, after=16, flavour="flux")
    before = lab.policies()
    method = flagship["method"]
    method[0]["provider"]["arguments"]["gitops"] = "observe"
    method.insert(-1, until_repaired(30))
    done = own_chaos.run(flagship)
    restored = the_fault(done)["restored"]
    assert (restored["by"], restored["who"]) == ("others", "kustomize-controller"), restored
    assert done.outcome == "HELD", done.section["outcome"]
    nothing_is_left(lab, before)


def until_said(run: "subprocess.Popen[str]", words: str) -> None:
    """Read a run's log until it says this; the deadline is that of the whole run."""
    assert run.stdout is not None
    assert any(words in line for line in run.stdout), f"the run never said {words!r}"


def test_a_repair_by_others_that_nobody_observes_does_not_hold(
    own_chaos: Chaos, lab: Lab, flagship: dict[str, Any]
) -> None:
    """Everything else is as it should be, and it was not this run that put the policy back."""
    original = kubectl(lab, "get", "cnp", NAME, "-n", "pets", "-o", "json")
    flagship["method"].insert(-1, until_repaired(30))
    started = own_chaos.start(flagship)
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    # Witnesses and detectors were asked by then.
    until_said(started[0], "Probe: the shop is back")
    kubectl(lab, "replace", "-f", "-", given=_bare(original))
    done = own_chaos.finish(started)
    assert the_fault(done)["restored"]["by"] == "others"
    assert done.outcome == "INCONCLUSIVE", done.section["outcome"]
    assert "put pets/allow-store-front-traffic back, not this run" in str(done.section["outcome"])


def test_somebody_elses_edit_is_never_overwritten(own_chaos: Chaos, lab: Lab) -> None:
    """Refused with the three-way difference, by the run and by the command; force decides."""
    before = lab.policies()
    edit = '[{"op":"replace","path":"/spec/ingress","value":[{"fromEntities":["cluster"]}]}]'
    started = own_chaos.start(experiment(inject(timeout=10), until_repaired(4), restore()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    kubectl(lab, "patch", "cnp", NAME, "-n", "pets", "--type", "json", "-p", edit)
    done = own_chaos.finish(started)

    edited = lab.policies()[KEY]
    assert edited["spec"]["ingress"] == [{"fromEntities": ["cluster"]}]
    assert done.outcome == "NOT_RESTORED"
    assert done.code == 1
    restored = the_fault(done)["restored"]
    assert "neither the fault nor the original any more (kubectl" in restored["problem"]
    assert "+++ live" in restored["difference"]
    assert "+  - cluster" in restored["difference"].replace("    ", "  ")
    told = command(own_chaos, "report", str(done.file)).stdout
    assert "was not overwritten; against the original" in told

    run = done.section["run"]
    refused = command(own_chaos, "restore", "--run", run)
    assert refused.returncode == 9, refused.stdout + refused.stderr
    assert "--- original" in refused.stdout
    assert "+++ fault" in refused.stdout
    assert "+++ live" in refused.stdout
    assert lab.policies()[KEY] == edited
    assert len(records(lab)) == 1

    again = own_chaos.run(experiment(inject()))
    assert again.code == 1
    assert "could not be restored" in again.output
    assert lab.policies()[KEY] == edited

    forced = command(own_chaos, "restore", "--run", run, "--force")
    assert forced.returncode == 0, forced.stdout + forced.stderr
    nothing_is_left(lab, before)
    assert command(own_chaos, "restore", "--run", run).returncode == 0


def test_a_policy_that_somebody_deletes_is_created_again(own_chaos: Chaos, lab: Lab) -> None:
    """And said: not only the fault was seen."""
    before = lab.policies()
    started = own_chaos.start(experiment(inject(timeout=10), until_repaired(6), restore()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    kubectl(lab, "delete", "cnp", NAME, "-n", "pets")
    done = own_chaos.finish(started)
    restored = the_fault(done)["restored"]
    assert restored["created_again"] is True
    assert restored["verified"]
    assert done.outcome != "HELD"
    assert "method; somebody had deleted it" in command(own_chaos, "report", str(done.file)).stdout
    nothing_is_left(lab, before)


def test_whoever_is_on_call_sees_it_in_describe(own_chaos: Chaos, lab: Lab) -> None:
    """During the fault: who, until when and the command; afterwards an Event and no mark."""
    before = lab.policies()
    orders_for(lab.home).inject("hang", server="shop")
    waiting = read("the shop", "read_storefront", timeout=5)
    started = own_chaos.start(experiment(inject(), waiting, restore()))
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    during = kubectl(lab, "describe", "cnp", NAME, "-n", "pets")
    done = own_chaos.finish(started)
    run = done.section["run"]
    for words in (
        f"acns-chaos/run: {run}",
        "acns-chaos/owner:",
        "acns-chaos/deadline: 20",
        f"acns-chaos/restore: acns-chaos restore --run {run}",
        "FaultInjected",
    ):
        assert words in during, during
    after = kubectl(lab, "describe", "cnp", NAME, "-n", "pets")
    assert "acns-chaos/" not in after.partition("Events:")[0]
    assert "FaultInjected" in after
    assert "FaultRestored" in after
    nothing_is_left(lab, before)
