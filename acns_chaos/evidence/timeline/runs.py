"""Samples of hours in little memory: neighbours with equal results become one run of them.

What is never given up is where a result changed near a mark, the moment when a fault or its
restore was submitted; only runs far from every mark are summed up when there are too many.
Belongs here: values in order. Does not belong here: where they come from, and what they mean.
"""

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

__all__ = ["MIXED", "Run", "Series"]

# The result of a run that was made of several.
MIXED = "mixed"
# How many runs after a mark are kept whatever comes.
KEPT_AFTER_MARK = 40
# Runs that become one when there are too many.
TOGETHER = 8
DIFFERENT = 40


@dataclass(slots=True)
class Run:
    """Neighbouring samples with one result.

    Attributes:
        result: a word, or MIXED.
        first, last: seconds since 1970, of the first and the last sample.
        count: how many samples.
        received: of the first of them the other time: when its result was known here, or, of
            what is ordered by when it was known, when it happened; seconds since 1970.
        kept: it is near a mark.
        results: of one that was summed up, how often which; empty for any other.
    """

    result: str
    first: float
    last: float
    count: int
    received: float
    kept: bool = False
    results: Counter[str] = field(default_factory=Counter)


class Series:
    """One source's samples; safe for several threads.

    Args:
        name: of the source.
        window: seconds within which samples may come out of order.
        gap: seconds without a sample that end a run, for events instead of samples; None never.
        most: runs to keep.
    """

    def __init__(
        self, name: str, window: float = 0.0, gap: float | None = None, most: int = 2000
    ) -> None:
        self.name = name
        self.samples = 0
        self.longest_gap = 0.0
        self.summed_up = 0
        self._window, self._gap, self._most = window, gap, most
        self._runs: list[Run] = []
        self._waiting: list[tuple[float, int, str, float]] = []
        self._marks: list[float] = []
        self._keep = 0
        self._results: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, at: float, result: str, received: float = 0.0) -> None:
        """Take a sample.

        Args:
            at: when it began, seconds since 1970.
            result: what came of it, a word.
            received: the other time of it, see `Run`; 0 means the same.
        """
        with self._lock:
            self.samples += 1
            heapq.heappush(self._waiting, (at, self.samples, result, received or at))
            self._settle(at - self._window)

    def mark(self, at: float) -> None:
        """Remember a moment that matters: no run reaches across it, and those near it are kept."""
        with self._lock:
            self._marks = sorted([*self._marks, at])

    def flush(self) -> None:
        """Take what still waits for earlier samples: there will be none."""
        with self._lock:
            self._settle(float("inf"))

    def runs(self) -> list[Run]:
        """Return the runs, oldest first."""
        with self._lock:
            return list(self._runs)

    def first(self, since: float, wanted: Callable[[str], bool]) -> tuple[Run | None, Run | None]:
        """Find the first run that began at or after a moment, by its result.

        Returns:
            The run before it (None at the beginning) and the run, None when there is none.
        """
        before: Run | None = None
        for run in self.runs():
            if run.first >= since and wanted(run.result):
                return before, run
            before = run
        return before, None

    def summed(self, since: float, until: float) -> bool:
        """Whether samples of a stretch of time were summed up, so that it shows no changes."""
        return any(run.results and run.first <= until and run.last >= since for run in self.runs())

    def at(self, moment: float) -> Run | None:
        """Return the last run that began by a moment, None when there is none."""
        found = None
        for run in self.runs():
            if run.first > moment:
                break
            found = run
        return found

    def as_json(
        self, iso: Callable[[float], str], most: int = 60, results: bool = True
    ) -> dict[str, Any]:
        """Return the journal's summary: counts, the longest gap, and the newest runs.

        Args:
            iso: writes a moment.
            most: runs to write; those near a mark come first.
            results: whether to count them; false where they are values and no words.
        """
        with self._lock:
            kept = [run for run in self._runs if run.kept][-most:]
            others = [run for run in self._runs if not run.kept]
            shown = sorted(
                [*kept, *others[max(0, len(others) - most + len(kept)) :]],
                key=lambda one: one.first,
            )
            return {
                "samples": self.samples,
                **({"results": dict(self._results.most_common(20))} if results else {}),
                "longest_gap_ms": round(self.longest_gap * 1000, 1),
                "runs": [
                    {
                        "result": run.result,
                        "from": iso(run.first),
                        "to": iso(run.last),
                        "count": run.count,
                        **({"results": dict(run.results)} if run.results else {}),
                    }
                    for run in shown
                ],
                "runs_not_shown": len(self._runs) - len(shown),
                "runs_summed_up": self.summed_up,
            }

    # ------------------------------------------------------------------ in the lock

    def _settle(self, until: float) -> None:
        while self._waiting and self._waiting[0][0] <= until:
            at, _, result, received = heapq.heappop(self._waiting)
            self._take(at, result, received)

    def _take(self, at: float, result: str, received: float) -> None:
        _count(self._results, result)
        last = self._runs[-1] if self._runs else None
        if last is not None:
            at = max(at, last.last)
            self.longest_gap = max(self.longest_gap, at - last.last)
        marked = self._passed(at)
        if marked and last is not None:
            last.kept = True
            self._keep = KEPT_AFTER_MARK
        split = self._gap is not None and last is not None and at - last.last > self._gap
        if last is not None and last.result == result and not marked and not split:
            last.last, last.count = at, last.count + 1
            return
        self._runs.append(Run(result, at, at, 1, received, kept=self._keep > 0))
        self._keep = max(0, self._keep - 1)
        if len(self._runs) > self._most:
            self._sum_up()

    def _passed(self, at: float) -> bool:
        """Whether a mark lies before this sample and not before the one before it."""
        passed = [mark for mark in self._marks if mark <= at]
        if passed:
            self._marks = self._marks[len(passed) :]
        return bool(passed)

    def _sum_up(self) -> None:
        """Make fewer runs of the older half, but not of those near a mark."""
        older = self._runs[: len(self._runs) // 2]
        fewer: list[Run] = []
        joined = 0
        for run in older:
            if joined in (0, TOGETHER) or run.kept or fewer[-1].kept:
                fewer.append(run)
                joined = 1
                continue
            _join(fewer[-1], run)
            joined += 1
        self.summed_up += len(older) - len(fewer)
        if len(fewer) == len(older):
            # Nothing but marks: the oldest of them give way next time.
            for run in older:
                run.kept = False
        self._runs[: len(older)] = fewer


def _join(run: Run, following: Run) -> None:
    """Make one run of two neighbours."""
    run.results = run.results or Counter({run.result: run.count})
    for result, count in (following.results or {following.result: following.count}).items():
        _count(run.results, result, count)
    if len(run.results) > 1:
        run.result = MIXED
    run.last, run.count = following.last, run.count + following.count


def _count(results: Counter[str], result: str, count: int = 1) -> None:
    """Count, but never more different results than anybody reads."""
    results[result if result in results or len(results) < DIFFERENT else MIXED] += count
