"""The lab's etcd: objects by kind, one revision counter, a history for watches.

Single-threaded: everything runs on the event loop, so a method is a transaction. Validation is
not here; whoever calls ``commit`` has validated. Objects go in and out as copies.
"""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

from acns_chaos.lab.api.applying.managed import managed_fields
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.objects import clone, new_uid, now
from acns_chaos.lab.api.kinds.resources import BY_KIND

_FIRST_REVISION = 1000
_WORLD_MANAGER = "lab-world"


@dataclass(frozen=True)
class Change:
    """One write.

    Attributes:
        type: "ADDED", "MODIFIED" or "DELETED".
        kind: "CiliumNetworkPolicy".
        object: the object after the write; for DELETED the last one. A copy
            that all listeners share, so none may change it.
    """

    type: str
    kind: str
    _stored: Json

    @cached_property
    def object(self) -> Json:
        """The copy, made when somebody looks: most listeners want few kinds."""
        return clone(self._stored)


@dataclass(frozen=True, slots=True)
class Entry:
    """One write as watches see it.

    Attributes:
        revision: the resourceVersion of the write.
        kind: the kind of the object.
        old: the object before, None for an added one.
        new: the object after, None for a deleted one.
    """

    revision: int
    kind: str
    old: Json | None
    new: Json | None


class _Kept(NamedTuple):
    """One write as the history keeps it: as text, which takes a tenth of the memory."""

    revision: int
    kind: str
    old: bytes | None
    new: bytes | None

    def entry(self) -> Entry:
        return Entry(self.revision, self.kind, _decoded(self.old), _decoded(self.new))


def _decoded(text: bytes | None) -> Json | None:
    return None if text is None else cast("Json", json.loads(text))


# The method ``Store.list`` hides the builtin inside the class.
Objects = list[Json]
Entries = list[Entry]


