"""Bare pods: what a client may create, who schedules and runs it, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from acns_chaos.cluster.kube import Api as Client
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.pods import run_in
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, Forbidden, NotFound
from acns_chaos.lab.api.app import Api
from acns_chaos.lab.api.controllers.bare_pods import BarePods
from acns_chaos.lab.api.controllers.derived import Derived
from acns_chaos.lab.api.store import Store
from acns_chaos.lab.api.writing.admission import load, load_definitions
from tests.lab.conftest import TOKEN, InProcessLab, run_command

PODS = "/api/v1/namespaces/pets/pods"
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "node-1", "labels": {"kubernetes.io/hostname": "node-1"}},
    "spec": {"podCIDR": "10.244.0.0/29"},
    "status": {"addresses": [{"type": "InternalIP", "address": "10.224.0.4"}]},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "pets"},
    "spec": {"clusterIP": "10.0.0.7", "selector": {"app": "shop"}, "ports": [{"port": 80}]},
}


def bare(name: str = "asker", labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod as a client creates it."""
    container = {"name": "main", "image": "busybox:1.37.0", "command": ["sleep", "60"]}
    metadata = {"name": name, "labels": labels or {"app": "shop"}}
    whole = {"containers": [container], "terminationGracePeriodSeconds": 0, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole}


@pytest.fixture
async def running() -> AsyncIterator[InProcessLab]:
    """An API server with one node, and what runs pods on it."""
    store = Store()
    load_definitions(store)
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in ("default", "pets")
    ]
    for obj in (*namespaces, NODE, SERVICE):
        load(store, obj)
    api = Api(store, TOKEN, run_command, "v1.33.5+acns-chaos-lab")
    server = TestServer(api.application())
    await server.start_server(shutdown_timeout=0.1)
    Derived(store)
    BarePods(store)
    client = TestClient(server)
    yield InProcessLab(store, client)
    await client.close()


