"""A Prometheus, asked for raw samples: nothing is derived on the server.

`increase()` is 0 for the first drop of a new series (reference captures, "Metrics"), and a sum
hides which of its series began again. What the samples mean for an experiment is in `evidence`.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.moments import END
from acns_chaos.cluster.prometheus.counters import HUBBLE, WITNESSES, Counter, selector
from acns_chaos.cluster.prometheus.credentials import Credentials
from acns_chaos.cluster.prometheus.series import (
    Clock,
    Freshness,
    Nodes,
    Series,
    cluster_nodes,
    series_of,
)
from acns_chaos.cluster.prometheus.settings import URL_VARIABLE, settings_from
from acns_chaos.errors import ApiError

__all__ = ["TIMEOUT", "Prometheus", "prometheus_from"]

Answer = TypeVar("Answer")

TIMEOUT = 5.0
# What a query API answers to a query that it does not want.
_REFUSED = (400, 422, 501)
# How many scrapes of a node are looked at to see how far apart they are.
_SCRAPES = 3
# How many foreign instances are named.
_NAMED = 10


class Prometheus:
    """A Prometheus that is asked with time-outs, and again only where it asks for time.

    Args:
        url: its base, without credentials.
        timeout: seconds for one answer.
        credentials: who asks.
        cluster: value of the label `cluster` to ask for, "" for any.
        api: the cluster whose metrics are meant; needed for `nodes` only.

    Attributes:
        notes: every question that had to be asked again, and what the server warned of.
    """

    def __init__(
        self,
        url: str,
        timeout: float = TIMEOUT,
        credentials: Credentials | None = None,
        cluster: str = "",
        api: Api | None = None,
    ) -> None:
        self.url = url
        self.timeout = timeout
        self.cluster = cluster
        self.notes: list[str] = []
        self._credentials = credentials or Credentials()
        self._api = api
        self._client: Any = None
        self._session: Any = None
        self._nodes: Nodes | None = None
        self._clock: Clock | None = None
        self._intervals: dict[str, float] = {}

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], api: Api | None = None) -> "Prometheus":
        """Open the Prometheus named by the environment.

        Raises:
            ApiError: none is named, or the variables do not fit together.
        """
        settings = settings_from(environ)
        if not settings.url:
            raise ApiError(f"No Prometheus is named: set {URL_VARIABLE} to its address.")
        return cls(settings.url, TIMEOUT, settings.credentials, settings.cluster, api)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What it said about its own answers, such as that a part is missing."""
        return () if self._session is None else tuple(self._session.warnings)

    # ------------------------------------------------------------------ queries

    def selector(self, query: str, *more: str) -> str:
        """Add the matcher `cluster` to a selector, where one is set, and further ones.

        Args:
            query: a metric's name, with or without matchers in braces.
            more: matchers, as PromQL.
        """
        return selector(query, self.cluster, *more)

    def instant(self, query: str, at: float | None = None) -> list[Series]:
        """Ask for a vector.

        Args:
            query: PromQL; one metric a selector, or Azure Monitor refuses.
            at: seconds since 1970 by Prometheus' clock; None is its now.

        Returns:
            A series each, with one sample.

        Raises:
            ApiError: it cannot be asked, or does not answer the query.
        """
        params = None if at is None else {"time": f"{at:.3f}"}
        return series_of(self._ask(lambda client: client.custom_query(query, params=params)))

    def series(self, query: str, begin: float, end: float) -> list[Series]:
        """Ask for the raw samples of a selector in a window, both edges included.

        Args:
            query: a selector; see `selector`.
            begin: seconds since 1970 by Prometheus' clock.
            end: likewise.

        Raises:
            ApiError: it cannot be asked, or does not answer the query.
        """
        # Before 3.0 the window has both its edges, since then only the later one: a second more.
        seconds = max(1, math.ceil(end - begin)) + 1
        found = self.instant(f"{query}[{seconds}s]", end)
        return [
            Series(one.labels, tuple(pair for pair in one.samples if pair[0] >= begin))
            for one in found
        ]

    def json(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Ask for a document of another path of its API.

        Args:
            path: below the base, such as "/api/v1/rules".
            params: of the query.

        Raises:
            NotFound: it has no such path.
            ApiError: it cannot be asked.
        """
        return self._ask(lambda _: self._session.json(f"{self.url}{path}", params))

    def policy_drops(self, counter: Counter, at: float | None = None) -> float:
        """Sum a drop counter's series whose reason is a policy's.

        Args:
            counter: which.
            at: seconds since 1970 by Prometheus' clock; None is its now.

        Returns:
            Packets (or events, for Hubble) since the counters started; 0 when there is no series.

        Raises:
            ApiError: Prometheus cannot be asked, or does not answer the query.
        """
        found = self.instant(self.selector(counter.query), at)
        return sum(one.last for one in found if counter.counts(one.labels))

    # ------------------------------------------------------------------ about itself

    def clock(self) -> Clock:
        """Compare its clock with this machine's; asked once.

        Raises:
            ApiError: it cannot be asked. That it does not evaluate such a query is no error.
        """
        if self._clock is None:
            before = time.time()
            try:
                answer = self._ask(lambda client: client.custom_query("time()"))
                after = time.time()
                ahead = float(answer[1]) - (before + after) / 2
                known = Clock(ahead, (after - before) / 2)
                self._clock = known if abs(ahead) < END else Clock(0.0, None)
            except (IndexError, KeyError, TypeError, ValueError):
                self._clock = Clock(0.0, None)
            except ApiError as error:
                if error.status not in _REFUSED:
                    raise
                # Not every query API evaluates without a metric: then both clocks are taken to
                # agree, and the evidence says that nobody looked.
                self._clock = Clock(0.0, None)
        return self._clock

    def now(self) -> float:
        """Return this moment by Prometheus' clock, in seconds since 1970."""
        return time.time() + self.clock().ahead

    def moment(self, at: float) -> float:
        """Turn a moment of this machine's clock into one of Prometheus', never too late a one."""
        clock = self.clock()
        return at + clock.ahead - (clock.bound or 0.0)

    def nodes(self) -> Nodes:
        """Return the nodes of the cluster that should have metrics; asked once.

        Raises:
            ApiError: they cannot be listed.
        """
        if self._nodes is None:
            if self._api is None:
                raise ApiError("No cluster is named, so it cannot be told whose metrics these are.")
            self._nodes = cluster_nodes(self._api)
        return self._nodes

    def freshness(self, source: str = HUBBLE, at: float | None = None) -> Freshness:
        """Tell how old each node's newest sample is.

        Args:
            source: HUBBLE or AGENT: which of a node's endpoints.
            at: seconds since 1970 by Prometheus' clock; None is its now.

        Raises:
            ApiError: Prometheus cannot be asked, or the cluster for its nodes.
        """
        nodes = self.nodes()
        at = self.now() if at is None else at
        newest: dict[str, float] = {}
        strangers: set[str] = set()
        asked = []
        for metric in WITNESSES[source]:
            asked.append(metric)
            for one in self._newest(metric, at):
                node = nodes.of(one.labels)
                if node:
                    newest[node] = max(newest.get(node, 0.0), one.last)
                else:
                    strangers.add(one.labels.get("instance") or "no label instance")
            if len(newest) == len(nodes):
                break
        return Freshness(
            at,
            {name: max(0.0, at - newest[name]) for name in nodes.names if name in newest},
            tuple(name for name in nodes.names if name not in newest),
            tuple(sorted(strangers))[:_NAMED],
            len(strangers),
            tuple(asked),
        )

    def scrape_interval(self, source: str = HUBBLE) -> float | None:
        """Measure how many seconds lie between two scrapes, None when there were not yet two.

        Args:
            source: HUBBLE or AGENT.

        Raises:
            ApiError: Prometheus cannot be asked.
        """
        if source not in self._intervals:
            at, place = self.now(), ""
            times: list[float] = []
            while len(times) < _SCRAPES:
                found = {
                    one.labels.get("instance", ""): one.last
                    for one in self._newest(WITNESSES[source][0], at)
                }
                place = place if times else max(found, key=lambda one: found[one], default="")
                if place not in found:
                    break
                times.append(found[place])
                at = found[place] - 0.001
            if len(times) > 1:
                # The shortest: a scrape may have been missed.
                steps = [late - early for late, early in itertools.pairwise(times)]
                self._intervals[source] = round(min(steps), 3)
        return self._intervals.get(source)

    def scraped(self) -> tuple[float, float] | None:
        """When each target was scraped last: the first and the last of these moments.

        Returns:
            Seconds since 1970 by its clock; None when it knows of no target.

        Raises:
            ApiError: Prometheus cannot be asked.
        """
        # Of every job, as a rule may be about any; a target that is down has this sample, too.
        query = f"max by (job, instance) (timestamp({self.selector('up')}))"
        found = [one.last for one in self.instant(query, self.now())]
        return (min(found), max(found)) if found else None

    def _newest(self, metric: str, at: float) -> list[Series]:
        """Ask when each node was scraped last: one sample a node, however many pods it has."""
        query = f"max by (instance, node) (timestamp({self.selector(metric)}))"
        return self.instant(query, at)

    # ------------------------------------------------------------------ asking

    def _ask(self, ask: Callable[[Any], Answer]) -> Answer:
        from acns_chaos.cluster.prometheus.session import asked

        client = self._connect()
        return asked(
            self._session, f"Prometheus at {self.url}", lambda: ask(client), self.notes.append
        )

    def _connect(self) -> Any:
        if self._client is None:
            from prometheus_api_client import PrometheusConnect
            from urllib3.util.retry import Retry

            from acns_chaos.cluster.prometheus.session import Session

            self._session = Session(self._credentials, self.timeout)
            # Its own default is no time-out and six seconds of retries.
            self._client = PrometheusConnect(
                url=self.url,
                retry=Retry(total=0, redirect=False),
                timeout=self.timeout,
                session=self._session,
            )
        return self._client


def prometheus_from(api: Api | None, environ: Mapping[str, str]) -> Prometheus:
    """Open the Prometheus named by the environment, for the metrics of one cluster.

    Args:
        api: the cluster; None when nothing depends on whose metrics they are.
        environ: see docs/prometheus.md.

    Raises:
        ApiError: none is named, or the variables do not fit together.
    """
    return Prometheus.from_environ(environ, api)
