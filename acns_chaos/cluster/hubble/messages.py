"""Hubble's messages as they come from a relay, turned into what `seen` holds.

Importing this loads protobuf.
"""

from functools import lru_cache
from typing import Any

from acns_chaos.cluster.hubble.lines import FLAGS, KINDS, direction_of
from acns_chaos.cluster.hubble.query import Query
from acns_chaos.cluster.hubble.seen import LostEvents, NodeNotice, Peer, PolicyName, SeenFlow
from acns_chaos.cluster.moments import END
from acns_chaos.wire import flow_pb2, observer_pb2, relay_pb2

__all__ = ["flow_of", "lost_of", "notices_of", "request_of", "seconds"]

_VERDICTS = {value: name for name, value in flow_pb2.Verdict.items()}
_DIRECTIONS = {value: direction_of(name) for name, value in flow_pb2.TrafficDirection.items()}
_REASONS = {value: name for name, value in flow_pb2.DropReason.items()} | {0: ""}
_LOSSES = {value: name for name, value in flow_pb2.LostEventSource.items()} | {0: ""}
_STATES = {value: name.removeprefix("NODE_") for name, value in relay_pb2.NodeState.items()}
_WITH_PORTS = ("TCP", "UDP", "SCTP")


def seconds(moment: Any) -> float:
    """Return a Timestamp as seconds since 1970; 0 for what no clock shows."""
    found = float(moment.seconds + moment.nanos * 1e-9)
    return found if 0 < found < END else 0.0


def flow_of(flow: Any, received: float) -> SeenFlow:
    """Turn a `flow.Flow` into a flow.

    Args:
        flow: the message.
        received: when it came, seconds since 1970.
    """
    layer4, l7, address = flow.l4, flow.l7, flow.IP
    protocol = layer4.WhichOneof("protocol") or ""
    port = source_port = 0
    flags = ""
    if protocol in _WITH_PORTS:
        ports = getattr(layer4, protocol)
        port, source_port = ports.destination_port, ports.source_port
        if protocol == "TCP" and ports.HasField("flags"):
            flags = _flags(ports.flags.SerializeToString())
    is_dns = flow.HasField("l7") and l7.WhichOneof("record") == "dns"
    return SeenFlow(
        seconds(flow.time),
        flow.node_name,
        _VERDICTS.get(flow.verdict, str(flow.verdict)),
        _REASONS.get(flow.drop_reason_desc, str(flow.drop_reason_desc)),
        KINDS.get(flow.event_type.type, "other"),
        _DIRECTIONS.get(flow.traffic_direction, ""),
        _peer(flow.source.SerializeToString(), address.source, tuple(flow.source_names)),
        _peer(
            flow.destination.SerializeToString(),
            address.destination,
            tuple(flow.destination_names),
        ),
        protocol,
        port,
        source_port,
        flags,
        flow.is_reply.value if flow.HasField("is_reply") else None,
        _policies(flow.ingress_denied_by, flow.egress_denied_by),
        _policies(flow.ingress_allowed_by, flow.egress_allowed_by),
        l7.dns.query if is_dns else "",
        l7.dns.rcode if is_dns else 0,
        flow.uuid,
        received,
    )


# The same few sides and flags come again and again: decoding them is most of the work.
@lru_cache(maxsize=8192)
def _peer(side: bytes, ip: str, names: tuple[str, ...]) -> Peer:
    found = flow_pb2.Endpoint.FromString(side)
    workloads = found.workloads
    return Peer(
        found.namespace,
        found.pod_name,
        workloads[0].name if workloads else "",
        found.identity,
        tuple(found.labels),
        ip,
        names,
    )


@lru_cache(maxsize=512)
def _flags(flags: bytes) -> str:
    found = flow_pb2.TCPFlags.FromString(flags)
    return ", ".join(name for name in FLAGS if getattr(found, name))


def _policies(ingress: Any, egress: Any) -> tuple[PolicyName, ...]:
    if not ingress and not egress:
        return ()
    return tuple(
        PolicyName(one.namespace, one.name, one.kind, one.revision) for one in (*ingress, *egress)
    )


def lost_of(response: Any) -> LostEvents:
    """Turn a response with `lost_events` into a notice."""
    lost = response.lost_events
    at = lost.last if lost.HasField("last") else response.time
    return LostEvents(
        _LOSSES.get(lost.source, ""), lost.num_events_lost, response.node_name, seconds(at)
    )


def notices_of(response: Any) -> list[NodeNotice]:
    """Turn a response with `node_status` into one notice for each node."""
    status, at = response.node_status, seconds(response.time)
    state = _STATES.get(status.state_change, str(status.state_change))
    return [NodeNotice(name, state, status.message, at) for name in status.node_names or ("",)]


def request_of(query: Query) -> observer_pb2.GetFlowsRequest:
    """Build the request for a question, without following.

    Raises:
        ValueError: a drop reason has a name that is not known here.
    """
    filters = query.filters()
    if query.number and not filters:
        # Without a filter a number also counts entries that are no flows, and few or none come.
        filters = [{"verdict": flow_pb2.Verdict.values()}]
    request = observer_pb2.GetFlowsRequest(whitelist=filters)
    if query.since is not None:
        request.since.FromNanoseconds(int(query.since * 1e9))
    elif query.number:
        request.number = query.number
    return request
