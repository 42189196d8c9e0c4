"""The storefront over real HTTP, and the simulated hops behind it.

A request crosses world → store-front, then store-front → product-service or order-service, and
for an order order-service → rabbitmq; each hop is judged by the policy in force. nginx resolved
its backends when it started, so the storefront needs no DNS; order-service resolves rabbitmq when
it first publishes. The front hop's silence is made in `listener`; what pages say is in `pages`.

Not modelled: the load balancer taking a silent backend out of its rotation; a storefront without
ready pods closes connections instead of refusing them.
"""

from aiohttp import web

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import DATA_BYTES, Connections, Outcome
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.dns import Resolver
from acns_chaos.lab.net.enforcement import Enforcement
from acns_chaos.lab.net.events import SYN_BYTES, Event, Wire
from acns_chaos.lab.net.listener import Gate, Socket, open_listener
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.net.pages import Page, error_page, front_page, orders_page, products_page
from acns_chaos.lab.world import Shop as ShopServices
from acns_chaos.policy import Endpoint, Verdict

CUSTOMER = Endpoint.outside("198.51.100.10")
FRONT_PORT, ORDERS_PORT, PRODUCTS_PORT, QUEUE_PORT = 8080, 3000, 3002, 5672
# nginx: proxy_connect_timeout and proxy_read_timeout.
PROXY_SECONDS = 60.0


