"""Probers of a run: made when somebody asks, recorded before, gone when the run ends.

A prober is a debt like a fault: what lies in the cluster of it is known to the Lease and to the
watchdog before it exists, and whoever pays the debt deletes it. It is no fault: it changes no
policy, is never counted as one, and goes last, after every policy is back.
Belongs here: when one is made and removed. Does not belong here: the pod (`cluster.prober`), and
how a debt is paid (`undo`).
"""

import logging
import threading
from datetime import datetime
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.pods import Place, pods_of, services_in, stays
from acns_chaos.cluster.policies import POD, Policies, PolicyRef
from acns_chaos.cluster.prober import (
    CONTAINER,
    image_of,
    prober_pod,
    wait_until_running,
    why_none,
)
from acns_chaos.errors import AcnsChaosError, ApiError, NotFound, RestoreFailed, TargetRefused
from acns_chaos.faults.ledger import CREATE, PROBER, Debt, now, restore_command
from acns_chaos.faults.runcontext import RunContext
from acns_chaos.faults.undo import put_back

__all__ = ["prober_of", "remove_probers"]

logger = logging.getLogger("chaostoolkit")

# An image may have to be pulled.
START_TIMEOUT = 60.0
# It outlives the moment from which on the watchdog and the janitor remove it.
AFTER_DEADLINE = 60
# A prober that was evicted, or that outlived its deadline in a long run, is made anew so often.
MOST = 6

_making = threading.Lock()


def prober_of(run: RunContext, namespace: str, workload: str) -> Place:
    """Return the prober of a workload, made now unless this run has one.

    Args:
        run: the armed run.
        namespace: of the workload.
        workload: its name; "" for a stranger, a pod without labels.

    Raises:
        AcnsChaosError: there can be none, it may not be made, or it does not start; what was made
            is recorded and will be removed.
    """
    with _making:
        key = f"{namespace}/{workload}"
        found = run.probers.get(key)
        if isinstance(found, ApiError):
            # It would fail in the same way, after the same wait.
            raise found
        if found is None or not _stands(run.api, found.ref):
            found = _made(run, namespace, workload)
            run.probers[key] = found
        return Place(found.ref.name, CONTAINER)


def _stands(api: Api, ref: PolicyRef) -> bool:
    try:
        live = api.get(ref.path)
    except NotFound:
        return False
    leaving = live["metadata"].get("deletionTimestamp")
    return live.get("status", {}).get("phase") == "Running" and not leaving


def _made(run: RunContext, namespace: str, workload: str) -> Debt:
    number = len(run.ledger.probers()) + 1
    if number > MOST:
        raise ApiError(f"this run has made {MOST} prober pods already, and none of them stayed")
    beside = pods_of(run.api, namespace, workload)[0] if workload else _stranger(run, namespace)
    if why := why_none(beside, services_in(run.api, namespace)):
        raise ApiError(f"{namespace}/{workload} can have no prober pod beside it: {why}")
    ref = PolicyRef(POD, namespace, f"acns-chaos-prober-{run.run}-{number}".lower())
    if run.before_change:
        run.before_change([(ref, CREATE)])
    document = prober_pod(
        beside,
        ref.name,
        run.run,
        run.owner,
        _seconds(run) + AFTER_DEADLINE,
        image_of(run.environ),
        restore_command(run.run),
    )
    debt = Debt(f"{PROBER}{number}", ref, "prober", None, fault=document, change=CREATE)
    run.ledger.record(debt)
    _create(run, debt)
    try:
        wait_until_running(run.api, ref, START_TIMEOUT)
    except ApiError as error:
        run.probers[f"{namespace}/{workload}"] = error
        raise
    place = f"{namespace}/{workload}" if workload else "a stranger"
    run.note("prober", f"{ref} asks in place of {place}")
    logger.info(f"Prober pod {ref} asks in place of {place}; the run removes it.")
    return debt


def _stranger(run: RunContext, namespace: str) -> dict[str, Any]:
    """A pod that nobody's selector means, on a node where the namespace has pods."""
    pods: list[dict[str, Any]] = run.api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
    nodes = [pod["spec"] for pod in pods if stays(pod)]
    if not nodes:
        raise ApiError(f"namespace {namespace} has no running pod, so there is nobody to ask")
    spec = {key: nodes[0][key] for key in ("nodeName", "tolerations") if key in nodes[0]}
    return {"metadata": {"name": "a stranger", "namespace": namespace}, "spec": spec}


def _seconds(run: RunContext) -> int:
    """How long until the watchdog and the janitor would remove it."""
    until = run.ledger.deadline()
    if not until:
        raise TargetRefused(
            "the guard made nothing ready that would remove a prober pod: write `prober` as true "
            "in the experiment itself, where the guard sees it"
        )
    return max(1, round((datetime.fromisoformat(until) - run.api.now()).total_seconds()))


def _create(run: RunContext, debt: Debt) -> None:
    debt.submitted = now()
    try:
        run.policies.create(debt.fault or {})
    except ApiError as error:
        if 400 <= error.status < 500:
            debt.submitted = ""
            run.ledger.forget(debt)
        raise ApiError(f"no prober pod can be made: {error}", error.status) from error
    debt.accepted = now()


def remove_probers(run: RunContext) -> None:
    """Delete every prober of a run, and see that it is gone.

    Raises:
        RestoreFailed: one is still there; the others are gone. `retryable` tells whether trying
            again may help.
    """
    failures: list[str] = []
    retryable = False
    for debt in run.ledger.probers():
        if not debt.open:
            continue
        submitted = now()
        try:
            done = put_back(Policies(run.api), debt, "guard", run.run)
        except AcnsChaosError as error:
            failures.append(str(error))
            retryable = retryable or _may_pass(error)
            debt.restored = _restored("guard", submitted, None, str(error))
            continue
        by = run.ledger.paid_by(debt) or "guard" if done.by == "others" else done.by
        debt.restored = _restored(by, submitted, now(), "")
        run.ledger.settle(debt)
    run.probers.clear()
    if failures:
        raise RestoreFailed(" ".join(failures), retryable=retryable)


def _may_pass(error: AcnsChaosError) -> bool:
    """Whether trying again may help: the pod is ending, the server silent or overloaded."""
    if isinstance(error, ApiError):
        return error.status in (0, 429) or error.status >= 500
    return isinstance(error, RestoreFailed) and error.retryable


def _restored(by: str, submitted: str, verified: str | None, problem: str) -> dict[str, object]:
    return {
        "by": by,
        "submitted": submitted,
        "verified": verified,
        "sha256": "",
        "problem": problem,
    }
