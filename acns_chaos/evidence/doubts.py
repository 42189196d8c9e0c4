"""What a drop counter rose by, and why that may not be all: not scraped, lost, not kept, not ours.

Questions to Prometheus that make "too little was counted" an answer. What the answer is expected to
be is not known here.
"""

from collections.abc import Callable, Mapping

from acns_chaos.cluster.prometheus import (
    AGENT,
    HUBBLE,
    LOST,
    Counter,
    Freshness,
    Prometheus,
    drops_at_node,
)
from acns_chaos.evidence.increase import Increase, increase

__all__ = ["blindness_of", "doubt_about", "patience_of", "rise_of"]

# A sample may be this many scrapes old: one may fail, and another be on its way.
STALE_SCRAPES = 2.5
# The same while nobody knows how far scrapes are apart, in seconds.
STALE_SECONDS = 120.0
# The losses that the metrics are taken behind; the third source concerns readers of flows only.
_LOST_BEFORE = ("perf_event_ring_buffer", "observer_events_queue")


def rise_of(
    prometheus: Prometheus, counter: Counter, begin: float, end: float, fresh: Freshness
) -> Increase:
    """Measure how much a drop counter rose.

    Args:
        prometheus: that has it.
        counter: which.
        begin: seconds since 1970 by Prometheus' clock.
        end: likewise.
        fresh: when its nodes were scraped.

    Raises:
        ApiError: Prometheus cannot be asked.
    """
    margin = patience_of(prometheus, counter.source)
    based: list[Freshness] = []

    def was_scraped(node: str) -> bool:
        if not based:
            based.append(prometheus.freshness(counter.source, begin))
        return based[0].ages.get(node, margin + 1) <= margin

    found = prometheus.series(prometheus.selector(counter.query), begin - margin, end)
    return increase(
        (one for one in found if counter.counts(one.labels)),
        begin,
        prometheus.nodes().of,
        {node: fresh.at - age for node, age in fresh.ages.items()},
        was_scraped,
    )


def patience_of(prometheus: Prometheus, source: str) -> float:
    """Return how old, in seconds, a node's newest sample may be; errors as `rise_of`."""
    interval = prometheus.scrape_interval(source)
    # Half a second for a lab's scrape that comes late on a busy machine.
    return STALE_SECONDS if interval is None else STALE_SCRAPES * interval + 0.5


def doubt_about(
    prometheus: Prometheus, counter: Counter, begin: float, fresh: Freshness, rise: Increase
) -> str:
    """Say why more may have been dropped than was counted, "" for no reason to think so."""
    if fresh.is_foreign:
        return (
            f"the metrics come from {', '.join(fresh.foreign[:3])}, and none from this cluster's "
            f"{len(fresh.missing)} nodes: it is another cluster's Prometheus, or "
            "ACNS_CHAOS_PROMETHEUS_CLUSTER names another one"
        )
    if stale := _stale(prometheus, counter.source, begin, fresh):
        return stale
    if rise.unfounded:
        return f"{_some(rise.unfounded)} was not scraped when the window began"
    if prometheus.warnings:
        return f"the answer may be partial: {prometheus.warnings[0]}"
    if counter.source == HUBBLE:
        return _unheard(prometheus, counter, begin, fresh, rise)
    return ""


def blindness_of(
    prometheus: Prometheus,
    counter: Counter,
    at: float | None = None,
    ours: Callable[[Mapping[str, str]], object] = lambda _: True,
) -> str:
    """Say why a counter could not show the drop of any pod, "" when it shows some pod's.

    Args:
        prometheus: that has it.
        counter: which.
        at: seconds since 1970 by Prometheus' clock; None is its now.
        ours: tells this cluster's series by their labels; without it all are.

    Raises:
        ApiError: Prometheus cannot be asked.
    """

    def there(query: str) -> bool:
        found = prometheus.instant(f"count by (instance, node) ({prometheus.selector(query)})", at)
        return any(ours(one.labels) for one in found)

    if there(counter.named):
        return ""
    if not counter.side or not there(counter.metric):
        return f"{counter.metric} has no series"
    return (
        f"no series of {counter.metric} names a pod as {counter.side} (namespace/name, which "
        f"Hubble's metric drop writes with {counter.wanted})"
    )


def _stale(prometheus: Prometheus, source: str, begin: float, fresh: Freshness) -> str:
    window, patience = fresh.at - begin, patience_of(prometheus, source)
    late = fresh.behind(min(window, patience))
    if not late:
        return ""
    interval = prometheus.scrape_interval(source)
    if interval is not None and window < interval and not fresh.behind(patience):
        return (
            f"the window of {window:.1f} s is shorter than the {interval:g} s between two scrapes: "
            f"make it {2 * interval:g} s or more"
        )
    if not fresh.ages:
        return f"Prometheus has no {source} metrics of the last minutes from any node"
    ages = [f"{fresh.ages[node]:.1f} s" for node in late if node in fresh.ages]
    age = f": its newest sample is {ages[0]} old" if ages else ": it has no sample of it"
    return f"Prometheus has no fresh drop metrics of {_some(late)}{age}"


def _unheard(
    prometheus: Prometheus, counter: Counter, begin: float, fresh: Freshness, rise: Increase
) -> str:
    """Say why Hubble may not have counted what the kernel dropped."""
    lost = _lost(prometheus, begin, fresh)
    if lost > 0:
        return f"Hubble lost {lost:g} events in that time"
    blind = blindness_of(prometheus, counter, fresh.at, prometheus.nodes().of)
    if not blind and not rise.vanished:
        return ""
    # None that could show it, or one that is gone with its pod or its agent's memory: the kernel's
    # counter survives both, and says whether there was anything to count.
    why = blind or f"series of {counter.metric} are gone"
    other = drops_at_node(counter.way)
    agents = prometheus.freshness(AGENT, fresh.at)
    if _stale(prometheus, AGENT, begin, agents):
        return f"{why}, and {other.metric} is not fresh"
    kernel = rise_of(prometheus, other, begin, fresh.at, agents)
    if kernel.unfounded or kernel.count > 0:
        return f"{why}, while {other.metric} rose by {kernel.count:g}"
    return ""


def _lost(prometheus: Prometheus, begin: float, fresh: Freshness) -> float:
    found = prometheus.series(prometheus.selector(LOST), begin - STALE_SECONDS, fresh.at)
    kept = (one for one in found if one.labels.get("source", "").lower() in _LOST_BEFORE)
    return increase(kept, begin, prometheus.nodes().of, {}, lambda _: True).count


def _some(names: tuple[str, ...]) -> str:
    rest = len(names) - 2
    return " and ".join(names[:2]) + (f" and {rest} more nodes" if rest > 0 else "")
