"""A document as people write it: what the server fills in is part of the fault."""

from typing import Any

import pytest

from tests.journeys.conftest import Chaos, Lab
from tests.journeys.minimal import experiment, inject, nothing_is_left, restore

pytestmark = [pytest.mark.journey, pytest.mark.slow]

PATH = "/apis/networking.k8s.io/v1/namespaces/pets/networkpolicies"
DOCUMENT: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "nobody-reaches-the-shop"},
    "spec": {"podSelector": {"matchLabels": {"app": "store-front"}}, "ingress": []},
}


def test_a_networkpolicy_without_policy_types_is_written_as_the_server_keeps_it(
    own_chaos: Chaos, lab: Lab
) -> None:
    """As with kubectl: the server's `policyTypes` is recorded and written, in one write."""
    before = lab.policies()
    # It turns no verdict beside the policy that allows the customers, and is taken all the same.
    done = own_chaos.run(
        experiment(inject(document=DOCUMENT, create=True, ignored=True), restore())
    )
    (fault,) = done.section["faults"]
    assert fault["fault"]["spec"]["policyTypes"] == ["Ingress"], done.output
    assert fault["restored"]["by"] == "method", done.output
    assert [one["what"] for one in done.section["events"]].count("submitted") == 1
    assert lab.api.get(PATH)["items"] == []
    nothing_is_left(lab, before)
