"""Waiting is for a fact, with a deadline."""

import time

import pytest

from acns_chaos.cluster.waiting import wait_until


class Clock:
    """Seconds that pass only when asked for."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_fact_that_holds_is_returned_at_once() -> None:
    """A fact that holds already costs one question and no waiting."""
    asked: list[int] = []

    def fact() -> str:
        asked.append(1)
        return "there"

    began = time.monotonic()
    assert wait_until(fact, 60) == "there"
    assert len(asked) == 1
    assert time.monotonic() - began < 1


def test_a_fact_that_comes_late_is_waited_for() -> None:
    """A fact that holds at the third question is returned at the third question."""
    answers = iter([None, None, "now"])
    assert wait_until(lambda: next(answers), 60, interval=0.001) == "now"


def test_a_fact_that_never_comes_ends_at_the_deadline() -> None:
    """When the deadline has passed the last answer is returned, not an error."""
    assert wait_until(lambda: None, 3, interval=0.0, clock=Clock(1)) is None


def test_a_timeout_of_zero_asks_once() -> None:
    """No time to wait still leaves time for one question."""
    asked: list[int] = []
    assert wait_until(lambda: asked.append(1), 0) is None
    assert len(asked) == 1


def test_an_error_is_not_mistaken_for_not_yet() -> None:
    """What the question raises ends the waiting."""

    def broken() -> None:
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        wait_until(broken, 60)
