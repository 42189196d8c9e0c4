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

__all__ = ["Shield", "ignored_signals"]

IGNORED = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP),
    *(signal.SIGQUIT, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU),
)
# Signals the host leaves alone and whose default is to end the process on the spot.
DEADLY = (
    *(signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU),
)


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


class Shield:
    """Keeps signals from ending the process with a fault in place; only the main thread can.

    From `raised` on, those that would kill it at once lead to an orderly end instead; from
    `closed` on, when nothing but the safety net and the judgement are left, all are ignored.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def raised(self) -> None:
        """Turn deadly signals into an orderly end; one that is ignored (nohup) stays ignored."""
        for number in DEADLY:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._set(number, _leave)

    def closed(self) -> None:
        """Ignore every signal that can be."""
        for number in IGNORED:
            self._set(number, signal.SIG_IGN)

    def undo(self) -> None:
        """Put the former handlers back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _set(self, number: signal.Signals, handler: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            former = signal.signal(number, handler)
            self._before.setdefault(number, former)


def _leave(number: int, frame: FrameType | None) -> None:
    # What the host's SIGUSR1 does: the run is interrupted, its rollbacks are played.
    raise SystemExit(20)
