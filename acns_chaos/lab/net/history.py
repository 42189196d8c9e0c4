"""Samples over time, as a Prometheus server keeps them. What is asked of them is in `promql`."""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping

from acns_chaos.lab.net.metrics import Labels

# An instant query takes the newest sample of this many seconds.
LOOKBACK = 300.0
# Older samples are forgotten, a good while after any window that somebody looks at.
KEEP = 3600.0
_TRIM_EVERY = 600

Matcher = Callable[[Mapping[str, str]], bool]


class Series:
    """One time series.

    Attributes:
        labels: sorted, `__name__` among them.
        names: the same as a mapping.
    """

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.names = dict(labels)
        self._times = array("d")
        self._values = array("d")

    def append(self, at: float, value: float) -> None:
        """Add a sample; times only grow."""
        self._times.append(at)
        self._values.append(value)

    def at(self, when: float) -> float | None:
        """The newest value not older than the look-back, None when there is none."""
        index = bisect_right(self._times, when) - 1
        if index < 0 or self._times[index] <= when - LOOKBACK:
            return None
        return self._values[index]

    def between(self, start: float, end: float) -> list[tuple[float, float]]:
        """The samples after `start` and not after `end`, as (time, value)."""
        low, high = bisect_right(self._times, start), bisect_right(self._times, end)
        return list(zip(self._times[low:high], self._values[low:high], strict=True))

    def forget(self, before: float) -> bool:
        """Drop older samples; True when none is left."""
        index = bisect_left(self._times, before)
        del self._times[:index]
        del self._values[:index]
        return not self._times


class History:
    """All series of one server."""

    def __init__(self) -> None:
        self._series: dict[Labels, Series] = {}
        self._scrapes = 0

    def append(self, at: float, samples: Iterable[tuple[Labels, float]]) -> None:
        """Store one scrape.

        Args:
            at: seconds since 1970.
            samples: sorted labels and value.
        """
        for labels, value in samples:
            series = self._series.get(labels)
            if series is None:
                series = self._series[labels] = Series(labels)
            series.append(at, value)
        self._scrapes += 1
        if self._scrapes % _TRIM_EVERY == 0:
            for labels, series in list(self._series.items()):
                if series.forget(at - KEEP):
                    del self._series[labels]

    def select(self, matchers: Iterable[Matcher]) -> list[Series]:
        """The series that all matchers accept."""
        wanted = list(matchers)
        return [s for s in self._series.values() if all(match(s.names) for match in wanted)]


def matcher(label: str, operator: str, value: str) -> Matcher:
    """A label matcher; an absent label counts as empty.

    Args:
        label: its name.
        operator: "=", "!=", "=~" or "!~".
        value: text or regular expression, which must match the whole value.

    Raises:
        re.error: the expression is none to Python.
    """
    if operator == "=":
        return lambda labels: labels.get(label, "") == value
    if operator == "!=":
        return lambda labels: labels.get(label, "") != value
    pattern = re.compile(value, re.DOTALL)
    wanted = operator == "=~"
    return lambda labels: (pattern.fullmatch(labels.get(label, "")) is not None) is wanted
