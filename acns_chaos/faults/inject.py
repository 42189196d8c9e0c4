"""Inject a fault: plan, complete as the server would, rehearse, record, write, realise.

Every refusal comes before the first write, and is one sentence (`plan`). From the first write on
something stands that must be restored, and the ledger knows of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.policies import content
from acns_chaos.errors import (
    AcnsChaosError,
    ApiError,
    Conflict,
    FaultRefused,
    FaultUncertain,
    NotFound,
)
from acns_chaos.faults.announce import announce_fault, marked
from acns_chaos.faults.change import Change
from acns_chaos.faults.completion import completed
from acns_chaos.faults.ledger import CREATE, DELETE, MODIFY, Debt, now
from acns_chaos.faults.plan import Limits, judged, plan
from acns_chaos.faults.recovery import uid_of
from acns_chaos.faults.restore import restore_all
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.faults.undo import fresh
from acns_chaos.faults.witness import named_trial, predicted_trials, wait_for_flip

__all__ = ["inject"]

# A conflict means that somebody else writes too; each round reads what they wrote first.
ROUNDS = 5


def inject(
    run: RunContext, change: Change, limits: Limits, timeout: float, witness: str = ""
) -> list[Debt]:
    """Make live policies wrong, and wait until behaviour shows it.

    Args:
        run: the armed run.
        change: what to make of which policies.
        limits: how far the effect may reach.
        timeout: seconds to wait for the effect.
        witness: a flow to see the effect by, as for `witness.named_trial`; "" takes predicted ones.

    Returns:
        The debts, one per object; `realised` is "" when the effect was not seen in time.

    Raises:
        TargetRefused: this account may not change it, or another run holds what it needs.
        FaultRefused: refused, nothing was changed.
        FaultUncertain: something may have been stored; the debts stand until they are restored.
    """
    planned, prediction = plan(run, change, limits)
    if run.before_change:
        run.before_change([(one.ref, one.change) for one in planned])
    stored = completed(run.policies, planned)
    if stored != planned:
        planned, prediction = stored, judged(change, stored, take_inventory(run.api), limits)
    trials = [named_trial(run, witness)] if witness else predicted_trials(run, prediction)
    number = len({debt.fault_id for debt in run.ledger.all()}) + 1
    debts = [
        Debt(
            id=f"f{number}" if len(planned) == 1 else f"f{number}.{position}",
            ref=one.ref,
            operator=change.name,
            before=one.before,
            predicted=prediction.as_json(),
            fault=one.after,
            change=one.change,
            turned=[turn.as_json() for turn in prediction.turned],
        )
        for position, one in enumerate(planned, 1)
    ]
    if witness:
        run.witnesses[debts[0].fault_id] = (witness, trials[0].opens)
    for debt in debts:
        _commit(run, debt, debts)
    flip = wait_for_flip(run, trials, faulty=True, timeout=timeout)
    for debt in debts:
        debt.realised, debt.realised_by = flip.at, flip.sentence
    if flip.at:
        run.witnessed = run.witnessed or now()
        run.note("realised", flip.sentence, flip.at)
        if flip.denied:
            run.note_first("first-failed-request", flip.sentence, flip.at)
    return debts


def _commit(run: RunContext, debt: Debt, group: Sequence[Debt]) -> None:
    """Rehearse, record, write one object; if it cannot be, the group's earlier ones go back.

    The operator writes a policy's status some milliseconds after every write to it (captures,
    "Validation and status"), so the version read a moment ago is often an older one.
    """
    earlier = [one for one in group if one.submitted]
    try:
        for _ in range(ROUNDS):
            live = _live(run, debt)
            if debt.fault is not None:
                debt.fault = _current(run, debt, live)
            try:
                _rehearse(run, debt, live)
                _record(run, debt)
                _write(run, debt, live)
                return
            except Conflict:
                continue
        _give_up(debt)
    except FaultRefused as error:
        if not earlier:
            raise
        restore_all(run)
        raise FaultUncertain(
            f"{str(error).replace(' Nothing was changed.', '')} The objects that were already "
            "changed were put back."
        ) from error


def _give_up(debt: Debt) -> NoReturn:
    raise FaultRefused(
        f"{debt.ref} was written by somebody else {ROUNDS} times while the fault was prepared. "
        "Nothing was changed by this run."
    )


def _live(run: RunContext, debt: Debt) -> dict[str, Any] | None:
    """Read the object again; it must still be what the fault was planned on."""
    try:
        live = run.policies.get(debt.ref)
    except NotFound:
        live = None
    before = debt.before
    same = live is before if live is None or before is None else content(live) == content(before)
    if not same:
        raise FaultRefused(
            f"{debt.ref} was changed by somebody else while the fault was prepared. "
            "Nothing was changed by this run."
        )
    return live


def _current(run: RunContext, debt: Debt, live: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the faulty object, marked, at the live object's version."""
    faulty = marked(debt.fault or {}, run.run, run.owner, run.ledger.deadline())
    if live is not None:
        faulty["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    return faulty


def _rehearse(run: RunContext, debt: Debt, live: Mapping[str, Any] | None) -> None:
    """Ask the server whether it would take the fault, and the original back."""
    steps: list[dict[str, Any]] = []
    if debt.change == MODIFY:
        steps.append({"step": "fault", "verb": "replace", "policy": debt.fault})
        steps.append({"step": "restore", "verb": "replace", "policy": live})
    elif debt.change == DELETE:
        steps.append({"step": "fault", "verb": "delete", "policy": live})
        original = fresh(debt.before or {})
        steps.append({"step": "restore", "verb": "create", "policy": original, "exists": True})
    else:
        steps.append({"step": "fault", "verb": "create", "policy": debt.fault})
    try:
        run.rehearse(steps)
    except Conflict:
        raise
    except ApiError as error:
        raise FaultRefused(f"{error}. Nothing was changed.") from error


def _record(run: RunContext, debt: Debt) -> None:
    try:
        run.ledger.record(debt)
    except AcnsChaosError as error:
        raise FaultRefused(
            f"The original of {debt.ref} could not be recorded ({str(error).rstrip('.')}), and "
            "without that no fault is injected. Nothing was changed."
        ) from error


def _write(run: RunContext, debt: Debt, live: Mapping[str, Any] | None) -> None:
    """Write the fault, and compare what was stored with what was meant."""
    if run.ledger.due(debt):
        # Somebody may have paid it already, and a creation could not be fenced off.
        run.ledger.forget(debt)
        raise FaultRefused(
            f"The deadline of the fault on {debt.ref} passed before it could be written. "
            "Nothing was changed."
        )
    debt.submitted = now()
    try:
        stored = _send(run, debt, live)
    except ApiError as error:
        _refused(run, debt, error)
        raise
    verb = {MODIFY: "PUT", CREATE: "POST", DELETE: "DELETE"}[debt.change]
    run.note("submitted", f"{verb} {debt.ref} with fault {debt.operator}", debt.submitted)
    meant, debt.accepted = debt.fault, now()
    as_what = f"stored as generation {_generation(stored)}" if stored else "deleted"
    run.note("accepted", f"{debt.ref} {as_what}", debt.accepted)
    if stored is not None and meant is not None:
        debt.fault = stored
        announce_fault(run.api, debt.ref, uid_of(stored), run.run, debt.operator)
        if content(stored) != content(meant):
            restore_all(run)
            raise FaultUncertain(
                f"The API server stored something else than the fault on {debt.ref}; "
                "the original was put back."
            )


def _send(run: RunContext, debt: Debt, live: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if debt.change == MODIFY:
        return run.policies.replace(debt.fault or {})
    if debt.change == CREATE:
        return run.policies.create(debt.fault or {})
    run.policies.delete(debt.ref, live or {})
    return None


def _refused(run: RunContext, debt: Debt, error: ApiError) -> None:
    """Drop the debt when nothing was stored for certain; keep it when nobody knows."""
    if not 400 <= error.status < 500:
        raise FaultUncertain(
            f"Whether the fault on {debt.ref} was stored is not known ({error}); "
            "it is restored in any case."
        ) from error
    debt.submitted = ""
    run.ledger.forget(debt)
    if not isinstance(error, Conflict):
        raise FaultRefused(
            f"The API server refused the fault on {debt.ref}: {error}. Nothing was changed."
        ) from error


def _generation(policy: Mapping[str, Any]) -> str:
    return str((policy.get("metadata") or {}).get("generation", "?"))
