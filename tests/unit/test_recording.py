"""Policies as recorded: this namespace's and the clusterwide ones, as raw JSON."""

from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.errors import ApiError
from acns_chaos.faults.recording import recorded_hashes
from acns_chaos.faults.runcontext import arm, disarm
from acns_chaos.probes import policies_are_as_recorded
from tests.unit.fakes import STOREFRONT, FakeApi, run_on, storefront_policy


@pytest.fixture
def api() -> Any:
    """An armed run that recorded what is there."""
    api = FakeApi()
    run = run_on(api)
    run.recorded = recorded_hashes(run.policies.all(), "pets")
    arm(run)
    yield api
    disarm()


def test_nothing_changed(api: FakeApi) -> None:
    """Equal contents are EQUAL, whatever the server's own fields say."""
    api.objects[STOREFRONT]["metadata"]["resourceVersion"] = "99"
    told = policies_are_as_recorded()
    assert (told["reading"], told["met"]) == ("EQUAL", True)


def test_a_changed_policy_is_named(api: FakeApi) -> None:
    """The sentence says which."""
    api.edit(ingress=[{}])
    told = policies_are_as_recorded()
    assert (told["reading"], told["met"]) == ("DIFFERENT", False)
    assert "CiliumNetworkPolicy pets/allow-store-front-traffic" in told["sentence"]


def test_a_new_and_a_deleted_policy_are_differences(api: FakeApi) -> None:
    """What came and what went both count."""
    other = deepcopy(api.objects.pop(STOREFRONT))
    other["metadata"]["name"] = "other"
    api.objects[STOREFRONT.replace("allow-store-front-traffic", "other")] = other
    assert len(policies_are_as_recorded()["evidence"]["differing"]) == 2


def test_a_list_that_cannot_be_read_is_unknown(api: FakeApi) -> None:
    """An API error is no difference."""
    api.refuse[("GET", "/apis/cilium.io/v2/ciliumnetworkpolicies")] = ApiError("no answer", 0)
    told = policies_are_as_recorded()
    assert (told["reading"], told["met"]) == ("UNKNOWN", None)


def test_other_namespaces_do_not_count() -> None:
    """What another team changes during the run is no news about this namespace."""
    elsewhere = storefront_policy()
    elsewhere["metadata"]["namespace"] = "shop"
    clusterwide = storefront_policy()
    clusterwide["kind"] = "CiliumClusterwideNetworkPolicy"
    del clusterwide["metadata"]["namespace"]
    found = recorded_hashes([storefront_policy(), elsewhere, clusterwide], "pets")
    assert sorted(found) == [
        "CiliumClusterwideNetworkPolicy allow-store-front-traffic",
        "CiliumNetworkPolicy pets/allow-store-front-traffic",
    ]
