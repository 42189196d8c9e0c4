"""Put one object back: by PUT, compared by content, never over somebody else's rules.

It needs no run, so the runner, the watchdog and the janitor all do it the same way, also at once:
whoever loses a race reads again. It never deletes and creates what can be replaced (that opens a
window). What belongs here: one object. What does not: which ones, and what behaviour shows.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.policies import POD, Policies, content, content_hash
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import Conflict, Drifted, NotFound, RestoreFailed
from acns_chaos.faults.drift import drifted, three_way
from acns_chaos.faults.ledger import CREATE, DELETE, Debt

__all__ = ["MARK", "PutBack", "fresh", "put_back"]

# What this package writes on an object begins with this.
MARK = "acns-chaos/"
FENCE = f"{MARK}fence"
# A conflict means that somebody else writes too; each round reads what they wrote first.
ROUNDS = 5
# How long an object whose creation was never answered is watched for before it counts as absent.
LATE = 3.0
# How long another of our nets may take for the second write of its fence, and how often to look.
# One that died between the two has left its mark, which the next round takes away.
FENCING, FENCING_LOOK = 2.0, 0.02
# How long the container of a pod of ours may take to end: it has a second of grace.
ENDING = 10.0


@dataclass(frozen=True, slots=True)
class PutBack:
    """What came of putting an object back.

    Attributes:
        by: who did it; "others" when it was there already.
        stored: the object as read back; None when there is none, as there was none before.
        deleted: somebody had deleted the object, so it was created again.
        found: the object as it was found, before anything was written; None when there was none.
    """

    by: str
    stored: dict[str, Any] | None
    deleted: bool = False
    found: dict[str, Any] | None = None


def put_back(policies: Policies, debt: Debt, by: str, run: str, force: bool = False) -> PutBack:
    """Write the original unless it is there already, and read it back.

    Args:
        policies: of the cluster.
        debt: what was there, and what the fault made of it.
        by: who restores.
        run: marks a fence.
        force: overwrite what somebody else wrote meanwhile.

    Returns:
        What is stored now; its content equals the original's.

    Raises:
        Drifted: the object is neither the original nor the fault; nothing was written.
        RestoreFailed: what was written does not read back as it was, or others kept writing.
        ApiError: the API server refused, or did not answer.
    """
    for _ in range(ROUNDS):
        try:
            done = _one_round(policies, debt, by, run, force)
        except Conflict:
            continue
        if _between(debt, done.stored):
            wait_until(lambda: not _between(debt, _found(policies, debt)), FENCING, FENCING_LOOK)
            continue
        _require_equal(debt, done.stored)
        return done
    raise RestoreFailed(
        f"{debt.ref} was changed by somebody else {ROUNDS} times while it was being restored: "
        "stop them, then restore again."
    )


def _one_round(policies: Policies, debt: Debt, by: str, run: str, force: bool) -> PutBack:
    try:
        live = policies.get(debt.ref)
    except NotFound:
        live = None
    if debt.change == CREATE:
        return _removed(policies, debt, by, force, live)
    if live is None:
        policies.create(fresh(_original(debt)))
        return PutBack(by, policies.get(debt.ref), deleted=debt.change != DELETE)
    return _replaced(policies, debt, by, run, force, live)


def _replaced(
    policies: Policies, debt: Debt, by: str, run: str, force: bool, live: dict[str, Any]
) -> PutBack:
    original = _original(debt)
    rules = _rules(live)
    known = [_rules(original)]
    if debt.change != DELETE:
        known.append(_rules(debt.fault or {}))
    if not force and rules not in known:
        raise Drifted(drifted(debt, live), three_way(debt, live))
    wanted = _onto(original, live) if force else _undone(debt, live)
    if content(live) != content(wanted):
        policies.replace(wanted)
    elif debt.submitted and not debt.accepted:
        _fence(policies, live, run)
    else:
        return PutBack("others" if debt.accepted else by, live, found=live)
    # Ours, unless somebody else had put the rules back and only our marks were left.
    others = bool(debt.accepted) and rules == _rules(original)
    return PutBack("others" if others else by, policies.get(debt.ref), found=live)


def _removed(
    policies: Policies, debt: Debt, by: str, force: bool, live: dict[str, Any] | None
) -> PutBack:
    """Delete what the fault created; nothing else of that name."""
    if live is None and debt.submitted and not debt.accepted:
        # The creation may still be on its way, and no version can fence it off.
        live = wait_until(lambda: _found(policies, debt), LATE, interval=0.2)
    if live is None:
        return PutBack("others" if debt.accepted else by, None)
    if not force and not _is_what_was_made(debt, live):
        raise Drifted(drifted(debt, live), three_way(debt, live))
    policies.delete(debt.ref, live)
    patience = ENDING if debt.ref.kind == POD else LATE
    gone = wait_until(lambda: _found(policies, debt) is None, patience, interval=0.05)
    if not gone and debt.ref.kind == POD:
        raise RestoreFailed(f"Pod {debt.ref} was deleted and has not ended yet.", retryable=True)
    return PutBack(by, None if gone else policies.get(debt.ref), found=live)


def _is_what_was_made(debt: Debt, live: Mapping[str, Any]) -> bool:
    """Whether an object is the one that was created: a pod by its marks, as servers fill it in."""
    if debt.ref.kind != POD:
        return _rules(live) == _rules(debt.fault or {})
    made, there = (
        one["metadata"].get("annotations") or {} for one in (debt.fault or {"metadata": {}}, live)
    )
    return all(there.get(key) == made.get(key) for key in (f"{MARK}run", f"{MARK}prober"))


def _found(policies: Policies, debt: Debt) -> dict[str, Any] | None:
    try:
        return policies.get(debt.ref)
    except NotFound:
        return None


def _require_equal(debt: Debt, stored: dict[str, Any] | None) -> None:
    before = None if debt.before is None else content_hash(debt.before)
    if (None if stored is None else content_hash(stored)) != before:
        raise RestoreFailed(
            f"{debt.ref} was written back but does not read back as it was: compare "
            f"`kubectl get {debt.ref.kind.lower()} -n {debt.ref.namespace} {debt.ref.name} "
            "-o yaml` with the journal's original."
        )


def _original(debt: Debt) -> dict[str, Any]:
    if debt.before is None:
        raise RestoreFailed(f"The record of {debt.ref} holds no original: put it right by hand.")
    return debt.before


def _fence(policies: Policies, live: Mapping[str, Any], run: str) -> None:
    """Keep a write out that was sent and never answered: it may still be on its way.

    It carries the resourceVersion that is live now. A real change and its reversal move that on
    (a write that changes nothing does not), so the server will refuse the late one.
    """
    marked = deepcopy(dict(live))
    annotations = {**(marked["metadata"].get("annotations") or {}), FENCE: run}
    marked["metadata"]["annotations"] = annotations
    moved = policies.replace(marked)
    policies.replace(_onto(live, moved))


def _between(debt: Debt, stored: Mapping[str, Any] | None) -> bool:
    """Whether another of our nets is between the two writes of its fence.

    The runner and the watchdog may restore at once: each reads back what the other wrote.
    """
    if stored is None or FENCE not in (stored["metadata"].get("annotations") or {}):
        return False
    return FENCE not in (_original(debt)["metadata"].get("annotations") or {})


def _rules(policy: Mapping[str, Any]) -> dict[str, Any]:
    return {key: policy[key] for key in ("spec", "specs") if key in policy}


def _undone(debt: Debt, live: Mapping[str, Any]) -> dict[str, Any]:
    """Return the original on top of *live*, keeping labels and annotations others added meanwhile.

    A person who applies the original leaves our marks, and a controller may have added its own:
    neither may keep the fault's rules in place.
    """
    original, fault = _original(debt), debt.fault or {"metadata": {}}
    wanted = _onto(original, live)
    for key in ("labels", "annotations"):
        before = original["metadata"].get(key) or {}
        marked = fault["metadata"].get(key) or {}
        now_there = live["metadata"].get(key) or {}
        kept = {
            name: value
            for name, value in now_there.items()
            if marked.get(name) != value and not name.startswith(MARK)
        }
        merged = {**kept, **before}
        wanted["metadata"].pop(key, None)
        if merged:
            wanted["metadata"][key] = merged
    return wanted


def _onto(original: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Return *original* with the resourceVersion of *live*, as PUT needs it."""
    policy = fresh(original)
    policy["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    return policy


def fresh(original: Mapping[str, Any]) -> dict[str, Any]:
    """Return *original* without what the server owns."""
    policy = deepcopy({key: value for key, value in original.items() if key != "status"})
    for key in ("resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"):
        policy["metadata"].pop(key, None)
    return policy
