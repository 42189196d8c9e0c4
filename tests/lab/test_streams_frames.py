"""SPDY/3.1 as bytes: round trips, hostile input, and sessions over a link of this test."""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acns_chaos.lab.api.streams import frames, session
from acns_chaos.lab.api.streams.frames import Data, Decoder, Encoder, Frame, SynStream
from acns_chaos.lab.api.streams.headers import DICTIONARY, MOST_HEADERS, FrameError
from acns_chaos.lab.api.streams.session import Session
from tests.tiers import examples

NUMBERS = st.integers(1, 2**31 - 1)
WORDS = st.integers(0, 2**32 - 1)
HEADERS = st.dictionaries(
    st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20),
    st.text(st.characters(codec="utf-8"), max_size=30),
    max_size=6,
)
FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(frames.SynStream, NUMBERS, HEADERS, st.booleans()),
    st.builds(frames.SynReply, NUMBERS, HEADERS, st.booleans()),
    st.builds(frames.Headers, NUMBERS, HEADERS, st.booleans()),
    st.builds(frames.RstStream, NUMBERS, WORDS),
    st.builds(frames.Settings, st.dictionaries(st.integers(0, 2**24 - 1), WORDS, max_size=5)),
    st.builds(frames.Ping, WORDS),
    st.builds(frames.GoAway, st.integers(0, 2**31 - 1), WORDS),
    st.builds(frames.WindowUpdate, st.integers(0, 2**31 - 1), WORDS),
    st.builds(frames.Data, NUMBERS, st.binary(max_size=50), st.booleans()),
)


def test_the_dictionary_is_the_drafts() -> None:
    """Its length and Adler-32 are those that every SPDY/3 peer sends."""
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


@examples(60, deadline=200)
@given(st.lists(FRAMES, max_size=8), st.integers(1, 40))
def test_frames_survive_the_wire(sent: list[Frame], piece: int) -> None:
    """What was encoded is decoded, however the bytes are cut, with one compressor for all."""
    encoder, decoder = Encoder(), Decoder()
    wire = b"".join(map(encoder.encode, sent))
    pieces = [wire[at : at + piece] for at in range(0, len(wire), piece)]
    assert [frame for one in pieces for frame in decoder.feed(one)] == sent


@examples(400, deadline=200)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_hostile_bytes(pieces: list[bytes]) -> None:
    """Any bytes are frames, an unfinished frame, or a FrameError."""
    decoder = Decoder()
    try:
        for piece in pieces:
            list(decoder.feed(piece))
    except FrameError:
        pass


@examples(400, deadline=200)
@given(st.integers(0, 12), st.integers(0, 3), st.binary(max_size=60), st.booleans())
def test_hostile_control_frames(kind: int, flags: int, body: bytes, deflate: bool) -> None:
    """Well framed nonsense is passed over or a FrameError, deflated or not."""
    if deflate:
        compressor = zlib.compressobj(zdict=DICTIONARY)
        body = body[:10] + compressor.compress(body[10:]) + compressor.flush(zlib.Z_SYNC_FLUSH)
    wire = struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body
    try:
        assert len(list(Decoder().feed(wire))) <= 1
    except FrameError:
        pass


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (struct.pack(">II", 1, 0xFFFFFF), "a frame of 16777215 bytes"),
        (struct.pack(">HHI", 0x8003, 1, 1 << 20), "a frame of 1048576 bytes"),
        (struct.pack(">HHI", 0x8002, 1, 0), "version 2"),
        (struct.pack(">II", 0, 0), "stream 0"),
        (b"GET / HTTP/1.1\r\n\r\n", "a frame of"),
    ],
)
def test_what_is_refused_at_once(wire: bytes, why: str) -> None:
    """Sizes, versions and stream 0 are refused before anything is kept for them."""
    with pytest.raises(FrameError, match=why):
        list(Decoder().feed(wire))


