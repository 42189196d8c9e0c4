"""From samples to moments: what happened around one fault, and how long each took to notice.

What was not seen is not guessed: a detector that was away says so, one that saw everything and
noticed nothing says that.
"""

from collections.abc import Sequence
from typing import Any

from acns_chaos.evidence.timeline.faults import TimedFault
from acns_chaos.evidence.timeline.moments import RUNNER, STAMP, Moment
from acns_chaos.evidence.timeline.noticing import drops_of, failures_of, rise_of, silence_of
from acns_chaos.evidence.timeline.recovering import ends_of
from acns_chaos.evidence.timeline.seen import Seen

__all__ = ["moments_of", "times_of"]


def moments_of(fault: TimedFault, until: float, seen: Seen) -> list[Moment]:
    """Return what happened around a fault, in order.

    Args:
        fault: which.
        until: when the next fault was submitted, or the end.
        seen: the run's samples.
    """
    over = min(fault.restored or until, until)
    name = f"the fault in {', '.join(fault.policies)}"
    found = [Moment("submitted", fault.submitted, RUNNER, STAMP, "runner", name)]
    if fault.accepted is not None:
        took = max(STAMP, (fault.accepted - fault.submitted) * 1000)
        detail = "stored, as it answered"
        found.append(Moment("accepted", fault.accepted, RUNNER, took, "api-server", detail))
    failures, drops = failures_of(fault, over, seen), drops_of(fault, over, seen.hubble)
    found += _realised(fault, failures, drops)
    found += drops
    if failures:
        first = min(failures, key=lambda one: one.at)
        found += [first, first.told_as("noticed", "client")]
    found += rise_of(fault, over, until, seen.prometheus)
    for one in seen.notices:
        if fault.submitted <= one.at < until:
            what = "noticed" if one.role == "detector" else one.role
            found.append(Moment(what, one.at, RUNNER, one.bound_ms, one.name, one.detail))
    return sorted([*found, *ends_of(fault, until, seen, failures)], key=lambda one: one.at)


def times_of(
    moments: Sequence[Moment], fault: TimedFault, until: float, seen: Seen
) -> dict[str, Any]:
    """Derive how long each took to notice, how long the outage was, and the recovery.

    Args:
        moments: as `moments_of` returns them.
        fault: which.
        until: when the next fault was submitted, or the end.
        seen: the run's samples.

    Returns:
        `time_to_detect` by detector, each `{"ms", "bound_ms"}` or `{"ms": None, "why"}`;
        `outage` and `time_to_recover` likewise.
    """
    submitted = next(one for one in moments if one.what == "submitted")
    noticed: dict[str, Any] = {}
    for one in moments:
        if one.what == "noticed" and one.source not in noticed:
            noticed[one.source] = _span(submitted, one)
    over = min(fault.restored or until, until)
    for name, why in silence_of(fault, over, seen).items():
        noticed.setdefault(name, {"ms": None, "why": why})
    failed, success = _first(moments, "first-failed-request"), _first(moments, "first-success")
    asked = _first(moments, "restore-submitted")
    return {
        "time_to_detect": noticed,
        "outage": _between(failed, success, "no request of a customer was seen to fail"),
        "time_to_recover": _between(asked, success, "this run did not have to restore it"),
    }


def _realised(
    fault: TimedFault, failures: Sequence[Moment], drops: Sequence[Moment]
) -> list[Moment]:
    """Return the earliest sign that the fault was in force, by the runner's clock."""
    signs = [one.told_as("realised") for one in (*failures, *drops) if one.clock == RUNNER]
    if fault.realised is not None:
        since = fault.accepted or fault.submitted
        bound = max(STAMP, (fault.realised - since) * 1000)
        told = fault.realised_by
        signs.append(Moment("realised", fault.realised, RUNNER, bound, "runner", told))
    return [min(signs, key=lambda one: one.at)] if signs else []


def _first(moments: Sequence[Moment], what: str) -> Moment | None:
    return next((one for one in moments if one.what == what), None)


def _between(begin: Moment | None, end: Moment | None, without: str) -> dict[str, Any]:
    if begin is None:
        return {"ms": None, "why": without}
    if end is None:
        return {"ms": None, "why": "no request was seen to succeed again"}
    return _span(begin, end)


def _span(begin: Moment, end: Moment) -> dict[str, Any]:
    return {
        "ms": round((end.at - begin.at) * 1000, 1),
        "bound_ms": round(begin.bound_ms + end.bound_ms, 1),
    }
