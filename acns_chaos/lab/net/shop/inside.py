"""The shop's HTTP servers as localhost inside their own pods sees them: what port-forward reaches.

Nothing here passes a node's datapath, so no policy judges it and no flow is seen; what a server
does then (nginx asks its backends) is judged as ever.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.shop.backends import ORDERS_PORT, PRODUCTS_PORT
from acns_chaos.lab.net.shop.pages import Page, error_page
from acns_chaos.lab.net.shop.storefront import FRONT_PORT, PROXY_SECONDS, Shop
from acns_chaos.lab.world import Shop as ShopServices

_HOST = "127.0.0.1"

Answer = Callable[[web.Request], Awaitable[Page]]


class Inside:
    """Listens on loopback for each port of the shop.

    Args:
        shop: what answers.
        services: its names.
        directory: its pods.
        clock: for time-outs.
    """

    def __init__(
        self, shop: Shop, services: ShopServices, directory: Directory, clock: Clock
    ) -> None:
        self._shop = shop
        self._services = services
        self._directory = directory
        self._clock = clock
        self._runners: list[web.AppRunner] = []

    async def start(self) -> dict[tuple[str, str, int], tuple[str, int]]:
        """Open the listeners; returns where each (namespace, app, port) is."""
        services = self._services
        served: tuple[tuple[str, int, Answer], ...] = (
            (services.front, FRONT_PORT, self._front),
            (services.orders, ORDERS_PORT, self._orders),
            (services.products, PRODUCTS_PORT, self._products),
        )
        return {
            (services.namespace, app, port): await self._listen(answer)
            for app, port, answer in served
        }

    async def stop(self) -> None:
        """Close the listeners and every connection."""
        for runner in self._runners:
            await runner.cleanup()

    async def _listen(self, answer: Answer) -> tuple[str, int]:
        async def handle(request: web.Request) -> web.Response:
            page = await answer(request)
            headers = {"Content-Type": page.content_type} if page.body else {}
            return web.Response(status=page.status, body=page.body.encode(), headers=headers)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, _HOST, 0).start()
        return _HOST, runner.addresses[0][1]

    async def _front(self, request: web.Request) -> Page:
        front = self._directory.backend(self._services.namespace, self._services.front)
        if front is None:
            return error_page(502)
        body = await request.read()
        kind = request.headers.get("Content-Type", "") if body else ""
        agent = request.headers.get("User-Agent", "-")
        return await self._shop.serve(front, request.method, request.path, body, kind, agent=agent)

    async def _orders(self, request: web.Request) -> Page:
        body = await request.read()
        kind = request.headers.get("Content-Type", "") if body else ""
        until = self._clock.now() + PROXY_SECONDS
        return await self._shop.backends.orders(
            request.method, request.path, body, kind, client=_HOST, until=until
        )

    async def _products(self, request: web.Request) -> Page:
        return self._shop.backends.products(request.method, request.path, client=_HOST)
