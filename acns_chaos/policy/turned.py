"""Why a flow turns with a change of policies: which rules decided before, and which do now.

Belongs here: comparing two verdicts of one flow. Does not belong here: finding the flows that turn
(`blast`), and the walk through all rules (`explaining`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from acns_chaos.policy.asked import Lookup, Request
from acns_chaos.policy.model import ALLOWED, DENIED, EGRESS, INGRESS, Flow, RuleRef
from acns_chaos.policy.verdict import Engine
from acns_chaos.policy.workloads import flow_text

__all__ = ["Turn", "turn_of", "turns_of"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One flow that turns.

    Attributes:
        flow: as people read it.
        way: "closed" or "opened".
        side: where it is denied on one side of the change: "egress" or "ingress".
        before, after: the rules that decided there; empty where none did.
        reason: of the denial: POLICY_DENIED (nothing allows it) or POLICY_DENY.
    """

    flow: str
    way: str
    side: str
    before: tuple[RuleRef, ...]
    after: tuple[RuleRef, ...]
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "flow": self.flow,
            "way": self.way,
            "side": self.side,
            "before": [_rule(one) for one in self.before],
            "after": [_rule(one) for one in self.after],
            "reason": self.reason,
        }


def turn_of(before: Engine, after: Engine, flow: Flow) -> Turn | None:
    """Compare one flow's verdicts; None when it does not turn.

    Args:
        before: the engine before the change.
        after: the engine after it.
        flow: a connection.
    """
    ends = (flow.source, flow.destination, flow.port, flow.protocol)
    was, now = before.verdict(*ends), after.verdict(*ends)
    if {was.verdict, now.verdict} != {ALLOWED, DENIED}:
        return None
    denied = now if now.verdict == DENIED else was
    side = EGRESS if denied.egress.verdict == DENIED else INGRESS
    decided = (was.egress, now.egress) if side == EGRESS else (was.ingress, now.ingress)
    return Turn(
        flow_text(flow),
        "closed" if now is denied else "opened",
        side,
        decided[0].rules,
        decided[1].rules,
        denied.drop_reason or "",
    )


def turns_of(before: Engine, after: Engine, flows: Iterable[Flow], most: int = 5) -> list[Turn]:
    """Compare the flows that somebody would miss or use first: where something listens.

    Args:
        before: the engine before the change.
        after: the engine after it.
        flows: that turn; of lookups and requests a proxy decides, so they are left out.
        most: so many, each by its text once.
    """
    chosen: dict[str, Flow] = {}
    connections = [flow for flow in flows if not isinstance(flow, Lookup | Request)]
    for flow in sorted(connections, key=_interest):
        if len(chosen) >= most:
            break
        chosen.setdefault(flow_text(flow), flow)
    found = (turn_of(before, after, flow) for flow in chosen.values())
    return [one for one in found if one]


def _interest(flow: Flow) -> tuple[bool, bool, str]:
    ends = (flow.source, flow.destination)
    entity = any(end.kind == "entity" and end.name != "world" for end in ends)
    return (flow.port, flow.protocol) not in flow.destination.ports, entity, flow_text(flow)


def _rule(ref: RuleRef) -> dict[str, str]:
    return {"kind": ref.object.kind, "policy": str(ref.object), "rule": ref.path}
