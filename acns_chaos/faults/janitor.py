"""The janitor: pays debts whose runner is gone, from their records alone.

It believes a record only when the Lease names its SHA-256 (`recovery.trusted`), restores what is
due, and removes what was recorded but never named, which changed nothing. It runs in the cluster
(`acns-chaos restore --expired`, every minute), by hand, and when a run takes a dead one's Lease.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Held, Leases
from acns_chaos.cluster.moments import moment
from acns_chaos.cluster.permissions import JANITOR_LEASE
from acns_chaos.cluster.policies import POD, Policies
from acns_chaos.cluster.records import Record, Records
from acns_chaos.errors import AcnsChaosError, ApiError, Drifted, NotFound, RecordGone, TargetRefused
from acns_chaos.faults.drift import three_way
from acns_chaos.faults.ledger import DELETE
from acns_chaos.faults.recovery import Keeper, age, debt_of, recover, settled, trusted
from acns_chaos.faults.undo import MARK

__all__ = ["Paid", "janitor_seen", "report_for_duty", "restore_left", "restore_records"]

logger = logging.getLogger("chaostoolkit")

# Twice its CronJob's interval and the time a pod takes to start.
SEEN_SECONDS = 180
# A record that the Lease does not name is younger than this while its run is still writing it.
UNNAMED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Paid:
    """What came of one record.

    Attributes:
        name: of the record.
        record: None when it could not be read.
        state: "restored", "removed" (it changed nothing, or somebody else paid it), "waiting" (not
            due), "drifted", "broken" (it cannot be believed) or "failed".
        sentence: for people.
        difference: of a drifted object: what the fault changed, and what somebody changed since.
    """

    name: str
    record: Record | None
    state: str
    sentence: str
    difference: str = ""


def restore_records(
    api: Api,
    namespace: str,
    wanted: Callable[[Record], bool],
    by: str,
    force: bool = False,
) -> list[Paid]:
    """Pay the records of one namespace that are wanted, newest first.

    Args:
        api: the connection.
        namespace: where records and Lease lie.
        wanted: whether a record is to be paid now.
        by: who pays: "janitor", "person".
        force: overwrite what somebody else wrote meanwhile.

    Returns:
        One entry per record, also for those left alone.

    Raises:
        ApiError: Lease or records cannot be listed; nothing was changed.
    """
    held = Leases(api, namespace).read()
    records = Records(api, namespace)
    cluster = str(api.get("/api/v1/namespaces/kube-system")["metadata"]["uid"])
    named = set(held.records) if held else set()
    found: list[Paid] = []
    for name in sorted({*named, *records.names()}, key=age, reverse=True):
        try:
            if name in named:
                found.append(_named(api, trusted(records, held, name, cluster), wanted, by, force))
            else:
                found.append(_unnamed(api, records, held, name, wanted))
        except Drifted as error:
            found.append(_drifted(api, trusted(records, held, name, cluster), error))
        except (NotFound, RecordGone) as error:
            found.append(_gone(api, namespace, name, force, error))
        except ApiError as error:
            found.append(Paid(name, None, "failed", f"{name}: {error}"))
        except AcnsChaosError as error:
            found.append(Paid(name, None, "broken", str(error)))
    return [*found, *_orphans(api, records)]


def _orphans(api: Api, records: Records) -> Iterator[Paid]:
    """Remove parts that belong to no record, unless a run may still be writing the rest."""
    begun = api.now() - timedelta(seconds=UNNAMED_SECONDS)
    for name, deadline in records.orphans().items():
        due = moment(deadline)
        if due is None or due > begun:
            continue
        try:
            records.remove_one(name)
        except ApiError as error:
            yield Paid(name, None, "failed", f"{name}: {error}")
        else:
            yield Paid(name, None, "removed", f"{name}, a part of no record, was removed.")


def _gone(api: Api, namespace: str, name: str, force: bool, error: NotFound | RecordGone) -> Paid:
    """A record that is gone: somebody else has paid it, or nobody can restore from it any more.

    Only a person may say of the latter that it is done with.
    """
    if settled(api, namespace, name):
        return Paid(name, None, "removed", f"Record {name} was settled by somebody else meanwhile.")
    if isinstance(error, NotFound):
        return Paid(name, None, "failed", f"{name}: {error}")
    if not force:
        return Paid(name, None, "broken", str(error))
    Leases(api, namespace).leave(name)
    return Paid(name, None, "removed", f"Record {name} is gone and was struck out of the Lease.")


def _drifted(api: Api, record: Record, error: Drifted) -> Paid:
    live: dict[str, Any] | None = None
    with contextlib.suppress(NotFound):
        live = Policies(api).get(record.ref)
    return Paid(record.name, record, "drifted", str(error), three_way(debt_of(record), live))


def _named(
    api: Api, record: Record, wanted: Callable[[Record], bool], by: str, force: bool
) -> Paid:
    if record.ref.kind == POD:
        return _prober(api, record, wanted, by, force)
    if not wanted(record):
        return Paid(
            record.name,
            record,
            "waiting",
            f"{record.ref} is broken on purpose by run {record.run} ({record.operator}) of "
            f"{record.owner}, until {record.deadline}.",
        )
    done = recover(api, record, by, force)
    how = "was as before already" if done.by == "others" else "is as it was"
    return Paid(record.name, record, "restored", f"{record.ref} {how} (run {record.run}).")


def _prober(
    api: Api, record: Record, wanted: Callable[[Record], bool], by: str, force: bool
) -> Paid:
    if not wanted(record):
        told = f"Prober pod {record.ref} of run {record.run} may stand until {record.deadline}."
        return Paid(record.name, record, "waiting", told)
    recover(api, record, by, force)
    return Paid(
        record.name, record, "restored", f"Prober pod {record.ref} is gone (run {record.run})."
    )


def _unnamed(
    api: Api,
    records: Records,
    held: Held | None,
    name: str,
    wanted: Callable[[Record], bool],
) -> Paid:
    """A record that was begun and never named: nothing was written, or somebody made it up.

    Or the Lease that named it is gone, or is said to be: then it holds the only original.
    """
    record, _ = records.read(name)
    if _stands(api, record):
        later = Leases(api, records.namespace).read()
        if later is None or name not in later.records:
            return Paid(name, record, "broken", _nameless(record))
        state = "failed" if wanted(record) else "waiting"
        return Paid(name, record, state, f"Record {name} is named by the Lease since just now.")
    begun = api.now() - timedelta(seconds=UNNAMED_SECONDS)
    # Were a Lease that cannot be found there after all, it would name what is gone, for ever.
    if held is None or not record.due(begun):
        return Paid(name, record, "waiting", f"Record {name} is not named by the Lease (yet).")
    records.remove(name)
    return Paid(name, record, "removed", f"Record {name} was never in force and was removed.")


def _stands(api: Api, record: Record) -> bool:
    """Whether its policy looks as that run's fault left it."""
    try:
        live = Policies(api).get(record.ref)
    except NotFound:
        return record.change == DELETE
    marks = live["metadata"].get("annotations") or {}
    return record.change != DELETE and marks.get(f"{MARK}run") == record.run


