"""What pods meet that start: init containers that wait for a port, names that a program needs.

`until nc -zv HOST PORT; do echo TEXT; sleep N; done`: each attempt looks the name up anew, with the
patience of the image's C library, and its packets are judged like anybody's. What busybox says goes
into the container's log. The storefront's nginx looks its upstreams up when it begins, and ends
when it cannot ("host not found in upstream").
"""

from datetime import UTC, datetime
from typing import Any

from acns_chaos.lab.api.pods.owned import wait_of
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import Connections, Outcome
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.logs import Write, say_begun
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.net.tools.images import LIBRARIES, Images
from acns_chaos.lab.world import Shop

__all__ = ["WaitingPods"]


class WaitingPods:
    """Runs what stands before the containers of a pod.

    Args:
        directory: the pods.
        images: whose C library a container has.
        resolver, connections: the wire.
        write: the containers' logs.
        clock: for the pauses.
        shop: whose storefront needs names, None without one.
    """

    def __init__(
        self,
        directory: Directory,
        images: Images,
        resolver: Resolver,
        connections: Connections,
        write: Write,
        clock: Clock,
        shop: Shop | None = None,
    ) -> None:
        self._directory = directory
        self._images = images
        self._resolver = resolver
        self._connections = connections
        self._write = write
        self._clock = clock
        self._shop = shop

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

    async def begin(self, raw: dict[str, Any]) -> bool:
        """Let the program of a pod begin; False when it ends because it cannot.

        Args:
            raw: a pod whose init containers are done.
        """
        where = raw["metadata"]["namespace"], raw["metadata"]["name"]
        pod, shop = self._directory.starting(*where), self._shop
        if pod is None or shop is None or not self._is_front(pod, shop):
            return True
        container = raw["spec"]["containers"][0]
        libc = LIBRARIES.get(self._images.base(container["image"]), "musl")
        for upstream in (shop.orders, shop.products):
            if not await self._resolver.lookup(pod, upstream, libc=libc):
                at = datetime.fromtimestamp(self._clock.now(), UTC)
                told = f'host not found in upstream "{upstream}" in /etc/nginx/conf.d/default.conf'
                line = f"{at:%Y/%m/%d %H:%M:%S} [emerg] 1#1: {told}"
                self._write(*where, container["name"], line)
                return False
        return True

    def _is_front(self, pod: Pod, shop: Shop) -> bool:
        service = self._directory.service(shop.namespace, shop.front) or {}
        selector = (service.get("spec") or {}).get("selector") or {}
        labels = pod.raw["metadata"].get("labels") or {}
        mine = pod.namespace == shop.namespace and bool(selector)
        return mine and selector.items() <= labels.items()

    def started(self, raw: dict[str, Any]) -> None:
        """The containers of a pod have started: its program says so.

        Args:
            raw: the pod.
        """
        metadata = raw["metadata"]
        pod = self._directory.pod(metadata["namespace"], metadata["name"])
        if pod is not None:
            say_begun(self._write, pod, self._clock.now())
