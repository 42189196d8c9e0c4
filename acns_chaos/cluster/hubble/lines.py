"""Hubble's flows as JSON lines: read as `hubble observe -o json` writes them, and written so.

A line is cut at the places where Hubble's order of fields allows it. What repeats from line to line
(who talks to whom, the kind of event) is decoded once and remembered; only time, uuid and ports
are read each time. A line in another order or layout is decoded as a whole, four times slower.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from acns_chaos.cluster.hubble.query import Query
from acns_chaos.cluster.hubble.seen import (
    NOWHERE,
    UNREADABLE,
    Event,
    LostEvents,
    NodeNotice,
    Peer,
    PolicyName,
    SeenFlow,
)
from acns_chaos.cluster.moments import moment

__all__ = ["read_lines", "written"]

KINDS = {1: "drop", 4: "trace", 5: "policy-verdict", 129: "l7"}
_NUMBERS = {name: number for number, name in KINDS.items()}
FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "NS")
# What is remembered of segments of lines; more than that, and all is forgotten. Longer lines than
# Hubble writes are not remembered.
_MOST = 8192
_SHORT = 8192
# Of one line; Hubble's longest are a few kilobytes.
_LONGEST = 1 << 20

# The beginning of a line in Hubble's order, up to the ports.
_HEAD = re.compile(rb'\{"flow":\{"time":"([^"\\]+)","uuid":"([^"\\]*)",')
_ADDRESSES = re.compile(rb'"IP":\{"source":"([^"\\]*)","destination":"([^"\\]*)"[^{}]*\},')
_PORTS = re.compile(rb'"l4":\{"(TCP|UDP|SCTP)":\{"source_port":(\d+),"destination_port":(\d+)(.*)')

Value = TypeVar("Value")
Names = tuple[str, ...]
Side = tuple[str, str, str, int, Names]


def read_lines(lines: Iterable[bytes], query: Query | None = None) -> Iterator[Event]:
    """Read flows and notices from JSON lines.

    Args:
        lines: as of a binary file; empty ones do not matter.
        query: which flows; None for all. Notices always come.

    Yields:
        Flows with `received` 0, and notices; for a line that is neither, a notice that says so
        (state UNREADABLE).
    """
    needles = [f'"{word}"'.encode() for word in (query.verdict, query.reason)] if query else []
    needles = [one for one in needles if one != b'""']
    matches = query.matches if query and query != Query() else None
    since = query.since if query and query.since else 0.0
    decoder = _Decoder()
    for number, line in enumerate(lines, 1):
        # A flow without these words is none that is asked for; a notice has no verdict.
        if needles and b'"flow"' in line and not all(one in line for one in needles):
            continue
        event = decoder.event(line, number)
        if event is None or (
            matches is not None
            and isinstance(event, SeenFlow)
            and (event.at < since or not matches(event))
        ):
            continue
        yield event


class _Decoder:
    """Decodes lines, and remembers the segments that repeat."""

    def __init__(self) -> None:
        self._heads: dict[bytes, str] = {}
        self._sides: dict[bytes, tuple[Side, Side]] = {}
        self._tails: dict[bytes, tuple[Any, ...]] = {}
        self._flags: dict[bytes, str] = {}
        self._peers: dict[tuple[bytes, bytes, Names, Names], tuple[Peer, Peer]] = {}
        self._second, self._epoch = "", 0.0

    def event(self, line: bytes, number: int) -> Event | None:
        """Decode one line; None for an empty one."""
        flow = None
        try:
            flow = self._quick(line)
            if flow is not None:
                return flow
            text = line.strip()
            if not text:
                return None
            return self._slow(text)
        except (ValueError, TypeError, AttributeError, RecursionError, OverflowError):
            return NodeNotice("", UNREADABLE, f"line {number} is no flow as Hubble writes it")

    # ------------------------------------------------------------------ by segments

    def _quick(self, line: bytes) -> SeenFlow | None:
        """Decode a line in Hubble's own order; None when it is not."""
        head = _HEAD.match(line)
        if head is None or len(line) > _SHORT:
            return None
        begin = head.end()
        source = line.find(b',"source":{', begin)
        address = line.find(b'"IP":{', begin, source)
        kind = line.find(b',"Type":"', source)
        end = line.rfind(b'},"node_name":"')
        if not (begin < address < source < kind < end):
            return None
        addresses = _ADDRESSES.match(line, address, source)
        ports = _PORTS.fullmatch(line, addresses.end(), source) if addresses else None
        if addresses is None or ports is None:
            return None
        protocol, source_port, port, rest = ports.groups()
        flags = self._flags.get(rest)
        if flags is None:
            flags = _remember(self._flags, rest, _flags_of)
        segment = line[begin:address]
        verdict = self._heads.get(segment)
        if verdict is None:
            verdict = _remember(self._heads, segment, _verdict_of)
        segment = line[kind + 1 : end]
        tail = self._tails.get(segment)
        if tail is None:
            tail = _remember(self._tails, segment, _tail_of)
        node, source_names, destination_names, reason, event, direction = tail[:6]
        reply, denied_by, allowed_by, dns_query, dns_rcode = tail[6:]
        key = (line[source + 1 : kind], addresses[0], source_names, destination_names)
        peers = self._peers.get(key)
        if peers is None:
            peers = self._remember_peers(key, *addresses.groups())
        return SeenFlow(
            self._moment(head[1].decode()),
            node,
            verdict,
            reason,
            event,
            direction,
            *peers,
            protocol.decode(),
            int(port),
            int(source_port),
            flags,
            reply,
            denied_by,
            allowed_by,
            dns_query,
            dns_rcode,
            head[2].decode(),
            0.0,
        )

    def _remember_peers(
        self, key: tuple[bytes, bytes, Names, Names], source_ip: bytes, destination_ip: bytes
    ) -> tuple[Peer, Peer]:
        segment, _, source_names, destination_names = key
        sides = self._sides.get(segment)
        if sides is None:
            sides = _remember(self._sides, segment, _sides_of)
        if len(self._peers) >= _MOST:
            self._peers.clear()
        peers = self._peers[key] = (
            Peer(*sides[0], source_ip.decode(), source_names),
            Peer(*sides[1], destination_ip.decode(), destination_names),
        )
        return peers

    def _moment(self, text: str) -> float:
        """Seconds since 1970; the second itself is worked out once."""
        if text[:19] != self._second or text[-1:] != "Z":
            whole = moment(text)
            if whole is None:
                raise ValueError("it has no time")
            if text[-1:] != "Z":
                return whole.timestamp()
            self._epoch = whole.replace(microsecond=0).timestamp()
            self._second = text[:19]
        part = float(f"0{text[19:-1]}")
        if not 0 <= part < 1:
            raise ValueError("it has no time")
        return self._epoch + part

    # ------------------------------------------------------------------ as a whole

    def _slow(self, text: bytes) -> Event:
        if len(text) > _LONGEST:
            raise ValueError("it is too long")
        found = json.loads(text)
        if "lost_events" in found:
            return _lost(found)
        if "node_status" in found:
            return _status(found)
        # Before 2021 Hubble wrote the flow without an envelope.
        flow = found.get("flow", found)
        if "verdict" not in flow and "time" not in flow:
            raise ValueError("it is no flow")
        layer4 = flow.get("l4") or {}
        protocol = next(iter(layer4), "")
        ports = layer4.get(protocol) or {}
        address = flow.get("IP") or {}
        node, source_names, destination_names, reason, event, direction, *rest = _tail(flow)
        reply, denied_by, allowed_by, dns_query, dns_rcode = rest
        source, destination = _side(flow.get("source")), _side(flow.get("destination"))
        return SeenFlow(
            self._moment(flow.get("time") or found["time"]),
            node or str(found.get("node_name", "")),
            str(flow.get("verdict", "")),
            reason,
            event,
            direction,
            Peer(*source, str(address.get("source", "")), source_names),
            Peer(*destination, str(address.get("destination", "")), destination_names),
            protocol,
            int(ports.get("destination_port", 0)),
            int(ports.get("source_port", 0)),
            _flags(ports.get("flags")),
            reply,
            denied_by,
            allowed_by,
            dns_query,
            dns_rcode,
            str(flow.get("uuid", "")),
            0.0,
        )


