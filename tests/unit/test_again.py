"""A server that says it did not look at a request is asked again when it says; no other is."""

import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from acns_chaos.cluster.kube import AGAIN, Api
from acns_chaos.errors import ApiError

Answer = tuple[int, dict[str, str]]
OK: Answer = (200, {})


class Pool:
    """Answers what it is told to, then 200; notes what was asked and with what time-out."""

    def __init__(self, *answers: Answer) -> None:
        self.answers: Iterator[Answer] = iter(answers)
        self.asked: list[tuple[str, Any, float]] = []

    def request(self, method: str, url: str, **more: Any) -> Any:
        """One answer."""
        assert url == "https://10.0.0.1/version?a=b"
        self.asked.append((method, more["body"], more["timeout"].total))
        status, headers = next(self.answers, OK)
        data = b'{"kind": "Status", "message": "said so"}'
        return SimpleNamespace(status=status, headers=headers, data=data)


def api_of(pool: Pool) -> Api:
    """A connection to it."""
    configuration = SimpleNamespace(host="https://10.0.0.1", auth_settings=dict)
    rest = SimpleNamespace(pool_manager=pool)
    return Api(SimpleNamespace(configuration=configuration, rest_client=rest))


def ask(api: Api, method: str = "GET", timeout: float | None = None) -> dict[str, Any]:
    """One request."""
    body = None if method == "GET" else {"x": 1}
    return api.request(method, "/version", {"a": "b"}, body, timeout=timeout)


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize("status", [429, 503])
def test_what_was_not_looked_at_is_sent_again(method: str, status: int) -> None:
    """Reads and writes alike, with the same body: the server states that nothing was done."""
    pool = Pool((status, {"Retry-After": "0"}), (status, {"Retry-After": "0"}))
    assert ask(api_of(pool), method)["message"] == "said so"
    assert [(one, body) for one, body, _ in pool.asked] == [(method, pool.asked[0][1])] * 3


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (503, {}),
        (503, {"Retry-After": "soon"}),
        (503, {"Retry-After": "-1"}),
        (500, {"Retry-After": "0"}),
        (504, {"Retry-After": "0"}),
        (409, {"Retry-After": "0"}),
    ],
)
def test_nothing_else_is_sent_again(status: int, headers: dict[str, str]) -> None:
    """Nobody knows whether a 503 without the header, or any other error, did something."""
    pool = Pool((status, headers))
    with pytest.raises(ApiError, match="said so"):
        ask(api_of(pool))
    assert len(pool.asked) == 1


def test_it_ends_after_ten_times() -> None:
    """The last answer is what is said."""
    pool = Pool(*[(429, {"Retry-After": "0"})] * 50)
    with pytest.raises(ApiError, match="said so") as caught:
        ask(api_of(pool))
    assert caught.value.status == 429
    assert len(pool.asked) == AGAIN + 1


@pytest.mark.parametrize(
    ("headers", "timeout"), [({"Retry-After": "10"}, None), ({"Retry-After": "3600"}, 600), ({}, 1)]
)
def test_a_wait_beyond_the_time_out_is_not_begun(
    headers: dict[str, str], timeout: float | None
) -> None:
    """The answer is told at once; a 429 that names no time means one second."""
    pool = Pool((429, headers))
    began = time.monotonic()
    with pytest.raises(ApiError):
        ask(api_of(pool), timeout=timeout)
    assert len(pool.asked) == 1
    assert time.monotonic() - began < 0.5


def test_waiting_counts_towards_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of it is all that the next answer may take."""
    monkeypatch.setattr("acns_chaos.cluster.kube.SOON", 0.05)
    pool = Pool((429, {}))
    ask(api_of(pool), timeout=0.2)
    assert 0 < pool.asked[1][2] < 0.151 < pool.asked[0][2] <= 0.2


def test_whoever_is_in_a_hurry_is_told_at_once() -> None:
    """The same connection otherwise, which goes on waiting for others."""
    pool = Pool((429, {"Retry-After": "0"}), (429, {"Retry-After": "0"}))
    api = api_of(pool)
    with pytest.raises(ApiError):
        ask(api.hurried())
    assert ask(api)
    assert len(pool.asked) == 3


def test_a_signal_gets_through_while_it_waits() -> None:
    """What its handler raises ends the wait."""

    def alarm(*_: Any) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    began = time.monotonic()
    try:
        with pytest.raises(InterruptedError):
            ask(api_of(Pool((429, {"Retry-After": "5"}))))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - began < 1
