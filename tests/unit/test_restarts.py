"""Restarting a workload's pods: what is refused, what is deleted, and when it is Ready again."""

from collections.abc import Sequence
from typing import Any

import pytest

from acns_chaos.actions import restart_pods
from acns_chaos.cluster.permissions import RESTARTED, needs_of_change, needs_of_run
from acns_chaos.cluster.policies import POD, PolicyRef
from acns_chaos.cluster.prober import MARK
from acns_chaos.cluster.replicas import replicas_of, why_not_ready
from acns_chaos.errors import ApiError, FaultRefused, Forbidden
from acns_chaos.evidence import readiness
from acns_chaos.evidence.readiness import read_ready
from acns_chaos.faults.restarts import not_ready, restart, see_ready_again
from acns_chaos.faults.runcontext import RunContext, arm, disarm
from tests.unit.fakes import FakeApi, run_on

PODS = "/api/v1/namespaces/pets/pods"
Json = dict[str, Any]


def replica(number: int, *, kind: str = "ReplicaSet", ready: bool = True) -> Json:
    """A pod of order-service."""
    name = f"order-service-1-{number}"
    status = "True" if ready else "False"
    return {
        "metadata": {
            "name": name,
            "namespace": "pets",
            "uid": f"uid-{number}",
            "labels": {"app": "order-service", "pod-template-hash": "1"},
            "ownerReferences": [{"kind": kind, "name": "order-service-1", "controller": True}],
        },
        "spec": {"containers": [{"name": "order-service"}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
    }


class Cluster(FakeApi):
    """An API server whose controller makes another pod for each that is deleted.

    Attributes:
        starts: whether a new pod becomes Ready.
        makes: whether there is a new pod at all.
    """

    def __init__(self, number: int = 1) -> None:
        super().__init__()
        self.starts = self.makes = True
        self.made = 100
        self.show([replica(one) for one in range(number)])

    def show(self, pods: list[Json]) -> None:
        """Let these be the pods."""
        self.lists[PODS] = pods
        for pod in pods:
            self.objects[f"{PODS}/{pod['metadata']['name']}"] = pod

    def delete(self, path: str, body: Any = None) -> Json:
        """Delete a pod; its successor is there at once."""
        answer = super().delete(path, body)
        left = [one for one in self.lists[PODS] if not path.endswith(one["metadata"]["name"])]
        if self.makes:
            self.made += 1
            left.append(replica(self.made, ready=self.starts))
        self.show(left)
        return answer


def armed(api: FakeApi) -> tuple[RunContext, list[tuple[PolicyRef, str]]]:
    """A run whose guard allows what it is asked for, and what that was."""
    run, asked = run_on(api), list[tuple[PolicyRef, str]]()

    def allow(changes: Sequence[tuple[PolicyRef, str]]) -> None:
        asked.extend(changes)

    run.before_change = allow
    return run, asked


def restarted(run: RunContext, workload: str = "order-service", **more: Any) -> Json:
    """Restart it with the action's defaults."""
    given: Json = {"namespace": "pets", "number": 0, "most": 5, "timeout": 0.0, **more}
    return restart(run, workload=workload, **given)


def test_every_pod_is_deleted_by_its_uid_and_recorded() -> None:
    """The guard is asked first; what was done stands in the run, its readiness open."""
    api = Cluster(2)
    run, asked = armed(api)
    done = restarted(run)
    pods = ["order-service-1-0", "order-service-1-1"]
    assert asked == [(PolicyRef(POD, "pets", name), RESTARTED) for name in pods]
    assert [path for method, path, _ in api.writes if method == "DELETE"] == [
        f"{PODS}/{name}" for name in pods
    ]
    assert (done["pods"], done["ready_before"], done["ready"]) == (pods, 2, None)
    assert run.restarts == [done]
    assert run.first("restarted") == done["submitted"]


def test_only_as_many_as_asked_for() -> None:
    """One of three, by name; the others stay."""
    api = Cluster(3)
    run, _ = armed(api)
    assert restarted(run, number=1, most=1)["pods"] == ["order-service-1-0"]
    assert len(api.lists[PODS]) == 3


@pytest.mark.parametrize(
    ("change", "given", "sentence"),
    [
        ({}, {"most": 1}, "would reach 2 pods of pets/order-service, and the limit is 1"),
        ({}, {"workload": "other"}, "Workload 'other' has no pod in namespace 'pets'"),
        ({}, {"namespace": "shop"}, "Pods of shop/order-service are not restarted"),
        ({"ownerReferences": []}, {"workload": "order-service-1-0"}, "no controller owns it"),
        (
            {"ownerReferences": [{"kind": "Job", "name": "order-service", "controller": True}]},
            {},
            "a Job owns it",
        ),
    ],
)
def test_what_is_refused_deletes_nothing(change: Json, given: Json, sentence: str) -> None:
    """Too many, nobody, another namespace, and pods that nobody would make anew."""
    api = Cluster(2)
    api.lists[PODS][0]["metadata"].update(change)
    run, _ = armed(api)
    with pytest.raises(FaultRefused) as refused:
        restarted(run, **given)
    assert sentence in str(refused.value)
    assert str(refused.value).endswith("Nothing was changed.")
    assert api.writes == []
    assert run.restarts == []


@pytest.mark.parametrize(
    "given", [{"pods": -1}, {"pods": 0.5}, {"pods": "x"}, {"max_pods": 0}, {"timeout": None}]
)
def test_a_slip_in_a_number_restarts_nothing(given: Json) -> None:
    """Least of all every pod."""
    api = Cluster(2)
    run, _ = armed(api)
    arm(run)
    try:
        with pytest.raises(FaultRefused, match=f"^{next(iter(given))} must be a .*was changed"):
            restart_pods("order-service", **given)
    finally:
        disarm()
    assert api.writes == []


def test_kube_system_is_spared_even_as_the_experiments_namespace() -> None:
    """A cluster is mended by what lies there."""
    run, _ = armed(Cluster())
    run.target = run.target.__class__(**{**run.target.as_json(), "namespace": "kube-system"})
    with pytest.raises(FaultRefused, match="none of kube-system"):
        restarted(run, namespace="kube-system")


def test_our_own_pods_and_those_that_are_over_are_no_replicas() -> None:
    """A prober carries the workload's labels, and is none of its pods."""
    api = Cluster(4)
    prober, ending, over, _ = api.lists[PODS]
    prober["metadata"]["annotations"] = {MARK: "asks"}
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    over["status"]["phase"] = "Failed"
    names = [one["metadata"]["name"] for one in replicas_of(api, "pets", "order-service")]  # type: ignore[arg-type]
    assert names == ["order-service-1-3"]


def test_without_a_guard_that_is_ready_nothing_is_deleted() -> None:
    """A run that the guard did not see coming has no Lease and no consent."""
    api = Cluster()
    with pytest.raises(FaultRefused, match="The guard made nothing ready"):
        restarted(run_on(api))
    assert api.writes == []


def test_a_refusal_of_the_guard_or_the_server_stands() -> None:
    """What the namespace does not allow is not done; what failed half-way is looked after."""
    api = Cluster(2)
    run, _ = armed(api)

    def refuse(changes: object) -> None:
        raise FaultRefused("not now")

    run.before_change = refuse
    with pytest.raises(FaultRefused, match="not now"):
        restarted(run)
    assert (api.writes, run.restarts) == ([], [])
    run, _ = armed(api)
    api.refuse["DELETE", f"{PODS}/order-service-1-1"] = Forbidden("no", 403)
    with pytest.raises(Forbidden):
        restarted(run)
    assert run.restarts[0]["pods"] == ["order-service-1-0", "order-service-1-1"]


def test_pods_that_do_not_come_back_are_an_error() -> None:
    """The controller is to say why."""
    api = Cluster()
    api.makes = False
    run, _ = armed(api)
    with pytest.raises(ApiError, match="has not its 1 pods again"):
        restarted(run)
    assert run.restarts[0]["replaced"] is None


def test_it_is_ready_again_or_the_run_says_what_it_waits_for() -> None:
    """A pod stuck in its init container is named with it."""
    api = Cluster()
    api.starts = False
    run, _ = armed(api)
    restarted(run)
    stuck = api.lists[PODS][0]
    stuck["status"]["initContainerStatuses"] = [{"name": "wait", "state": {"running": {}}}]
    assert "0 of 1 pods are Ready; order-service-1-101 waits for its init container wait" in (
        not_ready(run)
    )
    see_ready_again(run, 0)
    assert run.restarts[0]["ready"] is None
    assert run.restarts[0]["problem"].startswith("0 of 1 pods are Ready")
    stuck["status"]["conditions"][0]["status"] = "True"
    see_ready_again(run, 0)
    assert run.restarts[0]["ready"]
    assert (run.restarts[0]["problem"], not_ready(run)) == ("", "")
    assert run.first("ready-again")


def test_pods_that_cannot_be_read_are_not_called_ready() -> None:
    """Nor does it raise: the journal must be written."""
    api = Cluster()
    run, _ = armed(api)
    restarted(run)
    api.refuse["GET", PODS] = Forbidden("pods is forbidden", 403)
    see_ready_again(run, 0)
    assert run.restarts[0]["problem"] == "its pods cannot be read: pods is forbidden"


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            {"containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "Crash"}}}]},
            "Crash",
        ),
        ({"conditions": [{"type": "X", "status": "False", "message": "no node"}]}, "no node"),
        ({"phase": "Pending"}, "is Pending"),
        ({}, "in no phase"),
    ],
)
def test_what_a_pod_waits_for(status: Json, sentence: str) -> None:
    """The most telling word of its status; nothing of pods that are Ready."""
    assert sentence in why_not_ready([{"metadata": {"name": "p"}, "status": status}])
    assert why_not_ready([replica(1)]) == ""


