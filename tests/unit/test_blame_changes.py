"""What of the policies was changed, and by whom: records, marks, what was applied last, writers."""

import json
from copy import deepcopy
from typing import Any

import pytest

from acns_chaos.cluster.policies import policy_ref
from acns_chaos.cluster.records import LABEL, Record
from acns_chaos.errors import Forbidden
from acns_chaos.evidence.blame.changes import (
    changes_of_objects,
    changes_of_records,
    last_write,
    merged,
)
from acns_chaos.evidence.blame.differing import differences
from acns_chaos.evidence.blame.events import events_about_policies
from acns_chaos.policy import ObjectRef
from tests.unit.blame_cases import applied, storefront
from tests.unit.fakes import FakeApi

MAPS = "/api/v1/namespaces/pets/configmaps"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/acns-chaos/leases/acns-chaos.pets"
FRONT = ObjectRef("CiliumNetworkPolicy", "pets", "front")
NOBODY = {"fromEndpoints": []}


def with_record(sha256: str = "") -> FakeApi:
    """A cluster with a record that its Lease names, by the right hash unless another is given."""
    record = Record(
        "20261122T2122-ab", "f1", "me@host", "uid", "pets", "2026-11-22T21:30:00+00:00", "modify",
        policy_ref("CiliumNetworkPolicy", "pets", "front"), "ingress-from-nobody",
        storefront(), storefront(NOBODY),
    )  # fmt: skip
    api = FakeApi()
    found = {"metadata": {"name": record.name, "labels": {LABEL: "first"}}, "data": record.data()}
    api.objects[f"{MAPS}/{record.name}"] = found
    api.lists[MAPS] = [found]
    named = {record.name: sha256 or record.sha256()}
    api.objects[LEASE] = {
        "metadata": {"annotations": {"acns-chaos/records": json.dumps(named)}},
        "spec": {},
    }
    return api


def test_a_record_tells_who_what_and_how_to_end_it() -> None:
    """With the original, against which the flow is tried."""
    api: Any = with_record()
    (change,), notes = changes_of_records(api, ["pets", "pets"], {FRONT: storefront(NOBODY)})
    assert notes == []
    assert change.known
    assert change.run == "20261122T2122-ab"
    assert change.by == "run 20261122T2122-ab of me@host (ingress-from-nobody)"
    assert change.command == "acns-chaos restore --run 20261122T2122-ab -n pets"
    assert "spec.ingress[0].fromEndpoints is new ([])" in change.what
    assert "it puts it back at 2026-11-22T21:30:00+00:00" in change.sentence


def test_a_record_that_its_lease_does_not_name_is_not_believed() -> None:
    """Whoever may write ConfigMaps could blame anybody."""
    api: Any = with_record("another hash")
    found, (note,) = changes_of_records(api, ["pets"], {})
    assert found == []
    assert note.endswith("is not the one that its Lease names: not believed.")


def test_records_that_may_not_be_read_are_said_to_be_so() -> None:
    """The rest is told all the same."""
    api: Any = with_record()
    api.refuse["GET", MAPS] = Forbidden("configmaps is forbidden", 403)
    found, notes = changes_of_records(api, ["pets"], {})
    assert found == []
    assert notes == ["Records of runs in namespace pets cannot be read: configmaps is forbidden."]


def test_a_mark_tells_of_a_run_whose_record_is_not_at_hand() -> None:
    """Every faulty object says on itself who broke it."""
    live = storefront(NOBODY)
    live["metadata"]["annotations"] = {"acns-chaos/run": "run-7", "acns-chaos/owner": "me@host"}
    (change,) = changes_of_objects([live], "pets")
    assert change.by == "run run-7 of me@host"
    assert not change.known
    assert change.command == "acns-chaos restore --run run-7 -n pets"


def test_what_was_applied_last_is_held_against_what_is_live() -> None:
    """Equal ones are no change; what is not readable neither."""
    assert list(changes_of_objects([applied(storefront(), storefront())], "pets")) == []
    broken = applied(storefront(NOBODY), storefront())
    broken["metadata"]["annotations"] = dict.fromkeys(broken["metadata"]["annotations"], "{")
    assert list(changes_of_objects([broken], "pets")) == []
    (change,) = changes_of_objects([applied(storefront(NOBODY), storefront())], "pets")
    assert change.before is not None
    assert change.before["spec"] == storefront()["spec"]


