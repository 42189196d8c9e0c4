"""get, list and watch: selectors, pages, versions.

A page after the first comes from the snapshot that the first one took, as on a real server.
"""

import asyncio
import base64
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import clone
from acns_chaos.lab.api.kinds.resources import Resource
from acns_chaos.lab.api.options import ListOptions
from acns_chaos.lab.api.reading.selectors import field_match, label_match
from acns_chaos.lab.api.store import Entry, Objects, Store
from acns_chaos.lab.api.writing.writes import Target

_SNAPSHOTS = 100
_BOOKMARK_SECONDS = 60.0
_INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What is left of a list that was asked for in pages."""

    revision: int
    items: list[Json]


class Reads:
    """The reading verbs over one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()
        self._queues: set[asyncio.Queue[Entry | None]] = set()
        self._tokens = 0

    def get(self, target: Target) -> Json:
        """One object.

        Raises:
            Failure: 404.
        """
        found = self._store.find(target.resource.kind, target.namespace, target.name)
        if found is None:
            raise target.not_found()
        return found

    def matching(self, target: Target, options: ListOptions) -> list[Json]:
        """The objects that the selectors choose.

        Raises:
            Failure: 400 for a selector that cannot be read.
        """
        match = _match(target.resource, options)
        return list(filter(match, self._store.list(target.resource.kind, target.namespace)))

    def list(self, target: Target, options: ListOptions) -> Json:
        """A collection, or one page of it.

        Raises:
            Failure: 400 for a bad selector, 410 for a page or a version that is no longer there,
                504 for a version in the future.
        """
        if options.since > self._store.revision:
            raise failures.too_large_version(options.since, self._store.revision)
        if options.token:
            rest = self._snapshots.get(options.token)
            if rest is None:
                raise failures.gone(
                    "The provided continue parameter is too old to display a consistent list "
                    "result. You can start a new list without the continue parameter."
                )
        elif options.match == "Exact":
            rest = _Snapshot(options.since, self._as_of(target, options))
        else:
            rest = _Snapshot(self._store.revision, self.matching(target, options))
        metadata: Json = {"resourceVersion": str(rest.revision)}
        items = rest.items
        if options.limit and len(items) > options.limit:
            metadata["continue"] = self._keep(_Snapshot(rest.revision, items[options.limit :]))
            if not options.labels and not options.fields:
                metadata["remainingItemCount"] = len(items) - options.limit
            items = items[: options.limit]
        return list_of(target.resource, items, metadata)

    def _as_of(self, target: Target, options: ListOptions) -> Objects:
        """What a list would have shown at the version ``options.since``."""
        if options.since < self._store.forgotten:
            raise failures.gone("The resourceVersion for the provided list is too old.")
        found = {_key(obj): obj for obj in self._store.list(target.resource.kind, target.namespace)}
        for entry in reversed(self._store.after(options.since)):
            known = entry.new or entry.old or {}
            if entry.kind != target.resource.kind or not _in_namespace(known, target):
                continue
            found.pop(_key(known), None)
            if entry.old is not None:
                found[_key(entry.old)] = clone(entry.old)
        match = _match(target.resource, options)
        return [obj for _, obj in sorted(found.items()) if match(obj)]

    def _keep(self, snapshot: _Snapshot) -> str:
        self._tokens += 1
        text = json.dumps({"v": "meta.k8s.io/v1", "rv": snapshot.revision, "page": self._tokens})
        token = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        self._snapshots[token] = snapshot
        while len(self._snapshots) > _SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return token

    def watch(self, target: Target, options: ListOptions) -> AsyncIterator[Json]:
        """The events of a watch; the stream ends after ``options.seconds``, or at ``close``.

        Raises:
            Failure: 400 for a bad selector, 504 for a version in the future. A version that is
                too old is an ERROR event in the stream, as on a real server.
        """
        if options.since > self._store.revision:
            raise failures.too_large_version(options.since, self._store.revision)
        return self._events(target, options, _match(target.resource, options))

    async def _events(
        self, target: Target, options: ListOptions, match: Callable[[Json], bool]
    ) -> AsyncIterator[Json]:
        if 0 < options.since < self._store.forgotten:
            message = f"too old resource version: {options.since} ({self._store.forgotten})"
            yield {"type": "ERROR", "object": failures.gone(message).status}
            return
        queue: asyncio.Queue[Entry | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        ends = loop.time() + options.seconds if options.seconds else None
        # Nothing is awaited between the snapshot and the subscription: no write is missed.
        everything = options.initial or (options.initial is None and not options.since)
        present = self.matching(target, options) if everything else []
        since = 0 if everything else options.since
        missed = self._store.watch(since or self._store.revision, queue.put_nowait)
        start = self._bookmark(target.resource, _INITIAL_EVENTS_END)
        self._queues.add(queue)
        try:
            for obj in present:
                yield {"type": "ADDED", "object": obj}
            if options.initial and options.bookmarks:
                yield start
            for entry in missed:
                queue.put_nowait(entry)
            bookmark = loop.time() + _BOOKMARK_SECONDS if options.bookmarks else None
            while True:
                try:
                    found = await _next(queue, min(filter(None, (ends, bookmark)), default=None))
                except TimeoutError:
                    if bookmark:
                        yield self._bookmark(target.resource)
                        bookmark = loop.time() + _BOOKMARK_SECONDS
                    if ends and loop.time() >= ends:
                        return
                    continue
                if found is None:
                    return
                if event := _event(found, target, match):
                    yield event
        finally:
            self._queues.discard(queue)
            self._store.unwatch(queue.put_nowait)

    def _bookmark(self, resource: Resource, annotations: Json | None = None) -> Json:
        metadata: Json = {
            "resourceVersion": str(self._store.revision),
            "creationTimestamp": None,
            **({"annotations": annotations} if annotations else {}),
        }
        obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return {"type": "BOOKMARK", "object": obj}

    def close(self) -> None:
        """End every watch: the server stops."""
        for queue in self._queues:
            queue.put_nowait(None)


def list_of(resource: Resource, items: list[Json], metadata: Json) -> Json:
    """A list object; items of built-in kinds come without kind and apiVersion, as on a server."""
    if not resource.custom:
        items = [
            {key: value for key, value in item.items() if key not in {"kind", "apiVersion"}}
            for item in items
        ]
    return {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": items,
    }


def _match(resource: Resource, options: ListOptions) -> Callable[[Json], bool]:
    labels, fields = label_match(options.labels), field_match(resource, options.fields)
    return lambda obj: labels(obj) and fields(obj)


async def _next(queue: asyncio.Queue[Entry | None], ends: float | None) -> Entry | None:
    """The next write; None when the server stops.

    Raises:
        TimeoutError: it is ``ends``, a time of the event loop.
    """
    if not queue.empty() and (ends is None or asyncio.get_running_loop().time() < ends):
        return queue.get_nowait()
    async with asyncio.timeout_at(ends):
        return await queue.get()


def _key(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace") or "", obj["metadata"]["name"]


def _in_namespace(obj: Json, target: Target) -> bool:
    return target.namespace is None or obj["metadata"].get("namespace") == target.namespace


def _event(entry: Entry, target: Target, match: Callable[[Json], bool]) -> Json | None:
    """What a write means to one watch: an object may enter or leave its selection."""
    known = entry.new or entry.old or {}
    if entry.kind != target.resource.kind or not _in_namespace(known, target):
        return None
    was = entry.old is not None and match(entry.old)
    fits = entry.new is not None and match(entry.new)
    if not was and not fits:
        return None
    kind = "MODIFIED" if was and fits else "ADDED" if fits else "DELETED"
    return {"type": kind, "object": clone(known)}
