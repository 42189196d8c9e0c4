"""What Hubble saw dropped while a fault stood, beside what the fault was predicted to close.

Only drops that came are told: that a predicted flow was not dropped may mean that nobody tried it.
"""

from typing import Any

from acns_chaos.evidence.timeline.faults import TimedFault
from acns_chaos.evidence.timeline.flows import Dropped, Predicted, touches
from acns_chaos.evidence.timeline.hubble import Flows
from acns_chaos.evidence.timeline.moments import iso
from acns_chaos.evidence.timeline.runs import Series

__all__ = ["compared"]

# So many flows of either kind are written.
WRITTEN = 60


def compared(fault: TimedFault, over: float, first: float, hubble: Flows | None) -> dict[str, Any]:
    """Return the journal's form.

    Args:
        fault: which.
        over: when it was over, seconds since 1970.
        first: when the run's first fault was submitted: what was dropped before is noise.
        hubble: what it told; None when it was not asked.

    Returns:
        `from`, `to`: the time in question. `unseen`: why Hubble did not see the whole of it, "".
        `closed`: predicted connections that were dropped, `{"flow", "dropped"}`. `dropped`: each
        dropped flow of the namespace with its `count`, how often it was dropped `before` the
        run's first fault, and whether it was `predicted`: by its receiver and port or, towards the
        outside, by its sender and port; `flow` is the predicted one if it is that very one.
        `left_out`: how many there were beyond.
    """
    told: dict[str, Any] = {"from": iso(fault.submitted), "to": iso(over)}
    if hubble is None:
        return told | {"unseen": "it was not asked", "closed": [], "dropped": [], "left_out": 0}
    seen = [
        (one, _between(series, fault.submitted, over + hubble.every), _before(series, first))
        for one, series in hubble.drops()
    ]
    seen = [one for one in seen if one[1]]
    closed = []
    for flow in fault.closed:
        count = sum(number for one, number, _ in seen if _is(one, flow))
        if count and flow.is_connection:
            closed.append({"flow": flow.text, "dropped": count})
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    beyond = 0
    for one, number, before in seen:
        if not one.sender:
            beyond += 1  # all others together, beyond what is kept
            continue
        row = rows.setdefault(_key(one), _row(one))
        row["count"] += number
        row["before"] += before
        row["predicted"] = row["predicted"] or touches(one, fault.closed)
        row["flow"] = row["flow"] or next((f.text for f in fault.closed if _is(one, f)), "")
    written = sorted(rows.values(), key=lambda row: (not row["predicted"], -row["count"]))
    return told | {
        "unseen": hubble.unseen(fault.submitted, over),
        "closed": closed[:WRITTEN],
        "dropped": written[:WRITTEN],
        "left_out": max(0, len(written) - WRITTEN) + beyond,
    }


def _is(one: Dropped, flow: Predicted) -> bool:
    """Whether a drop is this very flow; `touches` is content with its receiver, or its sender."""
    sent = flow.source in one.source or (flow.source == "world" and "/" not in one.sender)
    arrived = flow.destination in one.destination
    return sent and arrived and one.port == flow.port and one.protocol == flow.protocol


def _key(one: Dropped) -> tuple[Any, ...]:
    return (one.sender, one.receiver, one.port, one.protocol, one.direction, one.reason)


def _row(one: Dropped) -> dict[str, Any]:
    return {
        "source": one.sender,
        "destination": one.receiver,
        "port": one.port,
        "protocol": one.protocol,
        "direction": one.direction,
        "reason": one.reason,
        "count": 0,
        "before": 0,
        "predicted": False,
        "flow": "",
    }


def _between(series: Series, since: float, until: float) -> int:
    return sum(run.count for run in series.runs() if since <= run.first <= until)


def _before(series: Series, moment: float) -> int:
    return sum(run.count for run in series.runs() if run.first < moment)
