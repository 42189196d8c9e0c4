"""What answers behind the storefront: product-service, and order-service with its queue.

Whether a request reaches them is judged before, in `storefront`. order-service resolves rabbitmq
when it first publishes, and keeps that connection. What pages say is in `pages`.
"""

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.connections import Connections, Outcome
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.logs import ShopLog
from acns_chaos.lab.net.names.dns import Resolver
from acns_chaos.lab.net.objects import Pod
from acns_chaos.lab.net.shop.pages import Page, error_page, orders_page, products_page
from acns_chaos.lab.world import Shop as ShopServices

ORDERS_PORT, PRODUCTS_PORT, QUEUE_PORT = 3000, 3002, 5672


class Backends:
    """The workloads behind the storefront.

    Args:
        services: their names.
        directory: their pods.
        connections: from order-service to its queue.
        resolver: for order-service.
        clock: for time-outs.
        log: what they say.
        established: workloads that resolved and opened their connections before.
    """

    def __init__(
        self,
        services: ShopServices,
        directory: Directory,
        connections: Connections,
        resolver: Resolver,
        clock: Clock,
        log: ShopLog,
        *,
        established: frozenset[str] = frozenset(),
    ) -> None:
        self._services = services
        self._directory = directory
        self._connections = connections
        self._resolver = resolver
        self._clock = clock
        self._log = log
        # Address of each order-service pod to that of the queue pod it is connected to.
        self._queues: dict[str, str] = {}
        orders, queue = self._backend(services.orders), self._backend(services.queue)
        if services.orders in established and orders and queue:
            self._queues[orders.ip] = queue.ip

    def products(self, method: str, path: str, *, client: str) -> Page:
        """What product-service answers to a request that reached it.

        Args:
            method: HTTP method.
            path: within the service.
            client: address of who asks, for the log.
        """
        page = products_page(method, path)
        self._log.products(client, method, path, page)
        return page

    async def orders(
        self,
        method: str,
        path: str,
        body: bytes,
        content_type: str,
        *,
        client: str,
        until: float,
    ) -> Page:
        """What order-service answers to a request that reached it, or the client's time-out.

        Args:
            method: HTTP method.
            path: within the service.
            body: of the request.
            content_type: of the request, with or without parameters.
            client: address of who asks, for the log.
            until: how long it waits, in seconds since 1970.
        """
        orders = self._backend(self._services.orders)
        if orders is None:
            return error_page(502)
        begun = self._clock.now()
        number = self._log.order_arrived(orders, client, method, path)
        page = orders_page(method, path, body, content_type)
        if page.status == 201:
            self._log.order_sent(orders, body)
            page = await self._publish(orders, page, until)
        if page.status != 504:  # that is the client's word: this side still waits
            self._log.order_answered(orders, number, page, begun)
        return page

    async def _publish(self, orders: Pod, page: Page, until: float) -> Page:
        """Hand an order to the queue; nginx waits for that until a point in time."""
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
