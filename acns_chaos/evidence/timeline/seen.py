"""All that was seen in a run, for those who derive moments from it."""

from dataclasses import dataclass

from acns_chaos.evidence.timeline.client import ClientSource
from acns_chaos.evidence.timeline.hubble import Flows
from acns_chaos.evidence.timeline.metrics import Counters

__all__ = ["Notice", "Seen"]


@dataclass(frozen=True, slots=True)
class Notice:
    """A detector's, a witness's or an explanation's first confirmed reading.

    Attributes:
        role: "detector", "witness" or "explanation".
        name: of the activity.
        at: seconds since 1970 by the runner's clock.
        bound_ms: how much earlier it may have been true.
        detail: the reading's sentence.
    """

    role: str
    name: str
    at: float
    bound_ms: float
    detail: str


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was seen in a run.

    Attributes:
        clients: the client's sources; none when they are switched off.
        hubble: None when it is switched off.
        prometheus: likewise.
        notices: of declared activities.
        ended: when sampling ended, seconds since 1970.
    """

    clients: tuple[ClientSource, ...]
    hubble: Flows | None
    prometheus: Counters | None
    notices: tuple[Notice, ...]
    ended: float
