"""What a run's client keeps from one question to the next: connections, addresses, orders.

A customer's browser keeps connections open and addresses cached, so it meets a fault later, and
recovers later, than somebody who comes anew. Those are readings of their own, and this is their
memory. Values only; nothing here judges.
"""

import threading
from dataclasses import dataclass

from acns_chaos.cluster.kept import Kept

__all__ = ["MOST_ORDERS", "Learned", "Remembered"]

# Orders are real changes in somebody's shop: one for each pass of the hypothesis.
MOST_ORDERS = 2


@dataclass(frozen=True, slots=True)
class Learned:
    """An address that a pod's own lookup found.

    Attributes:
        address: IPv4 address.
        port: that was connected to.
        pod: in which it was looked up.
        at: ISO 8601, UTC.
    """

    address: str
    port: int
    pod: str
    at: str


class Remembered:
    """One run's client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, Kept] = {}
        self._learned: dict[tuple[str, str, str], Learned] = {}
        self._orders = 0

    def kept(self, base: str) -> Kept:
        """Return the connection that is kept to a shop.

        Args:
            base: URL without a path.
        """
        with self._lock:
            return self._kept.setdefault(base, Kept(base))

    def learn(self, namespace: str, workload: str, host: str, learned: Learned) -> None:
        """Keep the address under which a workload has just reached a name."""
        with self._lock:
            self._learned[namespace, workload, host] = learned

    def learned(self, namespace: str, workload: str, host: str) -> Learned | None:
        """Return the address that a workload learned of a name; None when it never did."""
        with self._lock:
            return self._learned.get((namespace, workload, host))

    def take_order(self) -> int:
        """Count one more synthetic order: its number, 0 when the run has placed enough."""
        with self._lock:
            if self._orders >= MOST_ORDERS:
                return 0
            self._orders += 1
            return self._orders

    def close(self) -> None:
        """Close what is open; nothing is kept any more."""
        with self._lock:
            for one in self._kept.values():
                one.close()
            self._kept.clear()
