"""A Hubble relay: the flows of all nodes as one stream, with its habits and its failures.

The first message of a stream names the nodes. Flows that are followed wait in a sort buffer until
nothing has come for a second. Whatever goes wrong at a node, a filter that it cannot read too, is a
message in a stream that ends well. How it goes over the wire is in `service`. Source: recordings
from, and the code of, Cilium 1.19.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Iterable

from acns_chaos.lab.hubble.agent import Agent
from acns_chaos.lab.hubble.nodes import Nodes, server_name
from acns_chaos.lab.hubble.packets import VERSION
from acns_chaos.lab.hubble.selection import Reader, Response, Selection, StreamError
from acns_chaos.wire import observer_pb2, relay_pb2

_BUILD = f"v{VERSION}+gcf4b9c48"
_BUFFER = 100
_DRAIN_SECONDS = 1.0
_DRAIN_NANOSECONDS = 1_000_000_000
_PEERS_EVERY = 2.0
_MOST_UNAVAILABLE_NAMED = 10


class Relay:
    """Answers for all nodes.

    Args:
        nodes: their agents.
        name: of the host it runs on, as it signs its own messages.
        now: nanoseconds since 1970.
    """

    def __init__(self, nodes: Nodes, name: str, now: Callable[[], int]) -> None:
        self._nodes = nodes
        self._name = name
        self._now = now

    # ------------------------------------------------------------------ single answers

    def server_status(self) -> observer_pb2.ServerStatusResponse:
        """All reachable nodes added up."""
        up, down = self._peers()
        status = observer_pb2.ServerStatusResponse(version=f"hubble-relay {_BUILD}")
        for agent in up:
            counters = agent.counters()
            status.num_flows += counters.flows
            status.max_flows += counters.capacity
            status.seen_flows += counters.seen
            status.uptime_ns = max(status.uptime_ns, counters.uptime)
            status.flows_rate += counters.rate
        status.num_connected_nodes.value = len(up)
        status.num_unavailable_nodes.value = len(down)
        status.unavailable_nodes.extend(a.name for a in down[:_MOST_UNAVAILABLE_NAMED])
        return status

    def get_nodes(self) -> observer_pb2.GetNodesResponse:
        """Every node and its state."""
        response = observer_pb2.GetNodesResponse()
        for agent in self._nodes.agents():
            node = response.nodes.add(
                name=agent.name,
                address=self._nodes.address(agent.name),
                state=relay_pb2.NODE_CONNECTED if agent.up else relay_pb2.NODE_UNAVAILABLE,
                tls=observer_pb2.TLS(enabled=True, server_name=server_name(agent.name)),
            )
            if agent.up:
                counters = agent.counters()
                node.version = f"cilium {_BUILD}"
                node.uptime_ns = counters.uptime
                node.num_flows = counters.flows
                node.max_flows = counters.capacity
                node.seen_flows = counters.seen
        return response

    def get_namespaces(self) -> observer_pb2.GetNamespacesResponse:
        """The namespaces seen in the last hour, sorted."""
        up, _ = self._peers()
        names = sorted({name for agent in up for name in agent.namespaces()})
        return observer_pb2.GetNamespacesResponse(
            namespaces=[observer_pb2.Namespace(namespace=name) for name in names]
        )

    # ------------------------------------------------------------------ flows

    async def get_flows(self, request: observer_pb2.GetFlowsRequest) -> AsyncIterator[Response]:
        """One stream; it ends without an error whatever happens at the nodes."""
        up, down = self._peers()
        if up:
            yield self._status(relay_pb2.NODE_CONNECTED, [agent.name for agent in up])
        if down:
            yield self._status(relay_pb2.NODE_UNAVAILABLE, [agent.name for agent in down])
        if not up:
            return
        try:
            selection = Selection.of(request)
        except StreamError as error:
            # Each node says so; equal errors are told once.
            yield self._error(str(error), [agent.name for agent in up])
            return
        if selection.follow:
            async for response in self._following(selection, up):
                yield response
            return
        # The rings are read before anything is sent: nothing is lost to a slow client.
        streams = [list(Reader(agent, selection, self._now).present()) for agent in up]
        for response in heapq.merge(*streams, key=_at):
            yield response

    async def _following(
        self, selection: Selection, agents: Iterable[Agent]
    ) -> AsyncIterator[Response]:
        """What comes, sorted within the buffer; ends when every node's stream has ended."""
        length = _BUFFER
        if selection.number:
            length = min(length, selection.number * len(list(agents)))
        incoming: asyncio.Queue[Response | None] = asyncio.Queue(length)
        tasks: dict[str, asyncio.Task[None]] = {}

        async def collect() -> None:
            for agent in agents:
                tasks[agent.name] = asyncio.create_task(self._pump(agent, selection, incoming))
            while any(not task.done() for task in tasks.values()):
                running = [task for task in tasks.values() if not task.done()]
                await asyncio.wait(
                    running, timeout=_PEERS_EVERY, return_when=asyncio.FIRST_COMPLETED
                )
                if all(task.done() for task in tasks.values()):
                    break
                for agent in self._peers()[0]:
                    if agent.name not in tasks or tasks[agent.name].done():
                        tasks[agent.name] = asyncio.create_task(
                            self._pump(agent, selection, incoming)
                        )
            await incoming.put(None)

        collecting = asyncio.create_task(collect())
        try:
            async for response in self._sorted(incoming, length):
                yield response
        finally:
            for task in (collecting, *tasks.values()):
                task.cancel()

    async def _pump(
        self, agent: Agent, selection: Selection, incoming: "asyncio.Queue[Response | None]"
    ) -> None:
        try:
            async for response in Reader(agent, selection, self._now).following():
                await incoming.put(response)
        except StreamError as error:
            await incoming.put(self._error(str(error), [agent.name]))

    async def _sorted(
        self, incoming: "asyncio.Queue[Response | None]", length: int
    ) -> AsyncIterator[Response]:
        """The sort buffer: full, it gives the oldest; after a second of silence, all old ones."""
        order = itertools.count()
        heap: list[tuple[int, int, Response]] = []
        while True:
            try:
                response = incoming.get_nowait()
            except asyncio.QueueEmpty:
                try:
                    response = await asyncio.wait_for(incoming.get(), _DRAIN_SECONDS)
                except TimeoutError:
                    until = self._now() - _DRAIN_NANOSECONDS
                    while heap and heap[0][0] <= until:
                        yield heapq.heappop(heap)[2]
                    continue
            if response is None:
                break
            if len(heap) >= length:
                yield heapq.heappop(heap)[2]
            heapq.heappush(heap, (_at(response), next(order), response))
        while heap:
            yield heapq.heappop(heap)[2]

    # ------------------------------------------------------------------ nodes

    def _peers(self) -> tuple[list[Agent], list[Agent]]:
        agents = self._nodes.agents()
        return [a for a in agents if a.up], [a for a in agents if not a.up]

    def _status(self, state: relay_pb2.NodeState, names: Iterable[str]) -> Response:
        status = relay_pb2.NodeStatusEvent(state_change=state, node_names=names)
        response = Response(node_status=status, node_name=self._name)
        response.time.FromNanoseconds(self._now())
        return response

    def _error(self, message: str, names: Iterable[str]) -> Response:
        response = self._status(relay_pb2.NODE_ERROR, names)
        response.node_status.message = message
        return response


def _at(response: Response) -> int:
    return int(response.time.seconds) * _DRAIN_NANOSECONDS + int(response.time.nanos)
