"""Addresses of new pods: each node gives out those of its range.

One that was given back is taken again last, so that a new pod is not taken for the one before it.
"""

from ipaddress import ip_network

from acns_chaos.lab.api.failures import Json
from acns_chaos.lab.api.reading.printing import at
from acns_chaos.lab.api.store import Entry, Store

_ANY_NETWORK = "10.244.0.0/24"


class Addresses:
    """What the nodes of a store have left to give."""

    def __init__(self, store: Store) -> None:
        """Follow a store, to see what is given back."""
        self._store = store
        # In the order in which they came back.
        self._given_back: dict[str, None] = {}
        store.follow(self._on_write)

    def _on_write(self, entry: Entry) -> None:
        if entry.kind == "Pod" and entry.new is None and (ip := at(entry.old, "status", "podIP")):
            self._given_back.pop(ip, None)
            self._given_back[ip] = None

    def take(self, node: Json) -> str:
        """Return an address of a raw Node's range that no pod has.

        Raises:
            LookupError: its range is full.
        """
        network = ip_network(at(node, "spec", "podCIDR") or _ANY_NETWORK)
        used = {at(pod, "status", "podIP") for pod in self._store.list("Pod")}
        # The first is the node's own.
        free = [
            str(one)
            for number, one in enumerate(network.hosts())
            if number and str(one) not in used
        ]
        again = [ip for ip in self._given_back if ip in free]
        chosen = next((ip for ip in free if ip not in self._given_back), again[0] if again else "")
        if not chosen:
            raise LookupError(f"no address is left in {network}")
        self._given_back.pop(chosen, None)
        return chosen


def node_address(node: Json) -> str:
    """The address of a raw Node inside the cluster, "" for none."""
    addresses = at(node, "status", "addresses") or ()
    return next((str(one["address"]) for one in addresses if one["type"] == "InternalIP"), "")
