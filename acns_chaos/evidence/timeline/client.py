"""The customer's view, sampled: bare connections and pages. No order is ever placed here.

A connection is silent after `patience` seconds, which must stay below 1 s: the system repeats an
unanswered SYN then, and a denied attempt would stand as a slow success.
"""

import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from acns_chaos.cluster.connecting import Connector
from acns_chaos.cluster.storefront import ask
from acns_chaos.evidence.timeline.results import is_bad, is_good
from acns_chaos.evidence.timeline.runs import Series
from acns_chaos.evidence.timeline.sampling import SUMMED, Schedule, Source

__all__ = ["ClientSource", "Connects", "Pages"]

# Pages that may be waited for at once: a silent one costs its patience twice at most.
WORKERS = 6
NO_PAGE = "no answer"
SILENT_PAGE = "silent"


class ClientSource(Source):
    """What both have in common: a series of results, some good, some bad, some of neither kind.

    Args:
        name: for the journal.
        find: returns the shop's URL; ApiError when it has none.
        rate: samples a second.
        patience: seconds until an attempt counts as silent.
        threads: that ask.
    """

    def __init__(
        self, name: str, find: Callable[[], str], rate: float, patience: float, threads: int = 1
    ) -> None:
        super().__init__(name, threads)
        self.rate, self.patience = rate, patience
        self.series = Series(name, window=2 * patience + 0.5)
        self._find = find

    def unseen(self, since: float, until: float) -> str:
        """Say why it did not see the whole of a stretch of time, "" when it did."""
        return SUMMED if self.series.summed(since, until) else super().unseen(since, until)

    def mark(self, at: float) -> None:
        """A fault or its restore was submitted at this moment."""
        self.series.mark(at)

    @staticmethod
    def good(result: str) -> bool:
        """Whether a customer would have been served."""
        return is_good(result)

    @staticmethod
    def bad(result: str) -> bool:
        """Whether a customer would not; what this machine could not even try is neither."""
        return is_bad(result)


class Connects(ClientSource):
    """New TCP connections, closed as soon as they stand.

    Attributes:
        back: called when one stood after others had failed.
    """

    def __init__(self, find: Callable[[], str], rate: float, patience: float) -> None:
        super().__init__("client-connect", find, rate, patience)
        self.skipped = 0
        self.back: Callable[[], None] = lambda: None
        self._down = False
        self._last_good = 0.0

    def watch(self, stop: threading.Event) -> None:
        """Connect on schedule."""
        parts = urlsplit(self._find())
        host, port = parts.hostname or "", parts.port or {"https": 443}.get(parts.scheme, 80)
        most = max(16, int(2 * self.rate * self.patience) + 1)
        with Connector((host, port), self.patience, most) as connector:
            self.about = f"TCP connect to {host}:{port}, {self.rate:g} a second"
            schedule = Schedule(self.rate)
            while not stop.is_set():
                wait = schedule.take()
                due = time.monotonic() + wait
                while (left := due - time.monotonic()) > 0 and not stop.is_set():
                    self._note(connector, left)
                connector.start()
                self._note(connector, 0.0)
                self.skipped = connector.skipped + schedule.skipped

    def _note(self, connector: Connector, seconds: float) -> None:
        for one in connector.poll(seconds):
            self.series.add(one.began, one.outcome, one.ended)
            self.saw()
            if self.good(one.outcome):
                self._last_good = max(self._last_good, one.began)
                if self._down:
                    self.back()
                self._down = False
            elif one.began > self._last_good:
                self._down = True


class Pages(ClientSource):
    """The shop's first page, each time on a connection of its own.

    Few are asked for, so that one more is when connections stand again (`hurry`).
    """

    def __init__(self, find: Callable[[], str], rate: float, patience: float) -> None:
        super().__init__("client-http", find, rate, patience, WORKERS + 1)
        self._schedule: Schedule | None = None
        self._url = ""
        self._hurry = threading.Event()
        self._workers = 0

    def hurry(self) -> None:
        """Ask for one more page, now; returns at once."""
        self._hurry.set()

    def ask_to_end(self) -> None:
        """Ask it to end, also the worker that waits to be hurried."""
        super().ask_to_end()
        self._hurry.set()

    @property
    def skipped(self) -> int:
        """How many moments passed while every worker waited."""
        return self._schedule.skipped if self._schedule else 0

    def watch(self, stop: threading.Event) -> None:
        """Ask on schedule, one worker of several."""
        schedule, hurried = self._begin()
        while not self._waited(stop, schedule, hurried):
            at = time.time()
            answer = ask("GET", self._url, self.patience)
            if stop.is_set():
                return
            result = SILENT_PAGE if answer.silence else str(answer.status or NO_PAGE)
            self.series.add(at, result, time.time())
            self.saw()

    def _waited(self, stop: threading.Event, schedule: Schedule, hurried: bool) -> bool:
        """Wait for this worker's next moment; tells whether it is to end instead."""
        if not hurried:
            return stop.wait(schedule.take())
        self._hurry.wait()
        self._hurry.clear()
        return stop.is_set()

    def _begin(self) -> tuple[Schedule, bool]:
        """Return the schedule, and whether this worker is the one that waits to be hurried."""
        with self._lock:
            self._workers += 1
            if self._schedule is None:
                self._url = f"{self._find()}/"
                self.about = f"GET {self._url}, {self.rate:g} a second"
                self._schedule = Schedule(self.rate)
            return self._schedule, self._workers > WORKERS