class Shop:
    """The shop's workloads.

    Args:
        services: their names.
        directory: their pods.
        enforcement: what policy says.
        connections, resolver: the wire between them.
        wire: where the front hop is counted.
        clock: for time-outs.
        established: workloads that resolved and opened their connections before.
    """

    def __init__(
        self,
        services: ShopServices,
        directory: Directory,
        enforcement: Enforcement,
        connections: Connections,
        resolver: Resolver,
        wire: Wire,
        clock: Clock,
        *,
        established: frozenset[str] = frozenset(),
    ) -> None:
        self._services = services
        self._directory = directory
        self._enforcement = enforcement
        self._connections = connections
        self._resolver = resolver
        self._wire = wire
        self._clock = clock
        # Address of each order-service pod to that of the queue pod it is connected to.
        self._queues: dict[str, str] = {}
        orders, queue = self._backend(services.orders), self._backend(services.queue)
        if services.orders in established and orders and queue:
            self._queues[orders.ip] = queue.ip
        self._runner: web.AppRunner | None = None
        self._gate: Gate | None = None

    # ------------------------------------------------------------------ over HTTP

    async def start(self) -> str:
        """Serve on a free loopback port; returns the URL that stands for the load balancer."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        # nginx closes towards its backends when the client has gone.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        sock = open_listener()
        host, port = sock.getsockname()
        site = web.SockSite(self._runner, sock)
        await site.start()
        self._gate = Gate(sock, self._accepted, self._dropped)
        self._enforcement.on_applied(self._set_gate)
        self._set_gate()
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._gate is not None:
            self._gate.open()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        front = self._backend(self._services.front)
        if self._gate is not None:
            await self._gate.pass_through()
        if front is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        verdict = self._front_verdict(CUSTOMER, front)
        if verdict.verdict == "ALLOWED":
            self._book(CUSTOMER, front, verdict, "SYN", 1)
        body = await request.read()
        kind = request.headers.get("Content-Type", "") if body else ""
        page = await self.serve(front, request.method, request.path, body, kind)
        headers = {"Server": "nginx"}
        if page.body or page.status != 201:
            headers["Content-Type"] = page.content_type
        return web.Response(status=page.status, body=page.body.encode(), headers=headers)

    def _accepted(self) -> list[Socket]:
        server = self._runner.server if self._runner else None
        found = []
        for handler in server.connections if server else ():
            sock = handler.transport.get_extra_info("socket") if handler.transport else None
            if sock is not None:
                found.append(sock)
        return found

    def _set_gate(self) -> None:
        front = self._backend(self._services.front)
        if self._gate is None:
            return
        if front is None or self._front_verdict(CUSTOMER, front).verdict == "ALLOWED":
            self._gate.open()
        else:
            self._gate.close()

    def _dropped(self, count: int, syn: bool) -> None:
        front = self._backend(self._services.front)
        if front is None:
            return
        verdict = self._front_verdict(CUSTOMER, front)
        if verdict.verdict != "ALLOWED":
            self._book(CUSTOMER, front, verdict, "SYN" if syn else "ACK, PSH", count)

    def _front_verdict(self, client: Endpoint, front: Pod) -> Verdict:
        return self._enforcement.verdict(client, front.endpoint, FRONT_PORT)

    def _book(self, client: Endpoint, front: Pod, verdict: Verdict, flags: str, count: int) -> None:
        self._wire.record(
            Event(
                at=self._clock.now(),
                source=client,
                destination=front.endpoint,
                port=FRONT_PORT,
                protocol="TCP",
                verdict=verdict,
                flags=flags,
                size=SYN_BYTES if flags == "SYN" else DATA_BYTES,
                count=count,
            )
        )

    # ------------------------------------------------------------------ the simulated hops

    async def visit(
        self, client: Endpoint, method: str, path: str, *, timeout: float
    ) -> Page | None:
        """A request by a simulated client outside, without a socket.

        Args:
            client: who asks.
            method: "GET" or "POST".
            path: of the URL.
            timeout: seconds that the client waits to connect.

        Returns:
            The answer, None when the storefront stayed silent or has no pod.
        """
        front = self._backend(self._services.front)
        if front is None:
            return None
        outcome = await self._connections.connect(client, front.ip, FRONT_PORT, timeout=timeout)
        if outcome is not Outcome.OPEN:
            return None
        kind = "application/json" if method == "POST" else ""
        return await self.serve(front, method, path, b"{}" if kind else b"", kind)

    async def serve(
        self, front: Pod, method: str, path: str, body: bytes = b"", content_type: str = ""
    ) -> Page:
        """What the storefront's nginx answers to a request that reached it.

        Args:
            front: the pod it runs in.
            method: HTTP method.
            path: of the URL, without the query.
            body: of the request.
            content_type: of the request, with or without parameters.
        """
        rest = _below(path, "/api/products")
        if rest is not None:
            failed = await self._proxy(front, self._services.products, PRODUCTS_PORT)
            return failed or products_page(method, rest)
        rest = _below(path, "/api/orders")
        if rest is None:
            return front_page(path) if method in ("GET", "HEAD") else error_page(405)
        begun = self._clock.now()
        failed = await self._proxy(front, self._services.orders, ORDERS_PORT)
        if failed:
            return failed
        page = orders_page(method, rest, body, content_type)
        if page.status != 201:
            return page
        return await self._publish(page, begun + PROXY_SECONDS)

    async def _proxy(self, front: Pod, service: str, port: int) -> Page | None:
        """Reach a backend; None when it was reached, else nginx's error page."""
        found = self._directory.service(self._services.namespace, service)
        if found is None:
            return error_page(502)
        outcome = await self._connections.connect(
            front.endpoint, found["spec"]["clusterIP"], port, timeout=PROXY_SECONDS
        )
        if outcome is Outcome.OPEN:
            return None
        return error_page(502 if outcome is Outcome.REFUSED else 504)

    async def _publish(self, page: Page, until: float) -> Page:
        """Hand an order to the queue; nginx waits for that until a point in time."""
        orders = self._backend(self._services.orders)
        if orders is None:
            return error_page(502)
        peer = self._queues.get(orders.ip)
        if peer is not None and self._directory.endpoint(peer).kind == "pod":
            outcome = await self._connections.send(
                orders.endpoint, peer, QUEUE_PORT, timeout=until - self._clock.now()
            )
            return page if outcome is Outcome.OPEN else error_page(504)
        addresses = await self._resolver.lookup(orders, self._services.queue)
        if not addresses:
            return error_page(500)
        outcome = await self._connections.connect(
            orders.endpoint, addresses[0], QUEUE_PORT, timeout=until - self._clock.now()
        )
        queue = self._backend(self._services.queue)
        if outcome is Outcome.OPEN and queue is not None:
            self._queues[orders.ip] = queue.ip
            return page
        return error_page(504 if outcome is Outcome.TIMEOUT else 500)

    def _backend(self, service: str) -> Pod | None:
        return self._directory.backend(self._services.namespace, service)


def _below(path: str, prefix: str) -> str | None:
    """The rest of a path under a prefix, "/" for the prefix itself, None when it is elsewhere."""
    if path == prefix:
        return "/"
    return path[len(prefix) :] if path.startswith(f"{prefix}/") else None
