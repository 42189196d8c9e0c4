"""The Kubernetes API as raw JSON in, raw JSON out.

The official client opens the connection (kubeconfig, in-cluster, exec plugins, token refresh,
TLS, proxies); requests then go through its connection pool as plain JSON. Its typed models are
not used: they drop `fromEndpoints: []`, which means the opposite of an absent list, and touching
them costs half a second of CPU (reference chaos-toolkit.md §1). Every request has a time-out,
because a hung API server must not hang an experiment.
"""

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

from acns_chaos import __version__
from acns_chaos.cluster.asked import Asked
from acns_chaos.errors import ApiError, Conflict, Forbidden, NotFound

__all__ = ["AGENT", "Api", "reason"]

# Seconds for one answer, with all the waiting that the server asks for; a test with a server that
# hangs sets the variable to less.
TIMEOUT = 10.0
TIMEOUT_VARIABLE = "ACNS_CHAOS_API_TIMEOUT"
# How often a request is sent again that the server says it did not look at, as client-go does.
AGAIN = 10
# What Kubernetes' own queue says with every 429; a gateway may leave it out.
SOON = 1.0
AGENT = f"acns-chaos/{__version__}"
# Segments of letters, digits, dots and dashes, none of them dots alone.
PATH = re.compile(r"(/(?![.]+(/|$))[A-Za-z0-9][A-Za-z0-9.-]*)+")


