"""Being told to end: SIGINT, SIGTERM and SIGHUP, from the first moment of a day to its last.

Belongs here: that each is heard, and what hears it when nothing is run. Does not belong here: what
a day does that is being run (`running`).

In a container a day is process 1, and from that the kernel keeps every signal for which it has no
handler: it would be lost, and the day would begin to break things afterwards.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["SIGNALLED", "SIGNALS", "Ended", "Signals", "heard", "held"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Of a process that was ended by a signal, as shells have it.
SIGNALLED = 128


class Ended(KeyboardInterrupt):
    """A signal came; whatever lets go of something at Ctrl-C does so at each of them."""


class Signals:
    """Hears signals while it is entered, in the main thread; raises `Ended` unless told otherwise.

    Attributes:
        number: of the first that came, else 0.
    """

    def __init__(self) -> None:
        self.number = 0
        self._noted = False
        self._before: dict[signal.Signals, Any] = {}

    @property
    def name(self) -> str:
        """Of the first that came, such as "SIGTERM"; "" when none did."""
        return signal.Signals(self.number).name if self.number else ""

    @property
    def code(self) -> int:
        """The exit code that says so; 0 when none came."""
        return SIGNALLED + self.number if self.number else 0

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._came) for number in heard()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Hear also what came before, while `held` kept it.

        Raises:
            Ended: one did.
        """
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self.require_none()

    def require_none(self) -> None:
        """Look whether one came; what is raised within a finaliser is lost on its way.

        Raises:
            Ended: one did.
        """
        if self.number:
            raise Ended

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Only remember the first that comes meanwhile, and say so; the second one raises."""
        self._noted = True
        try:
            yield
        finally:
            self._noted = False

    def _came(self, number: int, _frame: FrameType | None) -> None:
        first, self.number = not self.number, self.number or number
        if not (first and self._noted):
            raise Ended
        # Not by a stream, which the code that is interrupted may be writing to.
        with suppress(OSError):
            os.write(2, f"{self.name} came: the day is written first.\n".encode())


def heard() -> list[signal.Signals]:
    """Those that are not ignored: what is ignored (nohup) stays so."""
    return [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]


@contextmanager
def held() -> Iterator[None]:
    """Keep signals back, also from the program that this process becomes meanwhile: `listen`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