@pytest.mark.parametrize("run", ["x; rm -rf /", "$(id)", "-n", "a b", "x" * 99])
def test_a_mark_puts_nothing_into_a_shell(run: str) -> None:
    """Whoever may write a policy may write its marks; a command is there to be pasted."""
    live = storefront(NOBODY)
    live["metadata"]["annotations"] = {"acns-chaos/run": run}
    (change,) = changes_of_objects([live], "pets")
    assert change.run
    assert change.command == ""


@pytest.mark.parametrize(
    ("metadata", "command"),
    [
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}, "flux reconcile kustomization"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "argocd app sync"),
    ],
)
def test_what_gitops_owns_is_put_back_by_it(metadata: dict[str, Any], command: str) -> None:
    """By hand it would be undone."""
    live = applied(storefront(NOBODY), storefront())
    live["metadata"] |= metadata
    (change,) = changes_of_objects([live], "pets")
    assert change.command.startswith(command)


def test_who_wrote_the_rules_last() -> None:
    """A status is nobody's edit, and an annotation changes no rule."""
    live = deepcopy(storefront())
    live["metadata"]["managedFields"] = [
        {"manager": "alice", "time": "2026-11-22T10:00:00Z", "fieldsV1": {"f:spec": {}}},
        {"manager": "bob", "time": "2026-11-22T11:00:00Z", "fieldsV1": {"f:metadata": {}}},
        {
            "manager": "operator", "time": "2026-11-22T12:00:00Z", "subresource": "status",
            "fieldsV1": {"f:status": {}},
        },
    ]  # fmt: skip
    assert last_write(live)[0] == "alice"
    assert last_write({}) == ("somebody", 0.0)
    odd = {"metadata": {"managedFields": [{"manager": "x\x1b[2J", "time": "then"}]}}
    assert last_write(odd) == ("x [2J", 0.0)


def test_one_object_is_told_of_once() -> None:
    """The first word counts; the moment is taken from whoever knows it."""
    api: Any = with_record()
    records, _ = changes_of_records(api, ["pets"], {})
    told = list(changes_of_objects([applied(storefront(NOBODY), storefront())], "pets"))
    (change,) = merged([*records, *told])
    assert change.run
    assert change.at == told[0].at > 0


def test_events_about_policies_are_read_and_others_left_out() -> None:
    """Where they may not be read there are none: they prove nothing anyway."""
    api: Any = FakeApi()
    about = {"kind": "CiliumNetworkPolicy", "name": "front", "namespace": "pets"}
    event = {
        "involvedObject": about, "lastTimestamp": "2026-11-22T21:22:53Z",
        "reason": "FaultInjected", "message": "on purpose\x1b[2J.",
    }  # fmt: skip
    pod = {**event, "involvedObject": {"kind": "Pod", "name": "p"}}
    api.lists["/api/v1/namespaces/pets/events"] = [pod, {}, {"lastTimestamp": 1}, event]
    (said,) = events_about_policies(api, ["pets", "elsewhere"])
    assert said.ref == FRONT
    assert said.sentence.isprintable()
    api.refuse["GET", "/api/v1/namespaces/pets/events"] = Forbidden("no", 403)
    assert events_about_policies(api, ["pets"]) == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"a": 1}, {"a": 1}, ""),
        (None, None, ""),
        (None, {"a": 1}, "it did not exist before"),
        ({"a": 1}, None, "it is gone"),
        ({"a": []}, {}, "a is gone (it was [])"),
        ({}, {"a": []}, "a is new ([])"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "a[0].b is 2 (it was 1)"),
        ({"a": [1]}, {"a": [1, 2]}, "a is [1, 2] (it was [1])"),
        ({"a": "\x1b[2J"}, {}, 'a is gone (it was "\\u001b[2J")'),
        ({str(n): n for n in range(9)}, {}, " and 5 more"),
    ],
)
def test_what_differs_in_a_few_words(before: Any, after: Any, said: str) -> None:
    """An empty list and an absent one are different things."""
    found = differences(before, after)
    assert found.endswith(said)
    assert bool(found) == bool(said)
