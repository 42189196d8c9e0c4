"""Putting a known-good set in place: by content with PUT, only what differs, each read back.

Never by a merge, which leaves behind what the set does not name, and never by deleting and creating
(reference captures, "Replacing a policy"). All of it is tried in a dry run before any of it is
written; while it is written the namespace's Lease is held, so that no experiment begins.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.allowed import read_allowed
from acns_chaos.cluster.gitops import owner_of
from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.leases import Leases
from acns_chaos.cluster.policies import Policies, PolicyRef
from acns_chaos.cluster.stop import CENTRAL, stopped
from acns_chaos.cluster.target import Target
from acns_chaos.errors import (
    AcnsChaosError,
    ApiError,
    Conflict,
    FaultRefused,
    FaultUncertain,
    Forbidden,
    NotFound,
    TargetRefused,
)
from acns_chaos.faults.baseline import LAST_APPLIED, comparable, difference, require_quiet
from acns_chaos.faults.undo import fresh
from acns_chaos.policy.validity import problems

__all__ = ["CREATE", "DELETE", "MANAGER", "REPLACE", "Step", "put_in_place", "rehearsed", "steps"]

CREATE, REPLACE, DELETE = "create", "replace", "delete"
MANAGER = "acns-chaos-baseline"
# Seconds after which the Lease lapses when this process dies; it is renewed before each write.
LEASE_SECONDS = 60
_DONE = {
    CREATE: "Created {}, read back as the set has it.",
    REPLACE: "Replaced {}, read back as the set has it.",
    DELETE: "Deleted {}, and it is gone.",
}

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One write.

    Attributes:
        verb: CREATE, REPLACE or DELETE.
        ref: the policy.
        policy: what to write; for DELETE what is live, the precondition.
        live: as read, None for CREATE.
    """

    verb: str
    ref: PolicyRef
    policy: dict[str, Any]
    live: dict[str, Any] | None

    @property
    def sentence(self) -> str:
        """What it will do, for people."""
        return f"{self.verb} {self.ref.kind} {self.ref}"

    @property
    def difference(self) -> str:
        """What a replacement changes, from live to known-good."""
        if self.verb != REPLACE or self.live is None:
            return ""
        return difference(self.live, self.policy, ("live", "known-good"))


def steps(
    known: Mapping[PolicyRef, dict[str, Any]],
    live: Mapping[PolicyRef, dict[str, Any]],
    prune: bool = False,
) -> list[Step]:
    """Plan what makes the live policies known-good; what is equal is left alone.

    Args:
        known: the known-good set.
        live: every policy of the namespace, as read.
        prune: delete policies that the set does not have.
    """
    found: list[Step] = []
    for ref, wanted in known.items():
        there = live.get(ref)
        if there is None:
            found.append(Step(CREATE, ref, _created(wanted), None))
        elif comparable(wanted) != comparable(there):
            found.append(Step(REPLACE, ref, _replaced(wanted, there), there))
    if prune:
        found += [Step(DELETE, ref, one, one) for ref, one in live.items() if ref not in known]
    order = (CREATE, REPLACE, DELETE)
    return sorted(found, key=lambda step: order.index(step.verb))


def rehearsed(
    api: Api, target: Target, planned: Sequence[Step], live: Mapping[PolicyRef, Raw]
) -> None:
    """Refuse what may not be done here and now, and try the rest in a dry run on the server.

    Args:
        api: the connection.
        target: the cluster and the namespace.
        planned: the writes.
        live: every policy of the namespace, as read.

    Raises:
        TargetRefused: the namespace or an object may not be changed now.
        LeaseHeld: an experiment is at work.
        FaultRefused: the server or the agents would not take a policy as it is.
        ApiError: something cannot be told.
    """
    _require_permission(api, target, planned)
    require_quiet(api, target.namespace, live)
    policies = Policies(api, MANAGER)
    for step in planned:
        if step.verb != DELETE and (wrong := problems(step.policy)):
            raise FaultRefused(
                f"The agents would refuse {step.ref.kind} {step.ref}: {wrong[0]} Nothing was "
                "changed."
            )
        try:
            stored = _send(policies, step, dry_run=True)
        except ApiError as error:
            if not error.status:
                raise
            raise FaultRefused(
                f"The API server would refuse to {step.sentence}: {error}. Nothing was changed."
            ) from error
        if stored is not None and comparable(stored) != comparable(step.policy):
            raise FaultRefused(
                f"The API server would store {step.ref.kind} {step.ref} otherwise than it is "
                "written: an admission webhook may change it; write it as the server would keep "
                "it. Nothing was changed."
            )


