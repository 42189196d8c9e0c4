"""PromQL's functions of a range vector: from the samples of a window to one number.

The arithmetic is that of Prometheus 2.42, its order of steps included.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from acns_chaos.lab.net.promql.aggregates import average, largest, smallest

Samples = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Window:
    """The window of a range selector, its edges included.

    Attributes:
        start, end: in milliseconds since 1970.
    """

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """Its width."""
        return (self.end - self.start) / 1000


def extrapolate(name: str, samples: Samples, window: Window) -> float | None:
    """increase, rate or delta over a window, extended to its edges as Prometheus does.

    Args:
        name: "increase", "rate" or "delta".
        samples: in the window, oldest first.
        window: its edges.

    Returns:
        None for fewer than two samples: the first sample of a series is no increase.
    """
    if len(samples) < 2:
        return None
    (first_time, first), (last_time, last) = samples[0], samples[-1]
    result = last - first
    if name != "delta":
        for (_, before), (_, value) in itertools.pairwise(samples):
            if value < before:
                result += before
    sampled = (last_time - first_time) / 1000
    step = sampled / (len(samples) - 1)
    to_start, to_end = (first_time - window.start) / 1000, (window.end - last_time) / 1000
    if name != "delta" and result > 0 and first >= 0:
        # A counter is not extended below zero.
        to_start = min(to_start, sampled * (first / result))
    extended = sampled
    extended += to_start if to_start < step * 1.1 else step / 2
    extended += to_end if to_end < step * 1.1 else step / 2
    factor = extended / sampled
    return result * (factor / window.seconds if name == "rate" else factor)


def _latest(name: str, samples: Samples) -> float | None:
    """Of irate and idelta: between the last two samples."""
    if len(samples) < 2:
        return None
    (before, old), (after, new) = samples[-2:]
    if name == "idelta":
        return new - old
    return (new if new < old else new - old) / ((after - before) / 1000)


def _changes(samples: Samples) -> float:
    pairs = itertools.pairwise(value for _, value in samples)
    return float(sum(b != a and not (math.isnan(a) and math.isnan(b)) for a, b in pairs))


def _resets(samples: Samples) -> float:
    return float(sum(b < a for a, b in itertools.pairwise(value for _, value in samples)))


_OVER_TIME: Mapping[str, Callable[[list[float]], float]] = {
    "avg_over_time": average,
    "min_over_time": smallest,
    "max_over_time": largest,
    "sum_over_time": sum,
    "count_over_time": lambda values: float(len(values)),
    "last_over_time": lambda values: values[-1],
    "present_over_time": lambda _: 1.0,
}
RANGE_FUNCTIONS = frozenset(
    {"increase", "rate", "delta", "irate", "idelta", "changes", "resets", *_OVER_TIME}
)


def over(name: str, samples: Samples, window: Window) -> float | None:
    """One of `RANGE_FUNCTIONS` of one series.

    Args:
        name: of the function.
        samples: at least one.
        window: where they were looked for.

    Returns:
        None when the series has no result.
    """
    if name in _OVER_TIME:
        return _OVER_TIME[name]([value for _, value in samples])
    if name == "changes":
        return _changes(samples)
    if name == "resets":
        return _resets(samples)
    if name in ("irate", "idelta"):
        return _latest(name, samples)
    return extrapolate(name, samples, window)
