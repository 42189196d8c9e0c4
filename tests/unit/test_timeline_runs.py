"""Samples in little memory, and moments that do not drift."""

import threading

import pytest

from acns_chaos.evidence.timeline.moments import iso, seconds
from acns_chaos.evidence.timeline.runs import MIXED, Series
from acns_chaos.evidence.timeline.sampling import Schedule, Source


def results(series: Series) -> list[tuple[str, float, float, int]]:
    """The runs as tuples."""
    return [(run.result, run.first, run.last, run.count) for run in series.runs()]


class TestSeries:
    """Neighbours with equal results are one run."""

    def test_equal_neighbours_are_one_run(self) -> None:
        """An hour of one result is one run, with its count and its ends."""
        series = Series("x")
        for number in range(3600):
            series.add(float(number), "connected")
        series.add(3600.0, "silent")

        assert results(series) == [("connected", 0.0, 3599.0, 3600), ("silent", 3600.0, 3600.0, 1)]

    def test_samples_that_end_late_stand_in_the_order_of_their_beginnings(self) -> None:
        """A silent attempt is known half a second after quick ones that began later."""
        series = Series("x", window=1.0)
        series.add(1.0, "connected")
        series.add(1.2, "connected")
        series.add(1.1, "silent", received=1.6)
        series.flush()

        assert [one[0] for one in results(series)] == ["connected", "silent", "connected"]

    def test_no_run_reaches_across_a_mark(self) -> None:
        """What was already failing before a fault does not hide what failed after it."""
        series = Series("x", window=0.5)
        series.add(1.0, "silent")
        series.mark(1.05)
        series.add(1.1, "silent")
        series.add(1.2, "silent")
        series.flush()

        assert results(series) == [("silent", 1.0, 1.0, 1), ("silent", 1.1, 1.2, 2)]

    def test_events_further_apart_than_the_gap_are_two_bursts(self) -> None:
        """A drop an hour later is news."""
        series = Series("x", gap=2.0)
        for at in (1.0, 2.0, 3600.0):
            series.add(at, "drop")

        assert results(series) == [("drop", 1.0, 2.0, 2), ("drop", 3600.0, 3600.0, 1)]

    def test_a_day_of_changes_stays_small_and_says_so(self) -> None:
        """A flapping shop fills no memory; what was summed up is counted, and called so."""
        series = Series("x", most=100)
        for number in range(20_000):
            series.add(float(number), "connected" if number % 2 else "silent")

        runs = series.runs()

        assert len(runs) <= 100
        assert sum(run.count for run in runs) == 20_000
        assert runs[0].result == MIXED
        assert sum(runs[0].results.values()) == runs[0].count
        assert series.summed(0.0, 10.0)
        assert not series.summed(19_990.0, 20_000.0)
        assert series.as_json(iso)["samples"] == 20_000
        assert series.summed_up > 19_000

    def test_changes_near_a_mark_outlive_later_ones(self) -> None:
        """The fault of the first minute is still told to the sample after hours of flapping."""
        series = Series("x", most=200)
        for number in range(100):
            series.add(float(number), "connected")
        series.mark(99.5)
        for number in range(100, 10_000):
            series.add(float(number), "silent" if number % 3 else "connected")

        before, first = series.first(99.5, lambda result: result == "silent")

        assert before is not None
        assert first is not None
        assert (before.last, first.first) == (99.0, 100.0)
        assert not series.summed(95.0, 105.0)

    def test_marks_without_end_give_way_too(self) -> None:
        """Memory is bounded even when everything is near a mark."""
        series = Series("x", most=100)
        for number in range(5_000):
            if number % 10 == 0:
                series.mark(float(number))
            series.add(float(number), str(number))

        assert len(series.runs()) <= 101

    def test_many_different_results_are_not_all_counted_apart(self) -> None:
        """Nobody reads a thousand words."""
        series = Series("x")
        for number in range(1000):
            series.add(float(number), str(number))

        assert len(series._results) <= 41
        assert sum(series._results.values()) == 1000


class TestSchedule:
    """Moments at equal distances."""

    def test_lateness_does_not_add_up(self) -> None:
        """A sample that came late does not move the ones after it."""
        now = [0.0]
        schedule = Schedule(10.0, lambda: now[0])

        taken = []
        for late in (0.0, 0.03, 0.0, 0.05):
            now[0] += schedule.take() + late
            taken.append(round(now[0], 3))

        assert taken == [0.0, 0.13, 0.2, 0.35]
        assert schedule.skipped == 0

    def test_moments_that_passed_are_skipped_and_counted(self) -> None:
        """After a standstill it goes on; it does not catch up in a burst."""
        now = [0.0]
        schedule = Schedule(10.0, lambda: now[0])
        schedule.take()
        now[0] = 1.05

        assert schedule.take() == 0.0
        assert schedule.take() == pytest.approx(0.05)
        assert schedule.skipped == 9


class Failing(Source):
    """A source that fails in its own way."""

    def watch(self, stop: threading.Event) -> None:
        raise ZeroDivisionError


def test_a_source_that_fails_says_so_and_disturbs_nobody() -> None:
    """Whatever is wrong with it is a phrase in the journal."""
    source = Failing("x")
    source.start()

    assert source.ready.wait(5)
    assert source.join(5)
    assert source.absent == "it failed: ZeroDivisionError"
    assert source.unseen(source.began, source.began + 1) == "it failed: ZeroDivisionError"


def test_a_gap_is_a_reason_for_its_own_time_only() -> None:
    """What a source did not see while it was away says nothing of later."""
    source = Source("x")
    source.began = 1.0
    source.saw()
    source.blind("the relay is away")
    source.saw()
    gap = source.gaps[0]
    gap.since, gap.until = 10.0, 20.0

    assert source.unseen(2.0, 5.0) == ""
    assert source.unseen(15.0, 16.0) == "the relay is away"
    assert source.unseen(21.0, 30.0) == ""
    assert source.absent == ""


def test_moments_are_written_to_the_millisecond_and_read_back() -> None:
    """In UTC."""
    assert iso(0.1234) == "1970-01-01T00:00:00.123+00:00"
    assert seconds(iso(1_700_000_000.25)) == 1_700_000_000.25
    assert seconds("yesterday") is None
