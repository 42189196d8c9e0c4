"""Workloads: what people call the pods of one Deployment, and flows written with their names.

Belongs here: names for people. Does not belong here: anything that decides.
"""

from functools import lru_cache

from acns_chaos.policy.asked import Lookup, Request
from acns_chaos.policy.endpoints import NAMESPACE_KEY, Endpoint
from acns_chaos.policy.model import Flow
from acns_chaos.policy.owners import APP_LABELS


def labels_of(endpoint: Endpoint) -> dict[str, str]:
    """The labels of a pod that came from Kubernetes, by key."""
    found = (label.removeprefix("k8s:") for label in endpoint.labels if label.startswith("k8s:"))
    return dict(label.split("=", 1) for label in found if "=" in label)


@lru_cache(maxsize=65536)
def workload_of(endpoint: Endpoint) -> str:
    """Name an endpoint's workload as `namespace/name`, or the entity or address it is.

    The workshop's shop, like most, labels pods `app`; the pod's own name serves where nothing
    names the workload.
    """
    labels = labels_of(endpoint)
    namespace = labels.get(NAMESPACE_KEY, "")
    if not namespace:
        return endpoint.name
    for key in APP_LABELS:
        if labels.get(key):
            return f"{namespace}/{labels[key]}"
    return endpoint.name


def flow_text(flow: Flow) -> str:
    """Write a flow as people read it: `world -> pets/store-front:8080/TCP`."""
    source, destination = workload_of(flow.source), workload_of(flow.destination)
    return f"{source} -> {destination}:{flow.port}/{flow.protocol}{flow_request(flow)}"


def flow_request(flow: Flow) -> str:
    """What is asked over the connection, e.g. " GET /"; "" when only the connection is meant."""
    return f" {flow.request}" if isinstance(flow, Lookup | Request) else ""
