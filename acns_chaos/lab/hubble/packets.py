"""Flows of packets: what the datapath of one node says of one packet.

One function per kind of message (policy verdict, drop, trace); which of them an event calls for,
and in what order, is in `recorder` and `lookups`. Fields are set exactly where recordings from
Cilium 1.19.4 have them.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.wrappers_pb2 import BoolValue

from acns_chaos.lab.hubble.identities import CLUSTER, Identity
from acns_chaos.wire import flow_pb2

VERSION = "1.19.4"
DROP, TRACE, POLICY_VERDICT, LAYER7 = 1, 4, 5, 129
UPLINK = (6, "eth0")
_EMITTER = flow_pb2.Emitter(name="Hubble", version=VERSION)
_NO, _YES = BoolValue(value=False), BoolValue(value=True)
# Where in the datapath's source a policy drop of each direction is reported.
_FILES = {flow_pb2.EGRESS: 1651, flow_pb2.INGRESS: 2381}
_UPLINK_MACS = ("62:85:72:3a:f9:89", "ee:74:90:91:6f:d6")


@dataclass(frozen=True, slots=True)
class Party:
    """One side of a packet.

    Attributes:
        identity: who it is.
        ip: its address.
        port: its port.
        names: under which the node's DNS proxy has seen the address.
    """

    identity: Identity
    ip: str
    port: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet on its way.

    Attributes:
        source, destination: after service translation.
        protocol: "TCP" or "UDP".
        flags: of TCP as Hubble writes them, e.g. "SYN, ACK".
        node: whose datapath sees it.
        reply: it goes against the direction of its connection.
    """

    source: Party
    destination: Party
    protocol: str
    flags: str
    node: str
    reply: bool = False

    def back(self, flags: str) -> "Packet":
        """A packet that answers this one."""
        return replace(
            self, source=self.destination, destination=self.source, flags=flags, reply=True
        )


