"""Readings of what Kubernetes believes of a workload: are its pods all Ready."""

from acns_chaos.cluster.readiness import deployment_is_available
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.evidence.readings import NOT_READY, READY, UNKNOWN, Reading, reading

__all__ = ["read_ready"]

# Seconds between two questions; a kubelet's own probes ask every few.
INTERVAL = 0.25


def read_ready(
    context: str, namespace: str, workload: str, expect: str, deadline: float, hold: float
) -> Reading:
    """Ask until the expected answer comes, and then whether it stays.

    Args:
        context: the run's kube context.
        namespace: of the Deployment.
        workload: its name.
        expect: READY or NOT_READY.
        deadline: seconds until the expected answer must have come; 0 asks once.
        hold: seconds for which it must stay; the first other answer is the reading.

    Returns:
        READY or NOT_READY; UNKNOWN when the API server could not be asked.
    """
    what = f"readiness of {namespace}/{workload}"
    last: list[str] = []

    def asked() -> str:
        last[:] = [READY if deployment_is_available(context, namespace, workload) else NOT_READY]
        return last[0]

    try:
        wait_until(lambda: asked() == expect, deadline, INTERVAL)
        if hold > 0 and last[0] == expect:
            wait_until(lambda: asked() != expect, hold, INTERVAL)
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, expect, {})
    text = "all pods are Ready" if last[0] == READY else "not all pods are Ready"
    if hold > 0 and last[0] == expect:
        text = f"{text}, for {hold:g} s"
    return reading(
        last[0],
        what,
        f"{namespace}/{workload}: {text}",
        last[0] == expect,
        expect,
        {"deadline": deadline, "hold": hold},
    )