class Store:
    """All objects of the cluster.

    Attributes:
        revision: the resourceVersion of the newest write.
        forgotten: the newest revision that the history no longer holds.
    """

    def __init__(self, *, history: int = 5000) -> None:
        """Start empty.

        Args:
            history: how many writes a late watch can still see.
        """
        self.revision = _FIRST_REVISION
        self.forgotten = _FIRST_REVISION
        self._objects: dict[str, dict[tuple[str, str], Json]] = {}
        self._history: deque[_Kept] = deque(maxlen=history)
        self._texts: dict[tuple[str, str, str], bytes] = {}
        self._callbacks: list[Callable[[Change], None]] = []
        self._watchers: list[Callable[[Entry], None]] = []
        self._followers: list[Callable[[Entry], None]] = []

    def get(self, kind: str, namespace: str | None, name: str) -> Json:
        """One object.

        Raises:
            KeyError: there is none.
        """
        return clone(self._objects.get(kind, {})[namespace or "", name])

    def find(self, kind: str, namespace: str | None, name: str) -> Json | None:
        """One object, or None."""
        return clone(self._objects.get(kind, {}).get((namespace or "", name)))

    def list(self, kind: str, namespace: str | None = None) -> Objects:
        """The objects of a kind, of one namespace or (None) of all, by namespace and name."""
        return [
            clone(obj)
            for (where, _), obj in sorted(self._objects.get(kind, {}).items())
            if namespace is None or where == namespace
        ]

    def put(self, obj: Json) -> Json:
        """Load or overwrite an object of the world, status included.

        Args:
            obj: a Kubernetes object; its uid, resourceVersion, creationTimestamp, generation and
                managedFields are set as a server would.

        Returns:
            the stored object.
        """
        new = clone(obj)
        metadata = new.setdefault("metadata", {})
        resource = BY_KIND[new["kind"]]
        old = self.find(resource.kind, metadata.get("namespace"), metadata["name"])
        kept = old["metadata"] if old else {}
        for key, value in (("uid", new_uid()), ("creationTimestamp", now())):
            metadata[key] = kept.get(key) or metadata.get(key) or value
        if resource.generation:
            changed = old is not None and old.get("spec") != new.get("spec")
            metadata["generation"] = kept.get("generation", 1) + changed
        metadata["managedFields"] = managed_fields(
            old, new, manager=_WORLD_MANAGER, subresource="", time=now()
        )
        return self.commit(new)

    def write_status(
        self, kind: str, namespace: str | None, name: str, status: Json, manager: str = "lab-world"
    ) -> None:
        """Replace the status of an object, as a controller of the cluster does.

        Args:
            kind: of the object.
            namespace: of the object; None for a kind of the cluster.
            name: of the object.
            status: the new status. Equal to the stored one: nothing is written.
            manager: whose name managedFields shows.

        Raises:
            KeyError: there is no such object.
        """
        old = self.get(kind, namespace, name)
        if old.get("status") == status:
            return
        new = {**clone(old), "status": clone(status)}
        new["metadata"]["managedFields"] = managed_fields(
            old, new, manager=manager, subresource="status", time=now()
        )
        self.commit(new)

    def commit(self, obj: Json) -> Json:
        """Store an object that is ready, give it the next resourceVersion, and tell everybody.

        Args:
            obj: belongs to the store from now on.

        Returns:
            a copy of it.
        """
        metadata = obj["metadata"]
        key = metadata.get("namespace") or "", metadata["name"]
        objects = self._objects.setdefault(obj["kind"], {})
        old = objects.get(key)
        self.revision += 1
        metadata["resourceVersion"] = str(self.revision)
        objects[key] = obj
        self._tell(Entry(self.revision, obj["kind"], old, obj))
        return clone(obj)

    def delete(self, kind: str, namespace: str | None, name: str) -> Json:
        """Remove an object.

        Returns:
            its last state, with the resourceVersion of the deletion.

        Raises:
            KeyError: there is no such object.
        """
        old = self._objects.get(kind, {}).pop((namespace or "", name))
        self.revision += 1
        last = clone(old)
        last["metadata"]["resourceVersion"] = str(self.revision)
        self._tell(Entry(self.revision, kind, last, None))
        return clone(last)

    def on_change(self, callback: Callable[[Change], None]) -> None:
        """Call back after each write, at once, on the event loop."""
        self._callbacks.append(callback)

    def follow(self, callback: Callable[[Entry], None]) -> None:
        """Call back after each write, before anybody else hears of it, without a copy.

        For parts of the server itself; the objects of the entry must not be changed.
        """
        self._followers.append(callback)

    def watch(self, since: int, callback: Callable[[Entry], None]) -> Entries:
        """Start to follow the writes.

        Args:
            since: a resourceVersion the history still holds; see ``forgotten``.
            callback: called with each later write until ``unwatch``.

        Returns:
            the writes after ``since`` that have happened already.
        """
        self._watchers.append(callback)
        return self.after(since)

    def after(self, since: int) -> Entries:
        """The writes after a version, oldest first; complete unless it is in ``forgotten``."""
        return [kept.entry() for kept in self._history if kept.revision > since]

    def unwatch(self, callback: Callable[[Entry], None]) -> None:
        """Stop to follow."""
        self._watchers.remove(callback)

    def _tell(self, entry: Entry) -> None:
        if len(self._history) == self._history.maxlen:
            self.forgotten = self._history[0].revision
        self._history.append(self._kept(entry))
        for follower in self._followers:
            follower(entry)
        for watcher in list(self._watchers):
            watcher(entry)
        kind = "DELETED" if entry.new is None else "MODIFIED" if entry.old else "ADDED"
        change = Change(kind, entry.kind, entry.new or entry.old or {})
        for callback in list(self._callbacks):
            callback(change)

    def _kept(self, entry: Entry) -> _Kept:
        obj = entry.new or entry.old or {}
        metadata = obj["metadata"]
        key = entry.kind, metadata.get("namespace") or "", metadata["name"]
        text = json.dumps(obj).encode()
        if entry.new is None:
            self._texts.pop(key, None)
            return _Kept(entry.revision, entry.kind, text, None)
        old = self._texts.get(key)
        self._texts[key] = text
        return _Kept(entry.revision, entry.kind, old, text)
