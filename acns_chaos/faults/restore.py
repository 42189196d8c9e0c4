"""Put back what was there: by PUT, compared by content, seen by behaviour, newest debt first.

A restore never deletes and creates (that opens a window), never overwrites what somebody else
wrote meanwhile, and may be called any number of times.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.policies import MANAGER, content, content_hash
from acns_chaos.errors import ApiError, Conflict, NotFound, PolicyError, RestoreFailed
from acns_chaos.faults.ledger import Debt, now, outstanding
from acns_chaos.faults.prediction import predict
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.faults.witness import Flip, wait_for_flow

__all__ = ["MARK", "restore_all", "restore_debt"]

# What this package writes on an object begins with this.
MARK = "acns-chaos/"
# A conflict means that somebody else writes too; each round reads what they wrote first.
ROUNDS = 5


def restore_all(run: RunContext, force: bool = False, timeout: float = 10.0) -> list[Debt]:
    """Pay every open debt.

    Args:
        run: the armed run.
        force: overwrite what somebody else wrote meanwhile.
        timeout: seconds to wait for behaviour, for each debt.

    Returns:
        The debts paid by this call; empty when there was nothing to restore.

    Raises:
        RestoreFailed: at least one could not be paid; the others were. `retryable` tells whether
            trying again may help.
    """
    paid: list[Debt] = []
    failures: list[str] = []
    retryable = False
    for debt in outstanding(run.ledger):
        try:
            restore_debt(run, debt, force=force, timeout=timeout)
            paid.append(debt)
        except (RestoreFailed, ApiError) as error:
            failures.append(str(error))
            retryable = retryable or (isinstance(error, ApiError) and _may_pass(error))
            debt.restored = {
                **(debt.restored or {"by": run.phase, "submitted": now(), "sha256": ""}),
                "verified": None,
                "problem": str(error),
            }
    if failures:
        raise RestoreFailed(" ".join(failures), retryable=retryable)
    return paid


def _may_pass(error: ApiError) -> bool:
    """Whether the trouble is of the kind that ends: silence, overload, the server's own fault."""
    return error.status in (0, 429) or error.status >= 500


def restore_debt(run: RunContext, debt: Debt, force: bool = False, timeout: float = 10.0) -> None:
    """Pay one debt; arguments and errors as `restore_all`."""
    submitted = run.note("restore-submitted", f"put back {debt.ref}")
    by, stored = _put_back(run, debt, force)
    if content_hash(stored) != content_hash(debt.before):
        raise RestoreFailed(
            f"{debt.ref} was written back but does not read back as it was: compare "
            f"`kubectl get {debt.ref.kind.lower()} -n {debt.ref.namespace} {debt.ref.name} "
            "-o yaml` with the journal's original."
        )
    verified = run.note("restored", f"{debt.ref} reads back as it was (by {by})")
    debt.restored = {
        "by": by,
        "submitted": submitted,
        "verified": verified,
        "sha256": content_hash(stored),
        "problem": "",
    }
    run.ledger.settle(debt)
    flip = _behaviour(run, debt, timeout)
    debt.restored["behaviour"] = {"at": flip.at or None, "sentence": flip.sentence}
    if flip.at:
        run.note("first-success", flip.sentence, flip.at)


def _put_back(run: RunContext, debt: Debt, force: bool) -> tuple[str, dict[str, Any]]:
    """Write the original unless it is there already; return who restored it and what is stored."""
    for _ in range(ROUNDS):
        try:
            live = run.policies.get(debt.ref)
        except NotFound:
            run.policies.create(_fresh(debt.before))
            return run.phase, run.policies.get(debt.ref)
        rules = _rules(live)
        if not force and rules not in (_rules(debt.before), _rules(debt.fault)):
            raise RestoreFailed(_drift(debt, live))
        wanted = _onto(debt.before, live) if force else _undone(debt, live)
        try:
            if content(live) != content(wanted):
                run.policies.replace(wanted)
            elif debt.submitted and not debt.accepted:
                _fence(run, live)
            else:
                return ("others" if debt.accepted else run.phase), live
        except Conflict:
            continue
        # Ours, unless somebody else had put the rules back and only our marks were left.
        others = debt.accepted and rules == _rules(debt.before)
        return ("others" if others else run.phase), run.policies.get(debt.ref)
    raise RestoreFailed(
        f"{debt.ref} was changed by somebody else {ROUNDS} times while it was being restored: "
        "stop them, then restore again."
    )


def _fence(run: RunContext, live: Mapping[str, Any]) -> None:
    """Keep a write out that was sent and never answered: it may still be on its way.

    It carries the resourceVersion that is live now. A real change and its reversal move that on
    (a write that changes nothing does not), so the server will refuse the late one.
    """
    marked = deepcopy(dict(live))
    annotations = {**(marked["metadata"].get("annotations") or {}), f"{MARK}fence": run.run}
    marked["metadata"]["annotations"] = annotations
    moved = run.policies.replace(marked)
    run.policies.replace(_onto(live, moved))


def _rules(policy: Mapping[str, Any]) -> dict[str, Any]:
    return {key: policy[key] for key in ("spec", "specs") if key in policy}


def _undone(debt: Debt, live: Mapping[str, Any]) -> dict[str, Any]:
    """Return the original on top of *live*, keeping labels and annotations others added meanwhile.

    A person who applies the original leaves our marks, and a controller may have added its own:
    neither may keep the fault's rules in place.
    """
    wanted = _onto(debt.before, live)
    for key in ("labels", "annotations"):
        before = debt.before["metadata"].get(key) or {}
        fault = debt.fault["metadata"].get(key) or {}
        now_there = live["metadata"].get(key) or {}
        kept = {name: value for name, value in now_there.items() if fault.get(name) != value}
        merged = {**kept, **before}
        wanted["metadata"].pop(key, None)
        if merged:
            wanted["metadata"][key] = merged
    return wanted


def _behaviour(run: RunContext, debt: Debt, timeout: float) -> Flip:
    """See the original's behaviour again; said beside the content, never instead of it."""
    if not debt.realised:
        return Flip("", "the fault was never seen in force, so there is nothing to see ending")
    try:
        prediction = predict(take_inventory(run.api), debt.fault)
        return wait_for_flow(run, prediction, faulty=False, timeout=timeout)
    except (ApiError, PolicyError) as error:
        # The content was read back already: not being able to look is no failed restore.
        return Flip("", f"the behaviour could not be tried: {error}")


def _onto(original: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Return *original* with the resourceVersion of *live*, as PUT needs it."""
    policy = _fresh(original)
    policy["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    return policy


def _fresh(original: Mapping[str, Any]) -> dict[str, Any]:
    """Return *original* without what the server owns."""
    policy = deepcopy({key: value for key, value in original.items() if key != "status"})
    for key in ("resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"):
        policy["metadata"].pop(key, None)
    return policy


def _drift(debt: Debt, live: Mapping[str, Any]) -> str:
    # Times are whole seconds, so ours may look as new as theirs; a status says nothing of rules.
    entries = [
        entry
        for entry in live["metadata"].get("managedFields") or ()
        if entry.get("manager") != MANAGER and not entry.get("subresource")
    ]
    entries.sort(key=lambda entry: str(entry.get("time", "")))
    who = (entries[-1].get("manager") if entries else "") or "somebody else"
    return (
        f"{debt.ref} is neither the fault nor the original any more ({who} wrote it): "
        "it was not overwritten. Put it right by hand, or restore with force."
    )
