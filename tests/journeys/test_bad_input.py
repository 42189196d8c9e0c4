"""Bad input gives one clear sentence, no traceback, and changes nothing."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.hosts import ROOT, own
from tests.tiers import loop

pytestmark = pytest.mark.journey

Experiment = dict[str, Any]
FLAGSHIP = "experiments/storefront-ingress.json"


def says(done: Done, sentence: str) -> None:
    """Assert that the run failed with a sentence, and without a traceback."""
    assert done.code == 1, done.output
    assert sentence in done.output, done.output
    assert "Traceback" not in done.output


def test_an_unknown_cluster_name(own_chaos: Chaos, lab: Lab) -> None:
    """A context that does not exist never falls back to another."""
    before = lab.policies()
    done = own_chaos.run(
        FLAGSHIP, ACNS_CHAOS_CLUSTER="aks-pord", KUBECONFIG=lab.ready["kubeconfig"]
    )
    says(done, "There is no kube context 'aks-pord'")
    assert "lab-pets" in done.output
    assert done.outcome == "INCONCLUSIVE"
    assert lab.policies() == before


def test_nothing_named_in_ci(own_chaos: Chaos) -> None:
    """In CI the cluster must be written."""
    done = own_chaos.run(FLAGSHIP, ACNS_CHAOS_CLUSTER="", CI="true")
    says(done, "ACNS_CHAOS_CLUSTER is not set in CI")


def test_nothing_named_in_a_pod(own_chaos: Chaos) -> None:
    """Inside a pod the cluster must be written."""
    done = own_chaos.run(FLAGSHIP, ACNS_CHAOS_CLUSTER="", KUBERNETES_SERVICE_HOST="10.0.0.1")
    says(done, "ACNS_CHAOS_CLUSTER is not set in a pod")


def test_in_cluster_outside_a_pod(own_chaos: Chaos) -> None:
    """in-cluster on a laptop is refused."""
    says(own_chaos.run(FLAGSHIP, ACNS_CHAOS_CLUSTER="in-cluster"), "this is not a pod")


def test_an_unknown_policy(own_chaos: Chaos, lab: Lab, short: Experiment) -> None:
    """The sentence lists the policies there are."""
    before = lab.policies()
    short["method"][0]["provider"]["arguments"]["policy"] = "allow-storefront"
    says(own_chaos.run(short), "There is no CiliumNetworkPolicy 'allow-storefront'")
    assert lab.policies() == before


def test_an_unknown_operator(own_chaos: Chaos, lab: Lab, short: Experiment) -> None:
    """A misspelt operator is named."""
    before = lab.policies()
    short["method"][0]["provider"]["arguments"]["operator"] = "ingress-form-nobody"
    says(own_chaos.run(short), "ingress-form-nobody")
    assert lab.policies() == before


def test_a_fault_that_would_change_nothing(own_chaos: Chaos, lab: Lab, short: Experiment) -> None:
    """The live policy itself as the document is no fault."""
    before = lab.policies()
    path = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"
    given = short["method"][0]["provider"]["arguments"]
    del given["operator"]
    given["document"] = lab.api.get(path)
    done = own_chaos.run(short)
    says(done, "there is no fault to inject")
    assert done.outcome == "NOT_INJECTED"
    assert lab.policies() == before


def test_a_namespace_that_does_not_exist(own_chaos: Chaos, short: Experiment) -> None:
    """A misspelt namespace is told apart from a missing policy."""
    short["configuration"]["namespace"] = "pest"
    done = own_chaos.run(short)
    says(done, "Namespace 'pest' does not exist in the lab")
    assert done.section["faults"] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    loop(
        [
            ("{", "is not YAML"),
            ("a: 1\n", "holds something else than policies"),
            (None, "cannot be read"),
        ]
    ),
)
def test_a_malformed_policy_file(
    own_chaos: Chaos, lab: Lab, short: Experiment, tmp_path: Path, text: str | None, sentence: str
) -> None:
    """Broken YAML, something else than a policy, and a missing file."""
    before = lab.policies()
    file = tmp_path / "policy.yaml"
    if text is not None:
        file.write_text(text)
    given = short["method"][0]["provider"]["arguments"]
    del given["operator"]
    given["policy_file"] = str(file)
    done = own_chaos.run(short)
    says(done, sentence)
    assert lab.policies() == before


def test_an_unknown_world(lonely_chaos: Chaos, short: Experiment) -> None:
    """The lab says which worlds there are, and nothing runs."""
    short["controls"][1]["provider"]["arguments"] = {"world": "atlantis"}
    done = lonely_chaos.run(short)
    says(done, "atlantis")
    assert "The lab did not start" in done.output


def acns_chaos(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run our command."""
    return subprocess.run(
        [str(own().acns_chaos), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environ},
    )


