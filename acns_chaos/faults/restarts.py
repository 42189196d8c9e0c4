"""Restarting a workload's pods: a question to what is broken, and no fault by itself.

There is nothing to put back: the workload's controller makes the pods anew. But a run that
restarted something answers for it: when everything else is back, the run sees each workload Ready
again, and says so where it is not. A run that is killed leaves pods that start once the policies
are back, which its nets see to.
"""

import logging
from typing import Any

from acns_chaos.cluster.permissions import RESTARTED
from acns_chaos.cluster.pods import is_ready
from acns_chaos.cluster.replicas import (
    delete_pod,
    ref_of,
    replicas_of,
    why_kept,
    why_not_ready,
)
from acns_chaos.cluster.waiting import wait_until
from acns_chaos.errors import ApiError, FaultRefused
from acns_chaos.faults.ledger import now
from acns_chaos.faults.runcontext import RunContext

__all__ = ["not_ready", "restart", "see_ready_again"]

logger = logging.getLogger("chaostoolkit")

# Never: what a cluster is mended by lies there.
_SPARED = "kube-system"


def restart(
    run: RunContext, namespace: str, workload: str, number: int, most: int, timeout: float
) -> dict[str, Any]:
    """Delete pods of a workload, and wait until its controller has made others.

    Args:
        run: the armed run.
        namespace: of the workload.
        workload: its name.
        number: how many of its pods, by name; 0 means all.
        most: how many pods may be affected; more are refused.
        timeout: seconds to wait for the others; whether those become Ready is not waited for.

    Returns:
        The new entry of the journal's `acns_chaos.restarts`.

    Raises:
        FaultRefused: it must not be; nothing was deleted.
        ApiError: not all of it could be done; what was done is recorded.
    """
    pods = _chosen(run, namespace, workload, number, most)
    if run.before_change is None:
        raise _refused(
            "The guard made nothing ready for a change: call restart_pods in the experiment itself,"
            " where the guard sees it"
        )
    run.before_change([(ref_of(pod), RESTARTED) for pod in pods])
    there = replicas_of(run.api, namespace, workload)
    entry: dict[str, Any] = {
        "workload": workload,
        "namespace": namespace,
        "pods": [],
        "wanted": len(there),
        "ready_before": sum(map(is_ready, there)),
        "submitted": now(),
        "replaced": None,
        "ready": None,
        "problem": "",
    }
    # Known to the run before the first is gone: whatever happens now, it is looked after.
    run.restarts.append(entry)
    for pod in pods:
        entry["pods"].append(str(pod["metadata"]["name"]))
        delete_pod(run.api, pod)
    run.note("restarted", f"{namespace}/{workload}: {', '.join(entry['pods'])}", entry["submitted"])
    gone = {pod["metadata"]["uid"] for pod in pods}
    new = wait_until(lambda: _others(run, namespace, workload, gone, len(there)), timeout, 0.1)
    if new is None:
        raise ApiError(
            f"{namespace}/{workload} has not its {len(there)} pods again {timeout:g} s after "
            f"{', '.join(entry['pods'])} was deleted: look at what its controller says "
            "(kubectl describe)"
        )
    entry["replaced"] = now()
    logger.info(f"Restarted {namespace}/{workload}: {', '.join(entry['pods'])} deleted")
    return entry


def _chosen(
    run: RunContext, namespace: str, workload: str, number: int, most: int
) -> list[dict[str, Any]]:
    """The pods that are to go, or a refusal."""
    if namespace != run.target.namespace or namespace == _SPARED:
        raise _refused(
            f"Pods of {namespace}/{workload} are not restarted: only those of the experiment's own "
            f"namespace are ({run.target.namespace}), and none of {_SPARED}"
        )
    pods = replicas_of(run.api, namespace, workload)
    if not pods:
        raise _refused(f"Workload {workload!r} has no pod in namespace {namespace!r}")
    for pod in pods:
        if why := why_kept(pod):
            raise _refused(f"Pod {ref_of(pod)} is not restarted: {why}")
    chosen = pods[:number] if number else pods
    if len(chosen) > most:
        raise _refused(
            f"The restart would reach {len(chosen)} pods of {namespace}/{workload}, and the limit "
            f"is {most}: restart fewer with `pods`, or raise `max_pods`"
        )
    return chosen


def _others(
    run: RunContext, namespace: str, workload: str, gone: set[str], wanted: int
) -> list[str] | None:
    """Names of the workload's pods, once there are as many as before and none is an old one."""
    pods = replicas_of(run.api, namespace, workload)
    if len(pods) < wanted or any(pod["metadata"]["uid"] in gone for pod in pods):
        return None
    return [str(pod["metadata"]["name"]) for pod in pods]


def not_ready(run: RunContext) -> str:
    """Say which workload that was restarted lacks Ready pods now, "" when none does."""
    found = ((entry, _lacking(run, entry)) for entry in run.restarts)
    return next((f"{_where(entry)}: {problem}" for entry, problem in found if problem), "")


def see_ready_again(run: RunContext, timeout: float) -> None:
    """Wait until each workload that was restarted has as many Ready pods as before.

    What came of it stands in the run's `restarts` and, where it is bad, in the log; never raises
    for what it sees.

    Args:
        run: whose policies are back.
        timeout: seconds for each workload.
    """
    for entry in run.restarts:
        if entry["ready"]:
            continue
        problems: list[str] = []

        def ready(entry: dict[str, Any] = entry, problems: list[str] = problems) -> bool:
            problems[:] = [_lacking(run, entry)]
            return not problems[0]

        if wait_until(ready, timeout, 0.2):
            entry["ready"], entry["problem"] = now(), ""
            pods = f"{_where(entry)}: {entry['ready_before']} pods"
            run.note("ready-again", pods, entry["ready"])
        else:
            entry["problem"] = problems[0]
            logger.critical(f"NOT READY AGAIN: {_where(entry)}: {problems[0]}")


def _where(entry: dict[str, Any]) -> str:
    return f"{entry['namespace']}/{entry['workload']}"


def _lacking(run: RunContext, entry: dict[str, Any]) -> str:
    """Say what a workload lacks to be as Ready as before its restart, "" when nothing."""
    try:
        pods = replicas_of(run.api, entry["namespace"], entry["workload"])
    except ApiError as error:
        return f"its pods cannot be read: {error}"
    good = sum(map(is_ready, pods))
    if good >= entry["ready_before"]:
        return ""
    why = why_not_ready(pods)
    return f"{good} of {entry['ready_before']} pods are Ready{'; ' if why else ''}{why}"


def _refused(why: str) -> FaultRefused:
    return FaultRefused(f"{why}. Nothing was changed.")
