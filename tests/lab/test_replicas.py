"""Pods of ReplicaSets and StatefulSets: deleted, made anew, and what they meet when they start.

Time jumps: the network's clock is the kubelet's.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from acns_chaos.lab.api.app import Api
from acns_chaos.lab.api.controllers.addresses import Addresses
from acns_chaos.lab.api.controllers.kubelet import (
    READY_SECONDS,
    START_SECONDS,
    STOP_SECONDS,
    Kubelet,
)
from acns_chaos.lab.api.store import Entry, Store
from acns_chaos.lab.net.network import Network
from acns_chaos.lab.server import _filled_store
from acns_chaos.lab.world import load_world
from tests.lab.conftest import TOKEN, InProcessLab
from tests.lab.net_support import JumpingClock

Json = dict[str, Any]
PODS = "/api/v1/namespaces/pets/pods"
ORDERS = "order-service"
OLD = "order-service-5f9f9c7c8b-7wq2k"
POLICY = ("CiliumNetworkPolicy", "pets", "allow-order-service-traffic")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@dataclass
class Place:
    """A lab in this process: its API, its store, its network, in jumping time."""

    lab: InProcessLab
    store: Store
    net: Network
    clock: JumpingClock

    async def delete(self, path: str) -> Any:
        """Delete through the API, and let the controllers have their turns."""
        reply = await self.lab.call("DELETE", path)
        await self.clock.advance(0)
        return reply

    def pods(self, app: str) -> dict[str, Json]:
        """The pods of an app by name."""
        return {
            one["metadata"]["name"]: one
            for one in self.store.list("Pod", "pets")
            if one["metadata"]["labels"].get("app") == app
        }

    def new(self, app: str = ORDERS) -> Json:
        """The one pod of an app that is not on its way out."""
        (found,) = [
            one for one in self.pods(app).values() if not one["metadata"].get("deletionTimestamp")
        ]
        return found

    async def word(self, app: str = ORDERS) -> str:
        """What `kubectl get pods` says of the new pod: its READY and STATUS."""
        name = self.new(app)["metadata"]["name"]
        reply = await self.lab.call("GET", f"{PODS}/{name}", Accept=TABLE)
        return " ".join(reply.body["rows"][0]["cells"][1:3])

    def without_dns(self) -> Json:
        """Take the rule for cluster DNS from order-service's egress; returns the policy before."""
        before = self.store.get(*POLICY)
        after = self.store.get(*POLICY)
        del after["spec"]["egress"][1]
        self.store.put(after)
        return before

    def log(self, container: str) -> list[str]:
        """What a container of the new pod has written."""
        name = self.new()["metadata"]["name"]
        return [line.text for line in self.net.logs.lines("pets", name, container)]

    def reasons(self, name: str) -> list[str]:
        """The reasons of the events about an object."""
        found = self.store.list("Event", "pets")
        return [one["reason"] for one in found if one["involvedObject"]["name"] == name]


@pytest.fixture
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """The world `pets`, or the one that a test asks for."""
    world, clock = load_world(getattr(request, "param", "pets")), JumpingClock()
    store = _filled_store(world)
    net = Network(store, world, clock)
    start = net.waiting
    ways = start.initialise, start.begin, start.started
    kubelet = Kubelet(store, Addresses(store), *ways, clock.sleep)
    api = Api(store, TOKEN, net.exec, "v1.33.5+acns-chaos-lab", logs=net.logs)
    server = TestServer(api.application())
    await server.start_server(shutdown_timeout=0.1)
    client = TestClient(server)
    yield Place(InProcessLab(store, client), store, net, clock)
    kubelet.close()
    await client.close()


def conditions(pod: Json) -> dict[str, str]:
    """Type to status."""
    return {one["type"]: one["status"] for one in pod["status"]["conditions"]}


def ready_replicas(place: Place, name: str = ORDERS) -> int:
    """What the Deployment says of its pods."""
    status = place.store.get("Deployment", "pets", name)["status"]
    return int(status.get("availableReplicas", 0))


async def test_a_replica_set_makes_another_pod_at_once(place: Place) -> None:
    """Another name, UID and address, the same labels and identity; the old one takes its time."""
    old = place.store.get("Pod", "pets", OLD)
    identity = place.store.get("CiliumEndpoint", "pets", OLD)["status"]["identity"]
    reply = await place.delete(f"{PODS}/{OLD}")
    assert reply.body["metadata"]["deletionGracePeriodSeconds"] == 30
    assert OLD in place.pods(ORDERS)
    await place.clock.advance(STOP_SECONDS + START_SECONDS + READY_SECONDS + 0.1)
    new = place.new()
    assert set(place.pods(ORDERS)) == {new["metadata"]["name"]}
    assert new["metadata"]["name"].startswith("order-service-5f9f9c7c8b-")
    assert new["metadata"]["labels"] == old["metadata"]["labels"]
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert new["status"]["podIP"] != old["status"]["podIP"]
    assert new["spec"]["containers"] == old["spec"]["containers"]
    endpoint = place.store.get("CiliumEndpoint", "pets", new["metadata"]["name"])
    assert endpoint["status"]["identity"] == identity
    assert place.store.find("CiliumEndpoint", "pets", OLD) is None


