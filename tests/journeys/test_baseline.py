"""`acns-chaos baseline` in a lab: there and back, beside an experiment, with little evidence."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.policies import Policies, policy_ref
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.faults.baseline import LAST_APPLIED
from tests.journeys.conftest import Chaos, Lab
from tests.journeys.hosts import ROOT
from tests.journeys.minimal import (
    KEY,
    NAME,
    broken,
    experiment,
    holders,
    inject,
    nothing_is_left,
    read,
    restore,
)
from tests.journeys.rbac import EXPERIMENTER, LOOKER, Accounts

pytestmark = [
    pytest.mark.journey,
    pytest.mark.slow,
    # Connections of clients that this process opened are closed when they are collected.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def baseline(
    chaos: Chaos, *arguments: object, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Run the command as a person does, with nobody at the terminal."""
    return subprocess.run(
        [str(chaos.host.acns_chaos), "baseline", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env={**chaos.environ, **environ},
    )


def spoil(lab: Lab) -> None:
    """Make a policy wrong, delete one and add one, as a person might."""
    policies = Policies(lab.api, "somebody")
    front = policies.get(policy_ref("CiliumNetworkPolicy", "pets", NAME))
    front["spec"]["ingress"] = [{"fromEndpoints": []}]
    front["spec"]["ingressDeny"] = [{"fromEntities": ["world"]}]
    policies.replace(front)
    queue = policy_ref("CiliumNetworkPolicy", "pets", "allow-rabbitmq-traffic")
    policies.delete(queue, policies.get(queue))
    policies.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "extra", "namespace": "pets"},
            "spec": {"podSelector": {"matchLabels": {"app": "nobody"}}},
        }
    )


def live(lab: Lab) -> dict[str, Any]:
    """The content of every policy, but for kubectl's note of what it applied last."""
    found = lab.policies()
    for policy in found.values():
        policy["annotations"] = {
            key: text for key, text in policy.get("annotations", {}).items() if key != LAST_APPLIED
        }
    return found


def last(done: "subprocess.CompletedProcess[str]") -> str:
    """The verdict."""
    return done.stdout.strip().splitlines()[-1]


