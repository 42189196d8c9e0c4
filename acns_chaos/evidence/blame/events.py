"""What Kubernetes events say about policies: a fault that is over leaves nothing else behind.

Whoever may write events can say anything in one, so they are quoted and prove nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from acns_chaos.cluster.kube import Api
from acns_chaos.errors import ApiError
from acns_chaos.evidence.blame.drops import clock
from acns_chaos.evidence.values import mapping, mappings, moment, text
from acns_chaos.policy.model import KINDS, ObjectRef

__all__ = ["Said", "events_about_policies"]

# Of one namespace; a busy one has thousands, and an hour is all that is kept.
_MOST = 500


@dataclass(frozen=True, slots=True)
class Said:
    """One event about a policy.

    Attributes:
        ref: which.
        at: seconds since 1970.
        reason: one word, such as "FaultInjected".
        message: of the event.
    """

    ref: ObjectRef
    at: float
    reason: str
    message: str

    @property
    def sentence(self) -> str:
        """The event for people."""
        return f"An event of {clock(self.at)} says of {self.ref}: {self.reason}, {self.message}."


def events_about_policies(api: Api, namespaces: Iterable[str]) -> list[Said]:
    """Read the events about policies, oldest first; where they may not be read there are none.

    Args:
        api: the cluster.
        namespaces: where to look.
    """
    found: list[Said] = []
    for namespace in dict.fromkeys(namespaces):
        try:
            listed = api.get(f"/api/v1/namespaces/{namespace}/events", {"limit": str(_MOST)})
        except ApiError:
            continue
        found += _read(mappings(listed.get("items")))
    return sorted(found, key=lambda one: one.at)


def _read(events: Iterable[Mapping[str, Any]]) -> Iterator[Said]:
    for one in events:
        about = mapping(one.get("involvedObject"))
        kind, name = text(about.get("kind"), 80), text(about.get("name"), 253)
        at = moment(one.get("lastTimestamp") or one.get("eventTime"))
        if kind in KINDS and name and at is not None:
            ref = ObjectRef(kind, text(about.get("namespace"), 253), name)
            message = text(one.get("message"), 240).rstrip(".")
            yield Said(ref, at.timestamp(), text(one.get("reason"), 80), message)
