"""Signals during the safety net: ignored, because it ends the run anyway and must finish first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ignored_signals"]

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
