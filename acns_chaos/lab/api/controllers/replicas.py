"""The controllers of ReplicaSets and StatefulSets: a pod that is deleted is made anew.

A ReplicaSet makes another at once, under another name, while the old one still ends; a StatefulSet
waits until the old one is gone and makes one of the same name. Both, and the Deployment above, say
in their status how many of their pods are ready. Nothing else of these controllers is here: a pod
that vanishes without having been deleted through the API is whoever's who took it.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from acns_chaos.lab.api.controllers.conditions import tell
from acns_chaos.lab.api.controllers.endpoints import is_ready
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import clone, generated_name, now
from acns_chaos.lab.api.pods.owned import controller_of, owner_of
from acns_chaos.lab.api.reading.printing import at
from acns_chaos.lab.api.store import Entry, Store

_KEPT_STATUS = ("replicas", "readyReplicas", "availableReplicas")
_AVAILABLE = "Deployment has minimum availability."
_UNAVAILABLE = "Deployment does not have minimum availability."


class Replicas:
    """Keeps the replicas of a store's workloads complete, and their statuses true."""

    def __init__(self, store: Store) -> None:
        """Follow a store; pods must be deleted on a running event loop from here on."""
        self._store = store
        self._due: set[tuple[str, str, str]] = set()
        store.follow(self._on_write)

    def _on_write(self, entry: Entry) -> None:
        pod = entry.new or entry.old
        if entry.kind != "Pod" or pod is None or owner_of(pod) is None:
            return
        owner = controller_of(self._store, pod)
        if owner is None:
            return
        soon = asyncio.get_running_loop().call_soon
        metadata = owner["metadata"]
        key = owner["kind"], metadata["namespace"], metadata["name"]
        marked = bool(pod["metadata"].get("deletionTimestamp"))
        if owner["kind"] == "ReplicaSet" and marked and entry.new and not _was_marked(entry):
            soon(self._complete, key)
        elif owner["kind"] == "StatefulSet" and marked and entry.new is None:
            soon(self._again, key, pod["metadata"]["name"])
        if key not in self._due:
            self._due.add(key)
            soon(self._count, key)

    # ------------------------------------------------------------------ pods

    def _complete(self, key: tuple[str, str, str]) -> None:
        owner = self._store.find(*key)
        if owner is None:
            return
        missing = _wanted(owner) - len(_active(self._pods(owner)))
        for _ in range(missing):
            name = generated_name(f"{owner['metadata']['name']}-")
            self._create(owner, name, {})
            tell(self._store, owner, "SuccessfulCreate", f"Created pod: {name}", _component(owner))

    def _again(self, key: tuple[str, str, str], name: str) -> None:
        owner = self._store.find(*key)
        there = self._store.find("Pod", key[1], name)
        if owner is None or there is not None:
            return
        ordinal = name.rpartition("-")[2]
        labels = {
            "apps.kubernetes.io/pod-index": ordinal,
            "controller-revision-hash": str(at(owner, "status", "updateRevision") or ""),
            "statefulset.kubernetes.io/pod-name": name,
        }
        self._create(owner, name, labels, hostname=name)
        done = f"create Pod {name} in StatefulSet {key[2]} successful"
        tell(self._store, owner, "SuccessfulCreate", done, _component(owner))

    def _create(self, owner: Json, name: str, labels: Json, **spec: Any) -> None:
        """Store a new pod from its controller's template; it is Pending from then on."""
        metadata, template = owner["metadata"], owner["spec"]["template"]
        selected = at(owner, "spec", "selector", "matchLabels") or {}
        reference = {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        kept = dict(at(template, "metadata", "annotations") or {})
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "generateName": f"{metadata['name']}-",
                "namespace": metadata["namespace"],
                "labels": {**(at(template, "metadata", "labels") or {}), **selected, **labels},
                **({"annotations": kept} if kept else {}),
                "ownerReferences": [reference],
            },
            "spec": {**clone(template["spec"]), "enableServiceLinks": True, **spec},
            "status": {"phase": "Pending", "qosClass": self._quality(owner)},
        }
        self._store.put(pod)

    def _quality(self, owner: Json) -> str:
        pods = self._pods(owner)
        found = [at(one, "status", "qosClass") for one in pods]
        return next((str(one) for one in found if one), "BestEffort")

    def _pods(self, owner: Json) -> list[Json]:
        return [
            pod
            for pod in self._store.list("Pod", owner["metadata"]["namespace"])
            if (owner_of(pod) or {}).get("uid") == owner["metadata"]["uid"]
        ]

    # ------------------------------------------------------------------ statuses

    def _count(self, key: tuple[str, str, str]) -> None:
        self._due.discard(key)
        owner = self._store.find(*key)
        if owner is None:
            return
        pods = _active(self._pods(owner))
        ready = sum(map(is_ready, pods))
        counts = {"replicas": len(pods), "readyReplicas": ready, "availableReplicas": ready}
        if key[0] == "ReplicaSet":
            counts["fullyLabeledReplicas"] = len(pods)
            self._write(owner, counts)
            self._count_deployment(owner, counts)
        else:
            self._write(owner, {**counts, "currentReplicas": len(pods)})

    def _count_deployment(self, replica_set: Json, counts: dict[str, int]) -> None:
        reference = owner_of(replica_set)
        if reference is None or reference["kind"] != "Deployment":
            return
        namespace = replica_set["metadata"]["namespace"]
        deployment = self._store.find("Deployment", namespace, reference["name"])
        if deployment is None or deployment["metadata"]["uid"] != reference["uid"]:
            return
        wanted, ready = _wanted(deployment), counts["readyReplicas"]
        conditions = [
            _judged(one, enough=ready >= wanted - _spare(deployment, wanted))
            if one.get("type") == "Available"
            else one
            for one in at(deployment, "status", "conditions") or ()
        ]
        own = {key: counts[key] for key in _KEPT_STATUS}
        self._write(
            deployment,
            {
                **own,
                "updatedReplicas": counts["replicas"],
                "unavailableReplicas": max(0, wanted - ready),
            },
            conditions,
        )

    def _write(
        self, workload: Json, counts: dict[str, int], conditions: Iterable[Json] = ()
    ) -> None:
        """Write counts into a status; one that is zero is left out, but for `replicas`."""
        status = dict(workload.get("status") or {})
        for key, number in counts.items():
            status.pop(key, None)
            # `replicas` of a set is always there; everything else is omitted when empty.
            if number or (key == "replicas" and workload["kind"] != "Deployment"):
                status[key] = number
        if conditions := list(conditions):
            status["conditions"] = conditions
        metadata = workload["metadata"]
        where = workload["kind"], metadata["namespace"], metadata["name"]
        self._store.write_status(*where, status, "kube-controller-manager")


def _was_marked(entry: Entry) -> bool:
    return bool(entry.old and entry.old["metadata"].get("deletionTimestamp"))


def _active(pods: Iterable[Json]) -> list[Json]:
    """Those that count: neither on their way out nor over."""
    return [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp")
        and at(pod, "status", "phase") not in ("Failed", "Succeeded")
    ]


def _wanted(workload: Json) -> int:
    found = at(workload, "spec", "replicas")
    return 1 if found is None else int(found)


def _spare(deployment: Json, wanted: int) -> int:
    """How many pods a Deployment may lack and still count as available."""
    given = at(deployment, "spec", "strategy", "rollingUpdate", "maxUnavailable")
    if isinstance(given, str) and given.endswith("%") and given[:-1].isdigit():
        return wanted * int(given[:-1]) // 100
    return given if isinstance(given, int) else wanted // 4


def _judged(condition: Json, *, enough: bool) -> Json:
    status = "True" if enough else "False"
    if condition["status"] == status:
        return condition
    return {
        **condition,
        "status": status,
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": _AVAILABLE if enough else _UNAVAILABLE,
        "lastTransitionTime": now(),
        "lastUpdateTime": now(),
    }


def _component(owner: Json) -> str:
    return f"{owner['kind'].lower()}-controller"