def _remember(
    memory: dict[bytes, Value], segment: bytes, decode: Callable[[bytes], Value]
) -> Value:
    """Decode a segment and keep what it means, within bounds."""
    if len(memory) >= _MOST:
        memory.clear()
    value = memory[segment] = decode(segment)
    return value


def _verdict_of(segment: bytes) -> str:
    """The verdict, from what stands between the uuid and the addresses."""
    return str(json.loads(b"{" + segment.rstrip(b",") + b"}").get("verdict", ""))


def _sides_of(segment: bytes) -> tuple[Side, Side]:
    found = json.loads(b"{" + segment + b"}")
    return _side(found.get("source")), _side(found.get("destination"))


def _tail_of(segment: bytes) -> tuple[Any, ...]:
    return _tail(json.loads(b"{" + segment + b"}"))


def _flags_of(segment: bytes) -> str:
    """TCP flags, from what stands behind the ports: `,"flags":{"SYN":true}}}`."""
    return _flags(json.loads(b'{"of":{"":0' + segment)["of"].get("flags"))


def _flags(found: Mapping[str, Any] | None) -> str:
    return ", ".join(name for name in FLAGS if found.get(name)) if found else ""


def _side(found: Mapping[str, Any] | None) -> Side:
    if not found:
        return NOWHERE.namespace, NOWHERE.pod, NOWHERE.workload, NOWHERE.identity, NOWHERE.labels
    workloads = found.get("workloads") or [{}]
    return (
        str(found.get("namespace", "")),
        str(found.get("pod_name", "")),
        str(workloads[0].get("name", "")),
        int(found.get("identity", 0)),
        tuple(map(str, found.get("labels", ()))),
    )


