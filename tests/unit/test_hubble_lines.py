"""Hubble's JSON lines: read quickly or slowly with the same result, written, filtered, counted."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from acns_chaos.cluster.hubble import (
    Event,
    LostEvents,
    NodeNotice,
    Query,
    SeenFlow,
    count_dropped,
    evidence_of,
    read_lines,
    written,
)
from acns_chaos.cluster.hubble.lines import _Decoder
from tests.unit.hostile import MOMENTS

DATA = Path(__file__).parents[1] / "data" / "hubble" / "captured.jsonl.gz"
LINES = gzip.decompress(DATA.read_bytes()).splitlines(keepends=True)


def flows(lines: Iterable[bytes], query: Query | None = None) -> list[SeenFlow]:
    """The flows among what is read."""
    return [one for one in read_lines(lines, query) if isinstance(one, SeenFlow)]


def in_another_order(line: bytes) -> bytes:
    """The same line with its fields sorted and blanks between them."""
    return json.dumps(json.loads(line), sort_keys=True).encode()


def test_a_line_means_the_same_in_any_order() -> None:
    """What is cut into segments and what is decoded as a whole agree on every recorded flow."""
    decoder = _Decoder()
    quick = [decoder._quick(line) for line in LINES]
    assert sum(one is None for one in quick) == sum(b'"ICMPv6"' in line for line in LINES)
    whole = flows(map(in_another_order, LINES))
    assert len(whole) == len(LINES) == 200
    assert flows(LINES) == whole


def test_what_is_read_of_a_denied_packet() -> None:
    """Who, whom, where, why and when, of the first recorded deny."""
    (first, *_) = flows(LINES, Query(verdict="DROPPED", reason="POLICY_DENY"))
    assert (first.source.name, first.destination.name) == ("world", "pets/store-front")
    assert first.destination.pod.startswith("store-front-")
    assert (first.protocol, first.port, first.flags) == ("TCP", 8080, "SYN")
    assert (first.kind, first.direction, first.reply) == ("policy-verdict", "ingress", None)
    (named,) = first.denied_by
    assert (named.namespace, named.name) == ("pets", "allow-store-front-traffic")
    assert named.revision > 0
    assert first.denied
    assert (len(first.uuid), first.received) == (36, 0.0)


def test_a_name_that_the_proxy_refused() -> None:
    """It was dropped by policy without a reason, and is counted as such."""
    refused = flows(LINES, Query(verdict="DROPPED", protocol="dns"))
    assert refused
    assert {(one.kind, one.reason, one.denied) for one in refused} == {("l7", "", True)}
    assert all(one.dns_query.endswith(".") for one in refused)
    assert count_dropped(refused) == {"": len(refused)}


def test_time_is_exact_to_the_microsecond() -> None:
    """Nanoseconds, whole seconds and another zone are read; days change within one file."""
    text = LINES[0].decode()
    at = json.loads(text)["flow"]["time"]
    for written_at, expected in (
        ("2026-11-22T23:59:59.999999999Z", 1795391999.999999999),
        ("2026-11-23T00:00:00Z", 1795392000.0),
        ("2026-11-23T01:00:00.5+01:00", 1795392000.5),
        ("2026-11-23T00:00:00.25Z", 1795392000.25),
    ):
        (flow,) = flows([text.replace(at, written_at).encode()])
        assert flow.at == pytest.approx(expected, abs=1e-6)


def test_one_dropped_packet_is_two_flows_and_counts_once() -> None:
    """Whether both flows came, or only its verdict, because a node's newest event is hidden."""
    both = flows(LINES, Query(verdict="DROPPED", reason="POLICY_DENY"))
    kinds = [one.kind for one in both]
    assert kinds.count("drop") == kinds.count("policy-verdict") > 1
    packets = {"POLICY_DENY": len(both) // 2}
    assert count_dropped(both) == packets
    last = max(both, key=lambda one: (one.at, one.kind == "drop"))
    assert last.kind == "drop"
    assert count_dropped(one for one in both if one is not last) == packets
    assert count_dropped(one for one in both if one.kind == "drop") == packets


@pytest.mark.parametrize(
    "line",
    [
        b"not JSON",
        b"[1, 2]",
        b'"flow"',
        b'{"flow": 7}',
        b'{"flow":{"time":"yesterday","verdict":"DROPPED"}}',
        b'{"flow":{"time":"2026-11-22T00:00:00Z","verdict":"DROPPED","source":[1]}}',
        b'{"flow":{}}',
        b'{"agent_event":{}}',
        b"[" * 5000,
        *(b'{"flow":{"time":"%s","verdict":"DROPPED"}}' % one.encode() for one in MOMENTS),
        b'{"flow":{"time":"2026-11-22T00:00:00.5e300Z","verdict":"DROPPED"}}',
        b'{"flow":{"time":"2026-11-22T00:00:00Z","uuid":"x","verdict":"DRO',
    ],
)
def test_a_line_that_is_no_flow_is_told(line: bytes) -> None:
    """It is neither passed over nor the end: evidence is incomplete, and the rest is read."""
    events = list(read_lines([b"\n", line, LINES[0]]))
    assert isinstance(events[1], SeenFlow)
    assert events[0] == NodeNotice("", "UNREADABLE", "line 2 is no flow as Hubble writes it")
    assert not evidence_of(events).complete


def test_losses_and_nodes_come_through_every_filter() -> None:
    """What is said to be missing concerns every question."""
    lines = [
        (
            b'{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"7"},'
            b'"node_name":"n1","time":"2026-11-22T00:00:00Z"}'
        ),
        b'{"node_status":{"state_change":"NODE_UNAVAILABLE","node_names":["n2"],"message":"x"}}',
    ]
    found = list(read_lines(lines, Query(verdict="DROPPED", reason="POLICY_DENIED", port=1)))
    assert found == [
        LostEvents("HUBBLE_RING_BUFFER", 7, "n1", 1795305600.0),
        NodeNotice("n2", "UNAVAILABLE", "x"),
    ]
    grade = evidence_of(found)
    assert (grade.complete, grade.lost, grade.unavailable) == (False, 7, ("n2",))
    assert grade.reasons == ("7 flows were lost", "node n2 does not answer: x")


def test_what_is_written_is_read_back() -> None:
    """Flows to the microsecond, losses and notices as they were."""
    events: list[Event] = [*read_lines(LINES), LostEvents("", 3, "n1", 12.5)]
    events += [NodeNotice("n1", "UNAVAILABLE", "gone", 13.25), NodeNotice("", "ERROR", "", 0.0)]
    again = list(read_lines(written(one).encode() for one in events))
    assert [plain(one) for one in again] == [plain(one) for one in events]


def plain(event: Event) -> dict[str, Any]:
    """An event's fields; the kind of a policy is the only one that a line keeps as it is told."""
    found = {name: getattr(event, name) for name in event.__slots__}
    return {**found, "at": round(event.at, 6)}


def test_evidence_is_whole_again_when_a_node_is_back() -> None:
    """A relay or a node that was away was asked for the meantime; an agent that began anew not."""
    away = [NodeNotice("n1", "UNAVAILABLE", ""), NodeNotice("", "ERROR", "down")]
    assert len(evidence_of(away).reasons) == 2
    back = [*away, NodeNotice("n1", "CONNECTED", ""), NodeNotice("", "RECONNECTED", "")]
    assert evidence_of(back).complete
    assert not evidence_of([*back, NodeNotice("n1", "RESTARTED", "")]).complete
    assert not evidence_of([NodeNotice("n1", "WRAPPED", ""), *back]).complete
