"""Cilium's policy semantics as a library: raw policy objects and endpoints in, verdicts out.

Belongs here: everything that follows from policy documents alone. Does not belong here: any
input or output, a clock, a client, a host. Objects are raw JSON throughout, because an empty
list and an absent field mean opposite things.
"""

from acns_chaos.policy.endpoints import Endpoint
from acns_chaos.policy.model import (
    Flow,
    ObjectRef,
    RuleRef,
    Settings,
    Side,
    Verdict,
)
from acns_chaos.policy.services import Service
from acns_chaos.policy.verdict import Engine

__all__ = [
    "Endpoint",
    "Engine",
    "Flow",
    "ObjectRef",
    "RuleRef",
    "Service",
    "Settings",
    "Side",
    "Verdict",
]
