"""Pay the debts of a run, newest first, and see the original's behaviour again.

It may be called any number of times. How one object is put back is in `undo`.
"""

import logging
import time

from acns_chaos.cluster.inventory import take_inventory
from acns_chaos.cluster.policies import MANAGER, content_hash
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, Drifted, PolicyError, RestoreFailed
from acns_chaos.faults.announce import announce_restored
from acns_chaos.faults.drift import last_writer
from acns_chaos.faults.ledger import Debt, now, outstanding
from acns_chaos.faults.prediction import predict
from acns_chaos.faults.recovery import uid_of
from acns_chaos.faults.restarts import not_ready
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.faults.undo import PutBack, put_back
from acns_chaos.faults.witness import Flip, predicted_trials, trial_of, wait_for_flip

__all__ = ["restore_all", "restore_debt"]

logger = logging.getLogger("chaostoolkit")


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
            if isinstance(error, Drifted) and error.difference:
                logger.warning(error.difference)
            retryable = retryable or (isinstance(error, ApiError) and _may_pass(error))
            debt.restored = {
                **(debt.restored or {"by": run.phase, "submitted": now(), "sha256": ""}),
                "verified": None,
                "problem": str(error),
                "difference": error.difference if isinstance(error, Drifted) else "",
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
    done = put_back(run.policies, debt, run.phase, run.run, force)
    again = "; somebody had deleted it" if done.deleted else ""
    verified = run.note("restored", f"{debt.ref} reads back as it was (by {done.by}{again})")
    debt.restored = {
        "by": done.by,
        "submitted": submitted,
        "verified": verified,
        "sha256": content_hash(done.stored) if done.stored else "",
        "created_again": done.deleted,
        "problem": "",
    }
    if done.by == "others":
        debt.restored.update(_somebody(run, debt, done))
    run.ledger.settle(debt)
    announce_restored(run.api, debt.ref, uid_of(done.stored), run.run, debt.restored["by"])
    flip = _behaviour(run, debt, timeout)
    debt.restored["behaviour"] = {"at": flip.at or None, "sentence": flip.sentence}
    if flip.at:
        run.note("first-success", flip.sentence, flip.at)


def _somebody(run: RunContext, debt: Debt, done: PutBack) -> dict[str, str]:
    """Say who had put an object back before this run did, and when.

    Our own nets are not somebody else: what they restored, no GitOps controller did.
    """
    # Moments are whole seconds: a repair within the fault's own second is a repair.
    who, when = last_writer(done.found, MANAGER, debt.fault) if done.found else ("", "")
    net = run.ledger.paid_by(debt)
    if not net and who == MANAGER:
        # An earlier attempt of this run, whose answer was lost.
        return {"by": run.phase}
    if not net and who.startswith(f"{MANAGER}-"):
        net = who.removeprefix(f"{MANAGER}-")
    return {"by": net or "others", "who": f"{MANAGER}-{net}" if net else who, "when": when}


def _behaviour(run: RunContext, debt: Debt, timeout: float) -> Flip:
    """See the original's behaviour again; said beside the content, never instead of it."""
    if not debt.realised:
        return Flip("", "the fault was never seen in force, so there is nothing to see ending")
    if run.restarts:
        # A pod that waits for this very policy cannot be asked yet.
        began = time.monotonic()
        wait_until(lambda: not not_ready(run), timeout, interval=0.1)
        timeout = max(0.0, timeout - (time.monotonic() - began))
    try:
        if debt.fault_id in run.witnesses:
            trials = [trial_of(run, *run.witnesses[debt.fault_id])]
        else:
            prediction = predict(take_inventory(run.api), {debt.ref: debt.fault})
            trials = predicted_trials(run, prediction)
        return wait_for_flip(run, trials, faulty=False, timeout=timeout)
    except (ApiError, PolicyError) as error:
        # The content was read back already: not being able to look is no failed restore.
        return Flip("", f"the behaviour could not be tried: {error}")
