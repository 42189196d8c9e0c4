"""What goes on in the world while nobody tests: a load balancer that probes, customers, noise.

It crosses the same policy as everything else, so a broken policy shows in the counters without any
request from outside; and it is steady, so a counter that stands still means that nothing is denied.
"""

import random
from collections.abc import Awaitable, Callable

from acns_chaos.lab.net.clock import Clock, Tasks
from acns_chaos.lab.net.logs import PROBE_ADDRESS
from acns_chaos.lab.net.metrics.counters import Metrics
from acns_chaos.lab.net.shop.storefront import Shop
from acns_chaos.policy import Endpoint

PROBE = Endpoint.outside(PROBE_ADDRESS)
PROBE_EVERY = 5.0
CUSTOMERS_EVERY = 1.0
ORDER_EVERY = 15.0
NOISE_EVERY = 45.0
# Router solicitations of the pods that started before anybody looked.
NOISE_BEFORE = 12
_PATIENCE = 4.0
_CUSTOMERS = tuple(Endpoint.outside(f"198.51.100.{n}") for n in (21, 34, 55, 89, 144))
_PATHS = ("/", "/api/products", "/", "/api/products/3", "/api/orders/health")


class Traffic:
    """Starts and stops the steady traffic.

    Args:
        shop: where it goes, None in a world without one.
        metrics: for the noise.
        clock: for its pace.
        chance: for its jitter.
        noise: told how many router solicitations were dropped, besides the metrics.
    """

    def __init__(
        self,
        shop: Shop | None,
        metrics: Metrics,
        clock: Clock,
        chance: random.Random | None = None,
        noise: Callable[[int], None] | None = None,
    ) -> None:
        self._shop = shop
        self._metrics = metrics
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._heard = noise
        self._tasks = Tasks()
        self._visits = 0

    def start(self) -> None:
        """Begin."""
        self._make_noise(NOISE_BEFORE)
        self._tasks.spawn(self._forever(NOISE_EVERY, self._noise))
        if self._shop is not None:
            self._tasks.spawn(self._forever(PROBE_EVERY, self._probe))
            self._tasks.spawn(self._forever(CUSTOMERS_EVERY, self._customer))
            self._tasks.spawn(self._forever(ORDER_EVERY, self._order))

    async def stop(self) -> None:
        """End, whatever waits where."""
        await self._tasks.stop()

    async def _forever(self, every: float, act: Callable[[], Awaitable[None]]) -> None:
        # Not all at the same moment, and not in the first, when somebody takes a baseline.
        await self._clock.sleep(every * self._chance.uniform(0.3, 1.0))
        while True:
            await act()
            await self._clock.sleep(every * self._chance.uniform(0.9, 1.1))

    async def _noise(self) -> None:
        self._make_noise(1)

    def _make_noise(self, count: int) -> None:
        self._metrics.record_noise(count)
        if self._heard is not None:
            self._heard(count)

    async def _probe(self) -> None:
        # The next probe does not wait for this one.
        self._tasks.spawn(self._visit(PROBE, "GET", "/health", PROBE_EVERY))

    async def _customer(self) -> None:
        client = _CUSTOMERS[self._visits % len(_CUSTOMERS)]
        path = _PATHS[self._visits % len(_PATHS)]
        self._visits += 1
        self._tasks.spawn(self._visit(client, "GET", path, _PATIENCE))

    async def _order(self) -> None:
        self._tasks.spawn(self._visit(_CUSTOMERS[0], "POST", "/api/orders/", _PATIENCE))

    async def _visit(self, client: Endpoint, method: str, path: str, timeout: float) -> None:
        if self._shop is not None:
            await self._shop.visit(client, method, path, timeout=timeout)
