"""The query side of a Prometheus server that scrapes the nodes, over plain HTTP on loopback.

The paths that Azure Monitor's query endpoint has, and those that clients and people try first. Any
other path of the API answers 501 with its name. Evaluation is in `net.promql`, scraping in
`scraper`, rules and alerts in `rules`, parameters in `forms`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime

import promql_parser as pp
from aiohttp import web
from aiohttp.typedefs import Middleware
from multidict import MultiDict

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.listener import open_listener
from acns_chaos.lab.net.metrics.families import FAMILIES
from acns_chaos.lab.net.prometheus.forms import (
    BadData,
    Form,
    duration_of,
    instant,
    moment,
    number,
    query_of,
    selector_of,
    step_of,
    time_of,
)
from acns_chaos.lab.net.prometheus.rules.evaluator import Rules
from acns_chaos.lab.net.prometheus.scraper import Scraper, target_labels
from acns_chaos.lab.net.promql.evaluation import Query
from acns_chaos.lab.net.promql.expressions import matchers
from acns_chaos.lab.net.promql.history import Series, milliseconds
from acns_chaos.lab.net.promql.vectors import ExecutionError

VERSION = "2.42.0+acns-chaos-lab"
_MAX_POINTS = 11_000
_STEPS_IN_ONE_GO = 50
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
# Far enough in both directions for any sample, and exact as milliseconds.
_EVER = 1e12
_Key = tuple[tuple[str, str], ...]
_Answer = Callable[[Form], Awaitable[object]]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Prometheus:
    """Answers queries about what a scraper stored.

    Args:
        scraper: whose samples.
        clock: when.

    Attributes:
        rules: that are evaluated over the samples; none until somebody gives some.
        middlewares: what stands before the answers, if set before the start.
    """

    def __init__(self, scraper: Scraper, clock: Clock) -> None:
        self._scraper = scraper
        self._clock = clock
        self.history = scraper.history
        self.rules = Rules(self.history, clock)
        self.middlewares: list[Middleware] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Scrape, and serve on a free loopback port; returns the base URL."""
        self._scraper.start()
        self.rules.start()
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        sock = open_listener()
        host, port = sock.getsockname()
        await web.SockSite(self._runner, sock).start()
        return f"http://{host}:{port}"

    def stale(self, on: bool = True, node: str = "") -> None:
        """Stop scraping, or go on with it; see `Metrics.stale`.

        Args:
            on: False goes on.
            node: only its metrics; "" for those of every node.
        """
        self._scraper.stale(on, node)

    async def stop(self) -> None:
        """Stop scraping and evaluating, and close the listener."""
        await self.rules.stop()
        await self._scraper.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application(middlewares=self.middlewares)
        answers: dict[str, _Answer] = {
            "query": self._query,
            "query_range": self._query_range,
            "series": self._series,
            "labels": self._label_names,
        }
        for path, answer in answers.items():
            handler = _answering(answer)
            app.router.add_get(f"/api/v1/{path}", handler)
            app.router.add_post(f"/api/v1/{path}", handler)
        for path, answer in {
            "targets": self._targets,
            "metadata": _metadata,
            "rules": self._rules,
            "alerts": self._alerts,
            "status/buildinfo": _buildinfo,
        }.items():
            app.router.add_get(f"/api/v1/{path}", _answering(answer))
        app.router.add_get("/api/v1/label/{name}/values", self._label_values)
        app.router.add_route("*", "/api/v1/{path:.*}", _not_modelled)
        for path in ("/", "/-/ready", "/-/healthy"):
            app.router.add_get(path, _alive)
        return app

    # ------------------------------------------------------------------ queries

    async def _query(self, form: Form) -> object:
        when = time_of(form, "time", self._clock.now())
        if form.get("timeout"):
            duration_of(form, "timeout")
        query = Query(query_of(form), self.history)
        expression = query.expression
        if isinstance(expression, pp.MatrixSelector):
            found = query.range_at(expression, when)
            result = [
                {"metric": labels, "values": [[moment(at), number(v)] for at, v in samples]}
                for labels, samples in found.series
            ]
            return {"resultType": "matrix", "result": result}
        return instant(query.at(when), when)

    async def _query_range(self, form: Form) -> object:
        start, end = time_of(form, "start", None), time_of(form, "end", None)
        if end < start:
            raise BadData('invalid parameter "end": end timestamp must not be before start time')
        step = step_of(form)
        if (end - start) / step > _MAX_POINTS:
            raise BadData(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
                "query resolution (?step=XX)"
            )
        query = Query(query_of(form), self.history)
        kind = {pp.MatrixSelector: "range vector", pp.StringLiteral: "string"}
        wrong = kind.get(type(query.expression))
        if wrong:
            raise BadData(
                f'invalid parameter "query": invalid expression type "{wrong}" for range query, '
                "must be Scalar or instant Vector"
            )
        return {"resultType": "matrix", "result": await self._steps(query, start, end, step)}

    async def _steps(self, query: Query, start: float, end: float, step: float) -> list[object]:
        found: dict[_Key, list[list[object]]] = {}
        first, last, width = milliseconds(start), milliseconds(end), max(1, milliseconds(step))
        for index, when in enumerate(range(first, last + 1, width)):
            value = query.at(when / 1000)
            if isinstance(value, str):
                raise ExecutionError("a string has no range")
            for labels, one in [({}, value)] if isinstance(value, float) else value:
                key = tuple(sorted(labels.items()))
                found.setdefault(key, []).append([moment(when), number(one)])
            if index % _STEPS_IN_ONE_GO == 0:
                await asyncio.sleep(0)
        return [{"metric": dict(key), "values": found[key]} for key in sorted(found)]

    # ------------------------------------------------------------------ what there is

    async def _series(self, form: Form) -> object:
        if not form.getall("match[]", []):
            raise BadData("no match[] parameter provided")
        return [series.names for series in self._matching(form)]

    async def _label_names(self, form: Form) -> object:
        return sorted({name for series in self._matching(form) for name in series.names})

    async def _label_values(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]

        async def values(form: Form) -> object:
            if not _LABEL_NAME.fullmatch(name):
                raise BadData(f'invalid label name: "{name}"')
            found = {series.names[name] for series in self._matching(form) if name in series.names}
            return sorted(found)

        return await _answering(values)(request)

    def _matching(self, form: Form) -> Iterable[Series]:
        """The series of `match[]`, all without it, that have a sample between start and end."""
        start, end = time_of(form, "start", -_EVER), time_of(form, "end", _EVER)
        selectors = form.getall("match[]", [])
        groups = [self.history.select(matchers(selector_of(text))) for text in selectors]
        if not selectors:
            groups = [self.history.select(())]
        chosen = {series.labels: series for group in groups for series in group}
        edges = milliseconds(start), milliseconds(end)
        return [series for series in chosen.values() if series.between(*edges)]

    async def _rules(self, form: Form) -> object:
        kind = form.get("type", "").lower()
        if kind not in ("", "alert", "record"):
            raise BadData(f'invalid parameter "type": not supported value "{kind}"')
        return {"groups": self.rules.groups(kind)}

    async def _alerts(self, _form: Form) -> object:
        return {"alerts": self.rules.alerts()}

    async def _targets(self, form: Form) -> object:
        scraper, active = self._scraper, []
        for target in scraper.targets:
            up, last = scraper.is_up(target), datetime.fromtimestamp(scraper.last(target), UTC)
            active.append(
                {
                    "discoveredLabels": {"__address__": target.url.split("/")[2]}
                    if target.url
                    else {},
                    "labels": target_labels(target),
                    "scrapePool": target.job,
                    "scrapeUrl": target.url,
                    "globalUrl": target.url,
                    "lastError": "" if up else f'Get "{target.url}": EOF',
                    "lastScrape": last.isoformat().replace("+00:00", "Z"),
                    "lastScrapeDuration": 0.001,
                    "health": "up" if up else "down",
                    "scrapeInterval": f"{round(scraper.seconds * 1000)}ms",
                    "scrapeTimeout": f"{round(scraper.seconds * 1000)}ms",
                }
            )
        state = form.get("state", "any")
        return {
            "activeTargets": [] if state == "dropped" else active,
            "droppedTargets": [],
        }


