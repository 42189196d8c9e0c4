"""Whose an alert is where one set of alerts stands for several namespaces: its labels tell.

With several namespaces in one plan an alert may fire for the fault of another one. A label need not
name the fault's namespace: with Prometheus' operator `namespace` is the exporter's own, as
kube-system, and a flow has two ends. So one name that may be of the fault is enough, and a
namespace that is none of the plan's decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["LABELS", "Apart"]

LABELS = frozenset({"namespace", "exported_namespace", "source_namespace", "destination_namespace"})


@dataclass(frozen=True, slots=True)
class Apart:
    """The namespaces of a plan, as a fault sees them.

    Attributes:
        own: the one that it is in, and those that it touches.
        others: those that it does not touch.
    """

    own: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def whose(self, labels: Mapping[str, str]) -> list[str]:
        """The others that an alert is of, in order; none where it may be of the fault.

        Args:
            labels: all that the alert carries.
        """
        named = {value.lower() for label, value in labels.items() if label.lower() in LABELS}
        return [] if named & self.own else sorted(named & self.others)
