"""SPDY/3.1 frames: bytes to values and back. No I/O, and no memory beyond what a frame needs.

After the public draft "SPDY Protocol - Draft 3.1". Header blocks are deflated with one compressor
and one decompressor for the life of a connection, so frames must be encoded in the order in which
they are sent. Whatever the bytes are, decoding raises nothing but `FrameError`.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from acns_chaos.lab.api.streams.headers import Deflater, FrameError, Inflater

LARGEST_DATA = 1 << 20
LARGEST_CONTROL = 1 << 14
MOST_SETTINGS = 64

PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5

_VERSION = 3
_CONTROL = 0x8000
_FIN = 0x01
_ID_BITS = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class SynStream:
    """A new stream; its number is odd when a client opens it."""

    TYPE: ClassVar[int] = 1
    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    """The new stream is accepted."""

    TYPE: ClassVar[int] = 2
    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class RstStream:
    """A stream ends at once."""

    TYPE: ClassVar[int] = 3
    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers that a side would like the other to know."""

    TYPE: ClassVar[int] = 4
    values: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Ping:
    """To be sent back as it is; the number is odd when a client began."""

    TYPE: ClassVar[int] = 6
    number: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """No further streams are taken."""

    TYPE: ClassVar[int] = 7
    last: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class Headers:
    """More headers of an open stream."""

    TYPE: ClassVar[int] = 8
    stream: int
    headers: Mapping[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """How many more bytes may be sent."""

    TYPE: ClassVar[int] = 9
    stream: int
    delta: int


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream."""

    stream: int
    data: bytes
    fin: bool = False


_TWO_NUMBERS: dict[int, type[RstStream | GoAway | WindowUpdate]] = {
    made.TYPE: made for made in (RstStream, GoAway, WindowUpdate)
}
Frame = SynStream | SynReply | RstStream | Settings | Ping | GoAway | Headers | WindowUpdate | Data


class Encoder:
    """Frames to bytes, for one direction of one connection."""

    def __init__(self) -> None:
        self._deflater = Deflater()

    def encode(self, frame: Frame) -> bytes:
        """The bytes of a frame; to be sent in the order of the calls.

        Args:
            frame: with header names in lower case; data of `LARGEST_DATA` bytes at most.
        """
        match frame:
            case Data(stream, data, fin):
                return struct.pack(">II", stream, fin << 24 | len(data)) + data
            case SynStream(stream, headers, fin):
                body = struct.pack(">IIH", stream, 0, 0) + self._deflater.block(headers)
                return _control(frame.TYPE, body, fin=fin)
            case SynReply(stream, headers, fin) | Headers(stream, headers, fin):
                body = struct.pack(">I", stream) + self._deflater.block(headers)
                return _control(frame.TYPE, body, fin=fin)
            case Settings(values):
                pairs = b"".join(struct.pack(">II", key, values[key]) for key in values)
                return _control(frame.TYPE, struct.pack(">I", len(values)) + pairs)
            case Ping(number):
                return _control(frame.TYPE, struct.pack(">I", number))
            case RstStream(first, second) | GoAway(first, second) | WindowUpdate(first, second):
                return _control(frame.TYPE, struct.pack(">II", first, second))


def _control(kind: int, body: bytes, *, fin: bool = False) -> bytes:
    return struct.pack(">HHI", _CONTROL | _VERSION, kind, fin << 24 | len(body)) + body


class Decoder:
    """Bytes to frames, for one direction of one connection."""

    def __init__(self) -> None:
        self._inflater = Inflater()
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes in; yields each frame that is now complete.

        Raises:
            FrameError: what follows cannot be understood; the connection is lost.
        """
        self._buffer += data
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from(">II", self._buffer)
            flags, length = second >> 24, second & 0xFF_FFFF
            control = bool(first >> 31)
            largest = LARGEST_CONTROL if control else LARGEST_DATA
            if length > largest:
                raise FrameError(f"a frame of {length} bytes, of which {largest} are taken")
            if len(self._buffer) < 8 + length:
                return
            body = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            if not control:
                yield Data(_stream(first), body, bool(flags & _FIN))
                continue
            if first >> 16 != _CONTROL | _VERSION:
                raise FrameError(f"version {first >> 16 & 0x7FFF} of SPDY, not 3")
            frame = self._control(first & 0xFFFF, flags, body)
            if frame is not None:
                yield frame

    def _control(self, kind: int, flags: int, body: bytes) -> Frame | None:
        fin = bool(flags & _FIN)
        try:
            match kind:
                case SynStream.TYPE:
                    stream, _, _ = struct.unpack_from(">IIH", body)
                    return SynStream(_stream(stream), self._inflater.pairs(body[10:]), fin)
                case SynReply.TYPE | Headers.TYPE:
                    (stream,) = struct.unpack_from(">I", body)
                    made = SynReply if kind == SynReply.TYPE else Headers
                    return made(_stream(stream), self._inflater.pairs(body[4:]), fin)
                case Settings.TYPE:
                    return _settings(body)
                case Ping.TYPE:
                    return Ping(*struct.unpack(">I", body))
            if pair := _TWO_NUMBERS.get(kind):
                first, second = struct.unpack(">II", body)
                return pair(first & _ID_BITS, second)
        except struct.error:
            raise FrameError(f"a frame of type {kind} with {len(body)} bytes") from None
        return None  # a type that nobody knows is passed over (§2.2.1)


def _stream(first: int) -> int:
    stream = first & _ID_BITS
    if stream == 0:
        raise FrameError("a frame for stream 0")
    return stream


def _settings(body: bytes) -> Settings:
    (count,) = struct.unpack_from(">I", body)
    if count > MOST_SETTINGS or len(body) != 4 + 8 * count:
        raise FrameError(f"{count} settings in {len(body)} bytes")
    pairs = struct.iter_unpack(">II", body[4:])
    return Settings({key & 0xFF_FFFF: value for key, value in pairs})
