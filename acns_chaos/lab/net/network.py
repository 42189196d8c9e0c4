"""The network of a world, put together: what the lab's server starts, stops and executes in.

Only wiring here; each part says in its own module what it does.
"""

from pathlib import Path

from acns_chaos.lab.api.pods.exec import ExecRequest
from acns_chaos.lab.api.pods.log import Logs
from acns_chaos.lab.hubble.service import APP as RELAY_APP
from acns_chaos.lab.hubble.service import PORT as RELAY_PORT
from acns_chaos.lab.hubble.service import Hubble
from acns_chaos.lab.net.agents.enforcement import Enforcement
from acns_chaos.lab.net.clock import Clock, WallClock
from acns_chaos.lab.net.connections import Connections
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.events import Wire
from acns_chaos.lab.net.logs import AgentLog, ShopLog, say_started
from acns_chaos.lab.net.metrics.agent_state import AgentState
from acns_chaos.lab.net.metrics.counters import Metrics
from acns_chaos.lab.net.metrics.exposition import Exposition
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.names.zone import Zone
from acns_chaos.lab.net.objects import Objects
from acns_chaos.lab.net.prometheus.scraper import Scraper
from acns_chaos.lab.net.prometheus.server import Prometheus
from acns_chaos.lab.net.shop.inside import Inside
from acns_chaos.lab.net.shop.storefront import Shop
from acns_chaos.lab.net.tools.images import Images
from acns_chaos.lab.net.tools.toolbox import Tools
from acns_chaos.lab.net.traffic import Traffic
from acns_chaos.lab.net.truth import Truth
from acns_chaos.lab.net.visits import Visits
from acns_chaos.lab.net.waiting_pods import WaitingPods
from acns_chaos.lab.world import World

STOREFRONT_VARIABLE = "ACNS_CHAOS_STOREFRONT_URL"
PROMETHEUS_VARIABLE = "ACNS_CHAOS_PROMETHEUS_URL"
HUBBLE_VARIABLE = "ACNS_CHAOS_HUBBLE_ADDRESS"


class Network:
    """Everything in a world that moves.

    Args:
        store: the Kubernetes objects; they must be in it already.
        world: what the store does not hold.
        clock: wall time unless a test moves it.
    """

    def __init__(self, store: Objects, world: World, clock: Clock | None = None) -> None:
        clock = clock or WallClock()
        # What listens inside pods, for port-forward: (namespace, `app` or `k8s-app` label, port)
        # to a loopback address. Each part adds its own when it starts.
        self.ports: dict[tuple[str, str, int], tuple[str, int]] = {}
        self.logs = Logs(clock.now)
        self.wire = Wire()
        self.directory = Directory(store, world, clock.now)
        self.enforcement = Enforcement(store, self.directory, clock)
        self.metrics = Metrics(
            self.directory.nodes(),
            self.directory.node_of,
            routing=world.routing,
            policy_verdicts=world.hubble_policy_verdicts_metric,
        )
        self.wire.listen(self.metrics.record)
        self.relay = Hubble(store, self.directory, world, self.enforcement, clock)
        self.wire.listen(self.relay.recorder.record)
        self.enforcement.on_applied(self.relay.record_policies)
        AgentState(store, self.directory, self.enforcement, self.metrics, clock)
        self.truth = Truth(self.wire, self.enforcement, clock)
        parts = (self.directory, self.enforcement, self.wire, clock)
        self.connections = Connections(*parts)
        self.zone = Zone(self.directory, world)
        self.resolver = Resolver(self.zone, *parts, self.connections.ports)
        self.shop: Shop | None = None
        self._inside: Inside | None = None
        if world.shop is not None:
            self.shop = Shop(
                world.shop,
                self.directory,
                self.enforcement,
                self.connections,
                self.resolver,
                self.wire,
                clock,
                ShopLog(self.logs.write, self.directory, world.shop, clock),
                established=world.established,
            )
            self.shop.middlewares.append(self.truth)
            self._inside = Inside(self.shop, world.shop, self.directory, clock)
        AgentLog(store, self.directory, self.logs.write, clock)
        say_started(self.logs.write, self.directory, clock.now())
        self.traffic = Traffic(self.shop, self.metrics, clock, noise=self.relay.record_noise)
        self._visits = Visits(world.visits, self.directory, self.resolver, self.connections, clock)
        self._exposition = Exposition(self.metrics)
        self.scraper = Scraper(self.metrics, clock, world.scrape_seconds)
        self.prometheus = Prometheus(self.scraper, clock)
        images = Images(world.images)
        self.waiting = WaitingPods(
            self.directory,
            images,
            self.resolver,
            self.connections,
            self.logs.write,
            clock,
            world.shop,
        )
        self._tools = Tools(
            self.directory,
            self.zone,
            images,
            self.resolver,
            self.connections,
            self.shop,
            clock,
        )

    async def start(self, private: Path | None = None) -> dict[str, str]:
        """Open the listeners on free loopback ports and begin the steady traffic.

        Args:
            private: a private directory for a socket; None makes one.

        Returns:
            Environment variables for clients: where the storefront, Prometheus and Hubble are.
        """
        env = {}
        if self.shop is not None:
            env[STOREFRONT_VARIABLE] = await self.shop.start()
        if self._inside is not None:
            self.ports.update(await self._inside.start())
        self.traffic.start()
        self._visits.start()
        self.scraper.targets = await self._exposition.start()
        env[PROMETHEUS_VARIABLE] = await self.prometheus.start()
        if self.directory.service("kube-system", RELAY_APP) is not None:
            host, port = await self.relay.start(private)
            self.ports["kube-system", RELAY_APP, RELAY_PORT] = host, port
            env[HUBBLE_VARIABLE] = f"{host}:{port}"
        return env

    def scrape_targets(self) -> list[dict[str, str]]:
        """Where another Prometheus finds the metrics: node, job and URL of each endpoint."""
        return [
            {"node": target.node, "job": target.job, "url": target.url}
            for target in self.scraper.targets
        ]

    async def exec(self, request: ExecRequest) -> int:
        """Run a command in a pod; returns its exit code."""
        return await self._tools.run(request)

    async def stop(self) -> None:
        """Close everything that `start` opened."""
        await self.relay.stop()
        await self.traffic.stop()
        await self._visits.stop()
        self.enforcement.close()
        if self.shop is not None:
            await self.shop.stop()
        if self._inside is not None:
            await self._inside.stop()
        await self.prometheus.stop()
        await self._exposition.stop()
