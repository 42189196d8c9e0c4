"""Which pods of a workload are asked, and which count as being there."""

from typing import Any

import pytest

from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.pods import pods_of
from acns_chaos.errors import NotFound
from tests.unit.fakes import FakeApi, pod

DELETED = "2026-11-22T21:22:50Z"


def web(name: str, *, ready: bool | None = None, deleted: bool = False) -> dict[str, Any]:
    """A running pod of workload `web`."""
    made = pod(name, "web", 8080)
    made["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "web"}]
    if ready is not None:
        made["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
    if deleted:
        made["metadata"]["deletionTimestamp"] = DELETED
    return made


def names_in(*pods: dict[str, Any]) -> list[str]:
    """Who would be asked, the first one first."""
    api: Any = FakeApi()
    api.lists["/api/v1/pods"] = list(pods)
    return [one["metadata"]["name"] for one in pods_of(api, "pets", "web")]


def test_a_pod_that_is_being_deleted_is_not_asked() -> None:
    """It is in phase Running until its grace is over, and may be silent already."""
    assert names_in(web("web-0", ready=True, deleted=True), web("web-1")) == ["web-1"]
    with pytest.raises(NotFound, match="Workload 'web' has no running pod"):
        names_in(web("web-0", deleted=True))


def test_ready_pods_are_asked_first() -> None:
    """Then by name, so that the same pod is asked each time."""
    pods = [
        web("web-0", ready=False),
        web("web-3", ready=True),
        web("web-1"),
        web("web-2", ready=True),
    ]
    assert names_in(*pods) == ["web-2", "web-3", "web-0", "web-1"]


def test_a_pod_that_is_being_deleted_is_not_predicted_about() -> None:
    """Nobody could tell its silence from a denial."""
    api: Any = FakeApi()
    api.lists["/api/v1/pods"] = [web("web-0", deleted=True), web("web-1")]
    assert [one.name for one in take_inventory(api).pods] == ["pets/web-1"]