class Writer:
    """Makes flows.

    Args:
        node_labels: labels of each node, by its name.
    """

    def __init__(self, node_labels: Mapping[str, list[str]]) -> None:
        self._node_labels = node_labels
        # Not a secret, only unique; uuid4 asks the kernel each time.
        self._chance = random.Random()  # noqa: S311

    def plain(self, packet: Packet, verdict: Any, kind: int, sub_type: int = 0) -> flow_pb2.Flow:
        """What every flow of a packet says; its time is set by whoever logs it.

        Args:
            packet: the packet.
            verdict: a `flow_pb2.Verdict`.
            kind: number of the event's type.
            sub_type: number within that type.
        """
        bits = self._chance.getrandbits(128)
        text = f"{bits:032x}"
        return flow_pb2.Flow(
            uuid=f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}",
            emitter=_EMITTER,
            verdict=verdict,
            IP=flow_pb2.IP(
                source=packet.source.ip, destination=packet.destination.ip, ipVersion="IPv4"
            ),
            l4=_layer4(packet),
            source=_endpoint(packet.source.identity, packet.node),
            destination=_endpoint(packet.destination.identity, packet.node),
            Type=flow_pb2.L3_L4,
            node_name=packet.node,
            node_labels=self._node_labels.get(packet.node, ()),
            source_names=packet.source.names,
            destination_names=packet.destination.names,
            event_type=flow_pb2.CiliumEventType(type=kind, sub_type=sub_type),
            Summary=f"TCP Flags: {packet.flags}" if packet.protocol == "TCP" else packet.protocol,
        )

    def allowed(
        self,
        packet: Packet,
        direction: Any,
        match: int,
        policies: Iterable[flow_pb2.Policy],
        *,
        redirected: bool = False,
    ) -> flow_pb2.Flow:
        """The policy verdict on the first packet of a connection that passes."""
        verdict = flow_pb2.REDIRECTED if redirected else flow_pb2.FORWARDED
        flow = self.plain(packet, verdict, POLICY_VERDICT)
        _on_link(flow, packet, direction)
        flow.traffic_direction = direction
        flow.policy_match_type = match
        flow.is_reply.CopyFrom(_NO)
        by = flow.egress_allowed_by if direction == flow_pb2.EGRESS else flow.ingress_allowed_by
        by.extend(policies)
        flow.policy_log.append("")
        return flow

    def dropped(
        self,
        packet: Packet,
        direction: Any,
        reason: str,
        match: int,
        policies: Iterable[flow_pb2.Policy],
    ) -> list[flow_pb2.Flow]:
        """The two flows of a packet that policy drops: the verdict, then the drop.

        Args:
            packet: the packet.
            direction: a `flow_pb2.TrafficDirection`: whose policy dropped it.
            reason: "POLICY_DENIED" or "POLICY_DENY".
            match: what the denying rule looked at, 0 for a default deny.
            policies: those that deny; empty for a default deny.
        """
        number = flow_pb2.DropReason.Value(reason)
        verdict = self.plain(packet, flow_pb2.DROPPED, POLICY_VERDICT)
        verdict.policy_match_type = match
        by = verdict.egress_denied_by if direction == flow_pb2.EGRESS else verdict.ingress_denied_by
        by.extend(policies)
        if by:
            verdict.policy_log.append("")
        drop = self.plain(packet, flow_pb2.DROPPED, DROP, number)
        drop.file.name, drop.file.line = "bpf_lxc.c", _FILES[direction]
        for flow in (verdict, drop):
            _on_link(flow, packet, direction)
            flow.traffic_direction = direction
            flow.drop_reason = number
            flow.drop_reason_desc = number
        return [verdict, drop]

    def trace(
        self, packet: Packet, point: Any, reason: Any, *, link: tuple[int, str] | None = None
    ) -> flow_pb2.Flow:
        """A packet passing a point of the datapath.

        Args:
            packet: the packet.
            point: a `flow_pb2.TraceObservationPoint`.
            reason: a `flow_pb2.TraceReason`.
            link: index and name of the interface, None where the datapath does not tell.
        """
        to_pod = point == flow_pb2.TO_ENDPOINT
        flow = self.plain(packet, flow_pb2.FORWARDED, TRACE, 0 if to_pod else point)
        local = packet.source.identity
        # Hubble takes the receiving pod for the sender of the connection: EGRESS on both ways in.
        outward_reply = packet.reply and not to_pod and local.node == packet.node
        to_proxy = point == flow_pb2.TO_PROXY
        inbound = to_pod or (to_proxy and packet.reply)
        _on_link(flow, packet, flow_pb2.INGRESS if inbound else flow_pb2.EGRESS)
        back_in = outward_reply and not to_proxy
        flow.traffic_direction = flow_pb2.INGRESS if back_in else flow_pb2.EGRESS
        flow.trace_observation_point = point
        flow.trace_reason = reason
        flow.is_reply.CopyFrom(_YES if packet.reply else _NO)
        flow.reply = packet.reply
        if link is not None:
            flow.interface.index, flow.interface.name = link
        return flow

    def translated_back(self, packet: Packet, ip: str, port: int, service: str) -> flow_pb2.Flow:
        """A reply on its way out, once more, under the address of the load balancer.

        Args:
            packet: the reply as the pod sent it.
            ip: of the service.
            port: of the service.
            service: its namespace and name, with a slash.
        """
        pod = packet.source.identity
        nameless = replace(pod, id=0, namespace="", pod="", workload=None)
        source = replace(packet.source, identity=nameless, ip=ip, port=port)
        flow = self.trace(
            replace(packet, source=source), flow_pb2.TO_NETWORK, flow_pb2.REPLY, link=UPLINK
        )
        flow.ethernet.source, flow.ethernet.destination = _UPLINK_MACS
        flow.traffic_direction = flow_pb2.EGRESS
        flow.source_service.namespace, _, flow.source_service.name = service.partition("/")
        return flow

    def solicitation(self, sender: Identity, node: str) -> flow_pb2.Flow:
        """The router solicitation of a pod that starts on a node without IPv6: noise."""
        mac = sender.macs[0]
        octets = [int(octet, 16) for octet in mac.split(":")]
        groups = (octets[0] ^ 2) << 8 | octets[1], octets[2] << 8 | 0xFF
        low = 0xFE00 | octets[3], octets[4] << 8 | octets[5]
        address = "fe80::" + ":".join(f"{group:x}" for group in (*groups, *low))
        nameless = replace(sender, id=0, namespace="", pod="", workload=None)
        unknown = Identity(0, ("reserved:unknown",))
        packet = Packet(Party(nameless, address), Party(unknown, "ff02::2"), "ICMPv6", "", node)
        number = flow_pb2.UNSUPPORTED_L3_PROTOCOL
        flow = self.plain(packet, flow_pb2.DROPPED, DROP, number)
        flow.ethernet.source, flow.ethernet.destination = mac, "33:33:00:00:00:02"
        flow.IP.ipVersion = flow_pb2.IPv6
        flow.traffic_direction = flow_pb2.INGRESS
        flow.drop_reason = number
        flow.drop_reason_desc = number
        flow.file.name, flow.file.line = "bpf_lxc.c", 1831
        flow.Summary = "ICMPv6 RouterSolicitation"
        return flow


def reply_known(flow: flow_pb2.Flow, *, reply: bool) -> None:
    """Say of a flow whether it is a reply."""
    flow.is_reply.CopyFrom(_YES if reply else _NO)
    flow.reply = reply


def _endpoint(identity: Identity, node: str) -> flow_pb2.Endpoint:
    """A side as a node sees it: number and workload only of its own pods."""
    own = identity.node == node
    of_pod = any(label.startswith("k8s:") for label in identity.labels)
    workload = identity.workload if own else None
    return flow_pb2.Endpoint(
        ID=identity.id if own else 0,
        identity=identity.number,
        cluster_name=CLUSTER if of_pod else "",
        namespace=identity.namespace,
        labels=identity.labels,
        pod_name=identity.pod,
        workloads=[flow_pb2.Workload(name=workload[0], kind=workload[1])] if workload else (),
    )


def _layer4(packet: Packet) -> flow_pb2.Layer4:
    ports = {"source_port": packet.source.port, "destination_port": packet.destination.port}
    if packet.protocol == "TCP":
        flags = flow_pb2.TCPFlags(**{flag: True for flag in packet.flags.split(", ") if flag})
        return flow_pb2.Layer4(TCP=flow_pb2.TCP(**ports, flags=flags))
    if packet.protocol == "ICMPv6":
        return flow_pb2.Layer4(ICMPv6=flow_pb2.ICMPv6(type=133))
    return flow_pb2.Layer4(UDP=flow_pb2.UDP(**ports))


def _on_link(flow: flow_pb2.Flow, packet: Packet, direction: Any) -> None:
    """The link addresses: those of the pod whose datapath looks."""
    if direction == flow_pb2.EGRESS:
        source, destination = packet.source.identity.macs
    else:
        destination, source = packet.destination.identity.macs
    flow.ethernet.source, flow.ethernet.destination = source, destination
