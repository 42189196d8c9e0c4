"""Had anybody else use of what a fault closed, or were its own witnesses the only ones to knock?

An alert over drops fires for the witnesses' packets, too. Who noticed those would have noticed the
fault once somebody uses the flow, and not before.
"""

from datetime import datetime

from acns_chaos.evidence.facts import Facts
from acns_chaos.evidence.values import mapping, mappings, moment, sequence

__all__ = ["others_knocked"]

CLIENTS = ("read_connection", "read_egress", "read_storefront")
# The attempt by which a fault is seen in force; one that came through before it was not dropped.
INJECTED = 1


def others_knocked(facts: Facts, until: datetime) -> bool | None:
    """Tell whether somebody else was dropped on the flow that the witnesses ask.

    Connections are counted, and who opened one is not known: there was somebody else when there
    were more than the run itself had opened by then.

    Args:
        facts: of the journal.
        until: the moment by which, as when the first detector noticed.

    Returns:
        None where that cannot be told: Hubble was not asked for dropped flows, told of nothing, or
        may have missed some.
    """
    witnesses = facts.role("witnesses")
    for run in facts.runs:
        output = mapping(run.output)
        evidence = mapping(output.get("evidence"))
        if run.name not in witnesses or run.probe != "read_flows":
            continue
        if mapping(evidence.get("query")).get("verdict") != "DROPPED":
            continue
        found = [moment(one) for one in sequence(evidence.get("connections"))]
        count = sum(1 for one in found if one is not None and one <= until)
        if count > _own(facts, until):
            return True
        whole = mapping(evidence.get("hubble")).get("complete") is True
        return False if count and whole else None
    return None


def _own(facts: Facts, until: datetime) -> int:
    """How many connections the run itself can have opened there by then."""
    witnesses = facts.role("witnesses")
    asked = 0
    for one in mappings(facts.journal.get("run")):
        activity = mapping(one.get("activity"))
        is_client = mapping(activity.get("provider")).get("func") in CLIENTS
        began = moment(one.get("start"))
        if activity.get("name") in witnesses and is_client and began and began <= until:
            asked += 1
    return INJECTED + asked
