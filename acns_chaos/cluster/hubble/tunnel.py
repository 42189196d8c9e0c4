"""A way into a pod's port: a loopback listener whose connections go through the API server.

Each connection is a port-forward WebSocket of its own (protocol v4.channel.k8s.io: channel 0 is
data, channel 1 what the kubelet says went wrong). One thread carries all; it ends with `close`.
What is carried is TLS from end to end, so the listener gives nobody what he could not have anyway.
"""

import contextlib
import selectors
import socket
import ssl
import threading
from typing import Any

from acns_chaos.cluster.handshakes import opened_within
from acns_chaos.cluster.hubble.errors import HubbleError
from acns_chaos.cluster.kube import Api

__all__ = ["Tunnel"]

_PROTOCOL = "v4.channel.k8s.io"
_PIECE = 1 << 16
_DATA, _ERROR = 0, 1
HOST = "127.0.0.1"


class Tunnel:
    """An open way into a port of a pod.

    Args:
        api: the cluster.
        namespace, pod: whose port.
        port: inside the pod.
        timeout: seconds to open a connection, or to send a piece.

    Attributes:
        address: "127.0.0.1:port", to connect to.
        problem: what the kubelet last said went wrong, "" when nothing did.

    Raises:
        HubbleError: "no-permission", "relay-absent" or "unreachable": no connection can be opened.
    """

    def __init__(self, api: Api, namespace: str, pod: str, port: int, timeout: float) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}"
        self._pod = f"{namespace}/{pod}"
        self._timeout = timeout
        self.problem = ""
        # The first is opened here, so that what forbids it is said here.
        self._ready: list[Any] = [self._open()]
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server((HOST, 0), backlog=8)
        self.address = f"{HOST}:{self._listener.getsockname()[1]}"
        self._wake, self._woken = socket.socketpair()
        self._pairs: dict[int, _Pair] = {}
        self._thread = threading.Thread(target=self._run, name="acns-chaos-tunnel", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every connection and the thread."""
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")
        self._thread.join(self._timeout * 2)
        for end in (self._wake, self._woken, self._listener):
            end.close()

    # ------------------------------------------------------------------ the thread

    def _run(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj is self._woken:
                        return
                    if key.fileobj is self._listener:
                        self._accept()
                    # An earlier end of this round may have closed its other one.
                    elif key.data is not None and key.data.open:
                        self._carry(key.data, key.fileobj)
        finally:
            for pair in list(self._pairs.values()):
                self._end(pair)
            for unused in self._ready:
                unused.shutdown()
            self._selector.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            web = self._ready.pop() if self._ready else self._open()
        except HubbleError as error:
            self.problem = str(error)
            client.close()
            return
        client.settimeout(self._timeout)
        # Small pieces at once: otherwise each answer waits 40 ms for an acknowledgement.
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = _Pair(client, web)
        self._pairs[id(pair)] = pair
        self._selector.register(client, selectors.EVENT_READ, pair)
        self._selector.register(web.sock, selectors.EVENT_READ, pair)
        # The first frames may have come with the handshake, and lie decrypted already.
        self._carry(pair, web.sock)

    def _carry(self, pair: "_Pair", end: object) -> None:
        """Carry what has come at one end to the other; end both when one has ended."""
        from websocket import WebSocketException

        try:
            alive = self._outwards(pair) if end is pair.client else self._inwards(pair)
        except (OSError, WebSocketException):
            alive = False
        if not alive:
            self._end(pair)

    def _outwards(self, pair: "_Pair") -> bool:
        data = pair.client.recv(_PIECE)
        if data:
            pair.web.send_binary(bytes([_DATA]) + data)
        return bool(data)

    def _inwards(self, pair: "_Pair") -> bool:
        from websocket import ABNF

        # Readable only means that TLS has something, which need not be for us: never wait for it.
        # What has come of a frame is kept until its rest is there.
        pair.web.settimeout(0)
        try:
            while True:
                code, data = pair.web.recv_data(control_frame=True)
                if code == ABNF.OPCODE_CLOSE:
                    return False
                if code != ABNF.OPCODE_BINARY or not data:
                    continue
                channel, data = data[0], data[1:]
                if channel in pair.silent:
                    # Each channel begins with its port's number, once.
                    pair.silent.discard(channel)
                elif channel == _ERROR:
                    self.problem = data.decode("utf-8", "replace")[:500]
                    return False
                elif channel == _DATA:
                    pair.client.sendall(data)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        finally:
            if pair.web.sock is not None:
                pair.web.settimeout(self._timeout)

    def _end(self, pair: "_Pair") -> None:
        pair.open = False
        self._pairs.pop(id(pair), None)
        for end in (pair.client, pair.web.sock):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(end)
        pair.client.close()
        # Without the closing handshake, which could wait for a silent server.
        pair.web.shutdown()

    # ------------------------------------------------------------------ one WebSocket

    def _open(self) -> Any:
        from kubernetes.stream import ws_client
        from websocket import WebSocketBadStatusException, WebSocketException

        self._api.asked.note("GET", self._path.partition("?")[0])
        url = ws_client.get_websocket_url(self._api.server + self._path)
        headers = {**self._api.headers(), "sec-websocket-protocol": _PROTOCOL}
        try:
            with opened_within(self._timeout):
                return ws_client.create_websocket(
                    self._api.client.configuration,
                    url,
                    {name.lower(): value for name, value in headers.items()},
                )
        except WebSocketBadStatusException as error:
            raise self._refused(int(error.status_code)) from None
        except (OSError, WebSocketException) as error:
            raise HubbleError(
                f"The API server at {self._api.server} does not open the port-forward to pod "
                f"{self._pod} ({type(error).__name__}): see whether a proxy on the way lets "
                "WebSockets through, or dial the relay directly (ACNS_CHAOS_HUBBLE_RELAY).",
                "unreachable",
            ) from None

    def _refused(self, status: int) -> HubbleError:
        if status in (401, 403):
            return HubbleError(
                f"Port-forward to pod {self._pod} is not permitted (status {status}): grant get "
                "(from Kubernetes 1.35 on also create) on pods/portforward in its namespace "
                "(deploy/rbac/look.yaml), or dial the relay directly (ACNS_CHAOS_HUBBLE_RELAY).",
                "no-permission",
                status,
            )
        if status == 404:
            return HubbleError(
                f"Pod {self._pod} of Hubble relay is gone: wait for its successor.",
                "relay-down",
                status,
            )
        return HubbleError(
            f"The API server refused the port-forward to pod {self._pod} with status {status}: try "
            "again, or dial the relay directly (ACNS_CHAOS_HUBBLE_RELAY).",
            "unreachable",
            status,
        )


class _Pair:
    """One connection: the client's end, and its WebSocket."""

    def __init__(self, client: socket.socket, web: Any) -> None:
        self.client = client
        self.web = web
        self.open = True
        self.silent = {_DATA, _ERROR}
