"""What one set of policies lets through and another does not: flows opened and closed, grouped.

Belongs here: the comparison of two worlds as data. Does not belong here: who is compared
(`actors`), grouping (`difference_groups`, `difference_requests`), and layout (`difference_text`).
"""

from dataclasses import dataclass
from typing import Any

from acns_chaos.policy.actors import compare
from acns_chaos.policy.difference_groups import CLOSED, OPENED, FlowGroup, grouped, turned
from acns_chaos.policy.difference_requests import RequestGroup, request_groups
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.portline import Openings
from acns_chaos.policy.world import World

__all__ = ["CLOSED", "OPENED", "Difference", "FlowGroup", "diff"]


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns between two worlds.

    Attributes:
        added, removed, changed: the policy objects that differ.
        flows: connections opened and closed, grouped.
        requests: lookups, connections by name and HTTP requests that turn over connections that
            stand before and after.
        notes: what a person should know, one sentence each.
    """

    added: tuple[ObjectRef, ...]
    removed: tuple[ObjectRef, ...]
    changed: tuple[ObjectRef, ...]
    flows: tuple[FlowGroup, ...]
    requests: tuple[RequestGroup, ...]
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """No verdict differs, whatever the objects say."""
        return not self.flows and not self.requests

    @property
    def opened(self) -> tuple[FlowGroup, ...]:
        """The groups that were denied before."""
        return tuple(group for group in self.flows if group.effect == OPENED)

    @property
    def closed(self) -> tuple[FlowGroup, ...]:
        """The groups that were allowed before."""
        return tuple(group for group in self.flows if group.effect == CLOSED)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, the same facts as the text."""
        return {
            "equal": self.empty,
            "policies": {
                "added": [str(ref) for ref in self.added],
                "removed": [str(ref) for ref in self.removed],
                "changed": [str(ref) for ref in self.changed],
            },
            "opened": [group.as_json() for group in self.opened],
            "closed": [group.as_json() for group in self.closed],
            "requests": [group.as_json() for group in self.requests],
            "notes": list(self.notes),
        }


def diff(before: World, after: World) -> Difference:
    """What turns from one world to another.

    Compared are all connections between the pods that are known, the entities, the addresses and
    names that some policy speaks of, and pods that nobody knows yet ("any other pod"), on every
    port exactly. A world without objects of a kind (pods, services, namespaces, CIDR groups) is
    taken to have those of the other: a folder of policies can be held against a cluster.

    Args:
        before: one set of policies.
        after: the other one.

    Returns:
        The difference; `empty` when no verdict turns.
    """
    comparison = compare(before, after)
    was, now = Openings(comparison.before), Openings(comparison.after)
    closed, opened = turned(comparison, was, now)
    return Difference(
        comparison.added,
        comparison.removed,
        comparison.changed,
        (
            *grouped(CLOSED, closed, comparison, was, now),
            *grouped(OPENED, opened, comparison, was, now),
        ),
        request_groups(comparison),
        comparison.notes,
    )
