"""The manifests of deploy/: a real kubectl applies all of them, as the pages tell."""

import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.journeys.conftest import Lab
from tests.journeys.hosts import ROOT
from tests.journeys.rbac import APPLIED
from tests.lab.kubectls import every_kubectl_path, run_kubectl

pytestmark = [pytest.mark.journey, pytest.mark.slow]
__all__ = ["every_kubectl_path"]

GRAFANA = "deploy/grafana"
# But what is applied by itself, with `kubectl apply -k`: the dashboard, and game days.
FILES = sorted(
    str(file.relative_to(ROOT))
    for file in (ROOT / "deploy").rglob("*.yaml")
    if not (file.parent / "kustomization.yaml").exists()
)
JANITOR = "/apis/batch/v1/namespaces/acns-chaos/cronjobs/acns-chaos-janitor-pets"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def kubectl(start: Callable[..., Lab], every_kubectl_path: str) -> Run:
    """Each kubectl there is, as the administrator of a fresh cluster."""
    lab = start("--git-version", "v1.33.5")
    # Which the lab's worlds have, and no cluster has before deploy/ is applied.
    lab.api.delete("/api/v1/namespaces/acns-chaos")

    def run(*arguments: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        return run_kubectl(every_kubectl_path, lab.ready["kubeconfig"], *arguments, **more)

    return run


def applied(kubectl: Run, *arguments: str) -> list[str]:
    """Apply the places of deploy/ in order; what is said of each object."""
    said: list[str] = []
    for place in APPLIED:
        done = kubectl("apply", *arguments, "-f", str(ROOT / place))
        assert (done.returncode, done.stderr) == (0, "")
        said += done.stdout.splitlines()
    return said


def objects() -> list[dict[str, Any]]:
    """Every object of deploy/."""
    return [one for file in FILES for one in yaml.safe_load_all((ROOT / file).read_text())]


def test_the_pages_tell_what_to_apply() -> None:
    """What docs/restoring.md and cronjob.yaml name, in that order, is all of deploy/."""
    page = (ROOT / "docs/restoring.md").read_text()
    assert re.findall(r"^kubectl apply -f (\S+)", page, re.MULTILINE) == list(APPLIED[:2])
    head = (ROOT / APPLIED[2]).read_text().partition("apiVersion")[0].replace("\n# ", " ")
    assert "Apply deploy/rbac and deploy/janitor first" in head
    assert [file for file in FILES if not file.startswith(APPLIED)] == []
    assert len(objects()) > 20


def test_it_applies_whole(kubectl: Run) -> None:
    """Validated, dry and for good; the same again changes nothing; everything is there."""
    made = applied(kubectl)
    assert len(made) == len(objects())
    assert {line.split(maxsplit=1)[1] for line in made} == {"created"}

    again = applied(kubectl, "--dry-run=server") + applied(kubectl)

    # A kubectl older than the kind repeats the lists of a CronJob, as it does on a real server.
    changed = [line for line in again if "unchanged" not in line and "cronjob" not in line]
    assert changed == []
    names = [one["metadata"]["name"] for one in objects() if one["kind"] == "CronJob"]
    listed = kubectl("get", "cronjobs", "-n", "acns-chaos", "-o", "name").stdout.split()
    assert listed == [f"cronjob.batch/{name}" for name in sorted(names)]
    stored = yaml.safe_load(kubectl("get", "--raw", JANITOR).stdout)
    assert stored["metadata"]["generation"] == 1


def test_a_slip_in_a_cron_job_is_refused(kubectl: Run) -> None:
    """A misspelt field deep in the pod, and a schedule that is none, are named."""
    applied(kubectl)
    text = (ROOT / "deploy/janitor/janitor.yaml").read_text()
    for right, wrong in (("runAsNonRoot", "runAsNonroot"), ("* * * * *", "61 * * * *")):
        done = kubectl("apply", "-f", "-", input=text.replace(right, wrong))
        assert done.returncode == 1
        assert wrong in done.stderr


def test_without_the_namespace_nothing_else_can_be_applied(kubectl: Run) -> None:
    """central.yaml is needed by each of the others that has something in it."""
    for file in FILES:
        inside = [
            one
            for one in yaml.safe_load_all((ROOT / file).read_text())
            if one["metadata"].get("namespace") == "acns-chaos"
        ]
        if not inside:
            continue
        done = kubectl("apply", "--dry-run=server", "-f", str(ROOT / file))
        assert done.returncode == 1
        assert 'namespaces "acns-chaos" not found' in done.stderr


def test_the_dashboard_is_a_config_map_for_grafanas_sidecar(kubectl: Run) -> None:
    """`kubectl apply -k`, first as a dry run of the server: the JSON as it is, and the label."""
    for arguments in (("--dry-run=server",), ()):
        done = kubectl("apply", *arguments, "-k", str(ROOT / GRAFANA))
        assert (done.returncode, done.stderr) == (0, "")
        assert "configmap/acns-chaos-dashboard created" in done.stdout
    read = kubectl("get", "configmap", "acns-chaos-dashboard", "-o", "json")
    stored = json.loads(read.stdout)
    assert stored["metadata"]["labels"] == {"grafana_dashboard": "1"}
    assert stored["data"] == {
        "acns-chaos.json": (ROOT / GRAFANA / "acns-chaos.json").read_text("utf-8")
    }
