"""Source ports, for senders that chose none, and which connections a node has seen before.

Repetitions of a packet keep their port; a policy verdict is logged only for the first packet of a
connection. Times are seconds since 1970.
"""

import itertools
from collections import OrderedDict

_FIRST_PORT, _PORTS = 32_768, 28_000
# How long a node remembers a datagram's socket, and a sender repeats a SYN.
_REMEMBERED = 60.0
_REPEATED = 70.0
_MOST = 4096

Key = tuple[object, ...]


class Sockets:
    """What is remembered of the connections in the cluster."""

    def __init__(self) -> None:
        self._counter = itertools.count()
        self._open: OrderedDict[Key, tuple[int, float]] = OrderedDict()
        self._seen: OrderedDict[Key, float] = OrderedDict()

    def port(self, key: Key, at: float, *, keep: bool, repeated: float = _REPEATED) -> int:
        """The source port of a packet.

        Args:
            key: what tells this sender's connection from others.
            at: now.
            keep: a later packet of the same connection may follow.
            repeated: seconds within which a packet with this key is of the same connection.
        """
        known = self._open.pop(key, None)
        if known is not None and at - known[1] <= repeated:
            port = known[0]
        else:
            port = _FIRST_PORT + (next(self._counter) * 7919) % _PORTS
        if keep:
            self._open[key] = (port, at)
            if len(self._open) > _MOST:
                self._open.popitem(last=False)
        return port

    def is_first(self, key: Key, at: float) -> bool:
        """Whether no packet of this socket was seen before, or none for a minute."""
        last = self._seen.pop(key, None)
        self._seen[key] = at
        if len(self._seen) > _MOST:
            self._seen.popitem(last=False)
        return last is None or at - last > _REMEMBERED
