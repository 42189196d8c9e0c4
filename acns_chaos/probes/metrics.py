"""What Prometheus counted, and what its alerts say."""

from acns_chaos.evidence.arguments import numbers, word
from acns_chaos.evidence.readings import FIRING, NOT_READY, READY, SILENT, UNKNOWN, reading
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import NOT_SUBMITTED, answers, from_fault

__all__ = ["count_drops", "metrics_are_fresh", "read_alert"]


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
    """Count what policy dropped, in Prometheus, series by series (absent counts as 0).

    Too little of it proves something only while every node is scraped: otherwise it is UNKNOWN.

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
    # Here and below: how Prometheus is asked is loaded by who asks it.
    from acns_chaos.evidence.counters import Bounds, counter_named, read_counter

    run = armed_run()
    home = namespace or run.target.namespace
    given = numbers(
        {"window": window, "at_least": at_least, "at_most": at_most, "deadline": deadline}
    )
    bounds = Bounds.given(given["at_least"], given["at_most"])
    found = counter_named(counter, home, workload, direction)
    whose = f"{home}/{workload}" if counter == "hubble" else "all nodes"
    what = f"{direction} policy drops at {whose}"
    start = from_fault(run, since, ("window", "fault"))
    if start is None:
        return reading(UNKNOWN, what, NOT_SUBMITTED, None, bounds.as_json(), {}, count=None)
    restored = [one["at"] for one in run.events if one["what"] == "restored"]
    return read_counter(
        *(run.api, run.environ, found, what, start, given["window"], bounds, given["deadline"]),
        restored=max(restored, default=""),
    )


@answers
def read_alert(
    name: str,
    labels: dict = {},
    expect: str = "FIRING",
    since: str = "fault",
    deadline: float = 60.0,
) -> dict:
    """Ask whether an alert fires: Alertmanager where one is named, otherwise Prometheus (`ALERTS`).

    Args:
        name: of the alert.
        labels: that it must carry, such as {"severity": "critical"}.
        expect: "FIRING", or "SILENT" (nobody is told).
        since: "fault" takes only an alert that began after the fault was submitted; "any" each.
        deadline: seconds to keep asking until it is as expected; rules have a `for` and an
            interval.
    """
    from acns_chaos.evidence.alerts import alert_labels
    from acns_chaos.evidence.alerts import read_alert as alert_reading

    run = armed_run()
    wanted = alert_labels(name, labels)
    word("expect", expect, (FIRING, SILENT))
    patience = numbers({"deadline": deadline})["deadline"]
    start = from_fault(run, since, ("fault", "any"))
    if start is None:
        text = "no fault was submitted in this run, so nothing can have been noticed"
        return reading(UNKNOWN, f"alert {name}", text, None, expect, {})
    return alert_reading(run.api, run.environ, name, wanted, expect, start, patience)


@answers
def metrics_are_fresh(
    expect: str = "READY",
    max_age: float = 0.0,
    deadline: float = 0.0,
) -> dict:
    """Ask whether Prometheus has fresh drop metrics of every node of this cluster.

    Args:
        expect: "READY" or "NOT_READY".
        max_age: seconds that a node's newest sample may be old; 0 takes two and a half scrapes.
        deadline: seconds to keep asking until it is as expected; 0 asks once.
    """
    from acns_chaos.evidence.freshness import read_freshness

    run = armed_run()
    word("expect", expect, (READY, NOT_READY))
    given = numbers({"max_age": max_age, "deadline": deadline})
    return read_freshness(run.api, run.environ, expect, given["max_age"], given["deadline"])
