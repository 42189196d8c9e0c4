"""What the network's tests share: time that jumps, a store of a few lines, a network on both."""

import asyncio
import copy
import functools
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from acns_chaos.lab.net.network import Network
from acns_chaos.lab.world import World, load_world

T = TypeVar("T")
CUSTOMER = "198.51.100.10"


class JumpingClock:
    """Time that moves only when nothing else can happen."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def run(self, work: Awaitable[T]) -> tuple[T, float]:
        """Jump from wait to wait until the work is done; its result and how long it took."""
        task = asyncio.ensure_future(work)
        begun = self._now
        await self._settle()
        while not task.done():
            assert self._sleepers, "the work waits for something that is no time"
            await self._jump()
        return task.result(), self._now - begun

    async def advance(self, seconds: float) -> None:
        """Let this much time pass."""
        end = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            await self._jump()
        self._now = end
        await self._settle()

    async def _jump(self) -> None:
        at, _, future = heapq.heappop(self._sleepers)
        if future.done():
            return
        self._now = at
        future.set_result(None)
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(12):
            await asyncio.sleep(0)


@dataclass
class Change:
    type: str
    kind: str
    object: dict[str, Any]


class SmallStore:
    """The store's methods that the network uses, and two to write with."""

    def __init__(self, objects: list[dict[str, Any]]) -> None:
        self._objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._callbacks: list[Callable[[Any], None]] = []
        for obj in objects:
            self.put(obj)

    def list(self, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
        return [
            copy.deepcopy(obj)
            for (k, where, _), obj in sorted(self._objects.items())
            if k == kind and namespace in (None, where)
        ]

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        return copy.deepcopy(self._objects[kind, namespace, name])

    def put(self, obj: dict[str, Any]) -> None:
        self._tell("MODIFIED" if self._key(obj) in self._objects else "ADDED", obj)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        self._tell("DELETED", self._objects[kind, namespace, name])

    def on_change(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def _key(self, obj: dict[str, Any]) -> tuple[str, str, str]:
        metadata = obj["metadata"]
        return obj["kind"], metadata.get("namespace", ""), metadata["name"]

    def _tell(self, kind: str, obj: dict[str, Any]) -> None:
        obj = copy.deepcopy(obj)
        if kind == "DELETED":
            del self._objects[self._key(obj)]
        else:
            self._objects[self._key(obj)] = obj
        for callback in self._callbacks:
            callback(Change(kind, obj["kind"], copy.deepcopy(obj)))


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str
    seconds: float


@dataclass
class Request:
    namespace: str
    pod: str
    container: str
    argv: list[str]
    output: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)
    stdin: asyncio.StreamReader | None = None

    async def stdout(self, data: bytes) -> None:
        self.output += data

    async def stderr(self, data: bytes) -> None:
        self.errors += data


@functools.cache
def _shipped(name: str) -> World:
    """A world that comes with the lab, read once; nobody may change it."""
    return load_world(name)


class Bench:
    """A network over a small store, in jumping time."""

    def __init__(self, world: str | World = "pets") -> None:
        self.world = _shipped(world) if isinstance(world, str) else world
        self.clock = JumpingClock()
        self.store = SmallStore(self.world.objects)
        self.net = Network(self.store, self.world, self.clock)  # type: ignore[arg-type]

    def pod(self, app: str, namespace: str = "pets") -> str:
        """The name of the first pod of an app."""
        return next(
            p["metadata"]["name"]
            for p in self.store.list("Pod", namespace)
            if p["metadata"]["name"].startswith(app)
        )

    def start(self, app: str, *argv: str, container: str = "", namespace: str = "pets") -> Request:
        return Request(namespace, self.pod(app, namespace), container, list(argv))

    async def exec(self, app: str, *argv: str, container: str = "", namespace: str = "pets") -> Ran:
        """Run a command in the first pod of an app, however long it takes."""
        request = self.start(app, *argv, container=container, namespace=namespace)
        code, seconds = await self.clock.run(self.net.exec(request))  # type: ignore[arg-type]
        return Ran(code, request.output.decode(), request.errors.decode(), round(seconds, 1))

    async def sh(self, app: str, command: str) -> Ran:
        """Run `sh -c`."""
        return await self.exec(app, "sh", "-c", command)

    def policy(self, name: str) -> dict[str, Any]:
        return self.store.get("CiliumNetworkPolicy", "pets", name)

    def write(self, name: str, **spec: Any) -> None:
        """Replace parts of a policy's spec; None removes a part."""
        policy = self.policy(name)
        merged = {**policy["spec"], **spec}
        policy["spec"] = {key: value for key, value in merged.items() if value is not None}
        self.store.put(policy)

    async def apply(self, name: str, **spec: Any) -> None:
        """Replace parts of a policy's spec and wait until that is enforced."""
        self.write(name, **spec)
        await self.clock.advance(0.05)

    def drops(self, **labels: str) -> float:
        """Packets that the agent counts as dropped by policy."""
        value = self.net.metrics.value
        return value("cilium_drop_count_total", reason="Policy denied", **labels)


NOBODY = [{"fromEndpoints": []}]
"""The workshop's fault: an ingress rule that selects nobody."""
