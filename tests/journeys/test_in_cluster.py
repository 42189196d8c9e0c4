"""In a pod: the service account's files and the environment that a kubelet sets, and nothing else.

The files lie where a test may write; an interpreter that starts with `sitecustomize` looks there.
"""

from base64 import b64decode
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Lab
from tests.journeys.minimal import broken, experiment, inject, nothing_is_left, read, restore

pytestmark = [pytest.mark.journey, pytest.mark.slow]


@pytest.fixture
def pod(lab: Lab, tmp_path: Path) -> dict[str, str]:
    """The environment of a process in a pod."""
    config = yaml.safe_load(Path(lab.ready["kubeconfig"]).read_text())
    account = tmp_path / "serviceaccount"
    account.mkdir()
    (account / "token").write_text(config["users"][0]["user"]["token"])
    (account / "namespace").write_text("pets")
    cluster = config["clusters"][0]["cluster"]
    (account / "ca.crt").write_bytes(b64decode(cluster["certificate-authority-data"]))
    (account / "sitecustomize.py").write_text(
        "import kubernetes.config.incluster_config as where\n"
        f"where.SERVICE_TOKEN_FILENAME = {str(account / 'token')!r}\n"
        f"where.SERVICE_CERT_FILENAME = {str(account / 'ca.crt')!r}\n"
    )
    address = urlsplit(cluster["server"])
    return {
        "ACNS_CHAOS_CLUSTER": "in-cluster",
        "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT": str(address.port),
        "PYTHONPATH": str(account),
        "KUBECONFIG": str(tmp_path / "no-such-file"),
    }


def test_a_run_in_a_pod_and_its_watchdog(own_chaos: Chaos, lab: Lab, pod: dict[str, str]) -> None:
    """No kubeconfig is read; the fault is rehearsed, written and put back."""
    before = lab.policies()
    done = own_chaos.run(experiment(inject(), restore(), require_janitor=False), **pod)
    assert [one["restored"]["by"] for one in done.section["faults"]] == ["method"], done.output
    assert done.section["target"]["context"] == "in-cluster"
    nothing_is_left(lab, before)


def test_in_a_pod_a_janitor_is_required(own_chaos: Chaos, lab: Lab, pod: dict[str, str]) -> None:
    """The watchdog dies with the container: without a janitor nothing is changed."""
    before = lab.policies()
    done = own_chaos.run(experiment(inject(), restore()), **pod)
    assert (done.code, done.outcome) == (1, "NOT_INJECTED"), done.output
    assert "No janitor was seen in namespace pets" in done.output
    nothing_is_left(lab, before)


def test_killed_in_a_pod_the_watchdog_restores(
    own_chaos: Chaos, lab: Lab, pod: dict[str, str]
) -> None:
    """As long as the container lives, it has the pod's own credentials, too."""
    before = lab.policies()
    pause = {**read("r", "policies_are_as_recorded"), "pauses": {"after": 20}}
    started = own_chaos.start(experiment(inject(), pause, require_janitor=False), **pod)
    assert wait_until(lambda: broken(lab), 60, interval=0.01)
    started[0].kill()
    own_chaos.finish(started)
    assert wait_until(lambda: not broken(lab), 5, interval=0.01)
    nothing_is_left(lab, before)


def test_outside_a_pod_it_is_one_sentence(own_chaos: Chaos, lab: Lab) -> None:
    """Named by mistake on a workstation."""
    del lab
    done = own_chaos.run(experiment(inject(), restore()), ACNS_CHAOS_CLUSTER="in-cluster")
    assert done.code == 1
    assert "ACNS_CHAOS_CLUSTER=in-cluster, but this is not a pod" in done.output
    assert "Traceback" not in done.output
