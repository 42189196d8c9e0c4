"""Readings of the policy itself: which objects deny a flow, by Cilium's semantics, live."""

from acns_chaos.cluster.inventory import Inventory, take_inventory, workload_of
from acns_chaos.cluster.kube import Api
from acns_chaos.errors import ApiError
from acns_chaos.evidence.readings import NAMED, UNKNOWN, UNNAMED, Reading, reading
from acns_chaos.policy import Endpoint, Side

__all__ = ["explain"]


def explain(
    api: Api, source: str, namespace: str, workload: str, port: int, protocol: str
) -> Reading:
    """Name the policies that deny a flow.

    Args:
        api: the cluster.
        source: "world", or "namespace/workload".
        namespace: of the destination.
        workload: the destination.
        port: the container's.
        protocol: TCP, UDP or SCTP.

    Returns:
        NAMED with `culprits`, UNNAMED when policy allows the flow, UNKNOWN when the objects cannot
        be read or an end is not there.
    """
    what = f"why {source} may not reach {namespace}/{workload}:{port}/{protocol}"
    try:
        inventory = take_inventory(api)
        sender = Endpoint.entity("world") if source == "world" else _find(inventory, source)
        receiver = _find(inventory, f"{namespace}/{workload}")
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, NAMED, {}, culprits=[])
    verdict = inventory.engine.verdict(sender, receiver, port, protocol)
    sides = {"egress": verdict.egress, "ingress": verdict.ingress}
    culprits = sorted({name for side in sides.values() for name in _culprits(side)})
    evidence = {
        "verdict": verdict.verdict,
        "drop_reason": verdict.drop_reason,
        "denied_at": [name for name, side in sides.items() if side.verdict == "DENIED"],
        "nearest": next((side.nearest for side in sides.values() if side.nearest), ""),
    }
    state = NAMED if verdict.verdict == "DENIED" and culprits else UNNAMED
    return reading(
        state, what, verdict.sentence(), state == NAMED, NAMED, evidence, culprits=culprits
    )


def _culprits(side: Side) -> list[str]:
    """A deny rule's object; else, where nothing allowed it, every object that selects the end."""
    if side.verdict != "DENIED":
        return []
    return [str(rule.object) for rule in side.rules] or [str(one) for one in side.selecting]


def _find(inventory: Inventory, workload: str) -> Endpoint:
    for pod in inventory.pods:
        if workload_of(pod) == workload:
            return pod
    raise ApiError(f"Workload {workload} has no running pod")
