"""Which names each node's DNS proxy has seen for an address outside, and for how long.

A name is learned from an answer that passed the proxy, and shared by the pods of that node only. It
counts for the answer's time to live, at least for the agents' `tofqdns-min-ttl`, and then for as
long as a connection to the address is in the node's connection table (a zombie, in Cilium's words).
Not modelled: the limits on how many addresses a name may have, and idle grace periods.
Source of the facts: Cilium 1.19, FQDN cache and its garbage collection.
"""

from collections.abc import Callable, Iterable

# A closed TCP connection stays in the connection table this long.
CLOSING_SECONDS = 10.0
_Key = tuple[str, str]


class Learned:
    """The names of every node's proxy.

    Args:
        now: seconds since 1970.
        min_ttl: seconds for which a name counts at least.
    """

    def __init__(self, now: Callable[[], float], min_ttl: float) -> None:
        self._now = now
        self._min_ttl = min_ttl
        # (node, address) to the end of each name, and of its newest connection.
        self._ends: dict[_Key, dict[str, float]] = {}
        self._used: dict[_Key, float] = {}

    def learn(self, node: str, name: str, addresses: Iterable[str], ttl: float) -> None:
        """Remember an answer.

        Args:
            node: whose proxy saw it.
            name: that was asked for; intermediate names do not count.
            addresses: in the answer.
            ttl: of the answer, in seconds.
        """
        end = self._now() + max(ttl, self._min_ttl)
        for ip in addresses:
            ends = self._ends.setdefault((node, ip), {})
            name = name.rstrip(".").lower()
            ends[name] = max(end, ends.get(name, 0.0))

    def use(self, node: str, ip: str) -> None:
        """Note that a packet of a connection to the address passed at this moment."""
        if self.names(node, ip):
            self._used[node, ip] = self._now() + CLOSING_SECONDS

    def names(self, node: str, ip: str) -> tuple[str, ...]:
        """The names that count for an address on a node, sorted."""
        ends = self._ends.get((node, ip))
        if not ends:
            return ()
        now = self._now()
        if now < self._used.get((node, ip), 0.0):
            return tuple(sorted(ends))
        for name in [name for name, end in ends.items() if end <= now]:
            del ends[name]
        return tuple(sorted(ends))
