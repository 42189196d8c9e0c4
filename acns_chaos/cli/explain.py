"""`acns-chaos explain`: why a flow passes or does not, walked through both sides."""

import json

import click

from acns_chaos.cli import show
from acns_chaos.cluster.clusters import CLUSTER, read_cluster, read_place, taken_over, world_of
from acns_chaos.errors import PolicyError
from acns_chaos.policy.explaining import explain as explain_flow
from acns_chaos.policy.explanation_text import explanation_text
from acns_chaos.policy.ports import ICMP_PROTOCOLS
from acns_chaos.policy.world import World

__all__ = ["explain"]

PLACES = """\
Whom to name: a workload (pets/store-front), pod:NAMESPACE/NAME, labels:NAMESPACE/KEY=VALUE,..., an
entity (world, host, remote-node, kube-apiserver, ...), an address, or a DNS name (www.bing.com)."""


@click.command(epilog=PLACES)
@click.option("--from", "source", required=True, metavar="WHO", help="Who opens the connection.")
@click.option("--to", "destination", required=True, metavar="WHO", help="Who is asked.")
@click.option("--port", metavar="PORT", help="Destination port: the pod's, not the service's.")
@click.option("--protocol", metavar="NAME", help="TCP (the default), UDP, SCTP, ICMP, ICMPv6.")
@click.option("--icmp-type", type=click.IntRange(0, 255), help="For ICMP; default: echo request.")
@click.option("--dns", metavar="NAME", help="The name asked for: judges a DNS query, on 53/UDP.")
@click.option("--http", metavar="'METHOD PATH'", help="Judges an HTTP request: 'GET /health'.")
@click.option(
    "--policies",
    multiple=True,
    metavar="PATH",
    help="File, folder or git:REV:PATH with policies, and pods if there are any. Repeatable.",
)
@click.option("--cluster", metavar="CONTEXT", help="A kube context, in-cluster or lab.")
@click.option("-n", "--namespace", default="default", help="Of objects in files that name none.")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def explain(
    source: str,
    destination: str,
    port: str | None,
    protocol: str | None,
    icmp_type: int | None,
    dns: str | None,
    http: str | None,
    policies: tuple[str, ...],
    cluster: str | None,
    namespace: str,
    as_json: bool,
) -> None:
    """Explain why a flow passes or does not: which policies select each side, and what matched.

    From files, from a cluster that is named, or from both: files then stand on top of what is live.
    With neither, ACNS_CHAOS_CLUSTER says which cluster; at a terminal it is the lab.
    """
    places = [read_place(place, namespace=namespace) for place in policies]
    notes = [note for place in places for note in place.notes]
    if cluster is not None or not places:
        live = read_cluster((cluster or "").removeprefix(CLUSTER))
        notes += live.notes
        base = [live]
        for place in places:
            taken, refused = taken_over(world_of(*base), place)
            base.append(taken)
            notes += refused
        places = base
    world = world_of(*places)
    protocol = (protocol or ("UDP" if dns else "TCP")).upper().replace("V6", "v6")
    explanation = explain_flow(
        world,
        source,
        destination,
        _port(port, protocol, dns, world, destination),
        protocol,
        icmp_type=icmp_type,
        dns_query=dns,
        http=_request(http, destination),
    )
    names = [place.name for place in places]
    if as_json:
        found = explanation.as_json()
        found |= {"from": names, "notes": [*notes, *found["notes"]]}
        show(json.dumps(found, indent=2))
        return
    show(f"By the policies of {' and '.join(names)}:\n")
    show("".join(f"Note: {note}\n" for note in notes) + explanation_text(explanation))


def _port(
    written: str | None, protocol: str, dns: str | None, world: World, destination: str
) -> int | None:
    """The port's number; a container port's name is taken, too."""
    if protocol in ICMP_PROTOCOLS.values():
        return None
    if written is None:
        if dns is not None:
            return 53
        raise PolicyError("Which port is asked for? Give --port, or --dns for a DNS query.")
    if written.isdecimal() and len(written) < 6:
        return int(written)
    asked = world.find(destination)
    for name, number, of_protocol in asked.named_ports:
        if (name, of_protocol) == (written.lower(), protocol):
            return number
    named = ", ".join(name for name, _, _ in asked.named_ports) or "none with a name"
    raise PolicyError(
        f"--port {written!r} is no number and no {protocol} container port of {asked.name}: it has "
        f"{named}."
    )


def _request(written: str | None, destination: str) -> dict[str, str] | None:
    if written is None:
        return None
    method, _, path = written.strip().partition(" ")
    if not path.strip().startswith("/"):
        raise PolicyError(f"--http {written!r} is no request; write --http 'GET /health'.")
    host = "" if "/" in destination else destination
    return {"method": method.upper(), "path": path.strip(), "host": host}
