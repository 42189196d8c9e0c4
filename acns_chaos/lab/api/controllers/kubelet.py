"""Scheduler and kubelet of pods that a ReplicaSet or a StatefulSet makes: from Pending to Ready.

A pod gets a node and an address; its init containers run one after another, which is the simulated
network's business; then its containers start and, a moment later, are ready. A program that gives
up before it listens is started again after a back-off; what it does until then counts as its
creation. No image is pulled and no probe is played: a container that would be probed is ready
READY_SECONDS after its start.
A pod that is deleted ends STOP_SECONDS later, as programs do that listen to SIGTERM, or when its
grace is over if that is sooner.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from acns_chaos.lab.api.controllers.addresses import Addresses, node_address
from acns_chaos.lab.api.controllers.conditions import (
    condition,
    container_status,
    follow_on,
    tell,
)
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import now
from acns_chaos.lab.api.pods.owned import is_replica
from acns_chaos.lab.api.reading.printing import at, members
from acns_chaos.lab.api.store import Change, Store

# Seconds. On a real node some 0.1 to 0.5 passed from one pod's end to the next one's first answer
# where nothing was probed (captures, timing/15); the shop's own probes ask every 3 to 10 s.
START_SECONDS = 0.4
READY_SECONDS = 0.8
STOP_SECONDS = 0.5
# Between two starts of a container that ended: the first, twice as long each time, the longest.
BACK_OFF_SECONDS, LONGEST_BACK_OFF = 10.0, 300.0

Initialise = Callable[[Json, Json], Awaitable[None]]
"""Runs an init container of a pod (both raw) until it has succeeded."""
Begin = Callable[[Json], Awaitable[bool]]
"""Lets the program of a pod begin; says whether it came to listen, or gave up."""
Started = Callable[[Json], None]
"""Is told of a pod whose containers have started."""
_Who = tuple[str, str, str]  # namespace, name, UID


class Kubelet:
    """Runs the replicas of a store."""

    def __init__(
        self,
        store: Store,
        addresses: Addresses,
        initialise: Initialise,
        begin: Begin,
        started: Started,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Follow a store; pods must be created on a running event loop from here on.

        Args:
            store: where the pods are.
            addresses: what nodes have to give.
            initialise: runs init containers.
            begin: lets programs begin.
            started: hears of pods that run.
            sleep: waits so many seconds.
        """
        self._store = store
        self._addresses = addresses
        self._initialise = initialise
        self._let_begin = begin
        self._started = started
        self._sleep = sleep
        # By UID: what is being done with a pod; those that end do not end again.
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()
        store.on_change(self._on_change)

    def close(self) -> None:
        """End everything that is on its way."""
        for task in self._tasks.values():
            task.cancel()

    def _on_change(self, change: Change) -> None:
        if change.kind != "Pod" or not is_replica(change.object):
            return
        pod = change.object
        metadata = pod["metadata"]
        who = metadata["namespace"], metadata["name"], metadata["uid"]
        if change.type == "DELETED":
            self._ending.discard(who[2])
            self._take(who)
        elif change.type == "ADDED" and at(pod, "status", "phase") == "Pending":
            self._begin(who, self._start(who))
        elif metadata.get("deletionTimestamp") and who[2] not in self._ending:
            self._ending.add(who[2])
            self._take(who)
            self._begin(who, self._stop(who, pod))

    def _begin(self, who: _Who, work: Coroutine[object, object, None]) -> None:
        self._tasks[who[2]] = asyncio.get_running_loop().create_task(work)

    def _take(self, who: _Who) -> None:
        task = self._tasks.pop(who[2], None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _find(self, who: _Who) -> Json | None:
        pod = self._store.find("Pod", *who[:2])
        return pod if pod is not None and pod["metadata"]["uid"] == who[2] else None

    # ------------------------------------------------------------------ the beginning

    async def _start(self, who: _Who) -> None:
        # The writer of the new pod goes on first, as with any controller.
        await asyncio.sleep(0)
        pod = self._find(who)
        node = self._schedule(pod) if pod else None
        if node is None:
            return
        self._write(who, _Life(networked=False))
        await self._sleep(START_SECONDS)
        place = {"hostIP": node_address(node), "podIP": self._addresses.take(node)}
        life = _Life(place=place)
        pod = self._write(who, life)
        for container in members(pod, "spec", "initContainers"):
            self._say_started(who, container)
            await self._initialise(pod, container)
            life.initialised += 1
            life.moments.append(now())
            pod = self._write(who, life)
        while not await self._let_begin(pod):
            life.failed(now())
            self._write(who, life)
            await self._sleep(min(BACK_OFF_SECONDS * 2 ** (life.restarts - 1), LONGEST_BACK_OFF))
            pod = self._find(who) or pod
        life.running = now()
        pod = self._write(who, life)
        for container in pod["spec"]["containers"]:
            self._say_started(who, container)
        self._started(pod)
        if any(one.get("readinessProbe") or one.get("startupProbe") for one in _containers(pod)):
            await self._sleep(READY_SECONDS)
        life.ready = True
        self._write(who, life)

    def _schedule(self, pod: Json) -> Json | None:
        """Bind a pod to the node that has fewest; None when none fits, which it then says."""
        wanted: Json = pod["spec"].get("nodeSelector") or {}
        nodes = self._store.list("Node")
        pods = [at(one, "spec", "nodeName") for one in self._store.list("Pod")]
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
            metadata = pod["metadata"]
            self._store.write_status(
                *("Pod", metadata["namespace"], metadata["name"]),
                {**pod["status"], "conditions": [found]},
                "kube-scheduler",
            )
            return None
        node = min(fitting, key=lambda one: pods.count(one["metadata"]["name"]))
        pod["spec"]["nodeName"] = node["metadata"]["name"]
        bound = self._store.commit(pod)
        metadata = bound["metadata"]
        placed = f"{metadata['namespace']}/{metadata['name']} to {node['metadata']['name']}"
        tell(self._store, bound, "Scheduled", f"Successfully assigned {placed}", "scheduler")
        return node

    def _write(self, who: _Who, life: "_Life") -> Json:
        pod = self._find(who)
        # A pod that is deleted takes this task with it.
        assert pod is not None
        self._store.write_status("Pod", *who[:2], life.status(pod), "kubelet")
        return self._find(who) or pod

    def _say_started(self, who: _Who, container: Json) -> None:
        pod, name = self._find(who), container["name"]
        if pod is not None:
            image = f'Container image "{container["image"]}" already present on machine'
            tell(self._store, pod, "Pulled", image, "kubelet")
            tell(self._store, pod, "Created", f"Created container: {name}", "kubelet")
            tell(self._store, pod, "Started", f"Started container {name}", "kubelet")

    # ------------------------------------------------------------------ the end

    async def _stop(self, who: _Who, pod: Json) -> None:
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        for container in _containers(pod):
            message = f"Stopping container {container['name']}"
            tell(self._store, pod, "Killing", message, "kubelet")
        # A shell that waits is a first process that does not listen to SIGTERM.
        inits = members(pod, "status", "initContainerStatuses")
        listens = all("running" not in one["state"] for one in inits)
        await self._sleep(min(grace, STOP_SECONDS) if listens else grace)
        if self._find(who) is not None:
            self._store.delete("Pod", *who[:2])


class _Life:
    """How far a pod has come, and the status that says so."""

    def __init__(self, place: Json | None = None, *, networked: bool = True) -> None:
        self.place = place or {}
        self.networked = networked
        self.begun = now()
        self.initialised = 0
        self.moments: list[str] = []
        self.running = ""
        self.ready = False
        self.restarts = 0
        self._ended: Json = {}

    def failed(self, moment: str) -> None:
        """Its containers began and gave up."""
        self.restarts += 1
        ended = {"exitCode": 1, "reason": "Error", "startedAt": moment, "finishedAt": moment}
        self._ended = {"terminated": ended}

    def status(self, pod: Json) -> Json:
        """The status of a raw Pod at this point of its life."""
        before = pod["status"]
        inits = members(pod, "spec", "initContainers")
        known = {key: before[key] for key in ("qosClass", "startTime") if key in before}
        found: Json = {
            "startTime": self.begun,
            **known,
            "phase": "Running" if self.running or self.restarts else "Pending",
            "conditions": follow_on(before.get("conditions") or [], self._conditions(pod, inits)),
            "containerStatuses": [self._container(one, bool(inits)) for one in _containers(pod)],
        }
        if inits:
            found["initContainerStatuses"] = [
                self._init_container(number, one) for number, one in enumerate(inits)
            ]
        if self.place:
            ip, host = self.place["podIP"], self.place["hostIP"]
            found |= {"hostIP": host, "hostIPs": [{"ip": host}]}
            found |= {"podIP": ip, "podIPs": [{"ip": ip}]}
        return found

    def _conditions(self, pod: Json, inits: list[Json]) -> list[Json]:
        waiting = [one["name"] for one in inits[self.initialised :]]
        initialised = condition("Initialized", "True")
        if waiting:
            why = f"containers with incomplete status: [{' '.join(waiting)}]"
            initialised = condition("Initialized", "False", "ContainersNotInitialized", why)
        unready = f"containers with unready status: [{' '.join(_names(pod))}]"
        ready = [
            condition(kind, "True")
            if self.ready
            else condition(kind, "False", "ContainersNotReady", unready)
            for kind in ("Ready", "ContainersReady")
        ]
        networked = condition("PodReadyToStartContainers", "True" if self.networked else "False")
        return [networked, initialised, *ready, condition("PodScheduled", "True")]

    def _container(self, container: Json, after_others: bool) -> Json:
        reason = "PodInitializing" if after_others else "ContainerCreating"
        state: Json = {"waiting": {"reason": reason}}
        if self.running:
            state = {"running": {"startedAt": self.running}}
        elif self.restarts:
            state = {"waiting": {"reason": "CrashLoopBackOff"}}
        found = container_status(container, state, ready=self.ready, started=self.ready)
        found["restartCount"] = self.restarts
        return {**found, **({"lastState": self._ended} if self._ended else {})}

    def _init_container(self, number: int, container: Json) -> Json:
        done, runs = number < self.initialised, number == self.initialised and self.networked
        begun = self.moments[number - 1] if number else self.begun
        state: Json = {"waiting": {"reason": "PodInitializing"}}
        if done:
            ended = {"exitCode": 0, "reason": "Completed", "finishedAt": self.moments[number]}
            state = {"terminated": {**ended, "startedAt": begun}}
        elif runs:
            state = {"running": {"startedAt": begun}}
        return container_status(container, state, ready=done, started=runs)


def _containers(pod: Json) -> list[Json]:
    return members(pod, "spec", "containers")


def _names(pod: Json) -> list[str]:
    return [str(one["name"]) for one in _containers(pod)]
