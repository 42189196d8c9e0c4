"""Bare TCP connections, many a second, in one thread: what a client's SYN meets.

Nothing is sent on them and each is closed as soon as it stands, in the usual way (no reset), so a
server sees connections that came and went. Belongs here: opening, timing, bounding. Does not belong
here: when to open one and what the answers mean for an experiment.
"""

import errno
import os
import selectors
import socket
import time
from dataclasses import dataclass
from typing import Any, Self

from acns_chaos.errors import ApiError

__all__ = [
    "CONNECTED",
    "FAILED",
    "REFUSED",
    "RESET",
    "SILENT",
    "UNREACHABLE",
    "Attempt",
    "Connector",
]

CONNECTED = "connected"
REFUSED = "refused"
RESET = "reset"
SILENT = "silent"
UNREACHABLE = "unreachable"
# This machine could not even try: no descriptor, no free port.
FAILED = "failed"

_OUTCOMES = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: RESET,
    errno.ECONNABORTED: RESET,
    errno.ETIMEDOUT: SILENT,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection that was tried, and how it ended.

    Attributes:
        handle: what `start` returned for it.
        began: seconds since 1970 by this machine's clock, just before the SYN.
        ended: the same clock: `began` plus the time that passed by the steady clock, so that
            setting the clock meanwhile makes no attempt longer.
        outcome: CONNECTED, REFUSED, RESET, UNREACHABLE, SILENT (neither accepted nor refused
            within the time-out), or FAILED (this machine could not try).
        error: the system's words, "" when connected or silent.
    """

    handle: int
    began: float
    ended: float
    outcome: str
    error: str = ""

    @property
    def seconds(self) -> float:
        """How long it took, by the steady clock."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class _Open:
    handle: int
    began: float
    steady: float


class Connector:
    """Opens connections to one address without waiting for any of them; not for several threads.

    Keep the time-out below 1 s: the system repeats an unanswered SYN after 1 s, and a connection
    that was dropped would then stand as a slow success (reference captures, "What a client sees").

    Args:
        address: host and port. A name is looked up once, here: later attempts go to the address
            that was found, so that they say nothing about DNS.
        timeout: seconds until an attempt is SILENT.
        most: how many may be open at once. `rate * timeout` are while the other side is silent.

    Attributes:
        address: host and port that are connected to.
        skipped: how many were not begun because `most` were open; a gap in the samples.

    Raises:
        ApiError: the host cannot be looked up.
    """

    def __init__(self, address: tuple[str, int], timeout: float, most: int = 128) -> None:
        self._family, self._to = _look_up(address)
        self.address: tuple[str, int] = (str(self._to[0]), int(self._to[1]))
        self.skipped = 0
        self._timeout = timeout
        self._most = most
        self._selector = selectors.DefaultSelector()
        # By age: the time-out is the same for all, so the first one is the first to run out.
        self._open: dict[socket.socket, _Open] = {}
        self._done: list[Attempt] = []
        self._next = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def start(self) -> int | None:
        """Begin one attempt, without waiting.

        Returns:
            Its number, which its Attempt carries; None when too many are open (see `skipped`).
        """
        if len(self._open) >= self._most:
            self.skipped += 1
            return None
        self._next += 1
        one = _Open(self._next, time.time(), time.monotonic())
        try:
            sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        except OSError as error:
            self._done.append(_attempt(one, time.monotonic(), error.errno))
            return one.handle
        sock.setblocking(False)
        code = sock.connect_ex(self._to)
        if code in (errno.EINPROGRESS, errno.EINTR):
            self._selector.register(sock, selectors.EVENT_WRITE)
            self._open[sock] = one
        else:
            sock.close()
            self._done.append(_attempt(one, time.monotonic(), code))
        return one.handle

    def poll(self, seconds: float = 0.0) -> list[Attempt]:
        """Collect the attempts that have ended.

        Args:
            seconds: how long to wait for the first one; 0 only looks. A caller that samples on a
                schedule waits until its next moment and no longer.

        Returns:
            What has ended since the last call, in the order of the ends that were seen.
        """
        until = time.monotonic() + seconds
        while True:
            self._collect(0.0 if self._done else self._patience(until))
            self._give_up(time.monotonic())
            if self._done or time.monotonic() >= until:
                done, self._done = self._done, []
                return done

    def close(self) -> None:
        """Close every connection; attempts under way get no end."""
        for sock in self._open:
            self._selector.unregister(sock)
            sock.close()
        self._open.clear()
        self._selector.close()

    def _patience(self, until: float) -> float:
        """Return how long nothing can happen but an answer."""
        if self._open:
            until = min(until, next(iter(self._open.values())).steady + self._timeout)
        return max(0.0, until - time.monotonic())

    def _collect(self, patience: float) -> None:
        for key, _ in self._selector.select(patience):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)  # nothing else is registered
            moment = time.monotonic()
            self._end(sock, moment, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _give_up(self, moment: float) -> None:
        for sock, one in list(self._open.items()):
            if moment - one.steady < self._timeout:
                return
            self._end(sock, moment, errno.ETIMEDOUT)

    def _end(self, sock: socket.socket, moment: float, code: int) -> None:
        self._selector.unregister(sock)
        sock.close()
        self._done.append(_attempt(self._open.pop(sock), moment, code))


def _attempt(one: _Open, moment: float, code: int | None) -> Attempt:
    ended = one.began + (moment - one.steady)
    if not code:
        return Attempt(one.handle, one.began, ended, CONNECTED)
    outcome = _OUTCOMES.get(code, FAILED)
    return Attempt(
        one.handle, one.began, ended, outcome, "" if outcome == SILENT else os.strerror(code)
    )


def _look_up(address: tuple[str, int]) -> tuple[int, tuple[Any, ...]]:
    host, port = address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ApiError(f"{host!r} cannot be looked up, so nothing connects to it: {reason}") from (
            error
        )
    family, _, _, _, to = found[0]
    return family, to
