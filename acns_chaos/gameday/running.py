"""A day is run: one process a namespace, one mutant after another, until all are done or it stops.

Belongs here: ordering mutants from those processes, keeping what they answer, and every reason to
stop. Does not belong here: how one is run (`child`), files (`day`) and words (`progress`).

A result counts once it is in the day's file. What was interrupted has none, and is run when the day
is resumed. A process that dies leaves its fault to the watchdog: nothing more is injected in that
namespace before nothing of it is left.
"""

import contextlib
import json
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, word
from acns_chaos.gameday.day import LOGS, Day, Job, Own
from acns_chaos.gameday.process import SETTLE, Child
from acns_chaos.gameday.progress import Progress
from acns_chaos.gameday.results import SURVIVED, UNKNOWN, Result, parse
from acns_chaos.gameday.signals import heard
from acns_chaos.gameday.stage import Stage
from acns_chaos.gameday.times import told as length

__all__ = ["Running", "Stopped"]

# Why a day stops before its end.
NOT_RESTORED, RULE, FORBIDDEN, BUSY, SIGNAL, BROKEN = (
    *("not restored", "stop rule", "forbidden", "busy", "signal"),
    "broken",
)
# A Lease that nobody renews lapses after 15 s; a run that ends may wait for its pods.
BUSY_SECONDS = 75.0
# Seconds of a run besides what the fault may stand and what detectors have: steady states, the
# wait for alerts to be silent, restoring.
AROUND = 180.0
# A run whose process dies is tried so often.
TRIES = 2
# Seconds between two looks of the main thread, which only waits; signals come at once.
_LOOK = 0.1


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why a day stopped before its end.

    Attributes:
        kind: NOT_RESTORED, RULE, FORBIDDEN (somebody said stop, or hours without faults), BUSY,
            SIGNAL or BROKEN (the day's files cannot be written).
        why: one sentence.
        signal: the signal's number, else 0.
    """

    kind: str
    why: str
    signal: int = 0


class Running:
    """A day that is run.

    Args:
        day: with what is left to do.
        stage: where.
        progress: told what happens.
        parallel: how many namespaces at once.
    """

    def __init__(self, day: Day, stage: Stage, progress: Progress, parallel: int = 1) -> None:
        self._day = day
        self._stage = stage
        self._progress = progress
        self._parallel = parallel
        self._stopped: Stopped | None = None
        self._children: dict[str, Child] = {}
        self._began = False
        self._lock = threading.RLock()
        plan = day.plan
        self._timeout = plan.per_run + 2 * day.patience + AROUND

    def run(self) -> Stopped | None:
        """Run what is left of the day.

        Returns:
            Why it stopped before its end; None when it did not.
        """
        shards: dict[str, list[Job]] = {}
        for job in self._day.pending():
            shards.setdefault(job.namespace, []).append(job)
        with self._signals():
            # A day that is resumed may have reached one before.
            self._rules()
            own = self._day.own_pending()
            for namespace in dict.fromkeys(job.namespace for job in own):
                jobs = [job for job in own if job.namespace == namespace]
                self._parts({namespace: jobs})
            self._parts(shards)
        return self._stopped

    def _parts(self, shards: Mapping[str, list[Job]]) -> None:
        """Run namespaces, some at once; the main thread only waits, and hears signals."""
        if not shards or self._stopped:
            return
        with ThreadPoolExecutor(min(self._parallel, len(shards))) as pool:
            running = [pool.submit(self._shard, name, jobs) for name, jobs in shards.items()]
            for one in running:
                while not one.done():
                    with contextlib.suppress(TimeoutError):
                        one.exception(_LOOK)
        for one in running:
            one.result()

    def _shard(self, namespace: str, jobs: list[Job]) -> None:
        """Run the mutants of one namespace."""
        try:
            if why := self._stage.free(namespace, BUSY_SECONDS):
                self._stop(Stopped(BUSY, f"{why}: nothing more was run there."))
            for job in jobs:
                if self._stopped:
                    break
                self._job(namespace, job)
        except GameDayError as error:
            self._stop(Stopped(BROKEN, str(error)))
        except Exception as error:
            self._stop(Stopped(BROKEN, f"The day failed: {error!r}."))
            raise
        finally:
            child = self._children.pop(namespace, None)
            if child is not None:
                child.close()

    def _job(self, namespace: str, job: Job) -> None:
        for tried in range(1, TRIES + 1):
            if why := self._forbidden(namespace) or self._too_late():
                self._stop(Stopped(FORBIDDEN, why))
                return
            self._progress.began(job)
            answer = self._asked(namespace, job)
            if answer is not None:
                self._take(job, answer)
                return
            if not self._left(namespace) or self._stopped:
                return
            self._progress.say(f"The process that ran {job.name} died; nothing of it is left.")
            if tried == TRIES and not self._began:
                raise GameDayError(f"No process of the day begins: see {LOGS}/{namespace}.log.")
            if tried == TRIES:
                self._unknown(job, f"its process died {TRIES} times; see {LOGS}/{namespace}.log")

    def _asked(self, namespace: str, job: Job) -> Mapping[str, Any] | None:
        """Have an experiment run; None when the day stops, or the process died."""
        child = self._children.get(namespace)
        if child is None:
            # Known before it is looked whether the day stops: whoever stops it tells all it knows.
            child = self._children[namespace] = Child(self._day, self._stage, namespace)
        if self._stopped:
            return None
        answer = child.run(job, self._timeout)
        self._began = self._began or child.ready
        if answer is None:
            del self._children[namespace]
            child.close()
        return answer

    def _left(self, namespace: str) -> bool:
        """Where nobody says that all was restored: whether nothing is left, in time."""
        left = self._stage.busy(namespace, SETTLE)
        if left:
            again = "restore it with `acns-chaos restore --all`"
            self._stop(Stopped(NOT_RESTORED, f"{left.rstrip('.')}: {again}."))
        return not left

    def _take(self, job: Job, answer: Mapping[str, Any]) -> None:
        """Keep an answer, unless the run was ended before it could tell anything."""
        outcome = word(answer.get("outcome"))
        restored = _restored(job, answer)
        if restored is None and not self._left(job.namespace):
            # As after a process that died: it has no result, and is run again.
            return
        over = not answer.get("interrupted")
        if not over and (why := self._forbidden(job.namespace)):
            self._stop(Stopped(FORBIDDEN, why))
        if restored is False:
            if over or outcome == "NOT_RESTORED":
                self._keep(job, answer)
            was = "was not" if outcome == "NOT_RESTORED" else "is not shown to be"
            why = f"{job.name} {was} restored: see `acns-chaos outcome {job.journal}`."
            self._stop(Stopped(NOT_RESTORED, why))
        elif over or (outcome and not self._stopped):
            self._keep(job, answer)

    def _keep(self, job: Job, answer: Mapping[str, Any]) -> None:
        failed = word(answer.get("failed"))
        if job.blank is None:
            told = (word(answer.get("outcome")), word(answer.get("sentence")) or failed)
            one = Own(job.name, *told, "" if failed else job.journal, _now())
            with self._lock:
                self._day.add_own(one)
            self._progress.ended_own(one)
        elif failed:
            self._unknown(job, failed)
        else:
            self._add(job, parse(json.dumps(answer["result"])))

    def _unknown(self, job: Job, why: str) -> None:
        """A mutant of which nothing can be told."""
        if job.blank is None:
            with self._lock:
                self._day.add_own(Own(job.name, "", why, "", _now()))
            return
        place = replace(self._day.place, namespace=job.namespace)
        blank = replace(job.blank, status=UNKNOWN, place=place, journal="", ended=_now(), why=why)
        self._add(job, blank)

    def _add(self, job: Job, result: Result) -> None:
        with self._lock:
            self._day.add(job, result)
        self._progress.ended(result)
        self._rules()

    # ------------------------------------------------------------------ reasons to stop

    def _rules(self) -> None:
        """Stop where enough survived, or is unknown; a day that has nothing left does not."""
        plan = self._day.plan
        with self._lock:
            found = [one.status for one in self._day.results.values()]
            if not (self._day.pending() or self._day.own_pending()):
                return
        for status, most in ((SURVIVED, plan.stop_survivors), (UNKNOWN, plan.stop_unknown)):
            if most and found.count(status) >= most:
                told = f"{found.count(status)} mutants are {status}" * (status == UNKNOWN)
                told = told or f"{found.count(status)} mutants survived"
                self._stop(Stopped(RULE, f"{told}, and the plan stops after {most}."))

    def _forbidden(self, namespace: str) -> str:
        """Why nothing may be injected now; "" when it may."""
        hours = self._day.plan.blackout_at(datetime.now(UTC))
        if hours is not None:
            return f"No faults {hours[0]}: go on after {hours[1]:%Y-%m-%d %H:%M %Z}."
        return self._stage.stopped(namespace)

    def _too_late(self) -> str:
        """Why no mutant may begin now: one would stand when it may not; "" when it may."""
        hours = self._day.plan.blackout_at(datetime.now(UTC), within=self._timeout)
        if hours is None:
            return ""
        return (
            f"No faults {hours[0]}, and a mutant that begins now may take until then, "
            f"{length(self._timeout)} at most: go on after {hours[1]:%Y-%m-%d %H:%M %Z}."
        )

    def _stop(self, why: Stopped) -> None:
        """Begin nothing more; where something must end at once, tell all processes."""
        if self._stopped is None or why.kind == NOT_RESTORED:
            self._stopped = why
        if why.kind in (NOT_RESTORED, SIGNAL):
            for child in list(self._children.values()):
                child.interrupt()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Stop in good order when told to end; each process restores first."""

        def told(number: int, _frame: FrameType | None) -> None:
            name = signal.Signals(number).name
            if self._stopped is None:
                self._progress.say(f"{name} came: what stands is restored first.")
            self._stop(Stopped(SIGNAL, f"{name} came.", number))

        before = {number: signal.signal(number, told) for number in heard()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _restored(job: Job, answer: Mapping[str, Any]) -> bool | None:
    """Whether an answer shows that nothing stands any more; None where it says nothing of it."""
    if word(answer.get("outcome")) == "NOT_RESTORED":
        return False
    found = answer if job.blank is None else mapping(answer.get("result"))
    restored = found.get("restored")
    return restored if isinstance(restored, bool) else None


def _now() -> str:
    return datetime.now(UTC).isoformat()
