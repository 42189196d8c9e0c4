"""The metric families of a node: name, type, help and labels, as Cilium 1.19.4 exposes them.

Spelled as captured; `cilium_endpoint` and `cilium_kubernetes_events_total`, which the captures
filtered out, as in Cilium's documentation. What is counted is in `counters` and `agent_state`.

Left out of a real agent's exposition: the caches and timers of its inside (`cilium_identity_*`,
`cilium_policy_selector_*`, `cilium_policy_incremental_update_duration`), FQDN clean-up, BPF maps,
Envoy, the Go runtime. ACNS exposes neither `query` on the DNS families nor `port_distribution`.
"""

from dataclasses import dataclass

AGENT, HUBBLE = "agent", "hubble"


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes:
        name: of the metric.
        kind: "counter", "gauge" or "histogram".
        help: as exposed.
        labels: of every series, in the order of the text format.
        kernel: kept in the kernel, so that it outlives the agent's process.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    kernel: bool = False

    @property
    def endpoint(self) -> str:
        """Which of a node's endpoints has it: `AGENT` or `HUBBLE`."""
        return HUBBLE if self.name.startswith("hubble_") else AGENT


_DIRECTION = "tagged by drop reason and ingress/egress direction"
_ALL = (
    Family(
        "cilium_drop_bytes_total", "counter", f"Total dropped bytes, {_DIRECTION}",
        ("direction", "reason"), kernel=True,
    ),
    Family(
        "cilium_drop_count_total", "counter", f"Total dropped packets, {_DIRECTION}",
        ("direction", "reason"), kernel=True,
    ),
    Family("cilium_endpoint", "gauge", "Number of endpoints managed by this agent"),
    Family(
        "cilium_endpoint_state", "gauge",
        "Count of all endpoints, tagged by different endpoint states", ("endpoint_state",),
    ),
    Family(
        "cilium_forward_bytes_total", "counter",
        "Total forwarded bytes, tagged by ingress/egress direction", ("direction",), kernel=True,
    ),
    Family(
        "cilium_forward_count_total", "counter",
        "Total forwarded packets, tagged by ingress/egress direction", ("direction",), kernel=True,
    ),
    Family("cilium_identity", "gauge", "Number of identities currently allocated", ("type",)),
    Family(
        "cilium_kubernetes_events_total", "counter",
        "Number of Kubernetes events processed labeled by scope, action and execution result",
        ("action", "scope", "status"),
    ),
    Family("cilium_policy", "gauge", "Number of policies currently loaded"),
    Family(
        "cilium_policy_change_total", "counter", "Number of policy changes by outcome", ("outcome",)
    ),
    Family(
        "cilium_policy_endpoint_enforcement_status", "gauge",
        "Number of endpoints labeled by policy enforcement status", ("enforcement",),
    ),
    Family(
        "cilium_policy_implementation_delay", "histogram",
        "Time between a policy change and it being fully deployed into the datapath", ("source",),
    ),
    Family(
        "cilium_policy_l7_total", "counter", "Number of total proxy requests handled",
        ("proxy_type", "rule"),
    ),
    Family(
        "cilium_policy_max_revision", "gauge", "Highest policy revision number in the agent"
    ),
    Family("cilium_version", "gauge", "Cilium version", ("arch", "revision", "version")),
    Family(
        "hubble_dns_queries_total", "counter", "Number of DNS queries observed",
        ("destination", "ips_returned", "qtypes", "rcode", "source"),
    ),
    Family(
        "hubble_dns_response_types_total", "counter", "Number of DNS queries observed",
        ("destination", "qtypes", "source", "type"),
    ),
    Family(
        "hubble_dns_responses_total", "counter", "Number of DNS queries observed",
        ("destination", "ips_returned", "qtypes", "rcode", "source"),
    ),
    Family(
        "hubble_drop_total", "counter", "Number of drops",
        ("destination", "protocol", "reason", "source"),
    ),
    Family(
        "hubble_flows_processed_total", "counter", "Total number of flows processed",
        ("destination", "protocol", "source", "subtype", "type", "verdict"),
    ),
    Family("hubble_lost_events_total", "counter", "Number of lost events", ("source",)),
    Family(
        "hubble_policy_verdicts_total", "counter", "Total number of Cilium network policy verdicts",
        ("action", "destination", "direction", "match", "source"),
    ),
    Family(
        "hubble_tcp_flags_total", "counter", "TCP flag occurrences",
        ("destination", "family", "flag", "source"),
    ),
)  # fmt: skip
FAMILIES = {family.name: family for family in _ALL}
