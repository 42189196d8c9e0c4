"""The one place that waits: for a fact, with a deadline, never for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["wait_until"]

Fact = TypeVar("Fact")


def wait_until(
    fact: Callable[[], Fact | None],
    timeout: float,
    interval: float = 0.05,
    clock: Callable[[], float] = time.monotonic,
) -> Fact | None:
    """Ask for *fact* until it is there or *timeout* has passed.

    Args:
        fact: returns the fact once it holds, anything false until then. Asked at least once.
        timeout: seconds after which the last answer is returned as it is; 0 asks once.
        interval: seconds between the end of one question and the start of the next.
        clock: seconds, monotonic; injected by tests.

    Returns:
        The first true answer, or the last false one.

    Raises:
        Whatever *fact* raises: an error is not "not yet".
    """
    deadline = clock() + timeout
    while True:
        answer = fact()
        remaining = deadline - clock()
        if answer or remaining <= 0:
            return answer
        # The only sleep of the project: between two questions, never instead of one.
        time.sleep(min(interval, remaining))  # noqa: TID251
