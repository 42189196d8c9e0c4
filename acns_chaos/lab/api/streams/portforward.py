"""pods/portforward: pairs of streams from a client, each to one connection into the pod.

Over SPDY a client opens a data and an error stream for each connection, whenever it likes, with the
port in their headers. Over WebSocket it names the ports in the query and gets channels 2n and 2n+1
for each, once. What is behind a port is in ``ports``.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from acns_chaos.lab.api import failures
from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.streams import frames, links
from acns_chaos.lab.api.streams.ports import CannotForward, Ports
from acns_chaos.lab.api.streams.session import MOST_STREAMS, Session, Stream

_SPDY = ("portforward.k8s.io",)
_CHANNELS = ("v4.channel.k8s.io",)
_PIECE = 1 << 15
_MOST_PORTS = 100
# Of one channel, not yet read by the pod.
_BUFFERED = 1 << 18

Write = Callable[[bytes], Awaitable[None]]


async def forward_ports(request: web.Request, pod: Json, ports: Ports) -> web.StreamResponse:
    """Answer GET or POST of /api/v1/namespaces/N/pods/P/portforward.

    Args:
        request: the upgrade request.
        pod: the stored pod.
        ports: what listens in pods.

    Raises:
        Failure: 400 or 501, before the connection is upgraded.
    """
    numbers = _read_ports(request)
    if links.is_spdy(request):
        carrier = await links.upgrade(request, _SPDY, "portforward")
        await _serve_session(carrier.session, pod, ports)
        await carrier.close()
        return carrier.response
    offered = links.websocket_protocols(request)
    if not offered:
        raise failures.bad_request("Upgrade request required")
    if not set(offered) & set(_CHANNELS):
        shown = ", ".join(offered) or "without a name"
        raise failures.not_modelled(
            f"the portforward protocol {shown}, only {_CHANNELS[0]} and SPDY/3.1+{_SPDY[0]}"
        )
    if not numbers:
        raise failures.bad_request('query parameter "port" is required')
    socket = web.WebSocketResponse(protocols=_CHANNELS)
    await socket.prepare(request)
    with suppress(ConnectionError):
        await _serve_channels(socket, numbers, pod, ports)
    await socket.close()
    return socket


def _read_ports(request: web.Request) -> list[int]:
    """The ports in the query; one parameter may hold several, with commas."""
    numbers = []
    for name, value in request.query.items():
        if name != "ports":
            raise failures.not_modelled(f"the parameter {name}={value} of portforward")
        for text in value.split(","):
            if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 65536):
                raise failures.bad_request(
                    f'unable to parse "{text}" as a port: strconv.ParseUint: parsing "{text}": '
                    f"{'value out of range' if text.isdigit() else 'invalid syntax'}"
                )
            if int(text) == 0:
                raise failures.bad_request('port "0" must be > 0')
            numbers.append(int(text))
    if len(numbers) > _MOST_PORTS:
        raise failures.not_modelled(f"portforward of more than {_MOST_PORTS} ports at once")
    return numbers


# ---------------------------------------------------------------------- one connection


async def _connect(
    ports: Ports, pod: Json, port: int, source: asyncio.StreamReader, write: Write
) -> str:
    """Copy between a client and a port of a pod until the pod's side ends.

    Args:
        ports: what listens in pods.
        pod: the stored pod.
        port: inside it.
        source: what the client sends.
        write: sends to the client.

    Returns:
        What went wrong, for the error stream; "" when nothing did.
    """
    try:
        reader, writer = await ports.open(pod, port)
    except CannotForward as problem:
        return str(problem)
    upstream = asyncio.ensure_future(_copy_in(source, writer))
    try:
        while data := await reader.read(_PIECE):
            await write(data)
    except ConnectionError:
        pass  # a reset by the pod looks like its end, as it does to a kubelet's copy
    finally:
        upstream.cancel()
        await asyncio.gather(upstream, return_exceptions=True)
        writer.close()
    return ""


async def _copy_in(source: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await source.read(_PIECE):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


# ---------------------------------------------------------------------- SPDY


async def _serve_session(session: Session, pod: Json, ports: Ports) -> None:
    """Forward until the client leaves."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(session.run())
        waiting: dict[str, dict[str, Stream]] = {}
        connections: set[asyncio.Task[None]] = set()
        async for stream in session.accepted():
            kind, port = stream.headers.get("streamtype", ""), stream.headers.get("port", "")
            number = stream.headers.get("requestid", "")
            if len(waiting) >= MOST_STREAMS:
                running.cancel()  # it opens streams that it never uses
                break
            pair = waiting.setdefault(number, {})
            if kind not in {"data", "error"} or kind in pair or not _is_port(port) or not number:
                await stream.reset(frames.PROTOCOL_ERROR)
                if not pair:
                    del waiting[number]
                continue
            pair[kind] = stream
            if len(pair) == 2:
                del waiting[number]
                task = group.create_task(_pair(ports, pod, pair["data"], pair["error"]))
                connections.add(task)
                task.add_done_callback(connections.discard)
        for task in connections:
            task.cancel()


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536


