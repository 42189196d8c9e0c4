"""Policies, watched: every change of one in the namespace, as the API server tells of it."""

import threading
import time
from collections import deque
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.cluster.policies import KINDS
from acns_chaos.cluster.watching import Watch
from acns_chaos.errors import ApiError
from acns_chaos.evidence.timeline.sampling import Source

__all__ = ["PolicyChanges"]

AGAIN = 3.0
MOST = 500


class PolicyChanges(Source):
    """One kind of policy, watched.

    Args:
        api: the cluster.
        kind: "CiliumNetworkPolicy", ...
        namespace: where; a cluster-wide kind is watched everywhere.
    """

    def __init__(self, api: Api, kind: str, namespace: str) -> None:
        super().__init__(f"policies-{kind}")
        version, plural, namespaced = KINDS[kind]
        where = f"/namespaces/{namespace}" if namespaced else ""
        self._watch = Watch(api, f"/apis/{version}{where}/{plural}")
        self.kind = kind
        self.changes: deque[dict[str, Any]] = deque(maxlen=MOST)
        self.forgotten = 0
        # Of each policy that was changed.
        self._generations: dict[str, Any] = {}

    def watch(self, stop: threading.Event) -> None:
        """Read the stream; begin again where it ended."""
        self.about = f"changes of {self.kind} objects"
        while not stop.is_set():
            try:
                self._watch.begin()
                self.saw()
                for change in self._watch.changes():
                    self._take(change)
            except ApiError as error:
                if stop.is_set():
                    return
                self.blind(str(error).rstrip("."))
                stop.wait(AGAIN)

    def ask_to_end(self) -> None:
        """End the stream."""
        super().ask_to_end()
        self._watch.close()

    def _take(self, change: dict[str, Any]) -> None:
        metadata = (change.get("object") or {}).get("metadata") or {}
        name, namespace = str(metadata.get("name", "")), str(metadata.get("namespace", ""))
        policy, what = f"{namespace}/{name}" if namespace else name, str(change.get("type", ""))
        generation = metadata.get("generation")
        if what == "MODIFIED" and self._generations.get(policy) == generation:
            return  # only its status
        self._generations[policy] = generation
        if what == "DELETED":
            del self._generations[policy]
        self.forgotten += len(self.changes) == MOST
        self.changes.append(
            {
                "at": time.time(),
                "type": what,
                "kind": self.kind,
                "policy": policy,
                "generation": generation,
                "by": _writer(metadata),
            }
        )


def _writer(metadata: dict[str, Any]) -> str:
    """Name the field manager that wrote last."""
    entries = [one for one in metadata.get("managedFields") or [] if isinstance(one, dict)]
    newest = max(entries, key=lambda one: str(one.get("time", "")), default={})
    return str(newest.get("manager", ""))
