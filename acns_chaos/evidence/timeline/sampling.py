"""Sources of samples: each a thread of its own, on a schedule that does not drift.

A source may be absent and may fail; then it says why and the others go on. Nothing here raises
into the run, and nothing waits for it longer than it is told to.
"""

import threading
import time
from collections.abc import Callable

from acns_chaos.errors import AcnsChaosError

__all__ = ["SUMMED", "Gap", "Schedule", "Source"]

# Why nothing is said of a time whose samples were summed up to save memory.
SUMMED = "its samples of that time were summed up, as there were too many changes"
# How many stretches without sight are remembered.
GAPS = 100


class Schedule:
    """Moments at equal distances from the first, however late each one was taken; thread-safe.

    Args:
        rate: moments a second.
        clock: seconds, steady; injected by tests.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.skipped = 0
        self._every = 1.0 / rate
        self._clock = clock
        self._began = clock()
        self._next = 0
        self._lock = threading.Lock()

    def remaining(self) -> float:
        """Return the seconds until the next moment, 0 when it has come."""
        with self._lock:
            return max(0.0, self._began + self._next * self._every - self._clock())

    def take(self) -> float:
        """Take the next moment, and skip those that have passed as well.

        Returns:
            Seconds until it comes, 0 when it has.
        """
        with self._lock:
            passed = int((self._clock() - self._began) / self._every)
            if passed > self._next:
                self.skipped += passed - self._next
                self._next = passed
            wait = self._began + self._next * self._every - self._clock()
            self._next += 1
            return max(0.0, wait)


class Gap:
    """A stretch of time in which a source did not see everything, and why.

    Attributes:
        since, until: seconds since 1970; `until` is None while it lasts.
        why: one phrase.
    """

    __slots__ = ("since", "until", "why")

    def __init__(self, since: float, why: str) -> None:
        self.since, self.why = since, why
        self.until: float | None = None


class Source:
    """Something that is asked again and again; a subclass says what, in `watch`.

    Args:
        name: for the journal: "client-connect", "hubble", ...
        threads: how many run `watch` at once.

    Attributes:
        about: what is asked, where, how often: one phrase, once it is known.
        ready: set once it has seen something, or has said why it does not.
        gaps: when it did not see everything; the last one may still go on.
        seen: whether it ever saw.
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        self.name = name
        self.about = ""
        self.ready = threading.Event()
        self.gaps: list[Gap] = []
        self.gaps_forgotten = 0
        self.seen = False
        self.began = 0.0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, daemon=True, name=f"timeline-{name}-{number}")
            for number in range(threads)
        ]

    def watch(self, stop: threading.Event) -> None:
        """Ask until *stop* is set; what it raises is why this source is absent from then on."""
        raise NotImplementedError

    def mark(self, at: float) -> None:
        """A fault or its restore was submitted at this moment."""

    def start(self) -> None:
        """Begin."""
        self.began = time.time()
        for thread in self._threads:
            thread.start()

    def ask_to_end(self) -> None:
        """Ask it to end, without waiting; a subclass cuts off what it waits for."""
        self._stop.set()

    def join(self, seconds: float) -> bool:
        """Wait until it has ended, but no longer than this; tells whether it has."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def saw(self) -> None:
        """It sees everything: a gap that went on is over."""
        if self.seen and not self._blind():
            return
        self.seen = True
        with self._lock:
            if self._blind():
                self.gaps[-1].until = time.time()
        self.ready.set()

    def blind(self, why: str) -> None:
        """It does not see everything from now on, for this reason."""
        with self._lock:
            if not self._blind():
                self.gaps.append(Gap(time.time(), why))
            if len(self.gaps) > GAPS:
                del self.gaps[0]
                self.gaps_forgotten += 1
        self.ready.set()

    def missed(self, why: str, seconds: float) -> None:
        """It learns that it did not see everything in the last so many seconds, for this reason."""
        if self._blind():
            return
        self.blind(why)
        with self._lock:
            self.gaps[-1].until = self.gaps[-1].since
            self.gaps[-1].since -= seconds

    def unseen(self, since: float, until: float) -> str:
        """Say why it did not see the whole of a stretch of time, "" when it did."""
        with self._lock:
            for gap in self.gaps:
                if gap.since < until and (gap.until is None or gap.until > since):
                    return gap.why
        if self.gaps_forgotten and since < self.gaps[0].since:
            return "it was away too often to remember when"
        return "" if self.began and self.began <= since else "it had not begun"

    @property
    def absent(self) -> str:
        """Why it never saw anything, "" when it did."""
        if self.seen:
            return ""
        return self.gaps[-1].why if self.gaps else "it had not answered when the run ended"

    def _blind(self) -> bool:
        return bool(self.gaps) and self.gaps[-1].until is None

    def _run(self) -> None:
        try:
            self.watch(self._stop)
        except AcnsChaosError as error:
            self.blind(str(error).rstrip("."))
        except Exception as error:  # noqa: BLE001
            # A source must not disturb the run, whatever is wrong with it.
            if not self._stop.is_set():
                self.blind(f"it failed: {type(error).__name__}")