def _nameless(record: Record) -> str:
    what = "is deleted" if record.change == DELETE else f"carries the marks of run {record.run}"
    return (
        f"{record.ref} {what}, and no Lease names record {record.name}, so it is not believed: "
        "somebody deleted the Lease. Compare original.json of that ConfigMap with what you expect; "
        "its key by-hand says how to put it back."
    )


def restore_left(api: Api, keeper: Keeper, held: Held) -> None:
    """Pay what a run left whose Lease was taken over.

    Raises:
        TargetRefused: something of it could not be paid; a new fault on top would bury it.
    """
    logger.warning(f"{held.holder or 'A run'} left {len(held.records)} record(s): restoring first.")
    for paid in restore_records(api, keeper.home, lambda _: True, "janitor"):
        logger.warning(paid.sentence)
        if paid.state in ("drifted", "broken", "failed"):
            raise TargetRefused(
                f"What an earlier run left in namespace {keeper.home} could not be restored: "
                f"{paid.sentence}"
            )


def report_for_duty(api: Api, namespace: str, holder: str) -> None:
    """Say that a janitor looks after a namespace; errors as `Leases.acquire`."""
    Leases(api, namespace, JANITOR_LEASE).acquire(holder, SEEN_SECONDS)


def janitor_seen(api: Api, namespace: str) -> str:
    """Say that no janitor was seen lately, "" when one was.

    Raises:
        ApiError: it cannot be told.
    """
    held = Leases(api, namespace, JANITOR_LEASE).read()
    if held is not None and not held.lapsed(api.now()):
        return ""
    return (
        f"No janitor was seen in namespace {namespace} for {SEEN_SECONDS} s, and in a pod nobody "
        "else restores when the pod dies: apply deploy/janitor, or set `require_janitor` to false."
    )
