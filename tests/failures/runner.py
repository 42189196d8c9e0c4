"""What a run does to a cluster, without the host: interlock, inject, restore, release.

The watchdog of a real run is a process; here it is the same code called in place, on a connection
of its own, so that a scheduler can hold both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import policy_ref
from acns_chaos.cluster.records import Record
from acns_chaos.cluster.target import Target
from acns_chaos.errors import AcnsChaosError
from acns_chaos.faults.change import Change, by_operator
from acns_chaos.faults.clusterledger import ClusterLedger
from acns_chaos.faults.inject import inject
from acns_chaos.faults.janitor import restore_left, restore_records
from acns_chaos.faults.plan import Limits
from acns_chaos.faults.recovery import Keeper
from acns_chaos.faults.restore import restore_all
from acns_chaos.faults.runcontext import RunContext
from tests.failures.cluster import CLUSTER_UID

REF = policy_ref("CiliumNetworkPolicy", "pets", "allow-store-front-traffic")
LEASE_SECONDS = 15


class NoWatch:
    """A watchdog that only takes notes: the one that is killed together with the runner."""

    def hold(self, record: Record) -> None:
        """Take a note."""

    def drop(self, record: Record) -> None:
        """Take a note."""

    def rehearse(self, steps: Sequence[Mapping[str, Any]]) -> None:
        """Believe everything."""


def keeper(name: str, seconds: float = 3.0) -> Keeper:
    """Who keeps the records of a run."""
    return Keeper(f"run-{name}", f"{name}@host process 1", CLUSTER_UID, "pets", seconds)


def run_once(api: Any, name: str, change: Change | None = None, seconds: float = 3.0) -> bool:
    """Take the Lease, break the policy, put it back, let go.

    Returns:
        Whether the run got the Lease and did its work.
    """
    whose = keeper(name, seconds)
    lease = Leases(api, "pets")
    try:
        left = lease.acquire(whose.holder, LEASE_SECONDS)
    except AcnsChaosError:
        return False
    if left.records:
        restore_left(api, whose, left)
    run = begun(api, whose, change)
    restore_all(run, timeout=0.0)
    lease.release(whose.holder)
    return True


def begun(api: Any, whose: Keeper, change: Change | None = None) -> RunContext:
    """Break the policy, with the Lease held already; the run's debt is open then."""
    target = Target("cluster", "test", api.server, CLUSTER_UID, "pets", "1.19.4", "v1.33.5")
    run = RunContext(whose.run, target, api, {}, {}, owner=whose.owner)
    run.ledger = ClusterLedger(api, whose, NoWatch())  # type: ignore[arg-type]
    inject(run, change or by_operator("ingress-from-nobody", REF), Limits(), 0.0)
    return run


def janitor_round(api: Any, everything: bool = False) -> list[str]:
    """One round of the janitor; returns the states."""
    paid = restore_records(api, "pets", lambda one: everything or one.due(api.now()), "janitor")
    return [one.state for one in paid]
