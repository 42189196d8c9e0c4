"""One line of `results.jsonl`: what became of one mutant; and files of such lines.

Belongs here: the values and their JSON. Does not belong here: counting them (`score`), and uniting
the files of several shards (`merge`).

A file is only ever appended to. What was cut short by a crash is no line, and of a mutant that is
there twice the first line counts. What a line says comes from elsewhere: nothing in it is trusted
to be short, printable or of the right type.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from acns_chaos.errors import GameDayError
from acns_chaos.evidence.values import mapping, mappings, moment, number, sequence, text, word

__all__ = [
    "BOTH",
    "CLOSES",
    "CLUSTER",
    "KILLED",
    "LAB",
    "LONGEST_NAME",
    "OPENS",
    "SCHEMA",
    "SURVIVED",
    "UNKNOWN",
    "Detected",
    "Key",
    "Place",
    "Result",
    "Signal",
    "parse",
    "read_every",
    "read_results",
]

SCHEMA = 1
KILLED, SURVIVED, UNKNOWN = "killed", "survived", "unknown"
CLOSES, OPENS, BOTH = "closes", "opens", "both"
LAB, CLUSTER = "lab", "cluster"
# Of one line, in bytes; and of the names that results are told apart by, in characters.
LONGEST_LINE, LONGEST_NAME = 1_000_000, 2_000

Key = tuple[str, str, str]
"""What a result is counted once by: day, shard, mutant."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mutant was tried.

    Attributes:
        kind: LAB or CLUSTER, as the server states it.
        label: for sentences, such as "LAB (simulated)".
        context: the kube context's name.
        uid: of the cluster.
        namespace: of the policy.
    """

    kind: str
    label: str = ""
    context: str = ""
    uid: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Detected:
    """What one detector made of a mutant.

    Attributes:
        name: the alert's, or the claim's.
        kind: "alert" or "claim".
        noticed: whether it did by its deadline; None when it could not tell: it had been firing
            before the fault, could not be asked, or the fault may have been put back before its
            time was over. No data is no notice.
        after_ms: milliseconds after the fault, None when it noticed nothing.
        bound_ms: how far that may be off.
        deadline_ms: how long it had.
        why: why it did not notice, or could not tell.
        judges: which directions it is for ("availability", "security"); () where the line does not
            say.
    """

    name: str
    kind: str
    noticed: bool | None
    after_ms: float | None = None
    bound_ms: float | None = None
    deadline_ms: float | None = None
    why: str = ""
    judges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signal:
    """A counter, or flows, that somebody could have listened to.

    Attributes:
        name: such as "hubble_drop_total pets/store-front ingress".
        rose: whether it did while the fault stood.
        by: how much.
    """

    name: str
    rose: bool
    by: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one mutant; attributes as the keys of a line, `effect` is its "class".

    Attributes:
        day: which game day.
        shard: "cluster uid/namespace".
        mutant: its id.
        effect: CLOSES, OPENS or BOTH.
        status: KILLED, SURVIVED or UNKNOWN.
        place: where.
        position: in the day's order, from 0 or 1 as the plan counts.
        policy: "namespace/name".
        kind: of the policy.
        operator: that made it.
        family: the operator's.
        where: in the policy.
        mistake: one sentence.
        experiment: file of it in the day's folder.
        journal: file of it in the day's folder.
        started: when, ISO 8601.
        ended: when, ISO 8601.
        seconds: it took.
        outcome: of the run.
        bit: whether the fault was seen in force.
        restored: whether all was put back; None where nothing says so.
        detectors: each one's word.
        signals: what could have been listened to.
        by: who noticed first.
        first_ms: after how long.
        others: of a mutant that alerts alone noticed, whether by then somebody else than the run
            itself had used what it closes; None where that is not known, or does not matter.
        why: why it is unknown, or survived.
        suggestion: what would have noticed, as JSON; None where nothing was suggested yet.
    """

    day: str
    shard: str
    mutant: str
    effect: str
    status: str
    place: Place
    position: int = 0
    policy: str = ""
    kind: str = ""
    operator: str = ""
    family: str = ""
    where: str = ""
    mistake: str = ""
    experiment: str = ""
    journal: str = ""
    started: str = ""
    ended: str = ""
    seconds: float | None = None
    outcome: str = ""
    bit: bool | None = None
    restored: bool | None = None
    detectors: tuple[Detected, ...] = ()
    signals: tuple[Signal, ...] = ()
    by: str = ""
    first_ms: float | None = None
    others: bool | None = None
    why: str = ""
    suggestion: Mapping[str, Any] | None = field(default=None, hash=False)

    @property
    def key(self) -> Key:
        """What it is counted once by."""
        return self.day, self.shard, self.mutant

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None where that is not known."""
        return moment(self.ended)

    def as_json(self) -> dict[str, Any]:
        """Return the line's object."""
        place = self.place
        return {
            "schema": SCHEMA,
            "day": self.day,
            "shard": self.shard,
            "position": self.position,
            "mutant": self.mutant,
            "place": {
                "kind": place.kind,
                "label": place.label,
                "context": place.context,
                "uid": place.uid,
                "namespace": place.namespace,
            },
            "policy": self.policy,
            "kind": self.kind,
            "operator": self.operator,
            "family": self.family,
            "where": self.where,
            "mistake": self.mistake,
            "class": self.effect,
            "experiment": self.experiment,
            "journal": self.journal,
            "started": self.started,
            "ended": self.ended,
            "seconds": self.seconds,
            "outcome": self.outcome,
            "bit": self.bit,
            "restored": self.restored,
            "detectors": [_detector_json(one) for one in self.detectors],
            "signals": [{"name": s.name, "rose": s.rose, "by": s.by} for s in self.signals],
            "status": self.status,
            "by": self.by,
            "first_ms": self.first_ms,
            "others": self.others,
            "why": self.why,
            "suggestion": dict(self.suggestion) if self.suggestion is not None else None,
        }

    def line(self) -> str:
        """The line as it is written, its end included."""
        return json.dumps(self.as_json(), separators=(",", ":"), sort_keys=True) + "\n"


