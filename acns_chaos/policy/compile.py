"""From raw policy objects to rules.

Belongs here: the shape of the three kinds of object, their subjects, sections and default-deny.
Does not belong here: judging a flow, and checking that an object is valid (`validity`).
Source of the facts: Cilium 1.19, the agent's translation of each kind, as tabled in the semantics.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from acns_chaos.policy import networkpolicy
from acns_chaos.policy.model import EGRESS, INGRESS, ObjectRef, RuleRef
from acns_chaos.policy.peer_fields import World, rule_peers
from acns_chaos.policy.peers import PeerSet
from acns_chaos.policy.ports import PortSet, rule_ports
from acns_chaos.policy.selectors import (
    RESERVED,
    Requirement,
    Selector,
    describe,
    parse,
    subject_selector,
)

if TYPE_CHECKING:
    from acns_chaos.policy.matrix_population import Population

SECTIONS = {"ingress": INGRESS, "egress": EGRESS, "ingressDeny": INGRESS, "egressDeny": EGRESS}
_NODE = Requirement(RESERVED, "host", "Exists")


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One rule item, ready to be matched.

    Attributes:
        ref: where it stands.
        direction: "ingress" or "egress".
        deny: it denies what it matches.
        default_deny: it switches its direction's default-deny on.
        subject: whom it is for.
        host: its subject is the node itself, not pods.
        peers: whom it is about.
        ports: which ports it is about.
    """

    ref: RuleRef
    direction: str
    deny: bool
    default_deny: bool
    subject: Selector
    host: bool
    peers: PeerSet
    ports: PortSet

    def selects(self, labels: frozenset[str], direction: str) -> bool:
        """Whether a subject with these labels is bound by it in this direction."""
        return (
            self.direction == direction
            and self.host is ("reserved:host=" in labels)
            and self.subject.matches(labels)
        )

    def binds(self, subjects: "Population") -> int:
        """Who is bound by it in its direction, as a bitset."""
        nodes = subjects.having(_NODE)
        return subjects.meeting(self.subject.requirements) & (nodes if self.host else ~nodes)


def compile_policy(policy: Mapping[str, Any], world: World) -> tuple[Rule, ...]:
    """The rules of a valid policy object.

    Args:
        policy: the raw object.
        world: what its rules refer to.
    """
    ref = ObjectRef.of(policy)
    if ref.kind == "NetworkPolicy":
        return tuple(_network_policy(policy, ref, world))
    if _is_template(policy):
        return ()
    return tuple(rule for where, spec in specs(policy) for rule in _rules(spec, where, ref, world))


def specs(policy: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each rule block of a Cilium policy with its path: "spec", then "specs[0]" and on."""
    if policy.get("spec") is not None:
        yield "spec", policy["spec"]
    for number, spec in enumerate(policy.get("specs") or ()):
        yield f"specs[{number}]", spec


def _is_template(policy: Mapping[str, Any]) -> bool:
    """Whether the object has cloud groups: then only the object derived from it is imported."""
    return any(
        item.get("fromGroups") or item.get("toGroups")
        for _, spec in specs(policy)
        for section in SECTIONS
        for item in spec.get(section) or ()
    )


def _rules(spec: Mapping[str, Any], where: str, ref: ObjectRef, world: World) -> Iterator[Rule]:
    node_selector = spec.get("nodeSelector")
    if node_selector is not None:
        own = parse(node_selector)
        subject = Selector(own, describe(own))
    else:
        subject = subject_selector(spec["endpointSelector"], ref.namespace)
    for_init = subject.names(RESERVED, "init")
    switches = spec.get("enableDefaultDeny") or {}
    for section, direction in SECTIONS.items():
        default_deny = switches.get(direction) is not False
        if not world.settings.non_default_deny:
            default_deny = True
        deny = section.endswith("Deny")
        for number, item in enumerate(spec.get(section) or ()):
            ports = rule_ports(item, deny=deny)
            peers = rule_peers(
                item,
                direction,
                world,
                namespace=ref.namespace,
                deny=deny,
                has_ports=not ports.all,
                any_namespace=for_init,
            )
            yield Rule(
                ref=RuleRef(ref, section, f"{where}.{section}[{number}]"),
                direction=direction,
                deny=deny,
                default_deny=default_deny,
                subject=subject,
                host=node_selector is not None,
                peers=peers,
                ports=ports,
            )


def _network_policy(policy: Mapping[str, Any], ref: ObjectRef, world: World) -> Iterator[Rule]:
    subject = networkpolicy.subject(policy, ref.namespace)
    for path, direction, peers, ports in networkpolicy.items(policy, ref.namespace, world):
        yield Rule(
            ref=RuleRef(ref, direction, path),
            direction=direction,
            deny=False,
            default_deny=True,
            subject=subject,
            host=False,
            peers=peers,
            ports=ports,
        )
