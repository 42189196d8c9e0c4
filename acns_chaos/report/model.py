"""What a report tells of one run: a `Story`, plain data without markup, ready to be worded.

`build.story` makes one from a journal. Every text is one printable line, but nobody vouches for
what it says: whoever writes it into HTML, Markdown or XML escapes it there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.timeline.telling import time_phrase

__all__ = [
    "Answers",
    "Asked",
    "Change",
    "Event",
    "Evidence",
    "Notice",
    "Pass",
    "Permission",
    "Place",
    "Reading",
    "Restore",
    "Span",
    "Stood",
    "Story",
    "Verdict",
]


@dataclass(frozen=True, slots=True)
class Place:
    """Where it ran.

    Attributes:
        kind: "lab", "cluster" or "unknown", as the server stated it.
        label: "LAB (simulated)", "cluster NAME" or "target unknown": what every page says.
        words: the kind in words for a person.
        context, server, uid, namespace: "" where the journal does not say. The UID is that of
            the namespace kube-system; in "unknown" places none of them is to be relied on.
    """

    kind: str
    label: str
    words: str
    context: str = ""
    server: str = ""
    uid: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `evidence.journal.judge` says.

    Attributes:
        outcome: a word of `evidence.outcome.Outcome`.
        code: the exit code of `acns-chaos outcome`.
        sentence: names the target and the decisive fact.
        next: what to do next.
        reasons: most decisive first.
        trusted: whether the journal is signed and unchanged.
        problem: why it is not trusted, "" when it is.
    """

    outcome: str
    code: int
    sentence: str
    next: str
    reasons: tuple[str, ...]
    trusted: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the hypothesis.

    Attributes:
        name: "before the method", "during the method (1)", "after the method".
        result: "met", "not met", "could not be told" or "not played".
        probe, why: what decided, "" where nothing did.
    """

    name: str
    result: str
    probe: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The hypothesis: its title, the claims it makes, and how each pass went."""

    title: str
    claims: tuple[str, ...]
    passes: tuple[Pass, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One object that a fault changed.

    Attributes:
        id: of the fault, "f1", or "f1.2" for one of its objects.
        policy: "namespace/name", or "name".
        kind: "CiliumNetworkPolicy", ...
        operator: what was done wrong on purpose.
        change: "modify", "delete" or "create".
        closed, opened: the flows it was predicted to close and to open.
        realised_by: how it was seen to be in force, "" when it was not.
        fault: the journal's own entry, for those who compare the documents.
    """

    id: str
    policy: str
    kind: str
    operator: str
    change: str
    closed: tuple[str, ...]
    opened: tuple[str, ...]
    realised_by: str
    fault: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one activity of the method answered.

    Attributes:
        role: "witness", "detector", "explanation", or "" for none declared.
        name: of the activity.
        state: of `evidence.readings.STATES`; "" for an activity that reads nothing.
        met: whether it is what was expected; None when it cannot be told or nothing was.
        sentence: what was seen.
        at: when, ISO 8601, "" when it does not say.
    """

    role: str
    name: str
    state: str
    met: bool | None
    sentence: str
    at: str


@dataclass(frozen=True, slots=True)
class Restore:
    """What became of one changed object.

    Attributes:
        policy: as in `Change`.
        by: "method", "rollback", "guard", ..., "" when nobody is recorded.
        who, when: somebody who was none of the run's own, and when.
        created_again: whether somebody had deleted it meanwhile.
        submitted, verified: ISO 8601, "" when it was not.
        debt: why it is not shown to equal the original; "" when it is shown.
        behaviour: what was seen of its flows afterwards, "" when nobody looked.
        difference: lines of a unified diff of what somebody else wrote, when it was left alone.
    """

    policy: str
    by: str
    who: str
    when: str
    created_again: bool
    submitted: str
    verified: str
    debt: str
    behaviour: str
    difference: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """How long something took.

    Attributes:
        ms: milliseconds; None when it is not known or did not happen.
        bound_ms: the error bound, None when none is known.
        why: why there is no figure, "" when there is one.
    """

    ms: float | None
    bound_ms: float | None = None
    why: str = ""

    @property
    def phrase(self) -> str:
        """In words: "31 ms (± 20)", "4.2 s (± 0.1)", or why there is no figure."""
        return time_phrase({"ms": self.ms, "bound_ms": self.bound_ms, "why": self.why})


@dataclass(frozen=True, slots=True)
class Notice:
    """Who noticed a fault, or did not.

    Attributes:
        name: of the activity, or "client", "Hubble", "Prometheus" for the run's own sampling.
        role: "detector" (would have told the team without this run), "witness" (proves that the
            fault bit), "explanation" (names the cause) or "sampled" (the run's own sampling).
        after: how long after the fault was submitted; its `why` when it did not notice.
        silent: whether it looked and saw nothing; False also when it could not look.
    """

    name: str
    role: str
    after: Span
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Stood:
    """The times of one fault; a fault of several objects is one, a fault made again is another.

    Attributes:
        fault: its id.
        policies: what it changed.
        operator: what was done wrong.
        since, until: ISO 8601: submitted, and read back as before; "" when it was not.
        lasted: between the two; the bound is what the two writes themselves took.
        notices: detectors first, each by time.
        outage: how long requests of customers failed.
        recovery: from the restore's submission to the first request that succeeded.
    """

    fault: str
    policies: tuple[str, ...]
    operator: str
    since: str
    until: str
    lasted: Span
    notices: tuple[Notice, ...]
    outage: Span
    recovery: Span


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the run: milliseconds since the first one, its time, what and in which words."""

    ms: float
    at: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of a run, as RBAC writes it; `tier` is which of our roles holds it."""

    tier: str
    verb: str
    resource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the journal can be checked by.

    Attributes:
        head: "sha256:…" of the sealed chain, "" when the journal has none.
        digest: of the signature, "" when it is not signed.
        problem: why the journal is not to be trusted, "" when it is intact.
        redacted: whether names and addresses are replaced by pseudonyms.
    """

    head: str
    digest: str
    problem: str
    redacted: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """The reviewer's questions, answered in sentences; each has at least one.

    Attributes:
        broken: what was broken.
        lasted: for how long.
        noticed: who noticed, and when.
        unnoticed: what would not have been noticed.
        back: is everything back? Its first word is "Yes", "No" or "Unknown".
    """

    broken: tuple[str, ...]
    lasted: tuple[str, ...]
    noticed: tuple[str, ...]
    unnoticed: tuple[str, ...]
    back: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    """One run, told.

    Attributes:
        title: the experiment's question.
        run: the run's id, "" when unknown.
        started: ISO 8601 as the host wrote it, "" when unknown.
        is_back: True when everything is shown to be back (or nothing was changed), False when
            something is not, None when the journal cannot say.
        permissions: None when the journal does not record them.
        lost_events: how many events have no usable time.
        versions: name and version, "" when it is not recorded.
        not_observed: sentences; never empty.
        source: where it was read from, "" when that is not known.
        partial: why only a part of it is told, "" when all is.
        facts: the journal, safe to read.
    """

    place: Place
    title: str
    run: str
    started: str
    verdict: Verdict
    is_back: bool | None
    answers: Answers
    asked: Asked
    changes: tuple[Change, ...]
    readings: tuple[Reading, ...]
    restores: tuple[Restore, ...]
    stood: tuple[Stood, ...]
    events: tuple[Event, ...]
    lost_events: int
    permissions: tuple[Permission, ...] | None
    versions: tuple[tuple[str, str], ...]
    not_observed: tuple[str, ...]
    evidence: Evidence
    facts: Facts = field(repr=False, compare=False)
    source: str = ""
    partial: str = ""
