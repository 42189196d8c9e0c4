"""What a fault is seen by: which of the predicted flows are tried, and from where."""

from collections import Counter
from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.policies import policy_ref
from acns_chaos.cluster.storefront import Answer
from acns_chaos.faults import witness
from acns_chaos.faults.prediction import predict
from acns_chaos.faults.witness import Trial, predicted_trials, wait_for_flip
from tests.unit.fakes import FakeApi, pod, run_on, storefront_policy

REF = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
SHOP = {
    "metadata": {"name": "store-front", "namespace": "pets"},
    "spec": {"selector": {"app": "store-front"}, "ports": [{"port": 80, "targetPort": 8080}]},
}


def test_the_shop_and_the_pods_are_read_once_however_many_flows_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten pods of the shop lose the world: one Service and one list of pods are asked for."""
    api = FakeApi()
    pods = [pod(f"store-front-{number}", "store-front", 8080) for number in range(10)]
    for number, one in enumerate(pods):
        one["metadata"]["labels"]["app.kubernetes.io/instance"] = str(number)
    api.lists["/api/v1/pods"] = pods
    api.objects["/api/v1/namespaces/pets/services/store-front"] = SHOP
    faulty = deepcopy(storefront_policy())
    faulty["spec"]["ingress"] = [{"fromEndpoints": []}]
    prediction = predict(take_inventory(api), {REF: faulty})
    asked: Counter[str] = Counter()
    real = api.get

    def counted(path: str, query: Any = None) -> dict[str, Any]:
        asked[path] += 1
        return real(path, query)

    monkeypatch.setattr(api, "get", counted)
    trials = predicted_trials(run_on(api), prediction)

    assert len(prediction.closed) == 10
    assert trials[0].place is None
    assert not trials[0].opens
    assert max(asked.values(), default=0) <= 1, asked


def test_a_pod_that_is_being_deleted_tries_no_flow() -> None:
    """It was there when the effect was predicted: what it cannot reach now says nothing."""
    api = FakeApi()
    leaving, staying = pod("order-service-1", "order-service", 3000), pod("cart-1", "cart", 80)
    api.lists["/api/v1/pods"] += [leaving, staying]
    faulty = deepcopy(storefront_policy())
    faulty["spec"]["ingress"] = [{"fromEntities": ["cluster"]}]
    prediction = predict(take_inventory(api), {REF: faulty})
    assert prediction.opened
    leaving["metadata"]["deletionTimestamp"] = "2026-11-22T21:22:50Z"

    trials = predicted_trials(run_on(api), prediction)

    assert {trial.place.pod for trial in trials if trial.place} == {"cart-1"}


@pytest.mark.parametrize(
    ("kind", "answer", "beside"),
    [
        ("cluster", Answer(200, False, "answered 200", 0.01), True),
        ("cluster", Answer(0, False, "was refused", 0.01), False),
        ("lab", Answer(200, False, "answered 200", 0.01), False),
    ],
)
def test_a_customer_who_is_not_kept_out_may_have_come_beside_the_policy(
    kind: str, answer: Answer, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a node no policy is asked; that is said of a real cluster, where it got in."""
    monkeypatch.setattr(witness, "ask", lambda *_: answer)
    run = run_on(FakeApi(), kind, ACNS_CHAOS_STOREFRONT_URL="http://127.0.0.1:8080")
    shop = Trial("world -> pets/store-front:8080/TCP", "pets", None, "", 8080, "", opens=False)

    flip = wait_for_flip(run, [shop], faulty=True, timeout=0.05)

    assert flip.at == ""
    if answer.status:
        assert (
            "was not denied within 0.05 s: GET http://127.0.0.1:8080/ answered 200" in flip.sentence
        )
    assert (
        flip.sentence.endswith(
            "; customers may arrive as host or remote-node (kubectl port-forward, a NodePort "
            "through kube-proxy), for whom this policy may not be asked"
        )
        == beside
    )
