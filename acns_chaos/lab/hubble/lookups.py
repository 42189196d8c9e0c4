"""Flows of DNS: lookups that the node's proxy sees, and those that it does not.

The proxy logs a question and an answer each; a question that it refuses is one dropped flow without
a drop reason, and the refusal is no flow. Connections are in `recorder`.
"""

from collections.abc import Iterator

from acns_chaos.lab.hubble.packets import LAYER7, Packet, Writer, reply_known
from acns_chaos.lab.net.events import Query
from acns_chaos.wire import flow_pb2

PROXY_PORT = 34621
_TTL = 30
# Minus one as an unsigned number: there is no record that could have a time to live.
_NO_TTL = 4294967295
_RCODES = {1: "Format Error", 2: "Server Failure", 3: "Non-Existent Domain", 5: "Query Refused"}


class Lookups:
    """Makes the flows of one question.

    Args:
        writer: makes flows.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def opened(self, packet: Packet, *, refused: bool) -> Iterator[flow_pb2.Flow]:
        """Traces of the first packets of a socket that is redirected to the proxy.

        Args:
            packet: the question.
            refused: the proxy answers it itself.
        """
        trace = self._writer.trace
        reply = packet.back("")
        link = packet.source.identity.link
        if refused:
            yield trace(reply, flow_pb2.TO_ENDPOINT, flow_pb2.REPLY, link=link)
            return
        if packet.destination.identity.node == packet.node:
            served = packet.destination.identity.link
            yield trace(packet, flow_pb2.TO_ENDPOINT, flow_pb2.NEW, link=served)
        yield trace(reply, flow_pb2.TO_PROXY, flow_pb2.REPLY, link=link)

    def question(self, packet: Packet, name: str, qtype: str, *, refused: bool) -> flow_pb2.Flow:
        """What the proxy logs of a question.

        Args:
            packet: that carried it.
            name: complete, without the trailing dot.
            qtype: "A" or "AAAA".
            refused: no rule admits the name.
        """
        verdict = flow_pb2.DROPPED if refused else flow_pb2.FORWARDED
        flow = self._logged(packet, verdict, flow_pb2.REQUEST, name, qtype)
        flow.Summary = f"DNS Query {name}. {qtype}"
        return flow

    def answer(self, packet: Packet, query: Query) -> flow_pb2.Flow:
        """What the proxy logs of an answer.

        Args:
            packet: that carried the question.
            query: the question, with its answer.
        """
        name, qtype, rcode = query.name, query.qtype, query.rcode or 0
        flow = self._logged(packet.back(""), flow_pb2.FORWARDED, flow_pb2.RESPONSE, name, qtype)
        dns = flow.l7.dns
        dns.ips.extend(query.ips)
        dns.rcode = rcode
        dns.ttl = (query.ttl or _TTL) if query.ips else _NO_TTL
        dns.rrtypes.extend([qtype] if query.ips else ())
        found = f'"{",".join(query.ips)}"' if query.ips else ""
        if rcode:
            found = f"RCode: {_RCODES.get(rcode, rcode)}"
        flow.Summary = f"DNS Answer {found} TTL: {dns.ttl} (Proxy {name}. {qtype})"
        return flow

    def _logged(
        self,
        packet: Packet,
        verdict: flow_pb2.Verdict,
        kind: flow_pb2.L7FlowType,
        name: str,
        qtype: str,
    ) -> flow_pb2.Flow:
        flow = self._writer.plain(packet, verdict, LAYER7)
        flow.Type = flow_pb2.L7
        flow.l7.type = kind
        flow.l7.dns.query = f"{name}."
        flow.l7.dns.observation_source = "proxy"
        flow.l7.dns.qtypes.append(qtype)
        flow.traffic_direction = flow_pb2.EGRESS
        reply_known(flow, reply=packet.reply)
        return flow
