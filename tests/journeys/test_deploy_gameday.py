"""What runs game days in clusters: each kubectl applies it, and the server takes all of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from acns_chaos.cli.gameday.render import render
from acns_chaos.gameday.plan import read_plan
from acns_chaos.gameday.render.fleet import Cluster
from tests.journeys.hosts import ROOT
from tests.journeys.test_deploy import Run, applied, kubectl
from tests.lab.kubectls import every_kubectl_path, run_kubectl

pytestmark = [pytest.mark.journey, pytest.mark.slow]
__all__ = ["every_kubectl_path", "kubectl"]

GAMEDAY = ROOT / "deploy/gameday"
CLAIM = "rabbitmq-kept-from-product-service.json"
CLUSTERS = "schema: 1\nclusters: [{name: shop-eu}, {name: shop-us, namespaces: [pets, checkout]}]\n"
DAY = "20261124T100000-abcd"


def objects(text: str) -> list[dict[str, Any]]:
    """The objects of a stream."""
    return [one for one in yaml.safe_load_all(text) if one]


def test_a_weekly_day_applies_whole(kubectl: Run) -> None:
    """After the roles: dry, for good, and the same again; the plan is as in the folder."""
    applied(kubectl)
    for arguments in (("--dry-run=server",), ()):
        done = kubectl("apply", *arguments, "-k", str(GAMEDAY))
        assert (done.returncode, done.stderr) == (0, "")
        said = {line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
        assert {one.replace(" (server dry run)", "") for one in said} == {"created"}
    again = kubectl("apply", "-k", str(GAMEDAY)).stdout.splitlines()
    # A kubectl older than the kind repeats the lists of a CronJob, as it does on a real server.
    assert [one for one in again if "unchanged" not in one and "cronjob" not in one] == []

    stored = objects(kubectl("get", "cronjob,cm,pvc", "-n", "acns-chaos", "-o", "yaml").stdout)
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in stored[0]["items"]}
    cron = by_name["CronJob", "acns-chaos-gameday"]["spec"]
    job = cron["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    assert (cron["concurrencyPolicy"], job["backoffLimit"], pod["restartPolicy"]) == (
        *("Forbid", 0, "Never"),
    )
    (plan,) = [one["configMap"]["name"] for one in pod["volumes"] if "configMap" in one]
    data = by_name["ConfigMap", plan]["data"]
    assert data["plan.yaml"] == (GAMEDAY / "plan.yaml").read_text()
    assert ("PersistentVolumeClaim", "acns-chaos-gameday") in by_name


def test_the_account_may_what_a_day_does(kubectl: Run) -> None:
    """And no more; whoever runs the claim may only look."""
    applied(kubectl)
    kubectl("apply", "-k", str(GAMEDAY))

    def may(account: str, *what: str) -> bool:
        who = f"--as=system:serviceaccount:acns-chaos:{account}"
        return kubectl("auth", "can-i", *what, who).stdout.strip() == "yes"

    day, claims = "acns-chaos-gameday", "acns-chaos-claims"
    update = ("update", "ciliumnetworkpolicies.cilium.io", "-n", "pets")
    assert [may(day, *update), may(claims, *update)] == [True, False]
    jobs = ("list", "jobs.batch", "-n", "acns-chaos")
    assert [may(day, *jobs), may(claims, *jobs)] == [True, False]
    look = ("list", "ciliumnetworkpolicies.cilium.io", "-A")
    assert [may(day, *look), may(claims, *look)] == [True, True]
    for never in (
        ("delete", "jobs.batch", "-n", "acns-chaos"),
        ("create", "pods", "-n", "acns-chaos"),
        ("get", "secrets", "-n", "acns-chaos"),
        ("update", "ciliumnetworkpolicies.cilium.io", "-n", "kube-system"),
    ):
        assert not may(day, *never), never


def test_the_plan_that_ships_is_one() -> None:
    """Its claim is the one of gamedays/, its CronJob is there and runs as often as it says."""
    plan = read_plan(GAMEDAY / "plan.yaml")
    (claim,) = [one for one in plan.detectors if one.claim]
    assert (GAMEDAY / CLAIM).read_bytes() == (ROOT / "gamedays/claims" / CLAIM).read_bytes()
    (cron,) = objects((GAMEDAY / "claim.yaml").read_text())
    metadata = cron["metadata"]
    assert claim.cronjob == f"{metadata['namespace']}/{metadata['name']}"
    assert (claim.every, cron["spec"]["schedule"]) == (60, "* * * * *")
    (day,) = objects((GAMEDAY / "cronjob.yaml").read_text())
    deadline = day["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert plan.mutants is not None
    assert deadline > plan.mutants.budget + plan.per_run


@pytest.mark.parametrize("engine", ["jobs", "argo"])
def test_a_rendered_fleet_is_taken_by_the_server(
    kubectl: Run,
    tmp_path: Path,
    engine: str,
) -> None:
    """All but Argo's own kind, which no server here knows, and which the server names."""
    clusters, file = tmp_path / "clusters.yaml", tmp_path / "fleet.yaml"
    # So many that the plan with its shards is more than an annotation takes.
    many = [f"namespace-{number:04d}" for number in range(1000)]
    each = ({"name": f"c{n}", "uid": f"{n:036d}", "namespaces": many} for n in range(6))
    fleet = [*yaml.safe_load(CLUSTERS)["clusters"], *each]
    clusters.write_text(yaml.safe_dump({"schema": 1, "clusters": fleet}))
    given = [str(GAMEDAY / "plan.yaml"), "--engine", engine, "--clusters", str(clusters)]
    given += ["--per-pod", "40"]
    done = CliRunner().invoke(render, [*given, "--day", DAY, "-o", str(file)])
    assert done.exit_code == 0, done.output
    kubectl("create", "namespace", "acns-chaos-fleet")
    known = [one for one in objects(file.read_text()) if one["kind"] != "WorkflowTemplate"]
    assert len(known) >= 6
    assert max(len(json.dumps(one)) for one in known) > 262_144

    # As the page and the command tell it.
    for arguments in (("--dry-run=server",), ()):
        told = kubectl(
            "apply", "--server-side", *arguments, "-f", "-", input=yaml.safe_dump_all(known)
        )
        assert (told.returncode, told.stderr) == (0, "")
        assert len(told.stdout.splitlines()) == len(known)

    if engine == "argo":
        refused = kubectl("apply", "--server-side", "--dry-run=server", "-f", str(file))
        assert 'no matches for kind "WorkflowTemplate"' in refused.stderr


