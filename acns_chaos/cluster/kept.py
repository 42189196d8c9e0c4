"""A customer's connection that is kept: opened once, used again for each question.

Policies cut established connections by silence, nothing is reset, and what was sent goes on being
repeated: the same connection carries on seconds after the policy opened (reference captures, "What
a client sees"). So a request that meets silence stays outstanding, and the next question waits for
that answer instead of opening anything. `requests` would close the connection, hence `http.client`.
"""

import contextlib
import http.client
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from acns_chaos.cluster.storefront import AGENT, ANSWER, CONNECTION, Answer, cause

__all__ = ["Kept", "KeptAnswer"]

_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What came back on a kept connection.

    Attributes:
        answer: as of a new connection; its seconds are those of this question.
        opened: whether this question opened the connection.
        lost: whether the connection is gone, so that nothing is kept any more; "" or why.
        age: seconds since it was opened.
        waited: seconds since the request that is answered, or still is not, was sent; it may have
            been sent by an earlier question.
    """

    answer: Answer
    opened: bool
    lost: str
    age: float
    waited: float


class Kept:
    """One connection to a shop; not for several threads.

    Args:
        base: URL without a path, "http://host:port" or "https://...".
    """

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._host = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._secure = parts.scheme == "https"
        self._connection: http.client.HTTPConnection | None = None
        self._opened = 0.0
        # The path of the request that is not answered yet, and when it was sent.
        self._asked = ""
        self._sent = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a connection is kept."""
        return self._connection is not None

    def get(self, path: str, timeout: float) -> KeptAnswer:
        """Ask for a page; while an earlier request is unanswered, wait for that answer first.

        Args:
            path: of the page.
            timeout: seconds, for connecting and again for the answer.
        """
        began = time.monotonic()
        opened = self._connection is None
        try:
            if opened:
                self._open(timeout)
            while True:
                asked = self._ask(path)
                answer, closes = self._answer(began, began + timeout)
                if asked == path or closes:
                    break
            told = self._told(answer, opened, "the server closes it after an answer" * closes)
            if closes:
                self.close()
            return told
        except TimeoutError:
            return self._silent(began, timeout, opened)
        except (OSError, http.client.HTTPException) as error:
            return self._broken(error, began, opened)

    def close(self) -> None:
        """Close it; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._asked = None, ""

    def _open(self, timeout: float) -> None:
        connection: http.client.HTTPConnection
        if self._secure:
            import ssl

            import certifi

            # The roots that new connections trust.
            trust = ssl.create_default_context(cafile=certifi.where())
            connection = http.client.HTTPSConnection(self._host, timeout=timeout, context=trust)
        else:
            connection = http.client.HTTPConnection(self._host, timeout=timeout)
        connection.connect()
        self._connection, self._opened = connection, time.monotonic()

    def _ask(self, path: str) -> str:
        """Send a request unless one is outstanding; the path that is asked for."""
        assert self._connection is not None
        if not self._asked:
            self._connection.request("GET", self._prefix + path, headers={"User-Agent": AGENT})
            self._asked, self._sent = path, time.monotonic()
        return self._asked

    def _answer(self, began: float, until: float) -> tuple[Answer, bool]:
        """Wait for the outstanding answer, and say whether the server closes the connection.

        TimeoutError leaves the connection as it is, with the request outstanding.
        """
        assert self._connection is not None
        # http.client hands its socket to the answer, so it is looked up anew each time.
        self._connection.sock.settimeout(max(0.001, until - time.monotonic()))
        response = self._connection.getresponse()
        first = round(time.monotonic() - began, 4)
        try:
            body = response.read()
        except TimeoutError as error:
            # What was read of it is gone: this connection cannot be understood any more.
            raise http.client.IncompleteRead(b"") from error
        self._asked = ""
        answer = Answer(
            response.status,
            False,
            f"answered {response.status}",
            round(time.monotonic() - began, 4),
            body.decode("utf-8", "replace")[:_LONGEST],
            first_byte=first,
        )
        return answer, response.will_close

    def _silent(self, began: float, timeout: float, opened: bool) -> KeptAnswer:
        took = round(time.monotonic() - began, 4)
        if self._connection is None:
            answer = Answer(
                0, True, f"no connection within {timeout:g} s", took, waited_for=CONNECTION
            )
            return KeptAnswer(answer, opened, "there is no connection yet", 0.0, took)
        waited = time.monotonic() - self._sent
        detail = f"had no answer for {waited:.1f} s"
        return self._told(Answer(0, True, detail, took, waited_for=ANSWER), opened, "")

    def _broken(self, error: Exception, began: float, opened: bool) -> KeptAnswer:
        took = round(time.monotonic() - began, 4)
        gone = isinstance(error, http.client.RemoteDisconnected)
        why = "the other side closed it" if gone else cause(error)
        told = self._told(Answer(0, False, f"connection failed: {why}", took), opened, why)
        with contextlib.suppress(OSError):
            self.close()
        return told

    def _told(self, answer: Answer, opened: bool, lost: str) -> KeptAnswer:
        moment = time.monotonic()
        age = round(moment - self._opened, 4) if self._connection else 0.0
        waited = round(moment - self._sent, 4) if self._sent else 0.0
        return KeptAnswer(answer, opened, lost, age, waited)
