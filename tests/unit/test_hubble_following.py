"""Following by asking again and again: nothing twice, nothing silently missing; without a relay."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from acns_chaos.cluster.hubble import (
    Event,
    HubbleError,
    LostEvents,
    NodeNotice,
    Query,
    SeenFlow,
    following,
)
from acns_chaos.cluster.hubble.following import follow
from acns_chaos.cluster.hubble.line import Line
from acns_chaos.wire import observer_pb2

Answer = list[Any] | HubbleError


def status(at: float, state: str = "NODE_CONNECTED", *names: str) -> Any:
    """What a relay begins with."""
    found = observer_pb2.GetFlowsResponse(
        node_status={"state_change": state, "node_names": names or ("n1",)}
    )
    found.time.FromNanoseconds(int(at * 1e9))
    return found


def flow(at: float, uuid: str, node: str = "n1") -> Any:
    """A flow."""
    found = observer_pb2.GetFlowsResponse(flow={"uuid": uuid, "node_name": node, "verdict": 2})
    found.flow.time.FromNanoseconds(int(at * 1e9))
    return found


def lost(at: float, count: int) -> Any:
    """A loss."""
    found = observer_pb2.GetFlowsResponse(lost_events={"num_events_lost": count}, node_name="n1")
    found.time.FromNanoseconds(int(at * 1e9))
    return found


class Scripted:
    """Answers each question with the next of some answers, and then tells the reader to stop."""

    def __init__(self, *answers: Answer, nodes: list[dict[str, int]] | None = None) -> None:
        self.answers = list(answers)
        self.ages = nodes or []
        self.since: list[float] = []
        self.stop = threading.Event()

    def responses(self, query: Query, deadline: float) -> Iterator[Any]:
        """The next answer."""
        assert query.since is not None
        self.since.append(query.since)
        answer = self.answers.pop(0)
        if not self.answers:
            self.stop.set()
        if isinstance(answer, HubbleError):
            raise answer
        yield from answer

    def events(self, response: Any) -> Iterator[Event]:
        """As the real line."""
        return Line.events(None, response)  # type: ignore[arg-type]

    def nodes(self) -> list[Any]:
        """The next state of the only node."""
        told = self.ages.pop(0) if self.ages else {}
        return [observer_pb2.Node(name="n1", max_flows=4095, **told)] if told else []

    def gaps(self, since: float, now: float) -> list[NodeNotice]:
        """None."""
        return []


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the nodes after each question."""
    monkeypatch.setattr(following, "_LOOK", 0.0)
    monkeypatch.setattr(following, "_SHARE", 1e9)


def followed(
    line: Scripted, since: float | None = 90.0, clock: Callable[[], float] = lambda: 100.0
) -> list[Any]:
    """Uuids of flows, counts of losses, and (node, state) of notices, in order."""
    found: list[Any] = []
    for event in follow(line, Query(since=since), line.stop, clock, 0.0):
        if isinstance(event, SeenFlow):
            found.append(event.uuid)
        elif isinstance(event, LostEvents):
            found.append(event.count)
        else:
            found.append((event.node, event.state))
    return found


def test_each_flow_comes_once() -> None:
    """Questions overlap by the relay's clock, and what was had already is left out."""
    line = Scripted(
        [status(200.0), flow(199.0, "a"), flow(199.9, "b")],
        [status(200.1), flow(199.2, "late"), flow(199.9, "b"), flow(200.05, "c")],
        [status(200.2), flow(199.2, "late"), flow(199.9, "b"), flow(200.05, "c")],
    )
    assert followed(line) == [("n1", "CONNECTED"), "a", "b", "late", "c"]
    assert line.since == pytest.approx([90.0, 199.7, 199.8])


def test_a_node_whose_clock_is_behind_is_late_and_not_lost() -> None:
    """One question of ten reaches two seconds back."""
    answers = [[status(200.0 + number / 10)] for number in range(11)]
    line = Scripted(*answers[:10], [*answers[10], flow(199.2, "behind")])
    assert followed(line) == [("n1", "CONNECTED"), "behind"]
    assert line.since[9:] == pytest.approx([200.5, 198.9])


