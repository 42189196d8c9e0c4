"""What an experiment may ask. Each probe answers with a reading and never raises for "unreachable".

`expect` says which answer the experiment wants; `met` in the reading tells whether it came.
A denial has two witnesses: the client met silence, and a drop counter moved. One alone is UNKNOWN.

- `client`: what customers and workloads meet
- `metrics`: what Prometheus counted
- `policies`: what is stored, and what it means
"""

from acns_chaos.probes.client import (
    read_connection,
    read_egress,
    read_order,
    read_readiness,
    read_storefront,
)
from acns_chaos.probes.metrics import count_drops
from acns_chaos.probes.policies import explain_denial, policies_are_as_recorded

__all__ = [
    "count_drops",
    "explain_denial",
    "policies_are_as_recorded",
    "read_connection",
    "read_egress",
    "read_order",
    "read_readiness",
    "read_storefront",
]
