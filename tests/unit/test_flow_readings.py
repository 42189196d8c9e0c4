"""Readings of flows: COUNTED only where nothing that is missing could turn the answer round."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from acns_chaos.cluster.hubble import (
    Event,
    HubbleError,
    LostEvents,
    NodeNotice,
    Peer,
    PolicyName,
    Query,
    RelayStatus,
    SeenFlow,
)
from acns_chaos.evidence.counters import Bounds
from acns_chaos.evidence.flows import read_flow_count, read_relay

WORLD = Peer("", "", "", 2, ("reserved:world",), "198.51.100.10", ())
SHOP = Peer("pets", "store-front-86c-kn57j", "store-front", 7, (), "10.244.0.90", ())
VERDICT = SeenFlow(
    *(1_795_000_000.0, "n1", "DROPPED", "POLICY_DENY", "policy-verdict", "ingress", WORLD, SHOP),
    *("TCP", 8080, 40000, "SYN", None),
    *((PolicyName("pets", "deny-world", "CiliumNetworkPolicy", 3),), (), "", 0, "u1", 0.0),
)
DROP = replace(VERDICT, kind="drop", denied_by=(), uuid="u2")
NOISE = replace(DROP, reason="UNSUPPORTED_L3_PROTOCOL", protocol="ICMPv6", port=0, uuid="u3")
SOME, NONE = Bounds(1.0), Bounds(0.0, 0.0)
AWAY = NodeNotice("n2", "UNAVAILABLE", "connection refused")


class Told:
    """A relay that tells the same each time.

    Attributes:
        since: what it was asked for.
    """

    def __init__(self, *events: Event, ahead: float = 0.0, status: Any = None) -> None:
        self.events = events
        self.ahead = ahead
        self.since: list[float] = []
        self._status = status

    def flows(self, query: Query, deadline: float) -> Iterator[Event]:
        """The relay names its nodes first, by its own clock."""
        assert query.since is not None
        self.since.append(query.since)
        yield NodeNotice("n1", "CONNECTED", "", time.time() + self.ahead)
        yield from self.events

    def status(self) -> RelayStatus:
        """How it is."""
        assert isinstance(self._status, RelayStatus)
        return self._status


@contextmanager
def opened(relay: Told | HubbleError) -> Iterator[Any]:
    """Open it, or not."""
    if isinstance(relay, HubbleError):
        raise relay
    yield relay


def read(
    relay: Told | HubbleError, bounds: Bounds, policy_only: bool = True, start: str = ""
) -> dict[str, Any]:
    """Read dropped flows of the last ten seconds."""
    return read_flow_count(
        *(None, {}, Query(verdict="DROPPED"), policy_only, "drops", start, 10.0, bounds, 0.0),  # type: ignore[arg-type]
        opened=lambda api, environ, timeout: opened(relay),  # type: ignore[arg-type,return-value]
    )


def test_a_dropped_packet_is_a_witness() -> None:
    """Two flows count once, with reason, policy, and who met whom; noise does not count."""
    found = read(Told(NOISE, VERDICT, DROP), SOME)
    assert (found["reading"], found["met"], found["count"]) == ("COUNTED", True, 1)
    assert found["sentence"] == (
        "1 dropped packet (1 POLICY_DENY) seen by Hubble, the first world to "
        "pets/store-front:8080 TCP, ingress, POLICY_DENY"
    )
    evidence = found["evidence"]
    assert evidence["policies"] == ["pets/deny-world"]
    assert evidence["reasons"] == {"POLICY_DENY": 1}
    assert evidence["first"] == datetime.fromtimestamp(VERDICT.at, UTC).isoformat()
    assert 9.9 < evidence["seconds"] < 11
    assert len(evidence["connections"]) == 1
    assert evidence["hubble"]["complete"] is True
    assert read(Told(NOISE, VERDICT, DROP), SOME, policy_only=False)["count"] == 2


def test_connections_are_told_by_this_machine_s_clock_each_once() -> None:
    """A packet that is sent again is no further connection; another port is one."""
    again, other = replace(VERDICT, at=VERDICT.at + 1), replace(VERDICT, source_port=40001)
    found = read(Told(other, VERDICT, DROP, again, ahead=60.0), SOME)
    assert found["count"] == 3
    moments = [datetime.fromisoformat(one) for one in found["evidence"]["connections"]]
    assert [VERDICT.at - one.timestamp() for one in moments] == [pytest.approx(60, abs=1)] * 2


@pytest.mark.parametrize("missing", [AWAY, LostEvents("HUBBLE_RING_BUFFER", 3, "n1", 1.0)])
def test_what_is_missing_makes_nothing_of_no_drops(missing: Event) -> None:
    """No drops with losses is UNKNOWN, with the reason; drops that were seen stay seen."""
    for bounds in (NONE, SOME, Bounds(2.0)):
        found = read(Told(missing), bounds)
        assert (found["reading"], found["met"], found["count"]) == ("UNKNOWN", None, 0)
        assert "more could be missing" in found["sentence"]
    seen = read(Told(missing, VERDICT), SOME)
    assert (seen["reading"], seen["met"]) == ("COUNTED", True)
    assert seen["evidence"]["hubble"]["complete"] is False
    broken = read(Told(missing, VERDICT), NONE)
    assert (broken["reading"], broken["met"]) == ("COUNTED", False)


def test_no_drops_with_nothing_missing_is_an_answer() -> None:
    """The closed claim holds, and the open one does not."""
    assert read(Told(), NONE)["met"] is True
    assert (read(Told(), SOME)["reading"], read(Told(), SOME)["met"]) == ("COUNTED", False)


@pytest.mark.parametrize("cause", ["relay-down", "no-permission", "tls-off", "unreachable"])
def test_a_relay_that_cannot_be_asked_is_unknown(cause: str) -> None:
    """Never "no drops"."""
    found = read(HubbleError("One sentence.", cause), NONE)
    assert (found["reading"], found["met"], found["count"]) == ("UNKNOWN", None, None)
    assert found["sentence"] == "One sentence."
    assert found["evidence"]["cause"] == cause


def test_a_moment_of_ours_is_put_to_the_nodes_clocks() -> None:
    """A cluster whose clocks are an hour behind is asked for an hour earlier."""
    relay = Told(VERDICT, ahead=-3600.0)
    start = datetime.now(UTC)
    found = read(relay, SOME, start=start.isoformat())
    assert relay.since == pytest.approx([start.timestamp(), start.timestamp() - 3600], abs=1)
    assert found["evidence"]["clock_ahead_seconds"] == pytest.approx(-3600, abs=1)
    assert found["evidence"]["seconds"] < 2


@pytest.mark.parametrize(
    ("relay", "state", "met"),
    [
        (Told(status=RelayStatus("relay 1", 2, (), 5, 5, 1.0)), "READY", True),
        (Told(status=RelayStatus("relay 1", 1, ("n2",), 5, 5, 1.0)), "NOT_READY", False),
        (Told(status=RelayStatus("relay 1", 0, (), 0, 0, 0.0)), "NOT_READY", False),
        (HubbleError("x", "relay-down"), "NOT_READY", False),
        (HubbleError("x", "relay-absent"), "NOT_READY", False),
        (HubbleError("x", "no-permission"), "UNKNOWN", None),
        (HubbleError("x", "unreachable"), "UNKNOWN", None),
    ],
)
def test_the_relay_is_healthy_when_it_answers_for_all(
    relay: Told | HubbleError, state: str, met: bool | None
) -> None:
    """What the cluster says is down is not ready; what we may not see is unknown."""
    found = read_relay(None, {}, opened=lambda api, environ, timeout: opened(relay))  # type: ignore[arg-type,return-value]
    assert (found["reading"], found["met"]) == (state, met)
