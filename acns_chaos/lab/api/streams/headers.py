"""SPDY/3.1 header blocks: names and values, deflated over one connection.

Each direction has one compressor for its whole life, so blocks only mean anything in their order.
What is bounded here is what an ill-meaning client could make the other side hold.
"""

import struct
import zlib
from collections.abc import Mapping

# An inflated block; those of kubectl have four short names.
LARGEST_HEADERS = 1 << 16
MOST_HEADERS = 64

_WORDS = """
options head post put delete trace accept accept-charset accept-encoding accept-language
accept-ranges age allow authorization cache-control connection content-base content-encoding
content-language content-length content-location content-md5 content-range content-type date
etag expect expires from host if-match if-modified-since if-none-match if-range
if-unmodified-since last-modified location max-forwards pragma proxy-authenticate
proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
user-agent vary via warning www-authenticate method get status
"""
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 "
    "Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service "
    "UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, "
    "Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/"
    "xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)
_LATER_WORDS = (
    "200 OK",
    "version",
    "HTTP/1.1",
    "url",
    "public",
    "set-cookie",
    "keep-alive",
    "origin",
)
# The dictionary that both sides of a SPDY/3 connection start from (§2.6.10.1); its Adler-32 is
# 0xe3c6a7c2, which zlib checks for us.
DICTIONARY = (
    b"".join(
        struct.pack(">I", len(word)) + word.encode() for word in (*_WORDS.split(), *_LATER_WORDS)
    )
    + _TEXT.encode()
)


class FrameError(Exception):
    """The bytes are no SPDY/3.1, or more than this side takes."""


class Deflater:
    """Makes the blocks of one direction."""

    def __init__(self) -> None:
        # A small window: a server's headers are empty.
        self._deflate = zlib.compressobj(wbits=11, memLevel=5, zdict=DICTIONARY)

    def block(self, headers: Mapping[str, str]) -> bytes:
        """The next block.

        Args:
            headers: names in lower case; several values of a name joined by NUL.
        """
        parts = [struct.pack(">I", len(headers))]
        for pair in headers.items():
            for text in pair:
                raw = text.encode()
                parts += [struct.pack(">I", len(raw)), raw]
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


class Inflater:
    """Reads the blocks of one direction."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def pairs(self, block: bytes) -> dict[str, str]:
        """The headers in the next block; several values of a name stay joined by NUL.

        Raises:
            FrameError: it cannot be inflated, is too large, or holds no headers.
        """
        try:
            raw = self._inflate.decompress(block, LARGEST_HEADERS)
        except zlib.error as problem:
            raise FrameError(f"headers that cannot be inflated: {problem}") from None
        if self._inflate.unconsumed_tail or self._inflate.eof:
            raise FrameError(f"headers of more than {LARGEST_HEADERS} bytes, or after their end")
        try:
            return _pairs(raw)
        except (struct.error, UnicodeDecodeError):
            raise FrameError("headers that end too early or are no text") from None


def _pairs(raw: bytes) -> dict[str, str]:
    (count,) = struct.unpack_from(">I", raw)
    if count > MOST_HEADERS:
        raise FrameError(f"{count} headers, of which {MOST_HEADERS} are taken")
    texts: list[str] = []
    at = 4
    for _ in range(2 * count):
        (length,) = struct.unpack_from(">I", raw, at)
        at += 4 + length
        if at > len(raw):
            raise FrameError("a header that is longer than its block")
        texts.append(raw[at - length : at].decode())
    if at != len(raw):
        raise FrameError("bytes after the last header")
    return dict(zip(texts[::2], texts[1::2], strict=True))