async def test_a_stateful_set_waits_and_keeps_the_name(place: Place) -> None:
    """The same name in another pod: other UID, address and endpoint."""
    old = place.store.get("Pod", "pets", "rabbitmq-0")
    endpoint = place.store.get("CiliumEndpoint", "pets", "rabbitmq-0")["status"]
    await place.delete(f"{PODS}/rabbitmq-0")
    await place.clock.advance(STOP_SECONDS / 2)
    assert place.store.get("Pod", "pets", "rabbitmq-0")["metadata"]["uid"] == old["metadata"]["uid"]
    await place.clock.advance(STOP_SECONDS + START_SECONDS + READY_SECONDS)
    new = place.store.get("Pod", "pets", "rabbitmq-0")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert new["metadata"]["labels"] == old["metadata"]["labels"]
    assert new["status"]["podIP"] != old["status"]["podIP"]
    assert conditions(new)["Ready"] == "True"
    found = place.store.get("CiliumEndpoint", "pets", "rabbitmq-0")["status"]
    assert found["identity"] == endpoint["identity"]
    assert found["id"] != endpoint["id"]
    assert "SuccessfulCreate" in place.reasons("rabbitmq")


async def test_it_starts_step_by_step_and_everybody_is_told(place: Place) -> None:
    """Pending, its init container at work, Running, Ready; in status, events and workloads."""
    seen: list[Entry] = []
    place.store.follow(seen.append)
    await place.delete(f"{PODS}/{OLD}")
    assert await place.word() == "0/1 Init:0/1"
    assert ready_replicas(place) == 0
    name = place.new()["metadata"]["name"]
    await place.clock.advance(START_SECONDS)
    await place.clock.advance(0.1)
    assert await place.word() == "0/1 Running"
    await place.clock.advance(READY_SECONDS)
    assert await place.word() == "1/1 Running"
    assert ready_replicas(place) == 1
    phases = [
        str(one.new["status"]["phase"])
        for one in seen
        if one.kind == "Pod" and one.new and one.new["metadata"]["name"] == name
    ]
    assert list(dict.fromkeys(phases)) == ["Pending", "Running"]
    expected = {"Scheduled", "Pulled", "Created", "Started"}
    assert set(place.reasons(name)) == expected
    assert "Killing" in place.reasons(OLD)
    assert "SuccessfulCreate" in place.reasons("order-service-5f9f9c7c8b")
    assert place.log("wait-for-rabbitmq") == ["rabbitmq (10.0.154.203:5672) open"]
    assert "Server listening" in place.log("order-service")[0]


async def test_without_names_it_waits_in_its_init_container(place: Place) -> None:
    """Not Ready, behind no Service, and it says so; when names are back the next try succeeds."""
    before = place.without_dns()
    await place.clock.advance(0.1)
    await place.delete(f"{PODS}/{OLD}")
    await place.clock.advance(60)
    assert await place.word() == "0/1 Init:0/1"
    pod = place.new()
    assert conditions(pod) == {
        "PodReadyToStartContainers": "True",
        "Initialized": "False",
        "Ready": "False",
        "ContainersReady": "False",
        "PodScheduled": "True",
    }
    (init,) = pod["status"]["initContainerStatuses"]
    assert "running" in init["state"]
    (main,) = pod["status"]["containerStatuses"]
    assert main["state"] == {"waiting": {"reason": "PodInitializing"}}
    said = place.log("wait-for-rabbitmq")
    assert set(said) == {"nc: bad address 'rabbitmq'", "waiting for rabbitmq"}
    # 5 s of musl's patience and 2 s of sleep for each try.
    assert said.count("waiting for rabbitmq") == 60 // 7
    (subset,) = place.store.get("Endpoints", "pets", ORDERS)["subsets"]
    assert [one["ip"] for one in subset["notReadyAddresses"]] == [pod["status"]["podIP"]]
    assert "addresses" not in subset
    available = place.store.get("Deployment", "pets", ORDERS)["status"]["conditions"][0]
    assert (available["status"], available["reason"]) == ("False", "MinimumReplicasUnavailable")
    place.store.put(before)
    await place.clock.advance(7 + READY_SECONDS)
    assert await place.word() == "1/1 Running"
    assert place.log("wait-for-rabbitmq")[-1] == "rabbitmq (10.0.154.203:5672) open"
    assert ready_replicas(place) == 1


async def test_the_pod_that_runs_does_not_notice(place: Place) -> None:
    """Without names an order still goes out on the connection that stands; from a new pod none."""
    assert place.net.shop is not None
    backends = place.net.shop.backends

    async def order() -> int:
        until = place.clock.now() + 60
        work = backends.orders("POST", "/", b"{}", "application/json", client="c", until=until)
        page, _ = await place.clock.run(work)
        return page.status

    assert await order() == 201
    place.without_dns()
    await place.clock.advance(0.1)
    assert await order() == 201
    await place.delete(f"{PODS}/{OLD}")
    await place.clock.advance(1)
    assert await order() == 502


