"""Hubble of one lab, put together: the recorder, the relay, and gRPC over mutual TLS.

What goes wrong on request is switched here. grpc is imported when the first client comes.
"""

import asyncio
import itertools
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from acns_chaos.errors import AcnsChaosError
from acns_chaos.lab.hubble.agent import NANOSECONDS, Agent
from acns_chaos.lab.hubble.certificates import (
    NAMESPACE,
    RelayCertificates,
    make_relay_certificates,
)
from acns_chaos.lab.hubble.front import HOST, Front
from acns_chaos.lab.hubble.nodes import Nodes
from acns_chaos.lab.hubble.recorder import Recorder, Revisions
from acns_chaos.lab.hubble.relay import Relay
from acns_chaos.lab.hubble.selection import Response
from acns_chaos.lab.net.clock import Clock
from acns_chaos.lab.net.directory import Directory
from acns_chaos.lab.net.objects import Objects
from acns_chaos.lab.world import World
from acns_chaos.wire import health_pb2, observer_pb2

_LOG = logging.getLogger(__name__)
APP, PORT = "hubble-relay", 4245


class HubbleError(AcnsChaosError):
    """What was asked of the lab's Hubble cannot be done."""


class Hubble:
    """Hubble in all nodes of a world, and its relay.

    Args:
        store: the Kubernetes objects.
        directory: the pods in it.
        world: how many flows a node keeps, how nodes are connected.
        enforcement: knows the revision of the policies.
        clock: wall time unless a test moves it.

    Attributes:
        recorder: listens to the wire.
        address: host and port of the relay, None before it has started.
    """

    def __init__(
        self,
        store: Objects,
        directory: Directory,
        world: World,
        enforcement: Revisions,
        clock: Clock,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock
        self._certificates = make_relay_certificates()
        self._nodes = Nodes(store, world.hubble_ring, self._now)
        self.recorder = Recorder(store, self._nodes, enforcement, tunnel=world.routing == "tunnel")
        self.relay = Relay(self._nodes, self._relay_host(), self._now)
        self._server: Any = None
        self._front: Front | None = None
        self._starting = asyncio.Lock()
        self._private: Path | None = None
        self._own_directory: tempfile.TemporaryDirectory[str] | None = None
        self._wanted = True
        # Without TLS; whose certificate has expired.
        self._faults = _Faults()
        self._served = _Faults()
        self._turn = itertools.count()
        self._switching: asyncio.Task[None] | None = None
        self.address: tuple[str, int] | None = None

    def secrets(self) -> list[dict[str, Any]]:
        """The certificates as Kubernetes Secrets; none in a world without a relay."""
        services = self._store.list("Service", NAMESPACE)
        present = any(service["metadata"]["name"] == APP for service in services)
        return self._certificates.secrets() if present else []

    def record_noise(self, count: int = 1) -> None:
        """Log router solicitations, of one pod after another."""
        pods = [pod for pod in self._directory.pods() if not pod.raw["spec"].get("hostNetwork")]
        for _ in range(count if pods else 0):
            sender = pods[next(self._turn) % len(pods)].endpoint
            self.recorder.record_noise(sender, self._clock.now())

    def record_policies(self) -> None:
        """Log that the nodes' endpoints have taken new policies."""
        self.recorder.record_regeneration(len(list(self._directory.pods())), self._clock.now())

    async def start(self, directory: Path | None = None) -> tuple[str, int]:
        """Serve on a free loopback port.

        Args:
            directory: a private directory for its socket; None makes one.

        Returns:
            host and port.

        Raises:
            FrontError: there is no port.
        """
        self._private = directory
        await self._serve(0)
        if self.address is None:
            raise HubbleError(f"The relay does not listen on {HOST}.")
        return self.address

    async def stop(self) -> None:
        """End every stream and close the port."""
        self._wanted = False
        if self._switching is not None:
            await asyncio.wait([self._switching])
        await self._close()
        if self._own_directory is not None:
            self._own_directory.cleanup()

    async def _close(self) -> None:
        front, self._front = self._front, None
        if front is not None:
            await front.stop()
        async with self._starting:
            server, self._server = self._server, None
        if server is not None:
            await server.stop(None)

    # ------------------------------------------------------------------ failing on request

    def set_down(self, down: bool) -> None:
        """Stop the relay, or start it again at its old address, as soon as the loop comes to it."""
        self._wanted = not down
        self._switch_soon()

    def _switch_soon(self) -> None:
        if self._switching is None or self._switching.done():
            self._switching = asyncio.get_running_loop().create_task(self._switch())
            self._switching.add_done_callback(_tell)

    async def settled(self) -> None:
        """Wait until the relay is as `set_down` wants it.

        Raises:
            FrontError: another program has taken the port meanwhile.
        """
        if self._switching is not None:
            await self._switching

    def set_in_clear(self, clear: bool) -> None:
        """Serve without TLS, or with it again; open connections end."""
        self._faults = replace(self._faults, in_clear=clear)
        self._switch_soon()

    def set_expired(self, whose: str) -> None:
        """Let a certificate have expired.

        Args:
            whose: "server" (the relay's), "client" (that of the Secret), or "" for none any more.
        """
        self._faults = replace(self._faults, expired=whose)
        for secret in self._present().secrets():
            self._store.put(secret)
        self._switch_soon()

    def _present(self) -> RelayCertificates:
        expired = self._faults.expired
        return self._certificates.expired(expired) if expired else self._certificates

    def lose(self, next_n: int = 0, *, every_nth: int = 0, node: str = "") -> None:
        """Lose flows from now on, and tell readers so before the next one that is kept.

        Args:
            next_n: all of the next so many.
            every_nth: one of so many; 0 stops that.
            node: its name, "" for every node.
        """
        for agent in self._agents(node):
            agent.lose(every_nth=every_nth, next_n=next_n)

    def node_down(self, node: str, down: bool = True) -> None:
        """Stop or start the agent of a node, as the relay sees it; its ring and counters stay."""
        for agent in self._agents(node):
            agent.set_up(not down)

    def restart_agent(self, node: str) -> None:
        """Start the agent of a node anew: its ring and counters are lost."""
        for agent in self._agents(node):
            agent.restart()

    async def _switch(self) -> None:
        while not self._is_as_wanted():
            if self._front is None:
                await self._serve(self.address[1] if self.address else 0)
            else:
                await self._close()

    def _is_as_wanted(self) -> bool:
        if self._front is None:
            return not self._wanted
        return self._wanted and self._served == self._faults

    def _agents(self, node: str) -> list[Agent]:
        if not node:
            return self._nodes.agents()
        found = self._nodes.find(node)
        if found is None:
            names = ", ".join(agent.name for agent in self._nodes.agents())
            raise HubbleError(f'There is no node "{node}": name one of {names}.')
        return [found]

    # ------------------------------------------------------------------ gRPC

    async def _serve(self, port: int) -> None:
        if self._private is None:
            self._own_directory = tempfile.TemporaryDirectory(prefix="acns-chaos-relay-")
            self._private = Path(self._own_directory.name)
        served = self._faults
        certificates = None if served.in_clear else self._present()
        front = Front(certificates, self._private, self._backend)
        self.address = (HOST, await front.start(port))
        self._front, self._served = front, served

    async def _backend(self) -> Path:
        """The socket that grpc serves at: started for the first client, as start-up is a budget."""
        if self._private is None:
            raise HubbleError("The relay has not been started.")
        path = self._private / "relay.sock"
        async with self._starting:
            if self._server is None:
                # A client's failed call is no matter for the lab's standard error.
                os.environ.setdefault("GRPC_VERBOSITY", "NONE")
                await asyncio.to_thread(import_module, "acns_chaos.wire.observer_pb2_grpc")
                import grpc

                from acns_chaos.wire.health_pb2_grpc import add_HealthServicer_to_server
                from acns_chaos.wire.observer_pb2_grpc import add_ObserverServicer_to_server

                server = grpc.aio.server()
                add_ObserverServicer_to_server(_Observer(self.relay), server)  # type: ignore[no-untyped-call]
                add_HealthServicer_to_server(_Health(), server)  # type: ignore[no-untyped-call]
                server.add_insecure_port(f"unix:{path}")
                await server.start()
                self._server = server
        return path

    def _now(self) -> int:
        return int(self._clock.now() * NANOSECONDS)

    def _relay_host(self) -> str:
        for pod in self._store.list("Pod", NAMESPACE):
            if (pod["metadata"].get("labels") or {}).get("k8s-app") == APP:
                return str(pod["metadata"]["name"])
        return APP


@dataclass(frozen=True, slots=True)
class _Faults:
    """What is wrong with the relay's TLS on request: none of it, and whose certificate expired."""

    in_clear: bool = False
    expired: str = ""


class _Observer:
    """`observer.Observer` as a relay serves it. The names of methods are those of the service."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    async def GetFlows(  # noqa: N802
        self, request: observer_pb2.GetFlowsRequest, _context: Any
    ) -> AsyncIterator[Response]:
        """Flows."""
        async for response in self._relay.get_flows(request):
            yield response

    async def GetAgentEvents(self, _request: object, context: Any) -> None:  # noqa: N802
        """Not by a relay."""
        await _unimplemented(context, "GetAgentEvents")

    async def GetDebugEvents(self, _request: object, context: Any) -> None:  # noqa: N802
        """Not by a relay."""
        await _unimplemented(context, "GetDebugEvents")

    async def GetNodes(  # noqa: N802
        self, _request: object, _context: object
    ) -> observer_pb2.GetNodesResponse:
        """Every node."""
        return self._relay.get_nodes()

    async def GetNamespaces(  # noqa: N802
        self, _request: object, _context: object
    ) -> observer_pb2.GetNamespacesResponse:
        """Namespaces seen."""
        return self._relay.get_namespaces()

    async def ServerStatus(  # noqa: N802
        self, _request: object, _context: object
    ) -> observer_pb2.ServerStatusResponse:
        """All nodes added up."""
        return self._relay.server_status()


def _tell(switching: "asyncio.Task[None]") -> None:
    """Nobody may be waiting for the switch: say what went wrong."""
    if not switching.cancelled() and switching.exception() is not None:
        _LOG.error("%s", switching.exception())


async def _unimplemented(context: Any, method: str) -> None:
    import grpc

    await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method} not yet implemented")


class _Health:
    """`grpc.health.v1.Health`: only the server as a whole has a state."""

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> health_pb2.HealthCheckResponse:
        """Whether the relay serves."""
        if request.service:
            import grpc

            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return health_pb2.HealthCheckResponse(status="SERVING")
