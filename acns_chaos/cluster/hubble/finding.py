"""Where Hubble relay is: its Service, a Ready pod behind it, and the port to connect to."""

from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.hubble.errors import HubbleError
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import is_ready, stays
from acns_chaos.errors import ApiError, Forbidden

__all__ = ["NAMESPACE", "SERVICE", "Place", "find_relay"]

NAMESPACE, SERVICE = "kube-system", "hubble-relay"
_PLAIN, _DEFAULT_PORT = 80, 4245


@dataclass(frozen=True, slots=True)
class Place:
    """A pod of the relay, and its port."""

    namespace: str
    pod: str
    port: int


def find_relay(api: Api) -> Place:
    """Find a Ready pod of the relay.

    Args:
        api: the cluster; Services and pods of kube-system are listed.

    Raises:
        HubbleError: "relay-absent", "relay-down", "tls-off", "no-permission", "unreachable".
    """
    service = _service(api)
    spec = service.get("spec") or {}
    ports = spec.get("ports") or []
    if ports and all(one.get("port") == _PLAIN for one in ports):
        raise HubbleError(
            f"Hubble relay is served without TLS (Service {NAMESPACE}/{SERVICE} has port 80 only), "
            "and flows are not asked for in the clear: switch TLS on (Helm value "
            "hubble.relay.tls.server.enabled).",
            "tls-off",
        )
    pods = _pods(api, spec.get("selector") or {})
    good = [one for one in pods if stays(one) and is_ready(one)]
    ready = sorted(good, key=lambda one: str(one["metadata"]["name"]))
    if not ready:
        states = ", ".join(sorted({str(_phase(one)) for one in pods})) or "none at all"
        raise HubbleError(
            f"Hubble relay has no Ready pod in {NAMESPACE} (its pods: {states}): see `kubectl -n "
            f"{NAMESPACE} describe pods -l k8s-app={SERVICE}`.",
            "relay-down",
        )
    target = ports[0].get("targetPort") if ports else None
    return Place(NAMESPACE, str(ready[0]["metadata"]["name"]), _number(target, ready[0]))


def _service(api: Api) -> dict[str, Any]:
    # By a list of one, which the tier that reads policies may do already.
    found = _listed(api, "services", {"fieldSelector": f"metadata.name={SERVICE}"})
    for one in found:
        if one["metadata"]["name"] == SERVICE:
            return one
    raise HubbleError(
        f"There is no Service {SERVICE} in {NAMESPACE}: switch Hubble relay on (AKS: "
        "`az aks update --enable-acns`; Helm values hubble.enabled and hubble.relay.enabled).",
        "relay-absent",
    )


def _pods(api: Api, selector: dict[str, str]) -> list[dict[str, Any]]:
    wanted = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    return _listed(api, "pods", {"labelSelector": wanted}) if wanted else []


def _listed(api: Api, what: str, query: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return list(api.get(f"/api/v1/namespaces/{NAMESPACE}/{what}", query).get("items") or [])
    except Forbidden as error:
        raise HubbleError(
            f"The {what} of {NAMESPACE} may not be listed ({error}), so Hubble relay cannot be "
            "found: grant list on them (deploy/rbac/look.yaml), or dial it directly "
            "(ACNS_CHAOS_HUBBLE_RELAY).",
            "no-permission",
            error.status,
        ) from error
    except ApiError as error:
        raise HubbleError(
            f"The {what} of {NAMESPACE} cannot be listed: {error}", "unreachable", error.status
        ) from error


def _phase(pod: dict[str, Any]) -> str:
    status = pod.get("status") or {}
    phase = str(status.get("phase", "Unknown"))
    return f"{phase} and not Ready" if phase == "Running" else phase


def _number(target: Any, pod: dict[str, Any]) -> int:
    """Return the pod's port that a Service's target means; a name is one of its containers'."""
    if isinstance(target, int):
        return target
    for container in (pod.get("spec") or {}).get("containers") or []:
        for port in container.get("ports") or []:
            if port.get("name") == target:
                return int(port["containerPort"])
    return _DEFAULT_PORT