async def test_a_pod_that_waits_takes_its_whole_grace(place: Place) -> None:
    """Its first process is a shell, which does not listen to SIGTERM; force takes it at once."""
    place.without_dns()
    await place.clock.advance(0.1)
    await place.delete(f"{PODS}/{OLD}")
    await place.clock.advance(5)
    stuck = place.new()["metadata"]["name"]
    await place.delete(f"{PODS}/{stuck}")
    await place.clock.advance(29)
    assert stuck in place.pods(ORDERS)
    await place.clock.advance(2)
    assert stuck not in place.pods(ORDERS)
    last = place.new()["metadata"]["name"]
    await place.delete(f"{PODS}/{last}?gracePeriodSeconds=0")
    assert last not in place.pods(ORDERS)
    assert len(place.pods(ORDERS)) == 1


async def test_all_pods_of_a_namespace_can_be_deleted_at_once(place: Place) -> None:
    """Each comes back, once."""
    before = {one["metadata"]["name"] for one in place.store.list("Pod", "pets")}
    assert (await place.delete(PODS)).code == 200
    await place.clock.advance(STOP_SECONDS + 10)
    after = {one["metadata"]["name"]: one for one in place.store.list("Pod", "pets")}
    assert len(after) == len(before)
    assert before & set(after) == {"rabbitmq-0"}
    assert all(conditions(one)["Ready"] == "True" for one in after.values())


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/api/v1/namespaces/kube-system/pods", "pods of a "),
        (f"{PODS}/{OLD}", "with the init container 'wait-for-rabbitmq'"),
    ],
)
async def test_what_the_lab_cannot_start_is_refused(place: Place, path: str, why: str) -> None:
    """Nothing is deleted: an init container that does something else, and kube-system."""
    owner = place.store.get("ReplicaSet", "pets", "order-service-5f9f9c7c8b")
    owner["spec"]["template"]["spec"]["initContainers"][0]["command"] = ["migrate"]
    place.store.put(owner)
    reply = await place.delete(path)
    assert reply.code == 501
    assert why in reply.message
    assert OLD in place.pods(ORDERS)


async def test_a_rehearsed_deletion_deletes_nothing(place: Place) -> None:
    """Nor does one of another pod of the same name."""
    reply = await place.lab.call("DELETE", f"{PODS}/{OLD}", {"dryRun": ["All"]})
    assert reply.code == 200
    other = {"preconditions": {"uid": "another"}}
    assert (await place.lab.call("DELETE", f"{PODS}/{OLD}", other)).code == 409
    await place.clock.advance(2)
    assert not place.pods(ORDERS)[OLD]["metadata"].get("deletionTimestamp")
    assert set(place.pods(ORDERS)) == {OLD}


@pytest.mark.parametrize("place", ["pets-workshop"], indirect=True)
async def test_a_storefront_without_names_crashes_and_starts_again(place: Place) -> None:
    """It ends when it cannot look its upstreams up; with names the next start succeeds."""
    (old,) = place.pods("store-front")
    await place.delete(f"{PODS}/{old}")
    await place.clock.advance(STOP_SECONDS + START_SECONDS + 6)
    assert await place.word("store-front") == "0/1 CrashLoopBackOff"
    pod = place.new("store-front")
    (status,) = pod["status"]["containerStatuses"]
    assert (status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == (1, 1)
    lines = place.net.logs.lines("pets", pod["metadata"]["name"], "store-front")
    assert 'host not found in upstream "order-service"' in lines[0].text
    assert ready_replicas(place, "store-front") == 0
    assert place.net.directory.pod("pets", pod["metadata"]["name"]) is None
    for policy in place.store.list("CiliumNetworkPolicy"):
        place.store.delete("CiliumNetworkPolicy", "pets", policy["metadata"]["name"])
    await place.clock.advance(30)
    assert await place.word("store-front") == "1/1 Running"
    assert ready_replicas(place, "store-front") == 1


async def test_the_storefront_of_the_corrected_set_starts_again(place: Place) -> None:
    """It may look its two upstreams up, and nothing else."""
    (old,) = place.pods("store-front")
    await place.delete(f"{PODS}/{old}")
    await place.clock.advance(STOP_SECONDS + START_SECONDS + READY_SECONDS + 0.1)
    assert await place.word("store-front") == "1/1 Running"
    pod = place.net.directory.pod("pets", place.new("store-front")["metadata"]["name"])
    assert pod is not None
    looked = {
        name: (await place.clock.run(place.net.resolver.lookup(pod, name)))[0]
        for name in ("order-service", "product-service", "www.bing.com")
    }
    assert looked["order-service"]
    assert looked["product-service"]
    assert not looked["www.bing.com"]
