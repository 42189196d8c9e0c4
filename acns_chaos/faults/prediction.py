"""What a changed policy would do, before anything is written: flows closed and opened.

The engine of `policy/` answers for every pair of live pods, the outside, and every port that a
container or a policy names. What it cannot know is said, not guessed: names nobody looked up yet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.inventory import Inventory, flow_text, workload_of
from acns_chaos.errors import FaultRefused
from acns_chaos.policy import Endpoint, Flow
from acns_chaos.policy.diff import delta, flows_between

__all__ = ["Prediction", "predict", "require_within"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The flows whose verdict a change turns.

    Attributes:
        closed: allowed before, denied after.
        opened: denied before, allowed after.
    """

    closed: tuple[Flow, ...]
    opened: tuple[Flow, ...]

    def workloads(self) -> set[str]:
        """Return the workloads that can no longer, or can newly, talk or be talked to."""
        sides: set[str] = set()
        for flow in (*self.closed, *self.opened):
            sides |= {workload_of(flow.source), workload_of(flow.destination)}
        return {name for name in sides if "/" in name}

    def as_json(self) -> dict[str, list[str]]:
        """Return the journal's form, by workload instead of by pod, sorted, each once."""
        return {
            "closed": sorted({flow_text(flow) for flow in self.closed}),
            "opened": sorted({flow_text(flow) for flow in self.opened}),
        }


def predict(inventory: Inventory, changed: Mapping[str, Any]) -> Prediction:
    """Compare the live policies with the same policies after a change.

    Args:
        inventory: what is live.
        changed: the policy object as it would be.
    """
    outside = Endpoint.entity("world")
    flows = flows_between(
        (*inventory.pods, outside), (*inventory.policies, changed), inventory.services
    )
    turned = delta(inventory.engine, inventory.engine.with_policy(changed), flows)
    return Prediction(turned.closed, turned.opened)


def require_within(prediction: Prediction, limit: Iterable[str]) -> None:
    """Refuse a change that reaches further than the experiment allows.

    Args:
        prediction: the effect.
        limit: workloads as `namespace/name` that may be touched; empty means no limit.

    Raises:
        FaultRefused: others would be touched.
    """
    allowed = set(limit)
    if not allowed:
        return
    beyond = sorted(prediction.workloads() - allowed)
    if beyond:
        raise FaultRefused(
            f"The fault would also touch {', '.join(beyond)}; the limit is "
            f"{', '.join(sorted(allowed))}. Narrow the fault or raise the limit. "
            "Nothing was changed."
        )