def _detector_json(one: Detected) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "for": list(one.judges),
        "noticed": one.noticed,
        "after_ms": one.after_ms,
        "bound_ms": one.bound_ms,
        "deadline_ms": one.deadline_ms,
        "why": one.why,
    }


def parse(line: str | bytes) -> Result:
    """Read one line.

    Args:
        line: as it stands in a file.

    Raises:
        GameDayError: it is no result; the message says why, and names no place.
    """
    if len(line) > LONGEST_LINE:
        raise GameDayError(f"it has more than {LONGEST_LINE:,} bytes")
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise GameDayError("it is no JSON") from None
    if not isinstance(found, dict):
        raise GameDayError("it is no object")
    schema = found.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise GameDayError(
            f"it is of schema {schema}, which a newer acns-chaos wrote: this one knows {SCHEMA}"
        )
    if schema != SCHEMA or isinstance(schema, bool):
        raise GameDayError(f"its schema is {text(schema, 20) or 'not there'}, not {SCHEMA}")
    return _result(found)


def _result(found: Mapping[str, Any]) -> Result:
    place = mapping(found.get("place"))
    suggestion = found.get("suggestion")
    return Result(
        day=_name(found, "day"),
        shard=_name(found, "shard"),
        mutant=_name(found, "mutant"),
        effect=_one_of(found, "class", (CLOSES, OPENS, BOTH)),
        status=_one_of(found, "status", (KILLED, SURVIVED, UNKNOWN)),
        place=Place(
            _one_of(place, "kind", (LAB, CLUSTER), "place."),
            *(word(place.get(key)) for key in ("label", "context", "uid", "namespace")),
        ),
        position=int(number(found.get("position")) or 0),
        detectors=tuple(_detected(one) for one in mappings(found.get("detectors"))),
        signals=tuple(
            Signal(word(one.get("name")), one.get("rose") is True, number(one.get("by")))
            for one in mappings(found.get("signals"))
        ),
        seconds=number(found.get("seconds")),
        bit=_flag(found, "bit"),
        restored=_flag(found, "restored"),
        first_ms=number(found.get("first_ms")),
        others=_flag(found, "others"),
        suggestion=suggestion if isinstance(suggestion, dict) else None,
        **{key: word(found.get(key)) for key in _WORDS},
    )


