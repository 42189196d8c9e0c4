"""The debts of a run: what was there before a fault, so that it can be put back.

A debt is recorded *before* the first write and settled only when the restore was read back. Here
is a ledger's shape; the one that survives `kill -9` is in `clusterledger`.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from acns_chaos.cluster.policies import PolicyRef, content_hash
from acns_chaos.errors import TargetRefused

__all__ = [
    "CREATE",
    "DELETE",
    "MODIFY",
    "PROBER",
    "Debt",
    "Ledger",
    "NoLedger",
    "now",
    "outstanding",
    "restore_command",
]

# What a fault does to an object.
MODIFY, DELETE, CREATE = "modify", "delete", "create"
# Ids of prober pods are "client1", "client2", …: before "f1" in the alphabet, so that whoever pays
# the newest record first puts every policy back before it waits for a pod to end.
PROBER = "client"


def now() -> str:
    """Return this moment in UTC, ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat()


@dataclass(slots=True)
class Debt:
    """One changed policy and all that happened to it.

    Attributes:
        id: "f1", "f2", … within the run; "f2.1", "f2.2" when one fault is several objects.
        ref: the policy.
        operator: what made it wrong.
        before: the original object, raw, as read; None when there was none.
        change: MODIFY, DELETE or CREATE.
        fault: the faulty object, as planned and, once accepted, as the server stored it; None when
            the fault is that there is none.
        predicted: `{"closed": [...], "opened": [...]}`, flows as text.
        turned: of some predicted flows, which rules decide before and after (`policy.turned`).
        submitted, accepted, realised: moments, "" until then.
        realised_by: one sentence.
        restored: the journal's record of the restore, None while the debt is open.
    """

    id: str
    ref: PolicyRef
    operator: str
    before: dict[str, Any] | None
    predicted: dict[str, list[str]] = field(default_factory=dict)
    fault: dict[str, Any] | None = field(default_factory=dict)
    change: str = MODIFY
    submitted: str = ""
    accepted: str = ""
    realised: str = ""
    realised_by: str = ""
    restored: dict[str, Any] | None = None
    turned: list[dict[str, Any]] = field(default_factory=list)

    @property
    def fault_id(self) -> str:
        """The fault it is a part of: "f2" for "f2.1"."""
        return self.id.partition(".")[0]

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
            "change": self.change,
            "submitted": self.submitted,
            "accepted": self.accepted or None,
            "realised": self.realised or None,
            "realised_by": self.realised_by,
            "before": self.before,
            "before_sha256": None if self.before is None else content_hash(self.before),
            "fault": self.fault,
            "predicted": self.predicted,
            "turned": self.turned,
            "restored": self.restored,
        }


class Ledger(Protocol):
    """Where debts are kept; the one that is used survives its runner (`clusterledger`)."""

    def record(self, debt: Debt) -> None:
        """Keep *debt* before anything is written; raises when it cannot be kept."""

    def settle(self, debt: Debt) -> None:
        """Note that *debt* was paid and the payment read back."""

    def forget(self, debt: Debt) -> None:
        """Remove a debt whose write the server refused: nothing was changed."""

    def deadline(self) -> str:
        """Return from when on anybody may pay a debt taken now."""

    def due(self, debt: Debt) -> bool:
        """Whether somebody else may be paying it by now."""

    def paid_by(self, debt: Debt) -> str:
        """Return which of our nets has paid it: "watchdog", "janitor"; "" when none has."""

    def all(self) -> list[Debt]:
        """Return every fault of this run, oldest first."""

    def probers(self) -> list[Debt]:
        """Return the prober pods of this run, oldest first; they are no faults."""


class NoLedger:
    """The ledger of a run that changes nothing: it keeps no debt, so nothing may be written."""

    def deadline(self) -> str:
        """No debt has one."""
        return ""

    def due(self, debt: Debt) -> bool:  # noqa: ARG002 - the shape of a ledger
        """No debt is."""
        return False

    def paid_by(self, debt: Debt) -> str:  # noqa: ARG002 - the shape of a ledger
        """Nobody pays."""
        return ""

    def record(self, debt: Debt) -> None:
        """Refuse.

        Raises:
            TargetRefused: always.
        """
        raise TargetRefused(
            f"the guard made nothing ready that would put {debt.ref} back, as the experiment "
            "injects no fault where it looks: inject in the method"
        )

    def settle(self, debt: Debt) -> None:
        """There is none to settle."""

    def forget(self, debt: Debt) -> None:
        """There is none to remove."""

    def all(self) -> list[Debt]:
        """Return none."""
        return []

    def probers(self) -> list[Debt]:
        """Return none."""
        return []


def outstanding(ledger: Ledger) -> list[Debt]:
    """Return the open debts, newest first: the order in which they are paid back.

    A creation that was never answered is waited for, and no outage must wait with it: so it goes
    last.
    """
    found = [debt for debt in reversed(ledger.all()) if debt.open]
    return sorted(found, key=lambda debt: debt.change == CREATE and not debt.accepted)


def restore_command(run: str) -> str:
    """Return what a person types to end a run's faults at once."""
    return f"acns-chaos restore --run {run}"
