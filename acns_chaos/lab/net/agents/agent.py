"""One node's agent: the policies it has taken in, and when a change of them comes into force.

The agent takes changes in every 10 ms and then needs a moment for the datapath. An object that it
cannot import leaves its previous version in force. While the agent is down the datapath goes on
with what it has; the next one reads everything anew and counts revisions from the start. Figures
from one idle node with Cilium 1.19.4. Which node judges what is in `enforcement`.

Not modelled: an endpoint that keeps its old policy because its own regeneration fails.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from acns_chaos.lab.net.agents.settings import AgentSettings
from acns_chaos.lab.net.clock import Clock, Tasks
from acns_chaos.lab.net.objects import Change
from acns_chaos.policy import Engine, ObjectRef, Settings

# Between two looks at what was written: a change waits for the next one. With the API's own 3 ms
# and a client that tries every 10 ms, half of the changes show within 13 to 17 ms, as captured.
GATHER_SECONDS = 0.010
# At most; half of the changes need less than a third of it.
REALISE_SECONDS = 0.007
# An object that is created again within this time of its deletion often takes longer. Drawn with
# equal chances: whether both come into force together, and what to add. Deletions that go ahead
# leave a window, in 8 of 20 rewrites as captured, of up to 0.3 s.
RECREATED_WITHIN = 0.1
RECREATED = ((True, 0.0),) * 8 + ((True, 0.11),) * 4 + ((False, 0.11),) * 6 + ((False, 0.26),) * 2
RESTART_SECONDS = 4.8
GROUPS = "CiliumCIDRGroup"
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Written:
    """One write to the store with its place in the order of writes."""

    number: int
    change: Change

    @property
    def key(self) -> Key:
        """Kind, namespace and name of the object."""
        return key_of(self.change.object)


@dataclass(slots=True)
class _Batch:
    """Writes that come into force together, when their time has come."""

    writes: list[Written]
    due: float


@dataclass(slots=True)
class Imported:
    """What an agent has taken in.

    Attributes:
        policies: by kind, namespace and name, each with the number of its write.
        groups: CIDR groups by name, likewise.
    """

    policies: dict[Key, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    groups: dict[Key, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)

    def same(self, other: "Imported") -> bool:
        """Whether both hold the same writes."""
        return all(
            len(mine) == len(theirs)
            and all(key in theirs and theirs[key][0] == number for key, (number, _) in mine.items())
            for mine, theirs in ((self.policies, other.policies), (self.groups, other.groups))
        )


class Agent:
    """The agent of one node.

    Args:
        node: its name.
        clock: for the lag.
        chance: randomness of the lag.
        build: the engine for what the agent holds.
        shared: the engine of another agent that holds the same, None when there is none.
        valid: whether an agent with these settings can import what was written.
        start: what a starting agent finds: the objects of the store and its settings.
        applied: called after each change of what is in force.

    Attributes:
        engine: what is in force on the node.
        revision: of the policies; it restarts with the agent.
        down: the agent does not run, or does not yet.
        settings: that it read when it started.
        imported: what it has taken in.
    """

    engine: Engine

    def __init__(
        self,
        node: str,
        clock: Clock,
        chance: random.Random,
        build: Callable[["Agent"], Engine],
        shared: Callable[["Agent"], Engine | None],
        valid: Callable[[Written, Settings], bool],
        start: Callable[[], tuple[list[Written], AgentSettings]],
        applied: Callable[[], None],
    ) -> None:
        self.node = node
        self.down = False
        self._clock = clock
        self._chance = chance
        self._build = build
        self._shared = shared
        self._valid = valid
        self._start = start
        self._applied = applied
        self._lag = 0.0
        self._looks = chance.uniform(0.0, GATHER_SECONDS)
        self._gathering: list[Written] = []
        self._queue: list[_Batch] = []
        self._deleted: dict[Key, float] = {}
        self._tasks = Tasks()
        self._read()

    def changed(self, write: Written) -> None:
        """Take note of a write."""
        if self.down:
            return
        if write.change.type == "DELETED":
            self._deleted[write.key] = self._clock.now()
        self._gathering.append(write)
        if len(self._gathering) == 1:
            self._tasks.spawn(self._gather())

    def set_lag(self, seconds: float) -> None:
        """Let changes take this much longer; what is on its way too."""
        self._lag = seconds
        for batch in self._queue:
            batch.due = self._clock.now() + seconds
            self._tasks.spawn(self._wait(batch))

    def freeze(self) -> None:
        """Stop the agent. What it had not put into force is not."""
        self.down = True
        self.close()

    def thaw(self, after: float = RESTART_SECONDS) -> None:
        """Start it again.

        Args:
            after: seconds until it has put everything into force.
        """
        self.close()
        self._tasks.spawn(self._restart(after))

    def close(self) -> None:
        """Forget changes that are still on their way."""
        self._tasks.cancel()
        self._gathering, self._queue = [], []

    # ------------------------------------------------------------------ the stages of a change

    async def _gather(self) -> None:
        await self._clock.sleep(GATHER_SECONDS - (self._clock.now() - self._looks) % GATHER_SECONDS)
        writes, self._gathering = self._gathering, []
        due = self._clock.now() + self._chance.triangular(0.0, REALISE_SECONDS, 0.0) + self._lag
        for batch in self._batches(writes, due):
            self._queue.append(batch)
            self._tasks.spawn(self._wait(batch))

    def _batches(self, writes: list[Written], due: float) -> list[_Batch]:
        recreated = [at for at, write in enumerate(writes) if self._is_recreated(write)]
        if not recreated:
            return [_Batch(writes, due)]
        together, extra = self._chance.choice(RECREATED)
        if together or not recreated[0]:
            return [_Batch(writes, due + extra)]
        ahead, behind = writes[: recreated[0]], writes[recreated[0] :]
        return [_Batch(ahead, due), _Batch(behind, due + extra)]

    async def _wait(self, batch: _Batch) -> None:
        while (wait := batch.due - self._clock.now()) > 0:
            await self._clock.sleep(wait)
        # Batches are applied in order, however the lag falls: later ones wait for the first.
        while self._queue and self._queue[0].due <= self._clock.now():
            self._put_in_force(self._queue.pop(0).writes)
        if batch in self._queue:
            # The one in front is later; they come together.
            batch.due = self._queue[0].due
            self._tasks.spawn(self._wait(batch))

    async def _restart(self, after: float) -> None:
        await self._clock.sleep(after)
        self.down = False
        self._read()
        self._applied()

    # ------------------------------------------------------------------ taking objects in

    def _read(self) -> None:
        """Begin with the objects and the settings of this moment."""
        writes, self.settings = self._start()
        self.imported = Imported()
        self.revision = 1
        for write in writes:
            self._import(write)
        self.engine = self._shared(self) or self._build(self)

    def _put_in_force(self, writes: list[Written]) -> None:
        changes = [write.change for write in writes if self._import(write)]
        if not changes:
            return
        self.revision += 1
        self.engine = self._shared(self) or self._changed_engine(changes)
        self._applied()

    def _changed_engine(self, changes: list[Change]) -> Engine:
        engine = self.engine
        for change in changes:
            if change.object["kind"] == GROUPS:
                return self._build(self)
            if change.type == "DELETED":
                engine = engine.without_policy(ObjectRef.of(change.object))
            else:
                engine = engine.with_policy(change.object)
        return engine

    def _import(self, write: Written) -> bool:
        """Take an object in; False when that changes nothing, as a write of its status."""
        obj, key = write.change.object, write.key
        held = self.imported.groups if key[0] == GROUPS else self.imported.policies
        if write.change.type == "DELETED":
            return held.pop(key, None) is not None
        old = held.get(key)
        if old is not None and _rules(old[1]) == _rules(obj):
            return False
        if key[0] != GROUPS and not self._valid(write, self.settings.policy):
            return False
        held[key] = (write.number, obj)
        return True

    def _is_recreated(self, write: Written) -> bool:
        if write.change.type == "DELETED":
            return False
        deleted = self._deleted.pop(write.key, None)
        return deleted is not None and self._clock.now() - deleted < RECREATED_WITHIN


def key_of(obj: Mapping[str, Any]) -> Key:
    """Kind, namespace and name of a raw object."""
    metadata = obj["metadata"]
    return str(obj["kind"]), str(metadata.get("namespace", "")), str(metadata["name"])


def _rules(obj: Mapping[str, Any]) -> tuple[Any, Any]:
    return obj.get("spec"), obj.get("specs")
