"""Which live policy is behind a drop: the policy engine asked about the very flow that was dropped.

Belongs here: a side of a flow as the engine wants it, and what the engine's answer means for a
drop that really was seen. Does not belong here: what changed (`changes`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from acns_chaos.cluster.hubble import Peer
from acns_chaos.errors import PolicyError
from acns_chaos.evidence.blame.drops import POLICY, PROXY, Drops, called
from acns_chaos.policy import Endpoint, ObjectRef
from acns_chaos.policy.explaining import explain
from acns_chaos.policy.explanation import Candidate, Explanation, Walk
from acns_chaos.policy.model import DENIED, POLICY_DENY
from acns_chaos.policy.world import World

__all__ = ["Explained", "explained", "passes"]

_ICMP = {"ICMPv4": "ICMP", "ICMPv6": "ICMPv6"}
# A rule list longer than this is told in part.
_MOST = 4


@dataclass(frozen=True, slots=True)
class Explained:
    """What live policies say of drops.

    Attributes:
        drops: which.
        agrees: live policies deny the flow, for the reason that Hubble gave.
        culprits: the objects behind it: that of the deny rule, or every object that selects the
            side which denied it; also when nothing denies it any more.
        why: sentences for people.
        notes: what a person should know besides.
        nearest: the object of the rule that comes closest to letting it pass.
    """

    drops: Drops
    agrees: bool
    culprits: tuple[ObjectRef, ...]
    why: tuple[str, ...]
    notes: tuple[str, ...] = ()
    nearest: ObjectRef | None = None


def explained(world: World, drops: Drops) -> Explained:
    """Ask the policy engine about a flow that policy, or its proxy, dropped.

    Args:
        world: what is live.
        drops: by POLICY or PROXY.

    Returns:
        The explanation; one that does not agree when live policies let the flow pass, or when the
        flow is none that the engine can judge.
    """
    try:
        walked, notes = _walked(world, drops)
    except PolicyError as error:
        return Explained(drops, False, (), (f"The policy engine cannot judge it: {error}",))
    walk = walked.egress if drops.direction == "egress" else walked.ingress
    if drops.by == PROXY:
        return _of_proxy(drops, walk, notes)
    named = tuple(_ref(one.kind, one.namespace, one.name) for one in drops.named)
    if walk.verdict != DENIED:
        passing = f"No live policy denies that now: {walk.conclusion}"
        return Explained(drops, False, named, (passing,), notes)
    culprits = tuple(
        dict.fromkeys(one.rule.object for one in walk.candidates if one.deny and one.matches)
        if walk.drop_reason == POLICY_DENY
        else walk.selecting
    )
    agrees = walk.drop_reason == drops.reason
    told = _of_deny_rule(walk) if walk.drop_reason == POLICY_DENY else _of_default_deny(walk, drops)
    why = tuple(told)
    if not agrees:
        other = "a deny rule" if drops.reason == POLICY_DENY else "no deny rule"
        differs = (
            f"Hubble says that {other} did it ({drops.reason}); live policies deny it as well, but "
            f"otherwise ({walk.drop_reason}), so it was dropped under earlier ones."
        )
        why = (differs, *why)
    nearest = None if walk.drop_reason == POLICY_DENY else _nearest(walk.candidates)
    blamed = culprits if agrees else (*named, *culprits)
    return Explained(drops, agrees, blamed, why, notes, nearest.rule.object if nearest else None)


def passes(world: World, drops: Drops) -> bool:
    """Whether a dropped flow would pass in a world; False when it cannot be told."""
    try:
        walked, _ = _walked(world, drops)
    except PolicyError:
        return False
    walk = walked.egress if drops.direction == "egress" else walked.ingress
    # The other side may deny it besides: it is not what dropped it.
    return walk.verdict != DENIED and (drops.by == POLICY or walk.proxy != DENIED)


def _walked(world: World, drops: Drops) -> tuple[Explanation, tuple[str, ...]]:
    source, about_source = _endpoint(world, drops.source)
    destination, about_destination = _endpoint(world, drops.destination)
    protocol = _ICMP.get(drops.protocol, drops.protocol) or "TCP"
    port = None if protocol.startswith("ICMP") else drops.port
    query = drops.query.rstrip(".") or None
    walked = explain(world, source, destination, port, protocol, dns_query=query)
    return walked, tuple(note for note in (about_source, about_destination) if note)


def _endpoint(world: World, peer: Peer) -> tuple[Endpoint, str]:
    """A side as the flow had it: its identity then, whatever its labels are now."""
    labels = frozenset(one if "=" in one else f"{one}=" for one in peer.labels)
    labels = frozenset(one for one in labels if not one.startswith(("cidr:", "fqdn:")))
    if peer.pod:
        named = f"{peer.namespace}/{peer.pod}"
        try:
            live = world.find(f"pod:{named}")
        except PolicyError:
            gone = Endpoint(named, labels, namespace=peer.namespace, ip=peer.ip)
            return gone, f"Pod {named} is not there; it is judged by the labels that Hubble saw."
        if not labels or live.labels == labels:
            return live, ""
        return replace(live, labels=labels), _relabelled(live, labels)
    if peer.is_world or not labels:
        outside = Endpoint.outside(peer.ip, fqdns=[one.rstrip(".") for one in peer.names])
        return replace(outside, name=called(peer), labels=labels or outside.labels), ""
    return Endpoint(called(peer), labels, kind="entity", ip=peer.ip), ""


def _relabelled(live: Endpoint, labels: frozenset[str]) -> str:
    """Say which labels of a pod itself differ; Cilium's settings may leave others out."""
    own = {x for x in live.labels ^ labels if not x.startswith(("k8s:io.cilium.", "k8s:io.kube"))}
    if not own:
        return ""
    shown = ", ".join(sorted(one.removeprefix("k8s:") for one in own)[:_MOST])
    return f"The labels of {live.name} differ from those Hubble saw ({shown}): it was relabelled."


