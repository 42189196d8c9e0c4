"""Who noticed a fault, and when; and of those who did not, why.

A moment is where a result changed, and its bound is the distance to the sample before. "It noticed
nothing" is only said of a source that saw the whole of the time; else it was not observed.
"""

from collections.abc import Sequence

from acns_chaos.evidence.timeline.client import ClientSource, Connects
from acns_chaos.evidence.timeline.faults import TimedFault
from acns_chaos.evidence.timeline.flows import touches
from acns_chaos.evidence.timeline.hubble import Flows
from acns_chaos.evidence.timeline.metrics import Counters, rise
from acns_chaos.evidence.timeline.moments import NODE, RUNNER, STAMP, Moment
from acns_chaos.evidence.timeline.runs import Run
from acns_chaos.evidence.timeline.seen import Seen

__all__ = ["drops_of", "failures_of", "rise_of", "silence_of"]

UNSEEN = "not observed: "


def failures_of(fault: TimedFault, until: float, seen: Seen) -> list[Moment]:
    """Return the first failed request of each client that had been answered before.

    Args:
        fault: which.
        until: when it was over, seconds since 1970.
        seen: the run's samples.
    """
    return [one for each in seen.clients if (one := _failed(each, fault, until))]


def _failed(source: ClientSource, fault: TimedFault, until: float) -> Moment | None:
    if source.series.summed(fault.submitted, until):
        return None
    runs = source.series.runs()
    before: Run | None = None
    for run in runs:
        if run.first > until:
            return None
        bad = source.bad(run.result)
        if bad and run.first >= fault.submitted and _lasts(source, run, runs):
            if before is None or not source.good(before.result):
                return None  # it failed before the fault, or nobody had looked
            certain = (run.received - run.first) * 1000
            detail = f"{source.about}: {run.result}, begun then, certain {certain:.0f} ms later"
            bound = (run.first - before.last) * 1000
            return Moment("first-failed-request", run.first, RUNNER, bound, source.name, detail)
        before = run if not bad or run.first < fault.submitted else before
    return None


def _lasts(source: ClientSource, run: Run, runs: Sequence[Run]) -> bool:
    """Whether it is more than one packet that got lost, as happens on a real network."""
    return run.count > 1 or not isinstance(source, Connects) or run is runs[-1]


def drops_of(fault: TimedFault, until: float, hubble: Flows | None) -> list[Moment]:
    """Return the first drop, by the node's clock, and when Hubble told of it, by the runner's.

    Args:
        fault: which.
        until: when it was over, seconds since 1970.
        hubble: what it told.
    """
    if hubble is None:
        return []
    found: list[tuple[Run, str]] = []
    for one, series in hubble.drops():
        if touches(one, fault.closed) and not series.summed(fault.submitted, until):
            _, run = series.first(fault.submitted, lambda _: True)
            if run and run.first <= until + hubble.every:
                found.append((run, one.label))
    if not found:
        return []
    told, label = min(found, key=lambda pair: pair[0].first)
    # A burst's samples stand in the order in which they were told; the other time is the node's.
    late = (told.first - told.received) * 1000
    detail = f"{label}, told {late:.0f} ms after the node's stamp"
    skew = max(STAMP, abs(hubble.least_delay or 0.0) * 1000)
    return [
        Moment("first-drop", told.received, NODE, skew, "hubble", label),
        Moment("noticed", told.first, RUNNER, hubble.every * 1000, "hubble", detail),
    ]


def rise_of(
    fault: TimedFault, until: float, end: float, prometheus: Counters | None
) -> list[Moment]:
    """Return when a drop counter had risen.

    Args:
        fault: which.
        until: when it was over, seconds since 1970.
        end: when the next fault was submitted, or sampling ended.
        prometheus: what was asked.
    """
    if prometheus is None:
        return []
    # A scrape comes after the drop, and the question after the scrape.
    until = min(until + 3 * prometheus.every, end)
    found = rise(prometheus, list(fault.closed), fault.submitted, until)
    if found is None:
        return []
    where = found.counted.place or f"the nodes ({found.counted.way}; whose drops is not told)"
    detail = f"{found.counted.metric} of {where} had risen"
    return [Moment("noticed", found.at, RUNNER, found.bound * 1000, "prometheus", detail)]


def silence_of(fault: TimedFault, until: float, seen: Seen) -> dict[str, str]:
    """Say of each detector why it did not notice, if it did not.

    Args:
        fault: which.
        until: when it was over, seconds since 1970.
        seen: the run's samples.
    """
    return {
        "client": _of_client(fault, until, seen),
        "hubble": _of_source(seen.hubble, fault, until),
        "prometheus": _of_source(seen.prometheus, fault, until),
    }


def _of_client(fault: TimedFault, until: float, seen: Seen) -> str:
    if not seen.clients:
        return f"{UNSEEN}it is switched off"
    unseen = [each.unseen(fault.submitted, until) for each in seen.clients]
    if all(unseen):
        return f"{UNSEEN}{unseen[0]}"
    for each in seen.clients:
        run = each.series.at(fault.submitted)
        if run is not None and each.bad(run.result):
            return f"{UNSEEN}customers could not reach the shop before the fault, either"
    return "it noticed nothing: the shop answered all the while"


def _of_source(source: Flows | Counters | None, fault: TimedFault, until: float) -> str:
    if source is None:
        return f"{UNSEEN}it is switched off"
    if why := source.unseen(fault.submitted, until):
        return f"{UNSEEN}{why}"
    if not fault.closed:
        return "it noticed nothing: the fault was predicted to close no connection"
    return "it noticed nothing: no drop of what the fault closes was told"
