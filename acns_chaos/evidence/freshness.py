"""A reading of the metrics themselves: is every node scraped, or would "no drops" mean nothing?"""

from collections.abc import Mapping

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.prometheus import AGENT, HUBBLE, Freshness, Prometheus, prometheus_from
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError
from acns_chaos.evidence.doubts import patience_of
from acns_chaos.evidence.readings import NOT_READY, READY, UNKNOWN, Reading, reading

__all__ = ["read_freshness"]

WHAT = "drop metrics of all nodes"
SOURCES = (HUBBLE, AGENT)


def read_freshness(
    api: Api, environ: Mapping[str, str], expect: str, max_age: float, deadline: float
) -> Reading:
    """Ask whether every node's drop metrics are fresh.

    Args:
        api: the cluster whose nodes are meant.
        environ: looked up for Prometheus (docs/prometheus.md).
        expect: READY or NOT_READY.
        max_age: seconds that the newest sample may be old; 0 takes two and a half scrapes.
        deadline: seconds to keep asking; 0 asks once.

    Returns:
        READY, NOT_READY with the nodes that are behind, or UNKNOWN when Prometheus cannot be asked
        or has another cluster's metrics.
    """
    looks: list[tuple[str, Freshness, tuple[str, ...]]] = []

    def expected() -> bool:
        looks[:] = [_look(prometheus, source, max_age) for source in SOURCES]
        return any(behind for _, _, behind in looks) == (expect == NOT_READY)

    try:
        prometheus = prometheus_from(api, environ)
        wait_until(expected, deadline, 0.2)
    except ApiError as error:
        return reading(UNKNOWN, WHAT, str(error), None, expect, {})
    evidence = {source: fresh.as_json() for source, fresh, _ in looks}
    for _, fresh, _ in looks:
        if fresh.is_foreign:
            text = (
                f"the metrics are of {', '.join(fresh.foreign[:3])}: none of this cluster's nodes"
            )
            return reading(UNKNOWN, WHAT, text, None, expect, evidence)
    late = [f"{source} metrics of {', '.join(behind[:3])}" for source, _, behind in looks if behind]
    if late:
        text = f"not fresh: {'; '.join(late)}"
        return reading(NOT_READY, WHAT, text, expect == NOT_READY, expect, evidence)
    oldest = max(fresh.oldest or 0.0 for _, fresh, _ in looks)
    text = f"{len(prometheus.nodes())} nodes, the oldest sample is {oldest:.1f} s old"
    return reading(READY, WHAT, text, expect == READY, expect, evidence)


def _look(
    prometheus: Prometheus, source: str, max_age: float
) -> tuple[str, Freshness, tuple[str, ...]]:
    fresh = prometheus.freshness(source)
    return source, fresh, fresh.behind(max_age or patience_of(prometheus, source))
