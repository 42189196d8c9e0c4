"""The counters of one node: Cilium's agent and Hubble, in their own spelling.

Everything that happens on the simulated wire passes through `Metrics.record`, once per packet or
per opened connection; a flow log would be fed from the same place. Families, labels and reasons as
captured from Cilium 1.19.4, with `sourceEgressContext=pod;destinationIngressContext=pod` as AKS
sets it, so that outgoing traffic names only its source pod and incoming only its destination.
No queries here: those are in `promql` and `prometheus`.
"""

from collections.abc import Iterator

from acns_chaos.lab.net.events import Event, Query
from acns_chaos.policy import Endpoint, Side

CILIUM_JOB = "networkobservability-cilium"
HUBBLE_JOB = "networkobservability-hubble"
CLUSTER = "acns-chaos-lab"
# Reason of Hubble (enum name) to reason of the agent (sentence).
AGENT_REASONS = {
    "POLICY_DENIED": "Policy denied",
    "POLICY_DENY": "Policy denied by denylist",
    "UNSUPPORTED_L3_PROTOCOL": "Unsupported L3 protocol",
}
# ACKs and payload of a short request and its answer, as (packets, bytes) per direction.
_CONNECTION = (6, 620)

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters by family and labels; they only grow."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, float]] = {}
        # Present from the start, as an agent that has forwarded something shows them.
        for direction in ("EGRESS", "INGRESS"):
            self._add("cilium_forward_count_total", 0, direction=direction)
            self._add("cilium_forward_bytes_total", 0, direction=direction)

    def record(self, event: Event) -> None:
        """Book one event.

        A drop by policy is one packet to the agent and two flows to Hubble: the policy verdict and
        the drop. A lookup that the DNS proxy refuses is one flow, and no drop to the agent.
        """
        verdict, count = event.verdict, event.count
        sender, receiver = _pod(event.source), _pod(event.destination)
        if verdict.egress.verdict == "DENIED":
            self._dropped(event, verdict.egress, "EGRESS", source=sender)
            return
        if verdict.egress.verdict == "ALLOWED" and sender:
            self._judged(event, verdict.egress, "egress", source=sender)
            self._forwarded("EGRESS", count, event.size * count)
        if event.query is not None and verdict.egress.redirected:
            self._proxied(event.query, sender, receiver)
            if event.query.rcode == 5:
                return
        if verdict.ingress.verdict == "DENIED":
            self._dropped(event, verdict.ingress, "INGRESS", destination=receiver)
            return
        if verdict.ingress.verdict == "ALLOWED" and receiver:
            self._judged(event, verdict.ingress, "ingress", destination=receiver)
        self._delivered(event, sender, receiver)

    def record_noise(self, count: int = 1) -> None:
        """Book datapath noise that no policy caused: router solicitations with IPv6 off."""
        labels = {"protocol": "ICMPv6"}
        self._add("hubble_drop_total", count, reason="UNSUPPORTED_L3_PROTOCOL", **labels)
        self._flow(count, "Drop", "DROPPED", "ICMPv6")
        reason = AGENT_REASONS["UNSUPPORTED_L3_PROTOCOL"]
        self._add("cilium_drop_count_total", count, direction="EGRESS", reason=reason)
        self._add("cilium_drop_bytes_total", 70 * count, direction="EGRESS", reason=reason)

    def value(self, family: str, **labels: str) -> float:
        """The sum over the series of a family that carry these labels."""
        wanted = set(labels.items())
        series = self._values.get(family, {})
        return sum(value for have, value in series.items() if wanted <= set(have))

    def samples(self, instance: str) -> Iterator[tuple[Labels, float]]:
        """What a scrape stores.

        Args:
            instance: name of the node.

        Yields:
            Sorted labels with `__name__` and the target's labels, and the value.
        """
        for family, series in self._values.items():
            job = CILIUM_JOB if family.startswith("cilium_") else HUBBLE_JOB
            target = {"__name__": family, "cluster": CLUSTER, "instance": instance, "job": job}
            for labels, value in series.items():
                yield tuple(sorted({**target, **dict(labels)}.items())), value
        for job in (CILIUM_JOB, HUBBLE_JOB):
            up = {"__name__": "up", "cluster": CLUSTER, "instance": instance, "job": job}
            yield tuple(sorted(up.items())), 1.0

    # ------------------------------------------------------------------ parts of an event

    def _dropped(self, event: Event, side: Side, direction: str, **pods: str) -> None:
        reason, count = side.drop_reason or "POLICY_DENIED", event.count
        agent = AGENT_REASONS[reason]
        size = event.size * count
        self._add("cilium_drop_count_total", count, direction=direction, reason=agent)
        self._add("cilium_drop_bytes_total", size, direction=direction, reason=agent)
        protocol = event.protocol
        self._add("hubble_drop_total", 2 * count, reason=reason, protocol=protocol, **pods)
        for kind in ("Drop", "PolicyVerdict"):
            self._flow(count, kind, "DROPPED", protocol, **pods)
        match = "l3-only" if reason == "POLICY_DENY" else "none"
        self._verdict(count, "dropped", direction.lower(), match, **pods)

    def _judged(self, event: Event, side: Side, direction: str, **pods: str) -> None:
        redirected = direction == "egress" and side.redirected
        verdict = "REDIRECTED" if redirected else "FORWARDED"
        if side.selecting:
            self._flow(event.count, "PolicyVerdict", verdict, event.protocol, **pods)
            self._verdict(event.count, verdict.lower(), direction, "l3-l4", **pods)

    def _delivered(self, event: Event, sender: str, receiver: str) -> None:
        count, protocol = event.count, event.protocol
        size = event.size * count
        to_pod = event.destination.kind == "pod"
        if to_pod:
            self._forwarded("INGRESS", count, size)
        trace = "to-endpoint" if to_pod else "to-network"
        self._flow(count, "Trace", "FORWARDED", protocol, trace, source=sender)
        if protocol != "TCP":
            self._flow(count, "Trace", "FORWARDED", protocol, "to-endpoint", source=receiver)
            return
        if event.flags != "SYN":
            return
        packets, size = _CONNECTION
        for direction in ("EGRESS", "INGRESS"):
            self._forwarded(direction, packets * count, size * count)
        self._flags("SYN", count, source=sender)
        if receiver:
            self._flags("SYN", count, destination=receiver)
        self._flags("SYN-ACK", count, source=receiver)
        self._flags("FIN", count, source=sender)
        self._flags("FIN", count, source=receiver)

    def _proxied(self, query: Query, sender: str, receiver: str) -> None:
        qtypes = query.qtype
        if query.rcode == 5:
            labels = {"qtypes": qtypes, "ips_returned": "0", "rcode": "Policy denied"}
            self._add("hubble_dns_queries_total", 1, source=sender, **labels)
            self._add(
                "hubble_drop_total",
                1,
                source=sender,
                protocol="DNS",
                reason="DROP_REASON_UNKNOWN",
            )
            self._flow(1, "L7", "DROPPED", "DNS", "DNS", source=sender)
            self._verdict(1, "dropped", "egress", "l7/dns", source=sender)
            return
        self._add("hubble_dns_queries_total", 1, source=sender, qtypes=qtypes, ips_returned="0")
        self._flow(1, "L7", "FORWARDED", "DNS", "DNS", source=sender)
        self._verdict(1, "forwarded", "egress", "l7/dns", source=sender)
        if query.rcode is None:
            return
        rcode = "Non-Existent Domain" if query.rcode == 3 else "No Error"
        self._add(
            "hubble_dns_responses_total",
            1,
            source=receiver,
            qtypes=qtypes,
            ips_returned=str(query.addresses),
            rcode=rcode,
        )
        if query.addresses:
            kind = {"qtypes": qtypes, "type": qtypes}
            self._add("hubble_dns_response_types_total", 1, source=receiver, **kind)
        self._flow(1, "L7", "FORWARDED", "DNS", "DNS", source=receiver)
        self._verdict(1, "forwarded", "egress", "l7/dns", source=receiver)

    # ------------------------------------------------------------------ families

    def _forwarded(self, direction: str, packets: int, size: int) -> None:
        self._add("cilium_forward_count_total", packets, direction=direction)
        self._add("cilium_forward_bytes_total", size, direction=direction)

    def _flow(
        self, count: int, kind: str, verdict: str, protocol: str, subtype: str = "", **pods: str
    ) -> None:
        labels = {"type": kind, "subtype": subtype, "verdict": verdict, "protocol": protocol}
        self._add("hubble_flows_processed_total", count, **labels, **pods)

    def _verdict(self, count: int, action: str, direction: str, match: str, **pods: str) -> None:
        labels = {"action": action, "direction": direction, "match": match}
        self._add("hubble_policy_verdicts_total", count, **labels, **pods)

    def _flags(self, flag: str, count: int, **pods: str) -> None:
        self._add("hubble_tcp_flags_total", count, flag=flag, family="IPv4", **pods)

    def _add(self, family: str, amount: float, /, **labels: str) -> None:
        # An empty label is an absent one to Prometheus.
        key = tuple(sorted((k, v) for k, v in labels.items() if v))
        series = self._values.setdefault(family, {})
        series[key] = series.get(key, 0.0) + amount


def _pod(endpoint: Endpoint) -> str:
    """The pod as `namespace/name`, "" for everything else."""
    return endpoint.name if endpoint.kind == "pod" else ""
