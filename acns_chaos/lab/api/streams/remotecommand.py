"""The streams of a remote command, over SPDY or WebSocket: input, two outputs, the final Status.

Both ways are remotecommand protocol 4; the WebSocket one also speaks 5, which adds that a client
can end its input: channel 255 followed by the number of the channel that ends.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from aiohttp import WSMsgType, web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.streams import frames, links
from acns_chaos.lab.api.streams.session import BUFFERED, Stream

STDIN, STDOUT, STDERR, ERROR = "stdin", "stdout", "stderr", "error"
# Channel numbers; 4 is the size of a terminal, which nothing here has.
_CHANNELS = {STDIN: 0, STDOUT: 1, STDERR: 2, ERROR: 3}
_CLOSE = 255
_SPDY = ("v4.channel.k8s.io",)
_WEBSOCKET = ("v5.channel.k8s.io", "v4.channel.k8s.io")
# Seconds in which a client must open its streams, as a kubelet has it.
_PATIENCE = 30.0


class NeverOpened(Exception):
    """The connection was upgraded and has ended, and there was nothing to run a command on.

    Attributes:
        response: what aiohttp is to be given.
    """

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__("the client did not open its streams")
        self.response = response


class Wires(Protocol):
    """One client that is connected to one command.

    Attributes:
        stdin: what the client sends; None when it sends nothing.
    """

    stdin: asyncio.StreamReader | None

    async def send(self, name: str, data: bytes) -> None:
        """Send output, or the Status on `ERROR`. To a client that has gone, nothing is sent."""

    async def until_gone(self) -> None:
        """Receive until the client leaves."""

    async def close(self) -> web.StreamResponse:
        """End the connection; returns what aiohttp is to be given."""


async def connect(request: web.Request, on: Mapping[str, bool]) -> Wires:
    """Upgrade a request.

    Args:
        request: as it came.
        on: whether the client wants "stdin", "stdout", "stderr" and "tty".

    Raises:
        Failure: 400 or 501, the connection stays HTTP.
        NeverOpened: the client did not open the streams that it asked for.
    """
    if links.is_spdy(request):
        carrier = await links.upgrade(request, _SPDY, "exec")
        return await _SpdyWires.of(carrier, on)
    offered = links.websocket_protocols(request)
    if not offered:
        raise failures.bad_request("Upgrade request required")
    if not set(offered) & set(_WEBSOCKET):
        shown = ", ".join(offered) or "without a name"
        raise failures.not_modelled(f"the exec protocol {shown}, only {' and '.join(_WEBSOCKET)}")
    socket = web.WebSocketResponse(protocols=_WEBSOCKET)
    await socket.prepare(request)
    # An empty first message tells the client that the connection stands.
    wires = _ChannelWires(socket, on)
    await wires.send(STDOUT if on[STDOUT] else STDERR, b"")
    return wires


class _ChannelWires:
    """Each message of a WebSocket begins with the number of its channel."""

    def __init__(self, socket: web.WebSocketResponse, on: Mapping[str, bool]) -> None:
        self._socket = socket
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False
        self.stdin: asyncio.StreamReader | None = None
        if on[STDIN]:
            self.stdin = asyncio.StreamReader(limit=BUFFERED)
            self.stdin.set_transport(self)  # type: ignore[arg-type]

    def pause_reading(self) -> None:
        """The command does not read its input as fast as it comes."""
        self._room.clear()

    def resume_reading(self) -> None:
        """It has caught up."""
        self._room.set()

    async def send(self, name: str, data: bytes) -> None:
        if not self._socket.closed:
            with suppress(ConnectionError):
                await self._socket.send_bytes(bytes([_CHANNELS[name]]) + data)

    async def until_gone(self) -> None:
        try:
            async for message in self._socket:
                if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    break
                # The Python client sends text when it is given text.
                data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
                self._take(data)
                await self._room.wait()
        finally:
            self._end_input()

    def _take(self, data: bytes) -> None:
        if not data or self.stdin is None or self._ended:
            return
        if data[0] == _CHANNELS[STDIN]:
            self.stdin.feed_data(data[1:])
        elif self._socket.ws_protocol == _WEBSOCKET[0] and data == bytes([_CLOSE, 0]):
            self._end_input()

    def _end_input(self) -> None:
        self._ended = True
        if self.stdin is not None:
            self.stdin.feed_eof()

    async def close(self) -> web.StreamResponse:
        await self._socket.close()
        return self._socket


class _SpdyWires:
    """Each stream says in its headers what it is."""

    def __init__(
        self,
        carrier: links.Carrier,
        streams: Mapping[str, Stream],
        running: "asyncio.Future[None]",
    ) -> None:
        self._carrier = carrier
        self._streams = streams
        self._running = running
        self.stdin = streams[STDIN].reader if STDIN in streams else None
        for name, stream in streams.items():
            if name != STDIN:
                stream.discard()

    @classmethod
    async def of(cls, carrier: links.Carrier, on: Mapping[str, bool]) -> "_SpdyWires":
        wanted = {name for name in (STDIN, STDOUT, STDERR) if on[name]} | {ERROR}
        if on["tty"]:
            wanted = wanted - {STDERR} | {"resize"}
        running = asyncio.ensure_future(carrier.session.run())
        found: dict[str, Stream] = {}
        try:
            async with asyncio.timeout(_PATIENCE):
                async for stream in carrier.session.accepted():
                    kind = stream.headers.get("streamtype", "")
                    if kind in found or kind not in wanted:
                        await stream.reset(frames.PROTOCOL_ERROR)
                        continue
                    found[kind] = stream
                    if found.keys() == wanted:
                        return cls(carrier, found, running)
        except TimeoutError:
            await carrier.close()
        except asyncio.CancelledError:
            running.cancel()
            raise
        running.cancel()
        raise NeverOpened(carrier.response)

    async def send(self, name: str, data: bytes) -> None:
        if stream := self._streams.get(name):
            await stream.write(data)

    async def until_gone(self) -> None:
        try:
            await self._carrier.session.ended.wait()
        except asyncio.CancelledError:
            # The command has ended; what it was sent meanwhile is of no use to anybody.
            if STDIN in self._streams:
                self._streams[STDIN].discard()
            raise

    async def close(self) -> web.StreamResponse:
        try:
            for name in (STDOUT, STDERR, ERROR):
                if name in self._streams:
                    await self._streams[name].finish()
            await self._carrier.close()
        finally:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        return self._carrier.response
