"""Which flows are in use: what Hubble's nodes remember of connections that were let through."""

from collections.abc import Iterable, Mapping

from acns_chaos.cluster.hubble import HubbleError, Query, SeenFlow, evidence_of, open_relay
from acns_chaos.cluster.kube import Api
from acns_chaos.faults.proposing.asks import CUSTOMER, HTTPS, NAME, WORLD, Ask, host_of
from acns_chaos.faults.proposing.roster import Roster

__all__ = ["flows_in_use", "matched"]

# Seconds for all that the nodes remember.
DEADLINE = 30.0


def flows_in_use(
    api: Api, environ: Mapping[str, str], roster: Roster, places: Iterable[str]
) -> tuple[set[Ask], str, bool]:
    """Ask Hubble which flows of some namespaces were let through.

    Args:
        api: the cluster.
        environ: may name the relay's address.
        roster: whom a flow may be of.
        places: the namespaces, of whose workloads they come or whose customers they are.

    Returns:
        The asks they may have been; what a person should know of how complete that is, "" when
        nothing is missing; and whether Hubble answers at all.
    """
    seen = set[Ask]()
    missing: list[str] = []
    wanted = sorted(places)
    try:
        with open_relay(api, environ) as relay:
            for place in wanted:
                events = list(relay.flows(Query(verdict="FORWARDED", namespace=place), DEADLINE))
                seen |= matched(roster, (one for one in events if isinstance(one, SeenFlow)))
                missing += evidence_of(events).reasons
    except HubbleError as error:
        told = f"Hubble cannot be asked, so the policies alone say what is used: {error}"
        return set(), told, False
    reasons = "; ".join(dict.fromkeys(missing))
    note = f"Hubble may have missed flows: {reasons}." if reasons else ""
    return {ask for ask in seen if ask.home in wanted}, note, True


def matched(roster: Roster, flows: Iterable[SeenFlow]) -> set[Ask]:
    """The asks that seen flows may have been.

    Args:
        roster: whom they may be of.
        flows: that were let through; answers are passed over.
    """
    found = set[Ask]()
    for flow in flows:
        if flow.reply is not False or flow.protocol != "TCP":
            continue
        peer, source = flow.destination, flow.source.name
        if flow.source.is_world:
            there = roster.asked_by(WORLD, peer.name, flow.port)
            found |= {
                Ask(WORLD, ask.target, ask.port, CUSTOMER)
                for ask in there
                if roster.outward.get(ask.target) == ask.port
            }
        elif source not in roster.workloads:
            continue
        elif peer.workload:
            found |= set(roster.asked_by(source, peer.name, flow.port))
        elif not peer.namespace and flow.port == HTTPS:
            hosts = (host_of(name) for name in peer.names)
            found |= {Ask(source, host, HTTPS, NAME) for host in hosts if host}
    return found
