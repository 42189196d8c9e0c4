"""The printed columns of pods and of the workloads that own them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.reading.printing import (
    NONE,
    Column,
    age,
    at,
    label_selector,
    labels,
    name,
    since,
)

_NAME = Column("Name", name)
_AGE = Column("Age", age)


@dataclass(slots=True)
class _PodState:
    """What the printer counts while it walks over the containers of a pod."""

    reason: str
    ready: int = 0
    restarts: int = 0
    restarted: str = ""
    initializing: bool = False

    def count(self, status: Json) -> None:
        """Add the restarts of one container."""
        self.restarts += status.get("restartCount", 0)
        ended = at(status, "lastState", "terminated", "finishedAt") or ""
        self.restarted = max(self.restarted, ended)


def _ended(terminated: Json) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _walk_init(pod: Json, state: _PodState) -> None:
    statuses = at(pod, "status", "initContainerStatuses") or ()
    sidecars = {
        one["name"]
        for one in pod["spec"].get("initContainers") or ()
        if one.get("restartPolicy") == "Always"
    }
    for index, status in enumerate(statuses):
        state.count(status)
        terminated = at(status, "state", "terminated")
        waiting = at(status, "state", "waiting", "reason")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if status.get("name") in sidecars and status.get("started"):
            state.ready += bool(status.get("ready"))
            continue
        if terminated is not None:
            state.reason = f"Init:{_ended(terminated)}"
        elif waiting and waiting != "PodInitializing":
            state.reason = f"Init:{waiting}"
        else:
            state.reason = f"Init:{index}/{len(pod['spec']['initContainers'])}"
        state.initializing = True
        return


def _walk(pod: Json, state: _PodState) -> None:
    running = False
    for status in reversed(at(pod, "status", "containerStatuses") or ()):
        state.count(status)
        terminated = at(status, "state", "terminated")
        if waiting := at(status, "state", "waiting", "reason"):
            state.reason = waiting
        elif terminated is not None:
            state.reason = _ended(terminated)
        elif status.get("ready") and at(status, "state", "running") is not None:
            running = True
            state.ready += 1
    if state.reason == "Completed" and running:
        state.reason = "Running" if _condition(pod, "Ready") else "NotReady"


def _condition(pod: Json, kind: str) -> bool:
    found = at(pod, "status", "conditions") or ()
    return any(one["type"] == kind and one["status"] == "True" for one in found)


def _pod_state(pod: Json) -> _PodState:
    status = pod.get("status") or {}
    state = _PodState(status.get("reason") or status.get("phase") or "")
    for one in status.get("conditions") or ():
        if one["type"] == "PodScheduled" and one.get("reason") == "SchedulingGated":
            state.reason = "SchedulingGated"
    _walk_init(pod, state)
    if not state.initializing or _condition(pod, "Initialized"):
        state.restarts, state.restarted = 0, ""
        _walk(pod, state)
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            state.reason = "Unknown"
        elif status.get("phase") not in {"Failed", "Succeeded"}:
            state.reason = "Terminating"
    return state


def _ready(pod: Json) -> str:
    return f"{_pod_state(pod).ready}/{len(pod['spec'].get('containers') or ())}"


def _restarts(pod: Json) -> str:
    state = _pod_state(pod)
    ago = f" ({since(state.restarted)} ago)" if state.restarts and state.restarted else ""
    return f"{state.restarts}{ago}"


def _readiness_gates(pod: Json) -> str:
    gates = pod["spec"].get("readinessGates") or ()
    if not gates:
        return NONE
    met = sum(_condition(pod, gate["conditionType"]) for gate in gates)
    return f"{met}/{len(gates)}"


def _or_none(heading: str, *keys: str) -> Column:
    return Column(heading, lambda obj: at(obj, *keys) or NONE, wide=True)


def _number(heading: str, *keys: str) -> Column:
    return Column(heading, lambda obj: at(obj, *keys) or 0, "integer")


def _wanted(obj: Json) -> int:
    """How many replicas a workload is to have; a spec that does not say means one."""
    found = at(obj, "spec", "replicas")
    return 1 if found is None else int(found)


def _ready_of(obj: Json) -> str:
    return f"{at(obj, 'status', 'readyReplicas') or 0}/{_wanted(obj)}"


def _containers(key: str) -> Column:
    def cell(obj: Json) -> str:
        found: Any = at(obj, "spec", "template", "spec", "containers") or ()
        return ",".join(str(one.get(key, "")) for one in found)

    return Column({"name": "Containers", "image": "Images"}[key], cell, wide=True)


_TEMPLATE = (_containers("name"), _containers("image"))
_SELECTOR = Column("Selector", lambda obj: label_selector(at(obj, "spec", "selector")), wide=True)

APPS: Mapping[str, tuple[Column, ...]] = {
    "Pod": (
        _NAME,
        Column("Ready", _ready),
        Column("Status", lambda pod: _pod_state(pod).reason),
        Column("Restarts", _restarts),
        _AGE,
        _or_none("IP", "status", "podIP"),
        _or_none("Node", "spec", "nodeName"),
        _or_none("Nominated Node", "status", "nominatedNodeName"),
        Column("Readiness Gates", _readiness_gates, wide=True),
    ),
    "Deployment": (
        _NAME,
        Column("Ready", _ready_of),
        _number("Up-to-date", "status", "updatedReplicas"),
        _number("Available", "status", "availableReplicas"),
        _AGE,
        *_TEMPLATE,
        _SELECTOR,
    ),
    "ReplicaSet": (
        _NAME,
        Column("Desired", _wanted, "integer"),
        _number("Current", "status", "replicas"),
        _number("Ready", "status", "readyReplicas"),
        _AGE,
        *_TEMPLATE,
        _SELECTOR,
    ),
    "StatefulSet": (_NAME, Column("Ready", _ready_of), _AGE, *_TEMPLATE),
    "DaemonSet": (
        _NAME,
        _number("Desired", "status", "desiredNumberScheduled"),
        _number("Current", "status", "currentNumberScheduled"),
        _number("Ready", "status", "numberReady"),
        _number("Up-to-date", "status", "updatedNumberScheduled"),
        _number("Available", "status", "numberAvailable"),
        Column(
            "Node Selector",
            lambda obj: labels(at(obj, "spec", "template", "spec", "nodeSelector")),
        ),
        _AGE,
        *_TEMPLATE,
        _SELECTOR,
    ),
}
"""The columns by kind."""
