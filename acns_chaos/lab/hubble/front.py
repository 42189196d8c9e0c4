"""The relay's TLS: 1.3 only, a client certificate asked for, faults answered with an alert.

grpc's own TLS closes a connection whose handshake fails without saying why, and cannot be held to
1.3; a real relay does both otherwise, and clients show its alerts. So TLS ends here, and the bytes
go on to a socket in a private directory. What they say is not looked at.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from acns_chaos.errors import AcnsChaosError
from acns_chaos.lab.hubble.certificates import RelayCertificates

HOST = "127.0.0.1"
Backend = Callable[[], Awaitable[Path]]
_CHUNK = 65536
_TLS_RECORD = 0x16


class FrontError(AcnsChaosError):
    """The relay's port cannot be had."""


class Front:
    """Accepts TLS connections and hands their contents on.

    Args:
        certificates: of the relay, and the authority of its clients; None serves in the clear.
        directory: a private directory; the key is written there for the moment of loading.
        backend: gives the path of the socket that the contents go to, once somebody listens there.
    """

    def __init__(
        self, certificates: RelayCertificates | None, directory: Path, backend: Backend
    ) -> None:
        self._context = None if certificates is None else _context(certificates, directory)
        self._backend = backend
        self._server: asyncio.Server | None = None
        self._open: set[_Outside] = set()

    async def start(self, port: int) -> int:
        """Listen on loopback.

        Args:
            port: 0 for a free one.

        Returns:
            the port.

        Raises:
            FrontError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._accept, HOST, port)
        except OSError:
            raise FrontError(f"Port {port} on {HOST} is taken: the relay cannot listen.") from None
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        """Close the port and every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for connection in list(self._open):
                connection.abort()
            await server.wait_closed()

    def _accept(self) -> "_Outside":
        if self._context is None:
            return _Clear(self._backend, self._open)
        return _Outside(self._context, self._backend, self._open)


class _Outside(asyncio.Protocol):
    """A client's connection: records to and from TLS, contents to and from the inside."""

    def __init__(
        self, context: ssl.SSLContext, backend: Backend, connections: "set[_Outside]"
    ) -> None:
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._sent, server_side=True)
        self._backend = backend
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._inside: asyncio.Transport | None = None
        self._begun = self._established = False
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        first, self._begun = not self._begun, True
        if first and data[0] != _TLS_RECORD:
            self.close()  # a client without TLS reads the end, and no alert
            return
        self._received.write(data)
        try:
            if not self._established:
                self._tls.do_handshake()
                self._established = True
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
            self._pass_on()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError:
            # The alert is waiting to be sent.
            self._flush()
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._connections.discard(self)
        if self._connecting is not None:
            self._connecting.cancel()
        if self._inside is not None:
            self._inside.close()

    def pause_writing(self) -> None:
        # A client that does not read holds up the relay, which then loses flows.
        if self._inside is not None:
            self._inside.pause_reading()

    def resume_writing(self) -> None:
        if self._inside is not None:
            self._inside.resume_reading()

    def send(self, data: bytes) -> None:
        """Contents from the inside."""
        with suppress(ssl.SSLError):
            self._tls.write(data)
        self._flush()

    def close(self) -> None:
        """End, after what is still to be sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            path = await self._backend()
            transport, _ = await loop.create_unix_connection(lambda: _Inside(self), str(path))
        except OSError:
            self.close()
            return
        self._inside = transport
        with suppress(ssl.SSLError):
            self._pass_on()
        self._flush()

    def _pass_on(self) -> None:
        self._flush()
        while self._inside is not None:
            data = self._tls.read(_CHUNK)
            if not data:
                self.close()
                return
            self._inside.write(data)

    def _flush(self) -> None:
        data = self._sent.read()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


class _Clear(_Outside):
    """A client's connection to a relay without TLS: bytes go on as they are.

    Args:
        backend, connections: as of `_Outside`.
    """

    def __init__(self, backend: Backend, connections: "set[_Outside]") -> None:
        super().__init__(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), backend, connections)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # A server in the clear speaks first.
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        self._received.write(data)
        self._pass_on()

    def send(self, data: bytes) -> None:
        self._sent.write(data)
        self._flush()

    def _pass_on(self) -> None:
        if self._inside is not None:
            self._inside.write(self._received.read())


class _Inside(asyncio.Protocol):
    """The connection to grpc."""

    def __init__(self, outside: _Outside) -> None:
        self._outside = outside

    def data_received(self, data: bytes) -> None:
        self._outside.send(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._outside.close()


def _context(certificates: RelayCertificates, directory: Path) -> ssl.SSLContext:
    path = directory / "relay.pem"
    path.touch(mode=0o600)
    path.write_bytes(certificates.server.key + certificates.server.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=certificates.authority.decode())
    context.load_cert_chain(path)
    context.set_alpn_protocols(["h2"])
    path.unlink()
    return context
