"""A cluster in memory and a scheduler that lets one request through at a time.

Everybody who talks to it runs in a thread of its own and is held before each request; a seeded
choice says whose turn it is, and who is killed there. So every interleaving can be played again.
"""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from acns_chaos.cluster.policies import content
from acns_chaos.errors import ApiError, Conflict, Forbidden, NotFound
from tests.unit.fakes import pod, storefront_policy

POLICIES = "/apis/cilium.io/v2/namespaces/pets/ciliumnetworkpolicies"
POLICY = f"{POLICIES}/allow-store-front-traffic"
CLUSTER_UID = "uid-of-kube-system"


class Killed(BaseException):
    """The process was killed at this request."""


@dataclass
class Actor:
    """Somebody who talks to the cluster.

    Attributes:
        name: for the log.
        killed_at: number of the request at which it dies, None for never.
        after: whether it dies after that request was done, instead of before.
    """

    name: str
    killed_at: int | None = None
    after: bool = False
    requests: int = 0
    done: bool = False
    error: BaseException | None = None
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


class Cluster:
    """Objects under optimistic concurrency, as an API server keeps them.

    Attributes:
        objects: path → object.
        log: (actor, method, path) of every request that was done.
        moment: the server's clock; `tick` moves it on with every request.
        on_write: called after each write with actor, method, path.
    """

    def __init__(self) -> None:
        self.version = 100
        self.objects: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[str, str, str]] = []
        self.moment = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
        self.tick = timedelta(milliseconds=5)
        self.on_write: list[Callable[[str, str, str], None]] = []
        self._lists: dict[str, list[dict[str, Any]]] = {
            "/api/v1/namespaces": [{"metadata": {"name": "pets"}}],
            "/api/v1/pods": [pod("store-front-1", "store-front", 8080)],
            "/api/v1/namespaces/pets/pods": [pod("store-front-1", "store-front", 8080)],
            "/api/v1/services": [],
        }
        self.load("/api/v1/namespaces/pets", {"metadata": {"name": "pets"}})
        self.load(
            "/api/v1/namespaces/kube-system",
            {"metadata": {"name": "kube-system", "uid": CLUSTER_UID}},
        )
        self.load(POLICY, storefront_policy())

    def load(self, path: str, obj: dict[str, Any]) -> None:
        """Put an object there without anybody having written it."""
        self.version += 1
        stored = deepcopy(obj)
        stored["metadata"].setdefault("uid", f"u{self.version}")
        stored["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = stored

    def is_original(self) -> bool:
        """Whether the policy is as it was."""
        there = self.objects.get(POLICY)
        return there is not None and content(there) == content(storefront_policy())

    def left(self) -> list[str]:
        """What of ours is left: records, and entries of Leases."""
        records = [path for path in self.objects if "/configmaps/acns-chaos-" in path]
        named = [
            path
            for path, obj in self.objects.items()
            if (obj["metadata"].get("annotations") or {}).get("acns-chaos/records")
        ]
        return sorted([*records, *named])

    # ------------------------------------------------------------------ requests

    def do(
        self, actor: str, method: str, path: str, body: Any = None, query: Any = None
    ) -> dict[str, Any]:
        """Do one request."""
        self.moment += self.tick
        self.log.append((actor, method, path))
        body = deepcopy(body)
        if method == "GET":
            return self._get(path, query)
        dry = bool((query or {}).get("dryRun") or (body or {}).get("dryRun"))
        found = getattr(self, f"_{method.lower()}")(path, body, dry)
        if not dry:
            for callback in self.on_write:
                callback(actor, method, path)
        return deepcopy(found)

    def _get(self, path: str, query: Any) -> dict[str, Any]:
        if path in self.objects:
            return deepcopy(self.objects[path])
        if path in self._lists:
            return {"items": deepcopy(self._lists[path])}
        last = path.rsplit("/", 1)[-1]
        if last in ("configmaps", "leases", "events") or last.endswith("policies"):
            everywhere = "/namespaces/" not in path
            items = [
                obj
                for key, obj in sorted(self.objects.items())
                if (key.rsplit("/", 1)[0] == path)
                or (everywhere and key.rsplit("/", 2)[-2] == last)
            ]
            wanted = (query or {}).get("labelSelector", "")
            if wanted:
                label, _, value = wanted.partition("=")
                items = [
                    one
                    for one in items
                    if (one["metadata"].get("labels") or {}).get(label) == value
                ]
            return {"items": deepcopy(items)}
        raise NotFound(f"{path} not found", 404)

    def _put(self, path: str, body: dict[str, Any], dry: bool) -> dict[str, Any]:
        live = self.objects.get(path)
        if live is None:
            raise NotFound(f"{path} not found", 404)
        if body["metadata"].get("resourceVersion") != live["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified", 409)
        if live.get("immutable") and body.get("data") != live.get("data"):
            raise ApiError("field is immutable when `immutable` is set", 422)
        if dry:
            return body
        kept = {key: live["metadata"].get(key) for key in ("uid", "deletionTimestamp")}
        body["metadata"].update({key: value for key, value in kept.items() if value})
        if body["metadata"].get("deletionTimestamp") and not body["metadata"].get("finalizers"):
            del self.objects[path]
            return body
        return self._stored(path, body)

    def _post(self, path: str, body: dict[str, Any], dry: bool) -> dict[str, Any]:
        full = f"{path}/{body['metadata']['name']}"
        if full in self.objects:
            raise Conflict(f"{full} already exists", 409)
        if dry:
            return body
        body["metadata"]["uid"] = f"u{self.version + 1}"
        return self._stored(full, body)

    def _delete(self, path: str, body: Any, dry: bool) -> dict[str, Any]:
        live = self.objects.get(path)
        if live is None:
            raise NotFound(f"{path} not found", 404)
        for key, value in ((body or {}).get("preconditions") or {}).items():
            if live["metadata"].get(key) != value:
                raise Conflict("the object has been modified", 409)
        if dry:
            return live
        if live["metadata"].get("finalizers"):
            live["metadata"]["deletionTimestamp"] = self.moment.isoformat()
            return self._stored(path, live)
        return self.objects.pop(path)

    def _stored(self, path: str, obj: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        self.objects[path] = obj
        return obj


class Connection:
    """One actor's connection; has what `cluster.kube.Api` offers to the code under test."""

    server = "https://10.0.0.1"

    def __init__(self, play: "Play", actor: Actor) -> None:
        self._play = play
        self._actor = actor

    def now(self) -> datetime:
        """The server's clock, whatever this actor's own says."""
        return self._play.cluster.moment

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        """Read."""
        return self._play.request(self._actor, "GET", path, None, query)

    def put(self, path: str, body: Any, query: Any = None) -> dict[str, Any]:
        """Replace."""
        return self._play.request(self._actor, "PUT", path, body, query)

    def post(self, path: str, body: Any, query: Any = None) -> dict[str, Any]:
        """Create."""
        return self._play.request(self._actor, "POST", path, body, query)

    def delete(self, path: str, body: Any = None) -> dict[str, Any]:
        """Delete."""
        return self._play.request(self._actor, "DELETE", path, body)


class Play:
    """Actors on one cluster, one request at a time, in a seeded order."""

    def __init__(self, cluster: Cluster, seed: int = 0) -> None:
        self.cluster = cluster
        self._chance = random.Random(seed)
        self._actors: list[tuple[Actor, threading.Thread]] = []
        self._stopped = threading.Semaphore(0)
        self.forbidden: set[tuple[str, str]] = set()

    def connection(self, actor: Actor) -> Connection:
        """A connection for an actor."""
        return Connection(self, actor)

    def add(self, actor: Actor, work: Callable[[Any], None]) -> Actor:
        """Let an actor do its work when the play is run."""

        def run() -> None:
            actor.go.acquire()
            try:
                work(self.connection(actor))
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 - shown by the test
                actor.error = error
            finally:
                actor.done = True
                self._stopped.release()

        self._actors.append((actor, threading.Thread(target=run, daemon=True)))
        return actor

    def run(self, limit: int = 20_000) -> None:
        """Let them act until all are done."""
        for _, thread in self._actors:
            thread.start()
        for _ in range(limit):
            waiting = [actor for actor, _ in self._actors if not actor.done]
            if not waiting:
                return
            chosen = self._chance.choice(waiting)
            chosen.go.release()
            assert self._stopped.acquire(timeout=20), f"{chosen.name} hangs"
        raise AssertionError("the play does not end")

    def request(
        self, actor: Actor, method: str, path: str, body: Any = None, query: Any = None
    ) -> dict[str, Any]:
        """Wait for this actor's turn, then do its request; it may be killed before or after."""
        self._stopped.release()
        actor.go.acquire()
        actor.requests += 1
        dies = actor.killed_at == actor.requests
        if dies and not actor.after:
            raise Killed
        if (actor.name, method) in self.forbidden:
            raise Forbidden(f"{method} {path} is forbidden", 403)
        answer = self.cluster.do(actor.name, method, path, body, query)
        if dies:
            raise Killed
        return answer


@contextmanager
def everybody_at_once(cluster: Cluster, seed: int) -> Iterator[Play]:
    """A play that is run when the block ends."""
    play = Play(cluster, seed)
    yield play
    play.run()