def test_only_a_run_that_restarts_needs_the_tier() -> None:
    """And it needs that one verb; a prober needs its own."""
    assert not [one for one in needs_of_run({"read_order"}) if one.tier == "restart"]
    (need,) = [one for one in needs_of_run({"restart_pods"}) if one.tier == "restart"]
    assert (need.resource, need.verbs) == ("pods", ("delete",))
    assert needs_of_change(POD, RESTARTED) == [need]
    assert {one.tier for one in needs_of_change(POD, "create")} == {"prober"}


def readings(monkeypatch: pytest.MonkeyPatch, *answers: bool) -> None:
    """Let Kubernetes answer so, the last for ever."""
    left = list(answers)

    def answer(context: str, namespace: str, name: str) -> bool:
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(readiness, "deployment_is_available", answer)
    monkeypatch.setattr(readiness, "INTERVAL", 0.001)


@pytest.mark.parametrize(
    ("answers", "expect", "state"),
    [
        ((False, False, True), "READY", "READY"),
        ((True,), "NOT_READY", "READY"),
        ((True, False), "NOT_READY", "NOT_READY"),
        # It was starting, and then it was Ready: no pod that is stuck.
        ((True, False, False, True), "NOT_READY", "READY"),
    ],
)
def test_readiness_is_waited_for_and_must_stay(
    monkeypatch: pytest.MonkeyPatch, answers: tuple[bool, ...], expect: str, state: str
) -> None:
    """The expected answer has until the deadline to come, and `hold` seconds to go again."""
    readings(monkeypatch, *answers)
    found = read_ready("lab", "pets", "order-service", expect, 0.03, 0.03)
    assert (found["reading"], found["met"]) == (state, state == expect)
