"""How much counters rose in a window: raw samples, each series against its own baseline.

A series that did not exist counts from 0; one that fell began again with its agent and counts from
0 once more. A sum would hide both. Nothing here asks anybody.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from acns_chaos.cluster.prometheus import Series

__all__ = ["Increase", "increase"]


@dataclass(frozen=True, slots=True)
class Increase:
    """What a window holds.

    Attributes:
        before: sum of the values when it began.
        count: by how much they rose since.
        resets: how often a counter fell.
        series: how many were looked at.
        vanished: series that had a value when the window began, and have none at its end.
        unfounded: nodes whose counters have no baseline: nobody knows from where they rose.
        first: when a sample first showed a rise, seconds since 1970 by Prometheus' clock.
    """

    before: float = 0.0
    count: float = 0.0
    resets: int = 0
    series: int = 0
    vanished: int = 0
    unfounded: tuple[str, ...] = ()
    first: float | None = None


@dataclass(frozen=True, slots=True)
class _Rise:
    before: float
    count: float
    resets: int
    first: float | None
    vanished: bool


def increase(
    found: Iterable[Series],
    begin: float,
    node_of: Callable[[Mapping[str, str]], str],
    newest: Mapping[str, float],
    was_scraped: Callable[[str], bool],
) -> Increase:
    """Add up how much series rose since a moment.

    Args:
        found: series with their samples from some time before *begin* on.
        begin: seconds since 1970, by the samples' clock.
        node_of: name of the node that a series comes from; series of "" are somebody else's.
        newest: moment of each node's newest scrape, the same clock.
        was_scraped: whether a node was scraped shortly before *begin*, so that a series which was
            not there then was 0.

    Returns:
        The sum over all series that have a baseline.
    """
    rises: list[_Rise] = []
    unfounded = set()
    for one in found:
        node = node_of(one.labels)
        if not node or not one.samples:
            continue
        is_new = one.samples[0][0] > begin
        if is_new and not was_scraped(node):
            unfounded.add(node)
            continue
        rises.append(_rise(one, begin, newest.get(node, 0.0)))
    return Increase(
        sum(one.before for one in rises),
        sum(one.count for one in rises),
        sum(one.resets for one in rises),
        len(rises),
        sum(one.vanished for one in rises),
        tuple(sorted(unfounded)),
        min((one.first for one in rises if one.first is not None), default=None),
    )


def _rise(one: Series, begin: float, newest: float) -> _Rise:
    before = last = count = 0.0
    resets, first = 0, None
    for at, value in one.samples:
        if at <= begin:
            before = last = value
            continue
        step = value - last if value >= last else value
        resets += value < last
        count, last = count + step, value
        if step > 0 and first is None:
            first = at
    existed = one.samples[0][0] <= begin
    # Both endpoints of a node are scraped in turn: half a second apart is not behind.
    return _Rise(before, count, resets, first, existed and one.samples[-1][0] < newest - 0.5)