def _tail(flow: Mapping[str, Any]) -> tuple[Any, ...]:
    """What stands behind the two sides.

    Returns:
        node, names of source and destination, reason, kind, direction, reply, denied_by,
        allowed_by, dns_query, dns_rcode.
    """
    dns = (flow.get("l7") or {}).get("dns") or {}
    reason = str(flow.get("drop_reason_desc", ""))
    return (
        str(flow.get("node_name", "")),
        tuple(map(str, flow.get("source_names", ()))),
        tuple(map(str, flow.get("destination_names", ()))),
        "" if reason == "DROP_REASON_UNKNOWN" else reason,
        KINDS.get((flow.get("event_type") or {}).get("type", 0), "other"),
        direction_of(flow.get("traffic_direction", "")),
        flow.get("is_reply"),
        _policies(flow, "denied_by"),
        _policies(flow, "allowed_by"),
        str(dns.get("query", "")),
        int(dns.get("rcode", 0)),
    )


def direction_of(word: str) -> str:
    """Return our word for Hubble's direction."""
    return word.lower() if word in ("INGRESS", "EGRESS") else ""


def _policies(flow: Mapping[str, Any], which: str) -> tuple[PolicyName, ...]:
    found = [*flow.get(f"ingress_{which}", ()), *flow.get(f"egress_{which}", ())]
    return tuple(
        PolicyName(
            str(one.get("namespace", "")),
            str(one.get("name", "")),
            str(one.get("kind", "")),
            int(one.get("revision", 0)),
        )
        for one in found
    )


def _lost(found: Mapping[str, Any]) -> LostEvents:
    lost = found["lost_events"]
    return LostEvents(
        str(lost.get("source", "")),
        int(lost.get("num_events_lost", 0)),
        str(found.get("node_name", "")),
        _epoch(found.get("time")),
    )


def _status(found: Mapping[str, Any]) -> NodeNotice:
    status = found["node_status"]
    return NodeNotice(
        ", ".join(status.get("node_names", ())),
        str(status.get("state_change", "")).removeprefix("NODE_"),
        str(status.get("message", "")),
        _epoch(found.get("time")),
    )


def _epoch(text: str | None) -> float:
    found = moment(text)
    return found.timestamp() if found is not None else 0.0


# ---------------------------------------------------------------------- writing


def written(event: Event) -> str:
    """Write a flow or a notice as one line, with Hubble's names; `read_lines` reads it back.

    Only what a `SeenFlow` holds is written, so the line is shorter than Hubble's own.
    """
    found: dict[str, Any]
    if isinstance(event, SeenFlow):
        found = {"flow": _plain(_written_flow(event)), "node_name": event.node}
    elif isinstance(event, LostEvents):
        lost = {"source": event.source, "num_events_lost": str(event.count)}
        found = {"lost_events": _plain(lost), "node_name": event.node}
    else:
        status = {
            "state_change": f"NODE_{event.state}",
            "node_names": event.node.split(", ") if event.node else [],
            "message": event.message,
        }
        found = {"node_status": _plain(status)}
    if event.at:
        found["time"] = _text(event.at)
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _written_flow(flow: SeenFlow) -> dict[str, Any]:
    way = flow.direction or "ingress"
    ports: dict[str, Any] = {"source_port": flow.source_port, "destination_port": flow.port}
    ports["flags"] = dict.fromkeys(filter(None, flow.flags.split(", ")), True)
    dns = {"query": flow.dns_query, "rcode": flow.dns_rcode}
    return {
        "time": _text(flow.at),
        "uuid": flow.uuid,
        "verdict": flow.verdict,
        "IP": _plain({"source": flow.source.ip, "destination": flow.destination.ip}),
        "l4": {flow.protocol: _plain(ports)} if flow.protocol else {},
        "source": _written_side(flow.source),
        "destination": _written_side(flow.destination),
        "Type": "L7" if flow.kind == "l7" else "L3_L4",
        "node_name": flow.node,
        "source_names": flow.source.names,
        "destination_names": flow.destination.names,
        "l7": {"dns": _plain(dns)} if flow.dns_query else {},
        "event_type": _plain({"type": _NUMBERS.get(flow.kind, 0)}),
        "traffic_direction": flow.direction.upper(),
        "drop_reason_desc": flow.reason,
        "is_reply": flow.reply,
        f"{way}_allowed_by": [_written_policy(one) for one in flow.allowed_by],
        f"{way}_denied_by": [_written_policy(one) for one in flow.denied_by],
    }


def _written_side(peer: Peer) -> dict[str, Any]:
    return _plain(
        {
            "identity": peer.identity,
            "namespace": peer.namespace,
            "labels": peer.labels,
            "pod_name": peer.pod,
            "workloads": [{"name": peer.workload}] if peer.workload else [],
        }
    )


def _written_policy(policy: PolicyName) -> dict[str, Any]:
    revision = str(policy.revision) if policy.revision else ""
    return _plain(
        {
            "name": policy.name,
            "namespace": policy.namespace,
            "revision": revision,
            "kind": policy.kind,
        }
    )


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out what has its default value, as Hubble does; False is a value of `is_reply`."""
    return {
        key: value
        for key, value in found.items()
        if value is False or value not in (None, "", 0, (), [], {})
    }


def _text(at: float) -> str:
    when = datetime.fromtimestamp(at, UTC)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")
