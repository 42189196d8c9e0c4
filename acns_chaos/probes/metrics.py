"""What Prometheus counted."""

from acns_chaos.evidence.arguments import numbers, word
from acns_chaos.evidence.counters import Bounds, counter_named, read_counter
from acns_chaos.evidence.readings import UNKNOWN, reading
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import answers

__all__ = ["count_drops"]


@answers
def count_drops(
    workload: str = "",
    direction: str = "ingress",
    counter: str = "hubble",
    since: str = "window",
    window: float = 1.0,
    at_least: float = 0.0,
    at_most: float = -1.0,
    namespace: str = "",
    deadline: float = 5.0,
) -> dict:
    """Count what policy dropped, in Prometheus, as a difference of raw sums (absent counts as 0).

    Args:
        workload: whose pods; "" takes every pod of the namespace.
        direction: "ingress" or "egress".
        counter: "hubble" (hubble_drop_total, per pod, each drop counted twice) or "node"
            (cilium_drop_count_total, all nodes, each packet once).
        since: "fault" counts from the moment the fault was submitted; "window" over the last
            `window` seconds.
        window: seconds; at least two scrape intervals.
        at_least: expected lower bound.
        at_most: expected upper bound; negative means none.
        namespace: of the workload; "" takes the experiment's.
        deadline: seconds to keep asking until the count is as expected.
    """
    run = armed_run()
    home = namespace or run.target.namespace
    given = numbers(
        {"window": window, "at_least": at_least, "at_most": at_most, "deadline": deadline}
    )
    bounds = Bounds(given["at_least"], given["at_most"] if given["at_most"] >= 0 else None)
    found = counter_named(counter, home, workload, direction)
    whose = f"{home}/{workload}" if counter == "hubble" else "all nodes"
    what = f"{direction} policy drops at {whose}"
    start = ""
    if word("since", since, ("window", "fault")) == "fault":
        start = run.first("submitted")
        if not start:
            text = "no fault was submitted in this run, so there is nothing to count from"
            return reading(UNKNOWN, what, text, None, bounds.as_json(), {}, count=None)
    return read_counter(run.environ, found, what, start, given["window"], bounds, given["deadline"])
