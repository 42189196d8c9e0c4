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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, ArgumentError
from acns_chaos.evidence.alerts import alert_labels
from acns_chaos.evidence.apart import Apart
from acns_chaos.evidence.arguments import numbers
from acns_chaos.evidence.detectors import ALERT, CLAIM, Asked, Detector, Word, asked_of
from acns_chaos.evidence.readings import FIRING, SILENT, UNKNOWN, Reading, reading
from acns_chaos.evidence.values import mapping, sequence, text

__all__ = ["ALERT", "CLAIM", "Detector", "detectors_of", "read_noticed", "read_silence"]

INTERVAL = 0.15
# A plan has fifty at most, as each is asked some times a second; what is suggested for a survivor
# is asked beside them.
MOST = 60
# Of its time so much is left to a detector, at least, when the witness is through: it is the first
# user of some flows, and after a lookup that was refused its attempt at the flow is yet to come.
LEFT = 2 / 3
KEYS = frozenset({"name", "kind", "for", "deadline", "labels", "cronjob"})


@dataclass(frozen=True, slots=True)
class _Force:
    """Since when the fault is there; moments as those of `Word`.

    Attributes:
        start: it was submitted.
        seen: the attempt began by which it was seen in force.
        over: that attempt was through.
    """

    start: float
    seen: float
    over: float

    @classmethod
    def of(cls, submitted: str, realised: str, witnessed: str) -> "_Force":
        """Read the moments; "" is that of the one before."""
        start, seen, over = (
            datetime.fromisoformat(one).timestamp() if one else 0.0
            for one in (submitted, realised, witnessed)
        )
        return cls(start, max(start, seen), max(start, seen, over))

    def until(self, one: Detector) -> float:
        """When the time of a detector is over."""
        return max(self.seen + one.deadline, self.over + LEFT * one.deadline)


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
    apart: Apart | None = None,
    clock: Callable[[], float] = time.time,
) -> Reading:
    """Wait until every detector is silent, or *deadline* has passed.

    Args:
        api: the cluster.
        environ: looked up for Prometheus and Alertmanager (docs/prometheus.md).
        wanted: the detectors.
        schedule: folder in which the run's player of claims writes; "" when nobody plays.
        deadline: seconds.
        apart: whose alerts are of other faults: they need not be silent.
        clock: seconds since 1970; injected by tests.

    Returns:
        SILENT; FIRING when one is not; UNKNOWN when one cannot be asked. `evidence.detectors` says
        it of each.
    """
    began = clock()
    asked = [(one, asked_of(api, environ, one, schedule, "", apart)) for one in wanted]
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
    witnessed: str = "",
    apart: Apart | None = None,
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
        witnessed: when whoever saw that was through; "" takes *realised*.
        apart: whose alerts are of other faults, and no notice of this one.
        clock: seconds since 1970; injected by tests.

    Returns:
        FIRING when one noticed, with `seconds` until the first did; SILENT when none did; UNKNOWN
        when none did and one cannot tell. `evidence.detectors` holds each one's `noticed`,
        `after_ms` and `bound_ms` (from *submitted*), `deadline_ms` (likewise) and `why`.
    """
    force = _Force.of(submitted, realised, witnessed)
    asked = {one.name: asked_of(api, environ, one, schedule, submitted, apart) for one in wanted}
    said: dict[str, Word] = {}

    def settled() -> bool:
        for one in wanted:
            if one.name not in said:
                until = force.until(one)
                word = _word(asked[one.name], until, last=clock() > until)
                if word is not None:
                    said[one.name] = word
        return len(said) == len(wanted)

    longest = max((force.until(one) for one in wanted), default=0.0)
    # A detector's last word is asked for after its deadline.
    wait_until(settled, max(0.0, longest - clock()) + 2 * INTERVAL, INTERVAL)
    for one in wanted:
        if one.name not in said:
            last = _word(asked[one.name], force.until(one), last=True)
            said[one.name] = last or Word(None, why="it said nothing")
    return _told(wanted, said, force)


def _word(asked: Asked, until: float, last: bool) -> Word | None:
    try:
        return asked.word(until, last)
    except ApiError as error:
        return Word(None, why=f"it cannot be asked: {error}") if last else None


def _told(wanted: Sequence[Detector], said: Mapping[str, Word], force: _Force) -> Reading:
    rows = [_row(one, said[one.name], force) for one in wanted]
    start = force.start
    evidence: dict[str, Any] = {
        "detectors": rows,
        "submitted": _iso(start),
        "in_force": _iso(force.seen),
        "witnessed": _iso(force.over),
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


def _row(one: Detector, word: Word, force: _Force) -> dict[str, Any]:
    after = None if word.at is None else max(0, round((word.at - force.start) * 1000))
    return {
        "name": one.name,
        "kind": one.kind,
        "for": list(one.judges),
        "noticed": word.noticed,
        "after_ms": after,
        "bound_ms": None if after is None else max(1, round(word.bound * 1000)),
        "deadline_ms": round((force.until(one) - force.start) * 1000),
        "why": text(word.why, 300),
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _what(wanted: Sequence[Detector]) -> str:
    return f"{len(wanted)} detector" + ("" if len(wanted) == 1 else "s")
