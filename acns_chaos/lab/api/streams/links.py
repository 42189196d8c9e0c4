"""What carries a SPDY session: the connection itself after a 101, or a WebSocket tunnel.

Here is the upgrade and nothing of what travels. The connection stays aiohttp's, which ends it with
the server and cancels its handler when the client leaves.
"""

import asyncio
from collections.abc import Iterable

from aiohttp import WSMsgType, web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.streams.session import Session

_BUFFERED = 1 << 17
_PIECE = 1 << 16
_TUNNEL = "SPDY/3.1+"
_VERSION_HEADER = "X-Stream-Protocol-Version"
# How long a client may take to close once it has been sent everything.
_GRACE = 2.0


def is_spdy(request: web.Request) -> bool:
    """Whether the client asks for SPDY, bare or tunnelled."""
    return _upgrade(request).startswith("spdy") or any(
        name.startswith(_TUNNEL) for name in websocket_protocols(request)
    )


def websocket_protocols(request: web.Request) -> list[str]:
    """The subprotocols that a client offers, in its order; empty when it wants no WebSocket."""
    if _upgrade(request) != "websocket":
        return []
    offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    return [name.strip() for name in offered.split(",")]


def _upgrade(request: web.Request) -> str:
    return request.headers.get("Upgrade", "").lower()


class Carrier:
    """A session and the HTTP response that became its connection.

    Attributes:
        session: to be run by the caller.
        response: to be returned to aiohttp after `close`.
    """

    def __init__(self, link: "_Upgraded | _Tunnel") -> None:
        self._link = link
        self.session = Session(link)
        self.response = link.response

    async def close(self) -> None:
        """End the connection; the client is first given a moment to read and to leave."""
        await self.session.go_away()
        try:
            # Closing over unread input would reset the connection and lose what was sent last.
            await asyncio.wait_for(self.session.ended.wait(), _GRACE)
        except TimeoutError:
            pass
        await self._link.close()


async def upgrade(request: web.Request, known: Iterable[str], what: str) -> Carrier:
    """Switch a request to SPDY/3.1.

    Args:
        request: for which `is_spdy` is true.
        known: protocols that may be spoken over it.
        what: the subresource, for refusals.

    Raises:
        Failure: 400 or 501, the connection stays HTTP.
    """
    tunnelled = [name for name in websocket_protocols(request) if name.startswith(_TUNNEL)]
    if tunnelled:
        offered = [name.removeprefix(_TUNNEL) for name in tunnelled]
    else:
        spoken = request.headers["Upgrade"]
        if spoken.lower() != "spdy/3.1":
            raise failures.not_modelled(f"{what} over {spoken}, only SPDY/3.1 and WebSocket")
        if "upgrade" not in request.headers.get("Connection", "").lower():
            raise failures.bad_request("Upgrade request required")
        lines = request.headers.getall(_VERSION_HEADER, [])
        offered = [name.strip() for line in lines for name in line.split(",")]
    known = tuple(known)
    chosen = next((name for name in offered if name in known), None)
    if chosen is None:
        shown = ", ".join(offered) or "without a name"
        raise failures.not_modelled(f"the {what} protocol {shown}, only {' and '.join(known)}")
    if tunnelled:
        socket = web.WebSocketResponse(protocols=(_TUNNEL + chosen,))
        await socket.prepare(request)
        return Carrier(_Tunnel(socket))
    return Carrier(await _Upgraded.of(request, chosen))


class _Upgraded:
    """The connection of a request that was answered with 101."""

    def __init__(
        self, request: web.Request, response: web.StreamResponse, reader: asyncio.StreamReader
    ) -> None:
        self._request = request
        self._reader = reader
        self.response = response

    @classmethod
    async def of(cls, request: web.Request, protocol: str) -> "_Upgraded":
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        reader = asyncio.StreamReader(limit=_BUFFERED)
        reader.set_transport(transport)
        # From here on aiohttp hands every byte to this parser, as it does for a WebSocket.
        request.protocol.set_parser(_Feed(reader))  # type: ignore[arg-type]
        headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", _VERSION_HEADER: protocol}
        response = web.StreamResponse(status=101, headers=headers)
        await response.prepare(request)
        response.force_close()
        return cls(request, response, reader)

    async def receive(self) -> bytes:
        return await self._reader.read(_PIECE)

    async def send(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has gone")
        transport.write(data)
        await self._request.writer.drain()

    async def close(self) -> None:
        """Nothing to do: aiohttp closes what it does not keep alive."""


class _Feed:
    """Bytes as aiohttp hands them to the parser of an upgraded connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


class _Tunnel:
    """A WebSocket whose binary messages are the bytes of a SPDY connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.response = socket

    async def receive(self) -> bytes:
        message = await self.response.receive()
        while message.type is WSMsgType.BINARY and not message.data:
            message = await self.response.receive()
        return bytes(message.data) if message.type is WSMsgType.BINARY else b""

    async def send(self, data: bytes) -> None:
        if self.response.closed:
            raise ConnectionResetError("the client has gone")
        await self.response.send_bytes(data)

    async def close(self) -> None:
        await self.response.close()
