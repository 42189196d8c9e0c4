"""Keep what stands in Grafana in step with the run, in a thread that the run never waits for.

The thread looks at the run ten times a second, sees what should stand in Grafana, and writes what
does not yet. So there is no queue that could fill, and nothing of the run calls Grafana. Only the
end waits, `PATIENCE` at most, and what is not written then is named in the journal.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from acns_chaos.cluster.grafana import Annotation
from acns_chaos.errors import AcnsChaosError, ApiError

__all__ = ["PATIENCE", "Annotator", "Writes"]

logger = logging.getLogger("chaostoolkit")
# Seconds that the end of a run waits for Grafana.
PATIENCE = 1.0
# How often the thread looks at the run.
INTERVAL = 0.1
# Answers after which no other one is to be hoped for; 200 is one that is no Grafana's.
_FINAL = (200, 301, 302, 303, 307, 308, 401, 403)
# Seconds between two requests where a server asks for time and does not say how much.
_BUSY = 1.0


class Writes(Protocol):
    """What the thread needs of a Grafana; `cluster.grafana.Grafana` is one."""

    def add(self, annotation: Annotation) -> int:
        """Write one and return its number; raises ApiError."""

    def change(self, identifier: int, annotation: Annotation) -> None:
        """Change one; raises ApiError."""

    def renew(self) -> bool:
        """Whether a token that was refused may be another one now."""

    @property
    def retry_after(self) -> float | None:
        """Seconds that the last answer asked to be left alone."""

    def close(self) -> None:
        """Close the connection."""


class Annotator:
    """The thread, and what came of it.

    Args:
        grafana: where to write; opened in the thread, because that may take its time.
        wanted: returns what should stand there now, by what it is; asked from the thread.
        patience: seconds that the end waits.
    """

    def __init__(
        self,
        grafana: Callable[[], Writes],
        wanted: Callable[[], Mapping[str, Annotation]],
        patience: float = PATIENCE,
    ) -> None:
        self._open = grafana
        self._wanted = wanted
        self._patience = patience
        self._grafana: Writes | None = None
        self._lock = threading.Lock()
        # Told to the thread: the end has come; nothing more may be written. By it: it has ended.
        self._ending, self._closed = threading.Event(), threading.Event()
        self._done = threading.Event()
        self._numbers: dict[str, int] = {}
        self._standing: dict[str, Annotation] = {}
        # What was tried last and not written, and why.
        self._failed: dict[str, tuple[Annotation, str]] = {}
        self._over = ""
        self._busy, self._not_before = "", 0.0
        self._renewed = False
        self._said = False
        # A daemon: whatever hangs in it, the process may end.
        self._thread = threading.Thread(target=self._work, name="annotations", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> dict[str, Any]:
        """Write what is still missing, for as long as the end may wait, and end.

        Returns:
            `{"written": number, "failed": [{"what": …, "why": …}]}`.
        """
        self._ending.set()
        self._done.wait(self._patience)
        with self._lock:
            self._closed.set()
            found = self._told()
        if found["failed"]:
            self._say(found["failed"][0]["what"], found["failed"][0]["why"])
        return found

    def stop(self) -> None:
        """End, with whatever stands."""
        self._closed.set()
        self._ending.set()

    def _told(self) -> dict[str, Any]:
        wanted = self._wanted()
        failed = []
        for what, annotation in wanted.items():
            if self._standing.get(what) == annotation:
                continue
            tried, why = self._failed.get(what, (None, ""))
            if self._over or tried is None or tried.end != annotation.end:
                late = f"no answer within {self._patience:g} s of the run's end"
                why = self._over or self._busy or late
            failed.append({"what": what, "why": why})
        return {"written": len(wanted) - len(failed), "failed": failed}

    # ------------------------------------------------------------------ the thread

    def _work(self) -> None:
        try:
            while not self._closed.is_set() and not self._over:
                # Before it looks: what changes meanwhile is seen in the next round.
                ending = self._ending.is_set()
                missing = self._missing()
                pause = self._not_before - time.monotonic() if missing else INTERVAL
                if missing and pause <= 0:
                    self._write(*missing)
                elif ending and (not missing or pause > self._patience):
                    break
                else:
                    # Once the end has come, only what ends this thread interrupts a pause.
                    (self._closed if ending else self._ending).wait(pause)
        except Exception as error:  # noqa: BLE001
            # Nothing of it may reach the run.
            self._over = f"it failed: {type(error).__name__}"
            self._say("the run", self._over)
        self._done.set()
        if self._grafana:
            self._grafana.close()

    def _missing(self) -> tuple[str, Annotation] | None:
        """What to write next: what is not there, what has another time, what has other words.

        What was tried in vain is tried again only when it differs, and what may stand there all
        the same (an answer that never came may have been a yes) only when its time does.
        """
        late: tuple[str, Annotation] | None = None
        for what, annotation in self._wanted().items():
            standing = self._standing.get(what)
            tried = self._failed.get(what, (None, ""))[0]
            if annotation in (standing, tried):
                continue
            if standing is None and tried and tried.end == annotation.end:
                continue
            if standing is None or standing.end != annotation.end:
                return what, annotation
            late = late or (what, annotation)
        return late

    def _write(self, what: str, annotation: Annotation) -> None:
        try:
            if self._grafana is None:
                self._grafana = self._open()
            if what in self._numbers:
                self._grafana.change(self._numbers[what], annotation)
                number = self._numbers[what]
            else:
                number = self._grafana.add(annotation)
        except AcnsChaosError as error:
            self._met(what, annotation, error)
            return
        with self._lock:
            self._busy = ""
            if not self._closed.is_set():
                self._numbers[what] = number
                self._standing[what] = annotation
                self._failed.pop(what, None)

    def _met(self, what: str, annotation: Annotation, error: AcnsChaosError) -> None:
        """Decide what a failure means; said once, whatever follows."""
        status = error.status if isinstance(error, ApiError) else 0
        after = self._grafana.retry_after if self._grafana else None
        if status == 429 or (status == 503 and after is not None):
            # Nothing was written: asked again when it allows it.
            self._busy = str(error)
            self._not_before = time.monotonic() + (_BUSY if after is None else max(after, 0.05))
            return
        if status == 401 and not self._renewed and self._grafana and self._grafana.renew():
            self._renewed = True
            return
        with self._lock:
            self._failed[what] = (annotation, str(error))
            if status in _FINAL:
                self._over = str(error)
        self._say(what, str(error))

    def _say(self, what: str, why: str) -> None:
        if not self._said:
            self._said = True
            logger.warning(f"Grafana: {what} is not annotated: {why}. The run goes on without it.")
