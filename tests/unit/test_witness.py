"""What a fault is seen by: which of the predicted flows are tried, and from where."""

from collections import Counter
from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.policies import policy_ref
from acns_chaos.faults.prediction import predict
from acns_chaos.faults.witness import predicted_trials
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
