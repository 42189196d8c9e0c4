"""The prober pod: a workload's identity, nothing of its traffic, and an end in every case."""

from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.policies import POD, PolicyRef
from acns_chaos.cluster.prober import is_prober, prober_pod, why_none
from acns_chaos.cluster.remembered import Remembered
from acns_chaos.errors import ApiError, FaultRefused, Forbidden, RestoreFailed, TargetRefused
from acns_chaos.faults import probers, undo
from acns_chaos.faults.ledger import Debt, NoLedger
from acns_chaos.faults.probers import prober_of, remove_probers
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.faults.undo import put_back
from acns_chaos.policy import Endpoint
from tests.unit.fakes import FakeApi, MemoryLedger, run_on

PODS = "/api/v1/namespaces/pets/pods"
NAME = "acns-chaos-prober-run-1-1"
LATER = "2999-01-01T00:00:00+00:00"


def workload_pod(kind: str = "ReplicaSet", **spec: Any) -> dict[str, Any]:
    """A pod of product-service."""
    return {
        "metadata": {
            "name": "product-service-1-a",
            "namespace": "pets",
            "labels": {"app": "product-service", "tier": "back", "pod-template-hash": "1"},
            "ownerReferences": [{"kind": kind, "name": "product-service-1", "controller": True}],
        },
        "spec": {
            "containers": [{"name": "product-service"}],
            "nodeName": "node-1",
            "serviceAccountName": "products",
            "tolerations": [{"key": "pool", "operator": "Exists"}],
            **spec,
        },
        "status": {"phase": "Running", "podIP": "10.244.0.9"},
    }


def made(pod: dict[str, Any] | None = None) -> dict[str, Any]:
    """The prober beside it."""
    return prober_pod(pod or workload_pod(), NAME, "run-1", "me", 360, "busybox:1.37.0", "undo it")


class Cluster(FakeApi):
    """An API server that runs the pods it is given, or refuses to."""

    def __init__(self) -> None:
        super().__init__()
        self.lists[PODS] = [workload_pod()]
        self.phase = "Running"
        self.order: list[str] = []

    def post(self, path: str, body: Any, query: Any = None) -> dict[str, Any]:
        """Create, and run a pod at once."""
        stored = super().post(path, body, query)
        if path == PODS:
            self.order.append("created")
            live = self.objects[f"{PODS}/{stored['metadata']['name']}"]
            live["status"] = {"phase": self.phase, "podIP": "10.244.0.77"}
            live["spec"]["nodeName"] = "node-1"
        return stored


class Ledger(MemoryLedger):
    """One that keeps probers apart, as the real one does."""

    def __init__(self, api: Cluster) -> None:
        super().__init__()
        self._api = api

    def record(self, debt: Debt) -> None:
        """Note the order of things."""
        self._api.order.append("recorded")
        super().record(debt)

    def deadline(self) -> str:
        """A long time from now."""
        return LATER

    def all(self) -> list[Debt]:
        """Faults."""
        return [one for one in super().all() if one.ref.kind != POD]

    def probers(self) -> list[Debt]:
        """Probers."""
        return [one for one in super().all() if one.ref.kind == POD]


@pytest.fixture
def api() -> Cluster:
    """A cluster with product-service."""
    return Cluster()


