"""Prometheus, asked at its own pace: when a drop counter of the namespace rose.

Counters are compared one by one with their own value before, so that one that began again at 0
hides nothing; a counter that was not there counts as 0, when Prometheus was asked before.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.prometheus import (
    Counter,
    Prometheus,
    drops_at_node,
    drops_of_workload,
    prometheus_from,
)
from acns_chaos.errors import ApiError
from acns_chaos.evidence.timeline.flows import Predicted
from acns_chaos.evidence.timeline.runs import MIXED, Run, Series
from acns_chaos.evidence.timeline.sampling import SUMMED, Schedule, Source

__all__ = ["Counters", "Rise", "rise"]

# Seconds between two questions while Prometheus' pace is not known, at first and at most; and the
# least ever.
SOON, USUAL, LEAST = 0.25, 15.0, 0.25
# Seconds between two looks at how fresh the samples are; scrapes that may be missing until then.
FRESH, LATE_SCRAPES = 5.0, 3
DIFFERENT, MOST = 200, 500


@dataclass(frozen=True, slots=True)
class Counted:
    """One counter's series: which metric, at whose pods ("" at a node), which side or way."""

    metric: str
    place: str
    way: str


@dataclass(frozen=True, slots=True)
class Rise:
    """The first rise of a counter.

    Attributes:
        at: when it was first seen, seconds since 1970 by this machine's clock.
        bound: seconds since the question before, which did not show it yet.
    """

    at: float
    bound: float
    counted: Counted


class Counters(Source):
    """Drop counters.

    Args:
        api: the cluster.
        environ: names Prometheus.
        namespace: whose pods.
        every: seconds between two questions, 0 for the scrape interval.
    """

    def __init__(
        self, api: Api, environ: Mapping[str, str], namespace: str, every: float = 0.0
    ) -> None:
        super().__init__("prometheus")
        self.asked = Series(self.name, most=200)
        self.every = every
        self.skipped = 0
        self.forgotten = 0
        self._open: Callable[[], Prometheus] = lambda: prometheus_from(api, environ)
        self._namespace = namespace
        self._rows: dict[Counted, Series] = {}
        self._fresh = 0.0

    def watch(self, stop: threading.Event) -> None:
        """Ask on schedule."""
        prometheus = self._open()
        counters = {
            "destination": drops_of_workload(self._namespace, "", "ingress"),
            "source": drops_of_workload(self._namespace, "", "egress"),
            "": drops_at_node(""),
        }
        schedule: Schedule | None = None
        self.about = f"drop counters at {prometheus.url}"
        wait = SOON
        while not stop.is_set():
            try:
                schedule = schedule or self._paced(prometheus)
                every = wait if schedule is None else self.every
                self._ask(prometheus, counters, every, time.time())
            except ApiError as error:
                self.blind(str(error).rstrip("."))
            if schedule is None:
                stop.wait(wait)
                wait = min(1.5 * wait, USUAL)
            else:
                stop.wait(schedule.take())
                self.skipped = schedule.skipped

    def rows(self) -> list[tuple[Counted, Series]]:
        """Return the counters with their values."""
        with self._lock:
            return list(self._rows.items())

    def unseen(self, since: float, until: float) -> str:
        """Say why it did not see the whole of a stretch of time, "" when it did."""
        summed = any(series.summed(since, until) for _, series in self.rows())
        if summed:
            return SUMMED
        if why := super().unseen(since, until):
            return why
        asked = self.asked.runs()
        if not self.every or not asked or asked[-1].last < since + self.every:
            return "the run ended before a scrape after the fault was due"
        return ""

    def mark(self, at: float) -> None:
        """A fault or its restore was submitted at this moment."""
        for _, series in self.rows():
            series.mark(at)
        self.asked.mark(at)

    def _paced(self, prometheus: Prometheus) -> Schedule | None:
        """Find the pace; None while Prometheus has not yet been seen to scrape twice."""
        if not self.every:
            told = prometheus.scrape_interval()
            if told is None:
                return None
            self.every = max(LEAST, told)
        self.about += f", every {self.every:g} s"
        schedule = Schedule(1 / self.every)
        schedule.take()
        return schedule

    def _ask(
        self, prometheus: Prometheus, counters: Mapping[str, Counter], every: float, at: float
    ) -> None:
        values: dict[Counted, float] = {}
        for side, counter in counters.items():
            for one in prometheus.instant(prometheus.selector(counter.query)):
                if counter.counts(one.labels):
                    way = side or one.labels.get("direction", "").lower()
                    key = Counted(counter.metric, one.labels.get(side, ""), way)
                    values[key] = values.get(key, 0.0) + one.last
        with self._lock:
            for key, value in values.items():
                if key not in self._rows and len(self._rows) >= DIFFERENT:
                    self.forgotten += 1
                    continue
                row = self._rows.setdefault(key, Series(key.metric, most=MOST))
                row.add(at, f"{value:g}")
        self.asked.add(at, "asked")
        self._judge(prometheus, every)

    def _judge(self, prometheus: Prometheus, every: float) -> None:
        """See whether the samples are of this cluster, and fresh; else no rise says nothing."""
        if self._fresh and time.monotonic() - self._fresh < max(FRESH, every):
            return
        found = prometheus.freshness()
        self._fresh = time.monotonic()
        behind = found.behind(LATE_SCRAPES * every + 1.0)
        if found.is_foreign:
            self.blind("its metrics are of other nodes than this cluster's")
        elif behind:
            self.blind(f"its samples of {', '.join(behind[:3])} are old or missing")
        else:
            self.saw()


def rise(source: Counters, flows: list[Predicted], since: float, until: float) -> Rise | None:
    """Find the first rise of a counter that a fault's drops would make rise.

    Args:
        source: what was asked.
        flows: that the fault closes.
        since: from when on, seconds since 1970.
        until: and until when.

    Returns:
        The first one at the pods in question; without any, the first one at a node; else None.
    """
    workloads = {name for flow in flows for name in (flow.source, flow.destination) if "/" in name}
    at_pods = [one for one in source.rows() if one[0].place]
    mine = [one for one in at_pods if _is_of(one[0].place, workloads)]
    # At a node there is no telling whose drops they were: second choice.
    for rows in (mine, [one for one in source.rows() if not one[0].place]):
        if any(series.summed(since, until) for _, series in rows):
            return None
        found = [one for one in (_first(source, *row, since, until) for row in rows) if one]
        if found:
            return min(found, key=lambda one: one.at)
    return None


def _is_of(place: str, workloads: set[str]) -> bool:
    return any(place == one or place.startswith(f"{one}-") for one in workloads)


def _first(
    source: Counters, counted: Counted, series: Series, since: float, until: float
) -> Rise | None:
    before: Run | None = None
    for run in series.runs():
        if run.first > until:
            return None
        if run.first >= since and run.result != MIXED and _rose(before, run):
            asked = source.asked.runs()
            known = before is not None or any(one.first < since for one in asked)
            # A counter that was there when Prometheus was first asked has not risen.
            bound = run.first - before.last if before is not None else source.every
            return Rise(run.first, bound, counted) if known else None
        before = run
    return None


def _rose(before: Run | None, run: Run) -> bool:
    value = float(run.result)
    if before is None:
        return value > 0
    if before.result == MIXED:
        return False
    was = float(before.result)
    # One that is lower began again at 0.
    return value > was or 0 < value < was
