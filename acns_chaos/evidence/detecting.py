"""Readings of several detectors at once: who has noticed the fault, first, and after how long?

A detector is an alert, or a claim that somebody runs on a schedule (`claims_run`). Before the fault
each must be silent: what fired then cannot tell that it noticed anything. While the fault stands
all are asked until each has noticed or its time is over, and what they said meanwhile counts from
when they said it, not from when it was read.

Of one detector: `noticed` true; false, also where it had no data, as then it would have told
nobody; null where that cannot be told, because it had been firing or could not be asked.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence.alerts import Asker, Look, alert_labels
from acns_chaos.evidence.arguments import numbers
from acns_chaos.evidence.claims_run import ClaimRun, Source, source_of
from acns_chaos.evidence.readings import FIRING, SILENT, UNKNOWN, Reading, reading
from acns_chaos.evidence.values import mapping, sequence, text

__all__ = ["ALERT", "CLAIM", "Detector", "detectors_of", "read_noticed", "read_silence"]

ALERT, CLAIM = "alert", "claim"
INTERVAL = 0.15
# More would be no plan, and each is asked some times a second.
MOST = 50
KEYS = frozenset({"name", "kind", "for", "deadline", "labels", "cronjob"})


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
class _Word:
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


class _Asked(Protocol):
    """One detector while it is asked; both raise ApiError when it cannot be."""

    def silent(self, begin: float) -> str:
        """Why it cannot be taken for silent since a moment, "" when it can."""

    def word(self, until: float, last: bool) -> _Word | None:
        """What it says, None for nothing yet; at the *last* time it says something."""


def detectors_of(given: Any) -> list[Detector]:
    """Read what an experiment says of its detectors.

    Args:
        given: objects with "name", "kind" ("alert" or "claim"), "deadline" (seconds), and, as the
            kind has it, "labels" or "cronjob"; "for" lists what it is there for.

    Raises:
        ArgumentError: it is something else; the sentence says what.
    """
    if not isinstance(given, list) or len(given) > MOST:
        raise ArgumentError(f"detectors must be a list of at most {MOST} objects")
    found = [_detector(one) for one in given]
    names = [one.name for one in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ArgumentError(f"two detectors are called {twice!r}")
    return found


def _detector(given: Any) -> Detector:
    one = mapping(given)
    kind, name = one.get("kind"), one.get("name")
    if kind not in (ALERT, CLAIM):
        raise ArgumentError(f"a detector's kind must be {ALERT} or {CLAIM}, not {kind!r}")
    if strange := sorted(set(map(str, one)) - KEYS):
        raise ArgumentError(f"a detector has no {strange[0]!r}")
    labels = alert_labels(name, one.get("labels", {}))
    deadline = numbers({"deadline": one.get("deadline", 0.0)})["deadline"]
    cronjob = one.get("cronjob", "")
    if not isinstance(cronjob, str) or (cronjob and cronjob.count("/") != 1):
        raise ArgumentError(f"cronjob must be namespace/name, not {cronjob!r}")
    judges = tuple(text(way, 40) for way in sequence(one.get("for")))
    return Detector(str(name), str(kind), deadline, labels, cronjob, judges)


def read_silence(
    api: Api,
    environ: Mapping[str, str],
    wanted: Sequence[Detector],
    schedule: str,
    deadline: float,
    clock: Callable[[], float] = time.time,
) -> Reading:
    """Wait until every detector is silent, or *deadline* has passed.

    Args:
        api: the cluster.
        environ: looked up for Prometheus and Alertmanager (docs/prometheus.md).
        wanted: the detectors.
        schedule: folder in which the run's player of claims writes; "" when nobody plays.
        deadline: seconds.
        clock: seconds since 1970; injected by tests.

    Returns:
        SILENT; FIRING when one is not; UNKNOWN when one cannot be asked. `evidence.detectors` says
        it of each.
    """
    began = clock()
    asked = [(one, _asked(api, environ, one, schedule, "")) for one in wanted]
    states: dict[str, str] = {}
    failed: dict[str, str] = {}

    def all_silent() -> bool:
        for one, asker in asked:
            # What is silent may fire again for what was before, so each is asked again.
            failed.pop(one.name, None)
            try:
                states[one.name] = asker.silent(began)
            except ApiError as error:
                states[one.name] = failed[one.name] = str(error)
        return not any(states.values())

    wait_until(all_silent, deadline, INTERVAL)
    loud = [f"{name}: {why}" for name, why in states.items() if why]
    evidence = {
        "detectors": [
            {"name": one.name, "kind": one.kind, "silent": not states[one.name]}
            | {"why": states[one.name]}
            for one in wanted
        ],
        "seconds": round(clock() - began, 3),
    }
    what = _what(wanted)
    if failed:
        return reading(UNKNOWN, what, "; ".join(loud)[:400], None, SILENT, evidence)
    if loud:
        return reading(FIRING, what, "; ".join(loud)[:400], False, SILENT, evidence)
    sentence = f"all {len(wanted)} are silent" if wanted else "there is none"
    return reading(SILENT, what, sentence, True, SILENT, evidence)


def read_noticed(
    api: Api,
    environ: Mapping[str, str],
    wanted: Sequence[Detector],
    schedule: str,
    submitted: str,
    realised: str = "",
    clock: Callable[[], float] = time.time,
) -> Reading:
    """Ask all detectors until each has noticed the fault or its time is over.

    Args:
        api: the cluster.
        environ: as for `read_silence`.
        wanted: the detectors.
        schedule: as for `read_silence`.
        submitted: ISO 8601 moment of the fault; what was said before is of something else.
        realised: when it was seen in force, from which deadlines run; "" takes *submitted*.
        clock: seconds since 1970; injected by tests.

    Returns:
        FIRING when one noticed, with `seconds` until the first did; SILENT when none did; UNKNOWN
        when none did and one cannot tell. `evidence.detectors` holds each one's `noticed`,
        `after_ms` and `bound_ms` (from *submitted*), `deadline_ms` (likewise) and `why`.
    """
    start = datetime.fromisoformat(submitted).timestamp()
    bit = max(start, datetime.fromisoformat(realised).timestamp() if realised else start)
    asked = {one.name: _asked(api, environ, one, schedule, submitted) for one in wanted}
    said: dict[str, _Word] = {}

    def settled() -> bool:
        for one in wanted:
            if one.name not in said:
                until = bit + one.deadline
                word = _word(asked[one.name], until, last=clock() > until)
                if word is not None:
                    said[one.name] = word
        return len(said) == len(wanted)

    longest = max((one.deadline for one in wanted), default=0.0)
    # A detector's last word is asked for after its deadline.
    wait_until(settled, max(0.0, bit + longest - clock()) + 2 * INTERVAL, INTERVAL)
    for one in wanted:
        if one.name not in said:
            last = _word(asked[one.name], bit + one.deadline, last=True)
            said[one.name] = last or _Word(None, why="it said nothing")
    return _told(wanted, said, start, bit)


def _word(asked: _Asked, until: float, last: bool) -> _Word | None:
    try:
        return asked.word(until, last)
    except ApiError as error:
        return _Word(None, why=f"it cannot be asked: {error}") if last else None


def _told(
    wanted: Sequence[Detector], said: Mapping[str, _Word], start: float, bit: float
) -> Reading:
    rows = [_row(one, said[one.name], start, bit) for one in wanted]
    evidence: dict[str, Any] = {
        "detectors": rows,
        "submitted": _iso(start),
        "in_force": _iso(bit),
    }
    what = _what(wanted)
    first = min((row for row in rows if row["noticed"]), key=_after, default=None)
    if first is not None:
        evidence["began"] = _iso(start + first["after_ms"] / 1000)
        rest = [row["name"] for row in rows if not row["noticed"]]
        others = f"; not {', '.join(rest)}" if rest else ""
        seconds = first["after_ms"] / 1000
        sentence = f"{first['name']} noticed after {seconds:.1f} s{others}"
        return reading(FIRING, what, sentence[:400], True, FIRING, evidence, seconds=seconds)
    because = "; ".join(f"{row['name']}: {row['why']}" for row in rows)
    if any(row["noticed"] is None for row in rows):
        told = f"nobody is known to have noticed ({because})"
        return reading(UNKNOWN, what, told[:400], None, FIRING, evidence, seconds=None)
    told = f"nobody noticed ({because})" if rows else "nobody is there to notice"
    return reading(SILENT, what, told[:400], False, FIRING, evidence, seconds=None)


def _after(row: Mapping[str, Any]) -> float:
    return float(row["after_ms"])


def _row(one: Detector, word: _Word, start: float, bit: float) -> dict[str, Any]:
    after = None if word.at is None else max(0, round((word.at - start) * 1000))
    return {
        "name": one.name,
        "kind": one.kind,
        "for": list(one.judges),
        "noticed": word.noticed,
        "after_ms": after,
        "bound_ms": None if after is None else max(1, round(word.bound * 1000)),
        "deadline_ms": round((bit - start + one.deadline) * 1000),
        "why": text(word.why, 300),
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _what(wanted: Sequence[Detector]) -> str:
    return f"{len(wanted)} detector" + ("" if len(wanted) == 1 else "s")


# ---------------------------------------------------------------------- one detector


def _asked(
    api: Api, environ: Mapping[str, str], one: Detector, schedule: str, submitted: str
) -> _Asked:
    if one.kind == ALERT:
        return _Alert(lambda: Asker(api, environ, one.name, one.labels, submitted), one.name)
    start = datetime.fromisoformat(submitted).timestamp() if submitted else 0.0
    return _Claim(source_of(api, one.name, one.cronjob, schedule), start)


class _Alert:
    """An alert; who is to be asked is found out when it is, as that may fail."""

    def __init__(self, opened: Callable[[], Asker], name: str) -> None:
        self._opened, self._name = opened, name
        self._asker: Asker | None = None

    def _ask(self) -> Asker:
        if self._asker is None:
            self._asker = self._opened()
        return self._asker

    def silent(self, begin: float) -> str:
        return self._ask().quiet_since(begin)

    def word(self, until: float, last: bool) -> _Word | None:
        asker = self._ask()
        look = asker.heard()
        at, bound = asker.began(look)
        if look.new:
            if at is not None and at > until + bound:
                return _Word(False, why="it fired after its deadline only")
            return self._noticed(asker, look, at, bound)
        if look.old:
            return _Word(None, why="it was firing before the fault")
        if not last:
            return None
        if look.muted:
            return _Word(False, why=f"it fires and is {look.muted[0].muted}: nobody is told")
        doubt = asker.doubt(FIRING, look)
        return _Word(False, why=f"no data: {doubt}" if doubt else "it did not fire")

    def _noticed(self, asker: Asker, look: Look, at: float | None, bound: float) -> _Word:
        if doubt := asker.doubt(FIRING, look):
            return _Word(None, why=doubt)
        if at is None:
            return _Word(None, why="it fires, and since when is not known")
        return _Word(True, at, bound)


class _Claim:
    """A claim that is run on a schedule."""

    def __init__(self, source: Source, start: float) -> None:
        self._source, self._start = source, start

    def silent(self, begin: float) -> str:  # noqa: ARG002 - its last run says it, whenever it ended
        runs = self._source.runs()
        if not runs:
            return self._source.trouble() or "nobody has run it yet"
        return _not_held(runs[-1])

    def word(self, until: float, last: bool) -> _Word | None:
        runs = self._source.runs()
        before = [one for one in runs if one.ended < self._start]
        since = [one for one in runs if self._start <= one.ended <= until]
        missed = next((one for one in since if one.deviated), None)
        if missed is None and not last:
            return None
        if before and (why := _not_held(before[-1])):
            return _Word(None, why=f"before the fault {why}")
        if missed is not None:
            if not before:
                return _Word(None, why="it is missed, and nobody ran it before the fault")
            return _Word(True, missed.ended, self._source.bound)
        if trouble := self._source.trouble():
            return _Word(None, why=trouble)
        if not since:
            return _Word(False, why="no data: no run of it ended while the fault stood")
        unclear = [one for one in since if one.deviated is None]
        if unclear:
            return _Word(False, why=f"{len(unclear)} of its runs could not tell: {unclear[0].why}")
        return _Word(False, why=f"it held in {len(since)} run{'' if len(since) == 1 else 's'}")


def _not_held(run: ClaimRun) -> str:
    if run.deviated is None:
        return f"its run could not tell: {run.why}"
    return f"it was missed: {run.why}" if run.deviated else ""
