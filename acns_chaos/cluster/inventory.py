"""What is live, as the policy engine wants it: endpoints, policies, services, namespaces."""

from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import stays
from acns_chaos.cluster.policies import Policies
from acns_chaos.cluster.prober import is_prober
from acns_chaos.policy import Endpoint, Engine
from acns_chaos.policy.workloads import flow_text, workload_of

__all__ = ["Inventory", "flow_text", "take_inventory", "workload_of"]


@dataclass(frozen=True, slots=True)
class Inventory:
    """A cluster's pods and policies at one moment.

    Attributes:
        pods: one endpoint per running pod that Cilium manages (host-network pods are the host's)
            and that is not being deleted.
        policies: every policy object, raw.
        services: every Service, raw.
        engine: the verdict engine over all of it.
    """

    pods: tuple[Endpoint, ...]
    policies: tuple[dict[str, Any], ...]
    services: tuple[dict[str, Any], ...]
    engine: Engine


def take_inventory(api: Api) -> Inventory:
    """Read everything a verdict depends on.

    A pod that is being deleted is left out. It may still send during its grace, and a policy still
    holds for it; but another with its identity stands in for it where its workload stays, and its
    own silence would look like a denial to whoever tries a predicted flow.

    Raises:
        ApiError: one of the lists cannot be read.
    """
    namespaces = {str(one["metadata"]["name"]): one for one in _list(api, "/api/v1/namespaces")}
    pods = tuple(
        Endpoint.from_pod(pod, namespaces.get(str(pod["metadata"]["namespace"]), {}))
        for pod in _list(api, "/api/v1/pods")
        if stays(pod)
        and not pod.get("spec", {}).get("hostNetwork")
        # Ours stand beside a workload with its identity; whom a fault reaches does not change.
        and not is_prober(pod)
    )
    services = tuple(_list(api, "/api/v1/services"))
    policies = tuple(Policies(api).all())
    engine = Engine(
        policies,
        namespaces={
            name: dict(one["metadata"].get("labels") or {}) for name, one in namespaces.items()
        },
        endpoints=pods,
        services=services,
    )
    return Inventory(pods, policies, services, engine)


def _list(api: Api, path: str) -> list[dict[str, Any]]:
    return list(api.get(path).get("items", []))
