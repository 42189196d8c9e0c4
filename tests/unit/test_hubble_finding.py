"""Where the relay is: its Service, a Ready pod, the pod's port; each absence has a cause."""

from typing import Any

import pytest

from acns_chaos.cluster.hubble.errors import HubbleError
from acns_chaos.cluster.hubble.finding import Place, find_relay
from acns_chaos.errors import ApiError, Forbidden

SERVICE = {
    "metadata": {"name": "hubble-relay"},
    "spec": {
        "selector": {"k8s-app": "hubble-relay"},
        "ports": [{"port": 443, "targetPort": "grpc"}],
    },
}


def pod(name: str, ready: str = "True", **metadata: Any) -> dict[str, Any]:
    """A pod of the relay."""
    ports = [{"name": "grpc", "containerPort": 4245}]
    return {
        "metadata": {"name": name, **metadata},
        "spec": {"containers": [{"name": "hubble-relay", "ports": ports}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }


class Lists:
    """An API server with lists in kube-system, or errors in their place."""

    def __init__(self, services: Any, pods: Any) -> None:
        self.lists = {"services": services, "pods": pods}

    def get(self, path: str, query: dict[str, str]) -> dict[str, Any]:
        """One list."""
        what = path.removeprefix("/api/v1/namespaces/kube-system/")
        wanted = {
            "services": {"fieldSelector": "metadata.name=hubble-relay"},
            "pods": {"labelSelector": "k8s-app=hubble-relay"},
        }
        assert query == wanted[what]
        if isinstance(self.lists[what], ApiError):
            raise self.lists[what]
        return {"items": self.lists[what]}


def find(services: Any, pods: Any) -> Place:
    """Look for the relay on such a server."""
    return find_relay(Lists(services, pods))  # type: ignore[arg-type]


def test_a_ready_pod_is_found() -> None:
    """One that is going, or not Ready, is passed over; a port's name is the container's."""
    pods = [pod("a", "False"), pod("b", deletionTimestamp="2026-01-01T00:00:00Z"), pod("c")]
    assert find([SERVICE], pods) == Place("kube-system", "c", 4245)
    numbered = {**SERVICE, "spec": {**SERVICE["spec"], "ports": [{"port": 443, "targetPort": 99}]}}  # type: ignore[dict-item]
    assert find([numbered], [pod("c")]).port == 99


@pytest.mark.parametrize(
    ("services", "pods", "cause", "says"),
    [
        ([], [], "relay-absent", "az aks update --enable-acns"),
        ([{**SERVICE, "metadata": {"name": "hubble-ui"}}], [], "relay-absent", "no Service"),
        ([SERVICE], [], "relay-down", "none at all"),
        ([SERVICE], [pod("a", "False")], "relay-down", "Running and not Ready"),
        (
            [{**SERVICE, "spec": {"ports": [{"port": 80}]}}],
            [pod("a")],
            "tls-off",
            "hubble.relay.tls.server.enabled",
        ),
        (Forbidden("no", 403), [], "no-permission", "look.yaml"),
        ([SERVICE], Forbidden("no", 403), "no-permission", "look.yaml"),
        (ApiError("silence"), [], "unreachable", "silence"),
    ],
)
def test_a_relay_that_cannot_be_found_has_a_cause(
    services: Any, pods: Any, cause: str, says: str
) -> None:
    """And a sentence with what to do."""
    with pytest.raises(HubbleError) as refused:
        find(services, pods)
    assert refused.value.cause == cause
    assert says in str(refused.value)