def test_what_was_before_is_not_what_comes() -> None:
    """Without `since` it begins now, by the relay's clock, although ours is ahead of it."""
    line = Scripted(
        [status(60.0)], [status(60.1), flow(59.5, "before"), flow(60.05, "after")], [status(60.2)]
    )
    assert followed(line, None) == [("n1", "CONNECTED"), "after"]


def test_a_loss_is_told_once() -> None:
    """The same loss comes with every question that reaches back to it."""
    line = Scripted(
        [status(200.0), lost(199.9, 3)],
        [status(200.1), lost(199.9, 3)],
        [status(200.2), lost(199.9, 3), lost(200.1, 3)],
    )
    assert followed(line) == [("n1", "CONNECTED"), 3, 3]


def test_a_relay_that_is_away_is_asked_for_the_meantime() -> None:
    """It is told once that it is away, and once that it is back."""
    down = HubbleError("It is down.", "relay-down")
    line = Scripted([status(200.0)], down, down, [status(260.0), flow(230.0, "meanwhile")])
    assert followed(line) == [
        ("n1", "CONNECTED"),
        ("", "ERROR"),
        "meanwhile",
        ("", "RECONNECTED"),
    ]
    assert line.since == pytest.approx([90.0, 199.7, 199.7, 199.7])


def test_a_node_that_was_away_is_asked_for_the_meantime() -> None:
    """Flows of other nodes from that time do not come again."""
    line = Scripted(
        [status(200.0, "NODE_CONNECTED", "n1", "n2"), flow(199.5, "a")],
        [status(200.1), status(200.1, "NODE_UNAVAILABLE", "n2")],
        [status(203.0), status(203.0, "NODE_UNAVAILABLE", "n2"), flow(202.5, "b")],
        [status(230.0, "NODE_CONNECTED", "n1", "n2"), flow(229.0, "c")],
        [
            status(230.1, "NODE_CONNECTED", "n1", "n2"),
            flow(199.5, "a"),
            flow(201.0, "missed", "default/n2"),
            flow(202.5, "b"),
            flow(229.0, "c"),
        ],
    )
    found = followed(line)
    assert [one for one in found if isinstance(one, str)] == ["a", "b", "c", "missed"]
    assert ("n2", "UNAVAILABLE") in found
    assert found.index(("n2", "CONNECTED"), found.index(("n2", "UNAVAILABLE"))) > 0
    assert line.since[4] == pytest.approx(199.7)


def test_an_agent_that_began_anew_is_told() -> None:
    """Its flows are gone, and no question can tell: what it says of itself does."""
    line = Scripted(
        *[[status(200.0)]] * 3,
        nodes=[{"uptime_ns": 50 * 10**9}, {"uptime_ns": 50 * 10**9}, {"uptime_ns": 10**9}],
    )
    assert followed(line) == [("n1", "CONNECTED"), ("n1", "RESTARTED")]


def test_a_ring_that_was_overwritten_between_two_questions_is_told() -> None:
    """More flows came in the meantime than it holds."""
    times = iter(range(100, 10_000))
    line = Scripted(
        *[[status(200.0)]] * 3,
        nodes=[
            {"uptime_ns": 10**9, "seen_flows": 10},
            {"uptime_ns": 10**9, "seen_flows": 10**12},
            {"uptime_ns": 10**9, "seen_flows": 10**12 + 1},
        ],
    )
    found = followed(line, clock=lambda: float(next(times)) / 1e4)
    assert found == [("n1", "CONNECTED"), ("n1", "WRAPPED")]


def test_a_question_that_hubble_cannot_use_is_an_error() -> None:
    """It would never be answered."""
    bad = status(200.0, "NODE_ERROR")
    bad.node_status.message = "invalid source label filter: unable to parse requirement"
    with pytest.raises(HubbleError, match="unable to parse") as refused:
        followed(Scripted([status(200.0), bad]))
    assert refused.value.cause == "bad-filter"
