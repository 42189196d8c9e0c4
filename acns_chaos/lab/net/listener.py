"""A listening socket that can fall silent, as a LoadBalancer whose backend drops every SYN.

On Linux a classic BPF filter that accepts no byte is attached to the listening socket: the kernel
then discards SYNs unanswered, clients retransmit and time out, and one that is still trying gets
through after the filter is gone. The same filter on accepted sockets makes established connections
stall and resume. The kernel counts what each socket discards, so drops are booked exactly.

Elsewhere connections are accepted and held: a client then sees its *read* time out instead of its
connect, and one drop is counted per request. What is denied is decided by the caller.
"""

import asyncio
import ctypes
import socket
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Protocol

POLL_SECONDS = 0.010
HAS_FILTER = sys.platform == "linux"
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_MEMINFO = 55
_DROPS = 8
_MEMINFO_BYTES = 36
_NOBODY = 1
# One instruction: return 0, keep nothing of the packet.
_DISCARD = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
_PROGRAM = struct.pack("HL", 1, ctypes.addressof(_DISCARD))


class Socket(Protocol):
    """A socket, or asyncio's stand-in for one."""

    def fileno(self) -> int:
        """The descriptor, -1 when closed."""

    def setsockopt(self, level: int, optname: int, value: int | bytes, /) -> None:
        """Set an option."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """Read an option."""

    def getpeername(self) -> tuple[str, int]:
        """Address and port of the other end."""


def open_listener() -> socket.socket:
    """A listening TCP socket on a free port of 127.0.0.1."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    sock.setblocking(False)
    return sock


class Gate:
    """Lets connections to one listener through, or makes it silent.

    Args:
        listener: the listening socket.
        accepted: gives the sockets accepted from it that are still open.
        dropped: told how many packets were discarded, and from which port of the client: 0 for
            SYNs, whose senders the kernel does not tell.
        has_filter: whether this system can discard packets on a socket.
    """

    def __init__(
        self,
        listener: Socket,
        accepted: Callable[[], Iterable[Socket]],
        dropped: Callable[[int, int], None],
        *,
        has_filter: bool = HAS_FILTER,
    ) -> None:
        self._listener = listener
        self._accepted = accepted
        self._dropped = dropped
        self._has_filter = has_filter
        # By descriptor: socket, what it had discarded when last looked at, port of the client.
        self._silent: dict[int, tuple[Socket, int, int]] = {}
        self._poller: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether connections get through."""
        return self._opened.is_set()

    def close(self) -> None:
        """Fall silent at once."""
        if not self.is_open:
            return
        self._opened.clear()
        if self._has_filter:
            self._silence(self._listener)
            self._silence_accepted()
            self._poller = asyncio.get_running_loop().create_task(self._poll())

    def open(self) -> None:
        """Let everything through again, retransmissions first."""
        if self.is_open:
            return
        if self._poller is not None:
            self._poller.cancel()
            self._poller = None
        for sock, _, _ in self._silent.values():
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        self._book()
        self._silent.clear()
        self._opened.set()

    async def pass_through(self) -> None:
        """Hold a request that came in although the gate is closed (systems without the filter)."""
        if self.is_open or self._has_filter:
            # What the kernel has delivered came before the filter.
            return
        self._dropped(1, 0)
        await self._opened.wait()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            # A connection may have been accepted in the moment before the filter was there.
            self._silence_accepted()
            self._book()

    def _silence_accepted(self) -> None:
        for sock in self._accepted():
            self._silence(sock)

    def _silence(self, sock: Socket) -> None:
        descriptor = sock.fileno()
        if descriptor < 0:
            return
        known = self._silent.get(descriptor)
        if known is None or known[0] is not sock:
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, _PROGRAM)
            port = 0 if sock is self._listener else _peer_port(sock)
            self._silent[descriptor] = (sock, _drops(sock), port)

    def _book(self) -> None:
        for descriptor, (sock, before, port) in list(self._silent.items()):
            if sock.fileno() < 0:
                del self._silent[descriptor]
                continue
            # The kernel's counter is 32 bits wide.
            count = (_drops(sock) - before) % 2**32
            if count:
                self._silent[descriptor] = (sock, before + count, port)
                self._dropped(count, port)


def _peer_port(sock: Socket) -> int:
    try:
        return sock.getpeername()[1]
    except OSError:
        # Closed by the client in this moment; whoever sent what comes, it was no SYN.
        return _NOBODY


def _drops(sock: Socket) -> int:
    """How many packets the kernel has discarded at a socket."""
    info = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO_BYTES)
    return int(struct.unpack("9I", info)[_DROPS])
