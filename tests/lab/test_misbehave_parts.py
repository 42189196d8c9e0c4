"""Parts and actors on request: enforcement, Hubble, metrics, and others who write policies."""

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import urllib3
from misbehaving import MisbehavingLab, eventually, misbehaving_lab
from test_misbehave_answers import POLICIES, POLICY, Http

from acns_chaos.errors import TargetError
from acns_chaos.wire import observer_pb2, observer_pb2_grpc

NAME = "pets/allow-store-front-traffic"
NOBODY = [{"fromEndpoints": []}]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MisbehavingLab]:
    """One lab for all tests of this module."""
    with misbehaving_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def http(process: MisbehavingLab) -> Iterator[Http]:
    """Raw requests to the lab's API server."""
    found = Http(process)
    yield found
    found.pool.clear()


@pytest.fixture
def lab(process: MisbehavingLab, http: Http) -> Iterator[MisbehavingLab]:
    """The lab, well again and with its own policies after each test."""
    before = http("GET", POLICY).json()
    yield process
    process.clear()
    live = http("GET", POLICY)
    meta = {key: before["metadata"].get(key) for key in ("name", "namespace", "annotations")}
    policy = {key: before[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": meta}
    if live.status == 404:
        assert http("POST", POLICIES, policy).status == 201
    else:
        meta["resourceVersion"] = live.json()["metadata"]["resourceVersion"]
        assert http("PUT", POLICY, policy).status == 200
    eventually(lambda: is_open(process, http), 10)


def admit_nobody(http: Http) -> dict[str, Any]:
    """Break the policy of the storefront as the workshop does; returns what was there."""
    before = http("GET", POLICY).json()
    broken = json.loads(json.dumps(before))
    broken["spec"]["ingress"] = NOBODY
    assert http("PUT", POLICY, broken).status == 200
    assert isinstance(before, dict)
    return before


def is_open(lab: MisbehavingLab, http: Http) -> bool:
    """Whether a new customer reaches the shop."""
    try:
        found = http.pool.request(
            "GET",
            lab.ready["env"]["ACNS_CHAOS_STOREFRONT_URL"],
            headers={"Connection": "close"},
            timeout=0.15,
        )
    except urllib3.exceptions.TimeoutError:
        return False
    return found.status == 200


def rules(http: Http) -> Any:
    """The live ingress rules of the storefront's policy."""
    return http("GET", POLICY).json()["spec"]["ingress"]


def managers(http: Http) -> list[str]:
    """Who wrote the storefront's policy."""
    return [one["manager"] for one in http("GET", POLICY).json()["metadata"]["managedFields"]]


def query(lab: MisbehavingLab, http: Http, text: str) -> list[Any]:
    """The result of an instant query."""
    url = f"{lab.ready['env']['ACNS_CHAOS_PROMETHEUS_URL']}/api/v1/query"
    found = http.pool.request("GET", url, fields={"query": text}, timeout=5)
    return list(found.json()["data"]["result"])


# ------------------------------------------------------------------ enforcement


def test_enforcement_that_is_slow(lab: MisbehavingLab, http: Http) -> None:
    """A policy is stored at once and enforced later by what was ordered; then all is usual."""
    number = lab.inject("slow-enforcement", seconds=0.6)
    began = time.monotonic()
    admit_nobody(http)
    assert is_open(lab, http)
    eventually(lambda: not is_open(lab, http))
    assert time.monotonic() - began >= 0.6
    lab.clear(number)
    assert lab.about(number)["struck"] == 1


@pytest.mark.slow
def test_an_agent_that_is_frozen(lab: MisbehavingLab, http: Http) -> None:
    """A policy is stored and not enforced, until the agent runs again."""
    number = lab.inject("frozen-agent")
    admit_nobody(http)
    for _ in range(5):
        assert is_open(lab, http)
    lab.clear(number)
    eventually(lambda: not is_open(lab, http), 10)


def test_one_node_that_lags_behind(lab: MisbehavingLab, http: Http) -> None:
    """Freezing the node of the storefront keeps the old policy there, and only there."""
    pods = http("GET", "/api/v1/namespaces/pets/pods?labelSelector=app%3Dstore-front").json()
    lab.inject("partial-enforcement", node=pods["items"][0]["spec"]["nodeName"])
    admit_nobody(http)
    for _ in range(5):
        assert is_open(lab, http)


def test_a_node_that_is_none(lab: MisbehavingLab) -> None:
    """A node that does not exist is one sentence with those that do, and nothing is on."""
    with pytest.raises(TargetError, match=r"There is no node 'moon': there are aks-\S+\.$"):
        lab.inject("frozen-agent", node="moon")
    assert lab.control.status()["misbehaviours"] == []


def test_the_same_part_twice(lab: MisbehavingLab) -> None:
    """Two orders for one part could not be told apart: the second is refused."""
    number = lab.inject("stale-metrics")
    with pytest.raises(TargetError, match=f"stale-metrics is on already as {number}"):
        lab.inject("stale-metrics")
    with pytest.raises(TargetError, match="stale-metrics cannot be counted"):
        lab.inject("stale-metrics", count=1)


# ------------------------------------------------------------------ Hubble


@contextmanager
def relay(lab: MisbehavingLab, http: Http) -> Iterator[Any]:
    """A client of Hubble relay, with the certificates of its secret."""
    import grpc

    path = "/api/v1/namespaces/kube-system/secrets/hubble-relay-client-certs"
    data = {key: b64decode(text) for key, text in http("GET", path).json()["data"].items()}
    credentials = grpc.ssl_channel_credentials(data["ca.crt"], data["tls.key"], data["tls.crt"])
    name = (("grpc.ssl_target_name_override", "instance.hubble-relay.cilium.io"),)
    address = lab.ready["env"]["ACNS_CHAOS_HUBBLE_ADDRESS"]
    with grpc.secure_channel(address, credentials, options=name) as channel:
        yield observer_pb2_grpc.ObserverStub(channel)


def test_a_relay_that_is_down(lab: MisbehavingLab, http: Http) -> None:
    """Nothing answers at the relay's address, until it is back at the same."""
    import grpc

    ask = observer_pb2.ServerStatusRequest()
    number = lab.inject("relay-down")
    with relay(lab, http) as stub:
        with pytest.raises(grpc.RpcError) as caught:
            stub.ServerStatus(ask, timeout=2)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        lab.clear(number)
        back = stub.ServerStatus(ask, timeout=10, wait_for_ready=True)
    assert back.num_connected_nodes.value >= 1


def test_a_node_that_relay_misses(lab: MisbehavingLab, http: Http) -> None:
    """Relay counts the node as unavailable, and connects again afterwards."""
    ask = observer_pb2.ServerStatusRequest()
    node = http("GET", "/api/v1/nodes").json()["items"][0]["metadata"]["name"]
    with relay(lab, http) as stub:
        number = lab.inject("hubble-node-down", node=node)
        eventually(lambda: stub.ServerStatus(ask, timeout=5).num_unavailable_nodes.value == 1)
        lab.clear(number)
        eventually(lambda: not stub.ServerStatus(ask, timeout=5).num_unavailable_nodes.value)


def test_flows_that_are_lost(lab: MisbehavingLab, http: Http) -> None:
    """A reader is told how many events it has missed."""
    ask = observer_pb2.GetFlowsRequest(number=100)
    with relay(lab, http) as stub:
        number = lab.inject("lost-flows", number=3)
        assert lab.about(number)["ended"] == "it happens once"

        def told() -> int:
            is_open(lab, http)
            return sum(one.lost_events.num_events_lost for one in stub.GetFlows(ask, timeout=5))

        assert eventually(told) >= 1


def test_an_agent_that_restarts(lab: MisbehavingLab, http: Http) -> None:
    """The flows that its ring held are gone."""
    ask = observer_pb2.ServerStatusRequest()
    with relay(lab, http) as stub:
        eventually(lambda: is_open(lab, http) and stub.ServerStatus(ask, timeout=5).seen_flows > 5)
        before = stub.ServerStatus(ask, timeout=5).seen_flows
        for one in http("GET", "/api/v1/nodes").json()["items"]:
            lab.inject("agent-restart", node=one["metadata"]["name"])
        eventually(lambda: stub.ServerStatus(ask, timeout=5).seen_flows < before)


# ------------------------------------------------------------------ metrics


@pytest.mark.slow
def test_metrics_that_are_stale(lab: MisbehavingLab, http: Http) -> None:
    """Nothing new is scraped, old values are answered; afterwards scraping goes on."""
    newest = "max(timestamp(cilium_forward_count_total))"
    eventually(lambda: query(lab, http, newest), 10)
    number = lab.inject("stale-metrics")
    before = query(lab, http, newest)[0]["value"][1]
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 1.2)
    assert query(lab, http, newest)[0]["value"][1] == before
    lab.clear(number)
    eventually(lambda: query(lab, http, newest)[0]["value"][1] != before, 20)


@pytest.mark.slow
def test_a_metric_that_is_missing(lab: MisbehavingLab, http: Http) -> None:
    """A family disappears and the others stay; one that the lab does not have is refused."""
    assert eventually(lambda: query(lab, http, "cilium_forward_count_total"))
    lab.inject("missing-metric", family="cilium_forward_count_total")
    eventually(lambda: not query(lab, http, "cilium_forward_count_total"), 20)
    assert query(lab, http, "up")
    with pytest.raises(TargetError, match=r"The lab exposes no metric 'nonsense'\."):
        lab.inject("missing-metric", family="nonsense")


# ------------------------------------------------------------------ pods


def test_pods_that_are_created_anew(lab: MisbehavingLab, http: Http) -> None:
    """Name and address change, the policy counts for the new pod, and customers reach it."""

    def front() -> dict[str, str]:
        found = http("GET", "/api/v1/namespaces/pets/pods?labelSelector=app%3Dstore-front").json()
        return {one["metadata"]["name"]: one["status"]["podIP"] for one in found["items"]}

    before = front()
    number = lab.inject("pods-recreated", workload="pets/store-front", after=0.1)
    assert front() == {}
    eventually(lambda: lab.about(number)["ended"])
    after = front()
    assert len(after) == len(before) == lab.struck(number) == 1
    assert not set(after) & set(before)
    assert not set(after.values()) & set(before.values())
    assert is_open(lab, http)
    admit_nobody(http)
    eventually(lambda: not is_open(lab, http))
    with pytest.raises(TargetError, match=r"There are no pods of 'x' in namespace 'pets': it has"):
        lab.inject("pods-recreated", workload="pets/x")


# ------------------------------------------------------------------ actors


@pytest.mark.parametrize(
    ("flavour", "manager", "mark"),
    [
        ("flux", "kustomize-controller", ("labels", "kustomize.toolkit.fluxcd.io/name")),
        ("argocd", "argocd-controller", ("annotations", "argocd.argoproj.io/tracking-id")),
    ],
)
def test_gitops_reverts(
    lab: MisbehavingLab, http: Http, flavour: str, manager: str, mark: tuple[str, str]
) -> None:
    """A controller marks the policy as its own, and puts its content back after each change."""
    number = lab.inject("gitops", policy=NAME, after=0.3, flavour=flavour)
    owned = http("GET", POLICY).json()
    assert mark[1] in owned["metadata"][mark[0]]
    assert manager in managers(http)
    assert lab.struck(number) == 0
    for strikes in (1, 2):
        admit_nobody(http)
        assert rules(http) == NOBODY
        eventually(lambda: rules(http) == owned["spec"]["ingress"])
        assert lab.struck(number) == strikes
    lab.clear(number)
    # Nobody owns it any more, and it does not say so.
    eventually(lambda: mark[1] not in http("GET", POLICY).json()["metadata"].get(mark[0], {}))
    assert manager not in managers(http)
    admit_nobody(http)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 0.6)
    assert rules(http) == NOBODY


