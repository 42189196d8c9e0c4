"""A namespace of its own on a real cluster, for tests of what the lab does not model.

Named by ACNS_CHAOS_TEST_CONTEXT, a kube context; without it these tests are not selected. Needed
there: Cilium with Hubble relay, load balancers, rights to create namespaces and
CiliumNetworkPolicies, and an image with BusyBox (ACNS_CHAOS_TEST_IMAGE). Nothing outside the
namespace is changed, and it is deleted at the end.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.kubeconfig import kubeconfig_api
from acns_chaos.cluster.pods import Ran, pods_of, run_in
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError

# Read here, before any fixture: the other tests run without these variables.
CONTEXT = os.environ.get("ACNS_CHAOS_TEST_CONTEXT", "")
KUBECONFIG = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
IMAGE = os.environ.get("ACNS_CHAOS_TEST_IMAGE", "busybox:1.36")
SERVE = (
    "mkdir -p /www/open /www/closed && echo open > /www/open/index.html && "
    "echo closed > /www/closed/index.html && echo ok > /www/index.html && "
    "exec httpd -f -p 8080 -h /www"
)
POLICIES = "ciliumnetworkpolicies"


@pytest.fixture(autouse=True)
def own_environment() -> None:
    """Keep the user's environment: whoever logs in to the cluster does so with it."""


@dataclass(frozen=True)
class Place:
    """The namespace of these tests, with the Deployments `web` (two pods) and `client` (one).

    Attributes:
        api: of the cluster, as the product speaks with it.
        namespace: deleted at the end.
    """

    api: Api
    namespace: str

    def path(self, group: str, plural: str, name: str = "") -> str:
        """The path of objects in the namespace; *group* is "api/v1" or "apis/GROUP/VERSION"."""
        return f"/{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    @contextmanager
    def policy(self, **spec: Any) -> Iterator[None]:
        """A CiliumNetworkPolicy for the pods of `web`, for as long as the context lasts."""
        there = self.path("apis/cilium.io/v2", POLICIES)
        body = {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "under-test", "namespace": self.namespace},
            "spec": {"endpointSelector": {"matchLabels": {"app": "web"}}, **spec},
        }
        self.api.post(there, body)
        try:
            yield
        finally:
            self.api.request("DELETE", f"{there}/under-test")

    def run(self, *command: str, timeout: float = 20) -> Ran:
        """Run a command in the pod of `client`."""
        name = pods_of(self.api, self.namespace, "client")[0]["metadata"]["name"]
        return run_in(self.api, self.namespace, name, "main", command, timeout)

    def connect(self) -> Ran:
        """Try a connection from `client` to `web`."""
        return self.run("nc", "-zv", "-w2", "web", "80")

    def is_available(self) -> bool:
        """Whether both pods of `web` are Ready."""
        web = self.api.get(self.path("apis/apps/v1", "deployments", "web"))
        return web.get("status", {}).get("availableReplicas") == 2


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """The namespace, with its pods running."""
    api, _ = kubeconfig_api(CONTEXT, KUBECONFIG)
    place = Place(api, f"acns-chaos-test-{secrets.token_hex(4)}")
    labels = {"purpose": "tests-of-acns-chaos"}
    metadata = {"name": place.namespace, "labels": labels}
    api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    try:
        build(place)
        yield place
    finally:
        api.request("DELETE", f"/api/v1/namespaces/{place.namespace}")
        # A connection that is left open is a warning, and so a failure.
        api.client.rest_client.pool_manager.clear()


def build(place: Place) -> None:
    """Create `web` behind a load balancer and `client`, and wait until they run."""
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 2, "failureThreshold": 2}
    web = {"args": [SERVE], "ports": [{"containerPort": 8080}], "readinessProbe": probe}
    for body in (deployment("web", 2, web), deployment("client", 1, {"args": ["sleep 86400"]})):
        place.api.post(place.path("apis/apps/v1", "deployments"), body)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {
            "type": "LoadBalancer",
            "selector": {"app": "web"},
            "ports": [{"port": 80, "targetPort": 8080}],
        },
    }
    place.api.post(place.path("api/v1", "services"), service)
    eventually(place.is_available, 180)
    eventually(lambda: place.run("true").code == 0, 120)


def deployment(name: str, replicas: int, container: dict[str, Any]) -> dict[str, Any]:
    """A Deployment of one container that runs a line of shell, its pods on different nodes."""
    labels = {"app": name}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": labels},
    }
    main = {"name": "main", "image": IMAGE, "command": ["sh", "-c"], **container}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [main], "topologySpreadConstraints": [spread]},
            },
        },
    }


def eventually(is_so: Callable[[], bool], seconds: float) -> None:
    """Wait for a fact; an API server that cannot answer yet is asked again."""

    def asked() -> bool:
        try:
            return is_so()
        except ApiError:
            return False

    assert wait_until(asked, seconds, 0.5), f"not so within {seconds} s"
