"""WebSockets of the Kubernetes client that are not waited for without end.

That client opens them without a time-out and takes none: a server that accepts the connection and
says nothing more would hold a run for ever. The default time-out of websocket-client does not help,
as only its own `create_connection` heeds it (websocket-client 1.9).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["opened_within"]

# Of one thread: others open theirs at the same time, each with its own patience.
_SECONDS: ContextVar[float | None] = ContextVar("handshake_seconds", default=None)


@contextmanager
def opened_within(seconds: float) -> Iterator[None]:
    """Within this block the client gives a WebSocket up that is not open in time.

    Args:
        seconds: for each step: to connect, of TLS, and until the server answers.
    """
    _make_patience_heard()
    token = _SECONDS.set(seconds)
    try:
        yield
    finally:
        _SECONDS.reset(token)


def _make_patience_heard() -> None:
    """Put a WebSocket in the client's place for its own that minds the seconds, if there are any.

    Whoever else uses the client in this process sets none, and meets no difference.
    """
    from kubernetes.stream import ws_client

    usual: Any = ws_client.WebSocket
    if getattr(usual, "minds_seconds", False):
        return

    class Minding(usual):  # type: ignore[misc]
        minds_seconds = True

        def connect(self, url: str, **options: Any) -> None:
            seconds = _SECONDS.get()
            if seconds is None:
                super().connect(url, **options)
                return
            super().connect(url, **{"timeout": seconds, **options})
            # How long the session may take is its user's matter.
            self.settimeout(None)

    ws_client.WebSocket = Minding
