"""Samples over time, as a Prometheus server keeps them. What is asked of them is in `evaluation`.

Times are whole milliseconds since 1970, as in Prometheus, so that the edges of windows are exact.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import re2

Labels = tuple[tuple[str, str], ...]
Matcher = Callable[[Mapping[str, str]], bool]

# An instant query takes the newest sample of this many milliseconds.
LOOKBACK = 300_000
# Older samples are forgotten, a good while after any window that somebody looks at.
KEEP = 3_600_000
_TRIM_EVERY = 600
_QUIET = re2.Options()
_QUIET.log_errors = False
_QUIET.dot_nl = True


class PatternError(Exception):
    """A regular expression is none. One sentence."""


def milliseconds(seconds: float) -> int:
    """A moment or a span in whole milliseconds."""
    return round(seconds * 1000)


class Series:
    """One time series.

    Attributes:
        labels: sorted, `__name__` among them.
        names: the same as a mapping.
    """

    # Most series stand still, and all of a target share the moments of its scrapes: what is kept
    # is from when to when a series had which value. An hour of samples would not fit otherwise.
    __slots__ = ("_ends", "_firsts", "_lasts", "_moments", "_values", "labels", "names")

    def __init__(self, labels: Labels, moments: "array[int]") -> None:
        """Start empty.

        Args:
            labels: sorted.
            moments: of its target's scrapes; whoever owns them adds each before the samples.
        """
        self.labels = labels
        self.names = dict(labels)
        self._moments = moments
        self._firsts = array("q")
        self._lasts = array("q")
        self._values = array("d")
        # Staleness markers: moments at which a scrape no longer found the series.
        self._ends: list[int] = []

    def append(self, at: int, value: float) -> None:
        """Add a sample; times only grow."""
        stands = bool(self._values) and self._values[-1] == value
        if stands and not (self._ends and self._ends[-1] >= self._lasts[-1]):
            self._lasts[-1] = at
            return
        self._firsts.append(at)
        self._lasts.append(at)
        self._values.append(value)

    def end(self, at: int) -> None:
        """Note that the series was gone at a moment."""
        self._ends.append(at)

    def at(self, when: int) -> tuple[int, float] | None:
        """The newest sample as (time, value).

        Returns:
            None when there is none within the look-back, its far edge included, or when the
            series ended after it.
        """
        run = bisect_right(self._firsts, when) - 1
        if run < 0:
            return None
        index = bisect_right(self._moments, min(self._lasts[run], when)) - 1
        if index < 0 or self._moments[index] < when - LOOKBACK:
            return None
        newest = self._moments[index]
        if self._ends:
            last = bisect_right(self._ends, when) - 1
            if last >= 0 and self._ends[last] >= newest:
                return None
        return newest, self._values[run]

    def between(self, start: int, end: int) -> list[tuple[int, float]]:
        """The samples from `start` to `end`, both included, as (time, value)."""
        found: list[tuple[int, float]] = []
        for run in range(bisect_left(self._lasts, start), bisect_right(self._firsts, end)):
            low = bisect_left(self._moments, max(start, self._firsts[run]))
            high = bisect_right(self._moments, min(end, self._lasts[run]))
            value = self._values[run]
            found += [(moment, value) for moment in self._moments[low:high]]
        return found

    def forget(self, before: int) -> bool:
        """Drop older samples; True when none is left."""
        index = bisect_left(self._lasts, before)
        del self._firsts[:index]
        del self._lasts[:index]
        del self._values[:index]
        self._ends = [end for end in self._ends if end >= before]
        return not self._values


class History:
    """All series of one server.

    Attributes:
        generation: another number whenever a series has come or gone.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._series: dict[Labels, Series] = {}
        self._present: dict[Hashable, dict[Labels, Series]] = {}
        self._moments: dict[Hashable, array[int]] = {}
        self._scrapes = 0

    def append(
        self, at: float, samples: Iterable[tuple[Labels, float]], target: Hashable = None
    ) -> None:
        """Store one scrape.

        A series that the target's previous scrape had and this one has not is marked as ended.

        Args:
            at: seconds since 1970.
            samples: sorted labels and value.
            target: what was scraped; labels name it, so that no series is of two targets.
        """
        moment = milliseconds(at)
        moments = self._moments.setdefault(target, array("q"))
        if not moments or moments[-1] != moment:
            moments.append(moment)
        before = self._present.get(target, {})
        now: dict[Labels, Series] = {}
        for labels, value in samples:
            series = before.pop(labels, None) or self._series.get(labels)
            if series is None:
                series = self._series[labels] = Series(labels, moments)
                self.generation += 1
            series.append(moment, value)
            now[labels] = series
        for gone in before.values():
            gone.end(moment)
        self._present[target] = now
        self._scrapes += 1
        if self._scrapes % _TRIM_EVERY == 0:
            self._trim(moment - KEEP)

    def _trim(self, before: int) -> None:
        for labels, series in list(self._series.items()):
            if series.forget(before):
                del self._series[labels]
                self.generation += 1
        for moments in self._moments.values():
            del moments[: bisect_left(moments, before)]

    def select(self, matchers: Iterable[Matcher]) -> list[Series]:
        """The series that all matchers accept."""
        wanted = list(matchers)
        return [s for s in self._series.values() if all(match(s.names) for match in wanted)]


def matcher(label: str, operator: str, value: str) -> Matcher:
    """A label matcher; an absent label counts as empty.

    Args:
        label: its name.
        operator: "=", "!=", "=~" or "!~".
        value: text or RE2 expression, which must match the whole value.

    Raises:
        PatternError: the expression is none.
    """
    if operator == "=":
        return lambda labels: labels.get(label, "") == value
    if operator == "!=":
        return lambda labels: labels.get(label, "") != value
    pattern = compiled(value)
    wanted = operator == "=~"
    return lambda labels: (pattern.fullmatch(labels.get(label, "")) is not None) is wanted


def compiled(pattern: str) -> Any:
    """An RE2 expression, ready to be tried.

    Raises:
        PatternError: it is none.
    """
    try:
        return re2.compile(pattern, _QUIET)
    except re2.error as problem:
        why = problem.args[0] if problem.args else problem
        text = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise PatternError(f"error parsing regexp: {text}") from problem
