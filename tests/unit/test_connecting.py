"""Bare TCP connections: each answer told apart, and never more of them than allowed."""

import socket
from collections.abc import Iterator

import pytest

from acns_chaos.cluster.connecting import Attempt, Connector
from acns_chaos.errors import ApiError

LOOPBACK = "127.0.0.1"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that accepts whatever comes."""
    with socket.create_server((LOOPBACK, 0), backlog=64) as server:
        yield server


@pytest.fixture
def silent() -> Iterator[tuple[str, int]]:
    """A server whose queue is full: further SYNs meet silence."""
    with socket.create_server((LOOPBACK, 0), backlog=0) as server:
        to = server.getsockname()
        fillers = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(to)
            fillers.append(one)
        yield to
        for one in fillers:
            one.close()


def all_of(connector: Connector, wanted: int) -> list[Attempt]:
    """Collect until *wanted* attempts have ended."""
    found: list[Attempt] = []
    while len(found) < wanted:
        more = connector.poll(2.0)
        assert more, f"only {len(found)} of {wanted} ended"
        found += more
    return found


def test_an_accepted_connection_is_connected_and_closed_without_a_byte(
    listener: socket.socket,
) -> None:
    """The server sees a connection that ends: no data, no reset."""
    with Connector(listener.getsockname(), 0.5) as connector:
        handle = connector.start()
        (attempt,) = all_of(connector, 1)
    accepted, _ = listener.accept()
    with accepted:
        accepted.settimeout(1)
        assert accepted.recv(10) == b""
    assert (attempt.handle, attempt.outcome, attempt.error) == (handle, "connected", "")
    assert 0 <= attempt.seconds < 0.4


def test_a_closed_port_is_refused(listener: socket.socket) -> None:
    """Nobody listens: an answer, and no silence."""
    to = listener.getsockname()
    listener.close()
    with Connector(to, 0.5) as connector:
        connector.start()
        (attempt,) = all_of(connector, 1)
    assert (attempt.outcome, attempt.error) == ("refused", "Connection refused")


def test_silence_takes_exactly_the_time_out(silent: tuple[str, int]) -> None:
    """A dropped SYN ends when the time-out does."""
    with Connector(silent, 0.05) as connector:
        connector.start()
        (attempt,) = all_of(connector, 1)
    assert attempt.outcome == "silent"
    assert 0.05 <= attempt.seconds < 0.2


def test_a_poll_comes_back_when_its_time_is_over(silent: tuple[str, int]) -> None:
    """A sampler that has to begin the next attempt is not held up by an open one."""
    with Connector(silent, 30.0) as connector:
        connector.start()
        assert connector.poll(0.01) == []
        assert len(connector) == 1


def test_open_connections_are_bounded_and_the_gap_is_counted(silent: tuple[str, int]) -> None:
    """What is not begun is said, not forgotten."""
    with Connector(silent, 30.0, most=2) as connector:
        begun = [connector.start() for _ in range(3)]
        assert begun == [1, 2, None]
        assert (len(connector), connector.skipped) == (2, 1)


def test_many_at_once_all_end_with_their_own_handle(listener: socket.socket) -> None:
    """Attempts do not wait for one another."""
    with Connector(listener.getsockname(), 0.5) as connector:
        handles = [connector.start() for _ in range(20)]
        ended = all_of(connector, 20)
    assert sorted(one.handle for one in ended) == handles
    assert {one.outcome for one in ended} == {"connected"}


def test_no_descriptor_left_is_a_failure_of_this_machine(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing about the other side, so it is neither silent nor refused."""

    def none_left(*_: object) -> socket.socket:
        raise OSError(24, "Too many open files")

    with Connector(listener.getsockname(), 0.5) as connector:
        monkeypatch.setattr(socket, "socket", none_left)
        connector.start()
        (attempt,) = connector.poll()
    assert (attempt.outcome, attempt.error) == ("failed", "Too many open files")


def test_a_name_that_cannot_be_looked_up_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lookup happens once, at the start, and its failure names the host."""

    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ApiError, match=r"'shop[.]example' cannot be looked up.*not known"):
        Connector(("shop.example", 80), 0.5)
