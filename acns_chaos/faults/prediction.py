"""What a changed policy would do, before anything is written: flows closed and opened.

The engine of `policy/` answers for every pair of live pods, the known outside, and every port, name
and request that somebody names. What it cannot know is said, not guessed: what was looked up before
and is still cached on a node.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.inventory import Inventory
from acns_chaos.cluster.policies import PolicyRef
from acns_chaos.errors import FaultRefused
from acns_chaos.policy import Flow
from acns_chaos.policy.blast import BlastRadius, Outlook
from acns_chaos.policy.known import known_world
from acns_chaos.policy.lockout import Lockout, lockouts
from acns_chaos.policy.model import ObjectRef
from acns_chaos.policy.turned import Turn, turns_of

__all__ = ["Prediction", "predict", "require_no_lockout", "require_within"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a change turns.

    Attributes:
        radius: all flows: connections, lookups, connections by name, HTTP requests.
        lockouts: what it cuts that must never be cut.
        turned: of some of its connections, which rules decide before and after.
    """

    radius: BlastRadius
    lockouts: tuple[Lockout, ...] = ()
    turned: tuple[Turn, ...] = ()

    @property
    def closed(self) -> tuple[Flow, ...]:
        """The plain connections that close: those a witness can try."""
        return tuple(flow for flow in self.radius.closed if type(flow) is Flow)

    @property
    def opened(self) -> tuple[Flow, ...]:
        """The plain connections that open."""
        return tuple(flow for flow in self.radius.opened if type(flow) is Flow)

    def as_json(self) -> dict[str, list[str]]:
        """Return the journal's form, by workload instead of by pod, sorted, each once."""
        return self.radius.as_json()


def predict(
    inventory: Inventory, changes: Mapping[PolicyRef, Mapping[str, Any] | None]
) -> Prediction:
    """Compare the live policies with the same policies after a change.

    Args:
        inventory: what is live.
        changes: what each object would become; None deletes it.
    """
    written = [one for one in changes.values() if one is not None]
    known = known_world((*inventory.policies, *written), inventory.pods, inventory.services)
    outlook = Outlook(inventory.engine, known)
    after = {ObjectRef(ref.kind, ref.namespace, ref.name): one for ref, one in changes.items()}
    radius = outlook.change(after)
    engine = outlook.after(after).engine
    cut = lockouts(inventory.engine, engine, inventory.pods, inventory.services)
    turned = [
        turn
        for flows in (radius.closed, radius.opened)
        for turn in turns_of(inventory.engine, engine, flows)
    ]
    return Prediction(radius, tuple(cut), tuple(turned))


def require_no_lockout(prediction: Prediction) -> None:
    """Refuse a change that would cut what the cluster is watched and mended by.

    Raises:
        FaultRefused: it would; no limit allows that.
    """
    if prediction.lockouts:
        raise FaultRefused(f"{prediction.lockouts[0].sentence()} Nothing was changed.")


def require_within(prediction: Prediction, limit: Iterable[str], max_flows: int = 0) -> None:
    """Refuse a change that reaches further than the experiment allows.

    Args:
        prediction: the effect.
        limit: workloads as `namespace/name` that may be touched; empty means no limit.
        max_flows: how many flows may turn; 0 means any number.

    Raises:
        FaultRefused: others would be touched, or too many flows.
    """
    why = prediction.radius.beyond(limit, max_flows)
    if why:
        raise FaultRefused(f"{why} Nothing was changed.")
