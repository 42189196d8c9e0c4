"""`acns-chaos doctor` against a lab, whole and with parts that fail: its lines and exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.kubeconfig import kubeconfig_api
from tests.journeys.hosts import ROOT
from tests.lab.misbehaving import MisbehavingLab, misbehaving_lab
from tests.tiers import loop

pytestmark = pytest.mark.slow
POLICIES = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"


@pytest.fixture(scope="module")
def sick_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MisbehavingLab]:
    """One lab for all; each test ends what it ordered."""
    with misbehaving_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


def doctor(
    lab: MisbehavingLab, *arguments: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does, in this checkout."""
    return subprocess.run(
        [sys.executable, "-m", "acns_chaos.cli", "doctor", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
        env={**os.environ, "ACNS_CHAOS_LAB_HOME": str(lab.home), "ACNS_CHAOS_CLUSTER": "lab",
             **environ},
    )  # fmt: skip


def told(lab: MisbehavingLab, *arguments: str, **environ: str) -> tuple[int, dict[str, str]]:
    """The exit code, and the worst level of each line by its name."""
    done = doctor(lab, "--json", *arguments, **environ)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    assert said["code"] == done.returncode
    order = ("ok", "warn", "unknown", "missing")
    worst: dict[str, str] = {}
    for one in said["findings"]:
        worst[one["what"]] = max(worst.get(one["what"], "ok"), one["level"], key=order.index)
    return done.returncode, worst


def until(lab: MisbehavingLab, what: str, level: str, **given: Any) -> dict[str, str]:
    """Ask until a line has a level: what was seen before is forgotten within seconds."""
    from acns_chaos.cluster.waiting import wait_until

    found: dict[str, str] = {}

    def there() -> bool:
        found.clear()
        found.update(told(lab, **given)[1])
        return found.get(what) == level

    wait_until(there, 30, 0.2)
    return found


def test_a_lab_that_is_well_exits_0_and_asks_about_every_experiment(
    sick_lab: MisbehavingLab,
) -> None:
    """Warnings are no reason to stop: the workshop's policies have two of their own."""
    done = doctor(sick_lab)
    assert done.returncode == 0, done.stdout
    assert "missing" not in done.stdout
    assert done.stdout.strip().splitlines()[-1].endswith("Experiments can run here.")
    for file in (*ROOT.glob("experiments/*.json"), *ROOT.glob("probes/*.json")):
        assert f"permissions of {file.name}: all" in done.stdout


@pytest.mark.parametrize(
    ("kind", "given", "what", "level", "code"),
    loop([
        ("relay-down", {}, "Hubble relay", "missing", 1),
        ("stale-metrics", {}, "agents' metrics", "missing", 1),
        ("403", {"resource": "leases"}, "debts", "unknown", 3),
        ("missing-metric", {"family": "cilium_drop_count_total"}, "cilium_drop_count_total",
         "warn", 0),
        ("hubble-node-down", {"node": "NODE"}, "Hubble relay", "missing", 1),
        ("frozen-agent", {}, "Hubble relay", "missing", 1),
        ("stale-metrics", {}, "Hubble's metrics", "missing", 1),
        ("403", {"name": "cilium-config"}, "Cilium's settings", "warn", 0),
        ("503", {"resource": "configmaps"}, "stop object", "unknown", 3),
        ("503", {"resource": "ciliumnetworkpolicies"}, "policies", "unknown", 3),
    ], keep=4),
)  # fmt: skip
def test_what_fails_is_a_line_of_its_own_and_the_rest_is_told(
    sick_lab: MisbehavingLab, kind: str, given: dict[str, Any], what: str, level: str, code: int
) -> None:
    """Each with its level and exit code; other lines stand."""
    if given.get("node"):
        api, _ = kubeconfig_api("", sick_lab.ready["kubeconfig"])
        given = {"node": api.get("/api/v1/nodes")["items"][0]["metadata"]["name"]}
    # Until there were two scrapes nobody knows what is late.
    until(sick_lab, "scrape interval", "ok")
    order = sick_lab.inject(kind, **given)
    try:
        found = until(sick_lab, what, level)
        assert found[what] == level, found
        assert found["cluster"] == "ok"
        assert told(sick_lab)[0] == code
    finally:
        sick_lab.clear(order)


def test_a_hanging_question_does_not_stop_the_doctor(sick_lab: MisbehavingLab) -> None:
    """Each question has its time-out."""
    order = sick_lab.inject("hang", name="cilium-config")
    try:
        code, found = told(sick_lab, ACNS_CHAOS_API_TIMEOUT="0.5")
    finally:
        sick_lab.clear(order)
    assert (code, found["Cilium's settings"]) == (3, "unknown")
    assert found["policies"] == "ok"


def test_a_policy_that_the_agents_refuse_is_found(sick_lab: MisbehavingLab) -> None:
    """Stored, Valid=False, and whoever wrote it believes that it is in force."""
    api, _ = kubeconfig_api("", sick_lab.ready["kubeconfig"])
    bad = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "bad", "namespace": "pets"},
        "spec": {
            "endpointSelector": {},
            "ingress": [{"toPorts": [{"ports": [{"port": "70000"}]}]}],
        },
    }
    api.post(POLICIES, bad)
    try:
        found = until(sick_lab, "policies", "missing")
        assert found["policies"] == "missing"
    finally:
        api.delete(f"{POLICIES}/bad")


def test_no_cluster_is_one_line_and_the_rest_is_unknown(
    sick_lab: MisbehavingLab, tmp_path: Path
) -> None:
    """The sentence says what there is, and what to do."""
    config = tmp_path / "config"
    config.write_text(json.dumps({"contexts": [{"name": "aks-shop"}]}))
    done = doctor(sick_lab, ACNS_CHAOS_CLUSTER="aks-sohp", KUBECONFIG=str(config))
    assert done.returncode == 1
    assert "There is no kube context 'aks-sohp'" in done.stdout
    assert "aks-shop" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_bad_usage_is_code_2(sick_lab: MisbehavingLab) -> None:
    """A namespace that is none never reaches a path."""
    done = doctor(sick_lab, "--namespace", "../kube-system")
    assert done.returncode == 2
    assert "is no name of a namespace" in done.stderr
