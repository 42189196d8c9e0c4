"""One SPDY/3.1 connection from the server's side: streams that the client opens.

Windows are not kept: the peer that matters (moby/spdystream, inside kubectl) never sends an update
of one, so who waited for it would wait for ever. Memory stays bounded all the same: reading stops
while any stream holds more than it is given out, as that peer does too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol

from acns_chaos.lab.api.streams import frames
from acns_chaos.lab.api.streams.frames import Decoder, Encoder, Frame
from acns_chaos.lab.api.streams.headers import FrameError

MOST_STREAMS = 1024
# Of one stream, not yet read. Reading stops at twice that.
BUFFERED = 1 << 18
_PIECE = 1 << 15


class Link(Protocol):
    """What carries a session."""

    async def receive(self) -> bytes:
        """The next bytes, empty at the end."""

    async def send(self, data: bytes) -> None:
        """Send bytes; waits while too many are on their way.

        Raises:
            ConnectionError: the other side has gone.
        """


class Stream:
    """One stream. Its input is `reader`.

    Attributes:
        number: odd, as a client chose it.
        headers: of the client, names in lower case.
        reader: what the client sends; ends with its half of the stream, or with a reset.
        gone: set when both halves have ended at once, by a reset or with the connection.
    """

    def __init__(self, session: "Session", number: int, headers: dict[str, str]) -> None:
        self._session = session
        self._finished = False
        self._ended = False
        self._unwanted = False
        self.number = number
        self.headers = headers
        self.gone = asyncio.Event()
        self.reader = asyncio.StreamReader(limit=BUFFERED)
        self.reader.set_transport(_Valve(session, number))  # type: ignore[arg-type]

    async def write(self, data: bytes) -> None:
        """Send data; after `finish`, or when the client has gone, it is dropped."""
        for at in range(0, len(data), _PIECE):
            if not self._finished:
                await self._session.send(frames.Data(self.number, data[at : at + _PIECE]))

    async def finish(self) -> None:
        """End the server's half."""
        if not self._finished:
            self._finished = True
            if self._ended:
                self._session.forget(self)
            await self._session.send(frames.Data(self.number, b"", fin=True))

    async def reset(self, status: int = frames.CANCEL) -> None:
        """End both halves at once."""
        self.cut()
        await self._session.send(frames.RstStream(self.number, status))

    def discard(self) -> None:
        """Nobody reads the input any more: what comes is dropped."""
        self._unwanted = True
        self._session.resume(self.number)

    def take(self, data: bytes, *, fin: bool) -> bool:
        """Input from the client; False when it had ended its half before."""
        if self._ended:
            return not data
        if data and not self._unwanted:
            self.reader.feed_data(data)
        if fin:
            self._ended = True
            self.reader.feed_eof()
            if self._finished:
                self._session.forget(self)
        return True

    def cut(self) -> None:
        """Both halves have ended: the client has reset the stream, or is gone."""
        self._finished = self._ended = True
        self.gone.set()
        self.reader.feed_eof()
        self._session.forget(self)


class _Valve:
    """What a StreamReader takes for its transport: it stops the whole session from reading."""

    def __init__(self, session: "Session", number: int) -> None:
        self._session = session
        self._number = number

    def pause_reading(self) -> None:
        self._session.pause(self._number)

    def resume_reading(self) -> None:
        self._session.resume(self._number)


class Session:
    """The frames of one connection, sorted into streams.

    Args:
        link: what carries it; closing it is its owner's business.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._decoder = Decoder()
        self._encoder = Encoder()
        self._sending = asyncio.Lock()
        self._streams: dict[int, Stream] = {}
        self._opened: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._last = 0
        self._full: set[int] = set()
        self._room = asyncio.Event()
        self._room.set()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Read until the client leaves or breaks the protocol; cuts every stream at the end."""
        try:
            while data := await self._link.receive():
                for frame in self._decoder.feed(data):
                    await self._take(frame)
                await self._room.wait()
        except FrameError:
            await self.send(frames.GoAway(self._last, frames.PROTOCOL_ERROR))
        finally:
            self.ended.set()
            for stream in list(self._streams.values()):
                stream.cut()
            self._opened.put_nowait(None)

    async def accepted(self) -> AsyncIterator[Stream]:
        """Each stream that the client opens, until it leaves."""
        while (stream := await self._opened.get()) is not None:
            yield stream

    async def go_away(self) -> None:
        """Take no more streams; a client then closes once it has read what it was sent."""
        await self.send(frames.GoAway(self._last))

    async def send(self, frame: Frame) -> None:
        """Send a frame; to a client that has gone, nothing is sent."""
        with suppress(ConnectionError):
            # Header blocks must go out in the order in which they were deflated.
            async with self._sending:
                await self._link.send(self._encoder.encode(frame))

    def forget(self, stream: Stream) -> None:
        """Drop a stream and whatever it still gets."""
        self._streams.pop(stream.number, None)
        self.resume(stream.number)

    def pause(self, number: int) -> None:
        """Stop reading: this stream holds too much."""
        self._full.add(number)
        self._room.clear()

    def resume(self, number: int) -> None:
        """Read on, unless another stream is full."""
        self._full.discard(number)
        if not self._full:
            self._room.set()

    async def _take(self, frame: Frame) -> None:
        match frame:
            case frames.SynStream():
                await self._open(frame)
            case frames.Data(number, data, fin):
                if stream := self._streams.get(number):
                    if not stream.take(data, fin=fin):
                        await stream.reset(frames.PROTOCOL_ERROR)
                elif number > self._last:
                    await self.send(frames.RstStream(number, frames.INVALID_STREAM))
            case frames.RstStream(number, _):
                if stream := self._streams.get(number):
                    stream.cut()
            case frames.Ping(number) if number % 2:
                await self.send(frame)
            case _:
                # SETTINGS and WINDOW_UPDATE change nothing here; after GOAWAY the client closes.
                pass

    async def _open(self, frame: frames.SynStream) -> None:
        if frame.stream % 2 == 0 or frame.stream <= self._last:
            await self.send(frames.RstStream(frame.stream, frames.PROTOCOL_ERROR))
            return
        self._last = frame.stream
        if len(self._streams) >= MOST_STREAMS:
            await self.send(frames.RstStream(frame.stream, frames.REFUSED_STREAM))
            return
        stream = Stream(self, frame.stream, dict(frame.headers))
        self._streams[frame.stream] = stream
        if frame.fin:
            stream.take(b"", fin=True)
        await self.send(frames.SynReply(frame.stream))
        self._opened.put_nowait(stream)
