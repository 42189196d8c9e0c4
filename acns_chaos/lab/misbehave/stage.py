"""What an actor has: one policy to look at, to wait for and to write, under a manager's name.

Writes go through the API's own ``Writes``, so that they are validated, owned and seen by watches
as anybody's. What actors do is in ``actors``.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.kinds.resources import BY_KIND
from acns_chaos.lab.api.options import DeleteOptions, WriteOptions
from acns_chaos.lab.api.store import Entry, Store
from acns_chaos.lab.api.writing.patches import APPLY_PATCH, JSON_PATCH
from acns_chaos.lab.api.writing.writes import Target, Writes
from acns_chaos.lab.misbehave.orders import Misused

_KINDS = ("CiliumNetworkPolicy", "NetworkPolicy")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where actors act: the objects, and the API's way to write them."""

    store: Store
    writes: Writes


def target_of(store: Store, text: str) -> Target:
    """The policy that an order names.

    Args:
        store: where it is.
        text: NAMESPACE/NAME of a CiliumNetworkPolicy or NetworkPolicy, or the NAME of a
            CiliumClusterwideNetworkPolicy.

    Raises:
        Misused: there is none; the sentence names what there is.
    """
    namespace, slash, name = text.rpartition("/")
    kinds = _KINDS if slash else ("CiliumClusterwideNetworkPolicy",)
    for kind in kinds:
        if store.find(kind, namespace or None, name):
            return Target(BY_KIND[kind], namespace or None, name)
    there = [one["metadata"]["name"] for kind in kinds for one in store.list(kind, namespace)]
    where = f"namespace {namespace!r}" if slash else "the cluster"
    raise Misused(f"There is no policy {name!r} in {where}: it has {', '.join(there) or 'none'}.")


def content(policy: Json | None) -> Json:
    """What people write of a policy; empty for none."""
    if policy is None:
        return {}
    metadata = policy["metadata"]
    kept: Json = {key: policy[key] for key in ("spec", "specs") if key in policy}
    return kept | {key: metadata[key] for key in ("labels", "annotations") if metadata.get(key)}


def document(target: Target, policy: Json) -> Json:
    """A policy as it would lie in a repository: what people write, and its name."""
    found = content(policy)
    metadata: Json = {"name": target.name}
    if target.namespace:
        metadata["namespace"] = target.namespace
    for key in ("labels", "annotations"):
        values = {k: v for k, v in found.pop(key, {}).items() if k != _LAST_APPLIED}
        if values:
            metadata[key] = values
    resource = target.resource
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata} | found


class Stage:
    """One policy and one writer.

    Args:
        cluster: where the policy is.
        target: the policy.
        manager: whose name managedFields shows.
        strike: called with a sentence for each act.
    """

    def __init__(
        self, cluster: Cluster, target: Target, manager: str, strike: Callable[[str], None]
    ) -> None:
        self.target = target
        self._store = cluster.store
        self._writes = cluster.writes
        self._manager = manager
        self._strike = strike
        self._changes: asyncio.Queue[Entry] = asyncio.Queue()
        self._writing = False
        self._store.watch(self._store.revision, self._see)

    def close(self) -> None:
        """Look at nothing any more."""
        self._store.unwatch(self._see)

    def _see(self, entry: Entry) -> None:
        obj = entry.new or entry.old or {}
        metadata = obj["metadata"]
        mine = entry.kind == self.target.resource.kind and metadata["name"] == self.target.name
        if not mine or self._writing or metadata.get("namespace") != self.target.namespace:
            return
        if content(entry.old) != content(entry.new):
            self._changes.put_nowait(entry)

    def live(self) -> Json | None:
        """The policy as it is."""
        return self._store.find(self.target.resource.kind, self.target.namespace, self.target.name)

    async def changed(self) -> None:
        """Wait until somebody else changes what people write of the policy."""
        await self._changes.get()
        while not self._changes.empty():
            self._changes.get_nowait()

    def apply(self, policy: Json, *, counted: bool = True) -> None:
        """Server-side apply, by force; a strike unless it is not to be counted."""
        sentence = f"applied {self._named()}" if counted else ""
        self._patch(policy, APPLY_PATCH, [("force", "true")], sentence)

    def edit(self, patch: list[Json], *, dry_run: bool = False, counted: bool = True) -> None:
        """Write a JSON patch; a strike unless it is not to be counted."""
        query = [("dryRun", "All")] if dry_run else []
        self._patch(patch, JSON_PATCH, query, f"edited {self._named()}" if counted else "")

    def _patch(self, body: Any, kind: str, query: Iterable[tuple[str, str]], sentence: str) -> None:
        asked = [("fieldManager", self._manager), *query]
        applies = kind == APPLY_PATCH
        options = WriteOptions.read(asked, "patch", self._manager, applies=applies)
        self._write(
            lambda: self._writes.patch(self.target, json.dumps(body).encode(), kind, options),
            "" if options.dry_run else sentence,
        )

    def delete(self) -> None:
        """Delete the policy."""
        options = DeleteOptions.read([], {})
        self._write(lambda: self._writes.delete(self.target, options), f"deleted {self._named()}")

    def create(self, policy: Json) -> None:
        """Create the policy."""
        target = Target(self.target.resource, self.target.namespace)
        options = WriteOptions.read([("fieldManager", self._manager)], "create", self._manager)
        body = json.dumps(policy).encode()
        self._write(lambda: self._writes.create(target, body, options), f"created {self._named()}")

    def _write(self, write: Callable[[], object], sentence: str) -> None:
        before = content(self.live())
        self._writing = True
        try:
            write()
        finally:
            self._writing = False
        if sentence and content(self.live()) != before:
            self._strike(f"{self._manager} {sentence}")

    def _named(self) -> str:
        return "/".join(filter(None, (self.target.namespace, self.target.name)))
