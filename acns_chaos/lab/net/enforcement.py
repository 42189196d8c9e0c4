"""What is enforced right now: the policy engine that lags behind the API as a node agent does.

A change of a policy object takes effect 10 to 25 ms after it was written: the agent gathers
updates for 10 ms and then needs a moment for the datapath (measured on one idle node). An object
that the agent cannot import leaves its previous version in force. Pods, services and namespaces
count at once. How packets behave under a verdict is in `connections`.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.objects import Change, Objects
from acns_chaos.policy import Endpoint, Engine, Verdict
from acns_chaos.policy.validity import problems

POLICY_KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy")
GATHER_SECONDS = 0.010
REALISE_SECONDS = 0.015
_SURROUNDINGS = frozenset({"Pod", "Service", "Namespace"})
_Key = tuple[str, str, str]


class Enforcement:
    """The node's policy state.

    Args:
        store: where policies live.
        directory: pods and services of the same store; must watch the store before this does.
        clock: for the lag.
        chance: randomness of the lag.
    """

    def __init__(
        self,
        store: Objects,
        directory: Directory,
        clock: Clock,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        self._policies: dict[_Key, Mapping[str, Any]] = {}
        self._pending: list[Change] = []
        self._gathering = False
        self._last_due = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[Callable[[], None]] = []
        self.revision = 1
        for kind in POLICY_KINDS:
            for policy in store.list(kind):
                self._import("ADDED", policy)
        self.engine = self._build()
        store.on_change(self._changed)

    def verdict(
        self,
        source: Endpoint,
        destination: Endpoint,
        port: int,
        protocol: str = "TCP",
        *,
        dns_query: str | None = None,
    ) -> Verdict:
        """What the node does at this moment with a packet.

        Args:
            source: sender.
            destination: receiver, after service translation.
            port: destination port, after service translation.
            protocol: TCP or UDP.
            dns_query: complete name that the packet asks for.
        """
        return self.engine.verdict(source, destination, port, protocol, dns_query=dns_query)

    def on_applied(self, callback: Callable[[], None]) -> None:
        """Call back after each change of what is enforced."""
        self._listeners.append(callback)

    def close(self) -> None:
        """Forget changes that are still on their way."""
        for task in self._tasks:
            task.cancel()

    def _changed(self, change: Change) -> None:
        if change.kind in POLICY_KINDS:
            self._pending.append(change)
            if not self._gathering:
                self._gathering = True
                task = asyncio.get_running_loop().create_task(self._realise())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        elif change.kind in _SURROUNDINGS:
            self._put_in_force()

    async def _realise(self) -> None:
        await self._clock.sleep(GATHER_SECONDS)
        batch, self._pending = self._pending, []
        self._gathering = False
        now = self._clock.now()
        # Batches are applied in order, however the lag falls.
        due = max(now + self._chance.uniform(0, REALISE_SECONDS), self._last_due + 1e-4)
        self._last_due = due
        await self._clock.sleep(due - now)
        changed = [self._import(change.type, change.object) for change in batch]
        if any(changed):
            self._put_in_force()

    def _import(self, change: str, policy: Mapping[str, Any]) -> bool:
        """Take an object in; False when that changes nothing, as a write of its status."""
        metadata = policy["metadata"]
        key = (str(policy["kind"]), str(metadata.get("namespace", "")), str(metadata["name"]))
        if change == "DELETED":
            return self._policies.pop(key, None) is not None
        old = self._policies.get(key)
        if problems(policy) or (old is not None and _rules(old) == _rules(policy)):
            return False
        self._policies[key] = policy
        return True

    def _put_in_force(self) -> None:
        self.engine = self._build()
        self.revision += 1
        for listener in self._listeners:
            listener()

    def _build(self) -> Engine:
        pods = [pod.endpoint for pod in self._directory.pods()]
        return Engine(
            self._policies.values(),
            namespaces=self._directory.namespace_labels,
            endpoints=pods,
            services=self._directory.services(),
        )


def _rules(policy: Mapping[str, Any]) -> tuple[Any, Any]:
    return policy.get("spec"), policy.get("specs")
