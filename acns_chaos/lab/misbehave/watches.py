"""Watches that misbehave: slow, silent, broken, closed, too old, without bookmarks.

Every open watch is known, so that an order also reaches those that were open before it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from acns_chaos.lab.api.app import SHAPE_WATCH
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.misbehave.answers import cut, too_old
from acns_chaos.lab.misbehave.selection import Facts
from acns_chaos.lab.misbehave.table import Entry, Table


class Watch:
    """One open watch.

    Args:
        facts: of the request.
        request: whose connection may be cut.
        table: what misbehaves.

    Attributes:
        too_old: its first event says so.
    """

    def __init__(self, facts: Facts, request: web.Request, table: Table) -> None:
        self.too_old = False
        self.facts = facts
        self._request = request
        self._table = table
        self._entries: dict[int, Entry] = {}
        self._passed = 0
        self._task: asyncio.Task[object] | None = None
        self._ending = ""

    def meet(self, entry: Entry) -> None:
        """Begin to suffer from an order, once; a running watch may end by it."""
        if entry.number in self._entries or not entry.takes(self.facts):
            return
        self._entries[entry.number] = entry
        entry.holding += 1
        self._table.strike(entry, str(self.facts))
        self._ending = self._ending or self._end_of(entry)
        if self._ending and self._task is not None:
            self._task.cancel()

    def _end_of(self, entry: Entry) -> str:
        kind = entry.order.kind.name
        if kind == "watch-closed":
            return "closed"
        broken = kind == "watch-broken" and self._passed >= entry.order.options["events"]
        return "broken" if broken else ""

    async def shape(self, events: AsyncIterator[Json]) -> AsyncIterator[Json]:
        """The events as the client is to see them.

        Args:
            events: as they happen.

        Raises:
            ConnectionResetError: the connection was cut.
        """
        if self.too_old:
            yield {"type": "ERROR", "object": too_old().status}
            return
        try:
            for entry in self._table:
                if entry.order.kind.family == "watch":
                    self.meet(entry)
            async for event in self._until_ended(events):
                if not await self._withheld(event):
                    yield event
                    self._passed += 1
                if self._entries and not self._ending:
                    endings = (self._end_of(entry) for entry in self._entries.values())
                    self._ending = next(filter(None, endings), "")
        finally:
            for entry in self._entries.values():
                self._table.let_go(entry)
        if self._ending == "broken":
            cut(self._request)
            raise ConnectionResetError

    async def _until_ended(self, events: AsyncIterator[Json]) -> AsyncIterator[Json]:
        while not self._ending:
            self._task = asyncio.current_task()
            try:
                event = await anext(events)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                if not self._ending or self._task is None:
                    raise
                self._task.uncancel()
                return
            # An order that comes while the event is on its way is seen right after it.
            self._task = None
            yield event

    async def _withheld(self, event: Json) -> bool:
        """Wait as long as is ordered; whether the event is then kept back."""
        for entry in self._entries.values():
            kind = entry.order.kind.name
            if entry.over.is_set():
                continue
            if kind == "watch-without-bookmarks" and event["type"] == "BOOKMARK":
                return True
            if kind == "watch-slow":
                with suppress(TimeoutError):
                    await asyncio.wait_for(entry.over.wait(), entry.order.options["seconds"])
            if kind == "watch-silent":
                await entry.over.wait()
                # What it has missed cannot be told any more: the client must begin anew.
                self._ending = "broken"
                return True
        return False


class Watches:
    """All open watches of one server.

    Args:
        table: what misbehaves.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._open: set[Watch] = set()

    def open(self, facts: Facts, request: web.Request) -> Watch:
        """Know a watch from now on; the API asks its ``shape`` for the events to send."""
        watch = Watch(facts, request, self._table)

        async def shape(events: AsyncIterator[Json]) -> AsyncIterator[Json]:
            self._open.add(watch)
            try:
                async for event in watch.shape(events):
                    yield event
            finally:
                self._open.discard(watch)

        request[SHAPE_WATCH] = shape
        return watch

    def meet(self, entry: Entry) -> None:
        """Let an order reach the watches that are open already."""
        if entry.order.kind.family == "watch":
            for watch in list(self._open):
                watch.meet(entry)