def test_a_person_edits(lab: MisbehavingLab, http: Http) -> None:
    """Somebody edits the policy after it was changed, once, and their order is over."""
    patch = [{"op": "replace", "path": "/spec/ingress", "value": [{"fromEntities": ["cluster"]}]}]
    number = lab.inject("person", policy=NAME, after=0.2, set=patch)
    admit_nobody(http)
    eventually(lambda: rules(http) == [{"fromEntities": ["cluster"]}])
    assert "kubectl-edit" in managers(http)
    about = lab.about(number)
    assert (about["struck"], about["ended"]) == (1, "it has done what it wanted")


def test_a_person_edits_harmlessly_from_now(lab: MisbehavingLab, http: Http) -> None:
    """Without a patch the description changes, and no rule."""
    before = rules(http)
    lab.inject("person", policy=NAME, after=0.0, start="now")
    eventually(lambda: http("GET", POLICY).json()["spec"].get("description") == "edited by hand")
    assert rules(http) == before


def test_a_colleague_deletes(lab: MisbehavingLab, http: Http) -> None:
    """The policy is gone a moment after it was changed."""
    lab.inject("deletion", policy=NAME, after=0.1)
    admit_nobody(http)
    eventually(lambda: http("GET", POLICY).status == 404)


def test_another_team(lab: MisbehavingLab, http: Http) -> None:
    """A clusterwide policy, and a NetworkPolicy in a namespace, appear."""
    lab.inject("other-team")
    lab.inject("other-team", policy_kind="netpol", namespace="pets", after=0.1)
    wide = "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies/other-team"
    native = "/apis/networking.k8s.io/v1/namespaces/pets/networkpolicies/other-team"
    eventually(lambda: http("GET", wide).status == 200)
    eventually(lambda: http("GET", native).status == 200)
    eventually(lambda: http("GET", wide).json().get("status"))
    assert http("GET", wide).json()["status"]["conditions"][0]["status"] == "True"
    with pytest.raises(TargetError, match="is there already"):
        lab.inject("other-team")


def test_a_policy_that_flaps(lab: MisbehavingLab, http: Http) -> None:
    """A policy is rewritten back and forth, and is as before when that ends."""
    before = http("GET", POLICY).json()["spec"]
    number = lab.inject("flapping", policy=NAME, every=0.05, count=5)
    eventually(lambda: lab.about(number)["ended"])
    assert lab.struck(number) == 5
    eventually(lambda: http("GET", POLICY).json()["spec"] == before)


def test_a_patch_that_the_api_refuses(lab: MisbehavingLab) -> None:
    """A patch is rehearsed when it is ordered: what would be refused later is refused now."""
    patch = [{"op": "replace", "path": "/spec/ingress", "value": "all"}]
    with pytest.raises(TargetError, match=r"The API refuses that: .*ingress"):
        lab.inject("person", policy=NAME, set=patch)
    with pytest.raises(TargetError, match=r"There is no policy 'x' in namespace 'pets': it has"):
        lab.inject("person", policy="pets/x")
    assert lab.control.status()["misbehaviours"] == []
