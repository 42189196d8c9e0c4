"""The network of a world, put together: what the lab's server starts, stops and executes in.

Only wiring here; each part says in its own module what it does.
"""

from acns_chaos.lab.api.exec import ExecRequest
from acns_chaos.lab.net.clock import Clock, WallClock
from acns_chaos.lab.net.connections import Connections
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.dns import Resolver
from acns_chaos.lab.net.enforcement import Enforcement
from acns_chaos.lab.net.events import Wire
from acns_chaos.lab.net.metrics import Metrics
from acns_chaos.lab.net.objects import Objects
from acns_chaos.lab.net.prometheus import Prometheus
from acns_chaos.lab.net.shop import Shop
from acns_chaos.lab.net.tools import Tools
from acns_chaos.lab.net.traffic import Traffic
from acns_chaos.lab.world import World

STOREFRONT_VARIABLE = "ACNS_CHAOS_STOREFRONT_URL"
PROMETHEUS_VARIABLE = "ACNS_CHAOS_PROMETHEUS_URL"


class Network:
    """Everything in a world that moves.

    Args:
        store: the Kubernetes objects; they must be in it already.
        world: what the store does not hold.
        clock: wall time unless a test moves it.
    """

    def __init__(self, store: Objects, world: World, clock: Clock | None = None) -> None:
        clock = clock or WallClock()
        self.wire = Wire()
        self.metrics = Metrics()
        self.wire.listen(self.metrics.record)
        self.directory = Directory(store, world, clock.now)
        self.enforcement = Enforcement(store, self.directory, clock)
        parts = (self.directory, self.enforcement, self.wire, clock)
        self.connections = Connections(*parts)
        self.resolver = Resolver(*parts)
        self.shop: Shop | None = None
        if world.shop is not None:
            self.shop = Shop(
                world.shop,
                self.directory,
                self.enforcement,
                self.connections,
                self.resolver,
                self.wire,
                clock,
                established=world.established,
            )
        self.traffic = Traffic(self.shop, self.metrics, clock)
        self.prometheus = Prometheus(self.metrics, self.directory.node, clock)
        self._tools = Tools(self.directory, self.resolver, self.connections, clock)

    async def start(self) -> dict[str, str]:
        """Open the listeners on free loopback ports and begin the steady traffic.

        Returns:
            Environment variables for clients: where the storefront and Prometheus are.
        """
        env = {}
        if self.shop is not None:
            env[STOREFRONT_VARIABLE] = await self.shop.start()
        self.traffic.start()
        env[PROMETHEUS_VARIABLE] = await self.prometheus.start()
        return env

    async def exec(self, request: ExecRequest) -> int:
        """Run a command in a pod; returns its exit code."""
        return await self._tools.run(request)

    async def stop(self) -> None:
        """Close everything that `start` opened."""
        await self.traffic.stop()
        self.enforcement.close()
        if self.shop is not None:
            await self.shop.stop()
        await self.prometheus.stop()
