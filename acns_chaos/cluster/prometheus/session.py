"""One HTTP session with a deadline, for Prometheus, Alertmanager and Grafana.

Imported only when something is asked, because it imports `requests`. It follows no redirect (the
credentials would go along), takes no credentials from a `.netrc`, reads no answer beyond a size and
a time, and remembers what an answer said besides its data: when to come back, and warnings.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusApiClientException
from requests.auth import AuthBase

from acns_chaos.cluster.prometheus.credentials import Credentials
from acns_chaos.errors import ApiError, Forbidden, NotFound

__all__ = ["PATIENCE", "RETRIES", "Session", "asked", "cause"]

Answer = TypeVar("Answer")

# How often a question is asked again that was answered 429 or 503, and for how many seconds in all.
RETRIES = 2
PATIENCE = 15.0
_BUSY = (429, 503)
_HERE = ("127.0.0.1", "::1", "localhost")
_LARGEST = 64 << 20
_PIECE = 1 << 16


class Session(requests.Session):
    """A session for one server.

    Args:
        credentials: for it.
        timeout: seconds that one answer may take from the request to its last byte.

    Attributes:
        status: of the last answer, 0 when there was none.
        retry_after: seconds it asked to be left alone, None when it did not say.
        said: the sentence of its last answer when that was an error.
        warnings: what it said about its own answers, such as that they are partial.
    """

    def __init__(self, credentials: Credentials, timeout: float) -> None:
        super().__init__()
        self.credentials = credentials
        self.timeout = timeout
        # Also for none: else requests takes a `.netrc` for whatever host is asked.
        self.auth = _Authorization(credentials)
        self.headers["Accept-Encoding"] = "identity"
        self.status = 0
        self.retry_after: float | None = None
        self.said = ""
        self.warnings: list[str] = []

    def request(self, method: str | bytes, url: str | bytes, **named: Any) -> requests.Response:  # type: ignore[override]
        """Send a request and read its answer to the end; arguments as those of requests."""
        self.status, self.retry_after, self.said = 0, None, ""
        deadline = time.monotonic() + self.timeout
        named |= {"allow_redirects": False, "stream": True, "timeout": self.timeout}
        host = urlsplit(str(url)).hostname or ""
        if host in _HERE:
            # A proxy of the environment is not for a port-forward, nor are the credentials for it.
            named["proxies"] = {"no_proxy": host}
        response = super().request(method, url, **named)
        self._read(response, deadline)
        self.status = response.status_code
        self.retry_after = _seconds(response.headers.get("Retry-After"))
        if response.status_code != 200:
            self.said = _told(response.content)
        if 300 <= response.status_code < 400:
            raise requests.TooManyRedirects("it answers with a redirect", response=response)
        # What Prometheus warns of, such as a part it could not ask, its client library drops.
        if b'"warnings"' in response.content:
            self._heed(response.content)
        return response

    def _read(self, response: requests.Response, deadline: float) -> None:
        """Read a body piece by piece: the library's time-out is for each piece, not for all."""
        try:
            found = b"".join(_pieces(response.raw, deadline))
        except requests.RequestException:
            response.close()
            raise
        except (OSError, _http_errors()) as error:
            response.close()
            if "timed out" in str(error):
                raise requests.ReadTimeout("its answer does not end in time") from None
            raise requests.ConnectionError(f"its answer broke off: {error}") from None
        # As requests itself keeps a body that was read.
        response._content = found  # noqa: SLF001
        response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001

    def _heed(self, content: bytes) -> None:
        try:
            told = json.loads(content)
        except ValueError:
            return
        found = told.get("warnings") if isinstance(told, dict) else None
        if isinstance(found, list):
            self.warnings += [str(one)[:200] for one in found if str(one) not in self.warnings]

    def json(self, url: str, params: Any = None) -> Any:
        """Ask for a JSON document of an API that has no client library.

        Raises:
            RequestException: no answer, or one that is not 200.
            ValueError: it is no JSON.
        """
        response = self.get(url, params=params, headers={"Accept": "application/json"})
        if response.status_code != 200:
            raise requests.HTTPError(response=response)
        return response.json()


def _pieces(raw: Any, deadline: float) -> Iterator[bytes]:
    # urllib3 1 has no read1, which returns what has come.
    read = getattr(raw, "read1", raw.read)
    size = 0
    while piece := read(_PIECE, decode_content=True):
        yield piece
        size += len(piece)
        if size > _LARGEST:
            raise requests.RequestException("its answer is larger than 64 MiB")
        if time.monotonic() > deadline:
            raise requests.ReadTimeout("its answer does not end in time")