async def settled() -> None:
    """Let scheduler, kubelet and controllers have their turns."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_is_scheduled_and_runs_and_has_the_identity_of_its_labels(
    running: InProcessLab,
) -> None:
    """Node, address, conditions and CiliumEndpoint come at once."""
    created = await running.call("POST", PODS, bare())
    assert (created.code, created.body["status"]["phase"]) == (201, "Pending")
    await settled()
    pod = (await running.call("GET", f"{PODS}/asker")).body
    assert pod["spec"]["nodeName"] == "node-1"
    assert (pod["status"]["phase"], pod["status"]["podIP"]) == ("Running", "10.244.0.2")
    assert pod["status"]["containerStatuses"][0]["ready"] is True
    path = "/apis/cilium.io/v2/namespaces/pets/ciliumendpoints/asker"
    labels = (await running.call("GET", path)).body["status"]["identity"]["labels"]
    assert "k8s:app=shop" in labels


async def test_a_readiness_gate_that_nobody_sets_keeps_it_out_of_services(
    running: InProcessLab,
) -> None:
    """Its containers are ready, it is not, and Endpoints list it as such."""
    gated = bare("gated", readinessGates=[{"conditionType": "acns-chaos/never"}])
    for pod in (bare("plain"), gated):
        await running.call("POST", PODS, pod)
    await settled()
    status = (await running.call("GET", f"{PODS}/gated")).body["status"]
    by_type = {one["type"]: one for one in status["conditions"]}
    assert (by_type["ContainersReady"]["status"], by_type["Ready"]["status"]) == ("True", "False")
    assert by_type["Ready"]["reason"] == "ReadinessGatesNotReady"
    path = "/api/v1/namespaces/pets/endpoints/shop"
    (subset,) = (await running.call("GET", path)).body["subsets"]
    assert [one["targetRef"]["name"] for one in subset["addresses"]] == ["plain"]
    assert [one["targetRef"]["name"] for one in subset["notReadyAddresses"]] == ["gated"]


async def test_its_deadline_ends_it(running: InProcessLab) -> None:
    """The object stays, Failed, and has no endpoint any more."""
    await running.call("POST", PODS, bare(activeDeadlineSeconds=1))
    await asyncio.sleep(1.05)
    status = (await running.call("GET", f"{PODS}/asker")).body["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    path = "/apis/cilium.io/v2/namespaces/pets/ciliumendpoints/asker"
    assert (await running.call("GET", path)).code == 404


async def test_a_deletion_takes_its_grace(running: InProcessLab) -> None:
    """Until it is over the pod is there and says so; without grace it is gone at once."""
    await running.call("POST", PODS, bare(terminationGracePeriodSeconds=1))
    await settled()
    deleted = await running.call("DELETE", f"{PODS}/asker")
    assert (deleted.code, deleted.body["metadata"]["deletionGracePeriodSeconds"]) == (200, 1)
    assert (await running.call("GET", f"{PODS}/asker")).body["metadata"]["deletionTimestamp"]
    await asyncio.sleep(1.05)
    assert (await running.call("GET", f"{PODS}/asker")).code == 404
    await running.call("POST", PODS, bare(terminationGracePeriodSeconds=30))
    await settled()
    await running.call("DELETE", f"{PODS}/asker?gracePeriodSeconds=0")
    assert (await running.call("GET", f"{PODS}/asker")).code == 404


async def test_one_that_fits_no_node_stays_pending(running: InProcessLab) -> None:
    """The scheduler says why."""
    await running.call("POST", PODS, bare(nodeSelector={"kubernetes.io/hostname": "node-2"}))
    await settled()
    status = (await running.call("GET", f"{PODS}/asker")).body["status"]
    assert status["phase"] == "Pending"
    assert "0/1 nodes are available" in status["conditions"][0]["message"]


async def test_a_rehearsed_pod_never_runs(running: InProcessLab) -> None:
    """A dry run answers as if, and stores nothing."""
    reply = await running.call("POST", f"{PODS}?dryRun=All", bare())
    assert reply.code == 201
    await settled()
    assert (await running.call("GET", f"{PODS}/asker")).code == 404


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ({"volumes": [{"name": "x"}]}, 501, "spec.volumes of a pod that a client creates"),
        ({"hostNetwork": True}, 501, "spec.hostNetwork"),
        ({"initContainers": [{"name": "x"}]}, 501, "spec.initContainers"),
        (
            {"containers": [{"name": "a", "image": "x", "livenessProbe": {"exec": {}}}]},
            501,
            "spec.containers[0].livenessProbe",
        ),
        (
            {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]},
            501,
            "several containers",
        ),
        ({"nonsense": 1}, 400, 'unknown field "spec.nonsense"'),
        ({"containers": []}, 422, "spec.containers: Required value"),
        ({"containers": [{"name": "a"}]}, 422, "spec.containers[0].image: Required value"),
        ({"activeDeadlineSeconds": 0}, 422, "should be greater than or equal to 1"),
        ({"restartPolicy": "Sometimes"}, 422, "supported values"),
        ({"serviceAccountName": "nobody"}, 403, 'serviceaccount "nobody" not found'),
    ],
)
async def test_what_it_may_not_be(
    running: InProcessLab, spec: dict[str, Any], code: int, message: str
) -> None:
    """What nothing would act on is a 501 with its name; what a server refuses, its refusal."""
    reply = await running.call("POST", f"{PODS}?fieldValidation=Strict", bare(**spec))
    assert reply.code == code
    assert message in reply.message


async def test_its_spec_cannot_be_changed(running: InProcessLab) -> None:
    """Labels can: it has its new identity at once."""
    await running.call("POST", PODS, bare())
    await settled()
    reply = await running.patch(f"{PODS}/asker", {"spec": {"activeDeadlineSeconds": 5}})
    assert reply.code == 501
    relabelled = {"metadata": {"labels": {"app": "other"}}}
    assert (await running.patch(f"{PODS}/asker", relabelled)).code == 200


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("ReplicaSet", "delete of pods of a ReplicaSet that is not there or has no template"),
        ("DaemonSet", "delete of pods of a DaemonSet, which a controller would make anew"),
    ],
)
async def test_a_pod_that_nobody_would_make_anew_cannot_be_deleted(
    running: InProcessLab, kind: str, why: str
) -> None:
    """Neither alone nor with all others, of which then none is."""
    owner = {"apiVersion": "apps/v1", "kind": kind, "name": "s", "uid": "u"}
    pod = bare("owned")
    pod["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    for one in (bare("asker"), pod):
        await running.call("POST", PODS, one)
    for path in (f"{PODS}/owned", PODS):
        reply = await running.call("DELETE", path)
        assert (reply.code, reply.message) == (501, f"the lab does not model {why}")
    assert (await running.call("GET", f"{PODS}/asker")).code == 200


async def test_all_bare_pods_can_be_deleted_at_once(running: InProcessLab) -> None:
    """Those that a selector chooses, with one grace for all."""
    for name in ("one", "two"):
        await running.call("POST", PODS, bare(name, terminationGracePeriodSeconds=30))
    await running.call("POST", PODS, bare("other", {"app": "other"}))
    await settled()
    path = f"{PODS}?labelSelector=app%3Dshop&gracePeriodSeconds=0"
    assert (await running.call("DELETE", path)).code == 200
    left = (await running.call("GET", PODS)).body["items"]
    assert [one["metadata"]["name"] for one in left] == ["other"]


# ---------------------------------------------------------------------- with a network


@pytest.fixture
def client(lab_process: dict[str, Any]) -> Iterator[Client]:
    """The API of a whole lab."""
    found, _ = kubeconfig_api("", lab_process["kubeconfig"])
    yield found
    found.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_meets_the_policies_of_its_labels(client: Client) -> None:
    """With order-service's labels it reaches what order-service does, and nothing else."""
    client.post(PODS, bare("like-orders", {"app": "order-service"}))
    try:
        assert wait_until(
            lambda: client.get(f"{PODS}/like-orders")["status"]["phase"] == "Running", 2
        )
        asked = {
            command[-1]: run_in(client, "pets", "like-orders", "main", command, 10)
            for command in (
                ["wget", "--spider", "-T", "8", "https://graph.microsoft.com"],
                ["nslookup", "www.bing.com"],
                ["nc", "-zv", "-w1", "10.0.96.101", "3002"],
            )
        }
    finally:
        client.delete(f"{PODS}/like-orders")
    assert asked["https://graph.microsoft.com"].code == 0
    assert "REFUSED" in asked["www.bing.com"].output
    assert "timed out" in asked["3002"].output
    with pytest.raises(NotFound):
        client.get(f"{PODS}/like-orders")
    with pytest.raises((ApiError, Forbidden)):
        run_in(client, "pets", "like-orders", "main", ["true"], 5)
