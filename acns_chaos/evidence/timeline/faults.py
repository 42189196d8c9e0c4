"""A run's faults as the timeline needs them: one for each, however many objects it was."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.policies import KINDS
from acns_chaos.evidence.facts import reference
from acns_chaos.evidence.timeline.flows import Predicted, predicted
from acns_chaos.evidence.timeline.moments import seconds
from acns_chaos.evidence.values import mapping, sequence, text

__all__ = ["TimedFault", "timed_faults"]


@dataclass(frozen=True, slots=True)
class TimedFault:
    """One fault. Moments are seconds since 1970 by the runner's clock, None when there is none.

    Attributes:
        id: "f1".
        policies: "namespace/name" of each object.
        closed: the flows it was predicted to close.
        submitted: of the first object.
        accepted: of the last one.
        realised, realised_by: as the run's own witness saw it.
        restore_submitted: of the first object.
        restored: when the last object read back as it was.
        success: when its behaviour was seen again.
        restored_by: who.
    """

    id: str
    policies: tuple[str, ...]
    closed: tuple[Predicted, ...]
    submitted: float
    accepted: float | None
    realised: float | None
    realised_by: str
    restore_submitted: float | None
    restored: float | None
    success: float | None
    restored_by: str


def timed_faults(faults: Sequence[Mapping[str, Any]]) -> list[TimedFault]:
    """Read the journal's faults; those that were never submitted are left out.

    Args:
        faults: as `Debt.as_json` writes them.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in faults:
        # What a run creates for itself, as a pod to ask from, is a debt and no fault.
        is_policy = mapping(one.get("policy")).get("kind") in KINDS
        if is_policy and seconds(one.get("submitted")) is not None:
            groups.setdefault(text(one.get("id")).partition(".")[0], []).append(one)
    found = [_fault(name, parts) for name, parts in groups.items()]
    return sorted(found, key=lambda one: one.submitted)


def _fault(name: str, parts: Sequence[Mapping[str, Any]]) -> TimedFault:
    restored = [mapping(one.get("restored")) for one in parts]
    texts = [str(flow) for one in parts for flow in sequence(mapping(one["predicted"])["closed"])]
    return TimedFault(
        name,
        tuple(reference(one.get("policy")) for one in parts),
        tuple(predicted(dict.fromkeys(texts))),
        min(_all(one.get("submitted") for one in parts)),
        max(_all(one.get("accepted") for one in parts), default=None),
        min(_all(one.get("realised") for one in parts), default=None),
        next((text(one["realised_by"]) for one in parts if one.get("realised_by")), ""),
        min(_all(one.get("submitted") for one in restored), default=None),
        max(_all(one.get("verified") for one in restored), default=None),
        max(_all(mapping(one.get("behaviour")).get("at") for one in restored), default=None),
        next((text(one["by"]) for one in restored if one.get("by")), ""),
    )


def _all(moments: Any) -> list[float]:
    return [at for one in moments if (at := seconds(one)) is not None]
