"""The engine: what becomes of a flow in a cluster with these policies.

Belongs here: gathering the rules of a subject and judging a flow by them. Does not belong here:
what a rule's parts mean (peers, ports, requests), and how a denial is worded (`nearest`).

An engine never changes; `with_policy` gives another that shares all that is equal.
Not modelled: two layer-7 kinds for the same peer and port (a real agent fails to compute that
endpoint's policy and keeps the previous one), and mutual authentication.
Source of the facts: Cilium 1.19, the verdict algorithm of the semantics.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from types import MappingProxyType
from typing import Any, Self

from acns_chaos.errors import PolicyError
from acns_chaos.policy.addresses import CidrGroup
from acns_chaos.policy.compile import Rule, compile_policy
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.identities import Identities
from acns_chaos.policy.model import (
    ALLOWED,
    DENIED,
    EGRESS,
    INGRESS,
    POLICY_DENIED,
    POLICY_DENY,
    ObjectRef,
    Settings,
    Side,
    Verdict,
)
from acns_chaos.policy.nearest import flow_ports, nearest_sentence
from acns_chaos.policy.peer_fields import World
from acns_chaos.policy.ports import port_number
from acns_chaos.policy.proxy import frees_local_host, http_passes, query_passes
from acns_chaos.policy.services import read_services
from acns_chaos.policy.views import NO_SUBJECT, UNRESTRICTED, View, enforces


class Engine:
    """Verdicts over one set of policies.

    Args:
        policies: raw CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy and NetworkPolicy objects.
        namespaces: labels of namespaces; they complete pods that were built without them.
        endpoints: the pods of the cluster: only they tell what a named port in an egress rule is.
        services: for toServices: Service and EndpointSlice objects, or services in short form.
        cidr_groups: raw CiliumCIDRGroup objects.
        settings: of the agents.

    Attributes:
        invalid: the objects that the agent does not import, with its reasons. They have no effect.

    Raises:
        PolicyError: an object is no policy.
    """

    invalid: Mapping[ObjectRef, tuple[str, ...]]

    def __init__(
        self,
        policies: Iterable[Mapping[str, Any]],
        *,
        namespaces: Mapping[str, Mapping[str, str]] | None = None,
        endpoints: Iterable[Endpoint] = (),
        services: Iterable[Mapping[str, Any]] = (),
        cidr_groups: Iterable[Mapping[str, Any]] = (),
        settings: Settings | None = None,
    ) -> None:
        self._settings = settings or Settings()
        groups = tuple(CidrGroup.of(raw) for raw in cidr_groups)
        self._world = World(self._settings, read_services(services), groups)
        self._identities = Identities(self._settings, namespaces or {}, endpoints)
        self._objects: dict[ObjectRef, tuple[Rule, ...]] = {}
        invalid: dict[ObjectRef, tuple[str, ...]] = {}
        for policy in policies:
            ref = ObjectRef.of(policy)
            found = self._problems(policy)
            invalid.pop(ref, None)
            self._objects.pop(ref, None)
            if found:
                invalid[ref] = found
            else:
                self._objects[ref] = compile_policy(policy, self._world)
        self.invalid = MappingProxyType(invalid)
        self._views: dict[tuple[frozenset[str], str], View] = {}
        self._by_subject: dict[str, dict[Endpoint, View]] = {INGRESS: {}, EGRESS: {}}

    def _problems(self, policy: Mapping[str, Any]) -> tuple[str, ...]:
        # Imported here, as the schemas are long and who only names an Endpoint needs none.
        from acns_chaos.policy.validity import problems

        return tuple(problems(policy, self._settings))

    def _changed(
        self,
        ref: ObjectRef,
        rules: tuple[Rule, ...] | None,
        findings: tuple[str, ...] = (),
    ) -> Self:
        """An engine in the same world with other rules of one object, or without it."""
        invalid = {k: v for k, v in self.invalid.items() if k != ref}
        if findings:
            invalid[ref] = findings
        objects = dict(self._objects)
        touched = objects.get(ref, ()) + (rules or ())
        if rules is None:
            objects.pop(ref, None)
        else:
            objects[ref] = rules
        other = copy(self)
        vars(other).update(
            invalid=MappingProxyType(invalid),
            _objects=objects,
            # What the object neither selected nor selects now stays as it was.
            _views={
                (labels, direction): view
                for (labels, direction), view in self._views.items()
                if not any(rule.selects(labels, direction) for rule in touched)
            },
            _by_subject={INGRESS: {}, EGRESS: {}},
        )
        return other

    def with_policy(self, policy: Mapping[str, Any]) -> Self:
        """The engine after this object was written to the same cluster.

        Args:
            policy: a raw object; it replaces the one of the same kind, namespace and name, or is
                added. An invalid one is listed in `invalid`, and as in a real agent the version
                that was imported before stays in force.

        Raises:
            PolicyError: the object is no policy.
        """
        ref = ObjectRef.of(policy)
        found = self._problems(policy)
        if found:
            return self._changed(ref, self._objects.get(ref), found)
        return self._changed(ref, compile_policy(policy, self._world))

    def without_policy(self, ref: ObjectRef) -> Self:
        """The engine after this object was deleted.

        Args:
            ref: the object.

        Raises:
            PolicyError: there is no such object.
        """
        if ref not in self._objects and ref not in self.invalid:
            raise PolicyError(f"There is no {ref.kind} {ref} to take away; check its name.")
        return self._changed(ref, None)

    def verdict(
        self,
        source: Endpoint,
        destination: Endpoint,
        port: int | None,
        protocol: str = "TCP",
        *,
        icmp_type: int | None = None,
        dns_query: str | None = None,
        http: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """What becomes of a flow, and why.

        Args:
            source: who opens the connection.
            destination: who is asked, after service translation.
            port: destination port after service translation; None for ICMP.
            protocol: TCP, UDP, SCTP, ICMP, ICMPv6, VRRP or IGMP.
            icmp_type: for ICMP; an echo request when None.
            dns_query: the name asked for, when the flow is a DNS query.
            http: {"method", "path", "host", "headers"}, when the flow is an HTTP request.

        Raises:
            PolicyError: the protocol is not known, or the port is none.
        """
        number = port_number(port, protocol, icmp_type)
        egress = self._side(EGRESS, source, destination, number, protocol)
        ingress = self._side(INGRESS, destination, source, number, protocol)
        denied = egress if egress.verdict == DENIED else ingress
        allowed = denied.verdict != DENIED
        l7 = None
        if allowed and (dns_query is not None or http is not None):
            passed = [
                self._request_passes(
                    direction, *pair, number, protocol, dns_query=dns_query, http=http
                )
                for direction, side, pair in (
                    (EGRESS, egress, (source, destination)),
                    (INGRESS, ingress, (destination, source)),
                )
                if side.redirected
            ]
            l7 = (ALLOWED if all(passed) else DENIED) if passed else None
        return Verdict(
            verdict=ALLOWED if allowed else DENIED,
            egress=egress,
            ingress=ingress,
            drop_reason=None if allowed else denied.drop_reason,
            l7=l7,
            source=source,
            destination=destination,
            traffic=flow_ports(number, protocol),
        )

    def allows(
        self, source: Endpoint, destination: Endpoint, port: int, protocol: str = "TCP"
    ) -> bool:
        """Whether layers 3 and 4 let a flow through: `verdict` without its reasons.

        Args:
            source: who opens the connection.
            destination: who is asked.
            port: destination port, or ICMP type.
            protocol: of the flow.
        """
        return self._lets_through(
            EGRESS, source, destination, port, protocol
        ) and self._lets_through(INGRESS, destination, source, port, protocol)

    def view(self, direction: str, subject: Endpoint) -> View:
        """The rules of a subject. Engines that have the very same view of it judge it alike.

        Args:
            direction: "ingress" or "egress".
            subject: who is judged.
        """
        view = self._by_subject[direction].get(subject)
        if view is None:
            view = self._find_view(direction, subject)
            self._by_subject[direction][subject] = view
        return view

    @property
    def settings(self) -> Settings:
        """Those of the agents."""
        return self._settings

    @property
    def identities(self) -> Identities:
        """How the cluster sees its endpoints."""
        return self._identities

    @property
    def rules(self) -> Mapping[ObjectRef, tuple[Rule, ...]]:
        """The rules in force, by the object they stand in."""
        return MappingProxyType(self._objects)

    def unjudged(self, subject: Endpoint) -> View | None:
        """The fixed view of a subject that no rule can matter to, None for all others."""
        if not self._identities.is_subject(subject):
            return NO_SUBJECT
        if self._settings.enforcement == "never" or self._identities.is_foreign(subject):
            return UNRESTRICTED
        return None

    def admits_unasked(self, direction: str, peer: Endpoint) -> bool:
        """Whether a peer passes where no rule matches: the local host, towards its pods."""
        return (
            direction == INGRESS
            and self._settings.allow_localhost != "policy"
            and "reserved:host=" in peer.labels
        )

    def _find_view(self, direction: str, subject: Endpoint) -> View:
        fixed = self.unjudged(subject)
        if fixed is not None:
            return fixed
        labels = self._identities.as_subject(subject)
        view = self._views.get((labels, direction))
        if view is None:
            view = self._gather(labels, direction)
            self._views[labels, direction] = view
        return view

    def _gather(self, labels: frozenset[str], direction: str) -> View:
        rules = tuple(
            rule
            for compiled in self._objects.values()
            for rule in compiled
            if rule.selects(labels, direction)
        )
        enforced = enforces(rules, labels, self._settings)
        if not rules and not enforced:
            return UNRESTRICTED
        return View(rules, enforced, tuple(dict.fromkeys(rule.ref.object for rule in rules)))

    def _lets_through(
        self, direction: str, subject: Endpoint, peer: Endpoint, port: int, protocol: str
    ) -> bool:
        view = self.view(direction, subject)
        if view.fixed is not None:
            return True
        key = (subject, peer, port, protocol)
        known = view.open.get(key)
        if known is None:
            seen = self._identities.as_peer(peer)
            named = self._identities.named_ports(direction, subject, peer)
            decided = view.decides(seen, port, protocol, named)
            if decided is None:
                decided = not view.enforced or self.admits_unasked(direction, peer)
            known = view.open[key] = decided
        return known

    def _side(
        self, direction: str, subject: Endpoint, peer: Endpoint, port: int, protocol: str
    ) -> Side:
        view = self.view(direction, subject)
        if view.fixed is not None:
            return view.fixed
        key = (subject, peer, port, protocol)
        side = view.sides.get(key)
        if side is None:
            side = self._judge(view, direction, subject, peer, port, protocol)
            view.sides[key] = side
        return side

    def _judge(
        self,
        view: View,
        direction: str,
        subject: Endpoint,
        peer: Endpoint,
        port: int,
        protocol: str,
    ) -> Side:
        named = self._identities.named_ports(direction, subject, peer)
        seen = self._identities.as_peer(peer)
        denies = view.matching(seen, port, protocol, named, deny=True)
        if denies:
            refs = tuple(rule.ref for rule, _ in denies)
            return Side(DENIED, POLICY_DENY, refs, view.selecting)
        allows = view.matching(seen, port, protocol, named, deny=False)
        if allows:
            return Side(
                ALLOWED,
                rules=tuple(rule.ref for rule, _ in allows),
                selecting=view.selecting,
                redirected=any(entry.requests for _, entries in allows for entry in entries),
            )
        if not view.enforced or self.admits_unasked(direction, peer):
            return Side(ALLOWED, selecting=view.selecting)
        nearest = nearest_sentence(view.rules, seen, port, protocol, named)
        return Side(DENIED, POLICY_DENIED, (), view.selecting, nearest=nearest)

    def _request_passes(
        self,
        direction: str,
        subject: Endpoint,
        peer: Endpoint,
        port: int,
        protocol: str,
        *,
        dns_query: str | None,
        http: Mapping[str, Any] | None,
    ) -> bool:
        view = self.view(direction, subject)
        if not view.enforced:
            return True  # With default-deny off the agent adds an item that admits everything.
        named = self._identities.named_ports(direction, subject, peer)
        seen = self._identities.as_peer(peer)
        matches = view.matching(seen, port, protocol, named, deny=False)
        if dns_query is not None:
            return query_passes(matches, dns_query)
        exempt = self.admits_unasked(direction, peer) and frees_local_host(matches)
        return exempt or http_passes(matches, http or {})