def test_a_header_bomb() -> None:
    """A short block that inflates to megabytes is refused, and so are too many headers."""
    bomb = Encoder().encode(SynStream(1, {"a": "x" * 3_000_000}))
    assert len(bomb) < 10_000
    with pytest.raises(FrameError, match="more than 65536 bytes"):
        list(Decoder().feed(bomb))
    many = Encoder().encode(SynStream(1, {f"h{n}": "" for n in range(MOST_HEADERS + 1)}))
    with pytest.raises(FrameError, match="65 headers"):
        list(Decoder().feed(many))


class Link:
    """A link whose two ends are this test's."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.sent: list[Frame] = []
        self._encoder, self._decoder = Encoder(), Decoder()

    async def receive(self) -> bytes:
        return await self.incoming.get()

    async def send(self, data: bytes) -> None:
        self.sent += self._decoder.feed(data)

    def say(self, *said: Frame) -> None:
        """Let the client send frames."""
        self.incoming.put_nowait(b"".join(map(self._encoder.encode, said)))


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Link, Session]]:
    """A session that serves a link."""
    link = Link()
    served = Session(link)
    task = asyncio.ensure_future(served.run())
    yield link, served
    link.incoming.put_nowait(b"")
    await asyncio.wait_for(task, 5)


async def test_a_stream_both_ways() -> None:
    """A stream is accepted, read to its end, written to, and forgotten when both sides ended."""
    async with running() as (link, served):
        link.say(SynStream(1, {"streamtype": "data"}), Data(1, b"hello "), Data(1, b"you", True))
        stream = await anext(served.accepted())
        assert stream.headers == {"streamtype": "data"}
        assert await stream.reader.read() == b"hello you"
        await stream.write(b"and you")
        await stream.finish()
        await stream.write(b"too late")
        link.say(Data(1, b"for nobody"), Data(3, b"never opened"), frames.Ping(7), frames.Ping(8))
    assert link.sent == [
        frames.SynReply(1),
        Data(1, b"and you"),
        Data(1, b"", True),
        frames.RstStream(3, frames.INVALID_STREAM),
        frames.Ping(7),
    ]


async def test_streams_that_may_not_be() -> None:
    """Numbers that are even or go back, data after the end, and too many streams are reset."""
    async with running() as (link, served):
        link.say(SynStream(2), SynStream(5), SynStream(3), Data(5, b"", True), Data(5, b"more"))
        link.say(*(SynStream(7 + 2 * n) for n in range(session.MOST_STREAMS + 1)))
        while len(link.sent) < session.MOST_STREAMS + 5:
            await asyncio.sleep(0)
        assert len([1 for frame in link.sent if isinstance(frame, frames.SynReply)]) == 1025
    resets = [frame for frame in link.sent if isinstance(frame, frames.RstStream)]
    assert [(frame.stream, frame.status) for frame in resets] == [
        (2, frames.PROTOCOL_ERROR),
        (3, frames.PROTOCOL_ERROR),
        (5, frames.PROTOCOL_ERROR),
        (7 + 2 * session.MOST_STREAMS, frames.REFUSED_STREAM),
    ]
    assert served.ended.is_set()


async def test_a_reader_that_is_slow() -> None:
    """Nothing is read from the link while a stream is full; reading the stream goes on with it."""
    async with running() as (link, served):
        link.say(SynStream(1))
        stream = await anext(served.accepted())
        for _ in range(20):
            link.say(Data(1, bytes(session.BUFFERED // 4)))
        for _ in range(200):  # more turns of the loop than it takes to read everything
            await asyncio.sleep(0)
        assert 5 <= link.incoming.qsize() <= 12
        read = 0
        while read < 5 * session.BUFFERED:
            read += len(await stream.reader.read(100_000))
        assert link.incoming.empty()


async def test_a_broken_protocol_ends_everything() -> None:
    """After bytes that are no frame the client is told to go, and its streams end."""
    link = Link()
    served = Session(link)
    link.say(SynStream(1))
    link.incoming.put_nowait(b"\xff" * 20)
    await asyncio.wait_for(served.run(), 5)
    stream = await anext(served.accepted())
    assert await stream.reader.read() == b""
    assert link.sent[-1] == frames.GoAway(1, frames.PROTOCOL_ERROR)
