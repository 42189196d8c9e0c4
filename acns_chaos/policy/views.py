"""What concerns one subject in one direction, and which of it matches a flow.

Belongs here: matching a subject's rules. Does not belong here: gathering them, and the verdict
(`verdict`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from acns_chaos.policy.compile import Rule
from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import ALLOWED, NOT_APPLICABLE, ObjectRef, Settings, Side
from acns_chaos.policy.ports import NamedPorts, PortEntry

Match = tuple[Rule, list[PortEntry]]
"""A matching rule with its matching port entries; none when it has no port restriction."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The rules of one subject in one direction.

    Attributes:
        rules: the rules that select it.
        enforced: whatever no rule allows is denied.
        selecting: the objects of the rules.
        fixed: the judgement of every flow, where no rule can matter.
        sides: judgements so far, by (subject, peer, port, protocol). They hold for as long as the
            rules do, so engines with the same rules share them.
        open: whether such a flow passes, for those who did not ask why.
    """

    rules: tuple[Rule, ...] = ()
    enforced: bool = False
    selecting: tuple[ObjectRef, ...] = ()
    fixed: Side | None = None
    sides: dict[tuple[Endpoint, Endpoint, int, str], Side] = field(default_factory=dict, repr=False)
    open: dict[tuple[Endpoint, Endpoint, int, str], bool] = field(default_factory=dict, repr=False)
    _by_peer: dict[Endpoint, tuple[Rule, ...]] = field(default_factory=dict, repr=False)

    def about(self, peer: Endpoint) -> tuple[Rule, ...]:
        """The rules whose peers include this one."""
        known = self._by_peer.get(peer)
        if known is None:
            known = tuple(rule for rule in self.rules if rule.peers.matches(peer))
            self._by_peer[peer] = known
        return known

    def decides(self, peer: Endpoint, port: int, protocol: str, named: NamedPorts) -> bool | None:
        """Whether the rules let a flow pass; None when none of them matches.

        Args:
            peer: the other side, as rules see it.
            port: destination port, or ICMP type.
            protocol: of the flow.
            named: what port names mean.
        """
        allowed = None
        for rule in self.about(peer):
            if (rule.deny or not allowed) and rule.ports.matches(port, protocol, named):
                if rule.deny:
                    return False
                allowed = True
        return allowed

    def matching(
        self, peer: Endpoint, port: int, protocol: str, named: NamedPorts, *, deny: bool
    ) -> list[Match]:
        """The deny rules, or the allow rules, that match a flow.

        Args:
            peer: the other side, as rules see it.
            port: destination port, or ICMP type.
            protocol: of the flow.
            named: what port names mean.
            deny: deny rules instead of allow rules.
        """
        found: list[Match] = []
        for rule in self.about(peer):
            if rule.deny is not deny:
                continue
            if rule.ports.all:
                found.append((rule, []))
                continue
            entries = rule.ports.matching(port, protocol, named)
            if entries:
                found.append((rule, entries))
        return found


def enforces(rules: Iterable[Rule], labels: frozenset[str], settings: Settings) -> bool:
    """Whether what no rule allows is denied.

    Args:
        rules: those that select the subject in a direction.
        labels: of the subject.
        settings: of the agents.
    """
    return (
        settings.enforcement == "always"
        or "reserved:init=" in labels
        or any(rule.default_deny for rule in rules)
    )


UNRESTRICTED = View(fixed=Side(ALLOWED))
"""No policy restricts the subject."""

NO_SUBJECT = View(fixed=Side(NOT_APPLICABLE))
"""Policies are not enforced there at all."""
