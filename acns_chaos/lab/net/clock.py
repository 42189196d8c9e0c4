"""Time as the simulated network sees it, and the work that goes on in it beside everything else.

The clock is the wall's, or one that a test moves by hand.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Protocol


class Clock(Protocol):
    """What every wait in the simulated network goes through."""

    def now(self) -> float:
        """Seconds since 1970."""

    async def sleep(self, seconds: float) -> None:
        """Wait, letting others run."""


class WallClock:
    """Real time."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait, letting others run."""
        await asyncio.sleep(max(0.0, seconds))


class Tasks:
    """Work in the background that ends with whoever began it."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Begin something on the running event loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def cancel(self) -> None:
        """End everything, without waiting until it has ended."""
        for task in self._running:
            task.cancel()

    async def stop(self) -> None:
        """End everything, whatever waits where."""
        self.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