def test_days_in_object_storage_need_no_volume(
    start: Callable[..., Any],
    every_kubectl_path: str,
) -> None:
    """The overlay takes the claim away, adds a sidecar that ends with the day, and applies."""
    if "1.20" in every_kubectl_path:
        # Its kustomize is of 2019 and has no such patches.
        return
    lab = start()

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return run_kubectl(every_kubectl_path, lab.ready["kubeconfig"], *arguments)

    overlay = str(ROOT / "deploy/gameday-object-storage")
    made = objects(run("kustomize", overlay).stdout)
    kinds = [one["kind"] for one in made]
    assert "PersistentVolumeClaim" not in kinds
    (day,) = [
        one
        for one in made
        if one["metadata"]["name"] == "acns-chaos-gameday" and "jobTemplate" in one.get("spec", {})
    ]
    pod = day["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    fetch, send = pod["initContainers"]
    assert ("restartPolicy" not in fetch, send["restartPolicy"]) == (True, "Always")
    assert {"name": "days", "emptyDir": {}} in pod["volumes"]
    done = run("apply", "--dry-run=server", "-k", overlay)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
def test_a_shard_runs_is_gone_on_with_and_is_united(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    """As in its pod: by a kubeconfig, with the cluster's variables; twice, and counted once."""
    lab = start("--world", str(ROOT / "gamedays/lab/pets-1s.yaml"))
    plan = yaml.safe_load((GAMEDAY / "plan.yaml").read_text())
    plan["mutants"] = {"policies": ["allow-order-*"], "classes": ["closes"], "most": 1}
    # Nobody runs the claim here, and no rule is there: what is tried is not who notices.
    plan["detectors"] = plan["detectors"][:2]
    del plan["blackout"], plan["minimum"]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    known = {key: one for key, one in lab.ready["env"].items() if key.startswith("ACNS_CHAOS_")}
    cluster = Cluster("shop-eu", lab.ready["context"], "none", ("pets",), env=known)
    (tmp_path / "cluster.json").write_text(json.dumps(cluster.as_json(1)))
    command = [sys.executable, "-m", "acns_chaos.cli", "gameday"]
    shard = [*command, "shard", str(tmp_path / "plan.yaml"), "--day", DAY, "--index", "0"]
    shard += ["--cluster", str(tmp_path / "cluster.json"), "--access", lab.ready["kubeconfig"]]
    shard += ["--out", str(tmp_path / "days/shop-eu")]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ACNS_CHAOS_", "KUBE"))}

    def run(*given: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            given, env=clean, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    before = lab.policies()
    done = run(*shard)
    assert (done.returncode, "1 mutants, 0 killed, 1 survived" in done.stdout) == (0, True), done
    assert lab.policies() == before

    again = run(*shard)
    assert (again.returncode, "1 of 1 mutants have a result" in again.stderr) == (0, True), again

    united = run(*command, "merge", str(tmp_path / "days"), "-o", str(tmp_path / "merged"))
    assert united.returncode == 0, united
    told = json.loads((tmp_path / "merged/merged.json").read_text())
    assert (told["days"], told["results"], told["repeated"]) == ([DAY], 1, 0)