_WORDS = (
    *("policy", "kind", "operator", "family", "where", "mistake", "experiment", "journal"),
    *("started", "ended", "outcome", "by", "why"),
)


def _detected(one: Mapping[str, Any]) -> Detected:
    return Detected(
        name=word(one.get("name")),
        kind=word(one.get("kind")),
        noticed=_flag(one, "noticed"),
        after_ms=number(one.get("after_ms")),
        bound_ms=number(one.get("bound_ms")),
        deadline_ms=number(one.get("deadline_ms")),
        why=word(one.get("why")),
        judges=tuple(word(way) for way in sequence(one.get("for"))),
    )


def _flag(found: Mapping[str, Any], key: str) -> bool | None:
    value = found.get(key)
    return value if isinstance(value, bool) else None


def _name(found: Mapping[str, Any], key: str) -> str:
    """A text that results are told apart by: kept as it is, so that no two become one."""
    value = found.get(key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise GameDayError(f"its {key} is no name")
    if len(value) > LONGEST_NAME:
        raise GameDayError(f"its {key} has more than {LONGEST_NAME:,} characters")
    return value


def _one_of(found: Mapping[str, Any], key: str, allowed: tuple[str, ...], prefix: str = "") -> str:
    value = found.get(key)
    if value not in allowed:
        raise GameDayError(
            f"its {prefix}{key} is {text(value, 40) or 'not there'}, none of {', '.join(allowed)}"
        )
    return str(value)


def read_results(path: Path) -> tuple[list[Result], list[str]]:
    """Read a file of results.

    Args:
        path: *.jsonl.

    Returns:
        The first complete result of each mutant, in the file's order; and notes as `read_every`.

    Raises:
        GameDayError: the file cannot be read.
    """
    every, notes = read_every(path)
    found: dict[Key, Result] = {}
    for one in every:
        found.setdefault(one.key, one)
    return list(found.values()), notes


def read_every(path: Path) -> tuple[list[Result], list[str]]:
    """Read a file of results, also what it holds of a mutant more than once.

    Args:
        path: *.jsonl.

    Returns:
        Each complete result, in the file's order; and a sentence for each line that is none. A last
        line without its end was cut short: it is passed over silently, as the mutant is run again.

    Raises:
        GameDayError: the file cannot be read.
    """
    found: list[Result] = []
    notes: list[str] = []
    try:
        with path.open("rb") as stream:
            for number_, line in _lines(stream):
                if not line.endswith(b"\n") or not line.strip():
                    continue
                try:
                    found.append(parse(line))
                except GameDayError as error:
                    notes.append(f"{path}, line {number_} is no result, and was left out: {error}.")
    except OSError as error:
        raise GameDayError(f"{path} cannot be read: {error.strerror}.") from error
    return found, notes


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Each line with its number; of one that is too long as much as shows that it is."""
    number_ = 0
    while line := stream.readline(LONGEST_LINE + 2):
        number_ += 1
        if not line.endswith(b"\n") and len(line) > LONGEST_LINE:
            while (more := stream.readline(LONGEST_LINE)) and not more.endswith(b"\n"):
                pass
            line = line[: LONGEST_LINE + 1] + b"\n"
        yield number_, line
