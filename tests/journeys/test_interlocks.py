"""What keeps a run from starting, or ends it: opt-in, stop, blackout, janitor, Leases.

On a lab that does not say that it is one, through the real `chaos`.
"""

import json
import signal
import time
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.policies import content
from acns_chaos.cluster.waiting import wait_until
from tests.journeys.conftest import Chaos, Done, Lab
from tests.journeys.hosts import ROOT, own
from tests.journeys.rbac import Accounts
from tests.tiers import loop

pytestmark = [pytest.mark.journey, pytest.mark.slow]

Experiment = dict[str, Any]
POLICY = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies/allow-store-front-traffic"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/acns-chaos/leases"


class Real:
    """A cluster of one's own, as an administrator reaches it by the name of its context."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.accounts = Accounts(lab, folder)
        self.kubectl = self.accounts.kubectl

    def environ(self) -> dict[str, str]:
        """Names the context, as a person does."""
        addresses = self.lab.ready["env"]
        return {
            "ACNS_CHAOS_CLUSTER": self.lab.ready["context"],
            "KUBECONFIG": self.lab.ready["kubeconfig"],
            "ACNS_CHAOS_STOREFRONT_URL": addresses["ACNS_CHAOS_STOREFRONT_URL"],
            "ACNS_CHAOS_PROMETHEUS_URL": addresses["ACNS_CHAOS_PROMETHEUS_URL"],
        }

    def chaos(self, name: str = "run") -> Chaos:
        """`chaos`, with a folder of its own."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        found = Chaos(own(), folder, None)
        found.environ.update(self.environ())
        return found

    def opt_in(self, namespace: str = "pets", **keys: str) -> None:
        """Create acns-chaos-allowed, with kubectl."""
        self.kubectl("delete", "configmap", "acns-chaos-allowed", "-n", namespace, ok=(0, 1))
        literals = [f"--from-literal={key.replace('_', '-')}={text}" for key, text in keys.items()]
        self.kubectl("create", "configmap", "acns-chaos-allowed", "-n", namespace, *literals)

    def untouched(self) -> bool:
        """Whether nobody wrote to the policy since it was made."""
        return int(self.lab.api.get(POLICY)["metadata"]["generation"]) == 1


@pytest.fixture
def real(start: Callable[..., Lab], tmp_path: Path) -> Real:
    """A real cluster with deploy/rbac applied, which has not opted in."""
    found = Real(start("--git-version", "v1.33.5"), tmp_path)
    found.kubectl("apply", "-f", "deploy/rbac")
    return found


def refused(real: Real, done: Done, why: str) -> None:
    """The run ended before anything was written, and says why."""
    assert (done.code, done.outcome) == (1, "NOT_INJECTED"), done.output
    assert why in done.output, done.output
    assert real.untouched()
    assert real.accounts.records() == []


# ---------------------------------------------------------------------- opting in


def test_a_namespace_must_have_opted_in(real: Real, short: Experiment) -> None:
    """A real cluster is changed when the namespace's owner allowed it, and only then."""
    why = "has not opted in: whoever owns it allows faults with `kubectl create configmap"
    refused(real, real.chaos().run(short), why)
    before = real.lab.policies()

    real.opt_in()
    done = real.chaos().run(short)

    assert (done.code, done.outcome) == (0, "HELD"), done.output
    assert done.section["target"]["kind"] == "cluster"
    assert real.lab.policies() == before


def test_what_is_allowed_may_be_narrowed(real: Real, short: Experiment) -> None:
    """By kind, by name, by how long a fault may stand, and by the clock."""
    now = datetime.now(UTC)
    window = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    for keys, why in (
        ({"kinds": "NetworkPolicy"}, "allows NetworkPolicy only, not CiliumNetworkPolicy"),
        ({"policies": "allow-rabbitmq-*"}, "only, not allow-store-front-traffic"),
        ({"max_deadline_seconds": "60"}, "for 60 s at most, and this one may stand 300 s"),
        ({"blackout": window}, f"in the blackout '{window}' of ConfigMap"),
        ({"blackouts": "always"}, "has the unknown key 'blackouts'"),
    ):
        real.opt_in(**keys)
        refused(real, real.chaos().run(short), why)
    real.opt_in(policies="allow-store-*", kinds="CiliumNetworkPolicy", max_deadline_seconds="60")
    short["configuration"]["fault_deadline"] = 60
    done = real.chaos().run(short)
    assert (done.code, done.outcome) == (0, "HELD"), done.output


def test_another_namespace_must_have_opted_in_itself(real: Real, short: Experiment) -> None:
    """A fault that reaches into another namespace needs that one's consent, too."""
    real.opt_in()
    inject(short)["arguments"] = {"policy": "allow-store-front-traffic", "timeout": 1}
    inject(short)["arguments"]["operator"] = "namespace-forgotten"
    refused(real, real.chaos().run(short), "Namespace default in cluster")


def inject(experiment: Experiment) -> dict[str, Any]:
    """The provider of the action that injects."""
    (found,) = [one["provider"] for one in experiment["method"] if one["type"] == "action"][:1]
    assert isinstance(found, dict)
    return found


# ---------------------------------------------------------------------- stop


