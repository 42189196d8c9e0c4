"""Plan a fault: read, change, check, predict. Every refusal of a fault comes from here.

Nothing is written, and each refusal is one sentence. Writing is in `inject`.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.gitops import owner_of
from acns_chaos.cluster.inventory import Inventory, take_inventory
from acns_chaos.cluster.policies import PolicyRef, content
from acns_chaos.errors import FaultRefused, NotFound, PolicyError
from acns_chaos.faults.change import Change, Live
from acns_chaos.faults.ledger import CREATE, DELETE, MODIFY
from acns_chaos.faults.prediction import (
    Prediction,
    predict,
    require_no_lockout,
    require_within,
)
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.policy.operators import Surroundings
from acns_chaos.policy.validity import problems

__all__ = ["Limits", "Planned", "judged", "plan"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a fault may reach.

    Attributes:
        workloads: "namespace/name" that the effect may reach; empty means no limit.
        flows: how many flows it may turn; 0 means any number.
        ignored: take a fault that the agents would ignore; it turns nothing.
        gitops: "refuse" objects that a GitOps controller reconciles, or "observe": its repair is
            then a detector and a recovery of its own.
    """

    workloads: Sequence[str] = ()
    flows: int = 0
    ignored: bool = False
    gitops: str = "refuse"


@dataclass(frozen=True, slots=True)
class Planned:
    """One object of a fault.

    Attributes:
        ref: which.
        change: MODIFY, DELETE or CREATE.
        before: as it is live, raw; None when there is none.
        after: as it is to become; None when it is deleted.
    """

    ref: PolicyRef
    change: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def plan(run: RunContext, change: Change, limits: Limits) -> tuple[list[Planned], Prediction]:
    """Work out what a fault would write, and what that would do.

    Args:
        run: the armed run.
        change: what to make of which policies.
        limits: how far it may reach.

    Returns:
        The objects in the order in which they are to be written, and the predicted effect.

    Raises:
        FaultRefused: it may not, need not or cannot be injected; nothing was written.
    """
    seen: dict[PolicyRef, dict[str, Any] | None] = {}
    try:
        reader = _reader(run, change, seen)
        inventory = take_inventory(run.api)
        around = Surroundings(inventory.policies, inventory.pods, inventory.services)
        after = change.apply(reader, around)
        items = [_planned(ref, reader(ref), changed) for ref, changed in after.items()]
    except (NotFound, PolicyError) as error:
        raise FaultRefused(f"{error} Nothing was changed.") from error
    items = [one for one in items if not _same(one)]
    if limits.gitops == "refuse":
        _require_ours(items)
    prediction = judged(change, items, inventory, limits)
    # What is created comes before what is deleted, so that a moved object leaves no gap.
    return sorted(items, key=lambda one: one.change == DELETE), prediction


def judged(
    change: Change, items: Sequence[Planned], inventory: Inventory, limits: Limits
) -> Prediction:
    """Predict what the objects of a fault would do, and hold that against the limits.

    Raises:
        FaultRefused: it would do nothing, or too much.
    """
    if not items or all(_same(one) for one in items):
        named = ", ".join(str(ref) for ref in change.refs)
        raise FaultRefused(
            f"{change.name!r} leaves {named} as it is: there is no fault to inject. "
            "Nothing was changed."
        )
    if not limits.ignored:
        _require_effective(items)
    prediction = predict(inventory, {one.ref: one.after for one in items})
    require_no_lockout(prediction)
    if prediction.radius.empty and not limits.ignored:
        raise FaultRefused(
            f"{change.name!r} on {', '.join(str(one.ref) for one in items)} turns no verdict among "
            "the live pods: the run would prove nothing. Nothing was changed."
        )
    require_within(prediction, limits.workloads, limits.flows)
    return prediction


def _reader(run: RunContext, change: Change, seen: dict[PolicyRef, dict[str, Any] | None]) -> Live:
    """Read each object once, so that what is planned on is what is recorded."""

    def read(ref: PolicyRef) -> Mapping[str, Any] | None:
        if ref not in seen:
            try:
                seen[ref] = run.policies.get(ref)
            except NotFound:
                if change.name != "document" and ref in change.refs:
                    # The sentence names what there is.
                    raise
                seen[ref] = None
        return seen[ref]

    return read


def _planned(
    ref: PolicyRef, before: Mapping[str, Any] | None, after: dict[str, Any] | None
) -> Planned:
    kind = DELETE if after is None else CREATE if before is None else MODIFY
    return Planned(ref, kind, None if before is None else deepcopy(dict(before)), after)


def _same(one: Planned) -> bool:
    if one.before is None or one.after is None:
        return one.before is one.after
    return content(one.before) == content(one.after)


def _require_ours(items: Sequence[Planned]) -> None:
    for one in items:
        if owner := owner_of(one.before):
            raise FaultRefused(
                f"{one.ref} is reconciled by {owner}, which would undo the fault and fight the "
                "restore: suspend it, or set gitops to observe and let it be what recovers. "
                "Nothing was changed."
            )


def _require_effective(items: Sequence[Planned]) -> None:
    for one in items:
        wrong = problems(one.after) if one.after is not None else []
        if wrong:
            raise FaultRefused(
                f"The agents would ignore the faulty {one.ref} and keep enforcing the old one "
                f"({'; '.join(wrong)}). Nothing was changed."
            )