# ---------------------------------------------------------------------- HTTP


def _answering(answer: _Answer) -> _Handler:
    """A handler that wraps an answer, or an error, as Prometheus does."""

    async def handle(request: web.Request) -> web.StreamResponse:
        form: MultiDict[str] = MultiDict(request.query)
        if request.method == "POST":
            for key, value in (await request.post()).items():
                form.add(key, str(value))
        try:
            data = await answer(form)
        except BadData as problem:
            return _failure(400, "bad_data", str(problem))
        except ExecutionError as problem:
            return _failure(422, "execution", str(problem))
        return web.json_response({"status": "success", "data": data})

    return handle


def _failure(status: int, kind: str, message: str) -> web.Response:
    body = {"status": "error", "errorType": kind, "error": message}
    return web.json_response(body, status=status)


async def _not_modelled(request: web.Request) -> web.StreamResponse:
    path = request.match_info["path"]
    return _failure(501, "unavailable", f"/api/v1/{path} is not modelled by the lab")


async def _alive(_request: web.Request) -> web.Response:
    return web.Response(text="Prometheus Server (acns-chaos lab) is up.\n")


async def _metadata(form: Form) -> object:
    wanted = form.get("metric")
    return {
        name: [{"type": family.kind, "help": family.help, "unit": ""}]
        for name, family in FAMILIES.items()
        if wanted in (None, name)
    }


async def _buildinfo(_form: Form) -> object:
    return {
        "version": VERSION,
        "revision": "",
        "branch": "lab",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }
