"""Signals: none may end the process before everything is restored, and none may wait for it.

The host handles SIGINT, SIGTERM, SIGUSR1 and SIGUSR2. A closed terminal (SIGHUP) would kill it on
the spot, with the fault in place: it is turned into the host's own "leave now". While the safety
net is played, which ends the run anyway, all of them are ignored.

What a handler raises may be swallowed by the activity that runs, and a handler is not even called
while the main thread is in a lookup. So the interpreter is asked to write the number of each signal
to a pipe, which it does at once, and a thread of ours reads it and has everything restored.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
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
# No signal has this number: the reading thread is to end.
_OVER = 0


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
        self._ear: _Ear | None = None

    def raised(self, heard: Callable[[int], None]) -> None:
        """Turn deadly signals into an orderly end; one that is ignored (nohup) stays ignored.

        Args:
            heard: called at once with the number of each signal that ends the run, in a thread of
                its own, whatever the main thread does.
        """
        for number in DEADLY:
            if signal.getsignal(number) is signal.SIG_DFL:
                self._set(number, _leave)
        if threading.current_thread() is threading.main_thread() and self._ear is None:
            self._ear = _Ear(heard)

    def closed(self) -> None:
        """Ignore every signal that can be."""
        for number in IGNORED:
            self._set(number, signal.SIG_IGN)

    def undo(self) -> None:
        """Put the former handlers back."""
        if self._ear:
            self._ear.close()
            self._ear = None
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _set(self, number: signal.Signals, handler: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            former = signal.signal(number, handler)
            self._before.setdefault(number, former)


class _Ear:
    """Hears of signals while they come in, beside the handlers."""

    def __init__(self, heard: Callable[[int], None]) -> None:
        self._heard = heard
        self._here, self._there = os.pipe()
        # The interpreter writes from within a signal handler and must never wait there.
        os.set_blocking(self._there, False)
        self._before = signal.set_wakeup_fd(self._there, warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._listen, daemon=True, name="signals")
        self._thread.start()

    def _listen(self) -> None:
        while True:
            for number in os.read(self._here, 64):
                if number == _OVER:
                    return
                if number in IGNORED:
                    self._heard(number)

    def close(self) -> None:
        """Let go; somebody else's ear is put back, unless another took the place meanwhile."""
        if threading.current_thread() is threading.main_thread():
            with contextlib.suppress(ValueError, OSError):
                placed = signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)
                if placed not in (self._there, -1):
                    signal.set_wakeup_fd(placed, warn_on_full_buffer=False)
        os.write(self._there, bytes([_OVER]))
        self._thread.join(5)
        os.close(self._here)
        os.close(self._there)


def _leave(number: int, frame: FrameType | None) -> None:
    # What the host's SIGUSR1 does: the run is interrupted, its rollbacks are played.
    raise SystemExit(20)