def _of_default_deny(walk: Walk, drops: Drops) -> Iterator[str]:
    """Name everyone who selects the endpoint, and the rule that comes closest."""
    ingress = walk.direction == "ingress"
    subject, peer = called(drops.destination), drops.sender
    if not ingress:
        subject, peer = drops.sender, called(drops.destination)
    if not walk.selecting:
        yield f"No policy selects {subject}, and its {walk.direction} is denied by default."
        return
    objects = " and ".join(f"{ref.kind} {ref}" for ref in walk.selecting)
    way = "from" if ingress else "to"
    verb = "selects" if len(walk.selecting) == 1 else "select"
    yield (
        f"{objects} {verb} {subject} for {walk.direction}, and no rule there allows traffic "
        f"{way} {peer} on {drops.traffic}."
    )
    nearest = _nearest(walk.candidates)
    if nearest is not None and nearest.peers.startswith("nobody"):
        yield f"Nearest is {nearest.rule}: {nearest.why}."
    elif nearest is not None:
        allows = f"allows traffic {way} {nearest.peers} on {nearest.ports}"
        yield f"Nearest is {nearest.rule}, which {allows}: {nearest.why}."


def _of_deny_rule(walk: Walk) -> Iterator[str]:
    denying = [one for one in walk.candidates if one.deny and one.matches]
    rules = " and ".join(str(one.rule) for one in denying[:_MOST])
    about = f"{denying[0].peers} on {denying[0].ports}" if denying else "it"
    yield f"The deny rule {rules} denies {about}, which no allow rule outweighs."


def _of_proxy(drops: Drops, walk: Walk, notes: tuple[str, ...]) -> Explained:
    """Name the rules that sent it to the proxy and do not admit it."""
    sent = [one for one in walk.candidates if one.matches and one.proxy and not one.deny]
    refusing = [one for one in sent if not one.admits_request]
    agrees = bool(refusing) and walk.proxy != "ALLOWED"
    culprits = tuple(dict.fromkeys(one.rule.object for one in sent))
    if not agrees:
        why = f"No live policy refuses that now: {walk.conclusion}"
        return Explained(drops, False, culprits, (why,), notes)
    rules = " and ".join(str(one.rule) for one in refusing[:_MOST])
    what = "rules.dns" if drops.query else "layer-7 rules"
    name = drops.query.rstrip(".") if drops.query else "that request"
    why = f"The {what} of {rules} do not admit {name}."
    return Explained(drops, True, culprits, (why,), notes)


def _nearest(candidates: tuple[Candidate, ...]) -> Candidate | None:
    allows = [one for one in candidates if not one.deny]
    return max(allows, key=lambda one: (one.peer_matches, one.port_matches), default=None)


def _ref(kind: str, namespace: str, name: str) -> ObjectRef:
    return ObjectRef(kind or "CiliumNetworkPolicy", namespace, name)
