"""A watch of one collection: what the API server says of each change, while it happens.

Belongs here: the stream and its end. Does not belong here: what a change means, and when to begin
again; a watch ends by itself after some minutes, as on every real server.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.errors import ApiError

__all__ = ["Watch"]

# The server ends the stream after this many seconds, so that a lost connection is noticed.
LASTS = 240


class Watch:
    """One collection, watched from now on; `close` may be called from any thread.

    Args:
        api: the cluster.
        path: of the collection.
    """

    def __init__(self, api: Api, path: str) -> None:
        self._api, self._path = api, path
        self._version = ""
        self._response: Any = None
        self._closed = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Open the stream, after what was last heard, or after what is there now.

        Raises:
            ApiError: the server does not let us, or does not answer.
        """
        if not self._version:
            there = self._api.get(self._path, {"limit": "1"})
            self._version = str(there.get("metadata", {}).get("resourceVersion", ""))
        query = {
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(LASTS),
        }
        response = self._api.stream(self._path, query, LASTS + 15.0)
        with self._lock:
            if not self._closed:
                self._response = response
                return
        response.close()

    def changes(self) -> Iterator[dict[str, Any]]:
        """Yield each change as `{"type": ..., "object": ...}` until the stream ends.

        Raises:
            ApiError: the stream broke off, or can not go on from where it was.
        """
        import urllib3

        try:
            for line in _lines(self._response):
                change = json.loads(line)
                if change.get("type") == "ERROR":
                    self._version = ""
                    told = (change.get("object") or {}).get("message", "no reason given")
                    raise ApiError(f"the watch of {self._path} cannot go on: {told}")
                metadata = (change.get("object") or {}).get("metadata") or {}
                self._version = str(metadata.get("resourceVersion") or self._version)
                if change.get("type") != "BOOKMARK":
                    yield change
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:
            if not self._closed:
                raise ApiError(f"the watch of {self._path} broke off") from error
        finally:
            with self._lock:
                response, self._response = self._response, None
            if response is not None:
                response.close()

    def close(self) -> None:
        """End the stream at once; whoever reads it finds that it has ended."""
        with self._lock:
            self._closed = True
            if self._response is not None:
                _shut(self._response)


def _shut(response: Any) -> None:
    """Shut the socket: closing the response would wait for the thread that reads it."""
    with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):
        # The method exists from urllib3 2.3 on.
        end = getattr(response, "shutdown", None)
        if end is not None:
            end()
        else:
            response.connection.sock.shutdown(socket.SHUT_RDWR)


def _lines(response: Any) -> Iterator[bytes]:
    """Split a body into lines as they come."""
    pending = b""
    for chunk in response.stream(amt=None, decode_content=True):
        *lines, pending = (pending + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
