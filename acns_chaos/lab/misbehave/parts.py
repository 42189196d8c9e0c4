"""Parts of the network that slow down, stop or lose things: what is called for each kind.

The parts themselves are in ``lab.net``; each order that lasts is undone when it ends.
"""

from collections.abc import Callable
from typing import Any

from acns_chaos.lab.api.store import Store
from acns_chaos.lab.misbehave.orders import Misused
from acns_chaos.lab.misbehave.table import Entry, Table

Undo = Callable[[], None]


def begin(entry: Entry, table: Table, store: Store, network: Any) -> None:
    """Carry out an order of the family "part".

    Args:
        entry: of the order; it is struck once, and ended when nothing lasts.
        table: where the entry is.
        store: knows the nodes.
        network: the parts.

    Raises:
        Misused: there is no such node.
    """
    options = entry.order.options
    _require_node(store, options.get("node"))
    undo = _CALLS[entry.order.kind.name](network, options)
    table.strike(entry)
    if undo is None:
        table.end(entry, "it happens once")
    else:
        entry.undo = undo


def _require_node(store: Store, node: str | None) -> None:
    names = [one["metadata"]["name"] for one in store.list("Node")]
    if node is not None and node not in names:
        raise Misused(f"There is no node {node!r}: there are {', '.join(names)}.")


def _slow(network: Any, options: Any) -> Undo:
    network.enforcement.set_lag(options["seconds"], node=options["node"])
    return lambda: network.enforcement.set_lag(0.0, node=options["node"])


def _frozen(network: Any, options: Any) -> Undo:
    node = options["node"]
    network.enforcement.freeze(node=node)
    network.relay.node_down(node or "", True)

    def thaw() -> None:
        network.enforcement.thaw(node=node)
        network.relay.node_down(node or "", False)
        network.relay.restart_agent(node or "")

    return thaw


def _relay_down(network: Any, _: Any) -> Undo:
    network.relay.set_down(True)
    return lambda: network.relay.set_down(False)


def _in_clear(network: Any, _: Any) -> Undo:
    network.relay.set_in_clear(True)
    return lambda: network.relay.set_in_clear(False)


def _expired(network: Any, options: Any) -> Undo:
    network.relay.set_expired(options["whose"])
    return lambda: network.relay.set_expired("")


def _lost_flows(network: Any, options: Any) -> None:
    network.relay.lose(options["number"], node=options["node"] or "")


def _node_down(network: Any, options: Any) -> Undo:
    network.relay.node_down(options["node"], True)
    return lambda: network.relay.node_down(options["node"], False)


def _restart(network: Any, options: Any) -> None:
    # Its metrics follow what enforcement says about the agent.
    network.enforcement.restart(node=options["node"])
    network.relay.restart_agent(options["node"])


def _stale(network: Any, options: Any) -> Undo:
    node = options["node"] or ""
    network.metrics.stale(node, True)
    return lambda: network.metrics.stale(node, False)


def _missing(network: Any, options: Any) -> Undo:
    try:
        network.metrics.missing(options["family"], True)
    except ValueError as why:
        raise Misused(f"{str(why).capitalize()}.") from None
    return lambda: network.metrics.missing(options["family"], False)


_CALLS: dict[str, Callable[[Any, Any], Undo | None]] = {
    "slow-enforcement": _slow,
    "frozen-agent": _frozen,
    "partial-enforcement": _frozen,
    "relay-down": _relay_down,
    "relay-without-tls": _in_clear,
    "relay-certificate-expired": _expired,
    "lost-flows": _lost_flows,
    "hubble-node-down": _node_down,
    "agent-restart": _restart,
    "stale-metrics": _stale,
    "missing-metric": _missing,
}
