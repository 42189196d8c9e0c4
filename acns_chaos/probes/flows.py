"""What Hubble saw."""

from acns_chaos.evidence.arguments import numbers
from acns_chaos.evidence.readings import UNKNOWN, reading
from acns_chaos.faults.session import armed_run
from acns_chaos.probes.asking import NOT_SUBMITTED, answers, from_fault, whole

__all__ = ["read_flows", "relay_is_healthy"]


@answers
def read_flows(
    destination: str = "",
    source: str = "",
    verdict: str = "DROPPED",
    direction: str = "",
    reason: str = "policy",
    port: int = 0,
    since: str = "fault",
    window: float = 10.0,
    at_least: float = 1.0,
    at_most: float = -1.0,
    deadline: float = 5.0,
) -> dict:
    """Count flows that Hubble saw, a dropped packet once; UNKNOWN where missing ones could matter.

    Args:
        destination: "store-front" (a workload of the experiment's namespace), "pets/store-front",
            "pets/" (a namespace), "world" or another reserved entity, a DNS name, an address or
            prefix; "" any.
        source: likewise.
        verdict: "DROPPED", "FORWARDED", ...; "" any.
        direction: "ingress", "egress" or "".
        reason: of a drop: "policy" (whatever policy or its proxy denied), "any", or one of
            Hubble's words such as POLICY_DENIED.
        port: of the destination, the pod's and not the Service's; 0 any.
        since: "fault" counts from the moment the fault was submitted; "window" over the last
            `window` seconds.
        window: seconds.
        at_least: expected lower bound.
        at_most: expected upper bound; negative means none.
        deadline: seconds to keep asking until the count is as expected.
    """
    # Values of Hubble are loaded by whoever asks it.
    from acns_chaos.cluster.hubble.query import Query
    from acns_chaos.evidence.counters import Bounds
    from acns_chaos.evidence.flows import POLICY, read_flow_count

    run = armed_run()
    home = run.target.namespace
    given = numbers(
        {
            "window": window,
            "port": port,
            "at_least": at_least,
            "at_most": at_most,
            "deadline": deadline,
        }
    )
    bounds = Bounds.given(given["at_least"], given["at_most"])
    if verdict != "DROPPED" or reason == "any":
        reason = ""
    query = Query(
        verdict=verdict,
        source=whole(source, home),
        destination=whole(destination, home),
        direction=direction,
        port=int(given["port"]),
        reason="" if reason == POLICY else reason,
    )
    ends = [end or "anybody" for end in (query.source, query.destination)]
    what = f"{verdict or 'all'} flows from {ends[0]} to {ends[1]}"
    start = from_fault(run, since, ("window", "fault"))
    if start is None:
        return reading(UNKNOWN, what, NOT_SUBMITTED, None, bounds.as_json(), {}, count=None)
    return read_flow_count(
        *(run.api, run.environ, query, reason == POLICY, what),
        *(start, given["window"], bounds, given["deadline"]),
    )


@answers
def relay_is_healthy() -> dict:
    """Ask whether Hubble relay answers for every node: READY, NOT_READY or UNKNOWN."""
    from acns_chaos.evidence.flows import read_relay

    run = armed_run()
    return read_relay(run.api, run.environ)