@pytest.fixture
def run(api: Cluster) -> RunContext:
    """A run that may change things."""
    found = run_on(api)
    found.ledger = Ledger(api)
    return found


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look once."""
    monkeypatch.setattr(probers, "START_TIMEOUT", 0.0)
    monkeypatch.setattr(undo, "LATE", 0.0)
    monkeypatch.setattr(undo, "ENDING", 0.0)


# ---------------------------------------------------------------------- the pod


def test_policies_see_the_workload() -> None:
    """Same labels that count, same namespace, same account: the same identity."""
    pod = made()
    namespace = {"metadata": {"name": "pets", "labels": {"team": "shop"}}}
    original, ours = (Endpoint.from_pod(one, namespace) for one in (workload_pod(), pod))
    assert ours.labels == original.labels
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "node-1"}
    assert pod["spec"]["tolerations"] == workload_pod()["spec"]["tolerations"]


def test_no_service_and_no_controller_takes_it() -> None:
    """It is never Ready, and has no label by which a ReplicaSet would adopt it."""
    pod = made()
    assert pod["spec"]["readinessGates"] == [{"conditionType": "acns-chaos/never"}]
    assert "pod-template-hash" not in pod["metadata"]["labels"]
    assert pod["metadata"]["labels"] == {"app": "product-service", "tier": "back"}


def test_it_has_no_rights_and_an_end_of_its_own() -> None:
    """No token, no root, no privileges, limits, and a deadline that its node keeps."""
    spec = made()["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 360)


def test_it_says_whose_it_is() -> None:
    """Run, owner and what removes it stand in its annotations, and no label of ours does."""
    annotations = made()["metadata"]["annotations"]
    assert annotations["acns-chaos/run"] == "run-1"
    assert annotations["acns-chaos/owner"] == "me"
    assert annotations["acns-chaos/restore"] == "undo it"
    assert is_prober(made())
    assert not is_prober(workload_pod())


@pytest.mark.parametrize(
    ("pod", "services", "why"),
    [
        (workload_pod(), [], ""),
        (workload_pod("StatefulSet"), [], ""),
        (workload_pod("DaemonSet"), [], "a DaemonSet would take"),
        (workload_pod(hostNetwork=True), [], "the host network"),
        (
            workload_pod(),
            [{"metadata": {"name": "peers"}, "spec": {"selector": {"app": "product-service"}}}],
            "",
        ),
        (
            workload_pod(),
            [
                {
                    "metadata": {"name": "peers"},
                    "spec": {
                        "selector": {"app": "product-service"},
                        "publishNotReadyAddresses": True,
                    },
                }
            ],
            "Service peers publishes pods that are not ready",
        ),
    ],
)
def test_where_it_would_disturb_there_is_none(
    pod: dict[str, Any], services: list[dict[str, Any]], why: str
) -> None:
    """A controller that adopts it, or a Service that sends it traffic, is reason enough."""
    told = why_none(pod, services)
    assert (why in told) if why else (told == "")


def test_a_replica_set_without_a_hash_would_adopt_it() -> None:
    """Only the hash of a Deployment's template keeps its ReplicaSet away."""
    pod = workload_pod()
    del pod["metadata"]["labels"]["pod-template-hash"]
    assert "ReplicaSet" in why_none(pod, [])


# ---------------------------------------------------------------------- its record


def test_it_is_recorded_before_it_exists(run: RunContext, api: Cluster) -> None:
    """And it is no fault: the first fault of the run is still f1."""
    place = prober_of(run, "pets", "product-service")
    assert (place.pod, place.container) == (NAME, "prober")
    assert api.order == ["recorded", "created"]
    assert run.ledger.all() == []
    assert [debt.id for debt in run.ledger.probers()] == ["client1"]


def test_a_run_has_one_for_a_workload_and_makes_it_anew_when_it_is_gone(
    run: RunContext, api: Cluster
) -> None:
    """An eviction costs a reading nothing but the time of a new one."""
    first = prober_of(run, "pets", "product-service")
    assert prober_of(run, "pets", "product-service") == first
    del api.objects[f"{PODS}/{first.pod}"]
    assert prober_of(run, "pets", "product-service").pod == "acns-chaos-prober-run-1-2"


def test_consent_and_rights_are_asked_for_first(run: RunContext, api: Cluster) -> None:
    """What refuses a change refuses a prober, and nothing is recorded or made."""

    def refuse(changes: Any) -> None:
        assert changes == [(PolicyRef(POD, "pets", NAME), "create")]
        raise FaultRefused("not here")

    run.before_change = refuse
    with pytest.raises(FaultRefused, match="not here"):
        prober_of(run, "pets", "product-service")
    assert api.order == []


