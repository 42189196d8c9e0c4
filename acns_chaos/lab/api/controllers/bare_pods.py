"""Scheduler and kubelet of bare pods: a node, an address, a running container, and its end.

Only pods that a client created come here. They run at once: no image is pulled, and the container
runs until the pod is deleted or its deadline passes, whatever its command is. A deletion takes its
whole grace period, as with a first process that does not listen to SIGTERM.
"""

import asyncio

from acns_chaos.lab.api.controllers.addresses import Addresses, node_address
from acns_chaos.lab.api.controllers.conditions import condition, container_status
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import now
from acns_chaos.lab.api.pods.owned import owner_of
from acns_chaos.lab.api.reading.printing import at
from acns_chaos.lab.api.store import Change, Store


class BarePods:
    """Runs the bare pods of a store."""

    def __init__(self, store: Store, addresses: Addresses | None = None) -> None:
        """Follow a store; pods must be created on a running event loop from here on.

        Args:
            store: where the pods are.
            addresses: what nodes have to give; None when nobody else takes any.
        """
        self._store = store
        self._addresses = addresses or Addresses(store)
        store.on_change(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.kind != "Pod" or change.type == "DELETED":
            return
        pod = change.object
        metadata = pod["metadata"]
        who = metadata["namespace"], metadata["name"], metadata["uid"]
        loop = asyncio.get_running_loop() if _is_bare(pod) else None
        if loop is None:
            return
        if change.type == "ADDED" and at(pod, "status", "phase") == "Pending":
            loop.call_soon(self._schedule, who)
        elif metadata.get("deletionTimestamp"):
            loop.call_later(metadata.get("deletionGracePeriodSeconds", 0), self._end, who)

    def _find(self, who: tuple[str, str, str]) -> Json | None:
        namespace, name, uid = who
        pod = self._store.find("Pod", namespace, name)
        return pod if pod is not None and pod["metadata"]["uid"] == uid else None

    def _end(self, who: tuple[str, str, str]) -> None:
        if self._find(who) is not None:
            self._store.delete("Pod", *who[:2])

    def _schedule(self, who: tuple[str, str, str]) -> None:
        pod = self._find(who)
        if pod is None:
            return
        wanted: Json = pod["spec"].get("nodeSelector") or {}
        nodes = self._store.list("Node")
        fitting = [
            node
            for node in nodes
            if wanted.items() <= (node["metadata"].get("labels") or {}).items()
        ]
        if not fitting:
            why = (
                f"0/{len(nodes)} nodes are available: {len(nodes)} node(s) didn't match Pod's node "
                "affinity/selector."
            )
            found = condition("PodScheduled", "False", "Unschedulable", why)
            self._write(pod, {**pod["status"], "conditions": [found]})
            return
        pod["spec"]["nodeName"] = fitting[0]["metadata"]["name"]
        self._store.commit(pod)
        self._run(who, fitting[0])

    def _run(self, who: tuple[str, str, str], node: Json) -> None:
        pod = self._find(who)
        if pod is None:
            return
        address, host, moment = self._addresses.take(node), node_address(node), now()
        gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
        unmet = [
            f'corresponding condition of pod readiness gate "{gate}" does not exist.'
            for gate in gates
        ]
        ready = (
            condition("Ready", "False", "ReadinessGatesNotReady", ", ".join(unmet))
            if unmet
            else condition("Ready", "True")
        )
        plain = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled")
        container = pod["spec"]["containers"][0]
        status = {
            **pod["status"],
            "phase": "Running",
            "conditions": [*(condition(kind, "True") for kind in plain), ready],
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": moment,
            "containerStatuses": [
                container_status(
                    container, {"running": {"startedAt": moment}}, ready=True, started=True
                )
            ],
        }
        self._write(pod, status)
        if deadline := pod["spec"].get("activeDeadlineSeconds"):
            asyncio.get_running_loop().call_later(deadline, self._overdue, who)

    def _overdue(self, who: tuple[str, str, str]) -> None:
        pod = self._find(who)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return
        status = pod["status"]
        conditions = [
            condition(one["type"], "False", "PodFailed")
            if one["type"] in ("Ready", "ContainersReady")
            else one
            for one in status["conditions"]
        ]
        begun = status["startTime"]
        killed = {"exitCode": 137, "reason": "Error", "startedAt": begun, "finishedAt": now()}
        containers = [
            {**one, "ready": False, "started": False, "state": {"terminated": killed}}
            for one in status["containerStatuses"]
        ]
        over = {
            "phase": "Failed",
            "reason": "DeadlineExceeded",
            "message": "Pod was active on the node longer than the specified deadline",
            "conditions": conditions,
            "containerStatuses": containers,
        }
        self._write(pod, {**status, **over})

    def _write(self, pod: Json, status: Json) -> None:
        metadata = pod["metadata"]
        self._store.write_status("Pod", metadata["namespace"], metadata["name"], status, "kubelet")


def _is_bare(pod: Json) -> bool:
    return owner_of(pod) is None
