"""Readings of drop counters: how much they rose in a window, and whether that is all there was.

A count that is there was seen. A count that is not there proves something only if every node was
scraped, nothing was lost on the way, and the series could have shown it: else it is UNKNOWN.
"""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.prometheus import (
    Counter,
    Freshness,
    Prometheus,
    drops_at_node,
    drops_of_workload,
    prometheus_from,
)
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence.doubts import doubt_about, rise_of
from acns_chaos.evidence.increase import Increase
from acns_chaos.evidence.readings import COUNTED, UNKNOWN, Reading, reading

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

__all__ = ["Bounds", "counter_named", "read_counter"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a count is expected to be; `at_most` None means no upper bound."""

    at_least: float = 0.0
    at_most: float | None = None

    @classmethod
    def given(cls, at_least: float, at_most: float) -> Self:
        """Read a probe's arguments; a negative upper bound means none."""
        return cls(at_least, at_most if at_most >= 0 else None)

    def hold(self, count: float) -> bool:
        """Tell whether *count* is within the bounds."""
        return count >= self.at_least and not self.exceeded_by(count)

    def exceeded_by(self, count: float) -> bool:
        """Tell whether *count* is too large."""
        return self.at_most is not None and count > self.at_most

    def shown_by(self, count: float) -> bool:
        """Tell whether what was counted decides alone, whatever was not counted."""
        return self.exceeded_by(count) or (self.at_most is None and count >= self.at_least > 0)

    def as_json(self) -> dict[str, float | None]:
        """Return the journal's form."""
        return {"at_least": self.at_least, "at_most": self.at_most}


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a window: what rose, and why that may not be all."""

    begin: float
    end: float
    rise: Increase
    fresh: Freshness
    doubt: str


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
    api: Api,
    environ: Mapping[str, str],
    counter: Counter,
    what: str,
    start: str,
    window: float,
    bounds: Bounds,
    deadline: float,
    restored: str = "",
) -> Reading:
    """Count policy drops since a moment, until the count is as expected or *deadline* has passed.

    Args:
        api: the cluster whose nodes are to have counted them.
        environ: looked up for Prometheus (docs/prometheus.md).
        counter: which.
        what: a few words for people.
        start: ISO 8601 moment to count from; "" counts over a sliding window.
        window: its length in seconds.
        bounds: the expected count.
        deadline: seconds; 0 asks once.
        restored: ISO 8601 moment when this run's last fault was gone: a window that reaches back
            to before it holds the run's own drops.

    Returns:
        COUNTED with the increase. UNKNOWN when Prometheus cannot be asked; when what it has is of
        another cluster; and when too little was counted while a node was not scraped, events were
        lost, or the series could not have shown them.
    """
    looks: list[_Look] = []

    def expected() -> bool:
        end = prometheus.now()
        begin = end - window
        if start:
            begin = prometheus.moment(datetime.fromisoformat(start).timestamp())
        own = 0.0 if start else after
        looks[:] = [_look(prometheus, counter, begin, end, bounds, own)]
        return bounds.hold(looks[0].rise.count) and not looks[0].doubt

    query, notes, after = counter.query, list[str](), 0.0
    try:
        prometheus = prometheus_from(api, environ)
        if restored:
            after = prometheus.moment(datetime.fromisoformat(restored).timestamp())
        query, notes = prometheus.selector(counter.query), prometheus.notes
        wait_until(expected, deadline, _pace(prometheus, counter.source))
    except ApiError as error:
        evidence = {"query": query, "asked_again": notes}
        return reading(UNKNOWN, what, str(error), None, bounds.as_json(), evidence)
    return _told(prometheus, counter, what, bounds, looks[0])


def _pace(prometheus: Prometheus, source: str) -> float:
    """Ask some times between two scrapes, and never more than ten times a second."""
    interval = prometheus.scrape_interval(source)
    return min(2.0, max(0.1, (interval or 1.0) / 5))


def _look(
    prometheus: Prometheus,
    counter: Counter,
    begin: float,
    end: float,
    bounds: Bounds,
    restored: float,
) -> _Look:
    # First the scrapes, then the samples: what was scraped is then among them.
    fresh = prometheus.freshness(counter.source, end)
    rise = rise_of(prometheus, counter, begin, end, fresh)
    doubt = (
        "" if bounds.shown_by(rise.count) else doubt_about(prometheus, counter, begin, fresh, rise)
    )
    # The first sample after the restore may still show what was dropped before it.
    settled = restored + (prometheus.scrape_interval(counter.source) or 0.0)
    if restored and bounds.exceeded_by(rise.count) and begin < settled:
        doubt = (
            "the window reaches back to this run's own fault: "
            f"ask {math.ceil(settled - begin)} s longer (the probe's deadline)"
        )
    return _Look(begin, end, rise, fresh, doubt)


def _told(
    prometheus: Prometheus, counter: Counter, what: str, bounds: Bounds, look: _Look
) -> Reading:
    rise, clock = look.rise, prometheus.clock()
    evidence: dict[str, Any] = {
        "query": prometheus.selector(counter.query),
        "before": rise.before,
        "after": rise.before + rise.count,
        "seconds": round(time.time() - (look.begin - clock.ahead), 3),
        "fresh": not look.doubt,
        "packets": rise.count / counter.per_packet,
        "series": rise.series,
        "resets": rise.resets,
        "first_counted": _iso(rise.first, clock.ahead),
        "scrape_interval": prometheus.scrape_interval(counter.source),
        "clock_ahead": None if clock.bound is None else round(clock.ahead, 3),
        "freshness": look.fresh.as_json(),
    }
    if prometheus.notes:
        evidence["asked_again"] = prometheus.notes[:10]
    if look.doubt:
        text = f"{rise.count:g} counted by {counter.metric}, which proves nothing: {look.doubt}"
        return reading(UNKNOWN, what, text, None, bounds.as_json(), evidence, count=rise.count)
    text = f"{rise.count:g} counted by {counter.metric}"
    met = bounds.hold(rise.count)
    return reading(COUNTED, what, text, met, bounds.as_json(), evidence, count=rise.count)


def _iso(at: float | None, ahead: float) -> str:
    """Write a moment of Prometheus' clock by this machine's, "" for none."""
    return "" if at is None else datetime.fromtimestamp(at - ahead, UTC).isoformat()
