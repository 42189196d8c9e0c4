"""Drop counters: which series to ask for, and which of their labels mean a policy.

Reasons and directions are compared without regard to case, on the server (a pattern, because
`(?i)` may not be understood everywhere) and here: Azure Monitor's casing cannot be predicted
(reference workshop-facts §3.3). Each selector names one metric, as Azure Monitor wants it (§4.1).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "AGENT",
    "HUBBLE",
    "LOST",
    "POLICY_REASON",
    "WITNESSES",
    "Counter",
    "drops_at_node",
    "drops_of_workload",
    "quoted",
    "selector",
]

# Which of a node's two endpoints a metric comes from.
AGENT, HUBBLE = "agent", "hubble"
LOST = "hubble_lost_events_total"
# What a scraped endpoint always has some of; "no drops" and "no metrics" look alike without it. AKS
# keeps the first of each, another Cilium may have any (reference workshop-facts §3.2).
WITNESSES = {
    AGENT: ("cilium_forward_count_total", "cilium_drop_count_total"),
    HUBBLE: (
        "hubble_tcp_flags_total",
        "hubble_flows_processed_total",
        "hubble_dns_queries_total",
        "hubble_drop_total",
        LOST,
    ),
}

# POLICY_DENIED, POLICY_DENY, "Policy denied", "Policy denied by denylist", policy_denied.
POLICY_REASON = re.compile(r"policy.?den(y|ied).*", re.IGNORECASE)
_POLICY = 'reason=~"[Pp][Oo][Ll][Ii][Cc][Yy].*"'
# `namespace/pod` or `namespace/workload`. Other contexts write `reserved:world`, an address, a bare
# name, or all labels (which may hold a slash, but then a colon, too).
_NAMED = "[a-z0-9-]+/[a-z0-9.-]+"


@dataclass(frozen=True, slots=True)
class Counter:
    """A drop counter one can ask for.

    Attributes:
        metric: its name.
        query: a PromQL selector of its series of that one metric.
        direction: "INGRESS" or "EGRESS" to keep that direction's series only, "" for all.
        source: AGENT or HUBBLE.
        way: "ingress" or "egress".
        per_packet: how much one dropped packet counts: 2 for Hubble, which counts the verdict and
            the drop (reference captures, "Metrics").
        side: the label that tells whose pods they are, "" where none does.
    """

    metric: str
    query: str
    direction: str = ""
    source: str = HUBBLE
    way: str = "ingress"
    per_packet: int = 2
    side: str = ""

    @property
    def named(self) -> str:
        """A selector of the series that name a pod, anybody's, in the label that `query` reads."""
        return f'{self.metric}{{{self.side}=~"{_NAMED}"}}' if self.side else self.metric

    @property
    def wanted(self) -> str:
        """The option of Hubble's metric that fills that label."""
        return f"{self.side}{self.way.capitalize()}Context=pod"

    def counts(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a series is about a policy's drops, in the wanted direction."""
        if self.direction and labels.get("direction", "").upper() != self.direction:
            return False
        return bool(POLICY_REASON.fullmatch(labels.get("reason", "")))


def drops_of_workload(namespace: str, workload: str, direction: str) -> Counter:
    """Count the drops Hubble saw at a workload's pods.

    Args:
        namespace: of the pods.
        workload: its name; "" for every pod of the namespace.
        direction: "ingress" (the pods are destinations) or "egress" (sources): ACNS labels one
            side only (reference workshop-facts §3.1).
    """
    side = "destination" if direction == "ingress" else "source"
    # The label is `namespace/pod` on AKS, `namespace/workload` elsewhere; RE2, anchored.
    name = workload.replace(".", "[.]")
    pods = f"{namespace}/{name}(-.*)?" if workload else f"{namespace}/.*"
    metric = "hubble_drop_total"
    return Counter(metric, f'{metric}{{{side}=~"{pods}",{_POLICY}}}', way=direction, side=side)


def drops_at_node(direction: str) -> Counter:
    """Count the packets the kernel dropped on all nodes, once each; no pod label exists."""
    metric = "cilium_drop_count_total"
    return Counter(metric, f"{metric}{{{_POLICY}}}", direction.upper(), AGENT, direction, 1)


def selector(query: str, cluster: str, *more: str) -> str:
    """Add matchers to a selector.

    Args:
        query: a metric's name, with or without matchers in braces.
        cluster: value of the label `cluster`, "" for any.
        more: further matchers, as PromQL.
    """
    name, _, inside = query.partition("{")
    matchers = [one for one in (inside.removesuffix("}"), *more) if one]
    if cluster:
        matchers.append(f"cluster={quoted(cluster)}")
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


def quoted(text: str) -> str:
    """Write a text as a PromQL string: whatever it holds, it stays one."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
