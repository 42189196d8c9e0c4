"""The parts of an event, booked in the counters of one node. Which node that is says `counters`."""

from acns_chaos.lab.net.events import Event, Query
from acns_chaos.lab.net.metrics.registry import Registry
from acns_chaos.policy import Side

# Reason of Hubble (enum name) to reason of the agent (sentence).
AGENT_REASONS = {
    "POLICY_DENIED": "Policy denied",
    "POLICY_DENY": "Policy denied by denylist",
    "UNSUPPORTED_L3_PROTOCOL": "Unsupported L3 protocol",
}


class Books:
    """Books on one node.

    Args:
        registry: its counters.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def dropped(self, event: Event, side: Side, direction: str, **pods: str) -> None:
        """Policy dropped packets: once for the agent, as verdict and as drop for Hubble."""
        reason, count = side.drop_reason or "POLICY_DENIED", event.count
        add, agent = self.registry.add, AGENT_REASONS[reason]
        add("cilium_drop_count_total", count, direction=direction, reason=agent)
        add("cilium_drop_bytes_total", event.size * count, direction=direction, reason=agent)
        add("hubble_drop_total", 2 * count, reason=reason, protocol=event.protocol, **pods)
        for kind in ("Drop", "PolicyVerdict"):
            self.flow(count, kind, "DROPPED", event.protocol, **pods)
        match = "l3-only" if reason == "POLICY_DENY" else "none"
        self.verdict(count, "dropped", direction.lower(), match, **pods)

    def judged(self, event: Event, side: Side, direction: str, **pods: str) -> None:
        """Policy let packets pass; seen only where some policy selects the pod."""
        redirected = direction == "egress" and side.redirected
        verdict = "REDIRECTED" if redirected else "FORWARDED"
        if side.selecting:
            self.flow(event.count, "PolicyVerdict", verdict, event.protocol, **pods)
            self.verdict(event.count, verdict.lower(), direction, "l3-l4", **pods)

    def proxied(self, query: Query, sender: str, receiver: str, *, refused: bool) -> None:
        """The DNS proxy saw a question and, if it let it pass, the answer."""
        add, asked = self.registry.add, {"qtypes": query.qtype, "ips_returned": "0"}
        self.flow(1, "Trace", "FORWARDED", "UDP", "to-proxy", source=sender)
        self._seen_by_proxy("denied" if refused else "forwarded")
        if refused:
            add("hubble_dns_queries_total", 1, source=sender, rcode="Policy denied", **asked)
            add(
                "hubble_drop_total", 1,
                source=sender, protocol="DNS", reason="DROP_REASON_UNKNOWN",
            )  # fmt: skip
            self.flow(1, "L7", "DROPPED", "DNS", "DNS", source=sender)
            self.verdict(1, "dropped", "egress", "l7/dns", source=sender)
            return
        add("hubble_dns_queries_total", 1, source=sender, **asked)
        self.flow(1, "L7", "FORWARDED", "DNS", "DNS", source=sender)
        self.verdict(1, "forwarded", "egress", "l7/dns", source=sender)
        if query.rcode is not None:
            self._answered(query, receiver)

    def _answered(self, query: Query, receiver: str) -> None:
        add, kind = self.registry.add, query.qtype
        rcode = "Non-Existent Domain" if query.rcode == 3 else "No Error"
        returned = str(query.addresses)
        add(
            "hubble_dns_responses_total", 1,
            source=receiver, qtypes=kind, ips_returned=returned, rcode=rcode,
        )  # fmt: skip
        if query.addresses:
            add("hubble_dns_response_types_total", 1, source=receiver, qtypes=kind, type=kind)
        self.flow(1, "Trace", "FORWARDED", "UDP", "to-proxy", source=receiver)
        self._seen_by_proxy("forwarded")
        self.flow(1, "L7", "FORWARDED", "DNS", "DNS", source=receiver)
        self.verdict(1, "forwarded", "egress", "l7/dns", source=receiver)

    def _seen_by_proxy(self, rule: str) -> None:
        for one in ("received", rule):
            self.registry.add("cilium_policy_l7_total", 1, proxy_type="fqdn", rule=one)

    def forwarded(self, direction: str, packets: int, size: int) -> None:
        """The datapath carried packets."""
        self.registry.add("cilium_forward_count_total", packets, direction=direction)
        self.registry.add("cilium_forward_bytes_total", size, direction=direction)

    def flow(
        self, count: int, kind: str, verdict: str, protocol: str, subtype: str = "", **pods: str
    ) -> None:
        """Hubble saw flows."""
        labels = {"type": kind, "subtype": subtype, "verdict": verdict, "protocol": protocol}
        self.registry.add("hubble_flows_processed_total", count, **labels, **pods)

    def verdict(self, count: int, action: str, direction: str, match: str, **pods: str) -> None:
        """Hubble saw verdicts of policy."""
        labels = {"action": action, "direction": direction, "match": match}
        self.registry.add("hubble_policy_verdicts_total", count, **labels, **pods)

    def flags(self, flag: str, count: int, **pods: str) -> None:
        """Hubble saw packets with a TCP flag."""
        self.registry.add("hubble_tcp_flags_total", count, flag=flag, family="IPv4", **pods)
