"""An explanation as data: the walk through both sides of a flow, rule by rule.

Belongs here: what an explanation holds, and its JSON. Does not belong here: finding it
(`explaining`), and how it is printed (`explanation_text`).
"""

from dataclasses import dataclass
from typing import Any

from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import ALLOWED, DENIED, POLICY_DENIED, ObjectRef, RuleRef, Verdict

__all__ = ["Candidate", "Explanation", "Walk"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One rule that selects the subject, and how it fares with the flow.

    Attributes:
        rule: which one.
        deny: it denies what it matches.
        peers: whom it is about, for people.
        ports: which ports it is about, for people.
        peer_matches: the other side is among its peers.
        port_matches: the flow's port and protocol are among its ports.
        why: what matched and what did not, e.g. "peer matches, port is 80 and the pod listens on
            8080".
        proxy: "" or the layer-7 proxy that it sends the flow to: "dns", "http", "other".
        admits_request: whether it admits the request; None when it has no say in it.
    """

    rule: RuleRef
    deny: bool
    peers: str
    ports: str
    peer_matches: bool
    port_matches: bool
    why: str
    proxy: str = ""
    admits_request: bool | None = None

    @property
    def matches(self) -> bool:
        """It decides about the flow."""
        return self.peer_matches and self.port_matches

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "rule": self.rule.path,
            "policy": str(self.rule.object),
            "kind": self.rule.object.kind,
            "effect": "deny" if self.deny else "allow",
            "peers": self.peers,
            "ports": self.ports,
            "peerMatches": self.peer_matches,
            "portMatches": self.port_matches,
            "matches": self.matches,
            "why": self.why,
            "proxy": self.proxy or None,
            "admitsRequest": self.admits_request,
        }


@dataclass(frozen=True, slots=True)
class Walk:
    """One side: the sender's egress or the receiver's ingress.

    Attributes:
        direction: "egress" or "ingress".
        subject: whose side it is.
        peer: the other side.
        verdict: "ALLOWED", "DENIED" or "N/A" (this side is no policy subject).
        drop_reason: "POLICY_DENIED", "POLICY_DENY" or None.
        selecting: the objects that select the subject in this direction.
        default_deny: what no rule allows is denied.
        enforcing: the objects that switched default-deny on; empty though it is on where the
            agents' settings or the init identity did.
        candidates: every rule that selects the subject, in order.
        local_host: it passed only because the local node may always reach its pods.
        proxy: the layer-7 verdict of this side, None when no request was judged here.
        conclusion: the outcome in one sentence.
    """

    direction: str
    subject: Endpoint
    peer: Endpoint
    verdict: str
    drop_reason: str | None
    selecting: tuple[ObjectRef, ...]
    default_deny: bool
    enforcing: tuple[ObjectRef, ...]
    candidates: tuple[Candidate, ...]
    local_host: bool
    proxy: str | None
    conclusion: str

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "direction": self.direction,
            "subject": self.subject.name,
            "verdict": self.verdict,
            "dropReason": self.drop_reason,
            "selectedBy": [_object(ref) for ref in self.selecting],
            "defaultDeny": self.default_deny,
            "defaultDenyBy": [_object(ref) for ref in self.enforcing],
            "rules": [candidate.as_json() for candidate in self.candidates],
            "localHostExempt": self.local_host,
            "l7": self.proxy,
            "conclusion": self.conclusion,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict with the walk that leads to it.

    Attributes:
        verdict: what becomes of the flow.
        egress: the sender's side.
        ingress: the receiver's side.
        request: "" or the layer-7 request, for people.
        notes: what a person should know besides, one sentence each.
    """

    verdict: Verdict
    egress: Walk
    ingress: Walk
    request: str = ""
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The outcome in one sentence, with what came nearest where nothing allowed it."""
        text = self.verdict.sentence()
        if self.ingress.local_host and self.verdict.verdict == ALLOWED:
            ends = f"{self.verdict.source.name} to {self.verdict.destination.name}"
            rules = " and ".join(str(rule) for rule in self.verdict.egress.rules)
            by = f", by {rules}, and" if rules else ", because"
            return (
                f"ALLOWED: {ends} on {self.verdict.traffic}{by} the local node may always reach "
                "its own pods"
            )
        denied = self.egress if self.egress.verdict == DENIED else self.ingress
        if denied.verdict == DENIED and denied.drop_reason == POLICY_DENIED:
            nearest = _nearest(denied)
            if nearest is not None:
                return f"{text}; nearest is {nearest.rule}: {nearest.why}"
        return text

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, the same facts as the text."""
        return {
            "source": _endpoint(self.verdict.source),
            "destination": _endpoint(self.verdict.destination),
            "traffic": self.verdict.traffic,
            "request": self.request or None,
            "verdict": self.verdict.verdict,
            "dropReason": self.verdict.drop_reason,
            "l7": self.verdict.l7,
            "egress": self.egress.as_json(),
            "ingress": self.ingress.as_json(),
            "notes": list(self.notes),
            "sentence": self.sentence,
        }


def _nearest(walk: Walk) -> Candidate | None:
    """The allow rule that misses by least: the peer counts more than the port."""
    allows = [c for c in walk.candidates if not c.deny]
    return max(allows, key=lambda c: (c.peer_matches, c.port_matches), default=None)


def _object(ref: ObjectRef) -> dict[str, str]:
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "kind": endpoint.kind,
        "labels": sorted(endpoint.labels),
        "ip": endpoint.ip or None,
        "fqdns": list(endpoint.fqdns),
    }
