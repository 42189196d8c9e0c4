"""Which dropped flows are a fault's: those that touch what it was predicted to close.

There is always unrelated drop noise, so a drop counts only when its receiver and port (or, towards
the outside, its sender) are those of a predicted flow. Senders from outside are not compared: a
load balancer may show them as a node.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from acns_chaos.cluster.hubble import Peer, SeenFlow

__all__ = ["Dropped", "Predicted", "dropped", "predicted", "touches"]

# "pets/order-service -> pets/product-service:3002/TCP GET /", as `policy.workloads` writes it.
_FLOW = re.compile(r"(?P<source>\S+) -> (?P<destination>\S+):(?P<port>\d+)/(?P<protocol>\w+)")
_APP = ("k8s:app=", "k8s:app.kubernetes.io/name=", "k8s:k8s-app=")


@dataclass(frozen=True, slots=True)
class Predicted:
    """A flow that a fault closes, by names: workloads, entities or addresses.

    Attributes:
        text: as the prediction writes it; more than these names where a request is meant, too.
    """

    source: str
    destination: str
    port: int
    protocol: str
    text: str = field(default="", compare=False)

    @property
    def is_connection(self) -> bool:
        """Whether the connection itself is meant, and not one request over it."""
        return _FLOW.fullmatch(self.text) is not None


@dataclass(frozen=True, slots=True)
class Dropped:
    """What is kept of a dropped flow; equal ones are counted together.

    Attributes:
        source, destination: by every name that may be meant: workload, pod, app label, entity.
        label: for people.
        sender, receiver: each by the name that the label has, "" for all others together.
        direction: where it was dropped: "ingress", "egress" or "".
    """

    source: frozenset[str]
    destination: frozenset[str]
    port: int
    protocol: str
    reason: str
    label: str
    sender: str = ""
    receiver: str = ""
    direction: str = ""


def predicted(texts: Iterable[str]) -> list[Predicted]:
    """Read predicted flows; what is no connection, as a lookup alone, is left out."""
    found = (_FLOW.match(text) for text in texts)
    return [
        Predicted(
            one["source"],
            one["destination"],
            int(one["port"]),
            one["protocol"].upper(),
            one.string,
        )
        for one in found
        if one
    ]


def dropped(flow: SeenFlow) -> Dropped:
    """Keep of a flow what tells whose it is."""
    reason = flow.reason or ("refused name" if flow.kind == "l7" else "no reason")
    way = f"{flow.source.name} -> {flow.destination.name}:{flow.port}/{flow.protocol}"
    return Dropped(
        _names(flow.source),
        _names(flow.destination),
        flow.port,
        flow.protocol.upper(),
        reason,
        f"{way} {reason}",
        flow.source.name,
        flow.destination.name,
        flow.direction,
    )


def touches(one: Dropped, flows: Iterable[Predicted]) -> bool:
    """Whether a drop is one of the predicted flows."""
    return any(_is(one, flow) for flow in flows)


def _is(one: Dropped, flow: Predicted) -> bool:
    if "/" in flow.destination:
        arrives = flow.destination in one.destination and one.port in (flow.port, 0)
        return arrives and ("/" not in flow.source or flow.source in one.source)
    # Towards the outside the name that was meant need not be known to the node.
    return flow.source in one.source and (one.port == flow.port or one.reason == "refused name")


def _names(peer: Peer) -> frozenset[str]:
    home = f"{peer.namespace}/"
    names = {peer.name, *peer.names}
    if peer.namespace:
        names |= {home + one for one in (peer.workload, peer.pod) if one}
        names |= {
            home + label.removeprefix(key)
            for label in peer.labels
            for key in _APP
            if label.startswith(key)
        }
    return frozenset(names)