def test_there_and_back(own_chaos: Chaos, lab: Lab, tmp_path: Path) -> None:
    """Captured, spoiled, seen, put in place, seen; the second capture is the first, to the byte."""
    before = live(lab)
    first, second = tmp_path / "first", tmp_path / "second"
    assert baseline(own_chaos, "capture", "-n", "pets", "-o", first).returncode == 0
    shipped = {one.name: one.read_text() for one in (ROOT / "baselines/pets").iterdir()}
    assert {one.name: one.read_text() for one in first.iterdir()} == shipped
    spoil(lab)
    seen = baseline(own_chaos, "verify", "-n", "pets", "--from", first)
    assert seen.returncode == 1, seen.stdout + seen.stderr
    assert f"CiliumNetworkPolicy {KEY} differs from known-good." in seen.stdout
    assert "allow-rabbitmq-traffic is missing." in seen.stdout
    assert "NetworkPolicy pets/extra is extra" in seen.stdout
    assert "world -> store-front:80: DENIED, but OPEN is foreseen" in seen.stdout
    tried = baseline(own_chaos, "apply", "-n", "pets", "--from", first, "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert broken(lab)
    done = baseline(own_chaos, "apply", "-n", "pets", "--from", first, "--prune", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert live(lab) == before
    assert holders(lab) == []
    good = baseline(own_chaos, "verify", "-n", "pets", "--from", first)
    assert (good.returncode, last(good).split(":")[0]) == (0, "EQUAL"), good.stdout
    assert last(good).endswith("as known-good, in content and behaviour.")
    assert "store-front -> rabbitmq:5672: DENIED, as foreseen" in good.stdout
    assert "order-service -> rabbitmq:5672: OPEN, as foreseen" in good.stdout
    assert baseline(own_chaos, "capture", "-n", "pets", "-o", second).returncode == 0
    assert {one.name: one.read_text() for one in second.iterdir()} == shipped


def test_a_fault_is_neither_captured_nor_painted_over(
    own_chaos: Chaos, lab: Lab, tmp_path: Path
) -> None:
    """While it stands both are refused, `verify` names the run, and the run restores it."""
    before = lab.policies()
    waits = read("wait", "read_storefront", timeout=1, deadline=60)
    # Until it bites: a fault that is not enforced yet would end the wait, and with it the run.
    started = own_chaos.start(experiment(inject(timeout=10), waits, restore()))
    try:
        assert wait_until(lambda: broken(lab), 60, interval=0.01)
        captured = baseline(own_chaos, "capture", "-n", "pets", "-o", tmp_path / "set")
        assert captured.returncode == 1
        assert "An experiment is at work in namespace pets" in captured.stderr
        assert not (tmp_path / "set").exists()
        place = ROOT / "baselines/pets"
        applied = baseline(own_chaos, "apply", "-n", "pets", "--from", place, "--yes")
        assert applied.returncode == 1
        assert f"{KEY} is broken on purpose by run" in applied.stderr
        seen = baseline(own_chaos, "verify", "-n", "pets", "--from", place, "--content-only")
        assert seen.returncode == 1
        assert f"{KEY} is broken on purpose by run" in seen.stdout
        assert broken(lab)
    finally:
        started[0].terminate()
        own_chaos.finish(started)
    nothing_is_left(lab, before)


def test_without_prometheus_a_closed_flow_is_not_told(own_chaos: Chaos, lab: Lab) -> None:
    """Silence alone is one witness: open flows are told, the whole is UNKNOWN, code 3."""
    done = baseline(
        own_chaos,
        *("verify", "-n", "pets", "--from", ROOT / "baselines/pets"),
        ACNS_CHAOS_CLUSTER=lab.ready["context"],
        KUBECONFIG=lab.ready["kubeconfig"],
        ACNS_CHAOS_STOREFRONT_URL=lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"],
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert last(done).startswith("UNKNOWN: the policies of namespace pets of cluster")
    assert "store-front -> rabbitmq:5672: UNKNOWN, DENIED is foreseen" in done.stdout
    assert "order-service -> rabbitmq:5672: OPEN, as foreseen" in done.stdout


def test_the_shipped_roles_are_enough_on_a_real_cluster(
    start: Callable[..., Lab], own_chaos: Chaos, tmp_path: Path
) -> None:
    """`look` verifies and captures nothing; with `experiment` all works once opted in."""
    accounts = Accounts(start("--git-version", "v1.33.5"), tmp_path)
    accounts.apply_all()
    accounts.kubectl("create", "serviceaccount", LOOKER, "-n", "acns-chaos")
    accounts.bind(LOOKER, "ClusterRole", "acns-chaos-look")
    accounts.bind(LOOKER, "Role", "acns-chaos-look", "pets")
    before = live(accounts.lab)
    place = ROOT / "baselines/pets"

    def called(account: str, *arguments: Any) -> "subprocess.CompletedProcess[str]":
        return baseline(own_chaos, *arguments, **accounts.environ(account))

    seen = called(LOOKER, "verify", "-n", "pets", "--from", place)
    assert seen.returncode == 0, seen.stdout + seen.stderr
    assert called(LOOKER, "capture", "-n", "pets").returncode == 3
    assert called(EXPERIMENTER, "capture", "-n", "pets").returncode == 0
    spoil(accounts.lab)
    refused = called(LOOKER, "apply", "-n", "pets", "--from", place)
    assert refused.returncode == 3, refused.stdout + refused.stderr
    accounts.kubectl("delete", "configmap", "acns-chaos-allowed", "-n", "pets")
    closed = called(EXPERIMENTER, "apply", "-n", "pets", "--from", place)
    assert (closed.returncode, "has not opted in" in closed.stderr) == (1, True), closed.stderr
    accounts.kubectl("create", "configmap", "acns-chaos-allowed", "-n", "pets")
    done = called(EXPERIMENTER, "apply", "-n", "pets", "--from", place, "--prune", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert live(accounts.lab) == before
    accounts.lab.api.close()
