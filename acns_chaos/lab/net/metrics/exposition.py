"""The metrics endpoints of every node, over plain HTTP on loopback, in text format 0.0.4.

One listener per node and kind, as :9962 (agent) and :9965 (Hubble) on a real node; here the ports
are free ones. An endpoint of a node that is down closes the connection without an answer.
"""

from dataclasses import dataclass

from aiohttp import web

from acns_chaos.lab.net.listener import open_listener
from acns_chaos.lab.net.metrics.counters import Metrics
from acns_chaos.lab.net.metrics.families import AGENT, HUBBLE
from acns_chaos.lab.net.metrics.registry import text

CILIUM_JOB = "networkobservability-cilium"
HUBBLE_JOB = "networkobservability-hubble"
JOBS = {AGENT: CILIUM_JOB, HUBBLE: HUBBLE_JOB}
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint.

    Attributes:
        node: whose.
        endpoint: `AGENT` or `HUBBLE`.
        url: where; "" before it is served.
    """

    node: str
    endpoint: str
    url: str = ""

    @property
    def job(self) -> str:
        """The scrape job that AKS gives it."""
        return JOBS[self.endpoint]


class Exposition:
    """Serves the metrics of every node.

    Args:
        metrics: what is shown.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self._ports: dict[int, Target] = {}

    async def start(self) -> list[Target]:
        """Listen; returns where each node's endpoints are."""
        app = web.Application()
        app.router.add_get("/metrics", self._show)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        for node in self._metrics.nodes:
            for endpoint in JOBS:
                sock = open_listener()
                host, port = sock.getsockname()
                url = f"http://{host}:{port}/metrics"
                self._ports[port] = Target(node, endpoint, url)
                await web.SockSite(self._runner, sock).start()
        return list(self._ports.values())

    async def stop(self) -> None:
        """Close every listener."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _show(self, request: web.Request) -> web.Response:
        transport = request.transport
        port = transport.get_extra_info("sockname")[1] if transport is not None else 0
        target = self._ports[port]
        if self._metrics.is_down(target.node):
            if transport is not None:
                transport.abort()
            return web.Response(status=503)
        body = text(self._metrics.exposed(target.node, target.endpoint))
        return web.Response(body=body.encode(), headers={"Content-Type": _TYPE})
