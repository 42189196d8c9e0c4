"""What is enforced right now, and where: every node judges with the policy its agent has in force.

A packet is judged as it leaves by the sender's node and as it arrives by the receiver's, each with
what that node enforces at that moment, so nodes can differ for a while. Pods, services and
namespaces count at once. How an agent comes to enforce a change is in `agent`; how packets behave
under a verdict is in `connections`.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from acns_chaos.lab.net.agents.agent import GROUPS, RESTART_SECONDS, Agent, Key, Written, key_of
from acns_chaos.lab.net.agents.settings import AgentSettings, read_settings
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.objects import Change, Objects
from acns_chaos.policy import Endpoint, Engine, Settings, Verdict
from acns_chaos.policy.validity import problems

POLICY_KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "NetworkPolicy")
_BY_AGENTS = frozenset({*POLICY_KINDS, GROUPS})
_SURROUNDINGS = frozenset({"Pod", "Service", "Namespace"})
_ALLOWED, _DENIED = "ALLOWED", "DENIED"


class Enforcement:
    """The policy state of every node.

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
        self._writes = 0
        self._numbers: dict[Key, int] = {}
        # Every agent asks the same about the store and about each write.
        self._listed: tuple[int, list[Written]] = (-1, [])
        self._judged: dict[Key, tuple[int, Settings, bool]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._agents: dict[str, Agent] = {}
        chance = chance or random.Random()  # noqa: S311 - jitter, not a secret
        for node in directory.nodes():
            self._agents[node] = Agent(
                node,
                clock,
                chance,
                build=self._build,
                shared=self._shared,
                valid=self._is_valid,
                start=self._found,
                applied=self._tell,
            )
        self._first = next(iter(self._agents))
        store.on_change(self._changed)

    # ------------------------------------------------------------------ verdicts

    def verdict(
        self,
        source: Endpoint,
        destination: Endpoint,
        port: int,
        protocol: str = "TCP",
        *,
        dns_query: str | None = None,
    ) -> Verdict:
        """What the nodes do at this moment with a packet.

        Args:
            source: sender.
            destination: receiver, after service translation.
            port: destination port, after service translation.
            protocol: TCP or UDP.
            dns_query: complete name that the packet asks for.
        """
        here, there = self.nodes(source, destination)
        first = here or there or self._first
        seen = self._judge(first, source, destination, port, protocol, dns_query)
        if not here or not there or here == there:
            return seen
        far = self._judge(there, source, destination, port, protocol, dns_query)
        denied = [side for side in (seen.egress, far.ingress) if side.verdict == _DENIED]
        return replace(
            seen,
            verdict=_DENIED if denied else _ALLOWED,
            ingress=far.ingress,
            drop_reason=denied[0].drop_reason if denied else None,
            l7=None if denied else seen.l7 or far.l7,
        )

    def _judge(
        self,
        node: str,
        source: Endpoint,
        destination: Endpoint,
        port: int,
        protocol: str,
        dns_query: str | None,
    ) -> Verdict:
        sender = self._directory.seen_from(source, node)
        receiver = self._directory.seen_from(destination, node)
        engine = self._agents[node].engine
        return engine.verdict(sender, receiver, port, protocol, dns_query=dns_query)

    def nodes(self, source: Endpoint, destination: Endpoint) -> tuple[str, str]:
        """Names of the nodes that judge egress and ingress, "" for a side outside the cluster."""
        return self._directory.node_of(source), self._directory.node_of(destination)

    def learns(self, node: str) -> bool:
        """Whether names that pass a node's DNS proxy are learned: its agent has to run."""
        return not self._agents[node].down

    def resolves(self, node: str) -> bool:
        """Whether a node's DNS proxy answers; one that is part of the agent stops with it."""
        agent = self._agents[node]
        return not (agent.down and agent.settings.own_proxy)

    def settings(self, node: str) -> AgentSettings:
        """What a node's agent read when it started."""
        return self._agents[node].settings

    # ------------------------------------------------------------------ the state of the agents

    @property
    def revision(self) -> int:
        """The policy revision of the first node."""
        return self._agents[self._first].revision

    def revisions(self) -> dict[str, int]:
        """The policy revision of each node; it restarts with the agent."""
        return {node: agent.revision for node, agent in self._agents.items()}

    def engine_of(self, node: str) -> Engine:
        """The engine that is in force on a node."""
        return self._agents[node].engine

    def imported(self, node: str) -> Mapping[Key, tuple[int, Mapping[str, Any]]]:
        """The policies that are in force on a node, each with the number of its write."""
        return self._agents[node].imported.policies

    def is_down(self, node: str) -> bool:
        """Whether a node's agent does not run: nothing new is enforced, nothing is counted."""
        return self._agents[node].down

    def on_applied(self, callback: Callable[[], None]) -> None:
        """Call back after each change of what is enforced, and of whether an agent runs."""
        self._listeners.append(callback)

    # ------------------------------------------------------------------ misbehaviour

    def set_lag(self, seconds: float, node: str | None = None) -> None:
        """Let changes take longer to be enforced, those on their way too.

        Args:
            seconds: added to the usual time; 0 is back to normal.
            node: only there; None is everywhere.
        """
        for agent in self._chosen(node):
            agent.set_lag(seconds)

    def freeze(self, node: str | None = None) -> None:
        """Stop agents: old policy goes on, nothing new is enforced.

        Args:
            node: only there; None is everywhere.
        """
        for agent in self._chosen(node):
            agent.freeze()
        self._tell()

    def thaw(self, node: str | None = None, *, after: float = RESTART_SECONDS) -> None:
        """Start agents again: each reads every policy anew, and its revisions begin at 1.

        Args:
            node: only there; None is everywhere.
            after: seconds until what was written meanwhile is enforced.
        """
        for agent in self._chosen(node):
            if agent.down:
                agent.thaw(after)

    def restart(self, node: str | None = None, *, after: float = RESTART_SECONDS) -> None:
        """Stop and start agents; the datapath goes on meanwhile.

        Args:
            node: only there; None is everywhere.
            after: seconds until they enforce what is written.
        """
        self.freeze(node)
        self.thaw(node, after=after)

    def close(self) -> None:
        """Forget changes that are still on their way."""
        for agent in self._agents.values():
            agent.close()

    def _chosen(self, node: str | None) -> list[Agent]:
        if node is None:
            return list(self._agents.values())
        if node not in self._agents:
            known = ", ".join(self._agents)
            raise ValueError(f"there is no node {node!r}: name one of {known}")
        return [self._agents[node]]

    # ------------------------------------------------------------------ what agents need

    def _changed(self, change: Change) -> None:
        if change.kind in _BY_AGENTS:
            self._writes += 1
            self._numbers[key_of(change.object)] = self._writes
            for agent in self._agents.values():
                agent.changed(Written(self._writes, change))
        elif change.kind in _SURROUNDINGS:
            self._rebuild()

    def _found(self) -> tuple[list[Written], AgentSettings]:
        """What an agent finds that starts now."""
        since, writes = self._listed
        if since != self._writes:
            writes = [
                Written(self._numbers.get(key_of(obj), 0), _Found(kind, obj))
                for kind in (GROUPS, *POLICY_KINDS)
                for obj in self._store.list(kind)
            ]
            self._listed = (self._writes, writes)
        return writes, read_settings(self._store)

    def _is_valid(self, write: Written, settings: Settings) -> bool:
        number, judged, valid = self._judged.get(write.key, (-1, settings, False))
        if (number, judged) != (write.number, settings):
            valid = not problems(write.change.object, settings)
            self._judged[write.key] = (write.number, settings, valid)
        return valid

    def _rebuild(self) -> None:
        """Put pods, services and namespaces into force as they are now, where agents run."""
        running = [agent for agent in self._agents.values() if not agent.down]
        for index, agent in enumerate(running):
            twins = [other for other in running[:index] if _alike(agent, other)]
            agent.engine = twins[0].engine if twins else self._build(agent)
        self._tell()

    def _shared(self, agent: Agent) -> Engine | None:
        for other in self._agents.values():
            if other is not agent and not other.down and _alike(agent, other):
                return other.engine
        return None

    def _build(self, agent: Agent) -> Engine:
        pods = [pod.endpoint for pod in self._directory.pods()]
        return Engine(
            (policy for _, policy in agent.imported.policies.values()),
            namespaces=self._directory.namespace_labels,
            endpoints=pods,
            services=self._directory.services(),
            cidr_groups=[group for _, group in agent.imported.groups.values()],
            settings=agent.settings.policy,
        )

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()


class _Found:
    """An object that was there when somebody looked, as a change."""

    def __init__(self, kind: str, obj: dict[str, object]) -> None:
        self.type = "ADDED"
        self.kind = kind
        self.object = obj


def _alike(agent: Agent, other: Agent) -> bool:
    return agent.settings.policy == other.settings.policy and agent.imported.same(other.imported)
