"""Init containers that wait for a port, and the first words of programs that start.

`until nc -zv HOST PORT; do echo TEXT; sleep N; done`: each attempt looks the name up anew, with the
patience of the image's C library, and its packets are judged like anybody's. What busybox says goes
into the container's log.
"""

from typing import Any

from acns_chaos.lab.api.pods.owned import wait_of
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import Connections, Outcome
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.logs import Write, say_begun
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.net.tools.images import LIBRARIES, Images

__all__ = ["WaitingPods"]


class WaitingPods:
    """Runs what stands before the containers of a pod.

    Args:
        directory: the pods.
        images: whose C library a container has.
        resolver, connections: the wire.
        write: the containers' logs.
        clock: for the pauses.
    """

    def __init__(
        self,
        directory: Directory,
        images: Images,
        resolver: Resolver,
        connections: Connections,
        write: Write,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._images = images
        self._resolver = resolver
        self._connections = connections
        self._write = write
        self._clock = clock

    async def initialise(self, raw: dict[str, Any], container: dict[str, Any]) -> None:
        """Run an init container to its end, which may never come.

        Args:
            raw: a pod that has an address.
            container: one of its init containers, of those that `wait_of` knows.
        """
        metadata, wait = raw["metadata"], wait_of(container)
        if wait is None:
            return
        where = metadata["namespace"], metadata["name"]
        libc = LIBRARIES.get(self._images.base(container["image"]), "musl")
        while (pod := self._directory.starting(*where)) is not None:
            said, connected = await self._attempt(pod, wait.host, wait.port, libc)
            self._write(*where, container["name"], said)
            if connected:
                return
            self._write(*where, container["name"], wait.text)
            await self._clock.sleep(wait.every)

    async def _attempt(self, pod: Pod, host: str, port: int, libc: str) -> tuple[str, bool]:
        """What `nc -zv` says, and whether it connected."""
        addresses = await self._resolver.lookup(pod, host, libc=libc)
        if not addresses:
            return f"nc: bad address '{host}'", False
        where = f"{host} ({addresses[0]}:{port})"
        outcome = await self._connections.connect(pod.endpoint, addresses[0], port)
        if outcome is Outcome.OPEN:
            return f"{where} open", True
        why = "Connection refused" if outcome is Outcome.REFUSED else "Operation timed out"
        return f"nc: {where}: {why}", False

    def started(self, raw: dict[str, Any]) -> None:
        """The containers of a pod have started: its program says so.

        Args:
            raw: the pod.
        """
        metadata = raw["metadata"]
        pod = self._directory.pod(metadata["namespace"], metadata["name"])
        if pod is not None:
            say_begun(self._write, pod, self._clock.now())
