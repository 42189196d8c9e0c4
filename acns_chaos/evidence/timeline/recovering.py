"""When a fault was over: asked for, put back, and seen to work again."""

from acns_chaos.evidence.timeline.client import ClientSource, Connects
from acns_chaos.evidence.timeline.faults import TimedFault
from acns_chaos.evidence.timeline.moments import RUNNER, STAMP, Moment
from acns_chaos.evidence.timeline.seen import Seen

__all__ = ["ends_of"]


def ends_of(fault: TimedFault, until: float, seen: Seen, failures: list[Moment]) -> list[Moment]:
    """Return the moments of the restore.

    Args:
        fault: which.
        until: when the next fault was submitted, or the end.
        seen: the run's samples.
        failures: the first failed requests of the fault.
    """
    found = []
    asked = fault.restore_submitted
    if asked is not None:
        by = f"by {fault.restored_by}" if fault.restored_by else "by somebody"
        found.append(Moment("restore-submitted", asked, RUNNER, STAMP, "runner", by))
    if fault.restored is not None:
        bound = (fault.restored - asked) * 1000 if asked is not None else STAMP
        detail = "reads back as it was"
        found.append(Moment("restored", fault.restored, RUNNER, bound, "api-server", detail))
    back = _successes(fault, until, seen, failures)
    if back:
        first = min(back, key=lambda one: one.at)
        # A connection that stands is not yet a page.
        pages = [one for one in back if one.source != "client-connect"] or back
        page = min(pages, key=lambda one: one.at)
        found += [first.told_as("restore-realised"), page.told_as("first-success")]
    return found


def _successes(fault: TimedFault, until: float, seen: Seen, failures: list[Moment]) -> list[Moment]:
    """Return the first request of each client, and of the run's witness, that was answered."""
    failed = {one.source: one.at for one in failures}
    asked = fault.restore_submitted
    back = [
        one
        for each in seen.clients
        if each.name in failed and (one := _again(each, asked or failed[each.name], until, seen))
    ]
    if fault.success is not None:
        since = fault.restored or asked or fault.success
        bound = _bound(fault.success, since, seen)
        detail = "the run's own witness"
        back.append(Moment("", fault.success, RUNNER, bound, "runner", detail))
    return back


def _again(source: ClientSource, since: float, until: float, seen: Seen) -> Moment | None:
    """Find the first request that was answered again."""
    there = source.series.at(since)
    if there is not None and source.good(there.result):
        since = there.first  # it came back before this run restored anything
    runs = [run for run in source.series.runs() if run.first >= since and source.good(run.result)]
    if not runs or runs[0].first > until or source.series.summed(since, runs[0].first):
        return None
    run = runs[0]
    bound = _bound(run.first, since, seen)
    return Moment("", run.first, RUNNER, bound, source.name, f"{source.about}: {run.result}")


def _bound(at: float, since: float, seen: Seen) -> float:
    """Return the distance to the last request before it that failed, of whatever client.

    Where a connection fails no page is had either, so each bounds the others.
    """
    bad = [
        run.last
        for each in seen.clients
        if isinstance(each, Connects) or len(seen.clients) == 1
        for run in each.series.runs()
        if each.bad(run.result) and since <= run.last < at
    ]
    return max(STAMP, (at - max([since, *bad])) * 1000)
