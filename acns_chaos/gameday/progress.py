"""What a person sees while a day is run: a bar on a terminal, one line a mutant elsewhere.

Everything goes to standard error; the day's score is for standard output.
"""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from acns_chaos.evidence.values import text
from acns_chaos.gameday.day import Day, Job, Own
from acns_chaos.gameday.results import KILLED, SURVIVED, UNKNOWN, Result
from acns_chaos.gameday.times import told

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["Progress", "shown"]


class Progress:
    """Counts, and says so; may be called by several threads.

    Args:
        day: with what was run before.
        stream: where to.
        parallel: how many are run at once.
    """

    def __init__(self, day: Day, stream: TextIO, parallel: int = 1) -> None:
        self._stream = stream
        self._parallel = parallel
        self._guess = day.seconds
        self._total = len(day.jobs)
        self._counts = Counter(one.status for one in day.results.values())
        self._seconds: list[float] = []
        self._lock = threading.Lock()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    @property
    def counts(self) -> str:
        """Such as "9 killed, 2 survived, 1 unknown"."""
        return ", ".join(f"{self._counts[one]} {one}" for one in (KILLED, SURVIVED, UNKNOWN))

    def left(self) -> str:
        """How long the rest takes, from what the others took; "" while nobody knows."""
        done = sum(self._counts.values())
        mean = sum(self._seconds) / len(self._seconds) if self._seconds else self._guess
        rest = (self._total - done) * mean / self._parallel
        return f"about {told(rest)} left" if rest else ""

    def say(self, sentence: str) -> None:
        """Say something that is no result."""
        with self._lock:
            self._write(sentence)

    def began(self, job: Job) -> None:
        """An experiment begins."""
        if self._bar is not None:
            with self._lock:
                self._show(job.name)

    def ended(self, result: Result) -> None:
        """A mutant has its result."""
        with self._lock:
            self._counts[result.status] += 1
            if result.seconds is not None:
                self._seconds.append(result.seconds)
            if self._bar is None or result.status != KILLED:
                number = f"[{sum(self._counts.values())}/{self._total}] "
                left = self.left() if self._bar is None else ""
                rest = f" ({left})" if left else ""
                self._write(f"{number}{sentence_of(result)}{rest}")
            self._show("")

    def ended_own(self, one: Own) -> None:
        """An experiment that the plan names has ended."""
        self.say(f"{text(one.name)}: {text(one.outcome) or 'no journal'}: {text(one.sentence)}")

    @contextmanager
    def on_terminal(self) -> Iterator[None]:
        """Show a bar while this lasts."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            *(TextColumn("{task.completed:.0f}/{task.total:.0f}"), BarColumn(bar_width=24)),
            *(TextColumn("{task.fields[counts]}  {task.fields[left]}", markup=False),),
            TextColumn("{task.description}", markup=False),
        )
        with Bar(*columns, console=Console(file=self._stream), transient=True) as bar:
            done = sum(self._counts.values())
            self._task = bar.add_task(
                "", total=self._total, completed=done, counts=self.counts, left=self.left()
            )
            self._bar = bar
            try:
                yield
            finally:
                self._bar = None

    def _show(self, what: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task,
                completed=sum(self._counts.values()),
                description=text(what),
                counts=self.counts,
                left=self.left(),
            )

    def _write(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        print(
            line.encode(encoding, "backslashreplace").decode(encoding),
            file=self._stream,
            flush=True,
        )


def sentence_of(result: Result) -> str:
    """One mutant's result for people."""
    name = text(result.mutant)
    if result.status == KILLED:
        after = "" if result.first_ms is None else f" after {told(result.first_ms / 1000)}"
        return f"killed by {text(result.by)}{after}: {name}"
    why = f" ({text(result.why)})" if result.why else ""
    return f"{result.status}: {name}{why}"


@contextmanager
def shown(day: Day, parallel: int = 1, stream: TextIO | None = None) -> Iterator[Progress]:
    """Show how a day goes: with a bar where a person looks.

    Args:
        day: with what was run before.
        parallel: how many are run at once.
        stream: standard error unless it is given.
    """
    stream = stream or sys.stderr
    progress = Progress(day, stream, parallel)
    if not stream.isatty():
        yield progress
        return
    with progress.on_terminal():
        yield progress