class _Authorization(AuthBase):
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        header = self._credentials.header()
        if header:
            request.headers["Authorization"] = header
        return request


def asked(
    session: Session, who: str, ask: Callable[[], Answer], note: Callable[[str], None]
) -> Answer:
    """Ask, again where the server only asks for time, and turn every failure into one sentence.

    A question answered 429 or 503 is asked again at most twice, after the time the server names,
    when that is within 15 s; one answered 401 once, if there may be a new token.

    Args:
        session: what *ask* uses.
        who: whom, for the sentence: "Prometheus at https://…".
        ask: the question; it may be asked several times.
        note: told of every time it is asked again.

    Raises:
        Forbidden: 401 or 403.
        NotFound: 404.
        ApiError: any other failure, with no secret in it.
    """
    end = time.monotonic() + PATIENCE
    again = 0
    renewed = False
    while True:
        try:
            return ask()
        except requests.exceptions.JSONDecodeError:
            raise _unusable(session, who) from None
        except (requests.RequestException, PrometheusApiClientException) as error:
            wait = session.retry_after if session.retry_after is not None else 0.5 * (again + 1)
            if session.status in _BUSY and again < RETRIES and time.monotonic() + wait < end:
                again += 1
                note(f"{who} answered {session.status}: asked again after {wait:g} s")
                # Not a wait for luck: the server named the moment.
                threading.Event().wait(wait)
            elif session.status == 401 and not renewed and session.credentials.renew():
                renewed = True
                note(f"{who} refused the token: asked again with a new one")
            else:
                # Not chained: a client library's or a proxy's text may quote the credentials.
                raise _failure(session, who, error) from None
        except (KeyError, TypeError, ValueError):
            # 200 with "status: error" is a KeyError in the client library (reference
            # chaos-toolkit.md §5).
            raise _unusable(session, who) from None


def _unusable(session: Session, who: str) -> ApiError:
    return ApiError(
        f"{who} gave no usable answer: what is there speaks another language", session.status
    )


def _failure(session: Session, who: str, error: Exception) -> ApiError:
    status, hide = session.status, session.credentials.hide
    if status in (401, 403):
        kind = session.credentials.kind
        signed = "without credentials" if kind == "none" else f"with {kind} credentials"
        role = ""
        if kind == "azure" and status == 403:
            role = ": give this identity the role Monitoring Data Reader on the workspace"
        return Forbidden(f"{who} refuses to answer {signed} ({status}){role}", status)
    if status == 404:
        return NotFound(f"{who} has nothing at this path (404): is its address complete?", status)
    if status in _BUSY:
        after = session.retry_after
        wait = f" and asks to be left alone for {after:g} s" if after is not None else ""
        return ApiError(f"{who} is too busy ({status}){wait}", status)
    if status:
        if 300 <= status < 400:
            return ApiError(
                f"{who} answers with a redirect ({status}), which is not followed", status
            )
        return ApiError(f"{who} answered {status}: {hide(session.said)}", status)
    return ApiError(f"{who} does not answer: {cause(error, hide)}")


def cause(error: Exception, hide: Callable[[str], str]) -> str:
    """Name what came in the way; requests wraps urllib3 wraps the socket's words."""
    text = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        if "WRONG_VERSION_NUMBER" in text:
            return "what is there speaks no TLS"
        return "its certificate is not trusted (REQUESTS_CA_BUNDLE names a file of authorities)"
    if isinstance(error, requests.exceptions.Timeout):
        return "not in time"
    words = {
        "Name or service not known": "its name does not resolve",
        "Failed to resolve": "its name does not resolve",
        "timed out": "not in time",
        "refused": "connection refused",
        "reset": "connection reset",
        "unreachable": "it is unreachable",
        "broke off": "its answer broke off",
        "closed connection": "it closed the connection",
    }
    found = next((sentence for word, sentence in words.items() if word in text), "")
    return found or (hide(text).strip().splitlines() or ["no reason given"])[0][:200]


def _told(content: bytes) -> str:
    """Take the sentence out of an error: Prometheus' JSON, or the first line of what it is."""
    text = content.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict):
        for key in ("error", "message"):
            if isinstance(found.get(key), str):
                return str(found[key])[:300]
    return (text.strip().splitlines() or ["no reason given"])[0][:200]


def _seconds(header: str | None) -> float | None:
    """Read `Retry-After`: seconds, or a date."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _http_errors() -> type[Exception]:
    from urllib3.exceptions import HTTPError

    return HTTPError
