"""What was played and what it answered: activities, readings, passes of the hypothesis.

Nothing is judged here and nothing raises: what is missing, malformed or contradicts itself is
UNKNOWN or None, and `rules` decides what that means.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from acns_chaos.evidence import readings as words
from acns_chaos.evidence.values import mapping, mappings, moment, number, sequence, text

__all__ = ["Answer", "Run", "State"]

# Its probes return readings; those of others return what they like, and their tolerance decides.
PROBES = "acns_chaos.probes"
# Between the moment a window is measured and the moment its activity ends, in seconds.
CLOCK_SLACK = 0.25

# "chaoslib.exceptions.ActivityFailed: acns_chaos.errors.FaultRefused: too wide" -> the last two.
_MODULE_PATH = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z]\w*: )")
_HOST_CLASS = re.compile(r"^(?:ActivityFailed|FailedActivity): ")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe of ours told: its reading, checked against itself.

    Attributes:
        state: one of `readings.STATES`.
        met: whether it is what was expected; None exactly when the state is UNKNOWN.
        sentence: what was seen, or why it could not be told.
        culprits: policies an explanation named, as "namespace/name".
        vacuous: whether no drop at all would have met what was expected.
    """

    state: str
    met: bool | None
    sentence: str
    culprits: tuple[str, ...] = ()
    vacuous: bool = False

    @classmethod
    def of(cls, output: object) -> "Answer":
        """Read an activity's output; whatever contradicts itself is UNKNOWN."""
        told = mapping(output)
        state, met, expected = told.get("reading"), told.get("met"), told.get("expected")
        sentence = text(told.get("sentence"))
        culprits = tuple(c for c in sequence(told.get("culprits")) if isinstance(c, str))
        if not isinstance(state, str) or state not in words.STATES:
            return cls(words.UNKNOWN, None, "it returned no reading")
        if state == words.UNKNOWN:
            return cls(words.UNKNOWN, None, sentence or "it could not tell")
        if not isinstance(met, bool):
            return cls(
                words.UNKNOWN, None, f"it read {state} and does not say whether that was met"
            )
        wanted = expected if isinstance(expected, list | tuple) else (expected,)
        if doubt := _misread(state, [e for e in wanted if isinstance(e, str)], met):
            return cls(words.UNKNOWN, None, doubt)
        bounded = not {"at_least", "at_most"}.isdisjoint(mapping(expected))
        if bounded and state != words.COUNTED:
            return cls(words.UNKNOWN, None, f"it was to count and read {state}")
        if state == words.COUNTED and (doubt := _miscounted(told.get("count"), expected, met)):
            return cls(words.UNKNOWN, None, doubt)
        if state == words.NAMED and not culprits:
            return cls(words.UNKNOWN, None, "it named nobody")
        vacuous = state == words.COUNTED and _bounds(expected)[0] == 0.0
        return cls(state, met, sentence or f"it read {state}", culprits, vacuous)


@dataclass(frozen=True, slots=True)
class Run:
    """One activity that was played.

    Attributes:
        status: "succeeded", "failed", or "" when it never came to an end.
        failure: why it failed, as one line.
        ended: when it ended, if the journal says so.
    """

    activity: Mapping[str, Any]
    name: str
    status: str
    output: Any
    failure: str
    tolerance_met: object
    ended: datetime | None

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "Run":
        """Read one entry of the journal's `run`, `rollbacks` or `probes`."""
        activity = mapping(run.get("activity"))
        status = run.get("status")
        return cls(
            activity,
            text(activity.get("name")),
            status if status in ("succeeded", "failed") else "",
            run.get("output"),
            _failure(run.get("exception")),
            run.get("tolerance_met"),
            moment(run.get("end")),
        )

    @property
    def signalled(self) -> bool:
        """Whether a signal ended it: lib 1.44 swallows SIGTERM and marks the activity failed."""
        return self.status == "failed" and (
            "InterruptExecution" in self.failure or "SIGTERM signal" in self.failure
        )

    @property
    def probe(self) -> str:
        """The function of ours that answered, "" when it is somebody else's."""
        provider = mapping(self.activity.get("provider"))
        return text(provider.get("func")) if provider.get("module") == PROBES else ""

    def began(self, answer: Answer) -> datetime | None:
        """Return from when on the answer speaks: a count from the start of its window."""
        if answer.state != words.COUNTED or self.ended is None:
            return self.ended
        told = mapping(mapping(self.output).get("evidence")).get("seconds")
        window = number(told)
        if window is None:
            # One that nobody can measure began before everything.
            window = 0.0 if told is None else float("inf")
        # The fault's own submission starts a window "since the fault": allow for rounding.
        back = min(max(0.0, window - CLOCK_SLACK), self.ended.timestamp())
        return self.ended - timedelta(seconds=back)

    @property
    def answer(self) -> Answer:
        """What it read; a run that did not succeed read nothing."""
        if self.status == "failed":
            return Answer(words.UNKNOWN, None, f"it failed: {self.failure or 'no reason given'}")
        if self.status != "succeeded":
            return Answer(words.UNKNOWN, None, "it did not come to an end")
        return Answer.of(self.output)


