"""The counters of every node: Cilium's agent and Hubble, in their own spelling.

Everything that happens on the simulated wire passes through `Metrics.record`, once per packet or
per opened connection. Egress is booked where the sender is, ingress where the receiver is. Families
and labels are in `families`, with `sourceEgressContext=pod;destinationIngressContext=pod` as AKS
sets it, so that outgoing traffic names only its source pod and incoming only its destination.
What an agent says about itself is in `agent_state`, queries in `net.prometheus`.
"""

from collections.abc import Callable, Iterable, Iterator

from acns_chaos.lab.net.events import Event
from acns_chaos.lab.net.metrics.books import AGENT_REASONS, Books
from acns_chaos.lab.net.metrics.families import HUBBLE
from acns_chaos.lab.net.metrics.registry import Registry, Sample, family_of
from acns_chaos.policy import Endpoint

# ACKs and payload of a short request and its answer, as (packets, bytes) per direction.
_CONNECTION = (6, 620)
_LOST = ("hubble_ring_buffer", "observer_events_queue", "perf_event_ring_buffer")


class Metrics:
    """The counters of all nodes, and what is wrong with reading them.

    Args:
        nodes: their names, at least one.
        node_of: names the node of an endpoint when an event does not.
        routing: "tunnel" or "native": how a packet leaves for another node.
        policy_verdicts: Hubble exposes `hubble_policy_verdicts_total`.
    """

    def __init__(
        self,
        nodes: Iterable[str] = ("lab",),
        node_of: Callable[[Endpoint], str] | None = None,
        *,
        routing: str = "tunnel",
        policy_verdicts: bool = True,
    ) -> None:
        self._registries = {node: Registry() for node in nodes}
        self._first = next(iter(self._registries))
        self._node_of = node_of or (lambda _: self._first)
        self._leaving = "to-overlay" if routing == "tunnel" else "to-network"
        self._collectors: list[Callable[[str], Iterable[Sample]]] = []
        self._stale: set[str] = set()
        self._down: set[str] = set()
        self._missing: set[str] = set()
        if not policy_verdicts:
            self._missing.add("hubble_policy_verdicts_total")
        for node in self._registries:
            self._begin(node)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes."""
        return tuple(self._registries)

    def registry(self, node: str) -> Registry:
        """The counters of a node; of the first for "" and for one that is not known."""
        return self._registries.get(node) or self._registries[self._first]

    # ------------------------------------------------------------------ reading

    def collect_with(self, collector: Callable[[str], Iterable[Sample]]) -> None:
        """Let somebody add samples of a node whenever they are read."""
        self._collectors.append(collector)

    def exposed(self, node: str, endpoint: str) -> Iterator[Sample]:
        """What one endpoint of a node shows.

        Args:
            node: its name.
            endpoint: `families.AGENT` or `families.HUBBLE`.
        """
        sources = [self._registries[node].samples()]
        if endpoint != HUBBLE:
            sources += [iter(collector(node)) for collector in self._collectors]
        for source in sources:
            for sample in source:
                family = family_of(sample[0])
                if family.endpoint == endpoint and family.name not in self._missing:
                    yield sample

    def value(self, family: str, **labels: str) -> float:
        """The sum over the series of a family that carry these labels, on all nodes."""
        wanted = set(labels.items())
        return sum(
            value
            for registry in self._registries.values()
            for name, have, value in registry.samples()
            if name == family and wanted <= set(have)
        )

    # ------------------------------------------------------------------ misbehaviour

    def restart_agent(self, node: str) -> None:
        """An agent starts anew: what it had counted begins at 0, what the kernel counts goes on.

        So Hubble's counters restart and `cilium_drop_count_total` does not.
        """
        self._registries[node].clear(kernel=False)
        self._begin(node)

    def stale(self, node: str = "", on: bool = True) -> None:
        """Nobody scrapes a node any more: the built-in Prometheus gets nothing new, `up` included.

        Instant queries answer with the last values for five minutes, and then with nothing. Another
        Prometheus that scrapes the endpoints is not affected.

        Args:
            node: its name; "" for every node.
            on: False scrapes again.
        """
        self._set(self._stale, node, on)

    def is_stale(self, node: str) -> bool:
        """Whether nobody scrapes a node."""
        return node in self._stale

    def down(self, node: str = "", on: bool = True) -> None:
        """A node's endpoints do not answer: `up` is 0, and its series end at once.

        Args:
            node: its name; "" for every node.
            on: False answers again.
        """
        self._set(self._down, node, on)

    def is_down(self, node: str) -> bool:
        """Whether a node's endpoints do not answer."""
        return node in self._down

    def missing(self, family: str, on: bool = True) -> None:
        """A family is not exposed, as when it is filtered out.

        Args:
            family: its name.
            on: False exposes it again.

        Raises:
            ValueError: the lab has no such family.
        """
        try:
            name = family_of(family).name
        except KeyError:
            raise ValueError(f"the lab exposes no metric {family!r}") from None
        if on:
            self._missing.add(name)
        else:
            self._missing.discard(name)

    def lost(self, node: str, source: str, count: int = 1) -> None:
        """Hubble lost events.

        Args:
            node: where.
            source: "hubble_ring_buffer", "observer_events_queue" or "perf_event_ring_buffer".
            count: how many.
        """
        self.registry(node).add("hubble_lost_events_total", count, source=source)

    def _set(self, group: set[str], node: str, on: bool) -> None:
        if node and node not in self._registries:
            raise ValueError(f"there is no node {node!r}: name one of {', '.join(self.nodes)}")
        chosen = {node} if node else set(self._registries)
        if on:
            group |= chosen
        else:
            group -= chosen

    def _begin(self, node: str) -> None:
        """What an agent shows from the start."""
        registry = self._registries[node]
        for direction in ("EGRESS", "INGRESS"):
            registry.add("cilium_forward_count_total", 0, direction=direction)
            registry.add("cilium_forward_bytes_total", 0, direction=direction)
        for source in _LOST:
            registry.add("hubble_lost_events_total", 0, source=source)
        for proxy in ("envoy", "fqdn"):
            for rule in ("denied", "forwarded", "parse_errors", "received"):
                registry.add("cilium_policy_l7_total", 0, proxy_type=proxy, rule=rule)
        for outcome in ("failure", "success"):
            registry.add("cilium_policy_change_total", 0, outcome=outcome)

    # ------------------------------------------------------------------ booking

    def record(self, event: Event) -> None:
        """Book one event.

        A drop by policy is one packet to the agent and two flows to Hubble: the policy verdict and
        the drop. A lookup that the DNS proxy refuses is one flow, and no drop to the agent.
        """
        verdict, count = event.verdict, event.count
        here = Books(self.registry(event.source_node or self._node_of(event.source)))
        there = Books(self.registry(event.destination_node or self._node_of(event.destination)))
        sender, receiver = _pod(event.source), _pod(event.destination)
        if verdict.egress.verdict == "DENIED":
            here.dropped(event, verdict.egress, "EGRESS", source=sender)
            return
        if verdict.egress.verdict == "ALLOWED" and sender:
            here.judged(event, verdict.egress, "egress", source=sender)
            here.forwarded("EGRESS", count, event.size * count)
        if event.query is not None and verdict.egress.redirected:
            refused = event.query.rcode == 5 or verdict.l7 == "DENIED"
            here.proxied(event.query, sender, receiver, refused=refused)
            if refused:
                return
        if verdict.ingress.verdict == "DENIED":
            there.dropped(event, verdict.ingress, "INGRESS", destination=receiver)
            return
        if verdict.ingress.verdict == "ALLOWED" and receiver:
            there.judged(event, verdict.ingress, "ingress", destination=receiver)
        self._delivered(event, here if sender else there, there if receiver else here)

    def record_noise(self, count: int = 1, node: str = "") -> None:
        """Book datapath noise that no policy caused: router solicitations with IPv6 off.

        Args:
            count: how many.
            node: where; "" for the first.
        """
        registry = self.registry(node)
        hubble, agent = "UNSUPPORTED_L3_PROTOCOL", AGENT_REASONS["UNSUPPORTED_L3_PROTOCOL"]
        registry.add("hubble_drop_total", count, reason=hubble, protocol="ICMPv6")
        Books(registry).flow(count, "Drop", "DROPPED", "ICMPv6")
        registry.add("cilium_drop_count_total", count, direction="EGRESS", reason=agent)
        registry.add("cilium_drop_bytes_total", 70 * count, direction="EGRESS", reason=agent)

    def _delivered(self, event: Event, here: "Books", there: "Books") -> None:
        count, protocol = event.count, event.protocol
        sender, receiver = _pod(event.source), _pod(event.destination)
        size = event.size * count
        far = here.registry is not there.registry
        if receiver:
            there.forwarded("INGRESS", count, size)
        if far or not receiver:
            leaving = self._leaving if far else "to-network"
            here.flow(count, "Trace", "FORWARDED", protocol, leaving, source=sender)
        if receiver:
            there.flow(count, "Trace", "FORWARDED", protocol, "to-endpoint", source=sender)
        if protocol != "TCP":
            if far:
                there.flow(count, "Trace", "FORWARDED", protocol, self._leaving, source=receiver)
            here.flow(count, "Trace", "FORWARDED", protocol, "to-endpoint", source=receiver)
            return
        if event.flags != "SYN":
            return
        packets, size = _CONNECTION
        for books in (here, there) if far else (here,):
            for direction in ("EGRESS", "INGRESS"):
                books.forwarded(direction, packets * count, size * count)
        here.flags("SYN", count, source=sender)
        if receiver:
            there.flags("SYN", count, destination=receiver)
        here.flags("SYN-ACK", count, source=receiver)
        there.flags("FIN", count, source=sender)
        here.flags("FIN", count, source=receiver)


def _pod(endpoint: Endpoint) -> str:
    """The pod as `namespace/name`, "" for everything else."""
    return endpoint.name if endpoint.kind == "pod" else ""
