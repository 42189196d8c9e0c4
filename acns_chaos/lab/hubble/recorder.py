"""The wire's events as flows, each in the log of the node whose datapath saw it.

An event that passed stands for a whole short connection, or for one packet of a long one; a denied
one for one packet. The order of flows is that of recordings from Cilium 1.19.4. What single flows
say is in `packets` and `lookups`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from acns_chaos.lab.hubble.agent import NANOSECONDS, Agent
from acns_chaos.lab.hubble.correlation import Correlation
from acns_chaos.lab.hubble.identities import Identities
from acns_chaos.lab.hubble.lookups import PROXY_PORT, Lookups
from acns_chaos.lab.hubble.nodes import Nodes
from acns_chaos.lab.hubble.packets import UPLINK, Packet, Party, Writer
from acns_chaos.lab.hubble.sockets import Sockets
from acns_chaos.lab.net.events import Event
from acns_chaos.lab.net.objects import Objects
from acns_chaos.policy import Endpoint
from acns_chaos.wire import flow_pb2

# The rest of a short connection after its SYN: flags, and whether the receiver sends it.
_CONNECTION = (
    ("SYN, ACK", True),
    ("ACK", False),
    ("ACK, PSH", False),
    ("ACK, PSH", True),
    ("ACK, FIN", False),
    ("ACK, FIN", True),
    ("ACK", False),
)
_OVERLAY_LINK = (5, "cilium_vxlan")
# Between the flows of one event: fine enough for their order, too short to overlap with the next.
_STEP = 2_000
# musl repeats a question for five seconds from the same socket.
_LOOKUP_SECONDS = 5.5
_MOST_COPIES = 4096

Seen = tuple[str, flow_pb2.Flow]


class Revisions(Protocol):
    """Who knows which revision of the policies is in force on each node."""

    def revisions(self) -> dict[str, int]:
        """The numbers by name of the node."""


class Recorder:
    """Listens to the wire.

    Args:
        store: who is who.
        nodes: the agents that log, by the name of their node.
        enforcement: for the revision in verdicts.
        tunnel: whether packets between nodes are encapsulated.
    """

    def __init__(
        self, store: Objects, nodes: Nodes, enforcement: Revisions, *, tunnel: bool
    ) -> None:
        self._nodes = nodes
        self._enforcement = enforcement
        self._identities = Identities(store)
        self._correlation = Correlation(store)
        self._writer = Writer(nodes.labels)
        self._lookups = Lookups(self._writer)
        self._sockets = Sockets()
        self._between = (
            (flow_pb2.TO_OVERLAY, _OVERLAY_LINK) if tunnel else (flow_pb2.TO_NETWORK, UPLINK)
        )

    def record(self, event: Event) -> None:
        """Log what one event makes the nodes see."""
        at = int(event.at * NANOSECONDS)
        packet = self._packet(event)
        for _ in range(min(event.count, _MOST_COPIES)):
            for node, flow in self._flows(event, packet):
                self._log(node, flow, at)
                at += _STEP

    def record_noise(self, sender: Endpoint, at: float) -> None:
        """Log the router solicitation of a pod.

        Args:
            sender: the pod.
            at: seconds since 1970.
        """
        identity = self._identities.of(sender)
        node = self._nodes.or_first(identity.node)
        self._log(node, self._writer.solicitation(identity, node), int(at * NANOSECONDS))

    def record_regeneration(self, endpoints: int, at: float) -> None:
        """Log on every node that endpoints took a new policy: events, but no flows."""
        for agent in self._nodes.agents():
            for _ in range(1 + endpoints):
                agent.write_other(int(at * NANOSECONDS))

    def _log(self, node: str, flow: flow_pb2.Flow, at: int) -> None:
        agent: Agent = self._nodes.agent(node)
        agent.write(flow, at)

    # ------------------------------------------------------------------ an event's packet

    def _packet(self, event: Event) -> Packet:
        """The first packet, as the sender's side of the cluster sees it."""
        source = self._party(event.source, event.source_node)
        destination = replace(
            self._party(event.destination, event.destination_node), port=event.port
        )
        port = event.source_port or self._port(event)
        node = self._nodes.or_first(source.identity.node or destination.identity.node)
        return Packet(replace(source, port=port), destination, event.protocol, event.flags, node)

    def _party(self, endpoint: Endpoint, node: str) -> Party:
        identity = self._identities.of(endpoint)
        if endpoint.kind == "pod":
            identity = replace(identity, node=self._nodes.or_first(node or identity.node))
        return Party(identity, endpoint.ip, names=endpoint.fqdns)

    def _port(self, event: Event) -> int:
        """A port for a sender that chose none: the same one for a repeated packet."""
        if event.query is not None:
            asked = (event.source.name, "DNS", event.query.name)
            return self._sockets.port(asked, event.at, keep=True, repeated=_LOOKUP_SECONDS)
        key = (event.source.name, event.source.ip, event.destination.name, event.port)
        denied = event.verdict.verdict == "DENIED"
        return self._sockets.port(key, event.at, keep=denied or event.flags != "SYN")

    # ------------------------------------------------------------------ its flows

    def _flows(self, event: Event, packet: Packet) -> Iterator[Seen]:
        egress, ingress = event.verdict.egress, event.verdict.ingress
        first = event.flags == "SYN" or (event.protocol == "UDP" and self._is_first(event, packet))
        if egress.verdict == "DENIED":
            yield from self._dropped(event, packet, outward=True)
            return
        if event.query is not None and egress.redirected:
            yield from self._proxied(event, packet, first=first)
            return
        if first and egress.verdict == "ALLOWED" and egress.selecting:
            yield packet.node, self._allowed(event, packet, outward=True)
        there = replace(packet, node=packet.destination.identity.node or packet.node)
        if ingress.verdict == "DENIED":
            yield from self._leaving(packet, flow_pb2.NEW)
            yield from self._dropped(event, there, outward=False)
            return
        if event.protocol == "UDP" and not first:
            return  # aggregated: a socket's later datagrams are not told within seconds
        leaving = list(self._leaving(packet, flow_pb2.NEW if first else flow_pb2.ESTABLISHED))
        if first and ingress.verdict == "ALLOWED" and ingress.selecting:
            yield from leaving
            yield there.node, self._allowed(event, there, outward=False)
            leaving = []
        yield from leaving
        yield from self._arriving(packet, flow_pb2.NEW if first else flow_pb2.ESTABLISHED)
        yield from self._rest(event, packet)

    def _rest(self, event: Event, packet: Packet) -> Iterator[Seen]:
        """What follows the first packet."""
        if event.protocol == "UDP":
            yield from self._answered(packet.back(""))
            return
        if event.flags != "SYN":
            yield from self._answered(packet.back("ACK, PSH"))
            return
        for flags, back in _CONNECTION:
            if back:
                yield from self._answered(packet.back(flags))
            else:
                yield from self._passing(replace(packet, flags=flags))

    def _passing(self, packet: Packet) -> Iterator[Seen]:
        yield from self._leaving(packet, flow_pb2.ESTABLISHED)
        yield from self._arriving(packet, flow_pb2.ESTABLISHED)

    def _leaving(self, packet: Packet, reason: flow_pb2.TraceReason) -> Iterator[Seen]:
        """The trace of a packet that leaves its node for another one."""
        home, away = packet.source.identity.node, packet.destination.identity.node
        if home and away and home != away:
            point, link = self._between
            sent = replace(packet, node=home)
            yield home, self._writer.trace(sent, point, reason, link=link)

    def _arriving(self, packet: Packet, reason: flow_pb2.TraceReason) -> Iterator[Seen]:
        """The trace of a packet that reaches a pod, or leaves the cluster."""
        receiver = packet.destination.identity
        if receiver.node:
            there = replace(packet, node=receiver.node)
            flow = self._writer.trace(there, flow_pb2.TO_ENDPOINT, reason, link=receiver.link)
            yield there.node, flow
        elif "reserved:host" in receiver.labels:
            yield packet.node, self._writer.trace(packet, flow_pb2.TO_STACK, reason)
        else:
            yield packet.node, self._writer.trace(packet, flow_pb2.TO_NETWORK, reason, link=UPLINK)

    def _answered(self, reply: Packet) -> Iterator[Seen]:
        """The traces of a reply, on whichever nodes it passes."""
        sender = reply.source.identity
        reply = replace(reply, node=sender.node or reply.destination.identity.node)
        yield from self._leaving(reply, flow_pb2.REPLY)
        yield from self._arriving(reply, flow_pb2.REPLY)
        outside = not reply.destination.identity.node
        if outside and sender.pod and "reserved:host" not in reply.destination.identity.labels:
            front = self._nodes.load_balancer(sender.namespace, reply.source.port, sender.labels)
            if front is not None:
                yield reply.node, self._writer.translated_back(reply, *front)

    def _allowed(self, event: Event, packet: Packet, *, outward: bool) -> flow_pb2.Flow:
        side = event.verdict.egress if outward else event.verdict.ingress
        if not outward and "reserved:host" in packet.source.identity.labels:
            # The node is let in by an entry of its own, whatever rules say of it.
            side = replace(side, rules=())
        return self._writer.allowed(
            packet,
            flow_pb2.EGRESS if outward else flow_pb2.INGRESS,
            self._correlation.match_type(side),
            self._correlation.policies(side, self._revision(packet.node)),
            redirected=outward and side.redirected,
        )

    def _dropped(self, event: Event, packet: Packet, *, outward: bool) -> Iterator[Seen]:
        side = event.verdict.egress if outward else event.verdict.ingress
        explicit = side.drop_reason == "POLICY_DENY"
        revision = self._revision(packet.node)
        for flow in self._writer.dropped(
            packet,
            flow_pb2.EGRESS if outward else flow_pb2.INGRESS,
            side.drop_reason or "POLICY_DENIED",
            self._correlation.match_type(side),
            self._correlation.policies(side, revision) if explicit else (),
        ):
            yield packet.node, flow

    def _revision(self, node: str) -> int:
        return self._enforcement.revisions().get(node, 1)

    # ------------------------------------------------------------------ lookups

    def _proxied(self, event: Event, packet: Packet, *, first: bool) -> Iterator[Seen]:
        query = event.query
        if query is None:
            return
        refused = event.verdict.l7 == "DENIED"
        if first:
            if event.verdict.egress.selecting:
                yield packet.node, self._allowed(event, packet, outward=True)
            to_proxy = self._writer.trace(packet, flow_pb2.TO_PROXY, flow_pb2.NEW)
            to_proxy.proxy_port = PROXY_PORT
            yield packet.node, to_proxy
        asked = self._lookups.question(packet, query.name, query.qtype, refused=refused)
        opened = [
            (packet.node, flow)
            for flow in (self._lookups.opened(packet, refused=refused) if first else ())
        ]
        if refused:
            yield from opened
            yield packet.node, asked
            return
        yield packet.node, asked
        if event.verdict.ingress.verdict == "DENIED":
            there = replace(packet, node=packet.destination.identity.node or packet.node)
            yield from self._dropped(event, there, outward=False)
            return
        if query.rcode is not None:
            yield from opened
            yield packet.node, self._lookups.answer(packet, query)

    def _is_first(self, event: Event, packet: Packet) -> bool:
        source, destination = packet.source, packet.destination
        key = (source.ip, source.port, destination.ip, destination.port, event.protocol)
        return self._sockets.is_first(key, event.at)