@dataclass(frozen=True, slots=True)
class State:
    """One pass of the steady-state hypothesis.

    Attributes:
        met: True, or False when a probe said the contrary, or None when that cannot be told.
        declared_met: the host's own word for it.
        probe: the probe that decided.
        why: what it said.
    """

    met: bool | None
    declared_met: bool
    probe: str
    why: str

    @classmethod
    def of(cls, state: Mapping[str, Any], declared: Sequence[str]) -> "State":
        """Judge one pass against the names of the probes that were declared."""
        runs = [Run.of(probe) for probe in mappings(state.get("probes"))]
        host = state.get("steady_state_met") is True
        for run in runs:
            module = mapping(run.activity.get("provider")).get("module")
            ours = module == PROBES or "reading" in mapping(run.output)
            if run.status != "succeeded" or (ours and run.answer.state == words.UNKNOWN):
                return cls(None, host, run.name, run.answer.sentence)
            if run.output is None:
                return cls(None, host, run.name, "it returned nothing")
            if ours and run.answer.met is False:
                # Whatever a tolerance made of it, the reading itself is not what was expected.
                return cls(False, host, run.name, run.answer.sentence)
            if run.tolerance_met is not True:
                contrary = run.answer.sentence if ours else f"it returned {text(run.output, 120)}"
                return cls(None if host else False, host, run.name, contrary)
        played = {run.name for run in runs}
        missing = [name for name in declared if name not in played]
        if missing:
            return cls(None, host, missing[0], "it was not asked")
        if not host:
            return cls(None, host, "", "the journal does not say which probe failed")
        return cls(True, host, "", "")


def _failure(exception: object) -> str:
    """Return the last line of an exception as the host writes it, without module paths."""
    lines = [exception] if isinstance(exception, str) else sequence(exception)
    last = text(lines[-1]) if lines else ""
    return _HOST_CLASS.sub("", _MODULE_PATH.sub("", last))


def _bounds(expected: object) -> tuple[float, float | None]:
    """Return what a count must at least and may at most be; (0, None) asks for nothing."""
    bounds = mapping(expected)
    return max(0.0, number(bounds.get("at_least")) or 0.0), number(bounds.get("at_most"))


def _misread(state: str, expected: Sequence[str], met: bool) -> str:
    """Say what is wrong with a reading and what it was to be, "" when they agree."""
    if strange := [word for word in expected if word not in words.STATES]:
        return f"it was to read {strange[0]!r}, which is no reading"
    if expected and met != (state in expected):
        return f"it says {'met' if met else 'not met'}, but read {state} for {expected[0]}"
    return ""


def _miscounted(count: object, expected: object, met: bool) -> str:
    """Say what is wrong with a count, "" when it agrees with itself."""
    found = number(count)
    if found is None:
        return "it counted, and the count is not a number"
    if not isinstance(expected, Mapping):
        return ""
    low, high = _bounds(expected)
    if met != (found >= low and (high is None or found <= high)):
        claim = "met" if met else "not met"
        return f"it says {claim}, but counted {found:g}"
    return ""
