"""The built-in Prometheus' scraping: a sample of every series, at the world's interval.

It reads the counters where they are, not over HTTP, and stores what a Prometheus would that scrapes
the endpoints of `exposition` and labels them as AKS does. AKS scrapes every 30 s; worlds scrape
every half second unless they say otherwise, so that a test need not wait.
"""

import asyncio
from collections.abc import Iterator, Sequence

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.metrics.counters import Metrics
from acns_chaos.lab.net.metrics.exposition import JOBS, Target
from acns_chaos.lab.net.promql.history import History, Labels

CLUSTER = "acns-chaos-lab"


class Scraper:
    """Fills a history.

    Args:
        metrics: what is scraped.
        clock: when.
        seconds: between two scrapes.

    Attributes:
        history: the samples.
        targets: what is scraped, as it is exposed.
    """

    def __init__(self, metrics: Metrics, clock: Clock, seconds: float) -> None:
        self._metrics = metrics
        self._clock = clock
        self.seconds = seconds
        self.history = History()
        self.targets: Sequence[Target] = [
            Target(node, endpoint) for node in metrics.nodes for endpoint in JOBS
        ]
        self._last: dict[Target, float] = {}
        self._stored: dict[tuple[str, str, str, Labels], Labels] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Scrape now and from now on."""
        self.scrape()
        self._task = asyncio.get_running_loop().create_task(self._forever())

    async def stop(self) -> None:
        """Scrape no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def stale(self, on: bool, node: str) -> None:
        """Leave out a node, or every one for "", or scrape it again."""
        self._metrics.stale(node, on)

    def scrape(self) -> None:
        """Take one sample of every series."""
        for target in self.targets:
            if self._metrics.is_stale(target.node):
                continue
            self._last[target] = self._clock.now()
            key = (target.node, target.endpoint)
            self.history.append(self._clock.now(), self._samples(target), key)

    def is_up(self, target: Target) -> bool:
        """Whether a target answers."""
        return not self._metrics.is_down(target.node)

    def last(self, target: Target) -> float:
        """When a target was scraped last, in seconds since 1970; 0 for never."""
        return self._last.get(target, 0.0)

    async def _forever(self) -> None:
        while True:
            await self._clock.sleep(self.seconds)
            self.scrape()

    def _samples(self, target: Target) -> Iterator[tuple[Labels, float]]:
        up = self.is_up(target)
        yield self._labels("up", target, ()), float(up)
        if up:
            for name, labels, value in self._metrics.exposed(target.node, target.endpoint):
                yield self._labels(name, target, labels), value

    def _labels(self, name: str, target: Target, labels: Labels) -> Labels:
        key = (name, target.node, target.job, labels)
        stored = self._stored.get(key)
        if stored is None:
            own = {"__name__": name, **target_labels(target)}
            # An empty label is an absent one to Prometheus.
            own |= {label: value for label, value in labels if value}
            stored = self._stored[key] = tuple(sorted(own.items()))
        return stored


def target_labels(target: Target) -> dict[str, str]:
    """The labels that a target adds to its series."""
    return {"cluster": CLUSTER, "instance": target.node, "job": target.job}
