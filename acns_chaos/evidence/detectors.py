"""One detector: an alert, or a claim that somebody runs on a schedule, and what it says.

Belongs here: what one says of the fault. Does not belong here: asking all of them, and for how long
(`detecting`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from acns_chaos.cluster.kube import Api
from acns_chaos.evidence.alerts import Asker
from acns_chaos.evidence.apart import Apart
from acns_chaos.evidence.claims_run import ClaimRun, Source, source_of
from acns_chaos.evidence.looks import Look
from acns_chaos.evidence.readings import FIRING

__all__ = ["ALERT", "CLAIM", "Asked", "Detector", "Word", "asked_of"]

ALERT, CLAIM = "alert", "claim"


@dataclass(frozen=True, slots=True)
class Detector:
    """What is asked.

    Attributes:
        name: of the alert or the claim.
        kind: ALERT or CLAIM.
        deadline: seconds that it has, from when the fault was seen in force.
        labels: that the alert must carry.
        cronjob: "namespace/name" of who runs the claim, "" for the run's own player.
        judges: the directions it is for, as the experiment says them.
    """

    name: str
    kind: str
    deadline: float
    labels: Mapping[str, str] = field(default_factory=dict)
    cronjob: str = ""
    judges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Word:
    """What one detector says; moments by this machine's clock, seconds since 1970.

    Attributes:
        noticed: None where it cannot tell.
        at: when it noticed.
        bound: by how many seconds that may be off.
        why: where it did not.
    """

    noticed: bool | None
    at: float | None = None
    bound: float = 0.0
    why: str = ""


class Asked(Protocol):
    """One detector while it is asked; both raise ApiError when it cannot be."""

    def silent(self, begin: float) -> str:
        """Why it cannot be taken for silent since a moment, "" when it can."""

    def word(self, until: float, last: bool) -> Word | None:
        """What it says, None for nothing yet; at the *last* time it says something."""


def asked_of(
    api: Api,
    environ: Mapping[str, str],
    one: Detector,
    schedule: str,
    submitted: str,
    apart: Apart | None,
) -> Asked:
    """Make a detector ready to be asked.

    Args:
        api: the cluster.
        environ: looked up for Prometheus and Alertmanager (docs/prometheus.md).
        one: the detector.
        schedule: folder in which the run's player of claims writes; "" when nobody plays.
        submitted: ISO 8601 moment of the fault, "" before it.
        apart: whose alerts are of other faults.
    """
    start = datetime.fromisoformat(submitted).timestamp() if submitted else 0.0
    if one.kind == ALERT:
        return _Alert(lambda: Asker(api, environ, one.name, one.labels, submitted, apart), start)
    return _Claim(source_of(api, one.name, one.cronjob, schedule), start)


class _Alert:
    """An alert; who is to be asked is found out when it is, as that may fail."""

    def __init__(self, opened: Callable[[], Asker], start: float) -> None:
        self._opened, self._start = opened, start
        self._asker: Asker | None = None

    def _ask(self) -> Asker:
        if self._asker is None:
            self._asker = self._opened()
        return self._asker

    def silent(self, begin: float) -> str:
        return self._ask().quiet_since(begin)

    def word(self, until: float, last: bool) -> Word | None:
        asker = self._ask()
        look = asker.heard()
        at, bound = asker.began(look)
        if look.new:
            if at is not None and at > until + bound:
                return Word(False, why="it fired after its deadline only")
            if at is not None and at - bound < self._start:
                # Another one of that name may still begin.
                return Word(None, why=_unsure("it began to fire", bound)) if last else None
            return self._noticed(asker, look, at, bound)
        if look.old:
            return Word(None, why="it was firing before the fault")
        if not last:
            return None
        if look.muted:
            return Word(False, why=f"it fires and is {look.muted[0].muted}: nobody is told")
        if look.apart:
            return Word(False, why=f"it fired for {asker.whose(look)} alone")
        doubt = asker.doubt(FIRING, look)
        return Word(False, why=f"no data: {doubt}" if doubt else "it did not fire")

    def _noticed(self, asker: Asker, look: Look, at: float | None, bound: float) -> Word:
        if doubt := asker.doubt(FIRING, look):
            return Word(None, why=doubt)
        if at is None:
            return Word(None, why="it fires, and since when is not known")
        return Word(True, at, bound)


class _Claim:
    """A claim that is run on a schedule."""

    def __init__(self, source: Source, start: float) -> None:
        self._source, self._start = source, start

    def silent(self, begin: float) -> str:  # noqa: ARG002 - its last run says it, whenever it ended
        runs = self._source.runs()
        if not runs:
            return self._source.trouble() or "nobody has run it yet"
        return _not_held(runs[-1])

    def word(self, until: float, last: bool) -> Word | None:
        runs = self._source.runs()
        before = [one for one in runs if one.ended < self._start]
        # What a run found that began before the fault may be from before it, too.
        since = [one for one in runs if self._is_later(one, until, -self._source.bound)]
        missed = next((one for one in since if one.deviated), None)
        if missed is None and not last:
            return None
        if before and (why := _not_held(before[-1])):
            return Word(None, why=f"before the fault {why}")
        if missed is not None:
            if not before:
                return Word(None, why="it is missed, and nobody ran it before the fault")
            return Word(True, missed.ended, self._source.bound)
        if trouble := self._source.trouble():
            return Word(None, why=trouble)
        maybe = [one for one in runs if self._is_later(one, until, self._source.bound)]
        return self._unnoticed(maybe)

    def _is_later(self, run: ClaimRun, until: float, off: float) -> bool:
        return run.started + off >= self._start and run.ended <= until

    def _unnoticed(self, since: Sequence[ClaimRun]) -> Word:
        """What it says when no run that surely began after the fault was missed.

        Args:
            since: the runs that may have begun after it, and ended in time.
        """
        if any(one.deviated for one in since):
            return Word(None, why=_unsure("a run that missed it began", self._source.bound))
        if not since:
            return Word(False, why="no data: no run of it began and ended while the fault stood")
        unclear = [one for one in since if one.deviated is None]
        if unclear:
            return Word(False, why=f"{len(unclear)} of its runs could not tell: {unclear[0].why}")
        return Word(False, why=f"it held in {len(since)} run{'' if len(since) == 1 else 's'}")


def _unsure(what: str, bound: float) -> str:
    return f"{what} as the fault did, give or take {bound:g} s: which came first cannot be told"


def _not_held(run: ClaimRun) -> str:
    if run.deviated is None:
        return f"its run could not tell: {run.why}"
    return f"it was missed: {run.why}" if run.deviated else ""
