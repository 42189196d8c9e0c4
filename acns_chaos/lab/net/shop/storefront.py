"""The storefront over real HTTP, and the simulated hops behind it.

A request crosses world → store-front, then store-front → product-service or order-service, and
for an order order-service → rabbitmq; each hop is judged by the policy in force. nginx resolved
its backends when it started, so the storefront needs no DNS. What answers behind it is in
`backends`; the front hop's silence is made in `listener`; what pages say is in `pages`.

Not modelled: the load balancer taking a silent backend out of its rotation; a customer's kept-alive
connection among the simulated ones. Over real HTTP one pod of the storefront serves, the first, and
the first node receives; without ready pods connections are closed instead of refused.
"""

import itertools

from aiohttp import web
from aiohttp.typedefs import Middleware

from acns_chaos.lab.net.agents.enforcement import Enforcement
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import DATA_BYTES, Connections, Outcome
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.events import SYN_BYTES, Event, Wire
from acns_chaos.lab.net.listener import Gate, Socket, open_listener
from acns_chaos.lab.net.logs import PROBE_ADDRESS, ShopLog
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.net.shop.backends import ORDERS_PORT, PRODUCTS_PORT, Backends
from acns_chaos.lab.net.shop.pages import Page, error_page, front_page
from acns_chaos.lab.world import Shop as ShopServices
from acns_chaos.policy import Endpoint, Verdict

CUSTOMER = Endpoint.outside("198.51.100.10")
FRONT_PORT = 8080
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
        log: what its programs say.
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
        log: ShopLog,
        *,
        established: frozenset[str] = frozenset(),
    ) -> None:
        self._services = services
        self._directory = directory
        self._enforcement = enforcement
        self._connections = connections
        self._wire = wire
        self._clock = clock
        self._log = log
        self.backends = Backends(
            services, directory, connections, resolver, clock, log, established=established
        )
        self._turn = itertools.count()
        self._runner: web.AppRunner | None = None
        # What stands before the pages; to be set before the start.
        self.middlewares: list[Middleware] = []
        self._gate: Gate | None = None
        # Who was denied by what when the gate closed.
        self._denied: tuple[Endpoint, Pod, Verdict] | None = None

    # ------------------------------------------------------------------ over HTTP

    async def start(self) -> str:
        """Serve on a free loopback port; returns the URL that stands for the load balancer."""
        app = web.Application(middlewares=self.middlewares)
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
        customer = self._arriving(CUSTOMER, front, by_turns=False)
        verdict = self._front_verdict(customer, front)
        if verdict.verdict == "ALLOWED":
            peer = request.transport.get_extra_info("peername") if request.transport else None
            self._book(customer, front, verdict, "SYN", 1, peer[1] if peer else 0)
        body = await request.read()
        kind = request.headers.get("Content-Type", "") if body else ""
        page = await self.serve(
            front,
            request.method,
            request.path,
            body,
            kind,
            client=customer.ip,
            agent=request.headers.get("User-Agent", "-"),
        )
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
        if front is not None:
            customer = self._arriving(CUSTOMER, front, by_turns=False)
            verdict = self._front_verdict(customer, front)
            if verdict.verdict != "ALLOWED":
                self._denied = customer, front, verdict
                self._gate.close()
                return
        # It books what was dropped in the last moment, under the verdict of then.
        self._gate.open()

    def _dropped(self, count: int, client_port: int) -> None:
        if self._denied is not None:
            flags = "ACK, PSH" if client_port else "SYN"
            port = client_port or self._connections.ports.next()
            self._book(*self._denied, flags, count, port)

    def _front_verdict(self, client: Endpoint, front: Pod) -> Verdict:
        return self._enforcement.verdict(client, front.endpoint, FRONT_PORT)

    def _arriving(self, client: Endpoint, front: Pod, *, by_turns: bool) -> Endpoint:
        service = self._directory.service(self._services.namespace, self._services.front)
        if service is None:
            return client
        return self._directory.arriving(client, service, front, by_turns=by_turns)

    def _book(
        self, client: Endpoint, front: Pod, verdict: Verdict, flags: str, count: int, port: int
    ) -> None:
        here, there = self._enforcement.nodes(client, front.endpoint)
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
                source_port=port,
                source_node=here,
                destination_node=there,
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
        front = self._backend(self._services.front, next(self._turn))
        if front is None:
            return None
        source = self._arriving(client, front, by_turns=True)
        outcome = await self._connections.connect(source, front.ip, FRONT_PORT, timeout=timeout)
        if outcome is not Outcome.OPEN:
            return None
        kind = "application/json" if method == "POST" else ""
        body = b"{}" if kind else b""
        seen = client if client.ip == PROBE_ADDRESS else source
        return await self.serve(front, method, path, body, kind, client=seen.ip)

    def is_front(self, pod: Pod, port: int) -> bool:
        """Whether a port of a pod is the storefront's."""
        service = self._directory.service(self._services.namespace, self._services.front)
        pods = self._directory.backends(service) if service else []
        return port == FRONT_PORT and any(each.endpoint == pod.endpoint for each in pods)

    async def serve(
        self,
        front: Pod,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "",
        *,
        client: str = "127.0.0.1",
        agent: str = "",
    ) -> Page:
        """What the storefront's nginx answers to a request that reached it.

        Args:
            front: the pod it runs in.
            method: HTTP method.
            path: of the URL, without the query.
            body: of the request.
            content_type: of the request, with or without parameters.
            client: address of who asks, for the log.
            agent: what that calls itself, "" for a browser.
        """
        page = await self._page(front, method, path, body, content_type)
        self._log.visited(front, client, method, path, page, agent)
        return page

    async def _page(
        self, front: Pod, method: str, path: str, body: bytes, content_type: str
    ) -> Page:
        rest = _below(path, "/api/products")
        if rest is not None:
            failed = await self._proxy(front, self._services.products, PRODUCTS_PORT)
            return failed or self.backends.products(method, rest, client=front.ip)
        rest = _below(path, "/api/orders")
        if rest is None:
            return front_page(path) if method in ("GET", "HEAD") else error_page(405)
        begun = self._clock.now()
        failed = await self._proxy(front, self._services.orders, ORDERS_PORT)
        if failed:
            return failed
        until = begun + PROXY_SECONDS
        return await self.backends.orders(
            method, rest, body, content_type, client=front.ip, until=until
        )

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

    def _backend(self, service: str, turn: int = 0) -> Pod | None:
        return self._directory.backend(self._services.namespace, service, turn)


def _below(path: str, prefix: str) -> str | None:
    """The rest of a path under a prefix, "/" for the prefix itself, None when it is elsewhere."""
    if path == prefix:
        return "/"
    return path[len(prefix) :] if path.startswith(f"{prefix}/") else None