def test_stop_stands_before_a_run(real: Real, short: Experiment) -> None:
    """The stop object in the namespace, or the one for all of them: nothing starts."""
    real.opt_in()
    for namespace in ("pets", "acns-chaos"):
        real.kubectl("create", "configmap", "acns-chaos-stop", "-n", namespace)
        why = f"ConfigMap acns-chaos-stop stands in namespace {namespace} since"
        refused(real, real.chaos().run(short), why)
        real.kubectl("delete", "configmap", "acns-chaos-stop", "-n", namespace)


@pytest.mark.parametrize("namespace", loop(["pets", "acns-chaos"]))
def test_stop_ends_a_run_within_a_second(real: Real, short: Experiment, namespace: str) -> None:
    """An operator creates the stop object with kubectl: the fault is taken back, the run ends."""
    real.opt_in()
    original = content(real.lab.api.get(POLICY))
    started = real.chaos().start(lingering(short))
    assert wait_until(lambda: content(real.lab.api.get(POLICY)) != original, 30, interval=0.02)

    real.kubectl("create", "configmap", "acns-chaos-stop", "-n", namespace)
    created = time.monotonic()
    assert wait_until(lambda: content(real.lab.api.get(POLICY)) == original, 5, interval=0.01)
    took = time.monotonic() - created
    done = real.chaos().finish(started)

    # One second is what is promised; the machine that tests may be busy with others.
    assert took < 1.5, took
    assert done.code == 1
    assert done.outcome not in ("HELD", "NOT_RESTORED"), done.output
    assert f"ConfigMap acns-chaos-stop stands in namespace {namespace}" in done.output
    assert content(real.lab.api.get(POLICY)) == original
    assert wait_until(lambda: not real.accounts.records(), 5)


def lingering(experiment: Experiment) -> Experiment:
    """An experiment whose method goes on for a while after the fault."""
    found = deepcopy(experiment)
    (broken,) = [one for one in found["method"] if one["name"].startswith("break")]
    wait = {
        "type": "probe",
        "name": "wait and see",
        "provider": {
            "type": "python",
            "module": "acns_chaos.probes",
            "func": "read_storefront",
            "arguments": {"path": "/", "expect": "OPEN", "timeout": 1, "deadline": 20},
        },
    }
    found["method"] = [broken, wait, found["method"][-1]]
    return found


# ---------------------------------------------------------------------- janitor and Leases


def test_a_janitor_that_is_required_must_have_been_seen(real: Real, short: Experiment) -> None:
    """With `require_janitor` a run needs one; a round of the janitor lets it start."""
    real.opt_in()
    short["configuration"]["require_janitor"] = True
    refused(real, real.chaos().run(short), "No janitor was seen in namespace pets for 180 s")

    real.kubectl("apply", "-f", str(ROOT / "deploy/janitor"))
    assert real.accounts.restore().returncode == 0
    done = real.chaos().run(short)
    assert (done.code, done.outcome) == (0, "HELD"), done.output


def test_one_run_at_a_time_in_a_namespace(real: Real, short: Experiment) -> None:
    """While somebody else holds the Lease nothing starts, and who it is is said."""
    real.opt_in()
    lease = real.lab.api.get(f"{LEASES}/acns-chaos.pets")
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease["spec"] = {
        "holderIdentity": "20260101T000000-beef somebody@elsewhere process 7",
        "leaseDurationSeconds": 60,
        "renewTime": moment,
    }
    real.lab.api.put(f"{LEASES}/acns-chaos.pets", lease)
    why = "is held by 20260101T000000-beef somebody@elsewhere process 7"
    refused(real, real.chaos().run(short), why)


def clusterwide(experiment: Experiment, namespace: str) -> Experiment:
    """The experiment of another namespace, with a fault that has none, and that lingers."""
    found = lingering(experiment)
    found["configuration"]["namespace"] = namespace
    found.pop("steady-state-hypothesis")
    inject(found)["arguments"] = {
        "kind": "CiliumClusterwideNetworkPolicy",
        "create": True,
        "ignored": True,
        "timeout": 3,
        "document": {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumClusterwideNetworkPolicy",
            "metadata": {"name": f"no-customers-by-{namespace}"},
            "spec": {
                "endpointSelector": {"matchLabels": {"app": "store-front"}},
                "ingressDeny": [{"fromEntities": ["world"]}],
            },
        },
    }
    return found


def test_one_clusterwide_fault_at_a_time(real: Real, short: Experiment) -> None:
    """Two runs in two namespaces: the second cluster-wide fault is refused while one stands."""
    ccnp = "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies"
    real.kubectl("create", "namespace", "other")
    for namespace in ("pets", "other"):
        real.opt_in(namespace)
    first = clusterwide(short, "pets")
    refused(real, real.chaos().run(first), "Namespace acns-chaos in cluster")
    real.opt_in("acns-chaos")
    one = real.chaos("one").start(first)
    assert wait_until(lambda: real.lab.api.get(ccnp)["items"], 30)

    second = real.chaos("two").run(clusterwide(short, "other"))

    assert (second.code, second.outcome) == (1, "NOT_INJECTED"), second.output
    assert "Lease acns-chaos-clusterwide of namespace acns-chaos is held by" in second.output
    names = [one["metadata"]["name"] for one in real.lab.api.get(ccnp)["items"]]
    assert "no-customers-by-other" not in names
    # It would wait for a shop that its own fault keeps away.
    one[0].send_signal(signal.SIGTERM)
    done = real.chaos("one").finish(one)
    assert json.dumps(done.section["faults"]).count('"verified": "') == 1, done.output
    assert real.lab.api.get(ccnp)["items"] == []
