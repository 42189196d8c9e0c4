"""Readings of drop counters: differences of raw sums, a missing series counted as 0."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from acns_chaos.cluster.prometheus import Counter, Prometheus, drops_at_node, drops_of_workload
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence.readings import COUNTED, UNKNOWN, Reading, reading

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

__all__ = ["Bounds", "counter_named", "read_counter"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a count is expected to be; `at_most` None means no upper bound."""

    at_least: float = 0.0
    at_most: float | None = None

    def hold(self, count: float) -> bool:
        """Tell whether *count* is within the bounds."""
        return count >= self.at_least and (self.at_most is None or count <= self.at_most)

    def as_json(self) -> dict[str, float | None]:
        """Return the journal's form."""
        return {"at_least": self.at_least, "at_most": self.at_most}


def counter_named(name: str, namespace: str, workload: str, direction: str) -> Counter:
    """Return the counter an experiment names.

    Raises:
        ArgumentError: the name or the direction is none we know; the sentence says which are.
    """
    for given in (namespace, workload):
        if given and not NAME.fullmatch(given):
            raise ArgumentError(f"{given!r} is no Kubernetes name")
    if direction not in ("ingress", "egress"):
        raise ArgumentError(f"direction must be ingress or egress, not {direction!r}")
    if name == "hubble":
        return drops_of_workload(namespace, workload, direction)
    if name == "node":
        return drops_at_node(direction)
    raise ArgumentError(f"counter must be hubble or node, not {name!r}")


def read_counter(
    environ: Mapping[str, str],
    counter: Counter,
    what: str,
    start: str,
    window: float,
    bounds: Bounds,
    deadline: float,
) -> Reading:
    """Count policy drops since a moment, until the count is as expected or *deadline* has passed.

    Args:
        environ: looked up for Prometheus' address.
        counter: which.
        what: a few words for people.
        start: ISO 8601 moment to count from; "" counts over a sliding window.
        window: its length in seconds.
        bounds: the expected count.
        deadline: seconds; 0 asks once.

    Returns:
        COUNTED with the difference, or UNKNOWN when Prometheus cannot be asked, or when it is
        expected to be quiet and nothing proves that it was scraping.
    """
    found: list[tuple[float, float, float]] = []

    def expected() -> bool:
        end = time.time()
        begin = datetime.fromisoformat(start).timestamp() if start else end - window
        before = prometheus.policy_drops(counter, begin)
        found[:] = [(prometheus.policy_drops(counter, end), before, begin)]
        return bounds.hold(found[0][0] - before) and prometheus.scraping(begin, end)

    try:
        prometheus = Prometheus.from_environ(environ)
        complete = wait_until(expected, deadline, interval=0.1)
        fresh = complete or prometheus.scraping(found[0][2], time.time())
    except ApiError as error:
        return reading(UNKNOWN, what, str(error), None, bounds.as_json(), {"query": counter.query})
    after, before, begin = found[0]
    # A counter that went back was reset with its agent: what it shows now is all there is.
    count = after - before if after >= before else after
    evidence = {
        "query": counter.query,
        "before": before,
        "after": after,
        "seconds": round(time.time() - begin, 3),
        "fresh": fresh,
    }
    if not fresh:
        text = f"Prometheus has no fresh drop metrics for the last {time.time() - begin:.0f} s"
        return reading(UNKNOWN, what, text, None, bounds.as_json(), evidence, count=count)
    text = f"{count:g} counted by {counter.metric}"
    return reading(COUNTED, what, text, bounds.hold(count), bounds.as_json(), evidence, count=count)