async def _pair(ports: Ports, pod: Json, data: Stream, error: Stream) -> None:
    error.discard()
    port = int(data.headers["port"])
    connected = asyncio.ensure_future(_connect(ports, pod, port, data.reader, data.write))
    reset = asyncio.ensure_future(data.gone.wait())
    try:
        await asyncio.wait([connected, reset], return_when=asyncio.FIRST_COMPLETED)
        problem = connected.result() if connected.done() else ""
    finally:
        for task in (connected, reset):
            task.cancel()
        await asyncio.gather(connected, reset, return_exceptions=True)
    if problem:
        await error.write(problem.encode())
    await data.finish()
    data.discard()
    await error.finish()


# ---------------------------------------------------------------------- WebSocket


@dataclass(slots=True)
class _Channel:
    """One port of a WebSocket: what the client sends to it."""

    port: int
    reader: asyncio.StreamReader = field(init=False)
    room: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=_BUFFERED)
        self.reader.set_transport(self)  # type: ignore[arg-type]
        self.room.set()

    def pause_reading(self) -> None:
        self.room.clear()

    def resume_reading(self) -> None:
        self.room.set()


async def _serve_channels(
    socket: web.WebSocketResponse, numbers: list[int], pod: Json, ports: Ports
) -> None:
    """Forward each port once, until all have ended or the client leaves."""
    channels = [_Channel(number) for number in numbers]
    for index, channel in enumerate(channels):
        for number in (2 * index, 2 * index + 1):
            await socket.send_bytes(struct.pack("<BH", number, channel.port))

    async def forward(index: int, channel: _Channel) -> None:
        async def write(data: bytes) -> None:
            await socket.send_bytes(bytes([2 * index]) + data)

        problem = await _connect(ports, pod, channel.port, channel.reader, write)
        channel.room.set()
        if problem:
            await socket.send_bytes(bytes([2 * index + 1]) + problem.encode())

    connections = [asyncio.ensure_future(forward(*pair)) for pair in enumerate(channels)]
    reading = asyncio.ensure_future(
        _read_channels(socket, list(zip(channels, connections, strict=True)))
    )
    ended = asyncio.ensure_future(asyncio.wait(connections))
    try:
        await asyncio.wait([ended, reading], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ended, reading, *connections):
            task.cancel()
        await asyncio.gather(ended, reading, *connections, return_exceptions=True)


async def _read_channels(
    socket: web.WebSocketResponse, channels: list[tuple[_Channel, asyncio.Future[None]]]
) -> None:
    async for message in socket:
        if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
            return
        # The Python client sends text when it is given text.
        data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        if data and data[0] % 2 == 0 and data[0] // 2 < len(channels):
            channel, connection = channels[data[0] // 2]
            if not connection.done():
                channel.reader.feed_data(data[1:])
                await channel.room.wait()