def put_in_place(
    api: Api,
    target: Target,
    planned: Sequence[Step],
    holder: str,
    told: Callable[[str], None],
) -> None:
    """Write what was planned and rehearsed, and read each policy back.

    Args:
        api: the connection.
        target: the cluster and the namespace.
        planned: the writes.
        holder: who holds the Lease meanwhile.
        told: called with one sentence after each write.

    Raises:
        LeaseHeld: an experiment began meanwhile.
        TargetRefused: a fault stands since, or the Lease cannot be taken.
        FaultUncertain: a policy is not what was written, or KeyboardInterrupt came; the sentence
            says how many were.
        AcnsChaosError: anything else; nothing was changed.
    """
    lease = Leases(api, target.namespace)
    try:
        lease.acquire(holder, LEASE_SECONDS)
    except (NotFound, Forbidden) as error:
        raise TargetRefused(
            f"Lease {lease.name} in namespace {CENTRAL} cannot be taken ({error}): apply "
            "deploy/rbac. Nothing was changed."
        ) from error
    try:
        standing = {step.ref: step.live for step in planned if step.live is not None}
        require_quiet(api, target.namespace, standing, own=holder)
        policies = Policies(api, MANAGER)
        for number, step in enumerate(planned):
            try:
                lease.renew(holder)
                _write(policies, step)
            except AcnsChaosError as error:
                raise FaultUncertain(
                    f"{number} of {len(planned)} writes were done, then: "
                    f"{str(error).rstrip('.')}. Give the same command again."
                ) from error
            except KeyboardInterrupt:
                raise FaultUncertain(
                    f"Interrupted: {number} of {len(planned)} writes were done, and whether to "
                    f"{step.sentence} was is not known. Give the same command again."
                ) from None
            told(_DONE[step.verb].format(f"{step.ref.kind} {step.ref}"))
    finally:
        _let_go(lease, holder, told)


def _let_go(lease: Leases, holder: str, told: Callable[[str], None]) -> None:
    try:
        lease.release(holder)
    except AcnsChaosError as error:
        told(f"Lease {lease.name} was not released ({error}): it lapses by itself.")


def _require_permission(api: Api, target: Target, planned: Sequence[Step]) -> None:
    if why := stopped(api, (target.namespace, CENTRAL)):
        raise TargetRefused(why)
    allowed = read_allowed(api, target)
    if why := allowed.refused_now(api.now()):
        raise TargetRefused(why)
    for step in planned:
        # A known-good policy stands for ever, and max-deadline-seconds is about faults.
        if why := allowed.refused(step.ref, 0.0):
            raise TargetRefused(f"{why} Nothing was changed.")
        if owner := owner_of(step.live) or owner_of(step.policy):
            raise TargetRefused(
                f"{step.ref.kind} {step.ref} belongs to {owner}, which would undo it: change it "
                "where that reads it from. Nothing was changed."
            )
        if (step.live or {}).get("metadata", {}).get("deletionTimestamp"):
            raise TargetRefused(
                f"{step.ref.kind} {step.ref} is being deleted: give the command again when it is "
                "gone. Nothing was changed."
            )


def _write(policies: Policies, step: Step) -> None:
    """Write one step; an answer that is lost is no failure when what is live is what was meant.

    Raises:
        FaultUncertain: what is live now is something else.
        ApiError: the server refuses it, or it cannot be told.
    """
    try:
        _send(policies, step)
    except Conflict as error:
        raise Conflict(f"somebody else changed {step.ref} meanwhile ({error})", 409) from error
    except ApiError:
        if not _is_done(policies, step):
            raise
    if not _is_done(policies, step):
        raise FaultUncertain(f"{step.ref.kind} {step.ref} does not read back as it was written")


def _send(policies: Policies, step: Step, dry_run: bool = False) -> dict[str, Any] | None:
    if step.verb == CREATE:
        return policies.create(step.policy, dry_run)
    if step.verb == REPLACE:
        return policies.replace(step.policy, dry_run)
    policies.delete(step.ref, step.policy, dry_run)
    return None


def _is_done(policies: Policies, step: Step) -> bool:
    try:
        there = policies.api.get(step.ref.path)
    except NotFound:
        return step.verb == DELETE
    return step.verb != DELETE and comparable(there) == comparable(step.policy)


def _created(wanted: Raw) -> dict[str, Any]:
    metadata = wanted["metadata"]
    kept = {key: metadata[key] for key in ("name", "namespace")}
    return _onto(wanted, {"apiVersion": wanted["apiVersion"], "kind": wanted["kind"]}, kept)


def _replaced(wanted: Raw, live: Raw) -> dict[str, Any]:
    """Return a live policy with known-good content; its owners and finalizers stay."""
    base = fresh(live)
    metadata = {**base["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
    noted = LAST_APPLIED in (metadata.get("annotations") or {})
    policy = _onto(wanted, base, metadata)
    if noted:
        # What it says is what kubectl's next merge starts from; a stale one would leave fields.
        note = json.dumps(_note(wanted), sort_keys=True, separators=(",", ":")) + "\n"
        annotations = policy["metadata"].get("annotations") or {}
        policy["metadata"]["annotations"] = {**annotations, LAST_APPLIED: note}
    return policy


def _onto(wanted: Raw, base: Raw, metadata: Raw) -> dict[str, Any]:
    written = comparable({**wanted, "kind": ""})
    policy = {key: value for key, value in base.items() if key not in ("spec", "specs")}
    kept = {key: one for key, one in metadata.items() if key not in ("labels", "annotations")}
    kept |= {key: written[key] for key in ("labels", "annotations") if key in written}
    rules = {key: written[key] for key in ("spec", "specs") if key in written}
    return deepcopy({**policy, "metadata": kept, **rules})


def _note(wanted: Raw) -> dict[str, Any]:
    """What kubectl would say that it applied."""
    policy = _created(wanted)
    policy["metadata"] = {"annotations": {}, **policy["metadata"]}
    return policy
