"""A connection that ends the hard way."""

import socket
import struct

from aiohttp import web

# Zero seconds of lingering: closing sends a reset.
_AT_ONCE = struct.pack("ii", 1, 0)


def cut(request: web.Request) -> web.Response:
    """Reset a request's connection; what is returned goes nowhere."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        transport.abort()
    return web.Response(status=503)
