"""Pay a debt that somebody else left, from its record: what the watchdog and the janitor do.

They know less than the runner did: whether its write was sent, and whether it will still arrive.
So an untouched original is fenced off, too. Belongs here: one record. Does not belong here: which
records are due (`janitor`, `watchdog`), and whether a record may be believed (`trusted`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Held, Leases
from acns_chaos.cluster.policies import POD, Policies
from acns_chaos.cluster.records import Record, Records
from acns_chaos.errors import NotFound, RecordBroken, RecordGone
from acns_chaos.faults.announce import announce_restored
from acns_chaos.faults.ledger import Debt
from acns_chaos.faults.undo import PutBack, fresh, put_back

__all__ = [
    "Keeper",
    "age",
    "debt_of",
    "record_of",
    "recover",
    "settled",
    "strike_out",
    "sweep",
    "trusted",
    "uid_of",
]


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who keeps the records of a run.

    Attributes:
        run: its id.
        owner: "user@host process 4711".
        cluster: UID of namespace kube-system.
        home: namespace in which records and Lease lie.
        seconds: from record to deadline.
    """

    run: str
    owner: str
    cluster: str
    home: str
    seconds: float

    @property
    def holder(self) -> str:
        """What the Lease calls the run."""
        return f"{self.run} {self.owner}"


def record_of(debt: Debt, keeper: Keeper, deadline: str) -> Record:
    """Return the record of a debt.

    Args:
        debt: about to be taken.
        keeper: of the run.
        deadline: server time, ISO 8601.
    """
    return Record(
        run=keeper.run,
        id=debt.id,
        owner=keeper.owner,
        cluster=keeper.cluster,
        home=keeper.home,
        deadline=deadline,
        change=debt.change,
        ref=debt.ref,
        operator=debt.operator,
        # Without its version, so that it can be written back by hand as it lies there.
        before=None if debt.before is None else fresh(debt.before),
        fault=debt.fault,
    )


def age(name: str) -> list[str | int]:
    """Return what sorts names of records by age: "…-f10" is younger than "…-f9"."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if part.isdigit() else part for part in parts]


def debt_of(record: Record) -> Debt:
    """Return the debt behind a record: perhaps sent, never known to be accepted."""
    return Debt(
        id=record.id,
        ref=record.ref,
        operator=record.operator,
        before=record.before,
        fault=record.fault,
        change=record.change,
        submitted="unknown",
    )


def trusted(records: Records, held: Held | None, name: str, cluster: str) -> Record:
    """Read a record that may be believed.

    Anybody who may edit ConfigMaps could otherwise have us write any policy.

    Args:
        records: of the namespace.
        held: its Lease as read.
        name: of the record.
        cluster: UID of namespace kube-system of the cluster we talk to.

    Raises:
        RecordGone: it is no longer there.
        RecordBroken: it is not the one the Lease names, or another cluster's.
        ApiError: it cannot be read.
    """
    named = held.records.get(name) if held else None
    try:
        record, sha256 = records.read(name)
    except NotFound as error:
        raise RecordGone(
            f"The Lease names record {name} of namespace {records.namespace}, and it is gone: "
            "put right the policies that carry the annotation acns-chaos/run, then strike it out "
            "with --force."
        ) from error
    if named != sha256:
        raise RecordBroken(
            f"ConfigMap {name} of namespace {records.namespace} is not what the Lease says it is: "
            "nothing of it is believed; compare it with the policy and put that right by hand."
        )
    if record.cluster != cluster:
        raise RecordBroken(
            f"Record {name} was written in another cluster (kube-system UID {record.cluster}, here "
            f"{cluster}): nothing of it is written here."
        )
    return record


def recover(api: Api, record: Record, by: str, force: bool = False) -> PutBack:
    """Put back what a record holds, and strike the record out.

    Args:
        api: the connection.
        record: believed; see `trusted`.
        by: "watchdog", "janitor" or who else.
        force: overwrite what somebody else wrote meanwhile.

    Returns:
        What is stored now.

    Raises:
        Drifted: somebody else changed the object; nothing was written, and the record stands.
        RestoreFailed: it could not be put back; the record stands.
        ApiError: the API server refused, or did not answer; the record stands.
    """
    policies = Policies(api, manager=f"acns-chaos-{by}")
    done = put_back(policies, debt_of(record), by, record.run, force)
    if record.ref.kind != POD:
        announce_restored(api, record.ref, uid_of(done.stored), record.run, by)
    strike_out(api, record)
    return done


def sweep(api: Api, home: str, run: str, by: str) -> None:
    """Remove what a run had begun to record when it died, and pay what it had not told anybody.

    Args:
        api: the connection.
        home: namespace of its records.
        run: its id.
        by: who sweeps.

    Raises:
        RecordBroken: a record of it cannot be believed; it was left as it is.
        RestoreFailed, ApiError: as `recover`.
    """
    held = Leases(api, home).read()
    records = Records(api, home)
    cluster = str(api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
    # Newest first: a fault on top of another is undone before it.
    for name in sorted(records.names(), key=age, reverse=True):
        if not name.startswith(f"acns-chaos-{run}-".lower()):
            continue
        if held is not None and name in held.records:
            try:
                record = trusted(records, held, name, cluster)
            except RecordGone:
                if settled(api, home, name):
                    continue
                raise
            recover(api, record, by)
        elif held is not None:
            # Never named in the Lease: then nothing was written to the policy. Where no Lease is
            # found nobody can tell, and the record may hold the only original.
            records.remove(name)
    for name in records.orphans():
        if name.startswith(f"acns-chaos-{run}-".lower()):
            records.remove_one(name)


def settled(api: Api, home: str, name: str) -> bool:
    """Whether a record that was named is struck out by now: somebody else has paid its debt.

    Raises:
        ApiError: the Lease cannot be read.
    """
    held = Leases(api, home).read()
    return held is not None and name not in held.records


def uid_of(policy: Mapping[str, Any] | None) -> str:
    """Return the uid of a raw object, "" when there is none."""
    return str((policy or {}).get("metadata", {}).get("uid") or "")


def strike_out(api: Api, record: Record) -> None:
    """Remove a record: first from the Lease, so that it is no longer believed, then itself.

    When the Lease cannot be found the record stays, and the janitor removes it later, as one that
    nobody names. Were that answer wrong, the Lease would name a record that is gone, for ever.

    Raises:
        ApiError: it could not be removed; doing it again is safe.
    """
    if Leases(api, record.home).leave(record.name):
        Records(api, record.home).remove(record.name)
