"""Why a flow passes or does not: finding the walk through both sides.

Belongs here: which objects select, who switched default-deny on, and what of each rule matched.
Does not belong here: the verdict itself (`verdict`), and the words for what misses (`mismatch`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.explanation import Candidate, Explanation, Walk
from acns_chaos.policy.lookup import Found
from acns_chaos.policy.mismatch import peer_miss, port_miss
from acns_chaos.policy.model import ALLOWED, DENIED, EGRESS, INGRESS, NOT_APPLICABLE, Side, Verdict
from acns_chaos.policy.nearest import flow_ports
from acns_chaos.policy.peers import PeerSet
from acns_chaos.policy.ports import PortEntry, port_number
from acns_chaos.policy.proxy import frees_local_host, http_passes, query_passes
from acns_chaos.policy.requests import DNS, HTTP
from acns_chaos.policy.views import View
from acns_chaos.policy.world import World, assumed_note

__all__ = ["explain"]

Raw = Mapping[str, Any]


def explain(
    world: World,
    source: Endpoint | str,
    destination: Endpoint | str,
    port: int | None,
    protocol: str = "TCP",
    *,
    icmp_type: int | None = None,
    dns_query: str | None = None,
    http: Raw | None = None,
) -> Explanation:
    """Why a flow passes or does not.

    Args:
        world: where.
        source: who opens the connection: an endpoint, or text as for `World.find`.
        destination: who is asked, after service translation.
        port: destination port after service translation; None for ICMP.
        protocol: TCP, UDP, SCTP, ICMP, ICMPv6, VRRP or IGMP.
        icmp_type: for ICMP; an echo request when None.
        dns_query: the name asked for, when the flow is a DNS query.
        http: {"method", "path", "host", "headers"}, when the flow is an HTTP request.

    Raises:
        PolicyError: nobody is meant by a text, the protocol is not known, or the port is none.
    """
    sender, receiver = _found(world, source), _found(world, destination)
    ends = (sender.endpoint, receiver.endpoint)
    verdict = world.engine.verdict(
        *ends, port, protocol, icmp_type=icmp_type, dns_query=dns_query, http=http
    )
    asked = _Asked(port_number(port, protocol, icmp_type), protocol, dns_query, http)
    walks = {
        direction: _walk(world, direction, subject, peer, side, ends[1], asked, verdict)
        for direction, subject, peer, side in (
            (EGRESS, *ends, verdict.egress),
            (INGRESS, *ends[::-1], verdict.ingress),
        )
    }
    notes = (sender.note, receiver.note, *_notes(world, ends[1], asked))
    return Explanation(
        verdict=verdict,
        egress=walks[EGRESS],
        ingress=walks[INGRESS],
        request=_request(dns_query, http),
        notes=tuple(note for note in dict.fromkeys(notes) if note),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked for: the port (or ICMP type), and the request if one is judged."""

    port: int
    protocol: str
    dns_query: str | None
    http: Raw | None

    @property
    def text(self) -> str:
        return flow_ports(self.port, self.protocol)


def _found(world: World, named: Endpoint | str) -> Found:
    return world.lookup(named) if isinstance(named, str) else Found(named)


def _walk(
    world: World,
    direction: str,
    subject: Endpoint,
    peer: Endpoint,
    side: Side,
    destination: Endpoint,
    asked: _Asked,
    verdict: Verdict,
) -> Walk:
    engine = world.engine
    view = engine.view(direction, subject)
    if view.fixed is not None:
        return Walk(
            direction, subject, peer, side.verdict, None, (), False, (), (), False, None,
            _unjudged(world, direction, subject, side),
        )  # fmt: skip
    seen = engine.identities.as_peer(peer)
    named = engine.identities.named_ports(direction, subject, peer)
    candidates = []
    for rule in view.rules:
        entries = rule.ports.matching(asked.port, asked.protocol, named)
        peer_matches = rule.peers.matches(seen)
        port_matches = rule.ports.all or bool(entries)
        proxied = [e for e in entries if e.requests is not None] if peer_matches else []
        parts = [
            "peer matches" if peer_matches else peer_miss(rule.peers, seen),
            "port matches"
            if port_matches
            else port_miss(rule.ports, asked.port, asked.protocol, destination, named),
        ]
        admits = _admits(proxied, asked)
        if admits is not None:
            parts.append(f"the request is {'' if admits else 'not '}among those it admits")
        candidates.append(
            Candidate(
                rule=rule.ref,
                deny=rule.deny,
                peers=_peers_text(rule.peers),
                ports=rule.ports.text,
                peer_matches=peer_matches,
                port_matches=port_matches,
                why=(", " if peer_matches else "; ").join(parts),
                proxy=proxied[0].requests.kind if proxied and proxied[0].requests else "",
                admits_request=admits,
            )
        )
    exempt = (
        side.verdict == ALLOWED
        and not side.rules
        and view.enforced
        and engine.admits_unasked(direction, peer)
    )
    l7 = None
    if verdict.l7 is not None and side.redirected:
        l7 = _proxy_verdict(world, view, direction, subject, peer, asked)
    enforcing = tuple(dict.fromkeys(r.ref.object for r in view.rules if r.default_deny))
    return Walk(
        direction=direction,
        subject=subject,
        peer=peer,
        verdict=side.verdict,
        drop_reason=side.drop_reason,
        selecting=view.selecting,
        default_deny=view.enforced,
        enforcing=enforcing,
        candidates=tuple(candidates),
        local_host=exempt,
        proxy=l7,
        conclusion=_conclusion(side, peer, asked, l7, exempt=exempt),
    )


