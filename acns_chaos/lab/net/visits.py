"""The steady traffic that a world names: workloads that look a name up and connect, forever.

Each visit crosses DNS and policy as a real client's would. The shop's own visitors are in
`traffic`.
"""

import random
from collections.abc import Sequence

from acns_chaos.lab.net.clock import Clock, Tasks
from acns_chaos.lab.net.connections import Connections
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.world import Visit

_PATIENCE = 4.0


class Visits:
    """Starts and stops the visits of a world.

    Args:
        visits: who visits whom.
        directory: the pods.
        resolver, connections: the wire.
        clock: for the pace.
        chance: for its jitter.
    """

    def __init__(
        self,
        visits: Sequence[Visit],
        directory: Directory,
        resolver: Resolver,
        connections: Connections,
        clock: Clock,
        chance: random.Random | None = None,
    ) -> None:
        self._visits = visits
        self._directory = directory
        self._resolver = resolver
        self._connections = connections
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._tasks = Tasks()

    def start(self) -> None:
        """Begin, each at a moment of its own."""
        for visit in self._visits:
            self._tasks.spawn(self._forever(visit))

    async def stop(self) -> None:
        """End, whatever waits where."""
        await self._tasks.stop()

    async def _forever(self, visit: Visit) -> None:
        await self._clock.sleep(visit.every * self._chance.uniform(0.1, 1.0))
        while True:
            await self._visit(visit)
            await self._clock.sleep(visit.every * self._chance.uniform(0.9, 1.1))

    async def _visit(self, visit: Visit) -> None:
        pod = self._pod(visit)
        if pod is None:
            return
        addresses = await self._resolver.lookup(pod, visit.host)
        if addresses:
            peer = addresses[0]
            await self._connections.connect(pod.endpoint, peer, visit.port, timeout=_PATIENCE)

    def _pod(self, visit: Visit) -> Pod | None:
        """The first running pod of the workload: named like it, or like it and a hash."""
        for pod in self._directory.pods():
            of_workload = pod.name == visit.client or pod.name.startswith(f"{visit.client}-")
            if pod.namespace == visit.namespace and of_workload:
                return pod
        return None