class Api:
    """One connection to one API server.

    Args:
        client: the official client's ApiClient.
        agent: what it calls itself, for the server's logs.

    Attributes:
        client: the official client's ApiClient.
        server: the server's address.
        asked: what was asked for over it, and over those made of it.
    """

    def __init__(self, client: Any, agent: str = AGENT) -> None:
        self.client = client
        self.server = str(client.configuration.host)
        self.asked = Asked()
        self._agent = agent
        self._timeout = _patience(os.environ.get(TIMEOUT_VARIABLE, ""))
        self._ahead = timedelta()
        self._waits = True

    def now(self) -> datetime:
        """Return this moment by the server's clock, in UTC, to about a second.

        Deadlines and leases go by it, so that machines whose own clocks differ agree. Before the
        first answer it is this machine's clock.
        """
        return datetime.now(UTC) + self._ahead

    def hurried(self) -> "Api":
        """Return the same connection, which does not wait when the server says "come back later".

        For whoever asks again by itself and has other things to do meanwhile.
        """
        found = copy(self)
        found._waits = False  # noqa: SLF001 - one of its own class
        return found

    def beside(self, agent: str) -> "Api":
        """Return the same connection under another name, so that a server's log tells them apart.

        Args:
            agent: what it calls itself.
        """
        found = copy(self)
        found._agent = agent  # noqa: SLF001 - one of its own class
        return found

    def headers(self) -> dict[str, str]:
        """Return the credentials' headers; a refresh hook may renew a token here."""
        settings = self.client.configuration.auth_settings()
        return {
            str(one["key"]): str(one["value"])
            for one in settings.values()
            if one.get("in") == "header" and one.get("value")
        }

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Send one request, again when the server says that it did not look at it.

        It says so by 429, and by 503 with Retry-After; then nothing was done, so a write is sent
        again as well as a read. Nothing else is: of any other error nobody knows that.

        Args:
            method: HTTP method.
            path: absolute path on the server.
            query: query parameters.
            body: JSON value, or None.
            content_type: of the body.
            timeout: seconds for the whole answer, waiting and sending again included; None takes
                the connection's.

        Returns:
            The JSON object answered.

        Raises:
            NotFound: 404.
            Conflict: 409.
            Forbidden: 401 or 403.
            ApiError: any other error, or no answer (status 0).
        """
        if not PATH.fullmatch(path):
            # A name from an experiment must never lead to another resource than the one meant.
            raise ApiError(f"{path!r} is not a path of the API: a name in it is no Kubernetes name")
        self.asked.note(method, path, query)
        url = self.server + path + ("?" + urlencode(query) if query else "")
        headers = {"Accept": "application/json", "User-Agent": self._agent, **self.headers()}
        if body is not None:
            headers["Content-Type"] = content_type
        data = None if body is None else json.dumps(body)
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        for sent in range(AGAIN + 1):
            response = self._sent(method, url, headers, data, deadline - time.monotonic())
            pause = _asked_to_wait(response.status, response.headers.get("Retry-After", ""))
            late = pause is None or time.monotonic() + pause >= deadline
            if late or sent == AGAIN or not self._waits:
                break
            # Nobody sets it: a signal must get through, which raises in here.
            threading.Event().wait(pause)
        return _answer(method, path, response.status, response.data)

    def _sent(
        self, method: str, url: str, headers: dict[str, str], data: str | None, timeout: float
    ) -> Any:
        """Send it once; errors as `request` when nothing is answered."""
        import urllib3

        try:
            response = self.client.rest_client.pool_manager.request(
                method,
                url,
                headers=headers,
                body=data,
                timeout=urllib3.Timeout(total=max(timeout, 0.01)),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            path = url.removeprefix(self.server).partition("?")[0]
            raise ApiError(f"no answer to {method} {path} ({reason(error)})") from error
        self._heard(response.headers.get("Date"))
        return response

    def close(self) -> None:
        """Close the connections that are kept for the next request; asking again opens new ones."""
        pools = self.client.rest_client.pool_manager.pools
        for key in list(pools.keys()):
            pools[key].close()

    def stream(self, path: str, query: Mapping[str, str], silence: float) -> Any:
        """Open an answer that is read while it comes, such as a watch.

        Args:
            path: absolute path on the server.
            query: query parameters.
            silence: seconds without a byte after which reading fails.

        Returns:
            The urllib3 response, not read; the caller closes it.

        Raises:
            As `request`.
        """
        import urllib3

        self.asked.note("GET", path, query)
        headers = {"Accept": "application/json", "User-Agent": self._agent, **self.headers()}
        try:
            response = self.client.rest_client.pool_manager.request(
                "GET",
                f"{self.server}{path}?{urlencode(query)}",
                headers=headers,
                timeout=urllib3.Timeout(connect=self._timeout, read=silence),
                retries=False,
                preload_content=False,
            )
            if response.status != 200:
                _answer("GET", path, response.status, response.read())
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(f"no answer to GET {path} ({reason(error)})") from error
        return response

    def _heard(self, date: str | None) -> None:
        """Learn the server's clock from an answer; a proxy may leave the header out."""
        try:
            said = parsedate_to_datetime(date) if date else None
        except (TypeError, ValueError):
            return
        if said is not None and said.tzinfo is not None:
            # The header's second has begun somewhere within the last one.
            self._ahead = said + timedelta(seconds=0.5) - datetime.now(UTC)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """GET *path*; errors as `request`."""
        return self.request("GET", path, query)

    def put(
        self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """PUT *body* at *path* with strict field validation; errors as `request`.

        A misspelt field would otherwise be stored without it (reference captures, "Validation
        and status"), and what is left may mean deny-all.
        """
        return self.request("PUT", path, {"fieldValidation": "Strict", **(query or {})}, body)

    def post(
        self, path: str, body: Mapping[str, Any], query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """POST *body* to *path* with strict field validation; errors as `request`."""
        return self.request("POST", path, {"fieldValidation": "Strict", **(query or {})}, body)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """DELETE *path*, with DeleteOptions in *body*; errors as `request`."""
        return self.request("DELETE", path, None, body)


def _answer(method: str, path: str, status: int, data: bytes) -> dict[str, Any]:
    """Turn an HTTP answer into JSON or into the error that says what it means."""
    body: Any = None
    with contextlib.suppress(ValueError):
        body = json.loads(data)
    if 200 <= status < 300 and isinstance(body, dict):
        return body
    message = body.get("message") if isinstance(body, dict) else None
    text = str(message or f"{method} {path} answered {status} with no Kubernetes Status")
    if status == 404:
        raise NotFound(text, status)
    if status == 409:
        raise Conflict(text, status)
    if status in (401, 403):
        raise Forbidden(text, status)
    raise ApiError(text, status)


def _asked_to_wait(status: int, after: str) -> float | None:
    """Return the seconds after which a request is to be sent again, None when it is not."""
    if status == 429:
        return float(after) if after.isdecimal() else SOON
    return float(after) if status == 503 and after.isdecimal() else None


def _patience(given: str) -> float:
    """Read a number of seconds; what is none, or would wait for ever, is not taken."""
    try:
        seconds = float(given)
    except ValueError:
        return TIMEOUT
    return seconds if 0 < seconds <= 600 else TIMEOUT


def reason(error: BaseException) -> str:
    """Shorten a client library's message to one line without its addresses in memory."""
    text = str(error).strip().splitlines()
    return text[0][:200] if text else type(error).__name__