def test_a_lab_that_is_already_running(lab: Lab) -> None:
    """A second lab names the first one's process."""
    done = acns_chaos("lab", ACNS_CHAOS_LAB_HOME=str(lab.home))
    assert done.returncode == 2
    assert str(lab.ready["pid"]) in done.stderr
    assert "already running" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The port is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = acns_chaos("lab", "--port", str(port), ACNS_CHAOS_LAB_HOME=str(tmp_path))
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_no_network(own_chaos: Chaos, tmp_path: Path) -> None:
    """A cluster that does not answer is one sentence with its address."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    config = tmp_path / "config"
    config.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "far", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )
    done = own_chaos.run(FLAGSHIP, ACNS_CHAOS_CLUSTER="far", KUBECONFIG=str(config))
    says(done, f"far at https://127.0.0.1:{port} cannot be used")
    assert done.outcome == "INCONCLUSIVE"


def test_no_prometheus(own_chaos: Chaos, lab: Lab, flagship: Experiment) -> None:
    """A metric nobody can read is UNKNOWN, never zero: the run does not start."""
    before = lab.policies()
    ready = {
        **lab.ready,
        "env": {**lab.ready["env"], "ACNS_CHAOS_PROMETHEUS_URL": "http://127.0.0.1:9"},
    }
    (lab.home / "lab.json").write_text(json.dumps(ready))
    done = own_chaos.run(flagship)
    assert (done.code, done.outcome) == (1, "NOT_STARTED"), done.output
    assert "http://127.0.0.1:9" in done.section["outcome"]["sentence"]
    assert lab.policies() == before


def named(lab: Lab) -> dict[str, str]:
    """Name the lab's context as a cluster, the way a person names a real one."""
    return {
        "ACNS_CHAOS_CLUSTER": lab.ready["context"],
        "KUBECONFIG": lab.ready["kubeconfig"],
        "ACNS_CHAOS_STOREFRONT_URL": lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"],
        "ACNS_CHAOS_PROMETHEUS_URL": lab.ready["env"]["ACNS_CHAOS_PROMETHEUS_URL"],
    }


def test_a_real_cluster_may_be_asked(start: Callable[..., Lab], tmp_path: Path) -> None:
    """A claim changes nothing, so it may look at a named cluster."""
    real = start("--git-version", "v1.33.5")
    done = Chaos(own(), tmp_path, None).run("probes/storefront-reachable.json", **named(real))
    assert (done.code, done.outcome) == (0, "HELD"), done.output
    assert "lab" not in done.section["outcome"]["sentence"].replace("lab-pets", "")


def test_a_lab_that_is_not_one_is_refused(start: Callable[..., Lab], tmp_path: Path) -> None:
    """The variable says lab, the server says something else: the server is believed."""
    real = start("--git-version", "v1.33.5")
    chaos = Chaos(own(), tmp_path, real.home)
    says(chaos.run(FLAGSHIP), "says it is not one")


def test_a_named_context_never_loads_the_lab(
    start: Callable[..., Lab], tmp_path: Path, short: Experiment
) -> None:
    """A run against a named kube context holds no module of acns_chaos.lab when it ends."""
    real = start()
    shutil.copy(ROOT / "tests/journeys/modules_control.py", tmp_path / "modules_control.py")
    short["controls"].append(
        {"name": "modules", "provider": {"type": "python", "module": "modules_control"}}
    )
    chaos = Chaos(own(), tmp_path, None)
    done = chaos.run(short, PYTHONPATH=str(tmp_path), **named(real))

    assert done.code == 0, done.output
    assert done.journal is not None
    assert "acns_chaos.actions" in done.journal["modules"]
    assert [name for name in done.journal["modules"] if name.startswith("acns_chaos.lab")] == []


def test_other_extensions_get_the_same_single_target(
    own_chaos: Chaos, lab: Lab, short: Experiment, tmp_path: Path
) -> None:
    """chaosk8s takes whatever context is current: during a run that is the target's, alone."""
    tempting = tmp_path / "production"
    tempting.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "production",
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
                "users": [{"name": "u", "user": {}}],
                "contexts": [{"name": "production", "context": {"cluster": "c", "user": "u"}}],
            }
        )
    )
    short["steady-state-hypothesis"]["probes"].append(
        {
            "type": "probe",
            "name": "chaosk8s sees the lab's shop",
            "tolerance": True,
            "provider": {
                "type": "python",
                "module": "chaosk8s.deployment.probes",
                "func": "deployment_available_and_healthy",
                "arguments": {"name": "store-front", "ns": "pets"},
            },
        }
    )
    done = own_chaos.run(short, KUBECONFIG=str(tempting), KUBERNETES_CONTEXT="production")
    assert (done.code, done.outcome) == (0, "HELD"), done.output


def test_the_lock_of_a_dead_lab_is_not_joined(lonely_chaos: Chaos, tmp_path: Path) -> None:
    """A lab.json that nobody holds the lock for is stale: a fresh lab is started."""
    home = tmp_path / "no-lab"
    home.mkdir()
    (home / "lab.json").write_text('{"server": "https://127.0.0.1:9", "world": "x", "env": {}}')
    (home / "lab.lock").touch()
    done = lonely_chaos.run("probes/storefront-reachable.json")
    assert (done.code, done.outcome) == (0, "HELD"), done.output


def test_a_lab_that_says_nonsense_is_one_sentence(lonely_chaos: Chaos, tmp_path: Path) -> None:
    """A locked registration that cannot be read does not break the run: a fresh lab is started."""
    home = tmp_path / "no-lab"
    home.mkdir()
    (home / "lab.json").write_text("{")
    with (home / "lab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = lonely_chaos.run("probes/storefront-reachable.json")
    assert (done.code, done.outcome) == (0, "HELD"), done.output
