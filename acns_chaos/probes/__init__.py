"""What an experiment may ask. Each probe answers with a reading and never raises for "unreachable".

`expect` says which answer the experiment wants; `met` in the reading tells whether it came.
A denial has two witnesses: the client met silence, and a drop counter moved. One alone is UNKNOWN.

- `blame`: which policy is behind what Hubble saw dropped
- `client`: what customers and workloads meet
- `detecting`: which of several detectors has noticed
- `flows`: what Hubble saw
- `metrics`: what Prometheus counted, and which alerts fire
- `policies`: what is stored, and what it means
"""

from acns_chaos.probes.blame import explain_drops
from acns_chaos.probes.client import (
    read_connection,
    read_egress,
    read_order,
    read_readiness,
    read_storefront,
)
from acns_chaos.probes.detecting import read_detectors
from acns_chaos.probes.flows import read_flows, relay_is_healthy
from acns_chaos.probes.metrics import count_drops, metrics_are_fresh, read_alert
from acns_chaos.probes.policies import (
    explain_denial,
    policies_are_as_recorded,
    policies_are_valid,
)

__all__ = [
    "count_drops",
    "explain_denial",
    "explain_drops",
    "metrics_are_fresh",
    "policies_are_as_recorded",
    "policies_are_valid",
    "read_alert",
    "read_connection",
    "read_detectors",
    "read_egress",
    "read_flows",
    "read_order",
    "read_readiness",
    "read_storefront",
    "relay_is_healthy",
]
