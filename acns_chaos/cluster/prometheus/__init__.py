"""Prometheus, also Azure Monitor's, and Alertmanager: what was counted, and what fires.

- `settings`, `credentials`: where they are and who signs in, from the environment
- `session`: one HTTP session with a deadline; imported when something is asked
- `client`: raw samples, clocks, freshness
- `counters`, `series`: what to ask for, and what came, as values
- `alerts`: what fires

docs/prometheus.md has the variables.
"""

from acns_chaos.cluster.prometheus.alerts import (
    Alert,
    Alertmanager,
    Rule,
    fired_before,
    fired_since,
    firing_in,
    rule_named,
)
from acns_chaos.cluster.prometheus.client import Prometheus, prometheus_from
from acns_chaos.cluster.prometheus.counters import (
    AGENT,
    HUBBLE,
    LOST,
    POLICY_REASON,
    Counter,
    drops_at_node,
    drops_of_workload,
)
from acns_chaos.cluster.prometheus.series import Clock, Freshness, Node, Nodes, Series
from acns_chaos.cluster.prometheus.settings import URL_VARIABLE

__all__ = [
    "AGENT",
    "HUBBLE",
    "LOST",
    "POLICY_REASON",
    "URL_VARIABLE",
    "Alert",
    "Alertmanager",
    "Clock",
    "Counter",
    "Freshness",
    "Node",
    "Nodes",
    "Prometheus",
    "Rule",
    "Series",
    "drops_at_node",
    "drops_of_workload",
    "fired_before",
    "fired_since",
    "firing_in",
    "prometheus_from",
    "rule_named",
]
