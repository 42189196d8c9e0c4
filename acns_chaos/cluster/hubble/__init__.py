"""Hubble: flows as its relay tells them, or as `hubble observe -o json` has written them.

Importing this costs nothing of grpc or protobuf; those are loaded when a relay is opened.

- `seen`: what is seen, and what is said to be missing
- `query`: which flows are wanted
- `relay`: the connection to a relay, over `tunnel` (through the API server) and `credentials`
- `lines`: JSON lines
"""

from acns_chaos.cluster.hubble.lines import read_lines, written
from acns_chaos.cluster.hubble.query import Query
from acns_chaos.cluster.hubble.relay import HubbleError, Relay, RelayStatus, open_relay
from acns_chaos.cluster.hubble.seen import (
    Dropped,
    Event,
    Evidence,
    Grade,
    LostEvents,
    NodeNotice,
    Peer,
    PolicyName,
    SeenFlow,
    count_dropped,
    evidence_of,
)

__all__ = [
    "Dropped",
    "Event",
    "Evidence",
    "Grade",
    "HubbleError",
    "LostEvents",
    "NodeNotice",
    "Peer",
    "PolicyName",
    "Query",
    "Relay",
    "RelayStatus",
    "SeenFlow",
    "count_dropped",
    "evidence_of",
    "open_relay",
    "read_lines",
    "written",
]
