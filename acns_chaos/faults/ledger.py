"""The debts of a run: what was there before a fault, so that it can be put back.

A debt is recorded *before* the first write and settled only when the restore was read back. This
ledger lives in the memory of the run, so it does not survive `kill -9`: that is why a real
cluster is refused until one exists that does (`crash_safe`). Any other ledger keeps this shape.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from acns_chaos.cluster.policies import PolicyRef, content_hash

__all__ = ["Debt", "Ledger", "MemoryLedger", "now", "outstanding"]


def now() -> str:
    """Return this moment in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat()


@dataclass(slots=True)
class Debt:
    """One changed policy and all that happened to it.

    Attributes:
        id: "f1", "f2", … within the run.
        ref: the policy.
        operator: what made it wrong.
        before: the original object, raw, as read.
        fault: the faulty object, as planned and, once accepted, as the server stored it.
        predicted: `{"closed": [...], "opened": [...]}`, flows as text.
        submitted, accepted, realised: moments, "" until then.
        realised_by: one sentence.
        restored: the journal's record of the restore, None while the debt is open.
    """

    id: str
    ref: PolicyRef
    operator: str
    before: dict[str, Any]
    predicted: dict[str, list[str]] = field(default_factory=dict)
    fault: dict[str, Any] = field(default_factory=dict)
    submitted: str = ""
    accepted: str = ""
    realised: str = ""
    realised_by: str = ""
    restored: dict[str, Any] | None = None

    @property
    def open(self) -> bool:
        """Whether something still has to be put back."""
        return self.restored is None or not self.restored.get("verified")

    def as_json(self) -> dict[str, Any]:
        """Return the journal's form."""
        return {
            "id": self.id,
            "policy": self.ref.as_json(),
            "operator": self.operator,
            "submitted": self.submitted,
            "accepted": self.accepted or None,
            "realised": self.realised or None,
            "realised_by": self.realised_by,
            "before": self.before,
            "before_sha256": content_hash(self.before),
            "fault": self.fault,
            "predicted": self.predicted,
            "restored": self.restored,
        }


class Ledger(Protocol):
    """Where debts are kept."""

    crash_safe: bool

    def record(self, debt: Debt) -> None:
        """Keep *debt* before anything is written; raises when it cannot be kept."""

    def settle(self, debt: Debt) -> None:
        """Note that *debt* was paid and the payment read back."""

    def forget(self, debt: Debt) -> None:
        """Remove a debt whose write the server refused: nothing was changed."""

    def all(self) -> list[Debt]:
        """Return every debt of this run, oldest first."""


class MemoryLedger:
    """A ledger that lives and dies with the run."""

    crash_safe = False

    def __init__(self) -> None:
        self._debts: list[Debt] = []

    def record(self, debt: Debt) -> None:
        """Keep *debt*."""
        self._debts.append(debt)

    def settle(self, debt: Debt) -> None:
        """Nothing to do: a settled debt says so itself."""

    def all(self) -> list[Debt]:
        """Return every debt of this run, oldest first."""
        return list(self._debts)

    def forget(self, debt: Debt) -> None:
        """Remove a debt whose write the server refused: nothing was changed."""
        self._debts.remove(debt)


def outstanding(ledger: Ledger) -> list[Debt]:
    """Return the open debts, newest first: the order in which they are paid back."""
    return [debt for debt in reversed(ledger.all()) if debt.open]
