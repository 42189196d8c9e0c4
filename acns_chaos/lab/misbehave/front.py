"""What stands before a server's handlers and spoils what was ordered to be spoilt.

One `Front` for each server. Nothing is decided here: `Table` says whether a request is struck.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from acns_chaos.lab.misbehave.answers import answer, cut
from acns_chaos.lab.misbehave.heard import Heard
from acns_chaos.lab.misbehave.selection import Facts, facts_of
from acns_chaos.lab.misbehave.table import Entry, Table
from acns_chaos.lab.misbehave.watches import Watches

_FAMILIES = frozenset({"answer", "write"})


class Front:
    """A middleware of aiohttp.

    Args:
        server: "kubernetes", "prometheus" or "shop".
        table: what is to be spoilt.
        watches: those that are open.
        heard: the list of requests.
    """

    __middleware_version__ = 1

    def __init__(self, server: str, table: Table, watches: Watches, heard: Heard) -> None:
        self._server = server
        self._table = table
        self._heard = heard
        self._watches = watches
        self._later: set[asyncio.Task[None]] = set()

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, well or badly."""
        if not self._table and not self._heard.on and "watch" not in request.query:
            return await handler(request)
        facts = facts_of(self._server, request)
        self._heard.note(facts)
        watch = self._watches.open(facts, request) if facts.verb == "watch" else None
        entry = self._table.chosen(_FAMILIES, facts)
        if entry is None:
            return await handler(request)
        self._table.strike(entry, str(facts))
        kind, options = entry.order.kind.name, entry.order.options
        if kind == "410" and watch is not None:
            # A watch is told in its own stream that it is too old.
            watch.too_old = True
            return await handler(request)
        if kind.isdigit():
            return answer(facts, int(kind), options.get("retry_after"))
        match kind:
            case "slow":
                await self._hold(entry, options["seconds"])
                return await handler(request)
            case "hang":
                await self._hold(entry, None)
            case "hang-after":
                response = await handler(request)
                entry.note(f"{facts} was answered {response.status}, unheard")
                await self._hold(entry, None)
            case "reset-mid-body":
                return await _half(request, await handler(request))
            case "unanswered-write":
                response = await handler(request)
                entry.note(f"{facts} was answered {response.status}, unheard")
            case "late-write":
                return await self._late(request, handler, entry, facts)
        return cut(request)

    async def _hold(self, entry: Entry, seconds: float | None) -> None:
        """Keep a client waiting until the time is up or the order is over."""
        entry.holding += 1
        try:
            async with asyncio.timeout(seconds):
                await entry.over.wait()
        except TimeoutError:
            pass
        finally:
            self._table.let_go(entry)

    async def _late(
        self, request: web.Request, handler: Handler, entry: Entry, facts: Facts
    ) -> web.StreamResponse:
        await request.read()
        task = asyncio.create_task(self._write(request, handler, entry, facts))
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        if entry.order.options["answer"] == "hang":
            await asyncio.shield(task)
        return cut(request)

    async def _write(
        self, request: web.Request, handler: Handler, entry: Entry, facts: Facts
    ) -> None:
        seconds = entry.order.options["seconds"]
        await asyncio.sleep(seconds)
        response = await handler(request)
        entry.note(f"{facts} was done {seconds:g} s late and answered {response.status}, unheard")

    def close(self) -> None:
        """Forget writes that are still on their way."""
        for task in self._later:
            task.cancel()


async def _half(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Send the first half of an answer; one that is a stream has been sent already."""
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return cut(request)
    body = response.body
    started = web.StreamResponse(status=response.status, headers=response.headers)
    started.content_length = len(body)
    await started.prepare(request)
    await started.write(body[: max(1, len(body) // 2)])
    cut(request)
    return started
