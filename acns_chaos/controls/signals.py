"""Signals: none may end the process before everything is restored.

The host handles SIGINT, SIGTERM, SIGUSR1 and SIGUSR2. A closed terminal (SIGHUP) would kill it on
the spot, with the fault in place: it is turned into the host's own "leave now". While the safety
net is played, which ends the run anyway, all of them are ignored.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["HangUp", "ignored_signals"]

IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


@contextmanager
def ignored_signals() -> Iterator[None]:
    """Ignore every signal that would end the run; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in IGNORED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class HangUp:
    """Turns SIGHUP into an orderly end, until `undo`; only the main thread can."""

    def __init__(self) -> None:
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGHUP, _leave)

    def undo(self) -> None:
        """Put the former handler back."""
        if self._before is not None:
            signal.signal(signal.SIGHUP, self._before)
            self._before = None


def _leave(number: int, frame: FrameType | None) -> None:
    # What the host's SIGUSR1 does: the run is interrupted, its rollbacks are played.
    raise SystemExit(20)
