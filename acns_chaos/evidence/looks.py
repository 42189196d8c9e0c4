"""What fires, and what of it is the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from acns_chaos.cluster.prometheus import Alert

__all__ = ["Look", "is_any", "named"]


@dataclass(frozen=True, slots=True)
class Look:
    """What fires now.

    Attributes:
        new: alerts that began since the moment in question; all of them when there is none.
        old: those that fired before.
        muted: those that fire and nobody is told of.
        apart: those that are of other namespaces alone, new or old, muted or not.
    """

    new: list[Alert] = field(default_factory=list)
    old: list[Alert] = field(default_factory=list)
    muted: list[Alert] = field(default_factory=list)
    apart: list[Alert] = field(default_factory=list)


def is_any(alert: Alert, known: Sequence[Mapping[str, str]]) -> bool:
    """Whether an alert is one of those that are known by their labels, in whatever state."""
    return any(alert.has(named(one)) for one in known)


def named(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of an alert without its state: what was about to fire is what fires then."""
    return {name: value for name, value in labels.items() if name not in ("alertstate", "__name__")}