def _proxy_verdict(
    world: World, view: View, direction: str, subject: Endpoint, peer: Endpoint, asked: _Asked
) -> str:
    """What this side's proxy says of the request; the engine only tells both sides' together."""
    if not view.enforced:
        return ALLOWED
    engine = world.engine
    named = engine.identities.named_ports(direction, subject, peer)
    seen = engine.identities.as_peer(peer)
    matches = view.matching(seen, asked.port, asked.protocol, named, deny=False)
    if asked.dns_query is not None:
        passed = query_passes(matches, asked.dns_query)
    else:
        exempt = engine.admits_unasked(direction, peer) and frees_local_host(matches)
        passed = exempt or http_passes(matches, asked.http or {})
    return ALLOWED if passed else DENIED


def _admits(proxied: list[PortEntry], asked: _Asked) -> bool | None:
    """Whether a rule's own filter admits the request."""
    for entry in proxied:
        requests = entry.requests
        if requests is None:
            continue
        if requests.kind == DNS and asked.dns_query is not None:
            if requests.allows_query(asked.dns_query):
                return True
        elif requests.kind == HTTP and asked.http is not None:
            if requests.allows_http(asked.http):
                return True
        else:
            return None
    return False if proxied else None


def _peers_text(peers: PeerSet) -> str:
    return peers.text if peers.everyone or peers.members else f"nobody ({peers.why_nobody})"


def _unjudged(world: World, direction: str, subject: Endpoint, side: Side) -> str:
    if side.verdict == NOT_APPLICABLE:
        return f"{subject.name} is no policy subject, so its {direction} is not judged."
    if world.settings.enforcement == "never":
        return "The agents enforce nothing (policy enforcement mode never)."
    if world.identities.is_foreign(subject):
        return f"{subject.name} is in another cluster, where other policies rule."
    return f"No policy restricts {direction} of {subject.name}, so everything passes."


def _conclusion(side: Side, peer: Endpoint, asked: _Asked, l7: str | None, *, exempt: bool) -> str:
    rules = " and ".join(str(rule) for rule in side.rules)
    if side.verdict == DENIED and side.rules:
        return f"{rules} denies it, which no allow rule can outweigh."
    if side.verdict == DENIED:
        return f"No rule allows {peer.name} on {asked.text}, and default deny is on."
    if l7 == DENIED:
        return f"{rules} lets the connection through, but the proxy refuses the request."
    if rules:
        return f"{rules} allows it" + (" and sends it to the proxy." if side.redirected else ".")
    if exempt:
        return "The local node may always reach its own pods."
    return "No rule matches it, but no policy switched default deny on, so it passes."


def _notes(world: World, destination: Endpoint, asked: _Asked) -> list[str]:
    notes = []
    if world.assumed:
        notes.append(assumed_note(world))
    listens = [n for n, p in destination.ports if p == asked.protocol]
    service = _service_with_port(world, destination, asked)
    if service:
        notes.append(service)
    elif listens and asked.port not in listens:
        ports = ", ".join(str(n) for n in sorted(set(listens)))
        notes.append(
            f"{destination.name} declares {asked.protocol} port {ports}: on {asked.text} probably "
            "nothing listens, whatever policy says."
        )
    for ref, reasons in list(world.invalid.items())[:5]:
        notes.append(f"{ref.kind} {ref} has no effect, the agents refuse it: {reasons[0]}")
    return notes


def _service_with_port(world: World, destination: Endpoint, asked: _Asked) -> str:
    """Where a service's own port was asked for: policy sees the target port."""
    if any(n == asked.port and p == asked.protocol for n, p in destination.ports):
        return ""
    for raw in world.services:
        spec, metadata = raw.get("spec") or {}, raw.get("metadata") or {}
        selector = spec.get("selector") or {}
        wanted = {f"k8s:{key}={value}" for key, value in selector.items()}
        space = metadata.get("namespace") or "default"
        if not wanted or space != destination.namespace or not wanted <= destination.labels:
            continue
        for port in spec.get("ports") or ():
            target = port.get("targetPort", port.get("port"))
            if port.get("port") == asked.port and target != asked.port:
                return (
                    f"{asked.port} is the port of service {space}/{metadata.get('name')}; policy "
                    f"sees the target port {target}: ask for that one."
                )
    return ""


def _request(dns_query: str | None, http: Raw | None) -> str:
    if dns_query is not None:
        return f"DNS query for {dns_query}"
    if http is not None:
        return (
            f"HTTP {http.get('method') or 'GET'} {http.get('host') or ''}{http.get('path') or '/'}"
        )
    return ""