def test_a_run_that_changes_nothing_has_none(api: Cluster) -> None:
    """Without a ledger nobody would remove it."""
    run = run_on(api)
    run.ledger = NoLedger()
    with pytest.raises(TargetRefused, match="nothing ready that would remove"):
        prober_of(run, "pets", "product-service")
    assert api.order == []


def test_a_refused_creation_leaves_no_record(run: RunContext, api: Cluster) -> None:
    """The server's sentence is passed on."""
    api.refuse["POST", f"{PODS}/{NAME}"] = Forbidden("pods is forbidden: exceeded quota", 403)
    with pytest.raises(ApiError, match=r"no prober pod can be made: .*exceeded quota"):
        prober_of(run, "pets", "product-service")
    assert run.ledger.probers() == []


def test_an_unanswered_creation_stays_recorded(run: RunContext, api: Cluster) -> None:
    """It may have been made all the same: the end of the run looks for it."""
    api.refuse["POST", f"{PODS}/{NAME}"] = ApiError("no answer", 0)
    with pytest.raises(ApiError):
        prober_of(run, "pets", "product-service")
    (debt,) = run.ledger.probers()
    assert debt.open
    remove_probers(run)
    assert not debt.open


def test_one_that_does_not_start_is_waited_for_once(run: RunContext, api: Cluster) -> None:
    """The second question says the same at once, and the pod is removed at the end."""
    api.phase = "Pending"
    for _ in range(2):
        with pytest.raises(ApiError, match=f"{NAME} does not run within 0 s"):
            prober_of(run, "pets", "product-service")
    assert api.order == ["recorded", "created"]
    remove_probers(run)
    assert f"{PODS}/{NAME}" not in api.objects


# ---------------------------------------------------------------------- its end


def test_the_end_of_the_run_removes_it(run: RunContext, api: Cluster) -> None:
    """By its uid whatever its kubelet wrote meanwhile, and told in the record."""
    prober_of(run, "pets", "product-service")
    api.objects[f"{PODS}/{NAME}"]["metadata"]["resourceVersion"] = "999"
    remove_probers(run)
    (debt,) = run.ledger.probers()
    assert f"{PODS}/{NAME}" not in api.objects
    assert debt.restored is not None
    assert (debt.restored["by"], debt.restored["problem"], debt.open) == ("guard", "", False)


def test_one_that_cannot_be_removed_stays_a_debt(run: RunContext, api: Cluster) -> None:
    """Then it can be tried again, and the journal says so."""
    prober_of(run, "pets", "product-service")
    api.refuse["DELETE", f"{PODS}/{NAME}"] = ApiError("overloaded", 503)
    with pytest.raises(RestoreFailed) as caught:
        remove_probers(run)
    (debt,) = run.ledger.probers()
    assert caught.value.retryable
    assert debt.open
    remove_probers(run)
    assert not debt.open


def test_somebody_elses_pod_of_that_name_is_left_alone(run: RunContext, api: Cluster) -> None:
    """A record alone deletes nothing that does not carry the run's mark."""
    prober_of(run, "pets", "product-service")
    live = api.objects[f"{PODS}/{NAME}"]
    live["metadata"]["annotations"] = {"acns-chaos/run": "another"}
    with pytest.raises(RestoreFailed):
        remove_probers(run)
    assert f"{PODS}/{NAME}" in api.objects


def test_the_watchdog_and_the_janitor_remove_it_from_its_record(
    run: RunContext, api: Cluster
) -> None:
    """They know the pod as it was to be made, not as the server filled it in."""
    prober_of(run, "pets", "product-service")
    (debt,) = deepcopy(run.ledger.probers())
    debt.submitted, debt.accepted = "unknown", ""
    put_back(run.policies, debt, "janitor", "run-1")
    assert f"{PODS}/{NAME}" not in api.objects


def test_a_memory_is_the_runs_own() -> None:
    """Two runs of one process share nothing."""
    one, other = Remembered(), Remembered()
    assert [one.take_order(), one.take_order(), one.take_order()] == [1, 2, 0]
    assert other.take_order() == 1
