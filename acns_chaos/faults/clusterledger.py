"""The ledger that survives the runner: records and Lease in the cluster, known to a watchdog.

The order is what makes it safe: record written → named in the Lease → held by the watchdog → (the
fault is written) → … → restored and read back → struck out of the Lease → record removed. Whoever
dies between two steps leaves at worst a record of a policy that is as it was.
"""

import logging
from datetime import timedelta

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import POD
from acns_chaos.cluster.records import Record, Records
from acns_chaos.errors import AcnsChaosError
from acns_chaos.faults.ledger import Debt
from acns_chaos.faults.recovery import Keeper, record_of, strike_out
from acns_chaos.faults.watch import Watch

__all__ = ["ClusterLedger"]

logger = logging.getLogger("chaostoolkit")


class ClusterLedger:
    """Debts of a run, each with its record in the cluster.

    Args:
        api: the connection.
        keeper: whose records they are.
        watch: the run's watchdog, ready.
    """

    def __init__(self, api: Api, keeper: Keeper, watch: Watch) -> None:
        self._api = api
        self._keeper = keeper
        self._watch = watch
        self._debts: list[Debt] = []
        self._records: dict[str, Record] = {}
        self._paid: set[str] = set()

    def deadline(self) -> str:
        """Return the moment until which a debt taken now may stand, by the server's clock."""
        return (self._api.now() + timedelta(seconds=self._keeper.seconds)).isoformat()

    def record(self, debt: Debt) -> None:
        """Keep *debt* in the cluster and with the watchdog, before anything is written.

        Raises:
            ApiError, LeaseHeld, WatchdogGone: it cannot be kept; then nothing may be written.
        """
        record = record_of(debt, self._keeper, self.deadline())
        # From here on something of it may lie in the cluster.
        self._records[debt.id] = record
        self._debts.append(debt)
        try:
            Records(self._api, record.home).write(record)
            Leases(self._api, record.home).enter(self._keeper.holder, record.name, record.sha256())
            self._watch.hold(record)
        except AcnsChaosError:
            self.forget(debt)
            raise

    def due(self, debt: Debt) -> bool:
        """Whether the janitor or the watchdog may be paying it by now."""
        record = self._records.get(debt.id)
        return record is None or record.due(self._api.now())

    def paid(self, number: str) -> None:
        """Note that the watchdog says it has paid the debt of this id."""
        self._paid.add(number)

    def paid_by(self, debt: Debt) -> str:
        """Return which of our nets has paid it; whoever does strikes its record out.

        Raises:
            ApiError: it cannot be told.
        """
        if debt.id in self._paid:
            return "watchdog"
        record = self._records.get(debt.id)
        if record is None:
            return ""
        held = Leases(self._api, record.home).read()
        return "" if held is not None and record.name in held.records else "janitor"

    def settle(self, debt: Debt) -> None:
        """Remove the record of a debt that was paid and read back.

        What cannot be removed stays for the watchdog and the janitor, which find the policy as it
        was; it is no failed restore.
        """
        record = self._records.pop(debt.id, None)
        if record is None:
            return
        try:
            strike_out(self._api, record)
            self._watch.drop(record)
        except AcnsChaosError as error:
            logger.warning(f"Record {record.name} was not removed ({error}): the janitor will.")

    def forget(self, debt: Debt) -> None:
        """Remove a debt whose write the server refused: nothing was changed."""
        self._debts.remove(debt)
        self.settle(debt)

    def all(self) -> list[Debt]:
        """Return every fault of this run, oldest first."""
        return [debt for debt in self._debts if debt.ref.kind != POD]

    def probers(self) -> list[Debt]:
        """Return the prober pods of this run, oldest first."""
        return [debt for debt in self._debts if debt.ref.kind == POD]
