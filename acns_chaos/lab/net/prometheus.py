"""The query side of a Prometheus server that scrapes this node, over plain HTTP on loopback.

The paths that Azure Monitor's query endpoint has, and those that clients and people try first.
Samples are taken every half second, so that a test need not wait for a real scrape. Evaluation is
in `promql`; what is counted is in `metrics`.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from decimal import Decimal

import promql_parser as pp
from aiohttp import web
from multidict import MultiDict, MultiMapping

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.history import History, Series
from acns_chaos.lab.net.listener import open_listener
from acns_chaos.lab.net.metrics import CILIUM_JOB, CLUSTER, HUBBLE_JOB, Metrics
from acns_chaos.lab.net.promql import ParseError, Query, parse, select_series
from acns_chaos.lab.net.vectors import ExecutionError, Value

SCRAPE_SECONDS = 0.5
_MAX_POINTS = 11_000
_STEPS_IN_ONE_GO = 50
Form = MultiMapping[str]


class _BadData(Exception):
    """A parameter that cannot be used."""


class Prometheus:
    """Scrapes the metrics and answers queries.

    Args:
        metrics: what is scraped.
        instance: gives the node's name.
        clock: when.
    """

    def __init__(self, metrics: Metrics, instance: Callable[[], str], clock: Clock) -> None:
        self._metrics = metrics
        self._instance = instance
        self._clock = clock
        self.history = History()
        self._runner: web.AppRunner | None = None
        self._scraper: asyncio.Task[None] | None = None

    async def start(self) -> str:
        """Serve on a free loopback port; returns the base URL."""
        self.scrape()
        self._scraper = asyncio.get_running_loop().create_task(self._scrape_forever())
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        sock = open_listener()
        host, port = sock.getsockname()
        await web.SockSite(self._runner, sock).start()
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Stop scraping and close the listener."""
        if self._scraper is not None:
            self._scraper.cancel()
            await asyncio.gather(self._scraper, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    def scrape(self) -> None:
        """Take one sample of every series."""
        self.history.append(self._clock.now(), self._metrics.samples(self._instance()))

    async def _scrape_forever(self) -> None:
        while True:
            await self._clock.sleep(SCRAPE_SECONDS)
            self.scrape()

    def _application(self) -> web.Application:
        app = web.Application()
        for path, answer in {
            "/api/v1/query": self._query,
            "/api/v1/query_range": self._query_range,
            "/api/v1/series": self._series,
            "/api/v1/labels": self._labels,
        }.items():
            handler = _answering(answer)
            app.router.add_get(path, handler)
            app.router.add_post(path, handler)
        app.router.add_get("/api/v1/label/{name}/values", self._label_values)
        app.router.add_get("/api/v1/targets", self._targets)
        app.router.add_get("/api/v1/status/buildinfo", _buildinfo)
        for path in ("/", "/-/ready", "/-/healthy"):
            app.router.add_get(path, _alive)
        return app

    # ------------------------------------------------------------------ queries

    async def _query(self, form: Form) -> object:
        query = Query(_parsed(form, "query"), self.history)
        when = _time(form, "time", self._clock.now())
        expression = query.expression
        if isinstance(expression, pp.MatrixSelector):
            window = query.range_at(expression, when)
            result = [
                {"metric": labels, "values": [[at, _number(v)] for at, v in samples]}
                for labels, samples in window.series
            ]
            return {"resultType": "matrix", "result": result}
        return _instant(query.at(when), when)

    async def _query_range(self, form: Form) -> object:
        query = Query(_parsed(form, "query"), self.history)
        start, end = _time(form, "start", None), _time(form, "end", None)
        step = _step(form)
        if end < start:
            raise _BadData("end timestamp must not be before start time")
        if (end - start) / step > _MAX_POINTS:
            raise _BadData(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
                "query resolution (?step=XX)"
            )
        if isinstance(query.expression, pp.MatrixSelector):
            raise _BadData(
                'invalid expression type "range vector" for range query, must be Scalar or '
                "instant Vector"
            )
        found: dict[tuple[tuple[str, str], ...], list[list[object]]] = {}
        for index in range(int((end - start) / step + 1e-9) + 1):
            when = start + index * step
            value = query.at(when)
            for labels, number in [({}, value)] if isinstance(value, float) else value:
                key = tuple(sorted(labels.items()))
                found.setdefault(key, []).append([when, _number(number)])
            if index % _STEPS_IN_ONE_GO == 0:
                await asyncio.sleep(0)
        result = [{"metric": dict(key), "values": values} for key, values in found.items()]
        return {"resultType": "matrix", "result": result}

    async def _series(self, form: Form) -> object:
        if not form.getall("match[]", []):
            raise _BadData("no match[] parameter provided")
        return [series.names for series in self._matching(form)]

    async def _labels(self, form: Form) -> object:
        return sorted({name for series in self._matching(form) for name in series.names})

    async def _label_values(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]

        async def values(form: Form) -> object:
            found = {series.names[name] for series in self._matching(form) if name in series.names}
            return sorted(found)

        return await _answering(values)(request)

    def _matching(self, form: Form) -> Iterable[Series]:
        """The series of `match[]`, all without it, that have a sample between start and end."""
        start, end = _time(form, "start", -math.inf), _time(form, "end", math.inf)
        selectors = form.getall("match[]", [])
        if selectors:
            groups = [select_series(self.history, _parse(text, "match[]")) for text in selectors]
        else:
            groups = [self.history.select(())]
        chosen = {series.labels: series for group in groups for series in group}
        return [series for series in chosen.values() if series.between(start, end)]

    async def _targets(self, _request: web.Request) -> web.Response:
        active = [
            {
                "labels": {"cluster": CLUSTER, "instance": self._instance(), "job": job},
                "scrapePool": job,
                "health": "up",
                "lastError": "",
                "scrapeInterval": f"{int(SCRAPE_SECONDS * 1000)}ms",
            }
            for job in (CILIUM_JOB, HUBBLE_JOB)
        ]
        return _success({"activeTargets": active, "droppedTargets": []})


# ---------------------------------------------------------------------- HTTP


def _answering(
    answer: Callable[[Form], Awaitable[object]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that wraps an answer, or an error, as Prometheus does."""

    async def handle(request: web.Request) -> web.Response:
        form: MultiDict[str] = MultiDict(request.query)
        if request.method == "POST":
            for key, value in (await request.post()).items():
                form.add(key, str(value))
        try:
            return _success(await answer(form))
        except _BadData as problem:
            return _failure(400, "bad_data", str(problem))
        except ExecutionError as problem:
            return _failure(422, "execution", str(problem))

    return handle


def _success(data: object) -> web.Response:
    return web.json_response({"status": "success", "data": data})


def _failure(status: int, kind: str, message: str) -> web.Response:
    body = {"status": "error", "errorType": kind, "error": message}
    return web.json_response(body, status=status)


async def _alive(_request: web.Request) -> web.Response:
    return web.Response(text="Prometheus Server (acns-chaos lab) is up.\n")


async def _buildinfo(_request: web.Request) -> web.Response:
    return _success({"version": "2.45.0+acns-chaos-lab", "revision": "", "branch": "lab"})


# ---------------------------------------------------------------------- parameters and results


def _parsed(form: Form, parameter: str) -> pp.Expr:
    return _parse(form.get(parameter, ""), parameter)


def _parse(text: str, parameter: str) -> pp.Expr:
    try:
        return parse(text)
    except ParseError as problem:
        raise _BadData(f'invalid parameter "{parameter}": parse error: {problem}') from problem


def _time(form: Form, parameter: str, default: float | None) -> float:
    text = form.get(parameter)
    if text is None and default is not None:
        return default
    try:
        return float(text or "")
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _BadData(
            f'invalid parameter "{parameter}": cannot parse "{text or ""}" to a valid timestamp'
        )
    return moment.timestamp()


def _step(form: Form) -> float:
    text = form.get("step", "")
    try:
        step = float(text)
    except ValueError:
        try:
            step = pp.parse_duration(text).total_seconds()
        except ValueError:
            raise _BadData(
                f'invalid parameter "step": cannot parse "{text}" to a valid duration'
            ) from None
    if not step > 0 or math.isinf(step):
        raise _BadData(
            'invalid parameter "step": zero or negative query resolution step widths are not '
            "accepted. Try a positive integer"
        )
    return step


def _instant(value: Value, when: float) -> dict[str, object]:
    if isinstance(value, float):
        return {"resultType": "scalar", "result": [when, _number(value)]}
    result = [{"metric": labels, "value": [when, _number(number)]} for labels, number in value]
    return {"resultType": "vector", "result": result}


def _number(value: float) -> str:
    """A sample value as text, never with an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == int(value):
        return str(int(value))
    return format(Decimal(json.dumps(value)), "f")
