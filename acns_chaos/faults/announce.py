"""Tell whoever is on call, where they look first: Events on the object, marks in its annotations.

An Event is a courtesy: not being allowed to write one never stops a fault from being restored.
"""

import contextlib
import secrets
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.policies import KINDS, PolicyRef
from acns_chaos.errors import ApiError
from acns_chaos.faults.ledger import restore_command

__all__ = ["announce_fault", "announce_restored", "marked"]

MARK = "acns-chaos/"


def marked(policy: Mapping[str, Any], run: str, owner: str, deadline: str) -> dict[str, Any]:
    """Let a faulty object say on itself who broke it, until when, and what puts it back.

    Args:
        policy: the faulty object.
        run: id of the run.
        owner: who runs it.
        deadline: server time from which on anybody may restore; "" when nothing keeps it.
    """
    changed = deepcopy(dict(policy))
    annotations = dict(changed["metadata"].get("annotations") or {})
    annotations[f"{MARK}run"] = run
    annotations[f"{MARK}fault"] = "injected on purpose; the run that did it restores the original"
    annotations[f"{MARK}owner"] = owner
    annotations[f"{MARK}restore"] = restore_command(run)
    if deadline:
        annotations[f"{MARK}deadline"] = deadline
    changed["metadata"]["annotations"] = annotations
    return changed


def announce_fault(api: Api, ref: PolicyRef, uid: str, run: str, operator: str) -> None:
    """Write a Warning event that a policy was broken on purpose."""
    _event(
        api,
        ref,
        uid,
        "Warning",
        "FaultInjected",
        f"acns-chaos run {run} injected {operator} on purpose; to restore at once: "
        f"{restore_command(run)}",
    )


def announce_restored(api: Api, ref: PolicyRef, uid: str, run: str, by: str) -> None:
    """Write an event that the policy is as it was."""
    message = f"acns-chaos run {run}: the policy is as it was before (put back by: {by})"
    _event(api, ref, uid, "Normal", "FaultRestored", message)


def _event(api: Api, ref: PolicyRef, uid: str, kind: str, reason: str, message: str) -> None:
    namespace = ref.namespace or "default"
    moment = api.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"acns-chaos-{secrets.token_hex(6)}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": KINDS[ref.kind][0],
            "kind": ref.kind,
            "name": ref.name,
            # `kubectl describe` finds the events of an object by this.
            "uid": uid,
            **({"namespace": ref.namespace} if ref.namespace else {}),
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
        "source": {"component": "acns-chaos"},
    }
    with contextlib.suppress(ApiError):
        api.post(f"/api/v1/namespaces/{namespace}/events", body)
